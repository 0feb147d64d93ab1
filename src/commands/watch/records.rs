//! What is kept of the paths that are probed: summed up, and written once a minute.

use super::probes::Seen;
use crate::account::plain;
use crate::commands::recording::record_probed;
use crate::health::{Batch, Observed, PathBatch, PathName, PathRows, Reach, Rollup};
use crate::io::clock::wall_ns;
use crate::io::terminal::say;
use crate::stats::real;
use crate::store::Place;
use crate::units::PacketRate;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::MissedTickBehavior;

/// How often what is known is written.
const EVERY: Duration = Duration::from_secs(60);

/// The records, kept by a task of their own.
pub(super) struct Records(JoinHandle<()>);

impl Records {
    /// Keeps what is sent in the history at `place`.
    pub(super) fn begin(place: Place) -> (Self, mpsc::UnboundedSender<Seen>) {
        let (sender, seen) = mpsc::unbounded_channel();
        (Self(tokio::spawn(keep(place, seen))), sender)
    }

    /// Waits until all is written, once whoever sends has ended.
    pub(super) async fn end(self) {
        if let Err(error) = self.0.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// A path, and what is not written of it.
struct Kept {
    rate: PacketRate,
    rollup: Rollup,
    seen_s: i64,
}

async fn keep(place: Place, mut seen: mpsc::UnboundedReceiver<Seen>) {
    let mut paths: BTreeMap<PathName, Kept> = BTreeMap::new();
    let mut write = tokio::time::interval(EVERY);
    write.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            one = seen.recv() => match one {
                Some(one) => take(&mut paths, one),
                None => break,
            },
            _ = write.tick() => written(&place, batch_of(&mut paths, false)).await,
        }
    }
    written(&place, batch_of(&mut paths, true)).await;
}

fn take(paths: &mut BTreeMap<PathName, Kept>, Seen { path, rate, observed }: Seen) {
    match observed {
        Observed::Settled(second) => {
            let new = || Kept { rate, rollup: Rollup::default(), seen_s: 0 };
            let kept = paths.entry(path).or_insert_with(new);
            (kept.rate, kept.seen_s) = (rate, second.start_s + 1);
            kept.rollup.on_second(&second);
        }
        Observed::Reach(reach) => say(&plain(&words(&path, &reach))),
        Observed::Live(_) => {}
    }
}

/// What is reported of a path whose agent is reached, or is not any more.
fn words(PathName { link, site }: &PathName, reach: &Reach) -> String {
    let path = format!("{link} to {site}");
    match reach {
        Reach::Probing => format!("{path}: probing"),
        Reach::Resting => format!("{path}: probing pauses while a run loads the link"),
        Reach::NoAgent(why) => format!("{path}: the host answers, but no agent: {why}"),
        Reach::Refused(why) => format!("{path}: not probed: {why}"),
        Reach::Silent(why) => format!("{path}: the link or its far end does not answer: {why}"),
        Reach::ThisHost(why) => format!("{path}: this host cannot probe it: {why}"),
    }
}

fn batch_of(paths: &mut BTreeMap<PathName, Kept>, is_over: bool) -> Batch {
    let batch = paths.iter_mut().map(|(name, kept)| PathBatch {
        name: name.clone(),
        probes_per_second: real(kept.rate.packets()) / real(kept.rate.seconds()),
        seen_s: kept.seen_s,
        rows: kept.rollup.take(is_over),
    });
    Batch { paths: batch.filter(|it| !PathRows::is_empty(&it.rows)).collect() }
}

/// A database that does not answer holds up nothing: meanwhile seconds wait in their channel.
async fn written(place: &Place, batch: Batch) {
    if batch.paths.is_empty() {
        return;
    }
    let place = place.clone();
    let now_s = i64::try_from(wall_ns() / 1_000_000_000).unwrap_or(i64::MAX);
    let written = spawn_blocking(move || record_probed(&place, &batch, now_s)).await;
    if let Ok(Err(why)) = written {
        say(&plain(&format!("warning: what the probes showed could not be recorded: {why}")));
    }
}
