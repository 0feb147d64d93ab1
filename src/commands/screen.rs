//! The screen: what a person sees of a run while it goes on. On a terminal one line shows the phase
//! under way; elsewhere each phase leaves a line.

use super::error::Error;
use crate::account::plain;
use crate::direction::Direction;
use crate::driver::{Event, EventReader, Phase, Progress};
use crate::forecast::{AtOnce, Forecast, name_of, timetable, traffic, way_of};
use crate::framing::{Framing, IpVersion, Layer};
use crate::io::terminal::{error_columns, is_watched, say};
use crate::method::note::{Note, texts};
use crate::plan::Plan;
use crate::trial::Trial;
use crate::units::{BitRate, ByteCount, Span};
use crate::wrap::Page;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::{BTreeMap, BTreeSet};

/// What is shown of a run while it goes on.
#[derive(Debug)]
pub(super) struct Screen {
    talks: bool,
    sites: BTreeMap<SiteKey, SiteView>,
    /// Notes that were shown before the run began.
    shown: BTreeSet<String>,
    bar: Option<ProgressBar>,
    /// The trials under way.
    steps: BTreeMap<SiteKey, Step>,
    has_shown_a_key: bool,
}

/// A site: the name of its link, where several are run together, and its place in the plan.
type SiteKey = (Option<String>, usize);

/// What is known of a site before its run.
#[derive(Debug)]
struct SiteView {
    /// Its name before each line; empty where it is the only one.
    prefix: String,
    agent: String,
    framing: Framing,
    layer: Layer,
}

/// Columns of the bar before the line.
const BAR: usize = 10;

/// Columns of the narrowest terminal that has room for it.
const BAR_COLUMNS_MIN: usize = 60;

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

/// The trial under way, and what was shown of it last.
#[derive(Debug)]
struct Step {
    what: String,
    layer: Layer,
    /// Octets that a count of what was sent stands for: of UDP packets, of TCP octets.
    sent_octets: u64,
    /// Octets at the layer for so many octets of payload.
    frame: (u64, u64),
    /// Bits per second beside the load: out, in.
    beside: (u64, u64),
    octets: u64,
    sent: u64,
    at: Span,
    /// How far it is, in a few words.
    short: String,
}

impl Screen {
    /// Shows a run of `plans`, each of a link, where it `talks`: first how long that takes.
    pub(super) fn begin(talks: bool, plans: &[&Plan], at_once: Option<&AtOnce>) -> Self {
        let (several, mut sites) = (1 < plans.len(), BTreeMap::new());
        for plan in plans {
            let link = plan.link.name.clone().filter(|_| several);
            for (place, site) in plan.sites.iter().enumerate() {
                let ip = site.agent.name.parse().map_or(IpVersion::V4, IpVersion::of);
                let named = Some(site.name.clone()).filter(|_| 1 < plan.sites.len());
                let names: Vec<String> = link.clone().into_iter().chain(named).collect();
                let prefix = names.iter().map(|name| format!("{name}: ")).collect();
                let (framing, layer) = (plan.link.framing(ip), plan.link.layer);
                let agent = site.agent.to_string();
                sites.insert((link.clone(), place), SiteView { prefix, agent, framing, layer });
            }
        }
        let (bar, steps) = (None, BTreeMap::new());
        let (shown, has_shown_a_key) = (BTreeSet::new(), false);
        let mut screen = Self { talks, sites, shown, bar, steps, has_shown_a_key };
        // What cannot be composed is refused with its reason when the run begins.
        let forecasts: Result<Vec<_>, _> = plans.iter().map(|plan| Forecast::of(plan)).collect();
        if let Ok(forecasts) = forecasts
            && talks
        {
            let plans = plans.iter().copied().zip(&forecasts).collect::<Vec<_>>();
            screen.announce(&plans, at_once);
        }
        screen
    }

    /// Shows each phase with its time, and what it will not prove.
    fn announce(&mut self, plans: &[(&Plan, &Forecast)], at_once: Option<&AtOnce>) {
        let mut page = Page::listing(error_columns());
        let lines = [timetable(plans, at_once), traffic(plans)].concat();
        lines.iter().for_each(|text| page.wrapped("", text));
        let several = 1 < plans.len();
        for (plan, forecast) in plans {
            let name = plan.link.name.as_deref().filter(|_| several);
            let on = name.map(|name| format!("{name}: ")).unwrap_or_default();
            for site in &forecast.sites {
                // How far the agent lets it go is not known yet.
                let is_known = |note: &&Note| !matches!(note, Note::Capacity { .. });
                let notes: Vec<Note> = site.notes.iter().filter(is_known).cloned().collect();
                for note in texts(&notes) {
                    let text = format!("{on}{note}");
                    if self.shown.insert(text.clone()) {
                        page.wrapped("", &format!("note: {text}"));
                    }
                }
            }
        }
        say(page.into_text().trim_end());
    }

    /// Shows all of `events`; whether one of them was that an agent has another key, of which
    /// nothing is left to be said then.
    pub(super) async fn follow(mut self, mut events: EventReader) -> bool {
        while let Some(event) = events.next().await {
            self.show(&event);
        }
        self.has_shown_a_key
    }

    fn show(&mut self, event: &Event) {
        let (link, event) = event.on_link();
        let on = link.map(|link| format!("{link}: ")).unwrap_or_default();
        let key = |site: usize| (link.map(str::to_owned), site);
        match event {
            Event::Phase { site, phase: Phase::Over } => {
                self.steps.remove(&key(*site));
                if self.steps.is_empty() {
                    self.clear();
                }
            }
            Event::Phase { site, phase } => self.enter(key(*site), phase),
            Event::Caveat(_) | Event::Finding(_) | Event::OnLink { .. } => {}
            Event::Progress(progress) => self.update(&key(progress.site), progress),
            Event::Note(note) if self.shown.contains(&format!("{on}{note}")) => {}
            Event::Note(note) => self.say(&format!("note: {on}{note}")),
            Event::KeyChanged { host, expected, got, .. } => {
                self.has_shown_a_key = true;
                self.exclaim(&format!("{on}{}", Error::changed(host, *expected, *got)));
            }
            Event::Warning(why) => self.say(&format!("warning: {on}{why}")),
        }
    }

    /// A phase begins: on a terminal it takes the line, elsewhere what takes long leaves one.
    fn enter(&mut self, site: SiteKey, phase: &Phase) {
        let Some(view) = self.sites.get(&site).filter(|_| self.talks) else { return };
        let (what, takes_long) = match phase {
            Phase::Resolving => (format!("looking up {}", view.agent), false),
            Phase::Connecting => (format!("connecting to {}", view.agent), true),
            Phase::Asking => ("asking the agent for a grant".to_owned(), false),
            Phase::Searching(most) => {
                (format!("finding the path MTU, up to {most} octets of UDP payload"), true)
            }
            Phase::Measuring(trial) => {
                let name = name_of(trial, view.framing, view.layer);
                (format!("{name}, {}", trial.duration()), true)
            }
            Phase::Judging => ("judging".to_owned(), false),
            Phase::Over => return,
        };
        let line = format!("{}{what}", view.prefix);
        match phase {
            Phase::Measuring(trial) => _ = self.steps.insert(site, Step::of(trial, view)),
            _ => _ = self.steps.remove(&site),
        }
        match is_watched() {
            true => self.bar.get_or_insert_with(bar).set_message(line),
            false if takes_long => say(&line),
            false => {}
        }
    }

    /// Says something that stays.
    fn say(&self, text: &str) {
        let mut page = Page::listing(error_columns());
        page.wrapped("", text);
        let text = page.into_text();
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text.trim_end())),
            None if self.talks => say(text.trim_end()),
            None => {}
        }
    }

    /// Says what everybody has to know, whether or not they want to hear of the run.
    fn exclaim(&self, text: &str) {
        let exclaim = || text.lines().for_each(|line| say(&format!("error: {}", plain(line))));
        match &self.bar {
            Some(bar) => bar.suspend(exclaim),
            None => exclaim(),
        }
    }

    /// Shows how a trial under way goes.
    fn update(&mut self, site: &SiteKey, progress: &Progress) {
        let Some(step) = self.steps.get_mut(site).filter(|_| self.talks && is_watched()) else {
            return;
        };
        let columns = error_columns().unwrap_or(COLUMNS);
        let line = step.line(progress, columns);
        let line = match self.steps.len() {
            0 | 1 => line,
            _ => together(&self.steps, columns),
        };
        self.bar.get_or_insert_with(bar).set_message(line);
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// The line of several trials under way: how many there are, and each as far as there is room.
fn together(steps: &BTreeMap<SiteKey, Step>, columns: usize) -> String {
    let mut text = format!("{} trials under way", steps.len());
    for (place, step) in steps.values().enumerate() {
        let separator = if place == 0 { ": " } else { "; " };
        let more = format!("{separator}{}", step.short);
        if text.len() + more.len() < columns {
            text += &more;
        }
    }
    text
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}");
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Step {
    fn of(trial: &Trial, view: &SiteView) -> Self {
        let (framing, layer) = (view.framing, view.layer);
        let (what, sent_octets, frame) = match (trial.load(), trial.tcp()) {
            (Some(load), _) => {
                let payload = load.payload();
                let frame = framing.octets_at(layer, payload);
                ("UDP", payload.into(), (frame.into(), payload.into()))
            }
            (None, Some(load)) => {
                let segment = load.segment(framing.ip);
                let frame = framing.tcp_octets_at(layer, segment, true);
                ("TCP", 1, (frame.into(), segment.into()))
            }
            (None, None) => ("idle probes", 0, (1, 1)),
        };
        let way = trial.directions().map_or(String::new(), |ways| format!(" {}", way_of(ways)));
        let beside = |direction| {
            let load = trial.load()?;
            let all = trial.rate_at(direction, framing, layer)?.bits_per_second();
            let load = load.rate_at(direction, framing, layer)?.bits_per_second();
            Some(all.saturating_sub(load))
        };
        let beside = |direction| beside(direction).unwrap_or(0);
        Self {
            what: format!("{}{what}{way}", view.prefix),
            layer,
            sent_octets,
            frame,
            beside: (beside(Direction::Forward), beside(Direction::Reverse)),
            octets: 0,
            sent: 0,
            at: Span::default(),
            short: String::new(),
        }
    }

    /// What the progress line shows on a terminal of so many `columns`: rates are of the time since
    /// it was drawn last. Where there is no room for all, the last parts are left out.
    fn line(&mut self, progress: &Progress, columns: usize) -> String {
        let &Progress { elapsed, length, .. } = progress;
        let (done, whole) = (elapsed.nanos() / NANOS_PER_SECOND, length.secs_up());
        self.short = format!("{} {}/{whole} s", self.what, done.min(whole));
        let mut text = self.short.clone();
        // As wide as ever, whatever stands beside it.
        let has_room = BAR_COLUMNS_MIN <= columns && text.len() + BAR + 3 < columns;
        let bar = if has_room { BAR } else { 0 };
        let columns = columns.saturating_sub(if bar == 0 { 0 } else { bar + 3 });
        for part in self.parts(progress) {
            if text.len() + part.len() + 2 < columns {
                text = format!("{text}, {part}");
            }
        }
        if bar == 0 {
            return text;
        }
        let part = elapsed.nanos().saturating_mul(bar as u64) / length.nanos().max(1);
        let full = usize::try_from(part).unwrap_or(bar).min(bar);
        format!("[{}{}] {text}", "#".repeat(full), "-".repeat(bar - full))
    }

    fn parts(&mut self, progress: &Progress) -> Vec<String> {
        let &Progress { elapsed, length, sent, octets, missing, round_trip, .. } = progress;
        let since = elapsed.minus(self.at);
        let (frame, payload) = self.frame;
        let rate = |octets: u64, beside: u64| {
            let octets = octets.saturating_mul(frame) / payload.max(1);
            let rate = ByteCount::new(octets).per(since).map_or(0, BitRate::bits_per_second);
            if rate == 0 { 0 } else { rate.saturating_add(beside) }
        };
        let sent_since = sent.saturating_sub(self.sent).saturating_mul(self.sent_octets);
        let outgoing = rate(sent_since, self.beside.0);
        let incoming = rate(octets.saturating_sub(self.octets), self.beside.1);
        (self.octets, self.sent, self.at) = (octets, sent, elapsed);
        let mut parts = Vec::new();
        if length < elapsed {
            parts.push("trailing probes".to_owned());
        } else if (outgoing, incoming) != (0, 0) {
            let (unit, scale) = unit_of(outgoing.max(incoming));
            let [outgoing, incoming] = [outgoing, incoming].map(|rate| tenths(rate, scale));
            parts.push(format!("{outgoing} {unit} out, {incoming} in ({})", self.layer));
        }
        if 0 < missing {
            parts.push(format!("{missing} missing"));
        }
        if let Some(micros) = round_trip.map(|trip| trip.nanos() / 1_000).filter(|us| 0 < *us) {
            parts.push(format!("RTT {}.{:03} ms", micros / 1_000, micros % 1_000));
        }
        parts
    }
}

/// The unit in which a rate is shown, and its bits per second.
const fn unit_of(bits: u64) -> (&'static str, u64) {
    match bits {
        1_000_000_000.. => ("Gbit/s", 1_000_000_000),
        1_000_000.. => ("Mbit/s", 1_000_000),
        _ => ("kbit/s", 1_000),
    }
}

/// A rate in units of `scale`, at one digit behind the point.
fn tenths(bits: u64, scale: u64) -> String {
    let tenths = (bits.saturating_mul(10) + scale / 2) / scale;
    format!("{}.{}", tenths / 10, tenths % 10)
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
    use crate::trial::{CongestionControl, Load, LoadKind, TcpLoad};
    use crate::units::PacketRate;

    fn progress(millis: u64, sent: u64, octets: u64) -> Progress {
        let (elapsed, length) = (Span::from_millis(millis), Span::from_secs(10));
        Progress { site: 0, elapsed, length, sent, octets, missing: 0, round_trip: None }
    }

    fn view(layer: Layer) -> SiteView {
        let (prefix, agent) = (String::new(), "far".to_owned());
        SiteView { prefix, agent, framing: Framing::plain(IpVersion::V4), layer }
    }

    fn udp() -> Trial {
        let rate = PacketRate::new(1_000).expect("a rate");
        let load = Load::new(Directions::Both, 1, 1_000, rate, LoadKind::FixedRate);
        Trial::new(load.ok(), Span::from_secs(10)).expect("a trial")
    }

    /// 1000 octets of payload are 1046 of an Ethernet frame; probes and heartbeats go beside.
    #[test]
    fn rates_are_those_of_the_layer_that_was_asked_since_the_line_was_drawn() {
        let mut step = Step::of(&udp(), &view(Layer::L4));
        let first = step.line(&progress(500, 500, 500_000), 200);
        assert!(first.ends_with("UDP both ways 0/10 s, 8.1 Mbit/s out, 8.1 in (L4)"), "{first}");
        let first = step.line(&progress(500, 500, 500_000), 60);
        assert_eq!(first, "[----------] UDP both ways 0/10 s");
        let mut step = Step::of(&udp(), &view(Layer::L2));
        let first = step.line(&progress(500, 500, 500_000), 200);
        assert!(first.ends_with("8.5 Mbit/s out, 8.5 in (L2)"), "{first}");
        // What is dropped in between is in the next.
        let later = Progress {
            missing: 3,
            round_trip: Some(Span::from_nanos(1_234_567)),
            ..progress(2_500, 4_500, 500_000)
        };
        let later = step.line(&later, 200);
        let shown = "UDP both ways 2/10 s, 16.9 Mbit/s out, 0.0 in (L2), 3 missing, RTT 1.234 ms";
        assert!(later.ends_with(shown), "{later}");
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_and_none_is_cut_in_a_word() {
        let progress = Progress {
            missing: 123_456,
            round_trip: Some(Span::from_nanos(123_234_567)),
            ..progress(2_500, 2_500, 2_500_000)
        };
        for columns in 40..140 {
            let line = Step::of(&udp(), &view(Layer::L2)).line(&progress, columns);
            assert!(line.len() < columns, "{columns}: {line}");
            assert!(
                ["10 s", "(L2)", "missing", "ms"].iter().any(|end| line.ends_with(end)),
                "{line}"
            );
        }
        let all = Step::of(&udp(), &view(Layer::L2)).line(&progress, 100);
        assert!(all.contains("123456 missing, RTT 123.234 ms"), "{all}");
    }

    #[test]
    fn several_trials_under_way_share_the_line() {
        let mut steps = BTreeMap::new();
        for (place, link) in ["ec-1", "ec-2", "ec-3"].into_iter().enumerate() {
            let prefix = format!("{link}: ");
            let mut step = Step::of(&udp(), &SiteView { prefix, ..view(Layer::L2) });
            step.line(&progress(1_000 * (place as u64 + 1), 0, 0), 80);
            steps.insert((Some(link.to_owned()), 0), step);
        }
        let line = together(&steps, 80);
        let expected = "3 trials under way: ec-1: UDP both ways 1/10 s; ec-2: UDP both ways 2/10 s";
        assert_eq!(line, expected);
        let all = together(&steps, 120);
        assert!(all.ends_with("; ec-3: UDP both ways 3/10 s"), "{all}");
    }

    #[test]
    fn tcp_shows_what_it_sends() {
        let rates = crate::direction::PerDirection::both("10 Mbit/s".parse().ok());
        let load = TcpLoad::new(rates, 1, 1_500, CongestionControl::CUBIC, LoadKind::FixedRate);
        let trial = Trial::with_tcp(load.expect("a load"), Span::from_secs(10)).expect("a trial");
        let mut step = Step::of(&trial, &view(Layer::L4));
        let line = step.line(&progress(1_000, 1_000_000, 0), 200);
        assert!(line.ends_with("TCP both ways 1/10 s, 8.0 Mbit/s out, 0.0 in (L4)"), "{line}");
    }

    #[test]
    fn of_an_idle_trial_there_is_no_rate() {
        let trial = Trial::new(None, Span::from_secs(10)).expect("a trial");
        let line = Step::of(&trial, &view(Layer::L2)).line(&progress(1_999, 0, 0), 25);
        assert_eq!(line, "idle probes 1/10 s");
    }
}
