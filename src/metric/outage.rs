//! Outage: the longest time without an arrival while packets were sent.

use super::criteria::{Measured, account_missing};

use crate::account::{OneWayCounts, Silence};
use crate::flow::TrialRun;
use crate::plan::Trial;
use crate::units::Span;

pub(super) fn longest_outage(run: &TrialRun, one_way: &OneWayCounts, most: Span) -> Measured {
    let least = outage_min(&run.trial);
    if one_way.receiver.is_none() && one_way.tcp_receiver.is_none() {
        return unanswered(run, one_way, most);
    }
    let longest = |gaps: &mut dyn Iterator<Item = &Silence>| {
        gaps.map(Silence::span).max().unwrap_or_default()
    };
    let outage = longest(&mut one_way.silences.outages(least));
    let unsent = longest(&mut one_way.silences.as_slice().iter());
    let counts = match one_way.silences.outages(least).count() {
        _ if outage <= most && most < unsent => {
            format!(
                "nothing was sent for {:.3} s, so that an outage could not be seen",
                unsent.as_secs()
            )
        }
        0 => format!("no time of {least} or more without an arrival"),
        1 => "one outage".to_owned(),
        count => format!("the longest of {count} outages"),
    };
    let counts = match one_way.sender.is_none() && one_way.tcp_sender.is_none() && most < outage {
        true => {
            counts
                + "; the sender's account is missing, so that its own silence, where the \
                          other direction was dead, cannot be told from the line's"
        }
        false => counts,
    };
    let meets = match outage <= most {
        true if most < unsent => None,
        meets => Some(meets),
    };
    Measured::Counted { value: outage.as_secs(), meets, meets_at_best: meets, counts }
}

/// Without the far end's account, the time in which no probe was answered still proves that the
/// line was dead, in one direction or the other.
fn unanswered(run: &TrialRun, one_way: &OneWayCounts, most: Span) -> Measured {
    let replies = &run.outcome.reverse.silences;
    let longest =
        replies.outages(outage_min(&run.trial)).map(Silence::span).max().unwrap_or_default();
    if longest <= most {
        return account_missing(run, one_way);
    }
    let counts = "no probe was answered for so long; the agent's account is missing, so that the \
                  direction cannot be told";
    let meets = Some(false);
    let (value, counts) = (longest.as_secs(), counts.to_owned());
    Measured::Counted { value, meets, meets_at_best: meets, counts }
}

/// The shortest time without an arrival that is an outage: three packet intervals, 50 ms at least.
#[must_use]
pub fn outage_min(trial: &Trial) -> Span {
    let probes = trial.probe_rate();
    let fastest = trial.load().map_or(probes, |load| load.rate_max().max(probes));
    fastest.due(3).max(Span::from_millis(50))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Status;
    use crate::direction::Direction;
    use crate::metric::tests::{check, criteria, gaps, outcome};
    use crate::metric::{Measured, of_direction};
    use crate::plan::Requirement;

    #[test]
    fn an_outage_is_judged_where_something_was_sent() {
        let outage = Requirement::Outage(Span::from_secs(1));
        let with = |gaps| outcome(|run: &mut TrialRun| run.outcome.forward.silences = gaps);
        check(outage, &with(gaps(0, 1_000, true)), Some(true));
        check(outage, &with(gaps(0, 1_001, true)), Some(false));
        check(outage, &with(gaps(0, 1_001, false)), None);
    }

    #[test]
    fn silence_without_the_senders_account_is_told_as_such() {
        let outage = Requirement::Outage(Span::from_secs(1));
        let counts_of = |sent: bool| {
            let outcome = outcome(|run| {
                run.outcome.forward.silences = gaps(0, 2_000, true);
                if !sent {
                    run.outcome.forward.sender = None;
                }
            });
            match of_direction(&criteria(), outage, &outcome, Direction::Forward) {
                Some(Measured::Counted { meets: Some(false), counts, .. }) => counts,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(counts_of(true), "one outage");
        assert!(counts_of(false).contains("the sender's account is missing"));
    }

    #[test]
    fn unanswered_probes_prove_an_outage_without_the_agents_account() {
        let outage = Requirement::Outage(Span::from_secs(1));
        let dead = outcome(|run| {
            run.outcome.status = Status::Partial;
            run.outcome.forward.receiver = None;
            run.outcome.reverse.silences = gaps(2_000, 10_000, true);
        });
        check(outage, &dead, Some(false));
        let brief = outcome(|run| run.outcome.forward.receiver = None);
        let measured = of_direction(&criteria(), outage, &brief, Direction::Forward);
        assert!(matches!(measured, Some(Measured::Missing(_))), "{measured:?}");
    }
}
