//! Whose key a run has, and which keys its agents must have: named by the plan, or kept in this
//! user's folder.

use super::error::{Error, Unknown};
use crate::cli::{KeyArgs, KeyCommand, RotateArgs};
use crate::driver::Former;
use crate::io::clock;
use crate::io::key::{read_public, read_secret};
use crate::io::keyring::{Keyring, OwnKey, Rotation};
use crate::io::terminal::{print, say};
use crate::io::tls::Identity;
use crate::plan::{Plan, Site};
use crate::wire::key::PublicKey;
use std::process::ExitCode;

/// The keys of a run.
#[derive(Debug)]
pub(super) struct Keys {
    /// The driver's.
    pub(super) identity: Identity,
    /// Those that it had before, and that are valid still.
    pub(super) former: Vec<Former>,
    /// Those of the agents, in the order of the plan's sites.
    pub(super) agents: Vec<PublicKey>,
}

/// The keys that a run of `plan` takes. A driver that has none yet makes its own, and says so.
///
/// # Errors
///
/// Where one cannot be used, or an agent is not known.
pub(super) fn of_plan(plan: &Plan) -> Result<Keys, Error> {
    let (identity, former) = match &plan.key {
        Some(path) => (Identity::new(&read_secret(path)?), Vec::new()),
        None => own()?,
    };
    Ok(Keys { identity, former, agents: agents(plan)? })
}

/// This driver's own key, which is made where there is none, and those that it had before.
///
/// # Errors
///
/// Where it cannot be used or made.
pub(super) fn own() -> Result<(Identity, Vec<Former>), Error> {
    let keyring = Keyring::of_user()?;
    let own = driver_key(&keyring)?;
    Ok((Identity::new(&own.secret), former(&keyring)))
}

/// The keys that this driver had before, and that are valid still.
pub(super) fn former(keyring: &Keyring) -> Vec<Former> {
    let former = keyring.former_keys(clock::wall_ns()).into_iter().map(|former| Former {
        identity: Identity::new(&former.secret),
        until: former.line.succession.until().to_string(),
    });
    former.collect()
}

/// The key in `keyring`; where it is made now, that is said, with what makes it useful.
pub(super) fn driver_key(keyring: &Keyring) -> Result<OwnKey, Error> {
    let own = keyring.driver_key()?;
    if own.is_new {
        say(&format!(
            "made this driver's key, {}. On each agent its operator runs: linkqual-agent allow {}",
            own.path.display(),
            own.line
        ));
    }
    Ok(own)
}

/// The key of each agent of `plan`.
fn agents(plan: &Plan) -> Result<Vec<PublicKey>, Error> {
    let known = known(plan)?;
    match Unknown::of(plan, &known) {
        Some(unknown) => Err(Error::UnknownAgents(unknown)),
        None => Ok(known.into_iter().flatten().collect()),
    }
}

/// The same, as far as they are known.
pub(super) fn known(plan: &Plan) -> Result<Vec<Option<PublicKey>>, Error> {
    plan.sites.iter().map(agent).collect()
}

/// The keys of the agents of `plan` that can be had: where one cannot, a run says why.
pub(super) fn known_of(plan: &Plan) -> Vec<PublicKey> {
    known(plan).unwrap_or_default().into_iter().flatten().collect()
}

/// The agents of `plans` that runs would not know: `None` where they know all.
///
/// # Errors
///
/// Where what is known cannot be read.
pub(super) fn unknown(plans: &[Plan]) -> Result<Option<Unknown>, Error> {
    let of = |plan: &Plan| Ok(Unknown::of(plan, &known(plan)?));
    let unknown = plans.iter().map(of).collect::<Result<Vec<_>, Error>>()?;
    Ok(unknown.into_iter().flatten().reduce(Unknown::and))
}

/// The key that the agent of `site` must have; `None` where nobody said.
fn agent(site: &Site) -> Result<Option<PublicKey>, Error> {
    match &site.key {
        Some(path) => Ok(Some(read_public(path)?.key())),
        None => Ok(Keyring::of_user()?.known(&site.agent.to_string())?),
    }
}

/// `linkqual key`.
///
/// # Errors
///
/// Where there is no key and none can be made.
pub(super) fn key(args: &KeyArgs) -> Result<ExitCode, Error> {
    if let Some(KeyCommand::Rotate(args)) = &args.command {
        return rotate(args);
    }
    let keyring = Keyring::of_user()?;
    let own = driver_key(&keyring)?;
    if !own.is_new {
        say(&format!(
            "this driver's key is {}, {}. On each agent its operator runs: linkqual-agent allow \
             with this line:",
            own.path.display(),
            own.line.key()
        ));
    }
    // In the order in which an agent can take them: each key must be allowed to hand on.
    for former in keyring.former_keys(clock::wall_ns()).into_iter().rev() {
        let succession = former.line.succession;
        say(&format!(
            "its former key, {}, is valid until {}. An agent that lists that one takes this line: \
             {}",
            succession.old(),
            succession.until(),
            former.line
        ));
    }
    print(&format!("{}\n", own.line))?;
    Ok(ExitCode::SUCCESS)
}

/// `linkqual key rotate`.
///
/// # Errors
///
/// Where there is no key, or it cannot be kept.
fn rotate(args: &RotateArgs) -> Result<ExitCode, Error> {
    let keyring = Keyring::of_user()?;
    let Rotation { path, new, retired, line } = keyring.rotate(args.overlap, clock::wall_ns())?;
    let until = line.succession.until();
    say(&format!(
        "this driver's new key is {}, {}. The old one, {}, is kept in {} and valid until {until}; \
         until then it is used with agents that do not list the new one. On each agent its \
         operator runs: linkqual-agent allow with this line:",
        path.display(),
        new.key(),
        line.succession.old(),
        retired.display()
    ));
    print(&format!("{line}\n"))?;
    Ok(ExitCode::SUCCESS)
}
