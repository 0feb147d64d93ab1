//! Qualifies a leased line or a VPC peering against the requirements of a migration.

pub mod units;

pub mod clock;

pub mod wire;

pub mod plan;

pub mod policy;

pub mod pace;

pub mod stats;

pub mod flow;

pub mod metric;

pub mod doubt;

pub mod verdict;

pub mod line;

pub mod method;

pub mod session;

pub mod io;

pub mod traffic;

pub mod report;

pub mod cli;

pub mod driver;

pub mod agent;

pub mod demo;
