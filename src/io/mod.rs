//! The hands: everything that touches sockets, clocks, files and signals. Decides nothing.
#![expect(clippy::disallowed_types, reason = "this is the one floor that touches the world")]

mod bad_output;
pub mod channel;
mod chrony;
pub mod clock;
pub mod egress;
pub mod files;
pub mod host;
#[cfg(feature = "driver")]
pub mod http;
pub mod key;
pub mod keyring;
pub mod log;
pub mod neighbour;
mod netlink;
pub mod pause;
mod phc;
#[cfg(feature = "driver")]
pub mod program;
pub mod resolve;
pub mod service;
mod sys;
pub mod tcp;
pub mod terminal;
pub mod timestamps;
pub mod tls;
pub mod tun;
pub mod udp;
pub mod user_folders;
pub mod watched;
pub mod witness;
