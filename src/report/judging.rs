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
use crate::plan::{GivenKeys, Link, Plan, PlanKind, PlanSet, Severity};
use crate::stats::confidence::Confidence;
use crate::units::{BitRate, BurstSize, Ratio};
use crate::validity::{Bias, Caveat, caveats};
use crate::verdict::{Finding, Verdict, each_finding, findings, overall};

/// What a record is judged by: a question for each of its links, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// One for each link.
    pub links: Vec<LinkQuestion>,
}

/// What one link is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkQuestion {
    /// The link: how rates count, and what is committed. Its names are not asked about.
    pub link: Link,
    /// What is required.
    pub requirements: Requirements,
}

impl LinkQuestion {
    fn criteria(&self, ip: IpVersion) -> Criteria {
        self.link.criteria(self.requirements.clone(), ip)
    }

    /// What `plan` asks of the link of `record`, on which all was measured already.
    fn by(plan: &Plan, record: &LinkRecord) -> Result<Self, Unreadable> {
        let link = plan.link.over(&asked_link(record)?);
        Ok(Self { link, requirements: plan.requirements.clone() })
    }
}

impl From<&Plan> for LinkQuestion {
    fn from(plan: &Plan) -> Self {
        Self { link: plan.link.clone(), requirements: plan.requirements.clone() }
    }
}

impl Question {
    /// What `plan` asks of its link.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        Self { links: vec![plan.into()] }
    }

    /// What `plans`, those of one file, ask of the links of `report`, and what a person should
    /// know of that. A plan that says nothing of links requires the same of each. Links are the
    /// same by their names; by their circuits only where neither has a namesake, as one circuit may
    /// carry several links. What is no link of the plan's is asked what it was asked before. Rates,
    /// and what they count, are the report's where the plan has none ([`Link::over`]).
    ///
    /// # Errors
    ///
    /// Where none of the links is in the report, or the report does not say what can be required.
    pub fn by(plans: &PlanSet, report: &Report) -> Result<(Self, Vec<String>), Unreadable> {
        let (mut links, mut notes, mut is_any) = (Vec::new(), Vec::new(), report.links.is_empty());
        for (place, record) in report.links.iter().enumerate() {
            let is_only = plans.kind == PlanKind::Link && report.links.len() == 1;
            let found = match plans.plans.as_slice() {
                [plan] if plans.kind == PlanKind::Bare => Ok(plan),
                [plan] if is_only => {
                    notes.extend(other_circuit(plan, record));
                    Ok(plan)
                }
                all => plan_of(all, record, report),
            };
            is_any |= found.is_ok();
            let kept = |why| format!("{}: {why}: judged as it was", named(record));
            notes.extend(found.err().map(kept));
            let asked = found.map(|plan| LinkQuestion::by(plan, record));
            links.push(asked.unwrap_or_else(|_| report.question_on(place))?);
        }
        if !is_any {
            let plan: Vec<&str> = plans.names().collect();
            let report: Vec<String> = report.links.iter().map(named).collect();
            let (plan, report) = (plan.join(", "), report.join(", "));
            return Err(Unreadable::OtherLinks { plan, report });
        }
        Ok((Self { links }, notes))
    }
}

/// A link's name, or what else it is known by.
fn named(record: &LinkRecord) -> String {
    let known = record.name.as_ref().or(record.circuit.as_ref());
    known.map_or_else(|| "a link without a name".to_owned(), |name| format!("link {name}"))
}

/// The plan of `plans` that is about the link of `record`, one of `report`; or why none is.
fn plan_of<'a>(
    plans: &'a [Plan],
    record: &LinkRecord,
    report: &Report,
) -> Result<&'a Plan, &'static str> {
    let is_named = |plan: &Plan, record: &LinkRecord| {
        plan.link.name.is_some() && plan.link.name == record.name
    };
    if let Some(plan) = plans.iter().find(|plan| is_named(plan, record)) {
        return Ok(plan);
    }
    let is_on_circuit = |plan: &&Plan| {
        let circuit = &plan.link.circuit;
        let is_anothers = || report.links.iter().any(|another| is_named(plan, another));
        circuit.is_some() && *circuit == record.circuit && !is_anothers()
    };
    let mut on_circuit = plans.iter().filter(is_on_circuit);
    match (on_circuit.next(), on_circuit.next()) {
        (Some(plan), None) => Ok(plan),
        (Some(_), Some(_)) => Err("several links of the plan have its circuit, none its name"),
        (None, _) => Err("not in the plan"),
    }
}

/// That the only link of a plan is another than the only one of a report.
fn other_circuit(plan: &Plan, record: &LinkRecord) -> Option<String> {
    let name = |circuit: &Option<String>| {
        circuit.as_ref().map_or_else(|| "no circuit".to_owned(), |id| format!("'{id}'"))
    };
    let (plan, record) = (&plan.link.circuit, &record.circuit);
    let (judged, asked) = (name(record), name(plan));
    (plan != record).then(|| format!("the report is of {judged}, the plan is about {asked}"))
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
        if self.links.is_empty() {
            return Err(bad("there are no links, and a plan has one at least"));
        }
        let links = (0..self.links.len()).map(|place| self.question_on(place));
        Ok(Question { links: links.collect::<Result<_, _>>()? })
    }

    /// What the link at `place` was judged by.
    fn question_on(&self, place: usize) -> Result<LinkQuestion, Unreadable> {
        let link = &self.links[place];
        let (at, asked) = match &link.asked {
            Some(own) => (format!("links[{place}].asked"), own),
            None => ("asked".to_owned(), &self.asked),
        };
        Ok(LinkQuestion { link: asked_link(link)?, requirements: requirements(&at, asked)? })
    }

    /// Judges the evidence by `question`: findings, caveats and verdicts are what follows from it.
    ///
    /// # Errors
    ///
    /// Where the evidence contradicts itself, or the question is about another number of links;
    /// then nothing is changed.
    pub fn judge(&mut self, question: &Question) -> Result<(), Unreadable> {
        let (asked, links) = (question.links.len(), self.links.len());
        if asked != links {
            return Err(bad(format!("{links} links, and {asked} are asked about")));
        }
        let (mut finding_records, mut caveat_records) = (Vec::new(), Vec::new());
        let (mut figures, mut verdicts) = (Vec::new(), Vec::new());
        for (place, (link, question)) in self.links.iter().zip(&question.links).enumerate() {
            let mut on_link = Vec::new();
            for site in &link.sites {
                let criteria = question.criteria(site.ends.ip);
                let evidence = evidence(site)?;
                let at = Place { link: place, site, criteria: &criteria, evidence: &evidence };
                let found = findings(&criteria, &evidence);
                let its_figures = at.figures();
                finding_records.extend(found.iter().map(|found| at.finding(found, &its_figures)));
                on_link.extend(found);
                let caveats = caveats(&criteria, &evidence);
                caveat_records.extend(caveats.iter().map(|caveat| at.caveat(caveat)));
                figures.extend(its_figures);
            }
            let is_complete = link.complete.unwrap_or(self.complete);
            verdicts.push(unless_partial(overall(&on_link), is_complete));
        }
        self.verdict = unless_partial(worst(&verdicts), self.complete);
        (self.findings, self.caveats) = (finding_records, caveat_records);
        let mut figures = figures.into_iter();
        for ((link, question), verdict) in self.links.iter_mut().zip(&question.links).zip(verdicts)
        {
            let trials = link.sites.iter_mut().flat_map(|site| &mut site.trials);
            trials.zip(&mut figures).for_each(|(trial, figures)| trial.figures = figures);
            take_question(link, question, verdict);
        }
        self.share_asked(question.links.iter().map(|link| asked_of(&link.requirements)).collect());
        Ok(())
    }

    /// Writes down what each link was asked, in their order.
    pub(super) fn share_asked(&mut self, asked: Vec<Asked>) {
        self.asked = common(&asked);
        for (link, own) in self.links.iter_mut().zip(asked) {
            link.asked = (own != self.asked).then_some(own);
        }
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
#[must_use]
pub fn program() -> String {
    concat!("linkqual ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// The worst verdict of several links; of none, `Inconclusive`.
pub(super) fn worst(verdicts: &[Verdict]) -> Verdict {
    verdicts.iter().copied().max().unwrap_or(Verdict::Inconclusive)
}

/// What was planned and not run may have failed.
pub(super) const fn unless_partial(verdict: Verdict, is_complete: bool) -> Verdict {
    match verdict {
        Verdict::Pass if !is_complete => Verdict::Inconclusive,
        verdict => verdict,
    }
}

/// The link that a record says rates were asked of.
fn asked_link(record: &LinkRecord) -> Result<Link, Unreadable> {
    let rate = |bits: Option<u64>| bits.and_then(BitRate::new);
    let committed = record.committed_bit_s;
    Ok(Link {
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
        watched_at: None,
        inventory: record.inventory.clone(),
        severity: Severity::default(),
        works: Vec::new(),
        given: GivenKeys::default(),
    })
}

/// What a record says was required, which stands there `at`.
fn requirements(at: &str, asked: &Asked) -> Result<Requirements, Unreadable> {
    let level = asked.confidence;
    let confidence = Confidence::new(level).and_then(|_| Ratio::from_fraction(level));
    let confidence = confidence
        .ok_or_else(|| bad(format!("{at}.confidence: {level} is not between 0.5 and 1")))?;
    let mut requirements = Requirements::default();
    (requirements.confidence, requirements.mss_clamped) = (confidence, asked.mss_clamped);
    for RequirementRecord { metric, direction, bound } in &asked.requirements {
        let scope = metric.scopes().find(|scope| Scope::from(*scope) == *direction);
        let scope = scope
            .ok_or_else(|| bad(format!("{at}.requirements: {metric} is not of '{direction}'")))?;
        let requirement = metric
            .require(bound)
            .map_err(|error| bad(format!("{at}.requirements: {metric}: {error}")))?;
        requirements.set(scope, requirement);
    }
    Ok(requirements)
}

/// `link` as `question` has it, but for what is known of it by name, and how far it was run.
fn take_question(link: &mut LinkRecord, question: &LinkQuestion, verdict: Verdict) {
    let asked = LinkRecord::of(&question.link);
    let known = std::mem::replace(link, asked);
    let LinkRecord { name, circuit, provider, inventory, complete, reason, sites, .. } = known;
    (link.name, link.circuit, link.provider) = (name, circuit, provider);
    (link.inventory, link.complete, link.reason) = (inventory, complete, reason);
    (link.sites, link.verdict) = (sites, Some(verdict));
}

/// What all of `asked` have, which are those of the only one where it is one.
fn common(asked: &[Asked]) -> Asked {
    let Some((first, others)) = asked.split_first() else {
        return Asked { confidence: 0.95, mss_clamped: false, requirements: Vec::new() };
    };
    let mut common = first.clone();
    common.requirements.retain(|one| others.iter().all(|it| it.requirements.contains(one)));
    common
}

fn asked_of(requirements: &Requirements) -> Asked {
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

    /// The record of `finding`; `figures` are those of the site's trials.
    fn finding(&self, finding: &Finding, figures: &[TrialFigures]) -> FindingRecord {
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
            remark: finding.trial.and_then(|trial| figures::remark(finding, figures.get(trial)?)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Layer;
    use crate::metric::Metric;
    use crate::plan::file::read_to_judge;
    use std::path::Path;

    const SOUND: &str = include_str!("../../tests/it/golden/v3/sound.json");

    /// A record of links of these names and circuits.
    fn record(links: &[(Option<&str>, &str)]) -> Report {
        let mut report = Report::parse(SOUND).expect("a record");
        let sound = report.links.remove(0);
        let link = |(name, circuit): &(Option<&str>, &str)| LinkRecord {
            name: name.map(str::to_owned),
            circuit: Some((*circuit).to_owned()),
            ..sound.clone()
        };
        report.links = links.iter().map(link).collect();
        report
    }

    fn by(plan: &str, report: &Report) -> (Question, Vec<String>) {
        let plans = read_to_judge(Path::new("plan.toml"), plan).conclude_all();
        let (plans, _) = plans.unwrap_or_else(|faults| panic!("{faults}"));
        Question::by(&plans, report).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The packet loss that is allowed on each link.
    fn allowed(plan: &str, links: &[(Option<&str>, &str)]) -> (Vec<String>, Vec<String>) {
        let (question, notes) = by(plan, &record(links));
        let of = |link: &LinkQuestion| {
            let mut found = link.requirements.iter();
            let found = found.find(|(_, required)| required.metric() == Metric::LOSS);
            found.expect("each has one").1.to_string()
        };
        (question.links.iter().map(of).collect(), notes)
    }

    /// A table of a link of the plan, on the circuit EC-1.
    fn table(name: &str, loss: &str) -> String {
        format!("[links.{name}]\ncircuit = 'EC-1'\nrequire = {{ loss = '<= {loss}' }}\n")
    }

    #[test]
    fn a_link_is_judged_by_its_namesake_where_two_have_one_circuit() {
        let tables = [table("prod", "1%"), table("spare", "3%")];
        let reversed = [&*tables[1], &*tables[0]].concat();
        let run = [(Some("spare"), "EC-1"), (Some("prod"), "EC-1")];
        for plan in [tables.concat(), reversed] {
            assert_eq!(allowed(&plan, &run), (vec!["<= 3%".into(), "<= 1%".into()], vec![]));
            assert_eq!(allowed(&plan, &run[..1]).0, ["<= 3%"]);
        }
    }

    #[test]
    fn circuits_say_which_link_it_is_where_names_do_not() {
        let own = record(&[(None, "EC-1")]);
        let own = own.question().expect("what it was judged by").links[0].requirements.clone();
        let own = own.iter().find(|(_, required)| required.metric() == Metric::LOSS);
        let own = own.expect("it has one").1.to_string();
        let one = table("new", "3%");
        assert_eq!(allowed(&one, &[(Some("old"), "EC-1")]), (vec!["<= 3%".into()], vec![]));
        // The plan's only link is another one's.
        let (loss, notes) = allowed(&one, &[(Some("old"), "EC-1"), (Some("new"), "EC-1")]);
        assert_eq!(loss, [&*own, "<= 3%"]);
        assert_eq!(notes, ["link old: not in the plan: judged as it was"]);
        // It may be either.
        let plan = one + &table("newer", "5%") + &table("b", "7%").replace("EC-1", "EC-2");
        let (loss, notes) = allowed(&plan, &[(Some("old"), "EC-1"), (Some("b"), "EC-2")]);
        assert_eq!(loss, [&*own, "<= 7%"]);
        let why = "several links of the plan have its circuit, none its name: judged as it was";
        assert_eq!(notes, [format!("link old: {why}")]);
    }

    /// 20 Mbit/s where 10 are committed.
    #[test]
    fn overshoot_is_not_judged_by_a_plan_that_has_no_rates() {
        let mut report = record(&[(Some("x"), "EC-1")]);
        let link = &mut report.links[0];
        (link.committed_bit_s.forward, link.committed_bit_s.reverse) =
            (Some(10_000_000), Some(10_000_000));
        (link.rate_layer, link.vlan_tags, link.extra_overhead_octets) = (Layer::L1, 1, 4);
        (link.port_rate_bit_s, link.committed_burst_octets.forward) = (Some(1 << 30), Some(9_000));
        let judged = |head: &str| {
            let plan = format!("{head}require = {{ loss = '<= 0.1%' }}\n");
            let mut report = report.clone();
            let (question, _) = by(&plan, &report);
            report.judge(&question).expect("evidence");
            report
        };
        for head in ["[links.x]\n", "link = { circuit = 'EC-1' }\n", ""] {
            let after = judged(head);
            assert_eq!(after.verdict, Verdict::Inconclusive, "{head}: {:#?}", after.findings);
            let facts = |report: &Report| {
                let link = report.links[0].clone();
                let bursts = link.committed_burst_octets.forward;
                let counts = (link.rate_layer, link.vlan_tags, link.extra_overhead_octets);
                (link.committed_bit_s, link.port_rate_bit_s, bursts, counts)
            };
            assert_eq!(facts(&after), facts(&report), "{head}");
        }
        // What the plan has is the plan's.
        assert_eq!(judged("[links.x]\nrate = '30 Mbit/s'\n").verdict, Verdict::Pass);
        let given = judged("[links.x]\nrate_layer = 'L3'\nvlan_tags = 0\ncbs_bytes = 65536\n");
        let link = &given.links[0];
        assert_eq!((link.rate_layer, link.vlan_tags), (Layer::L3, 0));
        assert_eq!(
            (link.extra_overhead_octets, link.committed_bit_s.forward),
            (4, Some(10_000_000))
        );
        assert_eq!(link.committed_burst_octets.forward, Some(65_536));
    }
}
