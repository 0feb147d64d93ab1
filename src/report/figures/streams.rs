//! The figures of each stream of a load.

use crate::account::{OneWayCounts, StreamReceived, StreamSent};
use crate::metric::float;
use crate::report::record::{LossConcentrated, StreamFigures};
use crate::stats::{count, signed_real};
use crate::trial::Load;

/// Of UDP: by the same law as of the load, whose transit time is that of all streams.
pub(super) fn of_udp(load: &Load, counts: &OneWayCounts) -> Vec<StreamFigures> {
    let received = counts.receiver.iter().flat_map(|receiver| &receiver.streams);
    let sent_of = |received: &StreamReceived| {
        let sent = counts.sender.iter().flat_map(|sender| &sender.streams);
        sent.copied().find(|sent| sent.stream == received.stream)
    };
    let rise_ns = counts.throughput.as_ref().and_then(|evidence| evidence.whole.rise_ns);
    let rise_ns = rise_ns.map_or(0.0, signed_real).max(0.0);
    let of = |received: &StreamReceived| {
        let sent = sent_of(received);
        StreamFigures {
            stream: received.stream,
            goodput_bit_s: goodput(received, sent, rise_ns, load.payload()),
            loss_ratio: loss(received, sent),
        }
    };
    received.map(of).collect()
}

fn goodput(
    received: &StreamReceived,
    sent: Option<StreamSent>,
    rise_ns: f64,
    payload: u32,
) -> Option<u64> {
    let window = sent?.window?.whole;
    let seconds = (float(window.end_ns.saturating_sub(window.start_ns)) + rise_ns) / 1e9;
    let arrived = float(received.in_window?);
    (0.0 < seconds).then(|| count((arrived / seconds * f64::from(payload) * 8.0).round()))
}

fn loss(received: &StreamReceived, sent: Option<StreamSent>) -> Option<f64> {
    let offered = sent?.sent.saturating_sub(received.host_dropped);
    let lost = received.lost.saturating_add(received.late);
    (0 < offered).then(|| float(lost) / float(offered))
}

/// Of TCP: seconds are counted of all streams together, octets of each.
pub(super) fn of_tcp(goodput_bit_s: Option<u64>, counts: &OneWayCounts) -> Vec<StreamFigures> {
    let Some(receiver) = &counts.tcp_receiver else { return Vec::new() };
    let share = |octets| {
        let goodput = goodput_bit_s.filter(|_| 0 < receiver.octets)?;
        Some(count((float(goodput) * float(octets) / float(receiver.octets)).round()))
    };
    let streams = receiver.streams.iter().map(|stream| StreamFigures {
        stream: stream.stream,
        goodput_bit_s: share(stream.octets),
        loss_ratio: None,
    });
    streams.collect()
}

/// What share of all losses few streams must have to be named.
const SHARE_MOST: f64 = 0.8;

/// How likely it may be that chance alone gives so few streams so much of the loss.
const CHANCE_MAX: f64 = 1e-3;

/// The streams that have most of the loss, where they are at most half of them, and where losses
/// that strike all streams alike would hardly ever fall so: `train` packets of a stream leave at
/// once, and are lost together.
///
/// Each choice of k of n streams gets the share a of X losses with at most exp(-X D(a, k/n))
/// (Chernoff, D the relative entropy), and there are n over k choices.
pub(super) fn concentration(train: u32, counts: &OneWayCounts) -> Option<LossConcentrated> {
    let streams = &counts.receiver.as_ref()?.streams;
    let lost = |it: &StreamReceived| it.lost.saturating_add(it.late);
    let total: u64 = streams.iter().map(lost).fold(0, u64::saturating_add);
    let mut by_loss: Vec<&StreamReceived> = streams.iter().collect();
    by_loss.sort_by_key(|it| std::cmp::Reverse(lost(it)));
    let (mut few, mut theirs) = (0, 0_u64);
    while few < by_loss.len() && float(theirs) < SHARE_MOST * float(total) {
        theirs = theirs.saturating_add(lost(by_loss[few]));
        few += 1;
    }
    if few == 0 || streams.len() < 2 * few {
        return None;
    }
    let share = float(theirs) / float(total);
    let losses = float(total) / f64::from(train.max(1));
    if CHANCE_MAX.ln() < chance_ln(few, streams.len(), share, losses) {
        return None;
    }
    let mut named: Vec<u32> = by_loss[..few].iter().map(|it| it.stream).collect();
    named.sort_unstable();
    let streams_in_all = u32::try_from(streams.len()).unwrap_or(u32::MAX);
    Some(LossConcentrated { streams: named, streams_in_all, loss_share: share })
}

/// The logarithm of a bound of the chance that some `few` of `all` streams get this `share` of so
/// many `losses`.
fn chance_ln(few: usize, all: usize, share: f64, losses: f64) -> f64 {
    let number = |count: usize| float(u64::try_from(count).unwrap_or(u64::MAX));
    let choices_ln: f64 =
        (0..few).map(|place| (number(all - place) / number(place + 1)).ln()).sum();
    let expected = number(few) / number(all);
    let part = |share: f64, of: f64| if share <= 0.0 { 0.0 } else { share * (share / of).ln() };
    choices_ln - losses * (part(share, expected) + part(1.0 - share, 1.0 - expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{SentPart, SentWindow, TcpReceiverCounts, TcpStreamOctets};
    use crate::metric::tests::{came, judged, outcome, sent};

    /// Of two streams in a window of 4 s that a queue made 5 s, one lost every other packet.
    #[test]
    fn the_stream_that_loses_is_seen() {
        let run = outcome(|run| {
            judged(run).whole.rise_ns = Some(1_000_000_000);
            let whole = SentPart { end_ns: 4_000_000_000, ..SentPart::default() };
            let window = Some(SentWindow { whole, ..SentWindow::default() });
            let sender = |stream| StreamSent { stream, sent: 1_000, window, ..Default::default() };
            sent(run).streams = vec![sender(1), sender(2)];
            let receiver = |stream, lost, in_window| StreamReceived {
                stream,
                lost,
                in_window: Some(in_window),
                ..StreamReceived::default()
            };
            let unknown = StreamReceived { stream: 3, ..StreamReceived::default() };
            came(run).streams = vec![receiver(1, 500, 400), receiver(2, 0, 800), unknown];
        });
        let load = run.trial.load().expect("a load");
        let streams = of_udp(load, &run.outcome.forward);
        let shown: Vec<_> =
            streams.iter().map(|it| (it.stream, it.goodput_bit_s, it.loss_ratio)).collect();
        let expected = [
            (1, Some(400 * 1_472 * 8 / 5), Some(0.5)),
            (2, Some(800 * 1_472 * 8 / 5), Some(0.0)),
            (3, None, None),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_stream_of_tcp_has_its_share_of_the_mean() {
        let stream = |stream, octets| TcpStreamOctets { stream, octets, ..Default::default() };
        let streams = vec![stream(1, 100), stream(2, 300)];
        let receiver = TcpReceiverCounts { octets: 400, streams, ..TcpReceiverCounts::default() };
        let counts = OneWayCounts { tcp_receiver: Some(receiver), ..OneWayCounts::default() };
        let goodput = |all| {
            let streams = of_tcp(all, &counts);
            streams.iter().map(|stream| stream.goodput_bit_s).collect::<Vec<_>>()
        };
        assert_eq!(goodput(Some(8_000)), [Some(2_000), Some(6_000)]);
        assert_eq!(goodput(None), [None, None]);
    }

    /// Of streams that lost so many packets each.
    fn concentrated(train: u32, lost: &[u64]) -> Option<Vec<u32>> {
        let run = outcome(|run| {
            let stream = |(stream, lost): (u32, &u64)| StreamReceived {
                stream,
                lost: *lost,
                ..StreamReceived::default()
            };
            came(run).streams = (1..).zip(lost).map(stream).collect();
        });
        let found = concentration(train, &run.outcome.forward)?;
        assert_eq!(found.streams_in_all as usize, lost.len());
        assert!((0.8..=1.0).contains(&found.loss_share), "{found:?}");
        Some(found.streams)
    }

    /// One dead member of twelve takes four of 48 streams with it.
    #[test]
    fn a_member_that_loses_is_named_by_its_streams() {
        let mut lost = [0; 48];
        for place in [3, 17, 30, 47] {
            lost[place] = 350;
        }
        assert_eq!(concentrated(1, &lost), Some(vec![4, 18, 31, 48]));
        // Of 14 losses in four of them too: 48 over 4 choices, each with (1/12)^14.
        let few = lost.map(|lost| if lost == 0 { 0 } else { 4 });
        assert_eq!(concentrated(1, &few), Some(vec![4, 18, 31, 48]));
        assert_eq!(concentrated(1, &[50, 0]), Some(vec![1]), "2 / 2^50");
    }

    #[test]
    fn losses_that_strike_all_streams_alike_name_none() {
        assert_eq!(concentrated(1, &[0; 48]), None, "there are none");
        assert_eq!(concentrated(1, &[10; 48]), None);
        // Single losses fall on single streams.
        let mut scattered = [0; 48];
        scattered[..20].fill(1);
        assert_eq!(concentrated(1, &scattered), None, "48 over 16 is much");
        assert_eq!(concentrated(1, &[9, 0]), None, "2 / 2^9 is more than a thousandth");
        assert_eq!(concentrated(10, &[50, 0]), None, "five trains were lost");
        assert_eq!(concentrated(1, &[500]), None, "a single stream has all of it");
    }
}
