//! The hands: everything that touches sockets, clocks, files and signals. Decides nothing.
#![expect(clippy::disallowed_types, reason = "this is the one floor that touches the world")]

pub mod frame;
pub mod key;
pub mod tls;
