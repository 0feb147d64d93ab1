//! What a circuit may be called.

use crate::account::is_control;

/// The longest name of a circuit.
pub const CIRCUIT_LEN_MAX: usize = 128;

/// Whether `name` can be a circuit's: 1 to [`CIRCUIT_LEN_MAX`] printable characters.
#[must_use]
pub fn is_circuit(name: &str) -> bool {
    let len = name.chars().count();
    (1..=CIRCUIT_LEN_MAX).contains(&len) && !name.chars().any(is_control)
}
