//! The truth about a line: what it did, counted exactly, and packet by packet if asked.

use super::{Cause, Class, Deliveries, Fate};

/// Entries that a log holds: 64 MB. What comes later is counted, but has no entry.
pub const LOG_MAX: usize = 1 << 20;

const _: () = assert!(size_of::<Entry>() <= 64, "LOG_MAX entries are more than it says");

/// What happened to the packets of one class. `offered` is `delivered` and all the losses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Packets that were given to the line.
    pub offered: u64,
    /// Packets that arrived, each counted once.
    pub delivered: u64,
    /// Lost: longer than the MTU.
    pub lost_too_big: u64,
    /// Lost: struck by a rule.
    pub lost_rule: u64,
    /// Lost: offered during an outage.
    pub lost_outage: u64,
    /// Lost: above the committed rate.
    pub lost_policed: u64,
    /// Lost: no room in the queue.
    pub lost_queue_full: u64,
    /// Extra copies; the packets themselves are in `delivered`.
    pub duplicated: u64,
    /// Packets that arrived, but were held back by a rule.
    pub held_back: u64,
    /// Octets of the packets offered.
    pub octets_offered: u64,
    /// Octets of the packets that arrived, each counted once.
    pub octets_delivered: u64,
}

impl Counts {
    /// Packets that never arrived, whatever the cause.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost_too_big
            + self.lost_rule
            + self.lost_outage
            + self.lost_policed
            + self.lost_queue_full
    }

    fn on_offer(&mut self, octets: u32, deliveries: &Deliveries) {
        self.offered += 1;
        self.octets_offered += u64::from(octets);
        match deliveries.fate() {
            Fate::Lost(cause) => {
                *self.lost_by(cause) += 1;
                return;
            }
            Fate::HeldBack => self.held_back += 1,
            Fate::Delivered => {}
        }
        self.delivered += 1;
        self.octets_delivered += u64::from(octets);
        if let [_, _] = deliveries.arrivals_ns() {
            self.duplicated += 1;
        }
    }

    const fn lost_by(&mut self, cause: Cause) -> &mut u64 {
        match cause {
            Cause::TooBig => &mut self.lost_too_big,
            Cause::Rule => &mut self.lost_rule,
            Cause::Outage => &mut self.lost_outage,
            Cause::Policed => &mut self.lost_policed,
            Cause::QueueFull => &mut self.lost_queue_full,
        }
    }
}

/// One packet, and what became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// When it was offered, in the line's time: never before the entry in front.
    pub offered_ns: u64,
    /// Its IP length.
    pub octets: u32,
    /// Its class.
    pub class: Class,
    /// Its fate, and its arrivals.
    pub deliveries: Deliveries,
}

/// The counts of each class, and the log.
#[derive(Debug, Default)]
pub(super) struct Record {
    load: Counts,
    probe: Counts,
    signal: Counts,
    log: Option<Log>,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    missed: u64,
}

impl Record {
    pub(super) fn on_offer(&mut self, entry: Entry) {
        let counts = match entry.class {
            Class::Load => &mut self.load,
            Class::Probe => &mut self.probe,
            Class::Signal => &mut self.signal,
        };
        counts.on_offer(entry.octets, &entry.deliveries);
        let Some(log) = &mut self.log else {
            return;
        };
        if log.entries.len() < LOG_MAX {
            log.entries.push(entry);
        } else {
            log.missed += 1;
        }
    }

    pub(super) const fn counts(&self, class: Class) -> Counts {
        match class {
            Class::Load => self.load,
            Class::Probe => self.probe,
            Class::Signal => self.signal,
        }
    }

    pub(super) fn keep_log(&mut self) {
        self.log.get_or_insert_default();
    }

    pub(super) fn log(&self) -> &[Entry] {
        self.log.as_ref().map_or(&[], |log| &log.entries)
    }

    pub(super) const fn log_missed(&self) -> u64 {
        match &self.log {
            Some(log) => log.missed,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(class: Class, deliveries: Deliveries) -> Entry {
        Entry { offered_ns: 0, octets: 100, class, deliveries }
    }

    #[test]
    fn each_fate_is_counted_in_its_place_and_class() {
        let mut record = Record::default();
        record.on_offer(entry(Class::Load, Deliveries::arrived(Fate::Delivered, 5, None)));
        record.on_offer(entry(Class::Load, Deliveries::arrived(Fate::HeldBack, 5, Some(1))));
        for cause in [Cause::TooBig, Cause::Rule, Cause::Outage, Cause::Policed, Cause::QueueFull] {
            record.on_offer(entry(Class::Load, Deliveries::lost(cause)));
        }
        let expected = Counts {
            offered: 7,
            delivered: 2,
            lost_too_big: 1,
            lost_rule: 1,
            lost_outage: 1,
            lost_policed: 1,
            lost_queue_full: 1,
            duplicated: 1,
            held_back: 1,
            octets_offered: 700,
            octets_delivered: 200,
        };
        assert_eq!(record.counts(Class::Load), expected);
        assert_eq!(expected.lost(), 5);
        assert_eq!(record.counts(Class::Probe), Counts::default());
        assert_eq!(record.counts(Class::Signal), Counts::default());
    }

    #[test]
    fn a_full_log_says_how_many_it_missed_and_the_counts_go_on() {
        let mut record = Record::default();
        let entry = entry(Class::Probe, Deliveries::lost(Cause::Rule));
        record.on_offer(entry);
        assert_eq!(record.log(), []);
        record.keep_log();
        for _ in 0..LOG_MAX {
            record.on_offer(entry);
        }
        assert_eq!((record.log().len(), record.log_missed()), (LOG_MAX, 0));
        record.on_offer(entry);
        assert_eq!((record.log().len(), record.log_missed()), (LOG_MAX, 1));
        assert_eq!(record.counts(Class::Probe).offered, 2 + (1 << 20));
    }
}
