//! The screen: what a person sees of a run while it goes on. The progress line is for terminals
//! alone.

use crate::driver::{Event, EventReader, Phase, Progress};
use crate::io::terminal::{is_watched, say};
use crate::trial::Trial;
use crate::units::{BitRate, ByteCount, Span};
use indicatif::{ProgressBar, ProgressStyle};

/// What is shown of a run while it goes on.
#[derive(Debug)]
pub(super) struct Screen {
    talks: bool,
    bar: Option<ProgressBar>,
    step: Option<Step>,
}

/// Parts of the bar.
const PARTS: u64 = 1_000;

/// The trial under way, and what was shown of it last.
#[derive(Debug)]
struct Step {
    what: String,
    payload: u64,
    octets: u64,
    sent: u64,
    at: Span,
}

impl Screen {
    /// Says something where it `talks`, and shows progress where the standard error is a terminal
    /// besides.
    pub(super) const fn new(talks: bool) -> Self {
        Self { talks, bar: None, step: None }
    }

    /// Shows all of `events`.
    pub(super) async fn follow(mut self, mut events: EventReader) {
        while let Some(event) = events.next().await {
            self.show(&event);
        }
    }

    fn show(&mut self, event: &Event) {
        let (link, event) = event.on_link();
        let on = link.map(|link| format!("{link}: ")).unwrap_or_default();
        match event {
            Event::Phase { phase: Phase::Asking, .. } if self.bar.is_none() => {
                self.bar = (self.talks && is_watched()).then(bar);
            }
            Event::Phase { phase: Phase::Measuring(trial), .. } => {
                self.step = Some(Step::of(trial));
            }
            Event::Phase { phase: Phase::Over, .. } => {
                self.step = None;
                self.clear();
            }
            Event::Phase { .. } | Event::Caveat(_) | Event::Finding(_) | Event::OnLink { .. } => {}
            Event::Progress(progress) => self.update(progress),
            Event::Note(note) => self.say(&format!("note: {on}{note}")),
            Event::Warning(why) => self.say(&format!("warning: {on}{why}")),
        }
    }

    /// Says something that stays.
    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None if self.talks => say(text),
            None => {}
        }
    }

    /// Shows how the trial under way goes.
    fn update(&mut self, progress: &Progress) {
        let (Some(bar), Some(step)) = (&self.bar, &mut self.step) else { return };
        let permille = progress.elapsed.nanos().saturating_mul(PARTS);
        bar.set_position((permille / progress.length.nanos().max(1)).min(PARTS));
        bar.set_message(step.line(progress));
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:20} {wide_msg}");
    ProgressBar::new(PARTS).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Step {
    fn of(trial: &Trial) -> Self {
        let what = match (trial.directions(), trial.tcp()) {
            (None, _) => "idle probes".to_owned(),
            (Some(directions), None) => format!("UDP {directions}"),
            (Some(directions), Some(_)) => format!("TCP {directions}"),
        };
        let payload = trial.load().map_or(0, |load| load.payload()).into();
        Self { what, payload, octets: 0, sent: 0, at: Span::default() }
    }

    /// What the progress line says: rates are of the time since it said something last.
    fn line(&mut self, progress: &Progress) -> String {
        let &Progress { elapsed, length, sent, octets, missing, round_trip, .. } = progress;
        let since = elapsed.minus(self.at);
        let rate = |octets: u64| {
            let rate = ByteCount::new(octets).per(since).map(BitRate::bits_per_second);
            rate.unwrap_or(0) / 1_000_000
        };
        let outgoing = rate(sent.saturating_sub(self.sent).saturating_mul(self.payload));
        let incoming = rate(octets.saturating_sub(self.octets));
        (self.octets, self.sent, self.at) = (octets, sent, elapsed);
        let load = match (outgoing, incoming) {
            (0, 0) => String::new(),
            _ => format!(", {outgoing} Mbit/s out, {incoming} in (L4)"),
        };
        let missing = if 0 < missing { format!(", {missing} missing") } else { String::new() };
        let micros = round_trip.map_or(0, |trip| trip.nanos() / 1_000);
        let (ms, rest) = (micros / 1_000, micros % 1_000);
        let trip =
            if 0 < micros { format!(", round trip {ms}.{rest:03} ms") } else { String::new() };
        let (done, whole) = (elapsed.nanos() / NANOS_PER_SECOND, length.secs_up());
        format!("{} {done}/{whole} s{load}{missing}{trip}", self.what)
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::trial::{Load, LoadKind};
    use crate::units::PacketRate;

    fn progress(millis: u64, sent: u64, octets: u64) -> Progress {
        let (elapsed, length) = (Span::from_millis(millis), Span::from_secs(10));
        Progress { site: 0, elapsed, length, sent, octets, missing: 0, round_trip: None }
    }

    #[test]
    fn the_line_says_what_is_sent_and_what_comes_since_it_was_last_seen() {
        let rate = PacketRate::new(1_000).expect("a rate");
        let load = Load::new(Directions::Both, 1, 1_000, rate, LoadKind::FixedRate);
        let trial = Trial::new(load.ok(), Span::from_secs(10)).expect("a trial");
        let mut step = Step::of(&trial);
        let first = step.line(&progress(500, 500, 500_000));
        assert_eq!(first, "UDP both 0/10 s, 8 Mbit/s out, 8 in (L4)");
        // What is dropped in between is in the next.
        let later = Progress {
            missing: 3,
            round_trip: Some(Span::from_nanos(1_234_567)),
            ..progress(2_500, 4_500, 500_000)
        };
        let later = step.line(&later);
        assert_eq!(
            later,
            "UDP both 2/10 s, 16 Mbit/s out, 0 in (L4), 3 missing, round trip 1.234 ms"
        );
    }

    #[test]
    fn of_an_idle_trial_there_is_no_rate() {
        let trial = Trial::new(None, Span::from_secs(10)).expect("a trial");
        assert_eq!(Step::of(&trial).line(&progress(1_999, 0, 0)), "idle probes 1/10 s");
    }
}
