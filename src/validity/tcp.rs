//! What held TCP back that is not the link: windows, queues of the hosts, a sender without anything
//! to send.
//!
//! TCP that waits for a buffer names the buffer, not the reason: a queue that stands at the
//! bottleneck makes the round trip so long that no buffer is large enough. A window is this
//! tester's limit only where it would not even fill the idle link.

use super::caveat::{Bias, Concern, hosts};
use crate::account::{Status, TcpBuffer, TcpChecked, TcpSenderCounts};
use crate::direction::Direction;
use crate::flow::TrialRun;
use crate::metric::{Basis, Criteria, TcpCarried};
use crate::stats::delays::Delay;
use crate::trial::TcpLoad;
use crate::units::{BitRate, Span};

/// The share of its time above which a TCP sender was held back by the two ends, not by the
/// network: 10 %.
const HELD_BACK_PERCENT: u64 = 10;

/// The share of its pace from which on a TCP sender was held back by that: 98 %.
const PACED_PERCENT: u64 = 98;

/// Segments that a host drops at once where it counts one packet: what GSO and GRO put in one.
const SEGMENTS_MAX: u64 = 64;

/// What held TCP back that is not the line: windows, buffers, a sender without anything to send.
pub(super) fn of_tcp(criteria: &Criteria, run: &TrialRun, direction: Direction) -> Vec<Concern> {
    let (Some(load), Some(sent)) = (run.trial.tcp(), &run.outcome.one_way(direction).tcp_sender)
    else {
        return Vec::new();
    };
    let is_capacity = criteria.payload_rate(&run.trial, direction).is_none();
    let paced = of_pace(run, direction, load, sent).filter(|_| is_capacity);
    let held_back = of_windows(criteria, run, (load, sent), direction)
        .into_iter()
        .chain(of_queues(criteria, run, sent, direction))
        .chain(paced)
        .chain(of_pauses(criteria, run, direction, (load, sent)));
    let concern = |text| -> Concern { (&[Basis::TcpStream], Bias::CanOnlyWorsen, text) };
    held_back.map(concern).chain(of_damage(run, direction)).collect()
}

/// `part` of `whole`; 0 of nothing.
fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

/// The share of its time, in percent, from which on TCP was held back: less than
/// [`HELD_BACK_PERCENT`] where its worst 10 s fell short of what is required by less, and 1 at
/// least.
fn share_that_explains(criteria: &Criteria, run: &TrialRun, direction: Direction) -> u64 {
    percent_short(criteria, run, direction).min(HELD_BACK_PERCENT)
}

/// By how much its worst 10 s fell short of what is required, in percent and 1 at least;
/// [`HELD_BACK_PERCENT`] where that is not known.
fn percent_short(criteria: &Criteria, run: &TrialRun, direction: Direction) -> u64 {
    let required = criteria.payload_rate(&run.trial, direction);
    let worst = TcpCarried::of(run, direction, criteria.framing.ip)
        .and_then(|carried| carried.worst_block())
        .map(|block| block.octets.saturating_mul(8));
    let Some((required, carried)) = required.zip(worst) else { return HELD_BACK_PERCENT };
    let required = required.bits_per_second();
    percent(required.saturating_sub(carried), required).max(1)
}

/// TCP that waited for the receive window, or for its own send buffer, where that is too small.
fn of_windows(
    criteria: &Criteria,
    run: &TrialRun,
    (load, sent): (&TcpLoad, &TcpSenderCounts),
    direction: Direction,
) -> Vec<String> {
    let mut texts = Vec::new();
    let least = share_that_explains(criteria, run, direction);
    let (sender, receiver) = hosts(direction);
    let busy_us = sent.last.busy_us.unwrap_or(0);
    let came = run.outcome.one_way(direction).tcp_receiver.as_ref();
    let received = came.and_then(|came| came.buffer.as_ref());
    let waits = [
        (sent.last.receiver_limited_us, received, "receive window", receiver, "net.ipv4.tcp_rmem"),
        (
            sent.last.buffer_limited_us,
            sent.buffer.as_ref(),
            "send buffer",
            sender,
            "net.ipv4.tcp_wmem",
        ),
    ];
    for (limited_us, buffer, what, host, setting) in waits {
        let share = percent(limited_us.unwrap_or(0), busy_us);
        if share < least {
            continue;
        }
        let window = shortfall(criteria, run, (load, sent), buffer, direction);
        let Some(window) = window else { continue };
        let why = buffer.and_then(|buffer| buffer.reason.clone()).map_or_else(
            || format!("Raise {setting} there, or use more streams"),
            |reason| format!("On {host}: {reason}; or use more streams"),
        );
        texts.push(format!(
            "for {share} % of the time the {what} of {host} held TCP back, as {window}. {why}"
        ));
    }
    texts
}

/// How a window falls short of what the idle link needs at the required rate; `None` where it is
/// large enough, so that what held TCP back is the link: a queue at its bottleneck has made the
/// round trip longer than the window spans.
fn shortfall(
    criteria: &Criteria,
    run: &TrialRun,
    (load, sent): (&TcpLoad, &TcpSenderCounts),
    buffer: Option<&TcpBuffer>,
    direction: Direction,
) -> Option<String> {
    let rate = criteria.payload_rate(&run.trial, direction).or(load.rate(direction))?;
    let least = sent.last.min_rtt_us.map(|us| Span::from_nanos(us.saturating_mul(1_000)));
    let Some(idle) = load.round_trip().or(least) else {
        return Some("the idle round trip is not known".to_owned());
    };
    let needed = rate.octets_in(idle).octets();
    // The kernel counts twice the payload.
    let limit = buffer.and_then(|buffer| buffer.granted_octets.or(buffer.tuned_max_octets));
    let known = limit.map(|octets| (octets / 2).saturating_mul(load.streams().into()));
    let octets = known.or_else(|| under_way(criteria, run, sent, direction)).unwrap_or(0);
    let text = || format!("it has {octets} octets, and {rate} at an RTT of {idle} needs {needed}");
    (octets < needed).then(text)
}

/// What TCP had under way: what it carried in one of its round trips under load (Little's law).
fn under_way(
    criteria: &Criteria,
    run: &TrialRun,
    sent: &TcpSenderCounts,
    direction: Direction,
) -> Option<u64> {
    let carried = TcpCarried::of(run, direction, criteria.framing.ip)?.mean()?;
    let Delay::Finite(loaded_ns) = sent.round_trips.quantile(0.5)? else { return None };
    let rate = BitRate::new(carried.saturating_mul(8))?;
    Some(rate.octets_in(Span::from_nanos(loaded_ns)).octets())
}

/// Packets that the hosts dropped themselves, where they are so large a share of what TCP sent
/// again that it may have missed the requirement for them: without a share of its losses TCP is
/// faster by that share at most, as its rate is as the inverse root of its loss, or above.
fn of_queues(
    criteria: &Criteria,
    run: &TrialRun,
    sent: &TcpSenderCounts,
    direction: Direction,
) -> Option<String> {
    let (sender, receiver) = hosts(direction);
    let (sending, receiving) = run.outcome.hosts(direction);
    let queue_drops = sending.map(|host| host.queue_drops);
    let kernel_drops = receiving.map(|host| host.kernel_drops);
    let own = queue_drops.unwrap_or(0).saturating_add(kernel_drops.unwrap_or(0));
    let again = sent.last.retransmitted_segments;
    let share = percent(own.saturating_mul(SEGMENTS_MAX).min(again), again);
    if share < percent_short(criteria, run, direction) {
        return None;
    }
    let count = |drops: Option<u64>| {
        drops.map_or_else(|| "an unknown number of".to_owned(), |drops| drops.to_string())
    };
    Some(format!(
        "the queue of {sender}'s device dropped {} packets, and the kernel of {receiver} {}, of \
         {again} segments that TCP retransmitted; TCP slows down for those as for losses on the \
         link. Find the drops with ip -s link and nstat, or test at a lower rate",
        count(queue_drops),
        count(kernel_drops)
    ))
}

/// TCP that was as fast as its pace lets it be: where a rate is required, it is judged only if its
/// pace is well above that.
fn of_pace(
    run: &TrialRun,
    direction: Direction,
    load: &TcpLoad,
    sent: &TcpSenderCounts,
) -> Option<String> {
    let paced = load
        .rate(direction)
        .map_or(0, |rate| rate.octets_in(run.trial.duration()).octets() / 100 * PACED_PERCENT);
    sent.last.sent_octets.is_some_and(|octets| paced <= octets).then(|| {
        "TCP sent as much as its pace allows, retransmissions included: test at a higher rate, \
         or have the agent's operator raise --max-rate"
            .to_owned()
    })
}

/// A sender that had nothing to send, or did not run.
fn of_pauses(
    criteria: &Criteria,
    run: &TrialRun,
    direction: Direction,
    (load, sent): (&TcpLoad, &TcpSenderCounts),
) -> Option<String> {
    let least = share_that_explains(criteria, run, direction);
    let (sender, _) = hosts(direction);
    let time_us = (run.trial.duration().nanos() / 1_000).saturating_mul(load.streams().into());
    let is_whole = sent.broken.is_none() && run.outcome.status == Status::Ok;
    let had_us = sent.last.busy_us.filter(|_| is_whole).unwrap_or(time_us);
    let held_us = sent.held_up_ns / 1_000;
    let idle_us = time_us.saturating_sub(had_us);
    // A thousandth of the time is as near as the kernel counts it.
    let explained = idle_us.saturating_mul(100).saturating_add(time_us / 10);
    if least.saturating_mul(time_us) <= explained {
        let share = percent(idle_us, time_us).max(1);
        return Some(format!(
            "for {share} % of the time {sender} was too slow to supply TCP with data. {IDLE_HOST}"
        ));
    }
    // Its buffer may have had something to send all the while, though less than TCP would take.
    let share = percent(held_us, time_us);
    (least <= share).then(|| {
        format!(
            "for {share} % of the time {sender} was stopped, or too busy to run its end of TCP. \
             {IDLE_HOST}"
        )
    })
}

/// What to do where the sender was busy.
const IDLE_HOST: &str = "Use a host with an idle processor, or test at a lower rate";

/// What came otherwise than it was sent.
fn of_damage(run: &TrialRun, direction: Direction) -> Option<Concern> {
    let checked = run.outcome.one_way(direction).tcp_receiver.as_ref()?.checked;
    let TcpChecked { octets, damaged_octets: damaged, stream, first_octet, last_octet } =
        checked.filter(|checked| 0 < checked.damaged_octets)?;
    let (sender, receiver) = hosts(direction);
    let text = format!(
        "{damaged} of {octets} octets that {receiver} received differ from what {sender} sent, \
         first in stream {} from octet {} to {}: TCP's checksums did not catch it, so something \
         between the two programs rewrites data. Bypass whatever terminates TCP on the path, and \
         test the memory of both hosts",
        stream.unwrap_or(0),
        first_octet.unwrap_or(0),
        last_octet.unwrap_or(0)
    );
    Some((&[Basis::TcpStream], Bias::Either, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{HostCounts, Outcome, Series, TcpReceiverCounts, UnresolvedNextHop};
    use crate::direction::PerDirection;
    use crate::framing::IpVersion;
    use crate::metric::{Metric, Requirements};
    use crate::trial::{CongestionControl, LoadKind, Trial};

    /// TCP that carried so much payload per second for 30 s and sent so many segments again.
    fn run(mbit_s: u64, retransmitted: u64, (queue_drops, kernel_drops): (u64, u64)) -> TrialRun {
        let rate = Some("100 Mbit/s".parse().expect("a rate"));
        let rates = PerDirection { forward: rate, reverse: None };
        let load = TcpLoad::new(rates, 1, 1_500, CongestionControl::CUBIC, LoadKind::Capacity);
        let trial = Trial::with_tcp(load.expect("a load"), Span::from_secs(30)).expect("a trial");
        let mut outcome = Outcome { status: Status::Ok, ..Outcome::default() };
        let mut sent = TcpSenderCounts::default();
        sent.last.retransmitted_segments = retransmitted;
        sent.last.sent_octets = Some(1);
        let per_second = Series::from_seconds(vec![mbit_s * 125_000; 30]);
        let came =
            TcpReceiverCounts { per_second, began_ns: Some(1), ..TcpReceiverCounts::default() };
        outcome.forward.tcp_sender = Some(sent);
        outcome.forward.tcp_receiver = Some(came);
        outcome.driver_host = Some(HostCounts { queue_drops, ..HostCounts::default() });
        outcome.agent_host = Some(HostCounts { kernel_drops, ..HostCounts::default() });
        TrialRun { trial, outcome }
    }

    /// Payload at 50 Mbit/s in frames is 47.7 Mbit/s.
    #[test]
    fn a_moment_without_the_next_hop_explains_no_shortfall_of_tcp() {
        let is_doubted = |unresolved_ms: u64| {
            let mut run = run(50, 0, (0, 0));
            let (address, unresolved_ns) = ([10, 1, 1, 1].into(), unresolved_ms * 1_000_000);
            let unresolved_next_hop = Some(UnresolvedNextHop { address, unresolved_ns });
            run.outcome.driver_host =
                Some(HostCounts { unresolved_next_hop, ..HostCounts::default() });
            let found = crate::validity::of_next_hop(&run, Direction::Forward);
            found.iter().any(|(doubts, ..)| doubts.contains(&Basis::TcpStream))
        };
        assert_eq!([is_doubted(200), is_doubted(1_000)], [false, true]);
    }

    fn is_doubted(run: &TrialRun) -> bool {
        let mut requirements = Requirements::default();
        let required = Metric::TCP_THROUGHPUT.require(">= 50 Mbit/s").expect("a bound");
        requirements.set(None, required);
        let criteria = Criteria::plain(requirements, IpVersion::V4);
        let concerns = of_tcp(&criteria, run, Direction::Forward);
        concerns.iter().any(|(.., text)| text.contains("that TCP retransmitted"))
    }

    #[test]
    fn own_drops_count_where_they_can_explain_what_is_short() {
        // 37 % are short: one packet may be 64 segments, 1.28 % of 5000 and 40 % of 160.
        assert!(!is_doubted(&run(30, 5_000, (0, 1))));
        assert!(is_doubted(&run(30, 160, (0, 1))));
        assert!(is_doubted(&run(30, 5_000, (20, 9))));
        assert!(!is_doubted(&run(30, 5_000, (20, 8))));
        // 1.5 % are short.
        assert!(is_doubted(&run(47, 5_000, (1, 0))));
        assert!(!is_doubted(&run(47, 6_500, (1, 0))));
    }

    /// Whether the window is named as the tester's limit where TCP carried 30 of 50 Mbit/s, waited
    /// for its send buffer for most of its time, and the idle round trip is 10 ms.
    fn is_window_named(window_octets: Option<u64>, loaded_ms: u64) -> bool {
        let mut run = run(30, 0, (0, 0));
        let sent = run.outcome.forward.tcp_sender.as_mut().expect("a sender");
        sent.last.busy_us = Some(30_000_000);
        sent.last.buffer_limited_us = Some(27_000_000);
        sent.last.min_rtt_us = Some(10_000);
        (0..300).for_each(|_| sent.round_trips.record(loaded_ms * 1_000_000));
        // The kernel counts twice the payload.
        let tuned =
            |octets: u64| TcpBuffer { tuned_max_octets: Some(2 * octets), ..TcpBuffer::default() };
        sent.buffer = window_octets.map(tuned);
        let mut requirements = Requirements::default();
        let required = Metric::TCP_THROUGHPUT.require(">= 50 Mbit/s").expect("a bound");
        requirements.set(None, required);
        let criteria = Criteria::plain(requirements, IpVersion::V4);
        let concerns = of_tcp(&criteria, &run, Direction::Forward);
        concerns.iter().any(|(.., text)| text.contains("held TCP back"))
    }

    /// 47.7 Mbit/s of payload take 59 620 octets in 10 ms. A window of as many carries 30 Mbit/s
    /// where a queue makes the round trip 16 ms long: the link is slow, and its FAIL stands.
    #[test]
    fn a_window_that_fills_the_idle_link_is_not_blamed_for_the_links_queue() {
        assert!(!is_window_named(Some(60_000), 16));
        assert!(is_window_named(Some(59_000), 16), "too small for the idle link");
        assert!(is_window_named(Some(37_500), 10), "no queue: it is the window alone");
        // Where the kernel does not say how large it may become, what was under way shows it.
        assert!(!is_window_named(None, 16), "60 000 octets");
        assert!(is_window_named(None, 10), "37 500 octets");
    }

    #[test]
    fn what_tcp_did_not_send_again_did_not_slow_it() {
        assert!(!is_doubted(&run(30, 0, (9, 9))));
        assert!(!is_doubted(&run(30, 9, (0, 0))));
    }
}
