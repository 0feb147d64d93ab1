//! A line between two TUN devices: what the host sends into one comes out of the other, as the
//! model in `line` lets it.
//!
//! Each direction is a line of its own. What was done to each packet is counted by class, and kept
//! in a log if asked, with the emulator's own error: when its device was seen empty last, when it
//! was read, when it was due, and when it was written, from the call's begin to its end. It left
//! its host between the first two, and reached the other between the last two, so that what delay
//! it met is known between two bounds: a few microseconds apart where the emulator spins, up to
//! 100 us where it sleeps, and more where something else takes its processor from it.

use crate::clock::{Driver, Stamp};
use crate::demo::packet::class_of_packet;
use crate::demo::transit::Transit;
use crate::direction::{Direction, PerDirection};
use crate::emulation::{Class, Counts, EmulatedLink, Fate, Spec};
use crate::io::clock;
use crate::io::tun::Tun;
use crate::stats::delays::Delays;
use std::io;

/// Packets that are read from one device, or written, before another's turn.
const BATCH: usize = 32;

/// Longer than any packet that a TUN device hands over.
const PACKET_MAX: usize = 1 << 16;

/// Entries that a log holds: 270 MB. What comes later is counted, but has no entry.
pub const LOG_MAX: usize = 1 << 22;

const _: () = assert!(size_of::<Entry>() <= 64, "LOG_MAX entries are more than it says");

/// What the emulator does while nothing is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pause {
    /// Looks again at once: takes a core, and is late by a few microseconds.
    Spin,
    /// Sleeps for up to 100 us: is late by as much.
    Sleep,
}

/// The moment that outages count from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Epoch {
    /// The emulator's start.
    Start,
    /// The first packet of load in either direction; without one there is no outage.
    FirstLoad,
}

/// One arrival of a packet, or its loss.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Which way it went.
    pub direction: Direction,
    /// What it was for.
    pub class: Class,
    /// Its place among those of its direction and class, from 0, in the order of their offers.
    pub number: u64,
    /// Its IP length.
    pub octets: u16,
    /// What became of it.
    pub fate: Fate,
    /// When its device was seen empty last: it had not come by then.
    pub empty_ns: u64,
    /// When it was read.
    pub read_ns: u64,
    /// When it was due and when it was written; `None` where it was lost.
    pub out: Option<Out>,
}

/// An arrival, in nanoseconds of the host's monotonic clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Out {
    /// When it was due.
    pub due_ns: u64,
    /// When it was written: not before.
    pub written_ns: u64,
    /// When the call that wrote it was over.
    pub done_ns: u64,
}

/// A packet on its way: its octets, and its entry but for the arrival.
type Passenger = (Vec<u8>, Entry);

/// A line between two devices.
#[derive(Debug)]
pub struct Emulator {
    /// By the direction of the packets that are read from it.
    devices: PerDirection<Tun>,
    /// When each was seen empty last.
    empty_ns: PerDirection<u64>,
    lines: PerDirection<EmulatedLink>,
    /// Lateness of what was written: written less due, in nanoseconds.
    lateness: PerDirection<Delays>,
    refused: PerDirection<u64>,
    transit: Transit<Passenger>,
    epoch: Epoch,
    has_load: bool,
    log: Option<Vec<Entry>>,
    log_missed: u64,
}

impl Emulator {
    /// A line from `near`, the driver's device, to `far`, the agent's, of `forward` and `reverse`;
    /// all it does follows from `seed`.
    #[must_use]
    pub fn between(near: Tun, far: Tun, specs: PerDirection<Spec>, seed: u64) -> Self {
        let PerDirection { forward, reverse } = specs;
        Self {
            devices: PerDirection { forward: near, reverse: far },
            empty_ns: PerDirection::default(),
            lines: PerDirection {
                forward: EmulatedLink::new(forward, seed),
                reverse: EmulatedLink::new(reverse, !seed),
            },
            lateness: PerDirection::default(),
            refused: PerDirection::default(),
            transit: Transit::new(),
            epoch: Epoch::Start,
            has_load: false,
            log: None,
            log_missed: 0,
        }
    }

    /// Sets the moment that outages count from: [`Epoch::Start`] without this.
    pub const fn set_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
    }

    /// From now on keeps an entry for each arrival and each loss, [`LOG_MAX`] of them.
    pub fn keep_log(&mut self) {
        // At once: a log that grows would hold packets up.
        self.log.get_or_insert_with(|| Vec::with_capacity(LOG_MAX));
    }

    /// Carries packets until `is_over`, which is asked between packets.
    ///
    /// # Errors
    ///
    /// Where a device is gone.
    pub fn run(
        &mut self,
        pause: Pause,
        mut is_over: impl FnMut(Stamp<Driver>) -> bool,
    ) -> io::Result<()> {
        clock::tighten_timer_slack();
        let start: Stamp<Driver> = clock::now();
        let epoch_ns = match self.epoch {
            Epoch::Start => start.nanos(),
            // It has not come yet, and outages do not come before it.
            Epoch::FirstLoad => u64::MAX,
        };
        self.begin(epoch_ns);
        let mut buffer = vec![0; PACKET_MAX];
        loop {
            for direction in Direction::ALL {
                self.read(direction, &mut buffer)?;
            }
            let now = clock::now();
            self.deliver(now);
            if is_over(now) {
                return Ok(());
            }
            match pause {
                Pause::Spin => std::hint::spin_loop(),
                Pause::Sleep => self.transit.wait(now),
            }
        }
    }

    /// What the line did in `direction` to packets of `class`.
    #[must_use]
    pub const fn counts(&self, direction: Direction, class: Class) -> Counts {
        self.lines.get(direction).counts(class)
    }

    /// How much later than due packets were written, in nanoseconds: the emulator's own error.
    #[must_use]
    pub const fn lateness(&self, direction: Direction) -> &Delays {
        self.lateness.get(direction)
    }

    /// Arrivals that the receiving host's device did not take: it was down, or they were no IP
    /// packets. Not 0 means that the counts are not the whole truth.
    #[must_use]
    pub const fn refused(&self, direction: Direction) -> u64 {
        *self.refused.get(direction)
    }

    /// What was logged, in the order in which it was settled: a loss when it was read, an arrival
    /// when it was written.
    #[must_use]
    pub fn log(&self) -> &[Entry] {
        self.log.as_deref().unwrap_or(&[])
    }

    /// What found the log full; not 0 means that the log is not the whole truth.
    #[must_use]
    pub const fn log_missed(&self) -> u64 {
        self.log_missed
    }

    fn begin(&mut self, epoch_ns: u64) {
        for direction in Direction::ALL {
            self.lines.get_mut(direction).set_epoch(epoch_ns);
        }
    }

    fn read(&mut self, direction: Direction, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..BATCH {
            let before: Stamp<Driver> = clock::now();
            let Some(len) = self.devices.get_mut(direction).read(buffer)? else {
                *self.empty_ns.get_mut(direction) = before.nanos();
                return Ok(());
            };
            let now: Stamp<Driver> = clock::now();
            self.offer(direction, now.nanos(), &buffer[..len]);
        }
        Ok(())
    }

    fn offer(&mut self, direction: Direction, read_ns: u64, packet: &[u8]) {
        let class = class_of_packet(packet);
        if class == Class::Load && !self.has_load {
            self.has_load = true;
            if self.epoch == Epoch::FirstLoad {
                self.begin(read_ns);
            }
        }
        let line = self.lines.get_mut(direction);
        let number = line.counts(class).offered;
        let octets = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        let deliveries = line.offer(read_ns, octets.into(), class);
        let fate = deliveries.fate();
        let empty_ns = *self.empty_ns.get(direction);
        let entry = Entry { direction, class, number, octets, fate, empty_ns, read_ns, out: None };
        if let Fate::Lost(_) = fate {
            self.note(entry);
        }
        self.transit.carry(&deliveries, || (packet.to_vec(), entry));
    }

    fn deliver(&mut self, now: Stamp<Driver>) {
        for _ in 0..BATCH {
            let Some((due_ns, (packet, entry))) = self.transit.next_due(now) else { return };
            let direction = entry.direction;
            let out = match direction {
                Direction::Forward => &mut self.devices.reverse,
                Direction::Reverse => &mut self.devices.forward,
            };
            let written_ns = clock::now::<Driver>().nanos();
            if out.write(&packet).is_err() {
                *self.refused.get_mut(direction) += 1;
            }
            self.lateness.get_mut(direction).record(written_ns.saturating_sub(due_ns));
            let done_ns = clock::now::<Driver>().nanos();
            self.note(Entry { out: Some(Out { due_ns, written_ns, done_ns }), ..entry });
        }
    }

    fn note(&mut self, entry: Entry) {
        match &mut self.log {
            None => {}
            Some(log) if log.len() < LOG_MAX => log.push(entry),
            Some(_) => self.log_missed += 1,
        }
    }
}
