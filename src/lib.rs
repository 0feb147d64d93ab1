//! Qualifies a leased line or a VPC peering against the requirements of a migration.

pub mod units;

pub mod clock;

pub mod wire;
