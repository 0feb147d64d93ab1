//! What becomes of probes, from the thread that sends them to whoever follows them.

use crate::flow::ProbeEvent;
use std::sync::{Mutex, PoisonError};

/// Events that wait to be read: those of ten minutes of the fastest probing. Whoever does not read
/// for as long loses the newest.
const EVENTS_MAX: usize = 200_000;

/// A tape on which a trial's probes are recorded while they go on. It wakes nobody up: it is read
/// as often as somebody wants to know.
#[derive(Debug, Default)]
pub struct Tape(Mutex<Vec<ProbeEvent>>);

impl Tape {
    /// Records `event`.
    pub fn record(&self, event: ProbeEvent) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of a hundred times that nothing came the last says it all.
        if let (ProbeEvent::Read(_), Some(last @ ProbeEvent::Read(_))) = (event, events.last_mut())
        {
            *last = event;
        } else if events.len() < EVENTS_MAX {
            events.push(event);
        }
    }

    /// Takes what was recorded since the last time, in its order.
    #[must_use]
    pub fn take(&self) -> Vec<ProbeEvent> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stamp;

    #[test]
    fn what_is_recorded_is_read_once_and_times_that_nothing_came_are_joined() {
        let tape = Tape::default();
        let read = |at| ProbeEvent::Read(Stamp::from_nanos(at));
        for event in [read(1), read(2), ProbeEvent::Over, read(3)] {
            tape.record(event);
        }
        assert_eq!(tape.take(), [read(2), ProbeEvent::Over, read(3)]);
        assert_eq!(tape.take(), []);
    }
}
