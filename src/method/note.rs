//! What was decided for the user: each note by itself, and all of them as people read them, alike
//! ones as one.

use crate::direction::Direction;
use crate::metric::Metric;
use crate::units::{BitRate, PacketRate, Span};
use std::fmt;

/// What was decided for the user, shown before anything is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    /// No rate was given.
    RateAssumed(BitRate),
    /// No test asks for the idle trial that comes before any load.
    IdleAdded(Span),
    /// A trial takes longer than was asked for, or than is usual.
    Lengthened {
        /// Such as "idle", "udp".
        which: String,
        /// As it was asked for; `None` where nobody said.
        asked: Option<Span>,
        /// As it is.
        takes: Span,
        /// What needs it.
        because: String,
    },
    /// A requirement cannot be proved here.
    CannotProve {
        /// The requirement, and what it would take.
        what: String,
        /// The longest that is possible.
        most: Span,
    },
    /// A trial probes less often than usual, so that probes do not fill the link.
    ProbesScaled {
        /// "idle", "udp" or "tcp".
        which: &'static str,
        /// Probes per second.
        probes: PacketRate,
        /// Whether a rate of the link is known.
        is_known: bool,
    },
    /// A trial will not prove all of a requirement for its length.
    Shortfall {
        /// What is required.
        metric: Metric,
        /// In which direction; `None` for the round trip.
        direction: Option<Direction>,
        /// What is not proven, and why.
        what: String,
    },
    /// TCP that is too short to be judged.
    TcpTooShort {
        /// How long it is.
        takes: Span,
        /// How long it would have to be.
        least: Span,
    },
    /// The load is only as far as the agent's role goes.
    Capacity {
        /// "UDP datagrams", "TCP".
        what: &'static str,
        /// How far that is, at L2.
        most: BitRate,
        /// The agent's limit.
        max: BitRate,
        /// Whether other runs hold a part of it.
        is_shared: bool,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateAssumed(rate) => write!(
                f,
                "no rate was given: the load is {rate}. Give --rate to load as the migration will"
            ),
            Self::IdleAdded(span) => write!(
                f,
                "{} s of idle probes come first: no link is loaded before it was probed",
                span.secs_up()
            ),
            Self::Lengthened { which, asked: Some(asked), takes, because } => write!(
                f,
                "the {which} trial takes {} s instead of {} s: {because}",
                takes.secs_up(),
                asked.secs_up()
            ),
            Self::Lengthened { which, asked: None, takes, because } => {
                write!(f, "the {which} trial takes {} s: {because}", takes.secs_up())
            }
            Self::CannotProve { what, most } => write!(
                f,
                "{what}: a trial can show a FAIL in {} s, but may be too short for a PASS",
                most.secs_up()
            ),
            Self::ProbesScaled { which, probes, is_known: true } => write!(
                f,
                "the {which} trial sends {probes} probes per second, so that they take no more \
                 than {} of the link's rate",
                if *which == "idle" { "10 %" } else { "1 %, or one per second," }
            ),
            Self::ProbesScaled { which, probes, is_known: false } => write!(
                f,
                "the {which} trial sends {probes} probes per second, as no rate of the link is \
                 known: give --rate, or link.rate in a plan, for up to 100"
            ),
            Self::Shortfall { metric, direction: Some(direction), what } => {
                write!(f, "{metric} {direction}: {what}")
            }
            Self::Shortfall { metric, direction: None, what } => write!(f, "{metric}: {what}"),
            Self::TcpTooShort { takes, least } => write!(
                f,
                "the tcp trial takes {takes}: TCP is judged by whole runs of 10 s after a warm-up \
                 of 2 s or more, so that one below {least} can neither pass nor fail"
            ),
            Self::Capacity { what, most, max, is_shared: true } => write!(
                f,
                "capacity trial: {what} as fast as these hosts can, up to {most}: other runs hold \
                 the rest of the agent's {max}"
            ),
            Self::Capacity { what, most, max, .. } if most < max => write!(
                f,
                "capacity trial: {what} as fast as these hosts can, up to {most}: the agent's \
                 limit of {max}, less what one more driver needs to probe"
            ),
            Self::Capacity { what, most, .. } => write!(
                f,
                "capacity trial: {what} as fast as these hosts can, up to the agent's limit of \
                 {most}"
            ),
        }
    }
}

/// `notes` as people read them, each thing once: what is so in each direction, and all that the
/// time is too short for, are a line each.
#[must_use]
pub fn texts(notes: &[Note]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for note in notes {
        let text = match note {
            Note::CannotProve { .. } => too_short(notes),
            Note::Shortfall { metric, direction: Some(direction), what } => {
                let (metric, direction) = (*metric, Some(direction.opposite()));
                let other = Note::Shortfall { metric, direction, what: what.clone() };
                match notes.contains(&other) {
                    true => format!("{metric}, each way: {what}"),
                    false => note.to_string(),
                }
            }
            note => note.to_string(),
        };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

/// All of `notes` that there is no time to prove.
fn too_short(notes: &[Note]) -> String {
    let mut all: Vec<&str> = Vec::new();
    for note in notes {
        match note {
            Note::CannotProve { what, .. } if !all.contains(&what.as_str()) => all.push(what),
            _ => {}
        }
    }
    format!("too short for a PASS of these, though a FAIL may show: {}", all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_notes_are_one() {
        let short = |direction, what: &str| Note::Shortfall {
            metric: Metric::THROUGHPUT,
            direction: Some(direction),
            what: what.to_owned(),
        };
        let cannot = |what: &str, seconds| Note::CannotProve {
            what: what.to_owned(),
            most: Span::from_secs(seconds),
        };
        let notes = [
            cannot("rtt_p99 <= 20 ms needs 310 probes", 2),
            short(Direction::Forward, "a part"),
            cannot("loss <= 0.01% needs 77535 packets", 3),
            cannot("rtt_p99 <= 20 ms needs 310 probes", 3),
            short(Direction::Reverse, "a part"),
            Note::RateAssumed("10 Mbit/s".parse().expect("a rate")),
        ];
        let shown = texts(&notes);
        let expected = [
            "too short for a PASS of these, though a FAIL may show: rtt_p99 <= 20 ms needs 310 \
             probes; loss <= 0.01% needs 77535 packets",
            "throughput, each way: a part",
            "no rate was given: the load is 10 Mbit/s. Give --rate to load as the migration will",
        ];
        assert_eq!(shown, expected);
        let apart = [short(Direction::Forward, "this"), short(Direction::Reverse, "that")];
        assert_eq!(texts(&apart), ["throughput forward: this", "throughput reverse: that"]);
    }
}
