//! A line with known truth: what it does to each packet is decided here, and kept on record.
//!
//! ONE model, driven by the oracle simulation (virtual time), by the demo's relay and by the TUN
//! lab (real time). It never reads a clock, touches the octets of a packet, waits, or forgets: the
//! caller says when a packet comes and how long it is, the line answers when it arrives.
//!
//! # A packet's way
//!
//! 1. `mtu`: too big is lost.
//! 2. `loss`, the rules in order: the first that strikes is the cause.
//! 3. `policer`: a packet that finds too few tokens is lost.
//! 4. `shaper`: a packet that finds the queue full is lost; others leave in their turn.
//! 5. `delay_ns`, `jitter`, and `keep_order` over both.
//! 6. `reorder`: a packet struck is held back for longer, so that later ones overtake it.
//! 7. `duplicate`: a packet struck arrives twice.
//!
//! What is lost at one step does not reach the next: it takes no tokens and no room in the queue,
//! and is never duplicated. But *every* rule counts and throws its dice at *every* packet of its
//! class, lost or not. So the 100th packet is the 100th for each rule, and a rule more on the list
//! changes nothing about whom the others strike. The copy that `duplicate` makes is born at the
//! far end: it takes no rate, and comes `gap_ns` after the first one.
//!
//! # Ratios
//!
//! A share of packets or a chance, 0 to 1. At or above 1 always strikes; at or below 0, or not a
//! number, never. `EveryNth(0)` never strikes. So each [`Spec`] has a meaning, and none panics.

mod clock;
mod delay;
mod dice;
mod disorder;
mod loss;
mod packet;
mod queue;
mod record;
mod text;

pub use clock::{DriftingClock, Step};
pub use delay::Jitter;
pub use disorder::{Duplicate, Reorder};
pub use loss::{Loss, Outage};
pub use packet::{Applies, Cause, Class, Deliveries, Fate};
pub use queue::{Policer, Shaper};
pub use record::{Counts, Entry, LOG_MAX};

use delay::Flight;
use dice::{Dice, Stream};
use disorder::DisorderRule;
use loss::LossRule;
use queue::{Bucket, Queue};
use record::Record;

/// What one direction of a line does to packets; the default is a perfect line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// The longest IP packet that passes, in octets.
    pub mtu: Option<u32>,
    /// Who is lost.
    pub loss: Vec<(Applies, Loss)>,
    /// Committed rate: drops what comes above it.
    pub policer: Option<Policer>,
    /// EmulatedLink rate: delays what comes above it, and drops what finds the queue full.
    pub shaper: Option<Shaper>,
    /// The floor of the delay, in nanoseconds.
    pub delay_ns: u64,
    /// What comes on top of the floor, anew for each packet.
    pub jitter: Jitter,
    /// Whether jitter never reorders: no packet arrives before one that was offered earlier.
    ///
    /// Those that `reorder` holds back and the copies that `duplicate` makes neither obey this nor
    /// push others. Packets closer together than their jitter then no longer have the delay that
    /// [`Jitter::quantile_ns`] gives: they wait for the one in front.
    pub keep_order: bool,
    /// Who is held back; where several rules strike, the first on the list does.
    pub reorder: Vec<(Applies, Reorder)>,
    /// Who arrives twice, never more; where several rules strike, the first on the list does.
    pub duplicate: Vec<(Applies, Duplicate)>,
}

/// One direction of a line.
///
/// The same spec, seed and offers give the same answers, to the bit: each rule has a dice of its
/// own, thrown once per packet. (Exponential and normal jitter are as reproducible as the floating
/// point of the platform.)
#[derive(Debug)]
pub struct EmulatedLink {
    mtu: Option<u32>,
    loss: Vec<LossRule>,
    policer: Option<Bucket>,
    shaper: Option<Queue>,
    flight: Flight,
    reorder: Vec<DisorderRule>,
    duplicate: Vec<DisorderRule>,
    now_ns: u64,
    epoch_ns: Option<u64>,
    record: Record,
}

/// What the rules have in store for one packet, before it is known whether it gets that far.
#[derive(Debug)]
struct Lot {
    lost: Option<Cause>,
    jitter_ns: u64,
    hold_ns: Option<u64>,
    gap_ns: Option<u64>,
}

impl EmulatedLink {
    /// A line that has carried nothing yet.
    #[must_use]
    pub fn new(spec: Spec, seed: u64) -> Self {
        let dice = |stream| Dice::new(seed, stream);
        let loss = (0..).zip(spec.loss);
        let reorder = (0..).zip(spec.reorder);
        let duplicate = (0..).zip(spec.duplicate);
        Self {
            mtu: spec.mtu,
            loss: loss
                .map(|(n, (applies, loss))| LossRule::new(applies, loss, dice(Stream::Loss(n))))
                .collect(),
            policer: spec.policer.map(Bucket::full),
            shaper: spec.shaper.map(Queue::empty),
            flight: Flight::new(spec.delay_ns, spec.jitter, spec.keep_order, dice(Stream::Jitter)),
            reorder: reorder
                .map(|(n, (applies, reorder))| {
                    DisorderRule::reorder(applies, reorder, dice(Stream::Reorder(n)))
                })
                .collect(),
            duplicate: duplicate
                .map(|(n, (applies, duplicate))| {
                    DisorderRule::duplicate(applies, duplicate, dice(Stream::Duplicate(n)))
                })
                .collect(),
            now_ns: 0,
            epoch_ns: None,
            record: Record::default(),
        }
    }

    /// Sets the moment that outages count from; without it, the first offer is that moment.
    ///
    /// An outage in the past of the line is not undone: packets offered before stay as they were.
    pub const fn set_epoch(&mut self, epoch_ns: u64) {
        self.epoch_ns = Some(epoch_ns);
    }

    /// Carries an IP packet of `octets`, offered at `now_ns` in nanoseconds of the caller's clock.
    ///
    /// A line's time never runs backwards: a packet offered earlier than the one before counts as
    /// offered with it.
    pub fn offer(&mut self, now_ns: u64, octets: u32, class: Class) -> Deliveries {
        self.now_ns = self.now_ns.max(now_ns);
        let lot = self.draw_lot(class);
        let deliveries = match self.depart(octets, lot.lost) {
            Ok(departure_ns) => self.arrive(departure_ns, &lot),
            Err(cause) => Deliveries::lost(cause),
        };
        self.record.on_offer(Entry { offered_ns: self.now_ns, octets, class, deliveries });
        deliveries
    }

    /// What happened to the packets of `class` so far.
    #[must_use]
    pub const fn counts(&self, class: Class) -> Counts {
        self.record.counts(class)
    }

    /// From now on keeps an entry for each packet, [`LOG_MAX`] of them.
    pub fn keep_log(&mut self) {
        self.record.keep_log();
    }

    /// The packets since [`Self::keep_log`], in the order of their offers; empty without it.
    #[must_use]
    pub fn log(&self) -> &[Entry] {
        self.record.log()
    }

    /// Packets that found the log full; not 0 means that the log is not the whole truth.
    #[must_use]
    pub const fn log_missed(&self) -> u64 {
        self.record.log_missed()
    }

    fn draw_lot(&mut self, class: Class) -> Lot {
        let epoch_ns = *self.epoch_ns.get_or_insert(self.now_ns);
        let since_epoch_ns = self.now_ns.checked_sub(epoch_ns);
        let mut lost = None;
        for rule in &mut self.loss {
            let cause = rule.on_offer(class, since_epoch_ns);
            lost = lost.or(cause);
        }
        Lot {
            lost,
            jitter_ns: self.flight.draw_jitter_ns(),
            hold_ns: disorder::first_struck(&mut self.reorder, class),
            gap_ns: disorder::first_struck(&mut self.duplicate, class),
        }
    }

    /// When the last bit of the packet leaves the near end, or why it never does.
    fn depart(&mut self, octets: u32, lost: Option<Cause>) -> Result<u64, Cause> {
        if self.mtu.is_some_and(|mtu| mtu < octets) {
            return Err(Cause::TooBig);
        }
        if let Some(cause) = lost {
            return Err(cause);
        }
        if let Some(policer) = &mut self.policer {
            policer.take(self.now_ns, octets)?;
        }
        match &mut self.shaper {
            Some(shaper) => shaper.enter(self.now_ns, octets),
            None => Ok(self.now_ns),
        }
    }

    fn arrive(&mut self, departure_ns: u64, lot: &Lot) -> Deliveries {
        let (fate, arrival_ns) = match lot.hold_ns {
            None => (Fate::Delivered, self.flight.arrival_ns(departure_ns, lot.jitter_ns)),
            Some(hold_ns) => {
                (Fate::HeldBack, self.flight.held_arrival_ns(departure_ns, lot.jitter_ns, hold_ns))
            }
        };
        Deliveries::arrived(fate, arrival_ns, lot.gap_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const US: u64 = 1_000;
    const MS: u64 = 1_000_000;

    fn line(spec: Spec) -> EmulatedLink {
        EmulatedLink::new(spec, 7)
    }

    fn lost(cause: Cause) -> Fate {
        Fate::Lost(cause)
    }

    /// The fates of packets of 100 octets, offered 1 ms apart from 0 on.
    fn fates<const N: usize>(spec: Spec, classes: [Class; N]) -> [Fate; N] {
        let mut line = line(spec);
        let mut now_ns = 0;
        classes.map(|class| {
            let fate = line.offer(now_ns, 100, class).fate();
            now_ns += MS;
            fate
        })
    }

    #[test]
    fn the_default_line_is_perfect() {
        let mut line = line(Spec::default());
        for class in Class::ALL {
            let deliveries = line.offer(5, u32::MAX, class);
            assert_eq!(deliveries.fate(), Fate::Delivered);
            assert_eq!(deliveries.arrivals_ns(), [5]);
        }
    }

    #[test]
    fn a_packet_of_the_mtu_passes_and_one_octet_more_does_not() {
        let mut line = line(Spec { mtu: Some(1_500), ..Spec::default() });
        assert_eq!(line.offer(0, 1_500, Class::Load).fate(), Fate::Delivered);
        assert_eq!(line.offer(0, 1_501, Class::Load).fate(), lost(Cause::TooBig));
        assert_eq!(line.offer(0, 1_501, Class::Load).arrivals_ns(), [0; 0]);
    }

    #[test]
    fn an_impairment_of_one_class_leaves_the_others_alone() {
        let spec = Spec {
            loss: vec![(Applies::To(Class::Probe), Loss::First(u64::MAX))],
            ..Spec::default()
        };
        let expected = [Fate::Delivered, lost(Cause::Rule), Fate::Delivered];
        assert_eq!(fates(spec, Class::ALL), expected);
    }

    #[test]
    fn each_rule_counts_the_packets_that_another_one_lost() {
        let spec = Spec {
            loss: vec![(Applies::ToAll, Loss::First(3)), (Applies::ToAll, Loss::EveryNth(2))],
            ..Spec::default()
        };
        let (gone, here) = (lost(Cause::Rule), Fate::Delivered);
        assert_eq!(fates(spec, [Class::Load; 6]), [gone, gone, gone, gone, here, gone]);
    }

    #[test]
    fn outages_count_from_the_first_offer() {
        let outage = Outage { start_ns: 10, duration_ns: 5 };
        let loss = vec![(Applies::ToAll, Loss::Outages(vec![outage]))];
        let mut line = line(Spec { loss, ..Spec::default() });
        assert_eq!(line.offer(1_000, 1, Class::Load).fate(), Fate::Delivered);
        assert_eq!(line.offer(1_010, 1, Class::Load).fate(), lost(Cause::Outage));
        assert_eq!(line.offer(1_015, 1, Class::Load).fate(), Fate::Delivered);
    }

    #[test]
    fn outages_count_from_the_epoch_where_one_is_set() {
        let outage = Outage { start_ns: 0, duration_ns: 5 };
        let loss = vec![(Applies::ToAll, Loss::Outages(vec![outage]))];
        let mut line = line(Spec { loss, ..Spec::default() });
        line.set_epoch(2_000);
        assert_eq!(line.offer(1_999, 1, Class::Load).fate(), Fate::Delivered);
        assert_eq!(line.offer(2_000, 1, Class::Load).fate(), lost(Cause::Outage));
    }

    #[test]
    fn of_several_rules_that_strike_the_first_is_the_cause() {
        let outage = Outage { start_ns: 0, duration_ns: 2 * MS };
        let spec = Spec {
            loss: vec![
                (Applies::ToAll, Loss::First(1)),
                (Applies::ToAll, Loss::Outages(vec![outage])),
                (Applies::ToAll, Loss::First(2)),
            ],
            ..Spec::default()
        };
        assert_eq!(fates(spec, [Class::Load; 2]), [lost(Cause::Rule), lost(Cause::Outage)]);
    }

    #[test]
    fn a_copy_comes_its_gap_behind_and_a_lost_packet_has_none() {
        let spec = Spec {
            delay_ns: 100,
            loss: vec![(Applies::ToAll, Loss::First(1))],
            duplicate: vec![(Applies::ToAll, Duplicate::EveryNth { n: 1, gap_ns: 30 })],
            ..Spec::default()
        };
        let mut line = line(spec);
        assert_eq!(line.offer(0, 1, Class::Load).arrivals_ns(), [0; 0]);
        assert_eq!(line.offer(0, 1, Class::Load).arrivals_ns(), [100, 130]);
        let counts = line.counts(Class::Load);
        assert_eq!((counts.offered, counts.delivered, counts.duplicated), (2, 1, 1));
    }

    #[test]
    fn a_packet_held_back_is_overtaken_even_where_order_is_kept() {
        let reorder = Reorder::EveryNth { n: 2, extra_delay_ns: 50 };
        let spec = Spec {
            delay_ns: 100,
            keep_order: true,
            reorder: vec![(Applies::ToAll, reorder)],
            ..Spec::default()
        };
        let mut line = line(spec);
        assert_eq!(line.offer(0, 1, Class::Load).arrivals_ns(), [100]);
        let held = line.offer(10, 1, Class::Load);
        assert_eq!((held.fate(), held.arrivals_ns()), (Fate::HeldBack, &[160][..]));
        assert_eq!(line.offer(20, 1, Class::Load).arrivals_ns(), [120]);
        assert_eq!(line.counts(Class::Load).held_back, 1);
    }

    #[test]
    fn a_packet_lost_to_a_rule_takes_neither_tokens_nor_room() {
        let spec = Spec {
            loss: vec![(Applies::ToAll, Loss::First(1))],
            policer: Some(Policer { bits_per_second: 0, burst_octets: 200, overhead_octets: 0 }),
            shaper: Some(Shaper { bits_per_second: 8_000, queue_octets: 150, overhead_octets: 0 }),
            ..Spec::default()
        };
        let mut line = line(spec);
        assert_eq!(line.offer(0, 100, Class::Load).fate(), lost(Cause::Rule));
        assert_eq!(line.offer(0, 100, Class::Load).arrivals_ns(), [100 * MS]);
        assert_eq!(line.offer(0, 100, Class::Load).fate(), lost(Cause::QueueFull));
        assert_eq!(line.offer(0, 100, Class::Load).fate(), lost(Cause::Policed));
    }

    #[test]
    fn overload_gets_the_whole_rate_and_waits_for_the_whole_queue() {
        let shaper =
            Shaper { bits_per_second: 100_000_000, queue_octets: 125_000, overhead_octets: 0 };
        let mut line = line(Spec { shaper: Some(shaper), delay_ns: MS, ..Spec::default() });
        let mut delay_ns_max = 0;
        for n in 0..20_000 {
            for arrival_ns in line.offer(n * 50 * US, 1_250, Class::Load).arrivals_ns() {
                delay_ns_max = delay_ns_max.max(arrival_ns - n * 50 * US);
            }
        }
        // A packet lasts 100 us. One second at the rate is 10000 packets, and the queue holds 100.
        // The last offer is at 999.95 ms, when half of a packet is still on its way out.
        assert_eq!(line.counts(Class::Load).delivered, 10_000 + 100 - 1);
        assert_eq!(delay_ns_max, MS + shaper.queue_ns_max());
    }

    #[test]
    fn a_rule_more_changes_nothing_for_the_others() {
        let random = (Applies::ToAll, Loss::Random { ratio: 0.2 });
        let jitter = Jitter::Exponential { mean_ns: MS };
        let one = Spec { loss: vec![random.clone()], jitter, ..Spec::default() };
        let reorder = Reorder::Random { ratio: 0.5, extra_delay_ns: MS };
        let two = Spec {
            loss: vec![random, (Applies::ToAll, Loss::Random { ratio: 0.2 })],
            reorder: vec![(Applies::To(Class::Probe), reorder)],
            ..one.clone()
        };
        let (mut one, mut two) = (line(one), line(two));
        for n in 0..1_000 {
            let (one, two) = (one.offer(n, 1, Class::Load), two.offer(n, 1, Class::Load));
            assert!(one == two || two.fate() == lost(Cause::Rule), "{n}: {one:?}, {two:?}");
        }
    }

    #[test]
    fn another_seed_is_another_line() {
        let spec = Spec { jitter: Jitter::Uniform { max_ns: u64::MAX / 2 }, ..Spec::default() };
        let arrivals =
            [1, 2].map(|seed| EmulatedLink::new(spec.clone(), seed).offer(0, 1, Class::Load));
        assert_ne!(arrivals[0], arrivals[1]);
    }

    #[test]
    fn the_log_tells_each_packet_since_it_is_kept() {
        let mut line = line(Spec { delay_ns: 100, ..Spec::default() });
        line.offer(10, 1, Class::Load);
        line.keep_log();
        let deliveries = line.offer(20, 2, Class::Probe);
        // Time never runs backwards in a line.
        line.offer(15, 3, Class::Signal);
        let [probe, signal] = line.log() else {
            panic!("{:?}", line.log());
        };
        let expected = Entry { offered_ns: 20, octets: 2, class: Class::Probe, deliveries };
        assert_eq!(*probe, expected);
        assert_eq!((signal.offered_ns, signal.deliveries.arrivals_ns()), (20, &[120][..]));
        assert_eq!(line.log_missed(), 0);
    }

    fn applies() -> impl Strategy<Value = Applies> {
        prop_oneof![Just(Applies::ToAll), classes().prop_map(Applies::To)]
    }

    fn classes() -> impl Strategy<Value = Class> {
        proptest::sample::select(&Class::ALL[..])
    }

    fn losses() -> impl Strategy<Value = Loss> {
        let ratio = || -0.1..1.1_f64;
        prop_oneof![
            (0..5_u64).prop_map(Loss::EveryNth),
            (0..5_u64).prop_map(Loss::First),
            (0..50_u64).prop_map(Loss::After),
            proptest::collection::btree_set(1..50_u64, 0..5).prop_map(Loss::Listed),
            ratio().prop_map(|ratio| Loss::Random { ratio }),
            [ratio(), ratio(), ratio(), ratio()].prop_map(
                |[enter, leave, loss_in_bad, loss_in_good]| {
                    Loss::GilbertElliott { enter, leave, loss_in_bad, loss_in_good }
                }
            ),
            vec((0..MS, 0..MS), 0..3).prop_map(|outages| {
                let outage = |(start_ns, duration_ns)| Outage { start_ns, duration_ns };
                Loss::Outages(outages.into_iter().map(outage).collect())
            }),
        ]
    }

    fn duplicates() -> impl Strategy<Value = Duplicate> {
        prop_oneof![
            (0..5_u64, 0..MS).prop_map(|(n, gap_ns)| Duplicate::EveryNth { n, gap_ns }),
            (0.0..1.0, 0..MS).prop_map(|(ratio, gap_ns)| Duplicate::Random { ratio, gap_ns }),
        ]
    }

    fn reorders() -> impl Strategy<Value = Reorder> {
        prop_oneof![
            (0..5_u64, 0..MS)
                .prop_map(|(n, extra_delay_ns)| Reorder::EveryNth { n, extra_delay_ns }),
            (0.0..1.0, 0..MS)
                .prop_map(|(ratio, extra_delay_ns)| Reorder::Random { ratio, extra_delay_ns }),
        ]
    }

    fn jitters() -> impl Strategy<Value = Jitter> {
        prop_oneof![
            Just(Jitter::None),
            any::<u64>().prop_map(|max_ns| Jitter::Uniform { max_ns }),
            (0..MS).prop_map(|mean_ns| Jitter::Exponential { mean_ns }),
            (0..MS).prop_map(|sigma_ns| Jitter::Normal { sigma_ns }),
        ]
    }

    fn shapers() -> impl Strategy<Value = Shaper> {
        (0..1_000_000_000_u64, 0..50_000_u64, 0..50_u32).prop_map(
            |(bits_per_second, queue_octets, overhead_octets)| Shaper {
                bits_per_second,
                queue_octets,
                overhead_octets,
            },
        )
    }

    fn policers() -> impl Strategy<Value = Policer> {
        shapers().prop_map(|shaper| Policer {
            bits_per_second: shaper.bits_per_second,
            burst_octets: shaper.queue_octets,
            overhead_octets: shaper.overhead_octets,
        })
    }

    fn specs() -> impl Strategy<Value = Spec> {
        use proptest::option::of;
        let drops = (of(0..2_000_u32), vec((applies(), losses()), 0..3));
        let rates = (of(policers()), of(shapers()));
        let delays = (0..MS, jitters(), any::<bool>());
        let disorders = (vec((applies(), reorders()), 0..3), vec((applies(), duplicates()), 0..3));
        (drops, rates, delays, disorders).prop_map(
            |((mtu, loss), (policer, shaper), (delay_ns, jitter, keep_order), disorders)| {
                let (reorder, duplicate) = disorders;
                Spec {
                    mtu,
                    loss,
                    policer,
                    shaper,
                    delay_ns,
                    jitter,
                    keep_order,
                    reorder,
                    duplicate,
                }
            },
        )
    }

    fn offers() -> impl Strategy<Value = Vec<(u64, u32, Class)>> {
        vec((0..2 * MS, 0..2_000_u32, classes()), 0..100)
    }

    proptest! {
        #[test]
        fn every_packet_is_delivered_or_lost_to_one_cause(
            spec in specs(),
            offers in offers(),
            seed: u64,
        ) {
            let mut line = EmulatedLink::new(spec, seed);
            line.keep_log();
            for &(now_ns, octets, class) in &offers {
                line.offer(now_ns, octets, class);
            }
            for class in Class::ALL {
                let of_class = || line.log().iter().filter(|entry| entry.class == class);
                let arrived = of_class().map(|entry| entry.deliveries.arrivals_ns().len());
                let counts = line.counts(class);
                let octets = of_class().map(|entry| u64::from(entry.octets)).sum::<u64>();
                prop_assert_eq!(counts.offered, counts.delivered + counts.lost());
                prop_assert_eq!(counts.offered, u64::try_from(of_class().count())?);
                prop_assert_eq!(counts.octets_offered, octets);
                prop_assert!(counts.octets_delivered <= counts.octets_offered);
                prop_assert!(counts.held_back <= counts.delivered);
                let copies = counts.delivered + counts.duplicated;
                prop_assert_eq!(copies, u64::try_from(arrived.sum::<usize>())?);
            }
        }

        #[test]
        fn nothing_arrives_before_it_was_offered_or_before_the_floor(
            spec in specs(),
            offers in offers(),
            seed: u64,
        ) {
            let delay_ns = spec.delay_ns;
            let mut line = EmulatedLink::new(spec, seed);
            for (now_ns, octets, class) in offers {
                let deliveries = line.offer(now_ns, octets, class);
                let arrivals_ns = deliveries.arrivals_ns();
                prop_assert!(arrivals_ns.iter().all(|&at_ns| now_ns + delay_ns <= at_ns));
                prop_assert!(arrivals_ns.is_sorted());
                prop_assert_eq!(arrivals_ns.is_empty(), matches!(deliveries.fate(), Fate::Lost(_)));
            }
        }

        #[test]
        fn where_order_is_kept_only_copies_and_held_packets_come_out_of_it(
            spec in specs(),
            offers in offers(),
            seed: u64,
        ) {
            let mut line = EmulatedLink::new(Spec { keep_order: true, ..spec }, seed);
            let mut latest_ns = 0;
            for (now_ns, octets, class) in offers {
                let deliveries = line.offer(now_ns, octets, class);
                if deliveries.fate() == Fate::Delivered {
                    prop_assert!(latest_ns <= deliveries.arrivals_ns()[0]);
                    latest_ns = deliveries.arrivals_ns()[0];
                }
            }
        }

        #[test]
        fn the_same_seed_and_offers_are_the_same_line(
            spec in specs(),
            offers in offers(),
            seed: u64,
        ) {
            let mut one = EmulatedLink::new(spec.clone(), seed);
            let mut other = EmulatedLink::new(spec, seed);
            for (now_ns, octets, class) in offers {
                let deliveries = one.offer(now_ns, octets, class);
                prop_assert_eq!(deliveries, other.offer(now_ns, octets, class));
            }
        }
    }
}
