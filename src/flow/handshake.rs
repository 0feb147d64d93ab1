//! The driver's end of opening a stream: says hello until it is accepted, or gives up.

use super::Next;
use crate::clock::Stamp;
use crate::units::Span;
use crate::wire::StreamNumber;
use crate::wire::signal::Say;

/// The first wait for an answer; each further wait is twice as long, up to [`WAIT_MAX`].
const WAIT_MIN: Span = Span::from_millis(100);
const WAIT_MAX: Span = Span::from_millis(800);

/// How far apart the streams of a trial begin.
const TURN: Span = Span::from_millis(1);

/// How long is tried: any single datagram may be lost, and most of those tried.
pub(super) const PATIENCE: Span = Span::from_secs(5);

/// Nobody accepted the stream in time: how far it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HandshakeFailed {
    /// No datagram came back at all.
    NoAnswer,
    /// The agent's challenge came, and nothing behind it.
    NotAccepted,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    ExpectChallenge,
    ExpectAccepted { cookie: u64 },
    Open,
}

/// The driver's end of a handshake.
#[derive(Debug)]
pub struct Handshake<C> {
    state: State,
    say_at: Stamp<C>,
    wait: Span,
    give_up_at: Stamp<C>,
}

impl<C> Handshake<C> {
    /// The handshake of `stream`, which begins `now`, or a moment later: the streams of a trial
    /// take turns, so that they do not all meet the same full queue.
    #[must_use]
    pub fn new(now: Stamp<C>, stream: StreamNumber) -> Self {
        let say_at = now.after_nanos(TURN.nanos() * u64::from(stream));
        let give_up_at = say_at.after_nanos(PATIENCE.nanos());
        Self { state: State::ExpectChallenge, say_at, wait: WAIT_MIN, give_up_at }
    }

    /// What to say at `now`; [`Next::Done`] when the stream is open.
    ///
    /// # Errors
    ///
    /// When nobody accepted the stream within 5 s.
    pub fn poll(&mut self, now: Stamp<C>) -> Result<Next<C, Say>, HandshakeFailed> {
        let say = match self.state {
            State::Open => return Ok(Next::Done),
            State::ExpectChallenge if self.give_up_at <= now => {
                return Err(HandshakeFailed::NoAnswer);
            }
            State::ExpectAccepted { .. } if self.give_up_at <= now => {
                return Err(HandshakeFailed::NotAccepted);
            }
            State::ExpectChallenge => Say::Hello,
            State::ExpectAccepted { cookie } => Say::Confirm { cookie },
        };
        if now < self.say_at {
            return Ok(Next::Wait(self.say_at.min(self.give_up_at)));
        }
        self.say_at = now.after_nanos(self.wait.nanos());
        self.wait = self.wait.plus(self.wait).min(WAIT_MAX);
        Ok(Next::Send(say))
    }

    /// The agent said something on this stream.
    pub fn on_say(&mut self, now: Stamp<C>, say: Say) {
        match (self.state, say) {
            (State::ExpectChallenge, Say::Challenge { cookie }) => {
                self.state = State::ExpectAccepted { cookie };
                self.say_at = now;
                self.wait = WAIT_MIN;
            }
            // A heartbeat comes only from a stream that is open: its acceptance was lost.
            (State::ExpectAccepted { .. }, Say::Accepted | Say::Heartbeat { .. }) => {
                self.state = State::Open;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Driver;

    fn at(ms: u64) -> Stamp<Driver> {
        Stamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn hello_challenge_confirm_accepted() {
        let mut handshake = Handshake::new(at(0), 0);
        assert_eq!(handshake.poll(at(0)), Ok(Next::Send(Say::Hello)));
        assert_eq!(handshake.poll(at(0)), Ok(Next::Wait(at(100))));
        handshake.on_say(at(30), Say::Challenge { cookie: 7 });
        assert_eq!(handshake.poll(at(30)), Ok(Next::Send(Say::Confirm { cookie: 7 })));
        handshake.on_say(at(60), Say::Accepted);
        assert_eq!(handshake.poll(at(60)), Ok(Next::Done));
    }

    #[test]
    fn a_lost_datagram_is_said_again_ever_more_slowly() {
        let mut handshake = Handshake::new(at(0), 0);
        let said: Vec<u64> = (0..5_000)
            .filter(|ms| matches!(handshake.poll(at(*ms)), Ok(Next::Send(Say::Hello))))
            .collect();
        assert_eq!(said, [0, 100, 300, 700, 1_500, 2_300, 3_100, 3_900, 4_700]);
        assert_eq!(handshake.poll(at(5_000)), Err(HandshakeFailed::NoAnswer));
    }

    #[test]
    fn a_challenge_without_more_is_distinguished_from_silence() {
        let mut handshake = Handshake::new(at(0), 0);
        handshake.on_say(at(10), Say::Challenge { cookie: 7 });
        assert_eq!(handshake.poll(at(5_000)), Err(HandshakeFailed::NotAccepted));
    }

    #[test]
    fn acceptance_before_the_challenge_opens_nothing() {
        let mut handshake = Handshake::new(at(0), 0);
        handshake.on_say(at(0), Say::Accepted);
        assert_eq!(handshake.poll(at(0)), Ok(Next::Send(Say::Hello)));
    }
}
