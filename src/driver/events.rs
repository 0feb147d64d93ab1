//! What a run says while it goes on: typed events, through a queue that never holds the run up.

use crate::plan::Host;
use crate::report::{CaveatRecord, FindingRecord};
use crate::trial::Trial;
use crate::units::Span;
use crate::wire::key::PublicKey;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What happens in a run. `site` is a place in the plan, from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The run has come so far.
    Phase {
        /// On the way to which site.
        site: usize,
        /// What begins.
        phase: Phase,
    },
    /// How the trial under way goes, five times per second. It alone may be dropped.
    Progress(Progress),
    /// Something was decided for the user; the report has it too.
    Note(String),
    /// Something limits the evidence; sent once it is found, after a trial.
    Caveat(CaveatRecord),
    /// A requirement was judged: after each trial that changes the finding, and at the end. The
    /// last about a requirement, direction and site is that of the report.
    Finding(FindingRecord),
    /// Something went wrong that does not end the run.
    Warning(String),
    /// The agent of a site has another key than the one that is expected, and nothing is run with
    /// it. Reported once for a site, as soon as it is seen.
    KeyChanged {
        /// Which site.
        site: usize,
        /// The agent, as it was given.
        host: Host,
        /// The key that it was to have.
        expected: PublicKey,
        /// The key that it has.
        got: PublicKey,
    },
    /// Any of these, on one of several links that are run together ([`run_links`]): places of sites
    /// are those in the plan of this link.
    ///
    /// [`run_links`]: super::run_links
    OnLink {
        /// The link's name.
        link: Arc<str>,
        /// What happens there.
        event: Box<Self>,
    },
}

impl Event {
    /// The name of the link that it is about, where several are run together, and what happens.
    #[must_use]
    pub fn on_link(&self) -> (Option<&str>, &Self) {
        match self {
            Self::OnLink { link, event } => (Some(link), event),
            event => (None, event),
        }
    }
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// The addresses of the site's agent are looked up.
    Resolving,
    /// The agent is connected to.
    Connecting,
    /// The agent is asked for leave.
    Asking,
    /// The largest UDP payload that crosses both ways is sought, up to so many octets.
    Searching(u32),
    /// This trial is opened, and then runs.
    Measuring(Trial),
    /// What was measured so far is judged and kept.
    Judging,
    /// The way to this site is over.
    Over,
}

/// How a trial goes. Counts are since its begin, and approximate: no verdict reads them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The site: its place in the plan, from 0.
    pub site: usize,
    /// Since it was begun; its opening takes a moment of that.
    pub elapsed: Span,
    /// How long it is to load, or to probe.
    pub length: Span,
    /// Load packets that left this host.
    pub sent: u64,
    /// Octets of load payload that reached this host.
    pub octets: u64,
    /// Load packets that later ones have overtaken, at either end.
    pub missing: u64,
    /// The newest round trip; `None` before the first.
    pub round_trip: Option<Span>,
}

/// A queue of the events of one run, for one reader.
///
/// Neither end waits for the other. `progress_max` bounds the reports of progress of each link that
/// wait: the oldest of them gives way. All else waits until it is read, and needs no bound of its
/// own, as the plan is one: each test, requirement, direction and site causes a few events, and no
/// more, however long the run takes. Where the reader is gone, nothing is queued.
#[must_use]
pub fn events(progress_max: usize) -> (Events, EventReader) {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue { events: VecDeque::new(), senders: 1, is_read: true }),
        arrived: Notify::new(),
        progress_max,
    });
    (Events { shared: Arc::clone(&shared), link: None }, EventReader { shared })
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Notify,
    progress_max: usize,
}

#[derive(Debug)]
struct Queue {
    events: VecDeque<Event>,
    /// How many may still send some.
    senders: usize,
    is_read: bool,
}

impl Shared {
    /// Nothing panics in here, and a queue is whole between two events.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a run sends its events. It is dropped with the run; the reader then knows that no more
/// come.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
    /// The link that they are about, where it is one of several.
    link: Option<Arc<str>>,
}

impl Events {
    /// The same queue, for what happens on the link called `name`.
    pub(super) fn on_link(&self, name: &str) -> Self {
        self.shared.queue().senders += 1;
        Self { shared: Arc::clone(&self.shared), link: Some(name.into()) }
    }

    /// Queues `event`.
    pub(super) fn emit(&self, event: Event) {
        let event = match &self.link {
            Some(link) => Event::OnLink { link: Arc::clone(link), event: Box::new(event) },
            None => event,
        };
        let mut queue = self.shared.queue();
        if !queue.is_read {
            return;
        }
        if is_progress(&event) {
            // Each link has its own newest.
            let is_alike =
                |other: &Event| is_progress(other) && other.on_link().0 == event.on_link().0;
            let waiting = queue.events.iter().filter(|event| is_alike(event)).count();
            if self.shared.progress_max <= waiting
                && let Some(oldest) = queue.events.iter().position(is_alike)
            {
                queue.events.remove(oldest);
            }
            if self.shared.progress_max == 0 {
                return;
            }
        }
        queue.events.push_back(event);
        drop(queue);
        self.shared.arrived.notify_one();
    }
}

fn is_progress(event: &Event) -> bool {
    matches!(event.on_link().1, Event::Progress(_))
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.queue().senders -= 1;
        self.shared.arrived.notify_one();
    }
}

/// Reads the events of a run. Dropped, it lets the run go on unheard.
#[derive(Debug)]
pub struct EventReader {
    shared: Arc<Shared>,
}

impl EventReader {
    /// The next event, in the order in which they happened; `None` when there are no more.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            {
                let mut queue = self.shared.queue();
                if let Some(event) = queue.events.pop_front() {
                    return Some(event);
                }
                if queue.senders == 0 {
                    return None;
                }
            }
            // An event that came since then has left its permit here.
            self.shared.arrived.notified().await;
        }
    }
}

impl Drop for EventReader {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.is_read = false;
        queue.events.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(sent: u64) -> Event {
        let (elapsed, length) = (Span::from_secs(sent), Span::from_secs(60));
        let (octets, missing, round_trip) = (0, 0, None);
        Event::Progress(Progress { site: 0, elapsed, length, sent, octets, missing, round_trip })
    }

    fn note(number: usize) -> Event {
        Event::Note(number.to_string())
    }

    /// Runs `body` to its end on a runtime of its own.
    fn run<T>(body: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(body)
    }

    /// All that waits, once nobody sends any more.
    fn rest(mut reader: EventReader) -> Vec<Event> {
        run(async move {
            let mut events = Vec::new();
            while let Some(event) = reader.next().await {
                events.push(event);
            }
            events
        })
    }

    /// The newest of one link stood in the place of that of the others.
    #[test]
    fn progress_of_one_link_does_not_take_that_of_another_away() {
        let (all, reader) = events(1);
        let (first, second) = (all.on_link("first"), all.on_link("second"));
        for number in 0..3 {
            first.emit(progress(number));
            second.emit(progress(10 + number));
        }
        drop((all, first, second));
        let sent = |event: &Event| match event.on_link() {
            (Some(link), Event::Progress(progress)) => (link.to_owned(), progress.sent),
            other => panic!("{other:?}"),
        };
        let shown: Vec<_> = rest(reader).iter().map(sent).collect();
        assert_eq!(shown, [("first".to_owned(), 2), ("second".to_owned(), 12)]);
    }

    #[test]
    fn of_what_is_never_read_progress_alone_gives_way_the_oldest_first() {
        let (events, reader) = events(2);
        for number in 0..1_000 {
            events.emit(progress(number as u64));
            events.emit(note(number));
        }
        drop(events);
        let rest = rest(reader);
        let notes: Vec<_> = rest.iter().filter(|event| !is_progress(event)).cloned().collect();
        assert_eq!(notes, (0..1_000).map(note).collect::<Vec<_>>(), "all, in their order");
        let kept: Vec<_> = rest.into_iter().filter(is_progress).collect();
        assert_eq!(kept, [progress(998), progress(999)]);
    }

    #[test]
    fn without_room_for_progress_there_is_none() {
        let (events, reader) = events(0);
        for event in [progress(1), note(1), progress(2)] {
            events.emit(event);
        }
        drop(events);
        assert_eq!(rest(reader), [note(1)]);
    }

    #[test]
    fn a_reader_waits_for_events_and_for_the_end() {
        run(async {
            let (events, mut reader) = events(1);
            let sending = tokio::spawn(async move {
                for number in 0..100 {
                    tokio::task::yield_now().await;
                    events.emit(note(number));
                }
                tokio::task::yield_now().await;
            });
            for number in 0..100 {
                assert_eq!(reader.next().await, Some(note(number)));
            }
            assert_eq!(reader.next().await, None);
            sending.await.expect("it does not panic");
        });
    }

    #[test]
    fn links_share_a_queue_that_ends_with_the_last_of_them() {
        let (events, reader) = events(1);
        let on_link = ["a", "b"].map(|name| events.on_link(name));
        drop(events);
        for (place, link) in on_link.iter().enumerate() {
            link.emit(progress(1));
            link.emit(note(place));
        }
        drop(on_link);
        let rest = rest(reader);
        let seen: Vec<_> =
            rest.iter().map(|event| event.on_link()).map(|(link, it)| (link, it.clone())).collect();
        let of = |name, place| [(Some(name), progress(1)), (Some(name), note(place))];
        assert_eq!(seen, [of("a", 0), of("b", 1)].concat());
    }

    #[test]
    fn nothing_is_queued_for_a_reader_that_is_gone() {
        let (events, reader) = events(1);
        events.emit(note(1));
        drop(reader);
        events.emit(note(2));
        assert!(events.shared.queue().events.is_empty());
    }
}
