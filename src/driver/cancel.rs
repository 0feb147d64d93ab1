//! How a run is asked to end before its time.

use super::error::Error;
use std::sync::Arc;
use tokio::sync::watch;

/// How soon a run is to end.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Urgency {
    /// When all is done.
    #[default]
    None,
    /// As soon as what was measured is in the record.
    Orderly,
    /// Now.
    AtOnce,
}

/// Ends a run before its time, from anywhere: each clone ends the same runs.
///
/// The first [`Self::cancel`] keeps what was measured: the trial under way stops, both ends are
/// given a moment for their accounts of it, and the run ends with a report that says so. The
/// second ends the run at once: the record then has the trials before that one.
///
/// [`Self::abort`] is the first of them with a reason: users suffered, or somebody stopped all
/// load. The trial under way is then not judged.
#[derive(Clone, Debug)]
pub struct Cancel {
    wanted: watch::Sender<Wish>,
}

/// That a run is to end, and why.
#[derive(Clone, Debug, Default)]
struct Wish {
    urgency: Urgency,
    /// Why it is aborted; `None` where the user interrupts it.
    why: Option<Arc<str>>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self { wanted: watch::Sender::new(Wish::default()) }
    }
}

impl Cancel {
    /// Asks the run to end; what is asked of a run that has not begun yet holds as well.
    pub fn cancel(&self) {
        self.wanted.send_modify(|wanted| {
            wanted.urgency = match wanted.urgency {
                Urgency::None => Urgency::Orderly,
                Urgency::Orderly | Urgency::AtOnce => Urgency::AtOnce,
            };
        });
    }

    /// Has the run end for this reason, which its report gives; nothing where it is to end already.
    pub fn abort(&self, why: &str) {
        self.wanted.send_if_modified(|wanted| {
            let is_first = wanted.urgency == Urgency::None;
            if is_first {
                *wanted = Wish { urgency: Urgency::Orderly, why: Some(why.into()) };
            }
            is_first
        });
    }

    /// What the run itself listens to.
    pub(super) fn listen(&self) -> Cancelled {
        // With a sender of its own, there is always somebody who may still cancel it.
        Cancelled { wanted: self.wanted.subscribe(), _sender: self.wanted.clone() }
    }
}

/// A run's ear for its [`Cancel`].
#[derive(Debug)]
pub(super) struct Cancelled {
    wanted: watch::Receiver<Wish>,
    _sender: watch::Sender<Wish>,
}

impl Cancelled {
    /// Waits until the run is to end, in whatever way; at once where that was said before.
    pub(super) async fn wanted(&mut self) {
        // It fails where there is no sender: this has one.
        _ = self.wanted.wait_for(|wanted| wanted.urgency != Urgency::None).await;
    }

    /// Waits until it is to end sooner than `than`; how soon. Cancel-safe.
    pub(super) async fn sooner(&mut self, than: Urgency) -> Urgency {
        let wanted = self.wanted.wait_for(|wanted| than < wanted.urgency).await;
        wanted.map_or(Urgency::AtOnce, |wanted| wanted.urgency)
    }

    /// That somebody wants the run to end before anything was measured, and why.
    pub(super) fn error(&self) -> Error {
        self.why().map_or(Error::Interrupted, Error::Aborted)
    }

    /// Why it is aborted, if it is.
    pub(super) fn why(&self) -> Option<String> {
        self.wanted.borrow().why.as_deref().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    fn polled<T>(future: impl Future<Output = T>) -> Poll<T> {
        std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_second_wish_is_more_urgent_and_a_third_changes_nothing() {
        let cancel = Cancel::default();
        let mut cancelled = cancel.listen();
        assert_eq!(polled(cancelled.wanted()), Poll::Pending);
        assert_eq!(polled(cancelled.sooner(Urgency::None)), Poll::Pending);
        cancel.cancel();
        assert_eq!(polled(cancelled.sooner(Urgency::None)), Poll::Ready(Urgency::Orderly));
        assert_eq!(polled(cancelled.sooner(Urgency::Orderly)), Poll::Pending);
        cancel.cancel();
        cancel.cancel();
        assert_eq!(polled(cancelled.sooner(Urgency::Orderly)), Poll::Ready(Urgency::AtOnce));
        assert_eq!(polled(cancelled.sooner(Urgency::AtOnce)), Poll::Pending);
    }

    #[test]
    fn the_first_reason_to_abort_is_kept_and_an_interrupt_has_none() {
        let cancel = Cancel::default();
        let mut cancelled = cancel.listen();
        cancel.abort("the RTT rose");
        cancel.abort("all load was stopped");
        assert_eq!(polled(cancelled.sooner(Urgency::None)), Poll::Ready(Urgency::Orderly));
        assert_eq!(cancelled.why().as_deref(), Some("the RTT rose"));
        let cancel = Cancel::default();
        cancel.cancel();
        cancel.abort("too late");
        assert_eq!(cancel.listen().why(), None);
    }

    #[test]
    fn a_wish_of_before_the_run_is_heard_and_one_that_nobody_can_have_is_not_made() {
        let cancel = Cancel::default();
        cancel.cancel();
        let mut cancelled = cancel.listen();
        assert_eq!(polled(cancelled.wanted()), Poll::Ready(()));
        let mut forgotten = Cancel::default().listen();
        assert_eq!(polled(forgotten.wanted()), Poll::Pending, "all handles are gone");
    }
}
