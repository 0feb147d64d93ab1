//! One test binary: each module below is a subject.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests start threads, and wait for programs")]
#![expect(clippy::disallowed_types, reason = "tests hold sockets, and measure their own patience")]

mod agents;
mod cli;
mod comparison;
mod docs;
mod drivers;
mod golden;
mod greedy;
mod health;
mod history;
mod hostile;
mod judge;
mod keys;
mod lab;
mod leases;
mod library;
mod links;
#[path = "../../scripts/manuals.rs"]
#[expect(dead_code, reason = "what is of the program alone is not tried here")]
mod manuals;
mod messages;
mod names;
mod neighbours;
mod oracle;
mod oracle_comparison;
mod oracle_owd;
mod oracle_tcp;
mod output;
mod permits;
mod plan;
mod postgres;
mod probed;
mod relay;
mod scheduled;
mod service;
mod sessions;
mod sim;
mod support;
mod survive;
mod tidy;
#[path = "../../scripts/sessions.rs"]
#[expect(dead_code, reason = "what is of the program alone is not tried here")]
mod watch;
