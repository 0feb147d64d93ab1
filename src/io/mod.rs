//! The hands: everything that touches sockets, clocks, files and signals. Decides nothing.
#![expect(clippy::disallowed_types, reason = "this is the one floor that touches the world")]

mod card;
pub mod clock;
pub mod files;
pub mod frame;
pub mod host;
pub mod key;
pub mod log;
mod netlink;
pub mod stamps;
mod sys;
pub mod tcp;
pub mod tls;
pub mod tun;
pub mod udp;
pub mod way;
