//! What kind of file system a path is on.

use std::ffi::CString;
use std::mem::zeroed;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The magic number of the file system that `path` is on (statfs(2)); `None` where it cannot be
/// found out.
pub(in crate::io) fn kind(path: &Path) -> Option<i64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: all of `statfs` may be zero.
    let mut found: libc::statfs = unsafe { zeroed() };
    // SAFETY: the path ends in a zero octet, and `found` is as large as the call takes it to be.
    let done = unsafe { libc::statfs(path.as_ptr(), &raw mut found) };
    (done == 0).then_some(found.f_type)
}
