//! The folders in which this user's programs keep things, by the XDG Base Directory Specification;
//! root's are the host's own.

use std::env::var_os;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// The folder of this program in each of them.
const OURS: &str = "linkqual";

/// Where what is configured is kept: `$XDG_CONFIG_HOME/linkqual`, `~/.config/linkqual`, or
/// `/etc/linkqual` for root; `None` where the environment names none.
#[must_use]
pub fn config() -> Option<PathBuf> {
    folder("XDG_CONFIG_HOME", ".config", "/etc")
}

/// Where what is measured is kept: `$XDG_DATA_HOME/linkqual`, `~/.local/share/linkqual`, or
/// `/var/lib/linkqual` for root; `None` where the environment names none.
#[must_use]
pub fn data() -> Option<PathBuf> {
    folder("XDG_DATA_HOME", ".local/share", "/var/lib")
}

fn folder(variable: &str, in_home: &str, of_root: &str) -> Option<PathBuf> {
    // A path that is not absolute is to be ignored (XDG Base Directory Specification 0.8).
    let path = |name| var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match path(variable) {
        Some(base) => base,
        None if user_id() == Some(0) => of_root.into(),
        None => path("HOME")?.join(in_home),
    };
    Some(base.join(OURS))
}

/// Of files in this process's own folder of /proc its owner is this process's user.
fn user_id() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|own| own.uid())
}

/// What this host is called; `None` where it has no name.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = crate::account::plain(name.trim());
    (!name.is_empty()).then_some(name)
}

/// The variable called `name` of the environment.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    var_os(name)?.into_string().ok()
}

/// Who runs this program: the name by which the user logged in, also where sudo was used; else the
/// number.
#[must_use]
pub fn user_name() -> Option<String> {
    let name = |variable| var_os(variable).and_then(|name| name.into_string().ok());
    let name = ["SUDO_USER", "LOGNAME", "USER"].into_iter().find_map(name);
    name.or_else(|| user_id().map(|id| format!("user {id}")))
}
