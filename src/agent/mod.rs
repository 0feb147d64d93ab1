//! The agent: carries out what [`crate::session::agent`] says. [`main`] is its program, [`Server`]
//! what serves, in a program of its own or in a demonstration.

mod allow;
mod connection;
mod drivers;
mod pause;
mod program;
mod server;
mod strangers;

pub use program::main;
pub use server::{Config, Server};
