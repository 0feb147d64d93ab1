//! One test binary: each module below is a subject.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod sim;
