//! Findings, caveats and verdict: derived from the record alone, whenever that is.

use super::reading::{self, Unreadable};
use super::record::{
    Asked, BoundText, CaveatRecord, FindingRecord, PlanRecord, Report, RequirementRecord,
    SiteRecord, TrialRecord,
};
use super::writing::link_record;
use crate::direction::{Direction, PerDirection};
use crate::flow::{Evidence, Outcome};
use crate::framing::IpVersion;
use crate::metric::{Criteria, Measured, bound, float, required_goodput, unit};
use crate::plan::{Bound, Link, Metric, Plan, Requirements};
use crate::stats::confidence::Confidence;
use crate::units::{BitRate, Ratio};
use crate::validity::{Bias, Caveat, caveats};
use crate::verdict::{Finding, Verdict, findings, overall};

/// What a record is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The link: how rates count, and what is committed. Its names are not asked about.
    pub link: Link,
    /// What is required.
    pub requirements: Requirements,
}

impl Question {
    /// What `plan` asks.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self { link: plan.link.clone(), requirements: plan.requirements }
    }

    fn criteria(&self, ip: IpVersion) -> Criteria {
        let (requirements, link) = (self.requirements, &self.link);
        let framing = link.framing(ip);
        Criteria { requirements, committed: link.committed, layer: link.layer, framing }
    }
}

impl Report {
    /// What this report was judged by.
    ///
    /// # Errors
    ///
    /// Where it does not say what can be required.
    pub fn question(&self) -> Result<Question, Unreadable> {
        let bad = |what: String| Unreadable::Contradiction(what);
        let rate = |bits: Option<u64>| bits.and_then(BitRate::new);
        let (record, committed) = (&self.link, self.link.committed_bit_s);
        let link = Link {
            name: record.name.clone(),
            circuit: record.circuit.clone(),
            port_rate: rate(record.port_rate_bit_s),
            committed: PerDirection::from_fn(|way| rate(*committed.get(way))),
            layer: record.rate_layer,
            vlan_tags: record.vlan_tags,
            extra_overhead_octets: record.extra_overhead_bytes,
            probes_per_second: None,
        };
        let asked = self.asked.confidence;
        let confidence = Confidence::new(asked).and_then(|_| Ratio::from_fraction(asked));
        let confidence = confidence
            .ok_or_else(|| bad(format!("asked.confidence: {asked} is not between 0.5 and 1")))?;
        let mut requirements = Requirements { confidence, ..Requirements::default() };
        for RequirementRecord { metric, direction, bound } in &self.asked.requirements {
            let named = Metric::named(metric)
                .ok_or_else(|| bad(format!("asked.requirements: no metric is called {metric}")))?;
            let scope = named.scopes().find(|scope| scope_name(*scope) == *direction);
            let scope = scope.ok_or_else(|| {
                bad(format!("asked.requirements: {metric} is not of '{direction}'"))
            })?;
            let requirement = named
                .require(bound)
                .map_err(|error| bad(format!("asked.requirements: {metric}: {error}")))?;
            requirements.set(scope, requirement);
        }
        Ok(Question { link, requirements })
    }

    /// Judges the evidence by `question`: findings, caveats and verdict are what follows from it.
    ///
    /// # Errors
    ///
    /// Where the evidence contradicts itself; then nothing is changed.
    pub fn judge(&mut self, question: &Question) -> Result<(), Unreadable> {
        let site_runs = reading::evidence(self)?;
        let mut alone = Vec::new();
        let (mut all_findings, mut records, mut all_doubts) = (Vec::new(), Vec::new(), Vec::new());
        for site_run in &site_runs {
            let criteria = question.criteria(site_run.site.ip);
            let place = |trial: Option<usize>| trial.map(|trial| trial + site_run.first);
            let found = findings(&criteria, &site_run.evidence);
            records.extend(
                found.iter().map(|found| finding(found, site_run.site, place(found.trial))),
            );
            all_findings.extend(found);
            alone.extend(
                site_run.evidence.outcomes.iter().flat_map(|outcome| each(&criteria, outcome)),
            );
            let doubted = caveats(&criteria, &site_run.evidence);
            all_doubts.extend(doubted.iter().map(|it| caveat(it, site_run.site, place(it.trial))));
        }
        self.verdict = match overall(&all_findings) {
            Verdict::Pass if !self.complete => Verdict::Inconclusive,
            verdict => verdict,
        };
        (self.findings, self.caveats) = (records, all_doubts);
        for (row, alone) in self.trials.iter_mut().zip(alone) {
            alone.write(row);
        }
        let (name, circuit) = (self.link.name.clone(), self.link.circuit.clone());
        self.link = link_record(&Link { name, circuit, ..question.link.clone() });
        self.asked = asked(&question.requirements);
        Ok(())
    }

    /// Judges the evidence by `question`, which the plan file `plan` asks.
    ///
    /// # Errors
    ///
    /// Where the evidence contradicts itself; then nothing is changed.
    pub fn judge_by_plan(
        &mut self,
        question: &Question,
        plan: PlanRecord,
    ) -> Result<(), Unreadable> {
        self.judge(question)?;
        self.plan = Some(plan);
        Ok(())
    }
}

/// What follows for one trial and direction, from it alone.
struct Alone {
    verdict: Option<Verdict>,
    reason: Option<String>,
    required_bit_s: Option<u64>,
}

impl Alone {
    fn write(self, row: &mut TrialRecord) {
        (row.verdict, row.verdict_reason) = (self.verdict, self.reason);
        row.required_bit_s = self.required_bit_s;
        let both = self.required_bit_s.zip(row.goodput_bit_s);
        row.headroom_ratio = both.map(|(required, came)| float(came) / float(required));
    }
}

fn each(criteria: &Criteria, outcome: &Outcome) -> [Alone; 2] {
    let evidence = Evidence { path_mtu: None, outcomes: vec![outcome.clone()] };
    let findings = findings(criteria, &evidence);
    Direction::ALL.map(|direction| {
        let tested = outcome.trial.covers(direction);
        let here = |finding: &&Finding| {
            tested
                && finding.trial.is_some()
                && finding.direction.is_none_or(|way| way == direction)
        };
        let worst = findings.iter().filter(here).max_by_key(|finding| finding.verdict);
        let why = worst.filter(|finding| finding.verdict != Verdict::Pass);
        let required = required_goodput(criteria, &outcome.trial, direction);
        Alone {
            verdict: worst.map(|finding| finding.verdict),
            reason: why.map(reason_of),
            required_bit_s: required.map(BitRate::bits_per_second),
        }
    })
}

fn reason_of(finding: &Finding) -> String {
    format!("{}: {}", finding.requirement.metric(), finding.reason)
}

fn asked(requirements: &Requirements) -> Asked {
    let record = |(scope, requirement): (_, crate::plan::Requirement)| RequirementRecord {
        metric: requirement.metric().name().to_owned(),
        direction: scope_name(scope),
        bound: requirement.to_string(),
    };
    let confidence = requirements.confidence.as_fraction();
    Asked { confidence, requirements: requirements.iter().map(record).collect() }
}

fn scope_name(direction: Option<Direction>) -> String {
    direction.map_or_else(|| "round-trip".to_owned(), |way| way.to_string())
}

fn finding(finding: &Finding, site: &SiteRecord, trial: Option<usize>) -> FindingRecord {
    let metric = finding.requirement.metric();
    let (value, low, high) = match &finding.measured {
        Measured::Sampled { value, low, high, .. } => (*value, *low, *high),
        Measured::Counted { value, .. } => (Some(*value), None, None),
        Measured::Missing(_) => (None, None, None),
    };
    let bound = bound(finding.requirement);
    FindingRecord {
        site: site.site.clone(),
        metric: metric.name().to_owned(),
        direction: scope_name(finding.direction),
        relation: match bound {
            Bound::AtMost(_) => BoundText::AtMost,
            Bound::AtLeast(_) => BoundText::AtLeast,
        },
        bound: bound.limit(),
        value,
        low,
        high,
        unit: unit(metric).to_owned(),
        verdict: finding.verdict,
        reason: finding.reason.clone(),
        trial,
    }
}

fn caveat(caveat: &Caveat, site: &SiteRecord, trial: Option<usize>) -> CaveatRecord {
    let (bias, packets) = match caveat.bias {
        Bias::CanOnlyWorsen => ("can_only_worsen", None),
        Bias::CanOnlyWorsenBy(packets) => ("can_only_worsen", Some(packets)),
        Bias::Either => ("either", None),
    };
    CaveatRecord {
        metrics: caveat.metrics.iter().map(|metric| metric.name().to_owned()).collect(),
        direction: caveat.direction,
        site: site.site.clone(),
        trial,
        bias: bias.to_owned(),
        packets,
        text: caveat.text.clone(),
    }
}
