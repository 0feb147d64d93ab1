//! A plan in the making: what was read so far, what was assumed, and what is wrong.

use super::fault::{Fault, Place};
use crate::plan::Test;
use std::fmt;
use std::path::{Path, PathBuf};

/// Which half of a key pair a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Half {
    /// The secret key of this end.
    Secret,
    /// The public key of a far end.
    Public,
}

/// A key's file that a plan names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyFile {
    /// Which half belongs there.
    pub half: Half,
    /// Its path, from where the program runs.
    pub path: PathBuf,
    pub(super) place: Place,
}

/// A size of datagrams that a test asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SizeAsked {
    /// Octets of UDP payload.
    pub octets: u32,
    /// The place among the file's plans of the one that asks.
    pub plan: usize,
    /// The place among the plan's sites of the one that it is sent to; every one where it is
    /// `None`.
    pub site: Option<usize>,
    pub(super) place: Place,
}

/// What a plan does not say, and what is taken instead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assumption {
    /// The field, by its whole name.
    pub field: String,
    /// What is taken.
    pub taken: String,
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.taken)
    }
}

/// `assumptions` as people read them: what is taken for a key, once, and the tables where it is.
#[must_use]
pub fn by_key(assumptions: &[Assumption]) -> Vec<(String, Vec<String>)> {
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for Assumption { field, taken } in assumptions {
        let (table, key) = field.rsplit_once('.').unwrap_or(("", field));
        let text = format!("{key}: {taken}");
        match texts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, tables)) => tables.push(table.to_owned()),
            None => texts.push((text, vec![table.to_owned()])),
        }
    }
    texts
}

/// What a plan is read for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// To be run: it needs both ends, and tests.
    Run,
    /// To judge what was run: what it requires is enough.
    Judge,
}

/// A plan in the making.
pub(super) struct Draft<'a> {
    pub(super) folder: &'a Path,
    pub(super) purpose: Purpose,
    /// The place among the file's plans of the one that is read.
    pub(super) plan: usize,
    /// Where each site of its link stands.
    pub(super) sites: Vec<Place>,
    pub(super) keys: Vec<KeyFile>,
    pub(super) sizes: Vec<SizeAsked>,
    pub(super) assumptions: Vec<Assumption>,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Draft<'a> {
    /// One of a file in `folder`, of which these `faults` are known already.
    pub(super) const fn new(folder: &'a Path, purpose: Purpose, faults: Vec<Fault>) -> Self {
        Self {
            folder,
            purpose,
            plan: 0,
            sites: Vec::new(),
            keys: Vec::new(),
            sizes: Vec::new(),
            assumptions: Vec::new(),
            faults,
        }
    }
}

impl Draft<'_> {
    /// `what` is wrong at `place`.
    pub(super) fn fault(&mut self, place: &Place, what: impl Into<String>) -> &mut Fault {
        self.faults.push(Fault::new(place, what));
        self.faults.last_mut().expect("it was put there")
    }

    /// A table lacks a key: what belongs there, and an example.
    pub(super) fn missing(&mut self, table: &Place, key: &str, what: &str, example: &str) {
        let what = format!("is missing: {what}, such as {key} = \"{example}\"");
        self.fault(&table.field(key), what);
    }

    /// What the plan does not say is taken to be so; what several links share is said once.
    pub(super) fn assume(&mut self, place: &Place, taken: impl Into<String>) {
        let assumption = Assumption { field: place.name.clone(), taken: taken.into() };
        if !self.assumptions.contains(&assumption) {
            self.assumptions.push(assumption);
        }
    }

    /// Whether it is to be run.
    pub(super) fn is_run(&self) -> bool {
        self.purpose == Purpose::Run
    }

    /// A key's file, by the path that the plan gives.
    pub(super) fn key(&mut self, half: Half, path: &Path, place: &Place) -> PathBuf {
        let path = self.folder.join(path);
        self.keys.push(KeyFile { half, path: path.clone(), place: place.clone() });
        path
    }

    /// Each site is there for some test.
    pub(super) fn visit(&mut self, tests: &[Test]) {
        for (i, place) in std::mem::take(&mut self.sites).iter().enumerate() {
            let goes_there = |test: &Test| test.site.is_none_or(|site| site == i);
            if !tests.iter().any(goes_there) {
                self.fault(place, "no test goes there: take it out, or add a [[test]] for it");
            }
        }
    }
}
