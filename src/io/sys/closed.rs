//! Whether the standard output was closed when the program began.
//!
//! The standard library opens `/dev/null` in the place of a closed one before `main`, and what is
//! written there is lost without a word. So this looks before the library does.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Run by the loader before the standard library's own start (System V ABI, "Initialization and
/// Termination Functions").
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: takes two integers and no pointer.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    WAS_CLOSED.store(flags < 0, Relaxed);
}

/// The error of writing to a standard output that was closed from the start.
pub(in crate::io) fn check_stdout() -> io::Result<()> {
    // Named here, so that the linker keeps it.
    std::hint::black_box(&LOOK);
    match WAS_CLOSED.load(Relaxed) {
        true => Err(io::Error::from_raw_os_error(libc::EBADF)),
        false => Ok(()),
    }
}
