//! How wide a terminal is.

use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Columns of the terminal `file`; `None` where it is none, or does not know.
pub(in crate::io) fn columns(file: BorrowedFd<'_>) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: `size` is alive, and what this request writes.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    let is_known = result == 0 && 0 < size.ws_col;
    is_known.then_some(size.ws_col.into())
}
