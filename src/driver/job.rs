//! A run that is to be conducted, and what it comes to.

use super::addresses::Lookup;
use super::cancel::Cancel;
use super::error::Error;
use super::events::Events;
use super::lease::Lessor;
use crate::direction::Direction;
use crate::io::resolve::{Unresolved, system};
use crate::io::tcp::try_congestion_control;
use crate::io::tls::Identity;
use crate::plan::{Plan, Test, Work};
use crate::report::{PlanRecord, Report};
use crate::wire::control::RunId;
use crate::wire::key::PublicKey;
use rand::TryRng as _;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// What the caller wants of a run, of one link or of several: methods of what has the fields
/// `file`, `notes`, `keeper`, `events` and `cancel`.
macro_rules! wanted {
    () => {
        /// The file that the plan was read from, for the report.
        #[must_use]
        pub fn from_file(self, file: Option<PlanRecord>) -> Self {
            Self { file, ..self }
        }

        /// What was decided for the user before, for the report.
        #[must_use]
        pub fn with_notes(self, notes: Vec<String>) -> Self {
            Self { notes, ..self }
        }

        /// The record is kept by `keeper`: as trials end, and when the run is over.
        #[must_use]
        pub fn kept_by(self, keeper: impl Keep + 'static) -> Self {
            Self { keeper: Keeper(Some(Box::new(keeper))), ..self }
        }

        /// What happens is sent to `events`, of several links with the name of its link.
        #[must_use]
        pub fn reporting_to(self, events: Events) -> Self {
            Self { events: Some(events), ..self }
        }

        /// All of it may be ended by `cancel`.
        #[must_use]
        pub fn ended_by(self, cancel: &Cancel) -> Self {
            Self { cancel: cancel.clone(), ..self }
        }
    };
}
pub(super) use wanted;

/// Who keeps a record, if anybody does; nothing can be shown of it.
pub(super) struct Keeper(pub(super) Option<Box<dyn Keep>>);

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

/// A run that is to be conducted: a plan, the keys that it takes, and who wants to hear of it.
pub struct Job {
    pub(super) id: RunId,
    pub(super) plan: Plan,
    pub(super) identity: Identity,
    pub(super) former: Vec<Former>,
    pub(super) agent_keys: Vec<PublicKey>,
    pub(super) file: Option<PlanRecord>,
    pub(super) notes: Vec<String>,
    pub(super) lookup: Lookup,
    pub(super) keeper: Keeper,
    pub(super) events: Option<Events>,
    pub(super) cancel: Cancel,
    pub(super) lessor: Option<Box<dyn Lessor>>,
    /// How many runs this host may conduct at once, this one among them.
    pub(super) at_once: usize,
}

impl Job {
    /// A run of `plan` by `identity`, towards agents that have `agent_keys`: one for each site, in
    /// the plan's order. No file is read: the paths of keys in the plan are for those who read it.
    ///
    /// # Errors
    ///
    /// Where a site has no key, or this host cannot send as the plan says.
    pub fn new(plan: Plan, identity: Identity, agent_keys: Vec<PublicKey>) -> Result<Self, Error> {
        let (sites, keys) = (plan.sites.len(), agent_keys.len());
        if sites != keys {
            return Err(Error::Keys { sites, keys });
        }
        for test in &plan.tests {
            try_congestion_control_of(test)?;
        }
        Ok(Self {
            id: new_run()?,
            plan,
            identity,
            former: Vec::new(),
            agent_keys,
            file: None,
            notes: Vec::new(),
            lookup: Arc::new(system),
            keeper: Keeper(None),
            events: None,
            cancel: Cancel::default(),
            lessor: None,
            at_once: 1,
        })
    }

    /// What is to be run.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The keys that its agents must have, in the order of the plan's sites.
    #[must_use]
    pub fn agent_keys(&self) -> &[PublicKey] {
        &self.agent_keys
    }

    /// The run's name, which its report has, too.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.id
    }

    /// The file that the plan was read from.
    #[must_use]
    pub const fn file(&self) -> Option<&PlanRecord> {
        self.file.as_ref()
    }

    /// Keys that the driver had before and that are valid still: they are tried in this order with
    /// an agent that does not list its key.
    #[must_use]
    pub fn with_former(self, former: Vec<Former>) -> Self {
        Self { former, ..self }
    }

    /// Names are resolved by `lookup`, and not by this host's resolver: every address of a name
    /// with a port, in the order of preference. It is called on a thread where it may wait.
    #[must_use]
    pub fn resolved_by(
        self,
        lookup: impl Fn(&str, u16) -> Result<Vec<SocketAddr>, Unresolved> + Send + Sync + 'static,
    ) -> Self {
        Self { lookup: Arc::new(lookup), ..self }
    }

    /// The run loads its link by the lease that `lessor` gives, and is not run where it gives none.
    /// A run that loads nothing asks for none.
    #[must_use]
    pub fn leased_by(self, lessor: impl Lessor + 'static) -> Self {
        Self { lessor: Some(Box::new(lessor)), ..self }
    }

    wanted!();

    /// The run's identifier, as the report has it: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        self.id.to_string()
    }
}

/// A key that a driver had before, and that is valid for a while beside its own.
#[derive(Clone, Debug)]
pub struct Former {
    /// The key.
    pub identity: Identity,
    /// Until when it is valid, in words.
    pub until: String,
}

impl Former {
    /// The note that this key is used with `agent`, which does not list `newer`.
    pub(super) fn note(&self, agent: SocketAddr, newer: PublicKey) -> String {
        format!(
            "the agent at {agent} does not allow this driver's key {newer} yet; its former key {} \
             is used, until {}. Have the agent's operator add the line that linkqual key shows",
            self.identity.public_key(),
            self.until
        )
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

/// A name for a run, which no other has.
///
/// # Errors
///
/// Where this host has no random numbers.
pub fn new_run() -> Result<RunId, Error> {
    let mut name = [0; 16];
    let filled = rand::rngs::SysRng.try_fill_bytes(&mut name);
    filled.map_err(|error| Error::System(error.to_string()))?;
    Ok(RunId(u128::from_le_bytes(name)))
}

/// What this host cannot send is found out before anything is loaded.
fn try_congestion_control_of(test: &Test) -> Result<(), Error> {
    match &test.work {
        Work::Tcp(tcp) if tcp.directions.includes(Direction::Forward) => {
            let tried = try_congestion_control(tcp.congestion.name());
            tried.map_err(|error| Error::NoCongestionControl(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// Keeps the record of a run: in a folder, in a database.
///
/// It is called on a thread where it may wait, and the run waits for it: what was measured is kept
/// before anything else is done.
pub trait Keep: Send {
    /// Keeps `report`, the run as far as it has come, in the place of what it was handed before.
    ///
    /// # Errors
    ///
    /// Where it cannot be kept now. The run goes on, and hands over more.
    fn keep(&mut self, report: &Report) -> Result<(), NotKept>;

    /// Keeps what no time is lost for while a run goes on: the record alone, from which all else
    /// can be made.
    ///
    /// # Errors
    ///
    /// Where it cannot be kept now.
    fn keep_record(&mut self, report: &Report) -> Result<(), NotKept> {
        self.keep(report)
    }
}

/// Why a record could not be kept.
pub type NotKept = Box<dyn std::error::Error + Send + Sync>;

/// What a run came to.
#[derive(Debug)]
pub struct Run {
    /// All that was found out, and the verdict. Trials that were not run are in it, with the
    /// reason.
    pub report: Report,
    /// Whether all of it was kept. Where nothing was measured, nothing is.
    pub kept: Result<(), NotKept>,
    /// Why nothing was measured; `None` where anything was.
    pub error: Option<Error>,
}
