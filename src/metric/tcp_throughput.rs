//! TCP throughput: the worst run of 10 whole seconds that TCP's receiver got, after its warm-up.
//!
//! A *block* is any run of 10 consecutive whole seconds: an application whose transfer starts there
//! gets no more. A link passes where each block and the lower bound of the whole mean reach the
//! requirement; it fails where a block stays below nine tenths of it (a tenth is TCP's own swing),
//! or the upper bound of the mean below it.

use super::about::{About, Basis, Kind, Metric, Reach, Sample, Traffic, Unit};
use super::criteria::{Criteria, Measured, account_missing};
use super::definition::{Chance, Criterion, Definition, Need, Prospect};
use super::path_mtu::{black_hole, ordered};
use crate::account::{Status, TcpReceiverCounts, TcpSenderCounts};
use crate::direction::Direction;
use crate::flow::{Evidence, TrialRun};
use crate::framing::{Framing, IpVersion, Layer};
use crate::stats::means::{self, MeanBounds, whole};
use crate::stats::real;
use crate::trial::{TCP_PACE_SPARE_PERCENT, TcpLoad, Trial, tcp_paced_at_least};
use crate::units::{BitRate, ByteCount, Span};

static ABOUT: About = About {
    name: "tcp_throughput",
    title: "TCP throughput",
    unit: Unit::BitPerSecond,
    kind: Kind::LeastRate,
    reach: Reach::EachDirection,
    what: "The worst 10 s of TCP goodput at the receiver after the warm-up",
    asks: "TCP throughput at the receiver, counted at the same layer as all rates",
    example: ">= 450 Mbit/s",
    sample: Sample::Required,
    source: "RFC 6349; RFC 9097, 1 s intervals",
    answered_by: Traffic::Tcp,
    made_of: &[Basis::TcpStream],
};

pub(super) const METRIC: Metric = Metric::of(&ABOUT);

pub(super) static LAW: &dyn Definition = &CarryingTcp;

struct CarryingTcp;

impl Definition for CarryingTcp {
    /// TCP that is paced at hardly more than the rate asked says nothing about it.
    fn speaks(&self, criterion: &Criterion<'_>, trial: &Trial) -> bool {
        trial.tcp().and_then(|load| can_prove(criterion, load)) == Some(true)
    }

    fn estimate(&self, criterion: &Criterion<'_>, run: &TrialRun) -> Option<Measured> {
        let (direction, required) = (criterion.direction?, criterion.limit().rate()?);
        Some(tcp_throughput(criterion.criteria, run, direction, required))
    }

    fn beside(
        &self,
        criterion: &Criterion<'_>,
        evidence: &Evidence,
        measured: Measured,
    ) -> Measured {
        beside_black_hole(criterion.criteria, evidence, measured)
    }

    fn payload_rate(&self, criterion: &Criterion<'_>, trial: &Trial) -> Option<BitRate> {
        let Criteria { framing, layer, .. } = criterion.criteria;
        let segment = trial.tcp()?.segment(framing.ip);
        framing.tcp_goodput(criterion.limit().rate()?, *layer, segment, true)
    }

    fn takes(&self, _criterion: &Criterion<'_>, _trial: &Trial) -> Option<Need> {
        let because = format!("{METRIC} needs {TCP_SECONDS_MIN} s after its warm-up");
        Some(Need { takes: TRIAL_MIN, because })
    }

    /// TCP cannot reach it by its own pace, because the agent allows no more: none of the trials
    /// that load its direction is paced fast enough.
    fn refusal(
        &self,
        criterion: &Criterion<'_>,
        trials: &[Trial],
        rate_max: BitRate,
    ) -> Option<String> {
        let (direction, required) = (criterion.direction?, criterion.limit().rate()?);
        let Criteria { framing, layer, .. } = *criterion.criteria;
        if trials.iter().any(|trial| self.speaks(criterion, trial)) {
            return None;
        }
        let paced = |load: &TcpLoad| load.rate_at(direction, framing, layer);
        let loads = trials.iter().filter_map(Trial::tcp);
        let (paced, load) =
            loads.filter_map(|load| Some((paced(load)?, load))).max_by_key(|(rate, _)| *rate)?;
        let (needed, segment) = (tcp_paced_at_least(required), load.segment(framing.ip));
        let goodput = framing.tcp_goodput(needed, layer, segment, true)?;
        let limit = Framing::plain(framing.ip).tcp_rate_at(goodput, Layer::L2, segment, true)?;
        let limit = limit.rounded_up();
        let remedy = match limit <= rate_max {
            true => format!("try again later: other runs hold part of the agent's {rate_max}"),
            false => format!(
                "have the agent's operator raise the limit to {limit} or more: --max-rate of the \
                 agent, or that of this driver's key"
            ),
        };
        Some(format!(
            "{METRIC} {direction} of {required}: TCP is paced at no less than \
             {TCP_PACE_SPARE_PERCENT} % above that, {}, and the agent allows it {}. \
             Require less, or {remedy}",
            needed.rounded_up(),
            paced.rounded_down()
        ))
    }

    fn prospect(&self, _criterion: &Criterion<'_>, trials: &[&Trial]) -> Prospect {
        let shortest = trials.iter().map(|trial| trial.duration()).min().unwrap_or_default();
        let chance = match shortest < TRIAL_MIN {
            true => Chance::Unprovable(format!("the shortest tcp test takes {shortest}")),
            false => Chance::Provable,
        };
        let needs = format!("{TCP_SECONDS_MIN} whole seconds of TCP after its warm-up");
        Prospect { needs, chance }
    }

    fn unjudged(&self, criterion: &Criterion<'_>, _trials: &[&Trial]) -> String {
        let needed = criterion.limit().rate().map(tcp_paced_at_least).unwrap_or(BitRate::MAX);
        format!(
            "no tcp test loads{} at {needed} or more ({TCP_PACE_SPARE_PERCENT} % above, so that \
             its own pace is not what holds it below)",
            criterion.named()
        )
    }

    fn unmeasured(&self) -> &'static str {
        "no TCP load at this rate or above was sent in this direction"
    }
}

/// Whether the pace of `load` leaves room to prove what is asked; `None` where it does not go in
/// that direction.
fn can_prove(criterion: &Criterion<'_>, load: &TcpLoad) -> Option<bool> {
    let Criteria { framing, layer, .. } = criterion.criteria;
    load.can_prove(criterion.limit().rate()?, criterion.direction?, *framing, *layer)
}

/// TCP was clamped to what crosses, as applications are not: where a black hole is smaller than the
/// MTU that was ordered, or else the device's, what TCP carried proves nothing for them, unless the
/// plan says that their segments are clamped too.
fn beside_black_hole(criteria: &Criteria, evidence: &Evidence, measured: Measured) -> Measured {
    let hole = evidence
        .path_mtu
        .filter(|path| path.octets < ordered(&criteria.requirements).unwrap_or(path.tried_octets));
    let text = hole.and_then(|path| black_hole(path, criteria.framing.ip));
    match (measured, text.filter(|_| !criteria.requirements.mss_clamped)) {
        (Measured::Counted { value, meets: Some(true), counts, .. }, Some(text)) => {
            let counts =
                format!("{counts}; but {text}. If it is, say mss_clamped = true in the plan");
            Measured::Counted { value, meets: None, meets_at_best: None, proven: None, counts }
        }
        (measured, _) => measured,
    }
}

/// Whole seconds of a block, behind the warm-up: TCP is not judged by fewer.
const TCP_SECONDS_MIN: u64 = 10;

/// What a trial takes beside the seconds that are judged: its warm-up of 2 s, or of 20 round trips
/// of up to 150 ms, and the second that its end cuts off.
const EDGES: Span = Span::from_secs(4);

/// The shortest trial that is sure to be judged.
pub const TRIAL_MIN: Span = Span::from_secs(TCP_SECONDS_MIN).plus(EDGES);

const BLOCK: usize = 10;

/// How far a block may stay below what is required without failing it, in percent: TCP's own swing.
const SWING_PERCENT: u64 = 10;

/// The share of the mean that TCP falls by from first to last from which on it declines: 5 %.
const DECLINE_MIN: f64 = 0.05;

/// TCP in one direction of a trial, after its warm-up.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpCarried {
    /// Octets of payload in each whole second, in their order.
    pub seconds: Vec<u64>,
    /// What was cut off before them.
    pub warm_up: Span,
    /// Payload of a full segment.
    pub segment: u32,
    /// Whether segments carried timestamps.
    pub timestamps: bool,
}

/// The worst block of a trial.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block {
    /// The second of the trial that it begins with, counted from TCP's first arrival.
    pub second: u64,
    /// Octets of payload in a second of it, on average.
    pub octets: u64,
}

/// A lasting change of what TCP carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TcpChange {
    /// The first second at the other level, counted from TCP's first arrival.
    pub second: u64,
    /// Octets of payload in a second before it, on average.
    pub before_octets: u64,
    /// Octets of payload in a second from it on, on average.
    pub after_octets: u64,
}

impl TcpCarried {
    /// What came of `run` in `direction`; `None` where an account is missing, or TCP was not.
    #[must_use]
    pub fn of(run: &TrialRun, direction: Direction, ip: IpVersion) -> Option<Self> {
        let (load, one_way) = (run.trial.tcp()?, run.outcome.one_way(direction));
        let (sent, came) = (one_way.tcp_sender.as_ref()?, one_way.tcp_receiver.as_ref()?);
        let warm_up = warm_up(sent);
        let seen = Span::from_secs(came.per_second.seconds().len() as u64);
        // Of a trial that was cut short, what was never run is no second in which nothing came.
        let lasted = match run.outcome.status {
            Status::Ok => run.trial.duration(),
            _ => seen.min(run.trial.duration()),
        };
        let seconds = whole_seconds(came, warm_up, lasted);
        let (segment, timestamps) = match sent.last.mss_octets {
            0 => (load.segment(ip), true),
            mss => (mss, sent.last.timestamps),
        };
        Some(Self { seconds, warm_up, segment, timestamps })
    }

    /// Octets of payload in a second as a rate at `layer`; `None` for none.
    #[must_use]
    pub fn rate(&self, octets: u64, framing: Framing, layer: Layer) -> Option<BitRate> {
        let goodput = ByteCount::new(octets).per(Span::from_secs(1))?;
        framing.tcp_rate_at(goodput, layer, self.segment, self.timestamps)
    }

    /// The second of the quantile at `percent`: the nearest rank.
    #[must_use]
    pub fn quantile(&self, percent: usize) -> Option<u64> {
        let mut seconds = self.seconds.clone();
        seconds.sort_unstable();
        let rank = (seconds.len() * percent).div_ceil(100).max(1);
        seconds.get(rank - 1).copied()
    }

    /// Octets of a second on average.
    #[must_use]
    pub fn mean(&self) -> Option<u64> {
        self.seconds.iter().sum::<u64>().checked_div(self.seconds.len() as u64)
    }

    /// The worst run of 10 whole seconds; `None` of fewer.
    #[must_use]
    pub fn worst_block(&self) -> Option<Block> {
        let first = self.warm_up.secs_up();
        let blocks = (first..).zip(means::runs(&self.seconds, BLOCK));
        let blocks = blocks.map(|(second, octets)| Block { second, octets });
        blocks.min_by_key(|block| block.octets)
    }

    /// The lasting change of its level that stands out most; `None` where there is none.
    #[must_use]
    pub fn level_change(&self) -> Option<TcpChange> {
        let change = means::level_change(&self.values())?;
        Some(TcpChange {
            second: self.warm_up.secs_up() + change.place as u64,
            before_octets: whole(change.before),
            after_octets: whole(change.after),
        })
    }

    fn values(&self) -> Vec<f64> {
        self.seconds.iter().map(|octets| real(*octets)).collect()
    }
}

/// How long TCP is given to warm up, in round trips, and at least.
const WARM_UP_ROUND_TRIPS: u64 = 20;
const WARM_UP_MIN: Span = Span::from_secs(2);

/// How long the TCP that sent this is given to warm up: 20 round trips, 2 s at least.
fn warm_up(sent: &TcpSenderCounts) -> Span {
    let round_trips = sent.last.min_rtt_us.unwrap_or(0).saturating_mul(WARM_UP_ROUND_TRIPS);
    WARM_UP_MIN.max(Span::from_nanos(round_trips.saturating_mul(1_000)))
}

/// Octets of each whole second of a trial of `duration` behind its warm-up: a second in which
/// nothing arrived counts, the one that the end cuts off does not.
fn whole_seconds(received: &TcpReceiverCounts, warm_up: Span, duration: Span) -> Vec<u64> {
    let whole = duration.nanos() / Span::from_secs(1).nanos();
    let count = |second: u64| {
        let second = usize::try_from(second).unwrap_or(usize::MAX);
        received.per_second.seconds().get(second).copied().unwrap_or(0)
    };
    // The last whole second may end behind the sender's last octet, where the first was late.
    (warm_up.secs_up()..whole.saturating_sub(1)).map(count).collect()
}

fn tcp_throughput(
    criteria: &Criteria,
    run: &TrialRun,
    direction: Direction,
    required: BitRate,
) -> Measured {
    let one_way = run.outcome.one_way(direction);
    if let Some(why) = one_way.tcp_sender.as_ref().and_then(|sent| sent.refused.as_ref()) {
        return Measured::Missing(format!("the sending host could not send: {why}"));
    }
    let Some(carried) = TcpCarried::of(run, direction, criteria.framing.ip) else {
        return account_missing(run, one_way);
    };
    let mean = means::mean_bounds(&carried.values(), criteria.confidence());
    let (Some(worst), Some(mean)) = (carried.worst_block(), mean) else {
        return Measured::Missing(format!(
            "only {} whole seconds after a warm-up of {} s, and {TCP_SECONDS_MIN} are needed. Test \
             longer",
            carried.seconds.len(),
            carried.warm_up.secs_up()
        ));
    };
    let rates = Rates { criteria, carried: &carried };
    let meets = rates.meet(required, worst, &mean);
    let mut counts = rates.counts(worst, &mean);
    if meets.is_none() {
        counts += match DECLINE_MIN <= means::decline(&carried.values()) {
            true => "; the rate declines. Test longer",
            false => ". Test longer, or with more streams",
        };
    }
    let value = rates.of(worst.octets);
    Measured::Counted { value, meets, meets_at_best: meets, proven: None, counts }
}

/// A rate in bit/s, at two digits behind the point.
fn shown(bit_s: f64) -> String {
    let units = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")];
    let fits = units.into_iter().find(|(scale, _)| *scale <= bit_s);
    let (scale, unit) = fits.unwrap_or((1.0, "bit/s"));
    format!("{:.2} {unit}", bit_s / scale)
}

/// What TCP carried, at the layer that is judged.
struct Rates<'a> {
    criteria: &'a Criteria,
    carried: &'a TcpCarried,
}

impl Rates<'_> {
    /// In bit/s.
    fn of(&self, octets: u64) -> f64 {
        let rate = self.carried.rate(octets, self.criteria.framing, self.criteria.layer);
        rate.map_or(0.0, |rate| real(rate.bits_per_second()))
    }

    /// A real number of octets per second, in bit/s: the layer adds the same share to each octet.
    fn of_real(&self, octets: f64) -> f64 {
        const SCALE: u64 = 1_000_000;
        octets / real(SCALE) * self.of(SCALE)
    }

    /// `None` where the evidence proves neither.
    fn meet(&self, required: BitRate, worst: Block, mean: &MeanBounds) -> Option<bool> {
        let (required, worst) = (real(required.bits_per_second()), self.of(worst.octets));
        let fails_at = required * real(100 - SWING_PERCENT) / 100.0;
        if worst < fails_at || self.of_real(mean.high) < required {
            return Some(false);
        }
        (required <= worst && required <= self.of_real(mean.low)).then_some(true)
    }

    /// All that stands beside the worst block.
    fn counts(&self, worst: Block, mean: &MeanBounds) -> String {
        let real = |octets: f64| shown(self.of_real(octets));
        let at = |percent| shown(self.of(self.carried.quantile(percent).unwrap_or(0)));
        let mut text = format!(
            "slowest 10 s from second {}; mean {} ({} to {}), median second {}, single seconds {} \
             to {}",
            worst.second,
            real(mean.mean),
            real(mean.low),
            real(mean.high),
            at(50),
            at(0),
            at(100)
        );
        if let Some(change) = self.carried.level_change() {
            let verb = if change.after_octets < change.before_octets { "fell" } else { "rose" };
            let [before, after] =
                [change.before_octets, change.after_octets].map(|octets| shown(self.of(octets)));
            text += &format!("; it {verb} from {before} to {after} at second {}", change.second);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{OneWayCounts, Outcome, Series};
    use crate::direction::PerDirection;
    use crate::metric::path_mtu;
    use crate::metric::tests::{criteria, measured};
    use crate::trial::{CongestionControl, LoadKind, Trial};

    /// TCP of 30 s at a pace of 100 Mbit/s of payload, of which `seconds` came, the first two the
    /// warm-up; changed by `change`.
    fn tcp(seconds: Vec<u64>, change: impl FnOnce(&mut TrialRun)) -> TrialRun {
        let rate = Some("100 Mbit/s".parse().expect("a rate"));
        let rates = PerDirection { forward: rate, reverse: None };
        let load = TcpLoad::new(rates, 1, 1_500, CongestionControl::CUBIC, LoadKind::Capacity);
        let trial = Trial::with_tcp(load.expect("a load"), Span::from_secs(30)).expect("a trial");
        let outcome = Outcome { status: Status::Ok, ..Outcome::default() };
        let mut run = TrialRun { trial, outcome };
        let per_second = Series::from_seconds(seconds);
        let came =
            TcpReceiverCounts { per_second, began_ns: Some(1), ..TcpReceiverCounts::default() };
        run.outcome.forward = OneWayCounts {
            tcp_sender: Some(TcpSenderCounts::default()),
            tcp_receiver: Some(came),
            ..OneWayCounts::default()
        };
        change(&mut run);
        run
    }

    fn tcp_measured(required: &str, run: &TrialRun) -> Option<Measured> {
        measured(METRIC.bounded_by(required).expect("a rate"), run)
    }

    /// Payload of a second at `mbit_s` in frames: 1448 octets of 1518.
    fn octets(mbit_s: f64) -> u64 {
        (1..).map(|step| step * 100).find(|octets| mbit_s <= frames(*octets)).expect("one is")
    }

    fn frames(octets: u64) -> f64 {
        real(octets) * 8.0 / 1e6 * 1_518.0 / 1_448.0
    }

    #[track_caller]
    fn check(seconds: &[u64], required: &str, expected: Option<bool>, words: &[&str]) {
        let measured = tcp_measured(required, &tcp(seconds.to_vec(), |_| {}));
        let Some(Measured::Counted { meets, counts, .. }) = measured else {
            panic!("not counted: {measured:?}")
        };
        assert_eq!(meets, expected, "{counts}");
        assert!(words.iter().all(|word| counts.contains(word)), "{counts}");
    }

    /// 10 Mbit/s of payload are 10.48 of frames (1518 octets for 1448).
    #[test]
    fn the_worst_ten_seconds_are_the_value() {
        let Some(Measured::Counted { value, meets, .. }) =
            tcp_measured("10 Mbit/s", &tcp(vec![1_250_000; 30], |_| {}))
        else {
            panic!("not counted")
        };
        assert_eq!((value, meets), (10_483_425.0, Some(true)));
        let words = ["slowest 10 s from second 19", "median second 10.48 Mbit/s"];
        check(&[vec![1_250_000; 25], vec![1_200_000; 5]].concat(), "9 Mbit/s", Some(true), &words);
    }

    /// The field case: 40 Mbit/s, and 8 Mbit/s for the last 8 s of 30.
    #[test]
    fn a_link_that_collapses_fails_with_the_second_at_which_it_fell() {
        let mut seconds = vec![octets(40.0); 22];
        seconds.resize(30, octets(8.0));
        let words = ["it fell from 40.00 Mbit/s to 8.00 Mbit/s at second 22"];
        check(&seconds, "30 Mbit/s", Some(false), &words);
    }

    #[test]
    fn between_nine_tenths_and_the_requirement_nothing_is_proved() {
        let dip = |mbit_s| {
            let mut seconds = vec![octets(12.0); 30];
            seconds[10..20].fill(octets(mbit_s));
            seconds
        };
        check(&dip(10.01), "10 Mbit/s", Some(true), &[]);
        check(&dip(9.99), "10 Mbit/s", None, &[". Test longer, or with more streams"]);
        check(&dip(9.01), "10 Mbit/s", None, &[]);
        check(&dip(8.98), "10 Mbit/s", Some(false), &[]);
    }

    #[test]
    fn a_mean_below_the_requirement_fails_and_one_that_may_be_below_does_not_pass() {
        check(&vec![octets(9.9); 30], "10 Mbit/s", Some(false), &[]);
        let swing: Vec<u64> =
            (0..30).map(|second| octets(if second % 2 == 0 { 5.0 } else { 15.2 })).collect();
        check(&swing, "10 Mbit/s", None, &[]);
    }

    #[test]
    fn a_decline_is_named() {
        let falls: Vec<u64> =
            (0..30_u32).map(|second| octets(11.5 - 0.06 * f64::from(second))).collect();
        check(&falls, "10.1 Mbit/s", None, &["the rate declines. Test longer"]);
    }

    #[test]
    fn seconds_in_which_nothing_came_count() {
        let died = [vec![1_250_000; 12], vec![0; 18]].concat();
        check(&died, "10 Mbit/s", Some(false), &["to 0.00 bit/s at second 12"]);
    }

    /// Paced at 100 Mbit/s of payload, which are 104.83 of frames.
    #[test]
    fn tcp_that_is_paced_below_eleven_tenths_says_nothing() {
        let run = tcp(vec![1_250_000; 30], |_| {});
        assert!(tcp_measured("95.3 Mbit/s", &run).is_some());
        assert_eq!(tcp_measured("95.4 Mbit/s", &run), None);
    }

    #[test]
    fn tcp_that_was_cut_short_is_judged_by_what_was_run() {
        let cut =
            |seconds| tcp(vec![1_250_000; seconds], |run| run.outcome.status = Status::Partial);
        let few = tcp_measured("10 Mbit/s", &cut(12));
        assert!(matches!(few, Some(Measured::Missing(_))), "{few:?}");
        let enough = tcp_measured("10 Mbit/s", &cut(13));
        assert!(matches!(enough, Some(Measured::Counted { meets: Some(true), .. })), "{enough:?}");
    }

    /// The field case: an inner hop of 1400 octets whose ICMP is dropped.
    #[test]
    fn a_black_hole_below_the_mtu_ordered_proves_nothing_for_applications() {
        use crate::account::PathMtu;
        use crate::flow::Evidence;
        let judged = |kernel: Option<u32>, change: &dyn Fn(&mut Criteria)| {
            let path = PathMtu { octets: 1_400, tried_octets: 1_500, kernel_octets: kernel };
            let trials = vec![tcp(vec![1_250_000; 30], |_| {})];
            let evidence = Evidence { path_mtu: Some(path), trials, ..Evidence::default() };
            let mut criteria = criteria();
            let requirement = METRIC.require(">= 10 Mbit/s").expect("a bound");
            change(&mut criteria);
            let direction = Some(Direction::Forward);
            let criterion = Criterion { criteria: &criteria, direction, requirement };
            let one = criterion.measure(&evidence).into_iter().next().expect("one");
            let Measured::Counted { meets, counts, .. } = one.measured else {
                panic!("not counted: {one:?}")
            };
            (meets, counts)
        };
        let (meets, why) = judged(Some(1_500), &|_| {});
        assert_eq!(meets, None);
        let words = "packets above 1400 octets are dropped without ICMP (black hole): \
                     application TCP will stall on this path unless its MSS is clamped to 1360";
        assert!(why.contains(words), "{why}");
        assert_eq!(judged(Some(1_400), &|_| {}).0, Some(true), "ICMP came");
        assert_eq!(judged(None, &|_| {}).0, Some(true), "nobody knows");
        let clamped = judged(Some(1_500), &|criteria| criteria.requirements.mss_clamped = true);
        assert_eq!(clamped.0, Some(true));
        let ordered = judged(Some(1_500), &|criteria| {
            let ordered = path_mtu::METRIC.require(">= 1400").expect("a bound");
            criteria.requirements.set(None, ordered);
        });
        assert_eq!(ordered.0, Some(true), "no more was ordered");
    }
}
