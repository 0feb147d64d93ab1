//! The evidence of throughput, put together where both ends' accounts meet: what left in the window
//! and arrived, and how the transit time grew, on the sender's clock.

use super::{Steady, transit};
use crate::account::{
    PathChange, ReceiverCounts, SenderCounts, SentPart, SentWindow, StreamReceived,
    ThroughputEvidence, TransitBlock, TransitFit, TransitSample,
};
use crate::stats::growth::{self, Level, Step};
use crate::stats::skew::{Skew, Transit, skew};
use crate::stats::{difference, real, signed_real};
use crate::units::Span;

/// The probes of a trial in one direction, those behind the load among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProbesSeen<'a> {
    /// Those that arrived.
    pub(super) transits: &'a [Transit],
    /// Those of the other direction.
    pub(super) facing: &'a [Transit],
    /// When those that were lost behind the load were sent, on the sender's clock.
    pub(super) lost_ns: &'a [u64],
}

/// The evidence of one direction of a trial of `duration`, and the blocks are taken from
/// `receiver`; `None` where an end did not report its window.
pub(super) fn evidence(
    duration: Span,
    sender: &SenderCounts,
    receiver: &mut ReceiverCounts,
    probes: ProbesSeen<'_>,
) -> Option<ThroughputEvidence> {
    let blocks = std::mem::take(&mut receiver.transits);
    let windows: Vec<(SentWindow, StreamReceived)> = sender
        .streams
        .iter()
        .filter_map(|sent| {
            let of = |received: &&StreamReceived| received.stream == sent.stream;
            Some((sent.window?, *receiver.streams.iter().find(of)?))
        })
        .collect();
    let parts = |part: fn(&SentWindow) -> SentPart,
                 received: fn(&StreamReceived) -> Option<u64>| {
        let pairs = windows.iter().map(|(sent, came)| (part(sent), received(came)));
        pairs.map(|(part, received)| Some((part, received?))).collect::<Option<Vec<_>>>()
    };
    let whole = parts(|window| window.whole, |stream| stream.in_window)?;
    let last_third = parts(|window| window.last_third, |stream| stream.in_last_third)?;
    let began_ns = windows.iter().map(|(window, _)| window.began_ns).min()?;
    let steady = Steady::of(duration);
    let skew = skew(probes.transits, probes.facing);
    let timeline = Timeline { began_ns, steady, block_ns: transit::block_ns(&steady), skew };
    let blocks: Vec<TransitBlock> = timeline.straightened(&blocks).collect();
    let (places, levels): (Vec<u64>, Vec<Level>) = levels(&blocks).unzip();
    let trailing = timeline.trailing(&blocks, probes, duration);
    // What left sooner stood in the queue that it is to show empty.
    let drained_ns =
        duration.nanos().saturating_add(nanos(growth::standing(&levels)).unsigned_abs());
    let drained = trailing.iter().filter(|(sent_ns, _)| drained_ns <= *sent_ns);
    let behind: Vec<f64> = drained.filter_map(|(_, transit)| *transit).collect();
    let step = growth::step(&levels, &behind);
    let straight = growth::without(&levels, step);
    let fits = Fits { timeline, levels: &levels, straight: &straight, behind: &behind };
    let third = places.partition_point(|place| *place < blocks.len() as u64 * 2 / 3);
    let (whole, last_third) = (fits.fit(0, &whole), fits.fit(third, &last_third));
    let mean = |each: fn(&SentPart) -> u64| {
        let all = windows.iter().map(|(window, _)| u128::from(each(&window.whole)));
        u64::try_from(all.sum::<u128>() / windows.len().max(1) as u128).unwrap_or(u64::MAX)
    };
    let floor = nanos(levels.iter().map(|level| level.tenth).fold(f64::INFINITY, f64::min));
    Some(ThroughputEvidence {
        window_start_ns: mean(|part| part.start_ns),
        window_end_ns: mean(|part| part.end_ns),
        whole,
        last_third,
        path_change: fits.path_change(step, &places, whole.spread_ns),
        skew_error_ns: timeline.skew_error_ns(whole.duration_ns),
        blocks: blocks.iter().map(|block| block.less(floor)).collect(),
        trailing_probes: trailing
            .into_iter()
            .map(|(sent_ns, transit)| TransitSample {
                sent_ns,
                transit_ns: transit.map(|transit| nanos(transit).saturating_sub(floor)),
            })
            .collect(),
    })
}

/// The sender's clock, as the blocks of a window count it.
#[derive(Clone, Copy, Debug)]
struct Timeline {
    /// When the load's first packet was due.
    began_ns: u64,
    steady: Steady,
    block_ns: u64,
    skew: Skew,
}

impl Timeline {
    /// What the clock of the receiver has gained on the sender's `after_ns` after the load's start.
    fn drift(&self, after_ns: f64) -> f64 {
        self.skew.rate * after_ns
    }

    fn skew_error_ns(&self, over_ns: u64) -> u64 {
        nanos(self.skew.error * real(over_ns)).unsigned_abs()
    }

    /// The blocks as the sender's clock has them.
    fn straightened<'a>(
        &self,
        blocks: &'a [TransitBlock],
    ) -> impl Iterator<Item = TransitBlock> + use<'a> {
        let timeline = *self;
        (0_u64..).zip(blocks).map(move |(place, block)| {
            let middle =
                real(place.saturating_mul(timeline.block_ns)) + real(timeline.block_ns) / 2.0;
            let after = real(timeline.steady.from_ns()) + middle;
            block.less(nanos(timeline.drift(after)))
        })
    }

    /// What `probe` took, on the sender's clock and as of the first of `transits`, and when it left
    /// after the load's start.
    fn place(&self, first: Transit, probe: &Transit) -> (u64, f64) {
        let sent_ns = probe.sent_ns.saturating_sub(self.began_ns);
        let above_ns = signed_real(probe.delay_ns.saturating_sub(first.delay_ns));
        (sent_ns, above_ns - self.drift(real(sent_ns)))
    }

    /// The probes behind the load in the scale of `blocks`. Probes and load are not of one size,
    /// and so do not take the same time: what is between them is what a tenth of the probes beside
    /// the load are below, against its own tenth.
    fn trailing(
        &self,
        blocks: &[TransitBlock],
        probes: ProbesSeen<'_>,
        duration: Span,
    ) -> Vec<(u64, Option<f64>)> {
        let Some(first) = probes.transits.first() else { return Vec::new() };
        let placed = || probes.transits.iter().map(|probe| self.place(*first, probe));
        let beside = placed().filter(|(sent_ns, _)| self.steady.includes(*sent_ns));
        let above = beside.filter_map(|(sent_ns, transit)| {
            let block = (sent_ns - self.steady.from_ns()) / self.block_ns.max(1);
            let block = blocks.get(usize::try_from(block).ok()?)?;
            Some(transit - signed_real(block.transit_p10_ns?))
        });
        let Some(between) = growth::tenth(&above.collect::<Vec<_>>()) else { return Vec::new() };
        let is_behind = |sent_ns: u64| duration.nanos() <= sent_ns;
        let arrived = placed().map(|(sent_ns, transit)| (sent_ns, Some(transit - between)));
        let lost = probes.lost_ns.iter().map(|ns| (ns.saturating_sub(self.began_ns), None));
        let mut trailing: Vec<_> =
            arrived.chain(lost).filter(|(sent_ns, _)| is_behind(*sent_ns)).collect();
        trailing.sort_by_key(|(sent_ns, _)| *sent_ns);
        trailing
    }
}

/// The levels of the blocks in which anything arrived, and where those stand.
fn levels(blocks: &[TransitBlock]) -> impl Iterator<Item = (u64, Level)> {
    let level = |(place, block): (u64, &TransitBlock)| {
        let extremes = block.transit_min_ns.zip(block.transit_max_ns);
        let extremes = extremes.map(|(min, max)| (signed_real(min), signed_real(max)));
        Some((place, Level { tenth: signed_real(block.transit_p10_ns?), extremes }))
    };
    (0..).zip(blocks).filter_map(level)
}

/// What the growth of a part of the window is fitted to.
struct Fits<'a> {
    timeline: Timeline,
    levels: &'a [Level],
    /// The same without the step of the path.
    straight: &'a [Level],
    /// Transit times once its queue is empty.
    behind: &'a [f64],
}

impl Fits<'_> {
    /// The part from the level `from` on, in which each of `streams` sent and received this.
    fn fit(&self, from: usize, streams: &[(SentPart, u64)]) -> TransitFit {
        let mean = |each: fn(&SentPart) -> u64| {
            let all = streams.iter().map(|(part, _)| u128::from(each(part))).sum::<u128>();
            u64::try_from(all / streams.len().max(1) as u128).unwrap_or(u64::MAX)
        };
        let duration_ns = mean(|part| part.end_ns - part.start_ns);
        let sent = |part: &SentPart| part.next - part.first;
        let growth = growth::growth(&self.straight[from..]).map(|growth| {
            let end = self.levels.last().map_or(0.0, |level| level.tenth);
            let rise_ns = growth::drained(growth.rise_ns, end, self.behind);
            growth::Growth { rise_ns, ..growth }
        });
        let error_ns = self.timeline.skew_error_ns(duration_ns);
        TransitFit {
            duration_ns,
            sent: streams.iter().map(|(part, _)| sent(part)).fold(0, u64::saturating_add),
            carried: streams
                .iter()
                .map(|(part, received)| sent(part).min(*received))
                .fold(0, u64::saturating_add),
            rise_ns: growth.map(|growth| nanos(growth.rise_ns)),
            spread_ns: growth
                .map(|growth| nanos(growth.spread_ns).unsigned_abs().saturating_add(error_ns)),
            held_ns: mean(|part| part.held_ns),
            paused_ns: mean(|part| part.paused_ns),
            pauses: streams.iter().map(|(part, _)| part.pauses).max().unwrap_or(0),
        }
    }

    fn path_change(
        &self,
        step: Option<Step>,
        places: &[u64],
        spread_ns: Option<u64>,
    ) -> Option<PathChange> {
        let Timeline { steady, block_ns, .. } = self.timeline;
        if let Some(Step { block, change_ns }) = step {
            let after_ns = block_ns.saturating_mul(*places.get(block)?);
            let at_ns = Some(steady.from_ns().saturating_add(after_ns));
            return Some(PathChange { at_ns, change_ns: nanos(change_ns) });
        }
        let start: Vec<f64> = self.levels.iter().take(5).map(|level| level.tenth).collect();
        let change = growth::changed(growth::median(&start), real(spread_ns?), self.behind)?;
        Some(PathChange { at_ns: None, change_ns: nanos(change) })
    }
}

/// The nearest nanosecond.
fn nanos(real: f64) -> i64 {
    difference(real.round())
}
