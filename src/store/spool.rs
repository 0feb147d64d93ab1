//! Runs that the history could not take are kept aside in files, one each, and brought in when it
//! can: nothing that was measured depends on a database that answers.

use super::connection::Store;
use super::probed::number_of;
use crate::health::Batch;
use crate::history::{Entry, Kept, PlannedLink};
use crate::io::files::{self, BadInput, BadOutput, read_text};
use crate::report::Report;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The octets of such a file at most.
const OCTETS_MAX: u64 = 256 << 20;

/// Files that are looked at in one go.
const FILES_MAX: usize = 10_000;

/// What stands behind a run's name.
const SUFFIX: &str = ".run.json";

/// The same while it is being brought in: a newer one may be kept meanwhile.
const TAKEN: &str = ".taken.json";

/// What stands behind the name of what probes showed.
const PROBED: &str = ".probed.json";

/// The folder in which runs are kept aside.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
}

/// A run that is kept aside.
#[derive(Deserialize, Serialize)]
struct Aside {
    entry: Entry,
    /// Of a run without a report: its links.
    #[serde(default)]
    links: Vec<PlannedLink>,
    report: Option<Report>,
}

/// What was brought in.
#[derive(Debug, Default)]
pub struct BroughtIn {
    /// Runs that the history has now.
    pub runs: u64,
    /// Why a file was left where it is.
    pub left: Vec<String>,
}

impl Spool {
    /// That in `folder`, which need not exist yet.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a run aside, in the place of what is there of it.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn keep(&self, entry: Entry, report: &Report) -> Result<(), BadOutput> {
        self.write(Aside { entry, links: Vec::new(), report: Some(report.clone()) })
    }

    /// Keeps a run aside of which only the `links` are known.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn keep_planned(&self, entry: Entry, links: Vec<PlannedLink>) -> Result<(), BadOutput> {
        self.write(Aside { entry, links, report: None })
    }

    /// Takes out what is kept of the run called `run`, of which nothing is to be kept.
    pub fn forget(&self, run: &str) {
        // Where nothing is kept of it there is nothing to take out.
        _ = fs::remove_file(self.folder.join(format!("{run}{SUFFIX}")));
    }

    fn write(&self, aside: Aside) -> Result<(), BadOutput> {
        let name = format!("{}{SUFFIX}", aside.entry.run);
        self.put(&name, &aside)
    }

    fn put(&self, name: &str, aside: &impl Serialize) -> Result<(), BadOutput> {
        let unwritten = |source| BadOutput::Unwritten { path: self.folder.clone(), source };
        files::make_private_folder(&self.folder).map_err(unwritten)?;
        let text = serde_json::to_string(aside);
        let text = text.map_err(|error| unwritten(error.into()))?;
        files::replace_private(&self.folder, name, &text)
    }

    /// Keeps aside what probes showed until `now_s`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn keep_probed(&self, batch: &Batch, now_s: i64) -> Result<(), BadOutput> {
        // Of two programs that keep something aside at once, each has its own paths.
        let first = batch.paths.first().map_or(0, |path| number_of(&path.name));
        let name = format!("{now_s}-{first:016x}{PROBED}");
        self.put(&name, batch)
    }

    /// Brings what probes showed, and is kept aside, into `store`; what it does not take stays,
    /// with the reason. Brought in twice, it is there once.
    async fn bring_probed(&self, store: &mut Store, brought: &mut BroughtIn) {
        for path in self.files(&[PROBED]) {
            let text = read_text(&path, OCTETS_MAX).map_err(|error| error.to_string());
            let batch = text.and_then(|text| {
                serde_json::from_str::<Batch>(&text.text).map_err(|error| error.to_string())
            });
            match batch {
                Ok(batch) => match store.record_probed(&batch).await {
                    Ok(()) => _ = fs::remove_file(&path),
                    Err(why) => {
                        brought.left.push(format!("{}: {why}", path.display()));
                        return;
                    }
                },
                Err(why) => brought.left.push(format!("{}: {why}", path.display())),
            }
        }
    }

    /// Brings all that is kept aside into `store`; what it does not take stays, with the
    /// reason.
    pub async fn bring_into(&self, store: &mut Store) -> BroughtIn {
        let mut brought = BroughtIn::default();
        self.bring_probed(store, &mut brought).await;
        for path in self.files(&[SUFFIX, TAKEN]) {
            let taken = taken(&path);
            // Another process may have been faster.
            if taken != path && fs::rename(&path, &taken).is_err() {
                continue;
            }
            match kept(&taken) {
                Ok(kept) => match store.record(&kept).await {
                    Ok(_) => {
                        // One that cannot be removed is brought in again, to no effect.
                        _ = fs::remove_file(&taken);
                        brought.runs += 1;
                    }
                    Err(why) => {
                        brought.left.push(format!("{}: {why}", taken.display()));
                        break;
                    }
                },
                Err(why) => brought.left.push(format!("{}: {why}", taken.display())),
            }
        }
        brought
    }

    /// The files there whose names end so.
    fn files(&self, ends: &[&str]) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let paths = entries.take(FILES_MAX).filter_map(|entry| Some(entry.ok()?.path()));
        let is_run = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| {
                !name.starts_with('.') && ends.iter().any(|end| name.ends_with(end))
            })
        };
        let mut paths: Vec<PathBuf> = paths.filter(is_run).collect();
        paths.sort();
        paths
    }
}

/// What the file `path` is called while it is being brought in.
fn taken(path: &Path) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name.strip_suffix(SUFFIX) {
        Some(run) => path.with_file_name(format!("{run}{TAKEN}")),
        None => path.to_owned(),
    }
}

/// The run that is kept aside in the file `path`.
fn kept(path: &Path) -> Result<Kept, String> {
    let text = read_text(path, OCTETS_MAX).map_err(|error: BadInput| error.to_string())?.text;
    let aside: Aside = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let Some(report) = aside.report else {
        return Ok(Kept::planned(aside.entry, &aside.links));
    };
    // What a file says is taken as far as any report is.
    let report = Report::parse(&report.to_json()).map_err(|error| error.to_string())?;
    if report.run != aside.entry.run {
        return Err("it is about two runs".to_owned());
    }
    Ok(Kept::of(aside.entry, &report))
}
