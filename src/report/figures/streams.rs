//! The figures of each stream of a load.

use crate::account::{OneWayCounts, StreamReceived, StreamSent};
use crate::metric::float;
use crate::report::record::StreamFigures;
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
}
