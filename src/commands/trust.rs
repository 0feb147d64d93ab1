//! `linkqual trust`: an agent's key, compared by a person and remembered.

use super::error::Error;
use super::keys;
use super::runtime::runtime;
use crate::cli::TrustArgs;
use crate::driver::{Admission, Presented, admission, presented};
use crate::io::keyring::{Keyring, OwnKey};
use crate::io::terminal::{ask, print, say};
use crate::io::tls::Identity;
use crate::plan::{Host, Near};
use crate::trial::Limits;
use crate::wire::key::PublicKey;
use std::net::SocketAddr;
use std::process::ExitCode;

/// Questions that are asked before no answer is taken for a no.
const QUESTIONS_MAX: usize = 3;

/// `linkqual trust`.
///
/// # Errors
///
/// Where nothing was remembered.
pub(super) fn trust(args: &TrustArgs) -> Result<ExitCode, Error> {
    let host = args.host.to_string();
    let keyring = Keyring::of_user()?;
    // Before anything is asked: what cannot be read could not be added to.
    let known = keyring.known(&host)?;
    let own = keys::driver_key(&keyring)?;
    let identity = Identity::new(&own.secret);
    let near = Near { source: args.source, device: args.device.clone() };
    let runtime = runtime()?;
    let Presented { agent, key, note } =
        runtime.block_on(presented(&args.host, &near, &identity))?;
    note.iter().for_each(|note| say(&format!("note: {note}")));
    if let Some(expected) = args.fingerprint.as_ref().filter(|it| **it != key.fingerprint()) {
        return Err(Error::NotTrusted(format!(
            "the agent at {agent} has the key {key}, and not {expected}. Nothing was remembered. \
             Is it the right host? Ask its operator for the fingerprint again: linkqual-agent key"
        )));
    }
    match known {
        Some(known) if known == key => {
            print(&format!("{host} is trusted already: {key}\n"))?;
            let to = (&args.host, agent);
            print(&runtime.block_on(listing(to, &near, &keyring, &own, key)))?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(known) if !args.replace => {
            let so = "Nothing was remembered";
            return Err(Error::Changed { host, known, got: key, so });
        }
        _ => {}
    }
    if let Some(known) = known {
        say(&format!("{host} had the key {known} before."));
    }
    if args.fingerprint.is_none() {
        compare(&host, &key)?;
    }
    keyring.remember(&host, key)?;
    let file = keyring.known_agents();
    print(&format!("{host} is trusted from now on: {key}, in {}\n", file.display()))?;
    let to = (&args.host, agent);
    print(&runtime.block_on(listing(to, &near, &keyring, &own, key)))?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the agent, which has `key`, serves this driver, and what to do where it does not.
async fn listing(
    to: (&Host, SocketAddr),
    near: &Near,
    keyring: &Keyring,
    own: &OwnKey,
    key: PublicKey,
) -> String {
    let ask = async |identity: &Identity| admission(to, near, identity, key).await;
    let admitted = match ask(&Identity::new(&own.secret)).await {
        Err(why) => return format!("Whether it serves this driver is not known: {why}.\n"),
        Ok(Admission::NotListed) => None,
        Ok(Admission::Admitted(limits, role)) => Some((limits, role)),
    };
    if let Some((limits, role)) = admitted {
        let Limits { rate_max, duration_max } = limits;
        let role = role.map_or_else(String::new, |role| format!(" as {role}"));
        return format!(
            "It serves this driver{role}: up to {rate_max} (L2), {} s of load in one run.\n",
            duration_max.secs_up()
        );
    }
    let mut text = "It does not serve this driver yet".to_owned();
    for former in keys::former(keyring) {
        if matches!(ask(&former.identity).await, Ok(Admission::Admitted(..))) {
            let until = &former.until;
            text = format!("It serves this driver by its former key, until {until}");
            break;
        }
    }
    format!("{text}. Have its operator run: linkqual-agent allow {}\n", own.line)
}

/// Has a person compare the key that the agent `host` presents.
///
/// # Errors
///
/// Where there is no person, or the answer is no.
fn compare(host: &str, key: &PublicKey) -> Result<(), Error> {
    let mut question = format!(
        "The agent {host} has the key\n  {key}\nIts operator sees it with linkqual-agent key. Is \
         it the same (yes, no, or the fingerprint)? "
    );
    for _ in 0..QUESTIONS_MAX {
        let Some(answer) = ask(&question) else { return Err(unasked(host, key)) };
        match answer.trim() {
            "yes" | "y" => return Ok(()),
            answer if answer == key.fingerprint() => return Ok(()),
            "no" | "n" => break,
            answer if answer.starts_with("SHA256:") => {
                return Err(Error::NotTrusted(format!(
                    "{answer} is not the fingerprint of the agent {host}, which is {key}. Nothing \
                     was remembered"
                )));
            }
            _ => question = "Please answer yes or no, or give the fingerprint: ".to_owned(),
        }
    }
    Err(Error::NotTrusted(format!("{host} is not trusted. Nothing was remembered")))
}

/// There is nobody to compare it.
fn unasked(host: &str, key: &PublicKey) -> Error {
    Error::Unasked(format!(
        "the agent {host} has the key {key}, and without a terminal nobody can be asked whether \
         it is the right one. Get the fingerprint from its operator (linkqual-agent key), and \
         give it: linkqual trust {host} --fingerprint SHA256:…"
    ))
}
