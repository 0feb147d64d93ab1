//! Qualifies a leased line or a VPC peering against the requirements of a migration.
//!
//! # The house
//!
//! *Arguments and a plan file become a plan; a plan, once granted, becomes departures; departures
//! become arrivals; arrivals are counted; counts become metrics; metrics meet
//! requirements; that is the verdict, and the report only says it.*
//!
//! Three floors, in the order of the data's way. A module names only modules that stand before it
//! here; `tests/it/tidy.rs` holds the same table and checks it.
//!
//! - **Words**, values without decisions: [`units`], [`framing`], [`direction`], [`clock`], `wrap`,
//!   [`stats`], [`account`], [`wire`]
//! - **Head**, decides: time and octets come in as arguments, actions go out as values: [`trial`],
//!   [`policy`], [`pace`], [`flow`], [`metric`], [`validity`], [`verdict`], [`plan`],
//!   [`emulation`], [`method`], [`session`], [`forecast`], [`schedule`], [`report`],
//!   [`history`], [`health`] (links that are watched), [`alerting`]
//! - **Hands**, touch the world and decide nothing: [`io`] (names words alone), [`dataplane`] (the
//!   data plane's threads), [`store`] (the history's database), [`cli`] (arguments: what was typed,
//!   and what it means), [`driver`] (a run as a library: a job in, events and a report out),
//!   [`agent`], [`demo`], and [`commands`], the driver's program
//!
//! # Libraries and programs
//!
//! A run is started, watched and cancelled by whoever needs one: a command, a schedule, a test, a
//! process that watches hundreds of links. So [`driver::run`] is a future without a terminal: what
//! a person sees or types, exit codes included, is in [`commands`], and for the agent in
//! [`agent`].
//!
//! The agent does without whatever plans, judges, forecasts or reports: those modules, and the
//! driver's half of the others, stand behind the feature `driver`, at their declarations alone.
//!
//! # Invariants
//!
//! 1. Words and head never read a clock, open a socket or a file, sleep, spawn or print.
//! 2. `io` never knows what a plan or a verdict is.
//! 3. What the line does is never an error: loss, silence and reordering end as numbers.
//! 4. A packet that this host failed to send, or dropped in its own receive buffer, is never
//!    counted as lost by the line.
//! 5. A number never stands without its unit, its count of samples and its interval, or the reason
//!    why it is missing; 0 never means "no result".
//! 6. A one-way delay never stands without an [`clock::Offset`] and its error.
//! 7. No packet ever leaves an agent without a [`policy::Grant`], and a grant ends by itself.
//! 8. A verdict never depends on anything but requirements and evidence: a saved run can be judged
//!    again years later.
//! 9. The same seed and the same simulated line never give another report.
//! 10. Types that are serialised stand where octets or text cross the edge, never elsewhere.
//!
//! # What grows
//!
//! A new metric is a file in [`metric`] and a line in its list; keys of plans, options, schemas,
//! tables, the forecast, caveats and verdicts follow from what the file says (`tests/it/tidy.rs`
//! looks for names of metrics anywhere else).
//!
//! # The two planes
//!
//! The *control plane* is rare and fully checked: [`session::driver`] and [`session::agent`] are
//! machines that are handed messages, events and the time, and hand back actions;
//! [`method`] says which step comes next. tokio carries them, in the programs on one thread, and
//! [`io::channel`] carries their messages, at both ends.
//!
//! The *data plane* is a thread for each stream: [`dataplane`] runs a machine of [`flow`] over a
//! socket of [`io`], without allocation, lock or queue for a packet. The two meet in channels and
//! atomics alone.
//!
//! The same machines run in virtual time over [`emulation`] in the oracle simulation
//! (`tests/it/sim`), where the line knows what it did to each packet, so that what is measured is
//! held against the truth.

pub mod units;

pub mod framing;

pub mod direction;

pub mod clock;

#[cfg(feature = "driver")]
mod wrap;

pub mod stats;

pub mod account;

pub mod wire;

pub mod trial;

pub mod policy;

pub mod pace;

pub mod flow;

#[cfg(feature = "driver")]
pub mod metric;

#[cfg(feature = "driver")]
pub mod validity;

#[cfg(feature = "driver")]
pub mod verdict;

#[cfg(feature = "driver")]
pub mod plan;

#[cfg(feature = "driver")]
pub mod emulation;

#[cfg(feature = "driver")]
pub mod method;

pub mod session;

#[cfg(feature = "driver")]
pub mod forecast;

#[cfg(feature = "driver")]
pub mod schedule;

#[cfg(feature = "driver")]
pub mod report;

#[cfg(feature = "driver")]
pub mod history;

#[cfg(feature = "driver")]
pub mod health;

#[cfg(feature = "driver")]
pub mod alerting;

pub mod io;

pub mod dataplane;

#[cfg(feature = "driver")]
pub mod store;

pub mod cli;

#[cfg(feature = "driver")]
pub mod driver;

pub mod agent;

#[cfg(feature = "driver")]
pub mod demo;

#[cfg(feature = "driver")]
pub mod commands;
