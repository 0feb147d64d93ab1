//! When a receiver is done: all has come and a copy had its time, or nothing more can count.

use super::{Closing, End, LATE_MAX, Receiver};
use crate::account::{ReceiverCounts, SenderCounts};
use crate::clock::Stamp;
use crate::units::Span;

/// How long a stopped receiver waits for the account of a sender that is still alive.
pub const FAREWELL: Span = Span::from_millis(500);

/// The end of one receiver, as it comes about.
#[derive(Debug)]
pub struct Ending<C> {
    closing: Option<SenderCounts>,
    closed_at: Option<Stamp<C>>,
    complete_at: Option<Stamp<C>>,
    stopped_at: Option<Stamp<C>>,
}

impl<C> Default for Ending<C> {
    fn default() -> Self {
        Self { closing: None, closed_at: None, complete_at: None, stopped_at: None }
    }
}

impl<C> Ending<C> {
    /// Whether `receiver` is done at `now`; `closing` is the sender's account where it is here,
    /// and `stopped` whether the trial is being ended.
    pub fn is_over(
        &mut self,
        now: Stamp<C>,
        receiver: &Receiver<C>,
        closing: impl FnOnce() -> Option<SenderCounts>,
        stopped: bool,
    ) -> bool {
        if self.closing.is_none() {
            self.closing = closing();
            self.closed_at = self.closing.as_ref().map(|_| now);
        }
        if self.stopped_at.is_none() && stopped {
            self.stopped_at = Some(now);
        }
        let complete = self.closing.as_ref().is_some_and(|sent| receiver.has_all(sent.sent));
        if self.complete_at.is_none() && complete {
            self.complete_at = Some(now);
        }
        let passed = |since: Option<Stamp<C>>, wait: Span| {
            since.is_some_and(|since| since.after_nanos(wait.nanos()) <= now)
        };
        passed(self.complete_at, receiver.linger())
            || passed(self.closed_at, LATE_MAX)
            || passed(self.stopped_at, FAREWELL)
    }

    /// Closes `receiver`'s account: its socket dropped `drops`, and could be reached until
    /// `listened_until`.
    #[must_use]
    pub fn finish(
        self,
        receiver: Receiver<C>,
        drops: u32,
        listened_until: Stamp<C>,
    ) -> ReceiverCounts {
        let end = self.closing.as_ref().map(|sent| {
            let SenderCounts { sent, last_due_ns, excess, streams, .. } = sent;
            let window = streams.first().and_then(|stream| stream.window.as_ref());
            End::Closed(Closing { sent: *sent, last_due_ns: *last_due_ns, excess, window })
        });
        receiver.finish(end.unwrap_or(End::Abandoned { listened_until }), drops)
    }
}
