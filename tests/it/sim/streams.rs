//! Streams that take different paths: the account shows which of them lose.

use super::MS;
use linkqual::account::{Fact as _, ReceiverCounts};
use linkqual::clock::{Driver, Stamp};
use linkqual::direction::Directions;
use linkqual::emulation::{Applies, Class, EmulatedLink, Loss, Spec};
use linkqual::flow::{Arrived, Closing, End, PROBE_STREAM, Receiver, streams_of};
use linkqual::trial::{Load, LoadKind, Trial};
use linkqual::units::{PacketRate, Span};

/// Eight streams over four paths of equal cost, of which one loses 1 %: 10 s of 8000 packets/s.
#[test]
fn the_streams_of_the_path_that_loses_are_seen() {
    let rate = PacketRate::new(8_000).unwrap();
    let load = Load::new(Directions::Forward, 8, 200, rate, LoadKind::FixedRate).unwrap();
    let trial = Trial::new(Some(load), Span::from_secs(10)).unwrap();
    let mut sum: Option<ReceiverCounts> = None;
    let mut truth = Vec::new();
    for stream in streams_of(&trial).into_iter().filter(|stream| stream.number != PROBE_STREAM) {
        let loss = match stream.number % 4 {
            2 => vec![(Applies::ToAll, Loss::Random { ratio: 0.01 })],
            _ => Vec::new(),
        };
        let spec = Spec { loss, ..Spec::default() };
        let mut path = EmulatedLink::new(spec, u64::from(stream.number));
        let mut receiver = Receiver::<Driver>::new(stream, Stamp::from_nanos(0));
        for sequence in 0..stream.slots {
            let due_ns = sequence * MS;
            for at_ns in path.offer(due_ns, 228, Class::Load).arrivals_ns() {
                let (sent_ns, octets) = (due_ns, 200);
                let arrived = Arrived { sequence, due_ns, sent_ns, octets, ..Arrived::default() };
                receiver.on_arrival(Stamp::from_nanos(*at_ns), &arrived, 0);
            }
        }
        let last_due_ns = stream.slots * MS;
        let closing =
            Closing { sent: stream.slots, last_due_ns, excess: &Vec::new(), window: None };
        let counts = receiver.finish(End::Closed(closing), 0);
        truth.push((stream.number, path.counts(Class::Load).lost()));
        match &mut sum {
            Some(sum) => sum.merge(&counts),
            none => *none = Some(counts),
        }
    }
    let sum = sum.unwrap();
    let seen: Vec<_> = sum.streams.iter().map(|share| (share.stream, share.lost)).collect();
    assert_eq!(seen, truth);
    let losing = seen.iter().filter(|(_, lost)| 0 < *lost).map(|(stream, _)| *stream);
    assert_eq!(losing.collect::<Vec<_>>(), [2, 6]);
    let listed: u64 = sum.loss_bursts.listed.iter().map(|burst| burst.packets).sum();
    assert_eq!(listed + sum.loss_bursts.beyond_packets, sum.lost());
    assert!(sum.loss_bursts.listed.iter().all(|burst| [2, 6].contains(&burst.stream)));
    assert_eq!(sum.check(), Ok(()));
}
