//! One test binary: each module below is a subject.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod golden;
mod lab;
mod relay;
mod sim;
mod support;
mod tidy;
