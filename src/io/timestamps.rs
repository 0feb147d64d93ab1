//! The kernel's stamps of when datagrams left: asked for with each, read back from the error queue.
//!
//! The kernel numbers the datagrams of a socket and reports each one's stamp by its number alone
//! (`SOF_TIMESTAMPING_OPT_ID`, `OPT_TSONLY`). Whether a datagram that it refused took a number
//! depends on its version, so that the numbers start anew behind each refusal; a stamp that could
//! not be its datagram's, because it is of before the call that sent it, is dropped. Stamps are the
//! kernel's own, taken where the device's driver takes the datagram; or a network card's, where it
//! stamps all. A socket has either the ones or the others: they are never mixed.

mod departures;
mod noise;

pub(super) use departures::Departures;
pub use departures::{Departure, Label};
pub use noise::{KeptNoise, noise_ns};
