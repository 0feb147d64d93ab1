//! How far this host's local time is ahead of UTC.

/// Seconds that local time is ahead of UTC at `unix_s`, by TZ or /etc/localtime; `None` where that
/// is no time of a calendar.
pub(in crate::io) fn utc_offset_s(unix_s: i64) -> Option<i32> {
    let mut local = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: takes a number by pointer, and writes a structure that is alive.
    let filled = unsafe { libc::localtime_r(&raw const unix_s, local.as_mut_ptr()) };
    // SAFETY: all of it is plain numbers and a pointer that is not read; zeroed, and then filled.
    let local = unsafe { local.assume_init() };
    if filled.is_null() { None } else { i32::try_from(local.tm_gmtoff).ok() }
}
