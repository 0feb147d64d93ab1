//! The states of the links of a watch, and their alerts: what is seen comes in, states are judged
//! once a second, and what follows is recorded and sent. Nothing here holds up probing: what waits
//! for a disk, a database or a receiver does so beside it.

use super::guarded::Guarded;
use super::kept::{Kept, Unwritten};
use crate::account::plain;
use crate::alerting::{Acknowledged, Outbox, Placed, Receiver, Register, Settings, problems};
use crate::commands::delivery::{Post, beat, settings};
use crate::commands::health::now_s;
use crate::commands::runtime::runtime;
use crate::health::record::{Maintenance, WatchSeen, event_row, state_row};
use crate::health::state::{Contact, Current, Event, Health, LoadResult};
use crate::health::{Calendar, Maintained, Observed, PathName, Reach};
use crate::history::Row;
use crate::io::tcp::answers;
use crate::io::terminal::say;
use crate::report::{Report, program};
use crate::store::{Acknowledgement, Place, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often the history is asked for maintenance and acknowledgements, in seconds.
const LOOK_S: i64 = 10;

/// How often the history is written to where nothing has changed: that the watch runs.
const ALIVE_S: i64 = 60;

/// How long the history may take.
const HISTORY_MAX: Duration = Duration::from_secs(30);

/// How often a silent host is asked at its management address, and how long it may take.
const ASK_S: i64 = 5;
const ASK_MAX: Duration = Duration::from_secs(3);

/// How far ahead maintenance of plans is looked up, in seconds.
const AHEAD_S: i64 = 8 * 86_400;

/// What a guard is handed.
#[derive(Debug)]
pub(super) enum Input {
    /// What is seen of a path.
    Seen(PathName, Observed),
    /// A run of the link of that name is over; until when another may confirm that it failed.
    Loaded(String, Box<Report>, Option<i64>),
    /// The paths that are watched from now on.
    Links(Vec<Guarded>),
}

/// When each link is worked on, by its name, and by its paths.
pub(super) type Works = BTreeMap<String, Vec<Calendar>>;

/// Who keeps the states.
pub(super) struct Guard {
    task: JoinHandle<()>,
    inputs: mpsc::UnboundedSender<Input>,
    works: watch::Receiver<Works>,
}

impl Guard {
    /// Keeps the states of `links`, of a watch of that name; what is to be known after a restart is
    /// kept in `file`.
    pub(super) fn begin(name: String, file: PathBuf, place: Place, links: Vec<Guarded>) -> Self {
        let (inputs, received) = mpsc::unbounded_channel();
        let (works, known) = watch::channel(Works::new());
        let duty = Duty::begin(name, file, place, links, works);
        Self { task: tokio::spawn(duty.run(received)), inputs, works: known }
    }

    /// When links are worked on, as far as it is known.
    pub(super) fn works(&self) -> watch::Receiver<Works> {
        self.works.clone()
    }

    /// Where what is seen goes.
    pub(super) const fn inputs(&self) -> &mpsc::UnboundedSender<Input> {
        &self.inputs
    }

    /// Waits until all is written that can be, once nobody else sends.
    pub(super) async fn end(self) {
        drop(self.inputs);
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// What a task of a guard came to.
enum Done {
    /// A letter to the receiver at that place.
    Sent(usize, Result<(), String>),
    /// The address of the heartbeat.
    Beat(Result<(), String>),
    /// Whether that host answers at its management address, asked then.
    Asked(String, i64, bool),
    /// The history was written and read.
    Exchanged(Result<Noted, String>),
}

/// What others have written into the history.
struct Noted {
    maintenance: Vec<Maintenance>,
    acknowledgements: Vec<Acknowledgement>,
}

/// All that a guard knows.
struct Duty {
    name: String,
    file: PathBuf,
    place: Place,
    started_s: i64,
    links: Vec<Guarded>,
    health: Health,
    register: Register,
    settings: Settings,
    outbox: Outbox,
    calendars: Vec<Calendar>,
    works: watch::Sender<Works>,
    noted: Vec<Maintenance>,
    unwritten: Unwritten,
    /// States that the history does not have yet.
    changed: BTreeSet<(String, crate::health::state::Subject)>,
    /// What is being written now.
    writing: Option<(Unwritten, BTreeSet<(String, crate::health::state::Subject)>)>,
    is_history_lost: bool,
    exchange_s: i64,
    alive_s: i64,
    beat_s: i64,
    is_beat_lost: bool,
    asked: BTreeMap<String, i64>,
    tasks: JoinSet<Done>,
    saved: String,
}

impl Duty {
    fn begin(
        name: String,
        file: PathBuf,
        place: Place,
        links: Vec<Guarded>,
        works: watch::Sender<Works>,
    ) -> Self {
        let now_s = now_s();
        let settings = read_settings(Settings::default());
        let mut outbox = Outbox::new(&name, &settings.receivers, now_s);
        let mut health = Health::new(watched(&links), now_s);
        let mut register = Register::new(settings.pace);
        let kept = Kept::read(&file);
        health.restore(&kept.states);
        register.restore(kept.alerts);
        outbox.restore(kept.waiting);
        let changed = health.states().map(|it| (it.link.clone(), it.subject)).collect();
        let mut duty = Self {
            name,
            file,
            place,
            started_s: now_s,
            links,
            health,
            register,
            settings,
            outbox,
            calendars: Vec::new(),
            works,
            noted: Vec::new(),
            unwritten: kept.unwritten,
            changed,
            writing: None,
            is_history_lost: false,
            exchange_s: now_s,
            alive_s: now_s,
            beat_s: now_s,
            is_beat_lost: false,
            asked: BTreeMap::new(),
            tasks: JoinSet::new(),
            saved: String::new(),
        };
        duty.look_up_maintenance(now_s);
        duty
    }

    async fn run(mut self, mut inputs: mpsc::UnboundedReceiver<Input>) {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                input = inputs.recv() => match input {
                    Some(input) => self.handle_input(input),
                    None => break,
                },
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    match done {
                        Ok(done) => self.handle_done(done),
                        Err(error) if error.is_panic() => {
                            std::panic::resume_unwind(error.into_panic());
                        }
                        Err(_) => {}
                    }
                }
                _ = second.tick() => self.handle_second(now_s()),
            }
        }
        self.end().await;
    }

    fn handle_input(&mut self, input: Input) {
        match input {
            Input::Seen(path, observed) => self.handle_seen(&path, &observed),
            Input::Loaded(link, report, until_s) => self.handle_loaded(&link, &report, until_s),
            Input::Links(links) => self.handle_links(links),
        }
    }

    fn handle_seen(&mut self, path: &PathName, observed: &Observed) {
        let Some(place) = self.links.iter().position(|link| link.path == *path) else { return };
        let contact = match observed {
            Observed::Live(second) => return self.health.handle_second(place, second),
            Observed::Settled(_) => return,
            Observed::Reach(Reach::Probing) => Contact::Reached,
            Observed::Reach(Reach::NoAgent(_)) => Contact::AgentDown,
            Observed::Reach(Reach::Refused(_)) => Contact::Refused,
            Observed::Reach(Reach::Silent(_)) => Contact::Silent,
            Observed::Reach(Reach::ThisHost(_)) => Contact::ThisHost,
            Observed::Reach(Reach::Resting) => Contact::Resting,
        };
        self.health.handle_contact(place, now_s(), contact);
    }

    fn handle_loaded(&mut self, link: &str, report: &Report, confirm_until_s: Option<i64>) {
        let at_s = now_s();
        let of_link = self.links.iter().enumerate().filter(|(_, it)| it.path.link == link);
        let places: Vec<(usize, String)> =
            of_link.map(|(place, it)| (place, it.path.site.clone())).collect();
        for (place, site) in places {
            let mut result = LoadResult::of(report, 0, &site, at_s);
            result.confirm_until_s = confirm_until_s;
            self.health.handle_load(place, result);
        }
    }

    fn handle_links(&mut self, links: Vec<Guarded>) {
        let now_s = now_s();
        let health = std::mem::replace(&mut self.health, Health::new(Vec::new(), now_s));
        self.health = health.succeed(watched(&links), now_s);
        self.links = links;
        self.settings = read_settings(std::mem::take(&mut self.settings));
        self.register.set_pace(self.settings.pace);
        let waiting = self.outbox.waiting();
        self.outbox = Outbox::new(&self.name, &self.settings.receivers, now_s);
        self.outbox.restore(waiting);
        self.look_up_maintenance(now_s);
    }

    /// All that is done once a second.
    fn handle_second(&mut self, now_s: i64) {
        for (place, calendar) in self.calendars.iter().enumerate() {
            self.health.handle_maintenance(place, calendar.at(now_s));
        }
        self.health.handle_time(now_s);
        while let Some(event) = self.health.poll_event() {
            self.handle_event(event);
        }
        self.alert(now_s);
        self.send(now_s);
        self.ask(now_s);
        self.exchange(now_s);
        self.save();
    }

    fn handle_event(&mut self, event: Event) {
        let Current { link, subject, state, reason, .. } = &event.now;
        let (of, from) = (subject.words(), event.from);
        say(&plain(&format!("{link}: {of}: {from} -> {state}: {reason}")));
        self.changed.insert((link.clone(), *subject));
        self.unwritten.events.push(event);
    }

    fn alert(&mut self, now_s: i64) {
        let placed: Vec<Placed> = self.links.iter().map(|link| link.placed.clone()).collect();
        let states: Vec<Current> = self.health.states().cloned().collect();
        let found = problems(&placed, &states);
        let (links, calendars) = (&self.links, &self.calendars);
        let muted = |name: &str| {
            let place = links.iter().position(|link| link.placed.link == name)?;
            let maintained: Maintained = calendars.get(place)?.at(now_s)?;
            Some(format!("{name} is in maintenance: {}", maintained.reason))
        };
        self.register.handle_problems(now_s, &found, muted);
        while let Some(notice) = self.register.poll_notice() {
            say(&notice.text());
            let lost = self.outbox.add(&notice, now_s);
            if 0 < lost {
                say(&format!("warning: {lost} notices of alerts were given up: too many waited"));
            }
            self.unwritten.notices.push(notice);
        }
    }

    fn send(&mut self, now_s: i64) {
        let alerts: Vec<_> = self.register.alerts().cloned().collect();
        while let Some(letter) = self.outbox.poll(now_s, alerts.iter()) {
            let receiver = self.settings.receivers.get(letter.receiver).cloned();
            self.tasks.spawn(async move {
                let post = receiver.as_ref().map(Post::of);
                let sent = match post {
                    Some(Ok(post)) => post.send(&letter.json).await,
                    Some(Err(why)) => Err(why),
                    None => Ok(()),
                };
                Done::Sent(letter.receiver, sent)
            });
        }
        if let Some((url, every_s)) = &self.settings.heartbeat
            && self.beat_s <= now_s
        {
            self.beat_s = now_s + every_s;
            let url = url.clone();
            self.tasks.spawn(async move { Done::Beat(beat(url).await) });
        }
    }

    /// Asks hosts whose links do not answer at their management addresses.
    fn ask(&mut self, now_s: i64) {
        let silent: BTreeSet<String> = self.health.silent_hosts().map(str::to_owned).collect();
        self.asked.retain(|host, at_s| silent.contains(host) || now_s < *at_s + ASK_S);
        for host in silent {
            if self.asked.get(&host).is_some_and(|at_s| now_s < at_s + ASK_S) {
                continue;
            }
            let of_host = self.links.iter().find(|it| it.placed.host == host);
            let Some(address) = of_host.and_then(|it| it.management.clone()) else { continue };
            self.asked.insert(host.clone(), now_s);
            self.tasks.spawn(async move {
                let answered = answers(&address.name, address.port, ASK_MAX).await;
                Done::Asked(host, now_s, answered)
            });
        }
    }

    fn handle_done(&mut self, done: Done) {
        let now_s = now_s();
        match done {
            Done::Sent(receiver, sent) => {
                let why = sent.as_ref().err().cloned();
                if let Some(name) = self.outbox.handle_sent(receiver, sent.is_ok(), now_s) {
                    say(&plain(&match why {
                        Some(why) => format!(
                            "warning: {name} does not take alerts: {why}. They are kept, and sent \
                             when it does"
                        ),
                        None => format!("{name} takes alerts again"),
                    }));
                }
            }
            Done::Beat(sent) => {
                let is_lost = sent.is_err();
                if is_lost && !self.is_beat_lost {
                    let why = sent.err().unwrap_or_default();
                    say(&plain(&format!("warning: the heartbeat is not taken: {why}")));
                }
                self.is_beat_lost = is_lost;
            }
            Done::Asked(host, at_s, answered) => {
                self.health.handle_management(&host, at_s, answered);
            }
            Done::Exchanged(Ok(noted)) => self.handle_noted(noted, now_s),
            Done::Exchanged(Err(why)) => self.handle_lost(&why, now_s),
        }
    }

    fn handle_noted(&mut self, noted: Noted, now_s: i64) {
        self.writing = None;
        self.is_history_lost = false;
        self.noted = noted.maintenance;
        for Acknowledgement { alert, owner, until_s, .. } in noted.acknowledgements {
            self.register.acknowledge(&alert, Acknowledged { owner, until_s });
        }
        self.look_up_maintenance(now_s);
    }

    /// What could not be written is written with what comes next.
    fn handle_lost(&mut self, why: &str, now_s: i64) {
        if let Some((mut unwritten, changed)) = self.writing.take() {
            unwritten.add(std::mem::take(&mut self.unwritten));
            self.unwritten = unwritten;
            self.changed.extend(changed);
        }
        if !self.is_history_lost {
            say(&plain(&format!(
                "warning: {why}. States and alerts are kept on this host until the history can \
                 be written"
            )));
        }
        self.is_history_lost = true;
        self.exchange_s = now_s + LOOK_S;
    }

    /// What is known of maintenance, from plans and from the history.
    fn look_up_maintenance(&mut self, now_s: i64) {
        let calendar = |link: &Guarded| {
            let noted = self.noted.iter().filter(|it| link.is_called(&it.link));
            let noted = noted.map(Maintenance::maintained);
            Calendar::new(link.planned(now_s, now_s + AHEAD_S).chain(noted).collect())
        };
        self.calendars = self.links.iter().map(calendar).collect();
        let mut works = Works::new();
        for (link, calendar) in self.links.iter().zip(&self.calendars) {
            works.entry(link.path.link.clone()).or_default().push(calendar.clone());
        }
        self.works.send_if_modified(|it| {
            let is_new = *it != works;
            *it = works;
            is_new
        });
    }

    /// Writes what the history does not have yet, and reads what others have written into it.
    fn exchange(&mut self, now_s: i64) {
        let has_news = !self.unwritten.is_empty() || !self.changed.is_empty();
        let is_due = self.exchange_s <= now_s || has_news && !self.is_history_lost;
        if self.writing.is_some() || !is_due {
            return;
        }
        self.exchange_s = now_s + LOOK_S;
        let rows = self.rows(now_s, None);
        let unwritten = std::mem::take(&mut self.unwritten);
        self.writing = Some((unwritten, std::mem::take(&mut self.changed)));
        let place = self.place.clone();
        self.tasks.spawn_blocking(move || Done::Exchanged(exchanged(&place, &rows, now_s)));
    }

    /// The rows of what the history does not have yet.
    fn rows(&mut self, now_s: i64, ended_s: Option<i64>) -> Vec<Row> {
        let mut rows: Vec<Row> =
            self.unwritten.events.iter().map(|event| event_row(event, &self.name)).collect();
        let changed = self
            .health
            .states()
            .filter(|state| self.changed.contains(&(state.link.clone(), state.subject)));
        rows.extend(changed.map(|state| state_row(state, &self.name, now_s)));
        let notices = self.unwritten.notices.iter();
        rows.extend(notices.map(|it| it.alert.row(Some(it), &self.name, it.at_s)));
        let open = self.register.alerts().filter(|alert| alert.is_reported());
        let has_news = !rows.is_empty();
        rows.extend(open.map(|alert| alert.row(None, &self.name, now_s)));
        if has_news || ended_s.is_some() || self.alive_s <= now_s {
            self.alive_s = now_s + ALIVE_S;
            rows.push(self.seen(now_s, ended_s).row());
        }
        rows
    }

    fn seen(&self, now_s: i64, ended_s: Option<i64>) -> WatchSeen {
        WatchSeen {
            watch: self.name.clone(),
            program: program(),
            started_s: self.started_s,
            links: i64::try_from(self.links.len()).unwrap_or(i64::MAX),
            ended_s,
            seen_s: now_s,
        }
    }

    /// Keeps what is to be known after a restart, where it has changed.
    fn save(&mut self) {
        let mut unwritten = self.writing.as_ref().map(|(it, _)| it.clone()).unwrap_or_default();
        unwritten.add(self.unwritten.clone());
        let kept = Kept {
            states: self.health.states().cloned().collect(),
            alerts: self.register.alerts().cloned().collect(),
            waiting: self.outbox.waiting(),
            unwritten,
        };
        if let Some(text) = kept.text().filter(|text| *text != self.saved) {
            if let Err(why) = kept.write(&self.file, &text) {
                say(&plain(&format!("warning: {why}")));
            }
            self.saved = text;
        }
    }

    /// Writes what is left.
    async fn end(mut self) {
        self.tasks.shutdown().await;
        if let Some((mut unwritten, changed)) = self.writing.take() {
            unwritten.add(std::mem::take(&mut self.unwritten));
            self.unwritten = unwritten;
            self.changed.extend(changed);
        }
        let now_s = now_s();
        let rows = self.rows(now_s, Some(now_s));
        let place = self.place.clone();
        match spawn_blocking(move || exchanged(&place, &rows, now_s)).await {
            Ok(Ok(_)) => self.unwritten = Unwritten::default(),
            Ok(Err(why)) => say(&plain(&format!("warning: {why}"))),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        self.save();
    }
}

fn watched(links: &[Guarded]) -> Vec<crate::health::state::Watched> {
    links.iter().map(|link| link.watched.clone()).collect()
}

/// Who is alerted now; the same as `before` where that cannot be read.
fn read_settings(before: Settings) -> Settings {
    let found = match settings() {
        Ok(found) => found.unwrap_or_default(),
        Err(why) if before.receivers.is_empty() => {
            say(&plain(&format!("warning: nobody is alerted: {why}")));
            return before;
        }
        Err(why) => {
            say(&plain(&format!("warning: {why}")));
            say("warning: the receivers of alerts were not read again: those from before stay");
            return before;
        }
    };
    let names: Vec<String> = found.receivers.iter().map(Receiver::name).collect();
    if !names.is_empty() {
        say(&plain(&format!("alerts go to {}", names.join(", "))));
    }
    found
}

/// Writes `rows`, and reads what others have written. A database that does not answer holds up
/// nothing: this is called beside what goes on.
fn exchanged(place: &Place, rows: &[Row], now_s: i64) -> Result<Noted, String> {
    let exchange = async {
        let mut store = Store::open(place).await?;
        store.put(rows).await?;
        let maintenance = store.maintenance(now_s).await?;
        let acknowledgements = store.acknowledgements(now_s).await?;
        store.close().await?;
        Ok::<_, crate::store::Error>(Noted { maintenance, acknowledgements })
    };
    let runtime = runtime().map_err(|error| error.to_string())?;
    match runtime.block_on(async { timeout(HISTORY_MAX, exchange).await }) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!("history at {place}: no answer within {} s", HISTORY_MAX.as_secs())),
    }
}
