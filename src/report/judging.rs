//! Findings, caveats and verdict: derived from the record alone, whenever that is.

use super::date::date;
use super::figures;
use super::reading::{Unreadable, bad, evidence};
use super::record::{
    Asked, BiasRecord, BoundText, CaveatRecord, FindingRecord, JudgedAgain, LinkRecord, PlanRecord,
    Report, RequirementRecord, Scope, SiteRecord, TrialFigures, TrialRecord,
};
use crate::direction::PerDirection;
use crate::flow::{Evidence, TrialRun};
use crate::framing::IpVersion;
use crate::metric::{Bound, Criteria, Measured, Requirements};
use crate::plan::{Link, Plan};
use crate::stats::confidence::Confidence;
use crate::units::{BitRate, BurstSize, Ratio};
use crate::validity::{Bias, Caveat, caveats};
use crate::verdict::{Finding, Verdict, each_finding, findings, overall};

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
        Self { link: plan.link.clone(), requirements: plan.requirements.clone() }
    }

    fn criteria(&self, ip: IpVersion) -> Criteria {
        self.link.criteria(self.requirements.clone(), ip)
    }
}

fn bursts(octets: PerDirection<Option<u64>>) -> Result<PerDirection<BurstSize>, Unreadable> {
    let of = |octets: Option<u64>| {
        let Some(octets) = octets else { return Ok(BurstSize::default()) };
        u32::try_from(octets).ok().and_then(BurstSize::new).ok_or_else(|| {
            let most = BurstSize::MAX_OCTETS;
            bad(format!("committed_burst_octets: {octets} is not between 1 and {most}"))
        })
    };
    Ok(PerDirection { forward: of(octets.forward)?, reverse: of(octets.reverse)? })
}

impl Report {
    /// What this report was judged by.
    ///
    /// # Errors
    ///
    /// Where it does not say what can be required.
    pub fn question(&self) -> Result<Question, Unreadable> {
        let rate = |bits: Option<u64>| bits.and_then(BitRate::new);
        let [record] = self.links.as_slice() else {
            return Err(bad(format!("{} links, and a plan has one", self.links.len())));
        };
        let committed = record.committed_bit_s;
        let link = Link {
            name: record.name.clone(),
            circuit: record.circuit.clone(),
            provider: record.provider.clone(),
            port_rate: rate(record.port_rate_bit_s),
            committed: PerDirection::from_fn(|direction| rate(*committed.get(direction))),
            burst: bursts(record.committed_burst_octets)?,
            layer: record.rate_layer,
            vlan_tags: record.vlan_tags,
            extra_overhead_octets: record.extra_overhead_octets,
            probes_per_second: None,
        };
        let asked = self.asked.confidence;
        let confidence = Confidence::new(asked).and_then(|_| Ratio::from_fraction(asked));
        let confidence = confidence
            .ok_or_else(|| bad(format!("asked.confidence: {asked} is not between 0.5 and 1")))?;
        let mss_clamped = self.asked.mss_clamped;
        let mut requirements = Requirements::default();
        (requirements.confidence, requirements.mss_clamped) = (confidence, mss_clamped);
        for RequirementRecord { metric, direction, bound } in &self.asked.requirements {
            let scope = metric.scopes().find(|scope| Scope::from(*scope) == *direction);
            let scope = scope.ok_or_else(|| {
                bad(format!("asked.requirements: {metric} is not of '{direction}'"))
            })?;
            let requirement = metric
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
        let mut all_findings = Vec::new();
        let (mut finding_records, mut caveat_records) = (Vec::new(), Vec::new());
        let mut figures = Vec::new();
        for (place, link) in self.links.iter().enumerate() {
            for site in &link.sites {
                let criteria = question.criteria(site.ends.ip);
                let evidence = evidence(site)?;
                let at = Place { link: place, site, criteria: &criteria, evidence: &evidence };
                let found = findings(&criteria, &evidence);
                finding_records.extend(found.iter().map(|found| at.finding(found)));
                all_findings.extend(found);
                let caveats = caveats(&criteria, &evidence);
                caveat_records.extend(caveats.iter().map(|caveat| at.caveat(caveat)));
                figures.extend(at.figures());
            }
        }
        self.verdict = match overall(&all_findings) {
            Verdict::Pass if !self.complete => Verdict::Inconclusive,
            verdict => verdict,
        };
        (self.findings, self.caveats) = (finding_records, caveat_records);
        let mut figures = figures.into_iter();
        for link in &mut self.links {
            let trials = link.sites.iter_mut().flat_map(|site| &mut site.trials);
            trials.zip(&mut figures).for_each(|(trial, figures)| trial.figures = figures);
            let sites = std::mem::take(&mut link.sites);
            let LinkRecord { name, circuit, provider, .. } = link.clone();
            let asked = LinkRecord::of(&question.link);
            *link = LinkRecord { name, circuit, provider, sites, ..asked };
        }
        self.asked = asked(&question.requirements);
        Ok(())
    }

    /// Judges the record again by `question`, which the plan file `plan` asks, or the record itself
    /// where there is none; it says so, and when: `wall_ns` after 1970.
    ///
    /// # Errors
    ///
    /// Where the evidence contradicts itself; then nothing is changed.
    pub fn judge_again(
        &mut self,
        question: &Question,
        plan: Option<PlanRecord>,
        wall_ns: u64,
    ) -> Result<(), Unreadable> {
        self.judge(question)?;
        let before = self.judged_again.take().and_then(|before| before.plan);
        let plan = plan.or(before);
        self.judged_again = Some(JudgedAgain { at: date(wall_ns), program: program(), plan });
        Ok(())
    }
}

/// This program, with its version.
pub(super) fn program() -> String {
    concat!("linkqual ", env!("CARGO_PKG_VERSION")).to_owned()
}

fn asked(requirements: &Requirements) -> Asked {
    let record = |(scope, requirement): (_, crate::metric::Requirement)| RequirementRecord {
        metric: requirement.metric(),
        direction: Scope::from(scope),
        bound: requirement.to_string(),
    };
    let confidence = requirements.confidence.as_fraction();
    let mss_clamped = requirements.mss_clamped;
    Asked { confidence, mss_clamped, requirements: requirements.iter().map(record).collect() }
}

/// Where a finding or a caveat stands.
struct Place<'a> {
    link: usize,
    site: &'a SiteRecord,
    criteria: &'a Criteria,
    evidence: &'a Evidence,
}

impl Place<'_> {
    /// The number in the run of the site's trial at `place`.
    fn trial(&self, place: Option<usize>) -> Option<usize> {
        self.site.trials.get(place?).map(|trial| trial.trial)
    }

    /// What follows from the counts of each trial of the site.
    fn figures(&self) -> Vec<TrialFigures> {
        let found = each_finding(self.criteria, self.evidence);
        let trials = self.site.trials.iter().zip(&self.evidence.trials).enumerate();
        let of = |(place, (before, run)): (usize, (&TrialRecord, &TrialRun))| {
            let mut figures = figures::figures(run, self.criteria, &before.figures);
            figures::require(&mut figures, self.criteria, (place, run), &found);
            figures
        };
        trials.map(of).collect()
    }

    fn finding(&self, finding: &Finding) -> FindingRecord {
        let metric = finding.requirement.metric();
        let (value, low, high) = match &finding.measured {
            Measured::Sampled { value, low, high, .. } => (*value, *low, *high),
            Measured::Counted { value, .. } => (Some(*value), None, None),
            Measured::Missing(_) => (None, None, None),
        };
        let proven = match finding.measured {
            Measured::Counted { proven, .. } if finding.verdict == Verdict::Pass => proven,
            _ => None,
        };
        let bound = finding.requirement.bound();
        let run = finding.trial.and_then(|trial| self.evidence.trials.get(trial));
        let layers = value.zip(run);
        let layers =
            layers.and_then(|(value, run)| figures::layers(finding, value, run, self.criteria));
        FindingRecord {
            link: self.link,
            site: self.site.ends.site.clone(),
            metric,
            direction: finding.direction.into(),
            relation: match bound {
                Bound::AtMost(_) => BoundText::AtMost,
                Bound::AtLeast(_) => BoundText::AtLeast,
            },
            bound: bound.limit(),
            value,
            proven,
            low,
            high,
            unit: metric.about().unit.name().to_owned(),
            layers,
            verdict: finding.verdict,
            reason: finding.reason.clone(),
            trial: self.trial(finding.trial),
        }
    }

    fn caveat(&self, caveat: &Caveat) -> CaveatRecord {
        let (bias, packets) = match caveat.bias {
            Bias::CanOnlyWorsen => (BiasRecord::CanOnlyWorsen, None),
            Bias::CanOnlyWorsenBy(packets) => (BiasRecord::CanOnlyWorsen, Some(packets)),
            Bias::Either => (BiasRecord::Either, None),
            Bias::EitherBy(samples) => (BiasRecord::Either, Some(samples)),
        };
        CaveatRecord {
            link: self.link,
            site: self.site.ends.site.clone(),
            evidence: caveat.doubts.to_vec(),
            metrics: caveat.metrics(),
            direction: caveat.direction,
            trial: self.trial(caveat.trial),
            bias,
            packets,
            text: caveat.text.clone(),
        }
    }
}
