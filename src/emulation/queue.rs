//! What a rate does to packets: a queue delays them, a policer drops them. Exact, in integers.
//!
//! Both count in nanobits (10^-9 bit): a rate of 1 bit/s moves exactly one of them in 1 ns, so
//! there is no remainder to lose. Whole nanoseconds appear only in the answer.

use super::Cause;

/// A line rate with a queue in front of it, which drops at its tail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shaper {
    /// The rate of the line, overhead included; at 0 nothing enters, as if the queue were full.
    pub bits_per_second: u64,
    /// The room for octets that have not left yet, overhead included, those of the packet that is
    /// leaving too. An idle line takes any packet, however small this is.
    pub queue_octets: u64,
    /// Octets that each packet has on the line beyond its IP length: 18 for Ethernet's header and
    /// checksum, 38 with preamble and gap too.
    pub overhead_octets: u32,
}

impl Shaper {
    /// The longest that a packet which found the line busy can take to leave, in nanoseconds,
    /// rounded up: the whole queue at the line's rate.
    #[must_use]
    pub fn queue_ns_max(&self) -> u64 {
        drain_ns(nanobits(self.queue_octets), self.bits_per_second)
    }
}

/// A committed rate: a bucket of tokens, full at the start; what finds too few of them is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Policer {
    /// The rate at which tokens come, overhead included; at 0 one burst passes, then nothing.
    pub bits_per_second: u64,
    /// The size of the bucket, overhead included; a packet larger than this never passes.
    pub burst_octets: u64,
    /// Octets that each packet is charged beyond its IP length.
    pub overhead_octets: u32,
}

/// A [`Shaper`] at work.
#[derive(Debug)]
pub(super) struct Queue {
    shaper: Shaper,
    backlog_nanobits: u128,
    seen_ns: u64,
}

impl Queue {
    pub(super) const fn empty(shaper: Shaper) -> Self {
        Self { shaper, backlog_nanobits: 0, seen_ns: 0 }
    }

    /// When the last bit of a packet that comes now has left, in nanoseconds, rounded up.
    ///
    /// `now_ns` never decreases from call to call.
    pub(super) fn enter(&mut self, now_ns: u64, octets: u32) -> Result<u64, Cause> {
        let rate = self.shaper.bits_per_second;
        let left = moved_nanobits(rate, now_ns - self.seen_ns);
        self.backlog_nanobits = self.backlog_nanobits.saturating_sub(left);
        self.seen_ns = now_ns;
        let packet = packet_nanobits(octets, self.shaper.overhead_octets);
        let backlog = self.backlog_nanobits + packet;
        let is_busy = self.backlog_nanobits != 0;
        if rate == 0 || (is_busy && nanobits(self.shaper.queue_octets) < backlog) {
            return Err(Cause::QueueFull);
        }
        self.backlog_nanobits = backlog;
        Ok(now_ns.saturating_add(drain_ns(backlog, rate)))
    }
}

/// A [`Policer`] at work.
#[derive(Debug)]
pub(super) struct Bucket {
    policer: Policer,
    token_nanobits: u128,
    seen_ns: u64,
}

impl Bucket {
    pub(super) fn full(policer: Policer) -> Self {
        Self { policer, token_nanobits: nanobits(policer.burst_octets), seen_ns: 0 }
    }

    /// Takes the tokens of a packet that comes now; if there are too few, takes none.
    ///
    /// `now_ns` never decreases from call to call.
    pub(super) fn take(&mut self, now_ns: u64, octets: u32) -> Result<(), Cause> {
        let come = moved_nanobits(self.policer.bits_per_second, now_ns - self.seen_ns);
        let burst = nanobits(self.policer.burst_octets);
        self.token_nanobits = self.token_nanobits.saturating_add(come).min(burst);
        self.seen_ns = now_ns;
        let packet = packet_nanobits(octets, self.policer.overhead_octets);
        self.token_nanobits = self.token_nanobits.checked_sub(packet).ok_or(Cause::Policed)?;
        Ok(())
    }
}

/// Can't overflow: 2^64 octets are less than 2^97 nanobits.
fn nanobits(octets: u64) -> u128 {
    u128::from(octets) * 8 * 1_000_000_000
}

fn packet_nanobits(octets: u32, overhead_octets: u32) -> u128 {
    nanobits(u64::from(octets) + u64::from(overhead_octets))
}

fn moved_nanobits(bits_per_second: u64, elapsed_ns: u64) -> u128 {
    u128::from(bits_per_second) * u128::from(elapsed_ns)
}

/// The nanoseconds that `backlog_nanobits` take at a rate, rounded up; at 0 for ever.
fn drain_ns(backlog_nanobits: u128, bits_per_second: u64) -> u64 {
    match bits_per_second {
        0 => u64::MAX,
        rate => u64::try_from(backlog_nanobits.div_ceil(rate.into())).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn queue(bits_per_second: u64, queue_octets: u64, overhead_octets: u32) -> Queue {
        Queue::empty(Shaper { bits_per_second, queue_octets, overhead_octets })
    }

    fn bucket(bits_per_second: u64, burst_octets: u64, overhead_octets: u32) -> Bucket {
        Bucket::full(Policer { bits_per_second, burst_octets, overhead_octets })
    }

    #[test]
    fn a_packet_leaves_an_idle_line_after_its_own_length() {
        // 1250 octets are 10000 bits: 100 us at 100 Mbit/s.
        assert_eq!(queue(100_000_000, 0, 0).enter(7, 1_250), Ok(7 + 100_000));
        assert_eq!(queue(100_000_000, 0, 18).enter(7, 1_232), Ok(7 + 100_000));
    }

    #[test]
    fn a_full_line_passes_exactly_rate_times_time() {
        // Twice the rate for one second: 100 Mbit are 12.5 MB, or 10000 packets of 1250 octets.
        let mut queue = queue(100_000_000, 12_500, 18);
        let departures: Vec<u64> =
            (0..20_000).filter_map(|n| queue.enter(n * 50_000, 1_232).ok()).collect();
        assert_eq!(departures.iter().filter(|&&at_ns| at_ns <= SECOND_NS).count(), 10_000);
        assert!(departures.windows(2).all(|pair| pair[1] - pair[0] == 100_000));
    }

    #[test]
    fn a_third_of_a_nanosecond_never_adds_up() {
        // One octet takes 8/3 ns at 3 Gbit/s. All are there at 0: the n-th leaves at ceil(8n/3).
        let mut queue = queue(3_000_000_000, 1 << 20, 0);
        for n in 1..=1_000_000_u64 {
            assert_eq!(queue.enter(0, 1), Ok((8 * n).div_ceil(3)));
        }
    }

    #[test]
    fn the_queue_holds_exactly_its_octets() {
        let mut queue = queue(8_000, 3_000, 0);
        assert_eq!(queue.enter(0, 1_000), Ok(SECOND_NS));
        assert_eq!(queue.enter(0, 1_000), Ok(2 * SECOND_NS));
        assert_eq!(queue.enter(0, 1_001), Err(Cause::QueueFull));
        assert_eq!(queue.enter(0, 1_000), Ok(3 * SECOND_NS));
        assert_eq!(queue.enter(0, 1), Err(Cause::QueueFull));
        // An octet leaves in 1 ms: one nanosecond before, its room is still taken.
        assert_eq!(queue.enter(999_999, 1), Err(Cause::QueueFull));
        assert_eq!(queue.enter(1_000_000, 1), Ok(3 * SECOND_NS + 1_000_000));
    }

    #[test]
    fn a_line_without_a_queue_takes_a_packet_only_while_idle() {
        let mut queue = queue(8_000, 0, 0);
        assert_eq!(queue.enter(0, 1_000), Ok(SECOND_NS));
        assert_eq!(queue.enter(SECOND_NS - 1, 1), Err(Cause::QueueFull));
        assert_eq!(queue.enter(SECOND_NS, 1_000), Ok(2 * SECOND_NS));
    }

    #[test]
    fn the_longest_wait_is_the_whole_queue_at_the_rate() {
        let shaper = Shaper { bits_per_second: 8_000, queue_octets: 3_000, overhead_octets: 0 };
        assert_eq!(shaper.queue_ns_max(), 3 * SECOND_NS);
        let mut queue = Queue::empty(shaper);
        let longest = (0..30).filter_map(|_| queue.enter(0, 100).ok()).max();
        assert_eq!(longest, Some(shaper.queue_ns_max()));
    }

    #[test]
    fn a_rate_of_zero_carries_nothing() {
        assert_eq!(queue(0, u64::MAX, 0).enter(0, 1), Err(Cause::QueueFull));
    }

    #[test]
    fn a_policer_passes_its_burst_at_once_and_then_its_rate() {
        // 8 Mbit/s: one octet per microsecond.
        let mut bucket = bucket(8_000_000, 3_000, 0);
        let passed = (0..10).filter(|_| bucket.take(0, 1_000).is_ok()).count();
        assert_eq!(passed, 3);
        assert_eq!(bucket.take(999_999, 1_000), Err(Cause::Policed));
        assert_eq!(bucket.take(1_000_000, 1_000), Ok(()));
        assert_eq!(bucket.take(1_000_000, 1), Err(Cause::Policed));
    }

    #[test]
    fn a_policer_passes_exactly_burst_plus_rate_times_time() {
        // Far above the rate, in packets of 100 + 25 octets: 8 Mbit/s * 1 s + 12500 octets.
        let mut bucket = bucket(8_000_000, 12_500, 25);
        let passed = (0..=100_000_u64).filter(|n| bucket.take(n * 10_000, 100).is_ok()).count();
        assert_eq!(passed, (1_000_000 + 12_500) / 125);
    }

    #[test]
    fn tokens_never_rise_above_the_burst() {
        let mut bucket = bucket(u64::MAX, 1_000, 0);
        assert_eq!(bucket.take(u64::MAX, 1_001), Err(Cause::Policed));
        assert_eq!(bucket.take(u64::MAX, 1_000), Ok(()));
        assert_eq!(bucket.take(u64::MAX, 1), Err(Cause::Policed));
    }
}
