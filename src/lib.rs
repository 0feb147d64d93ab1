//! Qualifies a leased line or a VPC peering against the requirements of a migration.

pub mod clock;
