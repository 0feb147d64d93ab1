//! An end that speaks the version before alone: what it does not know never reaches it, and it says
//! nothing of it.

use super::world::{Blow, play};
use super::{MS, SECOND, check_truth, good, setup, trial};
use linkqual::direction::Directions;
use linkqual::wire::control::{PROTOCOL, PROTOCOL_BEFORE};
use serde_json::Value;

/// Which end it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Before {
    /// Neither.
    None,
    /// The driver.
    Driver,
    /// The agent.
    Agent,
}

/// Fields of a message that came with [`PROTOCOL`]: a program of the version before ignores them.
const NEW: [&str; 2] = ["latest", "fences"];

/// `frame` as an end of the version before has it: as it would say it, where `is_its_own`, and else
/// as it reads it.
pub(super) fn as_before(frame: &[u8], is_its_own: bool) -> Vec<u8> {
    let mut message: Value = serde_json::from_slice(frame).unwrap();
    let fields = message.as_object_mut().unwrap();
    if fields["type"] == "hello" {
        // It speaks this one alone, and refuses whoever names another.
        assert!(is_its_own || fields["protocol"] == PROTOCOL_BEFORE, "{fields:?}");
        fields.insert("protocol".into(), PROTOCOL_BEFORE.into());
    }
    NEW.iter().for_each(|name| _ = fields.remove(*name));
    serde_json::to_vec(&message).unwrap()
}

#[test]
fn a_trial_with_an_end_of_the_version_before_is_as_exact_as_any() {
    assert_eq!(PROTOCOL_BEFORE + 1, PROTOCOL);
    let all = setup(trial(Directions::Both, 2, 400, 3), &good());
    let same = play(&all);
    for before in [Before::Driver, Before::Agent] {
        for blows in [Vec::new(), vec![(SECOND + 300 * MS, Blow::ControlCloses)]] {
            let setup = super::world::Setup { before, blows, ..all.clone() };
            let run = play(&setup);
            check_truth(&setup, &run);
            let outcomes = [&same, &run].map(|run| super::outcome(&all, run).forward.clone());
            assert_eq!(outcomes[0], outcomes[1], "{before:?}");
        }
    }
}
