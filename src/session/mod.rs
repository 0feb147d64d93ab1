//! The conversation of driver and agent: two machines of the same shape.
//!
//! A session carries out one trial with one site, and never chooses the next. It is handed
//! messages, ends of trials and the time; it hands back actions. The law of its use: one `handle_`
//! or command, then [`driver::Session::poll_action`] until it gives `None`, then wait until
//! something happens or its deadline comes. It never reads a clock, and never touches a socket.
//!
//! Both halves have the same shape: `mod` matches each message with the state that expects it, and
//! a file for each matter that a message can be about.
//!
//! ```text
//! driver                                   agent
//!   Hello                  ->
//!                          <-   Hello        (its limits; or a TLS alert: key not listed)
//!   Request                ->
//!                          <-   Granted      (or Refused)
//!   Prepare                ->
//!                          <-   Prepared     (tokens and keys of the trial's streams)
//!        … handshakes over UDP, one for each stream …
//!   Start                  ->
//!                          <-   Started
//!        … probes, load, heartbeats …
//!   Closing, each stream   <->  Closing, each stream
//!                          <-   Account      (all that the agent counted)
//!   Prepare … or Finish    ->
//! ```
//!
//! A connection that closes or falls silent ends nothing: data goes on, and over another one
//!
//! ```text
//!   Hello, Attach          ->
//!                          <-   Hello, Attached     (or Refused: the run is not known any more)
//!                          <-   Closing, Account    (of the trial, as far as they were sent)
//!   what waits for an answer, Closing, each stream   ->
//! ```
//!
//! So whatever a driver says may come twice, and does no more than once.

pub mod agent;

#[cfg(feature = "driver")]
pub mod driver;

use crate::trial::Trial;
use crate::units::Span;
use crate::wire::control::{Hello, LimitsMessage, PROTOCOL, PROTOCOL_BEFORE};

/// How long an answer to a message may take.
pub const ANSWER_MAX: Span = Span::from_secs(10);

/// How long no data may come once the control connection is closed, before a run is over.
pub const QUIET_MAX: Span = Span::from_secs(1);

/// The same in a trial whose probes are further apart than a third of that: three of them.
#[must_use]
fn quiet_max(trial: &Trial) -> Span {
    QUIET_MAX.max(trial.probe_rate().due(3))
}

/// This program, as it introduces itself.
#[must_use]
pub fn hello(program: &str, limits: Option<LimitsMessage>) -> Hello {
    let program = format!("{program} {}", env!("CARGO_PKG_VERSION"));
    let (protocol, latest) = (PROTOCOL_BEFORE, Some(PROTOCOL));
    Hello { protocol, latest, program, limits, role: None, who: None, host: None }
}
