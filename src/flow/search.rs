//! Finds the largest payload that crosses both ways in one piece, by probes that may not be
//! fragmented. It needs no ICMP: a size that stays unanswered does not cross (RFC 8899).

use super::Next;
use crate::clock::{Driver, Stamp};
use crate::units::Span;

/// Probes of one size before it is given up (RFC 8899's `MAX_PROBES`).
const TRIES: u32 = 3;

/// The wait for the first answer of all, and the least and longest wait for a later one.
const FIRST_WAIT: Span = Span::from_millis(500);
const WAIT_MIN: Span = Span::from_millis(50);

/// What most paths carry: the payload of 1500 octets over IPv4 and over IPv6.
const USUAL: [u32; 2] = [1_472, 1_452];

/// The search for the largest payload between the smallest probe's and `most`.
#[derive(Debug)]
pub struct PayloadSearch {
    passed: Option<u32>,
    failed: u32,
    least: u32,
    trying: u32,
    tries: u32,
    sent_at: Option<Stamp<Driver>>,
    wait: Span,
}

impl PayloadSearch {
    /// A search from `least`, which is tried first, to `most` octets.
    #[must_use]
    pub const fn new(least: u32, most: u32) -> Self {
        let failed = most.saturating_add(1);
        let (passed, sent_at) = (None, None);
        Self { passed, failed, least, trying: least, tries: 0, sent_at, wait: FIRST_WAIT }
    }

    /// The payload to probe with at `now`; [`Next::Done`] when [`Self::found`] is known.
    pub fn poll(&mut self, now: Stamp<Driver>) -> Next<Driver, u32> {
        loop {
            let nothing_passes = self.passed.is_none() && self.failed <= self.least;
            if nothing_passes || self.passed.is_some_and(|passed| self.failed <= passed + 1) {
                return Next::Done;
            }
            let until = self.sent_at.map(|sent_at| sent_at.after_nanos(self.wait.nanos()));
            match until {
                Some(until) if now < until => return Next::Wait(until),
                Some(_) if self.tries == TRIES => self.on_failed(self.trying),
                _ => {
                    self.tries += 1;
                    self.sent_at = Some(now);
                    return Next::Send(self.trying);
                }
            }
        }
    }

    /// A probe of `payload` octets came back at `now`.
    pub fn on_passed(&mut self, now: Stamp<Driver>, payload: u32) {
        if payload == self.trying {
            let took = Span::from_nanos(self.sent_at.map_or(0, |sent_at| now.nanos_since(sent_at)));
            self.wait = took.plus(took).max(WAIT_MIN).min(FIRST_WAIT.plus(FIRST_WAIT));
        }
        if self.passed.is_none_or(|passed| passed < payload) {
            self.passed = Some(payload);
            self.failed = self.failed.max(payload + 1);
            self.choose();
        }
    }

    /// A probe of `payload` octets cannot leave this host, or was not answered.
    pub fn on_failed(&mut self, payload: u32) {
        self.failed = self.failed.min(payload);
        self.choose();
    }

    /// The largest payload that crossed; `None` where not even the smallest did.
    #[must_use]
    pub const fn found(&self) -> Option<u32> {
        self.passed
    }

    fn choose(&mut self) {
        self.tries = 0;
        self.sent_at = None;
        let Some(passed) = self.passed else { return };
        let first = passed == self.least;
        let usual = USUAL.into_iter().find(|usual| passed < *usual && *usual < self.failed);
        self.trying = match usual {
            _ if first && self.trying == self.least => self.failed - 1,
            Some(usual) => usual,
            None => u32::midpoint(passed, self.failed),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches over a path of 20 ms that carries `carries` octets; what is found, and how many
    /// milliseconds and probes it took.
    fn search(most: u32, carries: u32) -> (Option<u32>, u64, u32) {
        let mut search = PayloadSearch::new(72, most);
        let (mut now_ms, mut probes) = (0, 0);
        loop {
            let now = Stamp::from_nanos(now_ms * 1_000_000);
            match search.poll(now) {
                Next::Send(payload) => {
                    probes += 1;
                    if payload <= carries {
                        now_ms += 20;
                        search.on_passed(Stamp::from_nanos(now_ms * 1_000_000), payload);
                    }
                }
                Next::Wait(until) => now_ms = until.nanos() / 1_000_000,
                Next::Done => return (search.found(), now_ms, probes),
            }
        }
    }

    #[test]
    fn a_path_that_carries_the_most_is_known_after_two_probes() {
        assert_eq!(search(1_472, 9_000), (Some(1_472), 40, 2));
    }

    #[test]
    fn any_size_is_found_to_the_octet() {
        for carries in [72, 73, 547, 1_271, 1_451, 1_452, 1_453, 1_472, 1_473, 8_972, 9_187] {
            let (found, ms, _) = search(9_188, carries);
            assert_eq!(found, Some(carries));
            assert!(ms < 3_000, "{carries} octets took {ms} ms");
        }
    }

    #[test]
    fn a_dead_path_carries_nothing() {
        assert_eq!(search(1_472, 0), (None, 1_500, 3));
    }

    #[test]
    fn a_size_that_cannot_leave_this_host_fails_at_once() {
        let mut search = PayloadSearch::new(72, 9_188);
        let now = Stamp::from_nanos(0);
        search.poll(now);
        search.on_passed(now, 72);
        assert_eq!(search.poll(now), Next::Send(9_188));
        search.on_failed(9_188);
        assert_eq!(search.poll(now), Next::Send(1_472));
    }
}
