//! The progress line: what a person sees while a step runs. On a terminal only.

use crate::dataplane::Gauge;
use crate::io::terminal::{is_watched, say};
use crate::trial::Trial;
use crate::units::{ByteCount, Span};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What is shown of a run while it runs.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    talks: bool,
    step: Option<Step>,
}

#[derive(Debug)]
struct Step {
    what: String,
    length: Span,
    began: Duration,
    octets: u64,
    sent: u64,
    payload: u64,
    at: Duration,
}

impl Progress {
    /// Shows progress where somebody `watches`, and the standard error is a terminal.
    pub(super) fn new(watches: bool) -> Self {
        let bar = (watches && is_watched()).then(|| {
            let style = ProgressStyle::with_template("{bar:20} {wide_msg}");
            ProgressBar::new(1_000)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, talks: watches, step: None }
    }

    /// Says something that stays.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None if self.talks => say(text),
            None => {}
        }
    }

    /// A trial begins at `now`.
    pub(super) fn begin(&mut self, now: Duration, trial: &Trial) {
        let what = match (trial.directions(), trial.tcp()) {
            (None, _) => "idle probes".to_owned(),
            (Some(directions), None) => format!("UDP {directions}"),
            (Some(directions), Some(_)) => format!("TCP {directions}"),
        };
        let (length, payload) = (trial.duration(), trial.load().map_or(0, |load| load.payload()));
        let (began, at, payload) = (now, now, payload.into());
        self.step = Some(Step { what, length, began, octets: 0, sent: 0, payload, at });
    }

    /// Shows how it goes.
    pub(super) fn update(&mut self, now: Duration, gauge: &Gauge) {
        let (Some(bar), Some(step)) = (&self.bar, &mut self.step) else { return };
        let elapsed = now.saturating_sub(step.began);
        let since = Span::from_nanos(nanos(now.saturating_sub(step.at)));
        let (octets, sent) = (gauge.octets.load(Relaxed), gauge.sent.load(Relaxed));
        let rate = |octets: u64| {
            let rate =
                ByteCount::new(octets).per(since).map(crate::units::BitRate::bits_per_second);
            rate.unwrap_or(0) / 1_000_000
        };
        let outgoing = rate((sent - step.sent).saturating_mul(step.payload));
        let incoming = rate(octets - step.octets);
        (step.octets, step.sent, step.at) = (octets, sent, now);
        let load = match (outgoing, incoming) {
            (0, 0) => String::new(),
            _ => format!(", {outgoing} Mbit/s out, {incoming} in (L4)"),
        };
        let missing = gauge.missing.load(Relaxed);
        let missing = if 0 < missing { format!(", {missing} missing") } else { String::new() };
        let micros = gauge.round_trip_ns.load(Relaxed) / 1_000;
        let (ms, rest) = (micros / 1_000, micros % 1_000);
        let trip =
            if 0 < micros { format!(", round trip {ms}.{rest:03} ms") } else { String::new() };
        let permille = nanos(elapsed).saturating_mul(1_000) / step.length.nanos().max(1);
        bar.set_position(permille.min(1_000));
        let (done, whole) = (elapsed.as_secs(), step.length.secs_up());
        bar.set_message(format!("{} {done}/{whole} s{load}{missing}{trip}", step.what));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
