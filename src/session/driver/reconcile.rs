//! Both ends' accounts of a trial: taken as they arrive, and put together at its end.
//!
//! An account that is missing or inconsistent never fails the trial: the outcome is partial, with
//! the reason.

use super::state::{Link, Running, State, Stopping};
use super::{Action, Session};
use crate::clock::{Driver, Stamp};
use crate::direction::Direction;
use crate::flow::{
    Half, HostLimits, NearEvent as Event, Outcome, PROBE_STREAM, ReceiverCounts, SenderCounts,
    Status, TcpCame, TcpSent,
};
use crate::session::{Inconsistent, convert};
use crate::units::Span;
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Message};
use std::collections::BTreeMap;

impl Session {
    pub(super) fn on_trial_message(&mut self, mut running: Running, message: Message) -> Running {
        let result = match message {
            Message::Closing { trial, stream, sent } if trial == self.trials => {
                SenderCounts::try_from(&sent).map(|sent| {
                    self.actions.push_back(Action::Close(stream, sent.clone()));
                    running.sent.insert(stream, sent);
                })
            }
            Message::Account(account) if account.trial == self.trials => {
                let trial = &running.trial;
                let last_due = trial.probe_rate().due(trial.probes().saturating_sub(1));
                let (sent, last_due_ns) = (account.replies, last_due.nanos());
                let replies = SenderCounts { sent, last_due_ns, ..SenderCounts::default() };
                self.actions.push_back(Action::Close(PROBE_STREAM, replies));
                running.account = Some(*account);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            let reason = format!("the agent broke the protocol: {error}");
            running.stopping.get_or_insert(Stopping { reason, until: running.ends_at });
        }
        running
    }

    pub(super) fn on_counted(&mut self, mut running: Running, event: Event) -> Running {
        match event {
            Event::Sent(stream, sent) => {
                self.close(stream, &sent);
                running.sent.insert(stream, sent);
            }
            Event::Came(stream, counts) => _ = running.came.insert(stream, counts),
            Event::TcpSent(stream, sent) => _ = running.tcp_sent.insert(stream, sent),
            Event::TcpCame(stream, came) => _ = running.tcp_came.insert(stream, came),
            Event::Probed(probed) => running.probed = Some(probed),
            Event::Heard(at) => running.heard = running.heard.max(at),
            Event::Opened(_) | Event::NotOpened(..) | Event::NotConnected(..) => {}
            Event::HostFailed(_) | Event::PayloadFound(_) => {}
        }
        running
    }

    pub(super) fn close(&mut self, stream: StreamNumber, sent: &SenderCounts) {
        self.say(Message::Closing { trial: self.trials, stream, sent: sent.into() });
    }

    /// Ends the trial under way when both ends have counted all, or nothing more can come.
    pub(super) fn settle(&mut self, now: Stamp<Driver>) {
        let State::Running(running) = &self.state else { return };
        let agent_told = running.account.is_some() || matches!(self.link, Link::Lost);
        if !running.is_counted() || !agent_told {
            return;
        }
        debug_assert!(running.heard <= now, "a trial was heard in the future");
        if let State::Running(running) = std::mem::replace(&mut self.state, State::Over) {
            self.state = self.end(running);
        }
    }

    /// Ends the trial; what either end still has to tell of it may take `most`.
    pub(super) fn stop(
        &mut self,
        now: Stamp<Driver>,
        mut running: Running,
        reason: &str,
        most: Span,
    ) -> State {
        self.actions.push_back(Action::Stop);
        self.say(Message::Stop { trial: self.trials });
        let until = now.after_nanos(most.nanos());
        let reason = reason.to_owned();
        let stopping = running.stopping.get_or_insert(Stopping { reason, until });
        stopping.until = stopping.until.min(until);
        State::Running(running)
    }

    pub(super) fn no_account(&mut self) -> String {
        match (&self.link, self.unreachable.take()) {
            (Link::Open, _) | (_, None) => "the agent's account did not arrive in time".to_owned(),
            (_, Some(why)) => {
                format!("the agent's account could not be fetched: {why}")
            }
        }
    }

    pub(super) fn end(&mut self, running: Running) -> State {
        if !running.is_counted() {
            self.actions.push_back(Action::Stop);
        }
        let outcome = compose(running);
        self.end_with(outcome)
    }
}

/// Puts both ends' accounts together.
fn compose(mut running: Running) -> Outcome {
    let mut outcome = Outcome::nothing(running.trial, Status::Ok, String::new());
    let stopping = running.stopping.take();
    let account = running.account.take();
    let no_account = || account.is_none().then(|| "the agent's account is missing".to_owned());
    outcome.reason = stopping.map(|stopping| stopping.reason).or_else(no_account);
    let (agent, broken) = match account.as_ref().map(take_account).transpose() {
        Ok(agent) => (agent, None),
        Err(error) => (None, Some(format!("the agent's account makes no sense: {error}"))),
    };
    outcome.reason = outcome.reason.take().or(broken);
    outcome.agent = agent.as_ref().map(|agent| agent.host).unwrap_or_default();
    let came_to_agent = agent.as_ref().map(|agent| &agent.counts);
    for direction in Direction::ALL {
        let came = match direction {
            Direction::Forward => came_to_agent,
            Direction::Reverse => Some(&running.came),
        };
        let mut streams = running
            .streams
            .iter()
            .filter(|stream| stream.number != PROBE_STREAM && stream.direction == direction)
            .map(|stream| stream.number);
        let half = outcome.half_mut(direction);
        half.sent =
            sum(streams.clone().map(|stream| running.sent.get(&stream)), SenderCounts::merge);
        half.came = came
            .and_then(|came| sum(streams.by_ref().map(|s| came.get(&s)), ReceiverCounts::merge));
        half.gaps = half.came.as_ref().map(|came| came.gaps.clone()).unwrap_or_default();
    }
    compose_tcp(&mut outcome, &running, agent.as_ref());
    let probed = running.probed.map(|probed| *probed).unwrap_or_default();
    let reflected = agent.map(|agent| agent.reflected);
    let marks = reflected.as_ref().map(|reflected| reflected.marks);
    outcome.take_probes(probed.exchanges, probed.refused, probed.replies, reflected);
    (outcome.forward.probing.marks, outcome.reverse.probing.marks) = (marks, Some(probed.marks));
    if outcome.reason.is_some() {
        outcome.status = Status::Partial;
        Direction::ALL.into_iter().for_each(|way| put_down_tail(outcome.half_mut(way)));
    }
    outcome
}

/// Puts both ends' accounts of TCP together.
fn compose_tcp(outcome: &mut Outcome, running: &Running, agent: Option<&AgentAccount>) {
    for direction in Direction::ALL {
        let streams = running.tcp.iter().filter(|stream| stream.direction == direction);
        let numbers: Vec<StreamNumber> = streams.map(|stream| stream.number).collect();
        if numbers.is_empty() {
            continue;
        }
        let own_sent = sum(numbers.iter().map(|n| running.tcp_sent.get(n)), TcpSent::merge);
        let own_came = sum(numbers.iter().map(|n| running.tcp_came.get(n)), TcpCame::merge);
        let half = outcome.half_mut(direction);
        (half.tcp_sent, half.tcp_came) = match direction {
            Direction::Forward => (own_sent, agent.and_then(|agent| agent.tcp_came.clone())),
            Direction::Reverse => (agent.and_then(|agent| agent.tcp_sent.clone()), own_came),
        };
        if let Some(came) = &half.tcp_came {
            half.gaps = came.gaps.clone();
        }
    }
}

/// Of a trial that was cut short, a receiver may have closed its account before it knew what was
/// sent. What it never saw is lost; whether on the line, or because nobody listened any more, is
/// not known.
fn put_down_tail(half: &mut Half) {
    let (Some(sent), Some(came)) = (&half.sent, &mut half.came) else { return };
    let seen = came.received + came.lost() + came.late + came.host_dropped;
    let tail = sent.sent.saturating_sub(seen);
    came.periods.close();
    came.periods.on_lost(tail);
    came.periods.close();
    came.unattributed += tail;
}

/// The sum of the accounts, or `None` where one is missing or there is none.
fn sum<'a, T: Clone + 'a>(
    accounts: impl Iterator<Item = Option<&'a T>>,
    merge: impl Fn(&mut T, &T),
) -> Option<T> {
    let accounts = accounts.collect::<Option<Vec<&T>>>()?;
    let (first, rest) = accounts.split_first()?;
    let mut sum = (*first).clone();
    rest.iter().for_each(|account| merge(&mut sum, account));
    Some(sum)
}

struct AgentAccount {
    counts: BTreeMap<StreamNumber, ReceiverCounts>,
    tcp_sent: Option<TcpSent>,
    tcp_came: Option<TcpCame>,
    reflected: crate::flow::Reflected,
    host: HostLimits,
}

fn take_account(account: &Account) -> Result<AgentAccount, Inconsistent> {
    let counts = account.counts.iter().map(|(stream, counts)| Ok((*stream, counts.try_into()?)));
    Ok(AgentAccount {
        counts: counts.collect::<Result<_, Inconsistent>>()?,
        tcp_sent: account.tcp_sent.as_deref().map(TryInto::try_into).transpose()?,
        tcp_came: account.tcp_came.as_deref().map(TryInto::try_into).transpose()?,
        reflected: convert::reflected(account)?,
        host: account.host.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The agent closes its account when it is stopped; behind the last packet that came it knows
    /// of none.
    #[test]
    fn what_a_receiver_that_was_stopped_never_saw_is_lost_and_doubtful() {
        let sent = Some(SenderCounts { sent: 10, ..SenderCounts::default() });
        let mut came = ReceiverCounts { received: 6, ..ReceiverCounts::default() };
        came.periods.on_lost(1);
        let mut half = Half { sent, came: Some(came), ..Half::default() };
        put_down_tail(&mut half);
        let came = half.came.expect("it was there");
        assert_eq!((came.lost(), came.unattributed, came.periods.longest()), (4, 3, 3));
    }
}
