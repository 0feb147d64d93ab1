//! Transit times of a stream by the time at which its packets left: 100 ms by 100 ms, the number
//! that arrived and the 10th percentile. Bounded, and nothing is allocated for a packet.

use super::Steady;
use crate::account::TransitBlock;
use crate::stats::growth::place_of_tenth;
use crate::units::{PacketRate, Span};

/// The length of a block.
const BLOCK: Span = Span::from_millis(100);

/// The fewest blocks of a window: a shorter one has shorter blocks.
const BLOCKS_MIN: u64 = 12;

/// In windows up to this, each block has its smallest and largest time too.
const SHORT: Span = Span::from_secs(6);

/// Blocks that still take packets: those of [`super::LATE_MAX`], and some more.
const OPEN: usize = 24;

/// Times of a block that its percentile is taken from; as many more where the sender catches up.
const SAMPLES: usize = 128;

/// The length of the blocks of `steady`, in nanoseconds.
pub(super) const fn block_ns(steady: &Steady) -> u64 {
    let twelfth_ns = (steady.until_ns() - steady.from_ns()) / BLOCKS_MIN;
    if twelfth_ns < BLOCK.nanos() { twelfth_ns } else { BLOCK.nanos() }
}

/// A block that still takes packets.
#[derive(Clone, Debug)]
struct Open {
    count: u64,
    extremes: Option<(i64, i64)>,
    samples: Vec<i64>,
}

impl Open {
    fn new() -> Self {
        Self { count: 0, extremes: None, samples: Vec::with_capacity(2 * SAMPLES) }
    }

    fn take(&mut self, transit_ns: i64, is_sample: bool) {
        self.count += 1;
        let (min, max) = self.extremes.unwrap_or((transit_ns, transit_ns));
        self.extremes = Some((min.min(transit_ns), max.max(transit_ns)));
        // One sample at least, however few packets arrived.
        if self.samples.len() < 2 * SAMPLES && (is_sample || self.samples.is_empty()) {
            self.samples.push(transit_ns);
        }
    }

    /// What the block has; it is empty for another then.
    fn close(&mut self, is_short: bool) -> TransitBlock {
        let extremes = self.extremes.take().filter(|_| is_short);
        let block = TransitBlock {
            count: std::mem::take(&mut self.count),
            transit_p10_ns: tenth(&mut self.samples),
            transit_min_ns: extremes.map(|(min, _)| min),
            transit_max_ns: extremes.map(|(_, max)| max),
        };
        self.samples.clear();
        block
    }
}

/// The 10th percentile, between the two that it lies between; `None` of none.
fn tenth(samples: &mut [i64]) -> Option<i64> {
    samples.sort_unstable();
    let (place, next, tenths) = place_of_tenth(samples.len())?;
    let part = i64::try_from(tenths).ok()?;
    Some(samples[place] + (samples[next] - samples[place]) / 10 * part)
}

/// The transit times of one stream.
#[derive(Debug)]
pub(super) struct Transits {
    steady: Steady,
    block_ns: u64,
    /// Blocks that the window has.
    blocks: usize,
    is_short: bool,
    /// Every so many packets one is a sample.
    stride: u64,
    /// What all times are relative to: the first packet's.
    reference_ns: Option<i64>,
    closed: Vec<TransitBlock>,
    /// Those that take packets: of block `n`, at `n` modulo their number.
    open: Vec<Open>,
}

impl Transits {
    /// Of a stream of `rate` in a trial of this steady part; of `None`, where nobody asks for them.
    pub(super) fn new(steady: Steady, rate: PacketRate) -> Self {
        let steady_ns = steady.until_ns() - steady.from_ns();
        let block_ns = block_ns(&steady).max(1);
        let packets = rate.packets_in(Span::from_nanos(block_ns));
        let blocks = usize::try_from(steady_ns / block_ns).unwrap_or(0);
        Self {
            steady,
            block_ns,
            blocks,
            is_short: steady_ns <= SHORT.nanos(),
            stride: packets.div_ceil(SAMPLES as u64).max(1),
            reference_ns: None,
            closed: Vec::with_capacity(blocks),
            open: Vec::new(),
        }
    }

    /// A packet of number `sequence` that left at `sent_ns` of its stream took `transit_ns`, as the
    /// two clocks have it.
    pub(super) fn on_arrival(&mut self, sequence: u64, sent_ns: u64, transit_ns: i64) {
        if !self.steady.includes(sent_ns) {
            return;
        }
        let block = (sent_ns - self.steady.from_ns()) / self.block_ns;
        // What is left of the window behind its last whole block is part of that.
        let block = usize::try_from(block).unwrap_or(usize::MAX).min(self.blocks.saturating_sub(1));
        if self.open.is_empty() {
            self.open.resize_with(OPEN, Open::new);
        }
        while self.closed.len() + OPEN <= block {
            self.close_next();
        }
        let above_ns = transit_ns.wrapping_sub(*self.reference_ns.get_or_insert(transit_ns));
        match self.closed.get_mut(block) {
            Some(closed) => closed.count += 1,
            None => self.open[block % OPEN].take(above_ns, sequence.is_multiple_of(self.stride)),
        }
    }

    fn close_next(&mut self) {
        let next = self.closed.len() % OPEN;
        let block = self.open[next].close(self.is_short);
        self.closed.push(block);
    }

    /// All blocks; none where nothing arrived.
    pub(super) fn finish(mut self) -> Vec<TransitBlock> {
        while !self.open.is_empty() && self.closed.len() < self.blocks {
            self.close_next();
        }
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn transits(seconds: u64, per_second: u64) -> Transits {
        let rate = PacketRate::new(per_second).expect("a rate");
        Transits::new(Steady::of(Span::from_secs(seconds)), rate)
    }

    /// 1000 packets a second for 10 s, of which each takes as long as `transit_ns` says.
    fn blocks(transit_ns: impl Fn(u64) -> Option<i64>) -> Vec<TransitBlock> {
        let mut transits = transits(10, 1_000);
        for sequence in 0..10_000 {
            if let Some(transit_ns) = transit_ns(sequence) {
                transits.on_arrival(sequence, sequence * MS, transit_ns);
            }
        }
        transits.finish()
    }

    #[test]
    fn each_block_has_its_packets_and_their_tenth() {
        let blocks = blocks(|sequence| Some(i64::try_from(sequence % 100).expect("small") * 10));
        assert_eq!(blocks.len(), 96);
        assert!(blocks.iter().all(|block| block.count == 100), "{blocks:?}");
        assert_eq!(blocks[0].transit_p10_ns, Some(99), "9.9 of 0 to 99, times 10");
        assert_eq!(blocks[0].transit_max_ns, None, "the window is longer than 6 s");
    }

    #[test]
    fn a_block_of_which_nothing_arrived_has_no_time() {
        let blocks = blocks(|sequence| (sequence / 1_000 != 5).then_some(-3));
        let empty: Vec<usize> =
            (0..96).filter(|block| blocks[*block].transit_p10_ns.is_none()).collect();
        assert_eq!(empty, (48..58).collect::<Vec<_>>());
        assert!(transits(10, 1_000).finish().is_empty());
    }

    #[test]
    fn a_packet_that_comes_after_its_block_is_closed_is_counted() {
        let mut transits = transits(10, 1_000);
        transits.on_arrival(0, 200 * MS, 5);
        transits.on_arrival(1, 9_750 * MS, 7);
        transits.on_arrival(2, 201 * MS, 2_000);
        transits.on_arrival(3, u64::MAX, 2_000);
        let blocks = transits.finish();
        assert_eq!((blocks[0].count, blocks[0].transit_p10_ns), (2, Some(0)));
        assert_eq!((blocks[95].count, blocks[95].transit_p10_ns), (1, Some(2)));
    }

    #[test]
    fn a_short_window_has_twelve_blocks_with_their_extremes() {
        let mut transits = transits(1, 10_000);
        for sequence in 0..10_000 {
            transits.on_arrival(sequence, sequence * MS / 10, i64::from(sequence % 3 == 0));
        }
        let blocks = transits.finish();
        assert_eq!((blocks.len(), blocks[3].count), (12, 500));
        assert_eq!((blocks[3].transit_min_ns, blocks[3].transit_max_ns), (Some(0), Some(1)));
    }

    #[test]
    fn a_fast_stream_is_sampled() {
        let mut transits = transits(2, 1_000_000);
        assert_eq!(transits.stride, 782);
        for sequence in 0..2_000_000 {
            transits.on_arrival(sequence, sequence * 1_000, i64::from(sequence % 7 == 0));
        }
        assert!(transits.open.iter().all(|open| open.samples.capacity() == 2 * SAMPLES));
        let blocks = transits.finish();
        assert_eq!((blocks.len(), blocks[15].count), (16, 100_000));
    }
}
