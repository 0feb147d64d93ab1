//! `linkqual stop` and `linkqual resume`, and how runs obey.

use super::error::Error;
use super::recording::{configured, open};
use super::runtime::runtime;
use crate::account::plain;
use crate::cli::{HistoryPlaceArgs, ResumeLoadArgs, StopArgs};
use crate::driver::Cancel;
use crate::history::StopOrder;
use crate::io::clock::wall_ns;
use crate::io::terminal::{print, say};
use crate::io::user_folders;
use crate::plan::Plan;
use crate::store::stops::{StopFile, hosts_folder};
use std::process::ExitCode;
use std::time::Duration;

/// How often a run looks whether it is stopped.
const LOOK: Duration = Duration::from_millis(250);

/// How long the database may take to write an order.
const WRITE_MAX: Duration = Duration::from_secs(5);

/// The orders that processes of this user obey.
#[derive(Clone, Debug)]
pub(super) struct Stops {
    files: Vec<StopFile>,
}

impl Stops {
    /// Those of this user and of root.
    pub(super) fn of_this_user() -> Self {
        let own = user_folders::data().map(StopFile::new);
        let mut files: Vec<StopFile> =
            own.into_iter().chain([StopFile::new(hosts_folder().to_owned())]).collect();
        files.dedup();
        Self { files }
    }

    /// The orders that hold. One that makes no sense stops everything: somebody meant something.
    pub(super) fn orders(&self) -> Vec<StopOrder> {
        let read = |file: &StopFile| match file.read() {
            Ok(orders) => orders,
            Err(why) => vec![StopOrder {
                link: None,
                reason: why,
                by: "somebody".to_owned(),
                host: host_name(),
                at_ns: 0,
            }],
        };
        self.files.iter().flat_map(read).collect()
    }

    /// Why load on `links` may not go on, if it may not.
    pub(super) fn about(&self, links: &[String]) -> Option<String> {
        let orders = self.orders().into_iter();
        let mut orders = orders.filter(|order| order.is_about(links));
        orders.next().map(|order| format!("{order}. linkqual resume ends that"))
    }
}

/// The names of the links that `plans` load.
pub(super) fn loaded<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Option<Vec<String>> {
    let mut loading = plans.into_iter().filter(|plan| plan.loads()).peekable();
    loading.peek()?;
    Some(loading.filter_map(|plan| plan.link.name.clone()).collect())
}

/// Aborts what `cancel` ends, once load on `links` is stopped, on this host or by an order that
/// `elsewhere` has.
pub(super) async fn obey(
    cancel: Cancel,
    links: Vec<String>,
    elsewhere: impl Fn() -> Vec<StopOrder>,
) {
    let stops = Stops::of_this_user();
    loop {
        let other = elsewhere().into_iter().find(|order| order.is_about(&links));
        if let Some(why) = stops.about(&links).or(other.map(|order| order.to_string())) {
            say(&plain(&why));
            cancel.abort(&why);
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn host_name() -> String {
    user_folders::host_name().unwrap_or_else(|| "this host".to_owned())
}

fn own_file() -> Result<StopFile, Error> {
    let none = || Error::History("HOME is not set, so there is no place for the order".to_owned());
    user_folders::data().map(StopFile::new).ok_or_else(none)
}

/// `linkqual stop`.
///
/// # Errors
///
/// Where the order cannot be written on this host.
pub(super) fn stop(args: &StopArgs) -> Result<ExitCode, Error> {
    let reason = plain(args.reason.trim());
    if reason.is_empty() {
        return Err(Error::Unreadable("--reason: say why, for whoever finds it stopped".into()));
    }
    let order = StopOrder {
        link: args.link.clone(),
        reason,
        by: user_folders::user_name().unwrap_or_else(|| "somebody".to_owned()),
        host: host_name(),
        at_ns: wall_ns(),
    };
    let file = own_file()?;
    let others = file.read().unwrap_or_default().into_iter();
    let mut orders: Vec<StopOrder> = others.filter(|it| it.link != order.link).collect();
    orders.push(order.clone());
    file.write(&orders)?;
    let elsewhere = in_history(&args.place, async |store| store.stop(&order).await);
    print(&format!("{order}. What runs on this host ends within a second.\n"))?;
    tell(elsewhere, "watches of other hosts are not stopped");
    Ok(ExitCode::SUCCESS)
}

/// `linkqual resume`.
///
/// # Errors
///
/// Where the order stays.
pub(super) fn resume(args: &ResumeLoadArgs) -> Result<ExitCode, Error> {
    let file = own_file()?;
    let link = args.link.as_deref();
    let is_lifted = |order: &StopOrder| link.is_none() || order.link.as_deref() == link;
    let before = file.read().unwrap_or_default();
    let rest: Vec<StopOrder> = before.iter().filter(|it| !is_lifted(it)).cloned().collect();
    file.write(&rest)?;
    let by = user_folders::user_name().unwrap_or_else(|| "somebody".to_owned());
    let mut there = 0;
    let elsewhere = in_history(&args.place, async |store| {
        there = store.resume(link, &by, wall_ns()).await?;
        Ok(())
    });
    let is_any = rest.len() < before.len() || 0 < there;
    print(if is_any { "Load is allowed again.\n" } else { "No load was stopped.\n" })?;
    tell(elsewhere, "watches of other hosts may be stopped still");
    if let Some(order) = Stops::of_this_user().orders().first() {
        say(&plain(&format!("note: this holds still: {order}")));
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(elsewhere: Result<(), String>, so: &str) {
    if let Err(why) = elsewhere {
        say(&plain(&format!("warning: {why}: {so}")));
    }
}

/// Does something in the history, where there is one.
fn in_history(
    place: &HistoryPlaceArgs,
    act: impl AsyncFnOnce(&mut crate::store::Store) -> Result<(), crate::store::Error>,
) -> Result<(), String> {
    let Some(place) = configured(place).map_err(|error| error.to_string())? else {
        return Ok(());
    };
    let runtime = runtime().map_err(|error| error.to_string())?;
    let acting = async {
        let mut store = open(&place).await?;
        act(&mut store).await?;
        store.close().await
    };
    // The clock of a timeout is the runtime's.
    let done = runtime.block_on(async { tokio::time::timeout(WRITE_MAX, acting).await });
    match done {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!("history at {place}: too slow to write to")),
    }
}
