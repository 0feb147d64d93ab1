//! TCP throughput: what TCP's receiver got, second by second, after its warm-up.

use super::criteria::{Criteria, Measured, account_missing, float};

use crate::account::{Status, TcpReceiverCounts, TcpSenderCounts};
use crate::direction::Direction;
use crate::flow::TrialRun;
use crate::framing::{Framing, IpVersion, Layer};
use crate::plan::TcpLoad;
use crate::stats::confidence::quantile_ranks;
use crate::units::{BitRate, Span};

/// Whole seconds behind its warm-up that TCP must be seen for.
pub const TCP_SECONDS_MIN: u64 = 10;

/// What a TCP load must be paced above what is required, in percent, so that its pace is not what
/// holds it below.
pub const PACE_SPARE_PERCENT: u64 = 2;

/// TCP in one direction of a trial, after its warm-up.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpCarried {
    /// Octets of payload in each whole second, sorted.
    pub seconds: Vec<u64>,
    /// What was cut off before them.
    pub warm_up: Span,
    /// Payload of a full segment.
    pub segment: u32,
    /// Whether segments carried timestamps.
    pub timestamps: bool,
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
        let mut seconds = whole_seconds(came, warm_up, lasted);
        seconds.sort_unstable();
        let (segment, timestamps) = match sent.last.mss_octets {
            0 => (load.segment(ip), true),
            mss => (mss, sent.last.timestamps),
        };
        Some(Self { seconds, warm_up, segment, timestamps })
    }

    /// Octets of payload in a second as a rate at `layer`; `None` for none.
    #[must_use]
    pub fn rate(&self, octets: u64, framing: Framing, layer: Layer) -> Option<BitRate> {
        let goodput = crate::units::ByteCount::new(octets).per(Span::from_secs(1))?;
        framing.tcp_rate_at(goodput, layer, self.segment, self.timestamps)
    }

    /// The second of the quantile `q`: the nearest rank.
    #[must_use]
    pub fn quantile(&self, percent: usize) -> Option<u64> {
        let rank = (self.seconds.len() * percent).div_ceil(100).max(1);
        self.seconds.get(rank - 1).copied()
    }

    /// Octets of a second on average.
    #[must_use]
    pub fn mean(&self) -> Option<u64> {
        self.seconds.iter().sum::<u64>().checked_div(self.seconds.len() as u64)
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

/// `None` where the load is paced at hardly more than `required`, and so says nothing about it.
pub(super) fn tcp_throughput(
    criteria: &Criteria,
    run: &TrialRun,
    load: &TcpLoad,
    direction: Direction,
    required: BitRate,
) -> Option<Measured> {
    let paced = load.rate_at(direction, criteria.framing, criteria.layer)?.bits_per_second();
    let needed = required.bits_per_second().saturating_mul(100 + PACE_SPARE_PERCENT) / 100;
    if paced < needed {
        return None;
    }
    let one_way = run.outcome.one_way(direction);
    if let Some(why) = one_way.tcp_sender.as_ref().and_then(|sent| sent.refused.as_ref()) {
        return Some(Measured::Missing(format!("the sending host could not send: {why}")));
    }
    let Some(carried) = TcpCarried::of(run, direction, criteria.framing.ip) else {
        return Some(account_missing(run, one_way));
    };
    let samples = carried.seconds.len() as u64;
    if samples < TCP_SECONDS_MIN {
        return Some(Measured::Missing(format!(
            "{samples} whole seconds behind its warm-up of {} s: {TCP_SECONDS_MIN} are needed, so \
             load for longer",
            carried.warm_up.secs_up()
        )));
    }
    let rate = |octets: u64| {
        let rate = carried.rate(octets, criteria.framing, criteria.layer);
        rate.map_or(0.0, |rate| float(rate.bits_per_second()))
    };
    let ranks = quantile_ranks(samples, 0.5, criteria.confidence());
    let at = |rank: Option<u64>| {
        let place = usize::try_from(rank?.checked_sub(1)?).ok()?;
        carried.seconds.get(place).map(|octets| rate(*octets))
    };
    let low = at(ranks.low);
    Some(Measured::Sampled {
        value: carried.quantile(50).map(rate),
        low,
        high: at(ranks.high),
        low_at_best: low,
        unbounded: false,
        samples,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{OneWayCounts, Outcome, Series};
    use crate::direction::PerDirection;
    use crate::metric::of_direction;
    use crate::metric::tests::criteria;
    use crate::plan::{CongestionControl, LoadKind, Requirement, Trial};

    /// TCP of 20 s at 10 Mbit/s of payload, of which `seconds` came, changed by `change`.
    fn tcp(seconds: usize, change: impl FnOnce(&mut TrialRun)) -> TrialRun {
        let rate = Some("100 Mbit/s".parse().expect("a rate"));
        let rates = PerDirection { forward: rate, reverse: None };
        let load = TcpLoad::new(rates, 1, 1_500, CongestionControl::CUBIC, LoadKind::Capacity);
        let trial = Trial::with_tcp(load.expect("a load"), Span::from_secs(20)).expect("a trial");
        let outcome = Outcome { status: Status::Ok, ..Outcome::default() };
        let mut run = TrialRun { trial, outcome };
        let per_second = Series::from_seconds(vec![1_250_000; seconds]);
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
        let required = Requirement::TcpThroughput(required.parse().expect("a rate"));
        of_direction(&criteria(), required, run, Direction::Forward)
    }

    /// 10 Mbit/s of payload are 10.48 of frames (1518 octets for 1448).
    #[test]
    fn tcp_is_judged_by_its_whole_seconds() {
        let Some(Measured::Sampled { value, low, samples, .. }) =
            tcp_measured("10 Mbit/s", &tcp(20, |_| {}))
        else {
            panic!("not sampled")
        };
        assert_eq!((value, low, samples), (Some(10_483_425.0), Some(10_483_425.0), 17));
        // A line that died half-way: the seconds in which nothing came count.
        let dead = tcp_measured("10 Mbit/s", &tcp(6, |_| {}));
        let Some(Measured::Sampled { value: Some(0.0), samples: 17, .. }) = dead else {
            panic!("{dead:?}")
        };
        // Paced at 100 Mbit/s of payload, which are 104.8 of frames: less than 2 % above this.
        assert_eq!(tcp_measured("104 Mbit/s", &tcp(20, |_| {})), None);
    }

    #[test]
    fn tcp_that_was_cut_short_is_judged_by_what_was_run() {
        let cut = |seconds| tcp(seconds, |run| run.outcome.status = Status::Partial);
        let few = tcp_measured("10 Mbit/s", &cut(6));
        assert!(matches!(few, Some(Measured::Missing(_))), "{few:?}");
        let Some(Measured::Sampled { value, samples: 13, .. }) =
            tcp_measured("10 Mbit/s", &cut(16))
        else {
            panic!("13 s were run")
        };
        assert_eq!(value, Some(10_483_425.0));
    }
}
