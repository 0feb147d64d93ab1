//! Whom the agent serves: the keys that it was started with, and those of a file that its operator
//! changes while it runs.

use crate::io::log::stranger;
use crate::io::watched::{Unread, WatchedText};
use crate::policy::allowed::{AllowedDriver, read, remaining};
use crate::session::agent::Listed;
use crate::trial::Limits;
use crate::wire::key::{KeyLine, PublicKey};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How long a file has to say what takes something away.
const SETTLED_NS: u64 = 90_000_000;

/// Who may use the agent.
#[derive(Debug)]
pub(super) struct Drivers {
    limits: Limits,
    given: Vec<AllowedDriver>,
    file: Option<WatchedText>,
    /// What the file said when it was last taken in.
    of_file: Vec<AllowedDriver>,
    /// What it says now, and since when, where that takes something away.
    unsettled: Option<(u64, Vec<AllowedDriver>)>,
    /// Its lines that allow nobody, and why.
    bad: Vec<String>,
    /// Why it is not taken in as it is.
    fault: Option<String>,
    /// Those of both that are allowed now.
    listed: BTreeMap<PublicKey, AllowedDriver>,
}

impl Drivers {
    /// Those of `given`, with all that the agent allows, and those of `file`.
    pub(super) fn new(limits: Limits, given: Vec<KeyLine>, file: Option<PathBuf>) -> Self {
        let given = given.into_iter().map(AllowedDriver::whole).collect();
        let file = file.map(WatchedText::new);
        let (of_file, bad, unsettled, listed) = (Vec::new(), Vec::new(), None, BTreeMap::new());
        Self { limits, given, file, of_file, unsettled, bad, fault: None, listed }
    }

    /// Where they are listed, besides those that were given.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(WatchedText::path)
    }

    /// Those that are allowed: first those that were given, then those of the file, in its order.
    pub(super) fn listed(&self) -> impl Iterator<Item = &AllowedDriver> {
        let is_given =
            |driver: &&AllowedDriver| self.given.iter().any(|it| it.key.key() == driver.key.key());
        let of_file = self.of_file.iter().filter(move |driver| !is_given(driver));
        let all = self.given.iter().chain(of_file);
        all.filter(|driver| self.listed.get(&driver.key.key()) == Some(driver))
    }

    /// The lines of the file that allow nobody, and why, as it was read last.
    pub(super) fn bad_lines(&self) -> &[String] {
        &self.bad
    }

    /// Why the file is not taken in as it is, if so: what holds in its place, and what to do.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The driver whose key this is, where it is allowed.
    pub(super) fn find(&self, key: &PublicKey) -> Option<Listed> {
        let driver = self.listed.get(key)?;
        let (who, role) = (driver.key.comment().to_owned(), driver.role(self.limits));
        Some(Listed { who, key: *key, role })
    }

    /// Reads the file again, whether it has changed or not.
    pub(super) fn read_again(&mut self) {
        if let Some(file) = &mut self.file {
            file.forget();
        }
    }

    /// Takes in what has changed until `wall_ns`, and which keys have expired; `None` where nobody
    /// came, went or may do less or more, else the keys whose runs are over: those that are listed
    /// no longer, and those that are listed with another role.
    pub(super) fn refresh(&mut self, wall_ns: u64) -> Option<Vec<PublicKey>> {
        let is_read = self.read(wall_ns);
        let has_expired = self.listed.values().any(|driver| driver.is_expired(wall_ns));
        if !is_read && !has_expired {
            return None;
        }
        // What is given with the command holds against the file.
        let all = self.of_file.iter().chain(&self.given);
        let all = all.filter(|driver| !driver.is_expired(wall_ns));
        let listed = all.map(|driver| (driver.key.key(), driver.clone())).collect();
        let before = std::mem::replace(&mut self.listed, listed);
        if before == self.listed {
            return None;
        }
        let limits = self.limits;
        let is_as_before = |key: &PublicKey, driver: &AllowedDriver| {
            let now = self.listed.get(key);
            now.is_some_and(|now| now.role(limits) == driver.role(limits))
        };
        let gone = before.iter().filter(|(key, driver)| !is_as_before(key, driver));
        Some(gone.map(|(key, _)| *key).collect())
    }

    /// Whether the file says something new. Where it takes something away, it has to say so for
    /// [`SETTLED_NS`]: some editors empty a file before they write it.
    fn read(&mut self, wall_ns: u64) -> bool {
        let Some(file) = &mut self.file else { return self.is_unread() };
        let changed = file.changed();
        let path = file.path().display();
        match changed {
            Some(Ok(text)) => {
                let (allowed, bad) = read(&text);
                let bad = bad.into_iter().map(|(line, why)| format!("{path}:{line}: {why}"));
                self.bad = bad.collect();
                for line in &self.bad {
                    stranger("line of allowed_drivers ignored", line);
                }
                self.fault = None;
                self.unsettled = Some((wall_ns, allowed));
            }
            // An operator who takes a key out means it, whatever mode the file was saved with.
            Some(Err(Unread::Exposed { why, text })) => {
                let fault = format!("{path}: {why}. Until then keys are taken out, and none added");
                stranger("allowed_drivers is not trusted", &fault);
                self.fault = Some(fault);
                self.unsettled = Some((wall_ns, remaining(&self.of_file, &text)));
            }
            // Whoever is allowed stays so.
            Some(Err(Unread::Failed(error))) => {
                let fault =
                    format!("{path}: cannot be read, so what it said before holds: {error}");
                stranger("allowed_drivers cannot be read", &fault);
                self.fault = Some(fault);
            }
            None => {}
        }
        let Some((since_ns, allowed)) = self.unsettled.take() else { return self.is_unread() };
        let takes_away = self.of_file.iter().any(|driver| !allowed.contains(driver));
        if takes_away && wall_ns.abs_diff(since_ns) < SETTLED_NS {
            self.unsettled = Some((since_ns, allowed));
            return false;
        }
        self.of_file = allowed;
        true
    }

    /// Whether nothing has been listed yet of what was given.
    fn is_unread(&self) -> bool {
        self.listed.is_empty() && !self.given.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Span;
    use std::fs;
    use std::process::Command;

    const ALICE: &str = "linkqual-ed25519 \
                         MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE= alice@idc";

    fn drivers(file: PathBuf) -> Drivers {
        let rate_max = "1 Gbit/s".parse().expect("a rate");
        let limits = Limits { rate_max, duration_max: Span::from_secs(600) };
        Drivers::new(limits, Vec::new(), Some(file))
    }

    fn add_line(file: &Path, line: &str) {
        let text = fs::read_to_string(file).unwrap_or_default();
        fs::write(file, format!("{text}{line}\n")).expect("a file");
        change_mode(file, "644");
    }

    fn change_mode(file: &Path, mode: &str) {
        let status = Command::new("chmod").arg(mode).arg(file).status();
        assert!(status.is_ok_and(|status| status.success()), "chmod {mode}");
    }

    /// An editor that empties the file before it writes it takes nobody's run away.
    #[test]
    fn what_is_taken_away_has_to_stay_away_for_a_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("allowed_drivers");
        let mut drivers = drivers(file.clone());
        add_line(&file, ALICE);
        assert_eq!(drivers.refresh(0), Some(Vec::new()), "a key that comes is served at once");
        let key = drivers.listed().next().expect("one").key.key();
        fs::write(&file, "").expect("a file");
        assert_eq!(drivers.refresh(1_000), None);
        fs::write(&file, ALICE).expect("a file");
        assert_eq!(drivers.refresh(2_000), None);
        assert_eq!(drivers.refresh(2_000 + SETTLED_NS), None);
        fs::write(&file, "").expect("a file");
        let now = 3_000 + SETTLED_NS;
        assert_eq!(drivers.refresh(now), None);
        assert_eq!(drivers.refresh(now + SETTLED_NS), Some(vec![key]));
        assert!(drivers.find(&key).is_none());
    }

    #[test]
    fn drivers_are_listed_as_they_were_given_and_then_in_the_order_of_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("allowed_drivers");
        let line = |octet: &str, who: &str| ALICE.replace("Gb9", octet).replace("alice@idc", who);
        let of_file = [("zzz", "zoe"), ("aaa", "amy"), ("Gb9", "alice")];
        for (octet, who) in of_file {
            add_line(&file, &line(octet, who));
        }
        add_line(&file, "nonsense");
        let given = vec![line("mmm", "max").parse().expect("a key"), ALICE.parse().expect("a key")];
        let mut drivers =
            Drivers::new(drivers(file).limits, given, Some(folder.path().join("allowed_drivers")));
        drivers.refresh(0);
        let who: Vec<&str> = drivers.listed().map(|driver| driver.key.comment()).collect();
        assert_eq!(who, ["max", "alice@idc", "zoe", "amy"]);
        assert!(
            drivers.bad_lines()[0].contains("allowed_drivers:4: "),
            "{:?}",
            drivers.bad_lines()
        );
    }

    /// As editors and `cp` save it where the umask is 002. A key that was stolen was served on.
    #[test]
    fn a_key_that_is_taken_out_is_gone_whatever_mode_the_file_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("allowed_drivers");
        let bob = ALICE.replace("Gb9", "bob").replace("alice@idc", "bob");
        let eve = ALICE.replace("Gb9", "eve").replace("alice@idc", "eve");
        let mut drivers = drivers(file.clone());
        add_line(&file, ALICE);
        add_line(&file, &bob);
        drivers.refresh(0);
        let alice = drivers.listed().next().expect("one").key.key();
        let save = |text: &str| {
            fs::write(&file, text).expect("a file");
            change_mode(&file, "664");
        };
        save(&format!("{bob}\n{eve}\n"));
        assert_eq!(drivers.refresh(1_000), None, "it may be half written");
        assert_eq!(drivers.refresh(1_000 + SETTLED_NS), Some(vec![alice]));
        let who: Vec<&str> = drivers.listed().map(|driver| driver.key.comment()).collect();
        assert_eq!(who, ["bob"], "eve is not added");
        let fault = drivers.fault().expect("it is not trusted").to_owned();
        assert!(fault.contains("0664") && fault.contains("taken out, and none added"), "{fault}");
        // Nor does alice come back before somebody says whose file it is.
        let now = 2_000 + SETTLED_NS;
        save(&format!("{bob}\n{ALICE}\n"));
        assert_eq!(drivers.refresh(now), None);
        change_mode(&file, "644");
        assert_eq!(drivers.refresh(now + SETTLED_NS), Some(Vec::new()));
        assert_eq!((drivers.listed().count(), drivers.fault()), (2, None));
    }

    /// A driver that stays connected would keep the role that it had.
    #[test]
    fn a_key_that_may_do_less_or_more_loses_its_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("allowed_drivers");
        let mut drivers = drivers(file.clone());
        add_line(&file, ALICE);
        drivers.refresh(0);
        let key = drivers.listed().next().expect("one").key.key();
        let mut now = 0;
        let mut change = |line: String| {
            fs::write(&file, line).expect("a file");
            now += SETTLED_NS;
            drivers.refresh(now);
            now += SETTLED_NS;
            drivers.refresh(now)
        };
        assert_eq!(change(format!("probe-only {ALICE}")), Some(vec![key]));
        assert_eq!(change(format!("max-rate=1M {ALICE}")), Some(vec![key]));
        // Another name, or a later end, is nothing to a run.
        assert_eq!(change(format!("max-rate=1M {ALICE} of the NOC")), Some(Vec::new()));
    }

    #[test]
    fn a_key_that_expires_is_gone_though_its_file_is_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("allowed_drivers");
        let mut drivers = drivers(file.clone());
        add_line(&file, &format!("expires=2027-03-31 {ALICE}"));
        let end_ns = 1_806_537_600 * 1_000_000_000;
        assert_eq!(drivers.refresh(end_ns - 1), Some(Vec::new()));
        let key = drivers.listed().next().expect("one").key.key();
        assert_eq!(drivers.refresh(end_ns), Some(vec![key]));
        assert_eq!(drivers.refresh(end_ns), None);
    }
}
