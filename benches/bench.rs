//! What a packet costs, in nanoseconds for each operation: one core at 1 Mpacket/s has 1000.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use linkqual::clock::{Agent, Driver, Stamp};
use linkqual::direction::Direction;
use linkqual::flow::{Arrival, Arrived, Next, Outgoing, Receiver, Sender, Steady, Stream};
use linkqual::stats::confidence::{Confidence, loss_bounds, quantile_ranks};
use linkqual::stats::delays::Delays;
use linkqual::units::{PacketRate, Span};
use linkqual::wire::Token;
use linkqual::wire::load::Header;
use linkqual::wire::probe::{self, Probe};
use linkqual::wire::seal::{Sealer, Tagger};
use linkqual::wire::signal::{Say, Signal};
use std::hint::black_box;

/// Packets that a benchmark sends between two signs of life from the receiver.
const HEARD_EVERY: u64 = 1 << 10;

const START_NS: u64 = 1_000_000_000;

/// A stream of 1 Mpacket/s that no benchmark comes to the end of.
fn endless() -> Stream {
    Stream {
        number: 1,
        token: Token(7),
        direction: Direction::Forward,
        rate: PacketRate::new(1_000_000).expect("a rate"),
        slots: 1 << 50,
        payload: 1_472,
        train: 1,
        burst: 3,
        capacity: false,
        steady: Steady::of(Span::from_secs(600)),
        dscp: linkqual::trial::Dscp::default(),
        life: linkqual::flow::Liveness::default(),
        silence_min: linkqual::account::SILENCE_MIN,
        ramp: Span::default(),
    }
}

fn arrived(sequence: u64, due_ns: u64) -> Arrived {
    Arrived { sequence, due_ns, sent_ns: due_ns + 50, octets: 1_472, ..Arrived::default() }
}

fn wire(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    let sealer = Sealer::new(&[0xa5; 32]);
    let header = Header { stream: 1, token: Token(7), sequence: 9, due_ns: 9_000, lateness_ns: 50 };
    let tagger = Tagger::of(&[0xa5; 32], Direction::Forward);
    let mut datagram = [0xa5; 1_472];
    group.bench_function("load header, emit and tag", |bencher| {
        bencher.iter(|| black_box(&header).emit(black_box(&mut datagram), &tagger));
    });
    header.emit(&mut datagram, &tagger);
    group.bench_function("load header, parse and check its tag", |bencher| {
        bencher.iter(|| Header::parse(black_box(&datagram), 1_472, &tagger));
    });
    let probe = Probe { sequence: 9, sent_ns: START_NS, newest_reply_ns: 0, token: Token(7) };
    let mut datagram = [0xa5; probe::LEN_MIN];
    group.bench_function("probe, emit and seal", |bencher| {
        bencher.iter(|| black_box(&probe).emit(&sealer, black_box(&mut datagram)));
    });
    probe.emit(&sealer, &mut datagram);
    group.bench_function("probe, parse and check its seal", |bencher| {
        bencher.iter(|| Probe::parse(black_box(&datagram), &sealer));
    });
    let say = Say::Heartbeat { received: 8, next: 9, echo: 1, rise_ms: 0 };
    let signal = Signal { stream: 1, token: Token(7), counter: 3, say };
    group.bench_function("signal, emit and seal", |bencher| {
        bencher.iter(|| black_box(&signal).emit(&sealer));
    });
    let datagram = signal.emit(&sealer);
    group.bench_function("signal, parse and check its seal", |bencher| {
        bencher.iter(|| Signal::parse(black_box(&datagram), &sealer));
    });
    group.finish();
}

fn counts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("counts");
    // One packet in 100 comes before the one ahead of it.
    let orders = [("arrival, in order", 0), ("arrival, 1 % reordered", 1)];
    for (name, shift) in orders {
        let order = |place: u64| match place % 100 {
            50 => place + shift,
            51 => place - shift,
            _ => place,
        };
        group.bench_function(name, |bencher| {
            let opened = Stamp::<Agent>::from_nanos(START_NS);
            let mut receiver = Receiver::new(endless(), opened);
            let mut place = 0;
            bencher.iter(|| {
                let sequence = order(place);
                let due_ns = sequence * 1_000;
                let packet = arrived(sequence, due_ns);
                let at = opened.after_nanos(place * 1_000);
                place += 1;
                receiver.on_arrival(at, black_box(&packet), 0)
            });
            assert_eq!(receiver.so_far().received, place - u64::from(order(place) < place));
        });
    }
    group.bench_function("a copy", |bencher| {
        let opened = Stamp::<Agent>::from_nanos(START_NS);
        let mut receiver = Receiver::new(endless(), opened);
        let packet = arrived(0, 0);
        assert_eq!(receiver.on_arrival(opened, &packet, 0), Arrival::InOrder);
        bencher.iter(|| receiver.on_arrival(opened, black_box(&packet), 0));
    });
    group.finish();
}

fn pace(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pace");
    let start = Stamp::<Driver>::from_nanos(START_NS);
    group.bench_function("a packet on time, poll and on_sent", |bencher| {
        let mut sender = Sender::new(endless(), start);
        let mut slot = 0;
        bencher.iter(|| {
            let now = start.after_nanos(slot * 1_000);
            if slot % HEARD_EVERY == 0 {
                sender.on_heard(now, u64::MAX, 0);
            }
            let next = sender.poll(black_box(now));
            assert!(matches!(next, Next::Send(_)), "slot {slot} is due: {next:?}");
            sender.on_sent(now, 1, false);
            slot += 1;
        });
    });
    group.bench_function("a train of 44 on time, poll, headers, tags and on_sent", |bencher| {
        let mut sender = Sender::new(Stream { train: 44, ..endless() }, start);
        let tagger = Tagger::of(&[0xa5; 32], Direction::Forward);
        let mut datagram = [0xa5; 1_472];
        let mut slot = 44;
        bencher.iter(|| {
            let now = start.after_nanos(slot * 1_000);
            sender.on_heard(now, u64::MAX, 0);
            let Next::Send(Outgoing::Load(train)) = sender.poll(black_box(now)) else {
                unreachable!("slot {slot} is due");
            };
            train.headers().for_each(|header| header.emit(black_box(&mut datagram), &tagger));
            sender.on_sent(now, train.packets(), true);
            slot += 44;
        });
    });
    group.bench_function("a poll before its time", |bencher| {
        let mut sender = Sender::new(endless(), start);
        let before = Stamp::from_nanos(START_NS - 1);
        bencher.iter(|| sender.poll(black_box(before)));
    });
    group.finish();
}

fn stats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stats");
    group.bench_function("loss_bounds, 3 of 10^7", |bencher| {
        bencher.iter(|| loss_bounds(black_box(3), black_box(10_000_000), Confidence::P95));
    });
    group.bench_function("quantile_ranks, p99 of 60000", |bencher| {
        bencher.iter(|| quantile_ranks(black_box(60_000), black_box(0.99), Confidence::P95));
    });
    group.bench_function("Delays::record", |bencher| {
        let mut delays = Delays::default();
        let mut delay_ns = 1_000_000;
        bencher.iter(|| {
            // A stride that is prime to the span: all buckets from 1 ms to 3 ms.
            delay_ns = 1_000_000 + (delay_ns + 65_537) % 2_000_000;
            delays.record(black_box(delay_ns));
        });
    });
    group.bench_function("Delays::merge", |bencher| {
        let mut part = Delays::default();
        (0..10_000).for_each(|delay| part.record(1_000_000 + delay * 200));
        bencher.iter_batched_ref(
            Delays::default,
            |sum| sum.merge(black_box(&part)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, wire, counts, pace, stats);
criterion_main!(benches);
