//! The procedures: which trials a plan needs, and which comes next.
//!
//! A method knows trials and findings, never messages. [`campaign`] alone says what comes next.

pub mod campaign;

pub mod trials;
