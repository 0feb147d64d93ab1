//! The lease by which a run loads its link: nothing is loaded beyond its end.
//!
//! Whoever gives leases keeps them apart from each other; this file has what follows for a run. An
//! agent is asked for no more time than is left, so that its grant ends by itself before the lease
//! does, and each load is held against the lease before it begins.

use crate::policy::Request;
use crate::trial::Trial;
use crate::units::Span;
use crate::wire::fence::Fence;

/// A lease on all that a run loads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// When it ends at the latest, on the clock of [`crate::io::clock::boot_ns`].
    pub ends_ns: u64,
    /// What shows it to agents.
    pub fences: Vec<Fence>,
}

/// Who gives a run its lease, once, before anything is sent, and takes it back.
///
/// Both are called on a thread where they may wait, and the run waits for them.
pub trait Lessor: Send {
    /// Leases all that the run loads.
    ///
    /// # Errors
    ///
    /// Why the run may not load it: it is not run then.
    fn lease(&mut self) -> Result<Lease, String>;

    /// The run is over. What cannot be given back ends by itself.
    fn release(&mut self);
}

/// The lease ends before what was to be done would be over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum LeaseOver {
    /// It has ended.
    #[error(
        "the lease on what the run loads has ended: the run took longer than planned, or this host \
         was stopped meanwhile"
    )]
    Ended,
    /// It ends too early.
    #[error("the lease on what the run loads ends in {left}, before a load of {load} can be over")]
    TooShort {
        /// How long it lasts.
        left: Span,
        /// How long the load takes.
        load: Span,
    },
}

impl Lease {
    /// What is left of it at `now_ns`.
    fn left(&self, now_ns: u64) -> Span {
        Span::from_nanos(self.ends_ns.saturating_sub(now_ns))
    }

    /// `request` as an agent may be asked at `now_ns`: for no longer than the lease lasts, and with
    /// what shows the lease, where it is to load.
    pub(super) fn within(&self, request: Request, now_ns: u64) -> Result<Request, LeaseOver> {
        let Some(load) = request.load else { return Ok(request) };
        self.covers(load.duration, now_ns)?;
        let (duration, fences) = (request.duration.min(self.left(now_ns)), self.fences.clone());
        Ok(Request { duration, fences, ..request })
    }

    /// Whether `trial` may begin at `now_ns`.
    pub(super) fn allows(&self, trial: &Trial, now_ns: u64) -> Result<(), LeaseOver> {
        if trial.is_idle() { Ok(()) } else { self.covers(trial.duration(), now_ns) }
    }

    fn covers(&self, load: Span, now_ns: u64) -> Result<(), LeaseOver> {
        match self.left(now_ns) {
            left if left == Span::default() => Err(LeaseOver::Ended),
            left if left < load => Err(LeaseOver::TooShort { left, load }),
            _ => Ok(()),
        }
    }

    /// Whether it has ended at `now_ns`.
    pub(super) const fn is_over(&self, now_ns: u64) -> bool {
        self.ends_ns <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::direction::Directions;
    use crate::policy::LoadRequest;
    use crate::trial::{Load, LoadKind};
    use crate::units::PacketRate;

    const SECOND: u64 = 1_000_000_000;

    fn lease() -> Lease {
        let fence = Fence { of: "circuit EC-1".into(), sequence: 7, number: 3 };
        Lease { ends_ns: 100 * SECOND, fences: vec![fence] }
    }

    fn request(load_s: Option<u64>) -> Request {
        let rate = "1 Mbit/s".parse().expect("a rate");
        let load = load_s.map(|s| LoadRequest { rate, duration: Span::from_secs(s) });
        let (duration, congestion) = (Span::from_secs(90), Vec::new());
        Request { circuit: None, duration, load, congestion, fences: Vec::new() }
    }

    #[test]
    fn an_agent_is_asked_for_no_longer_than_the_lease_lasts() {
        let asked = |load_s, at_s: u64| {
            let asked = lease().within(request(load_s), at_s * SECOND);
            asked.map(|asked| (asked.duration.secs_up(), asked.fences.len()))
        };
        assert_eq!(asked(Some(20), 0), Ok((90, 1)));
        assert_eq!(asked(Some(20), 10), Ok((90, 1)));
        assert_eq!(asked(Some(20), 11), Ok((89, 1)));
        assert_eq!(asked(Some(20), 80), Ok((20, 1)));
        let (left, load) = (Span::from_secs(19), Span::from_secs(20));
        assert_eq!(asked(Some(20), 81), Err(LeaseOver::TooShort { left, load }));
        assert_eq!(asked(Some(20), 100), Err(LeaseOver::Ended));
        assert_eq!(asked(None, 200), Ok((90, 0)), "probing takes no lease");
    }

    #[test]
    fn a_load_begins_where_it_is_over_before_the_lease_and_probes_always_do() {
        let rate = PacketRate::new(10).expect("above zero");
        let load = Load::new(Directions::Forward, 1, 100, rate, LoadKind::FixedRate);
        let trial = |load| Trial::new(load, Span::from_secs(20)).expect("a trial");
        let (load, idle) = (trial(Some(load.expect("within bounds"))), trial(None));
        assert_eq!(lease().allows(&load, 80 * SECOND), Ok(()));
        assert!(lease().allows(&load, 80 * SECOND + 1).is_err());
        assert_eq!(lease().allows(&idle, 200 * SECOND), Ok(()));
        assert!(lease().is_over(100 * SECOND) && !lease().is_over(100 * SECOND - 1));
    }
}
