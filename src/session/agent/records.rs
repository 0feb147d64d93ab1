//! What is kept of a run: the counts of its last trial, sent again to a driver that is back for it,
//! and freed when the run is finished, an hour old, or the oldest of too many.

use super::state::{
    Action, ConnectionId, Part, Phase, RECORD_SPAN, RECORDS_MAX, Run, Running, Session, TrialId,
    turns,
};
use crate::account::{Claim, SenderCounts};
use crate::clock::{Agent, Stamp};
use crate::policy::Fences;
use crate::units::Span;
use crate::wire::StreamNumber;
use crate::wire::control::{Message, RunId};
use crate::wire::fence::Fence;
use crate::wire::key::PublicKey;
use crate::wire::record::Record;
use std::collections::{BTreeMap, BTreeSet};

impl Session {
    /// A record that an earlier process kept is found, `age` old; of one that is too old nothing
    /// is kept.
    pub fn restore(&mut self, now: Stamp<Agent>, record: Record, age: Span) {
        let Record { run: id, owner, who, closings, account } = record;
        // What is older than this host is up is as old as that: the clock has no time before it.
        let at = Stamp::from_nanos(now.nanos().saturating_sub(age.nanos()));
        if RECORD_SPAN <= age {
            return self.actions.push_back(Action::Forget(id));
        }
        let number = account.trial;
        let trial = Some(Running {
            number,
            started_at: None,
            heard: at,
            awaited: BTreeSet::new(),
            closings,
            tcp_sender: None,
            receiver: None,
            tcp_receiver: None,
            account,
            part: Part::Counted,
        });
        let (connection, spent, phase) = (None, Span::default(), Phase::Over { at });
        let (closed_at, locked_since, turns) = (at, None, turns(now));
        let run =
            Run { who, owner, connection, turns, closed_at, locked_since, spent, phase, trial };
        self.runs.insert(id, run);
        self.bound_records();
    }

    /// Leases that an earlier process was shown are found.
    pub fn restore_fences(&mut self, fences: Vec<Fence>) {
        self.fences = Fences::kept(fences);
    }

    /// A driver is back for its run. What was sent over the connection before may be lost, so all
    /// messages about the trial are sent again; over the connection that has the run, none is.
    pub(super) fn on_attach(&mut self, now: Stamp<Agent>, from: ConnectionId, id: RunId) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let (who, key) = (peer.who.clone(), peer.key);
        if peer.run.is_some_and(|run| run != id) {
            return self.fault(now, from, "one connection has one run");
        }
        // Another's run is not known either: nobody learns here which runs there are.
        let Some(run) = self.runs.get_mut(&id).filter(|run| run.owner == key) else {
            let reason = "this agent does not know that run: it was restarted since, or no \
                          longer keeps the record";
            self.note(format!("{from:?}: run {id} of {who}: {reason}"));
            return self.say(from, Message::Refused { reason: reason.to_owned() });
        };
        let trial = run.trial.as_ref();
        let attached = Message::Attached {
            run: id.to_string(),
            trial: trial.map(|running| running.number),
            granted: !run.is_over(),
        };
        if run.connection == Some(from) {
            return self.say(from, attached);
        }
        if !run.turns.passes(now) {
            return self.fault(now, from, "too many connections for one run in a short time");
        }
        peer.run = Some(id);
        let before = run.connection.replace(from);
        let closing = |running: &Running, (stream, sent): &(StreamNumber, Claim<SenderCounts>)| {
            Message::Closing { trial: running.number, stream: *stream, sent: sent.clone() }
        };
        let sent = trial.into_iter().flat_map(|running| {
            let is_counted = matches!(running.part, Part::Counted);
            let account = is_counted.then(|| Message::Account(Box::new(running.account.clone())));
            running.closings.iter().map(move |sent| closing(running, sent)).chain(account)
        });
        let sent: Vec<Message> = std::iter::once(attached).chain(sent).collect();
        self.note(format!("{from:?}: {who} is back for run {id}"));
        if let Some(before) = before {
            self.peers.remove(&before);
            self.actions.push_back(Action::Close(before));
        }
        sent.into_iter().for_each(|message| self.say(from, message));
    }

    /// All of a trial is counted: sent where somebody listens, and kept where nobody may.
    pub(super) fn end_trial(&mut self, id: TrialId) {
        let Some(run) = self.runs.get_mut(&id.run) else { return };
        let (owner, who, connection) = (run.owner, run.who.clone(), run.connection);
        let Some(running) = run.trial.as_mut() else { return };
        running.part = Part::Counted;
        running.account.tcp_sender = running.tcp_sender.clone().map(Claim::of);
        running.account.receiver = running.receiver.clone().map(Claim::of);
        running.account.tcp_receiver = running.tcp_receiver.clone().map(Claim::of);
        let (closings, account) = (running.closings.clone(), running.account.clone());
        if let Some(connection) = connection {
            self.say(connection, Message::Account(Box::new(account.clone())));
        }
        let record = Record { run: id.run, owner, who, closings, account };
        self.actions.push_back(Action::Keep(Box::new(record)));
        if let Some(connection) = connection
            && let Some(peer) = self.peers.get(&connection)
            && let Some(reason) = peer.breaking.clone()
        {
            self.fault(peer.idle_since, connection, &reason);
        }
    }

    /// Frees the slot of a run. What it still sends is stopped; what it counted is kept. A trial
    /// whose packets have all been due waits on for the driver's accounts, which make it exact.
    pub(super) fn end_run(&mut self, now: Stamp<Agent>, id: RunId) {
        let Some(run) = self.runs.get_mut(&id).filter(|run| !run.is_over()) else { return };
        if run.trial.is_none() {
            return self.drop_run(id);
        }
        run.phase = Phase::Over { at: now };
        if let Some(peer) = run.connection.and_then(|connection| self.peers.get_mut(&connection)) {
            peer.idle_since = now;
        }
        if let Some(running) = run.trial.as_mut()
            && running.may_send(now)
        {
            running.part = Part::Stopped;
            self.actions.push_back(Action::Stop(TrialId { run: id, number: running.number }));
        }
        let text = format!("run {id} of {} is over; its record is kept", run.who);
        self.note(text);
        self.bound_records();
    }

    /// Frees all that a run holds: nobody will ask for it again.
    pub(super) fn drop_run(&mut self, id: RunId) {
        let Some(run) = self.runs.remove(&id) else { return };
        if let Some(Running { number, part: Part::Open { .. }, .. }) = run.trial {
            self.actions.push_back(Action::Stop(TrialId { run: id, number }));
        }
        if let Some(peer) = run.connection.and_then(|connection| self.peers.get_mut(&connection)) {
            // It may have another run by now.
            peer.run = peer.run.filter(|run| *run != id);
        }
        self.actions.push_back(Action::Forget(id));
        if !run.is_over() {
            self.note(format!("run {id} of {} is over", run.who));
        }
    }

    /// Records give way: the oldest one of the key that has most of them, so that no key's runs
    /// displace what is kept of another's.
    pub(super) fn bound_records(&mut self) {
        loop {
            let over = self.runs.iter().filter_map(|(id, run)| match run.phase {
                Phase::Over { at } => Some((run.owner, at, *id)),
                Phase::Granted(_) => None,
            });
            let over: Vec<(PublicKey, Stamp<Agent>, RunId)> = over.collect();
            if over.len() <= RECORDS_MAX {
                return;
            }
            let mut records: BTreeMap<PublicKey, usize> = BTreeMap::new();
            over.iter().for_each(|(owner, ..)| *records.entry(*owner).or_default() += 1);
            let most = records.values().copied().max();
            let gives = over.iter().filter(|(owner, ..)| records.get(owner).copied() == most);
            let oldest = gives.map(|(_, at, id)| (*at, *id)).min();
            let Some((_, oldest)) = oldest else { return };
            self.drop_run(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Usage;
    use crate::session::agent::tests::{DRIVER, at, count, greeted, key, open, request, started};
    use crate::session::hello;
    use crate::wire::control::Account;

    const BACK: ConnectionId = ConnectionId(2);

    /// What the agent says to `connection`, which asks for run 7.
    fn attach(session: &mut Session, seconds: u64, connection: ConnectionId) -> Vec<Action> {
        let hello = Message::Hello(hello("linkqual", None));
        let attach = Message::Attach { run: RunId(7).to_string() };
        for message in [hello, attach] {
            session.handle_message(at(seconds), connection, message);
        }
        let actions = std::iter::from_fn(|| session.poll_action());
        let is_hello = |action: &Action| matches!(action, Action::Say(_, Message::Hello(_)));
        actions.filter(|a| !matches!(a, Action::Note(_)) && !is_hello(a)).collect()
    }

    #[test]
    fn a_run_that_is_attached_to_again_closes_the_connection_before_and_goes_on() {
        let mut session = started();
        open(&mut session, 3, BACK, key(1));
        let actions = attach(&mut session, 3, BACK);
        let [Action::Close(DRIVER), Action::Say(BACK, attached)] = &actions[..] else {
            panic!("{actions:?}")
        };
        let run = RunId(7).to_string();
        assert_eq!(*attached, Message::Attached { run, trial: Some(1), granted: true });
        // What becomes of the connection before is nobody's business any more.
        session.handle_closed(at(4), DRIVER);
        session.handle_timeout(at(20));
        assert_eq!(session.poll_action(), None);
        count(&mut session);
        let sent: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        let [Action::Say(BACK, sent), Action::Say(BACK, account), Action::Keep(_)] = &sent[..]
        else {
            panic!("{sent:?}")
        };
        // Who comes later still is sent it once more.
        open(&mut session, 30, ConnectionId(3), key(1));
        let again = attach(&mut session, 30, ConnectionId(3));
        let [Action::Close(BACK), Action::Say(_, _), Action::Say(_, one), Action::Say(_, two)] =
            &again[..]
        else {
            panic!("{again:?}")
        };
        assert_eq!((one, two), (sent, account));
    }

    /// Each brought the whole account again: megabytes for a message of 60 octets.
    #[test]
    fn a_connection_that_has_its_run_is_sent_nothing_again() {
        let mut session = started();
        count(&mut session);
        while session.poll_action().is_some() {}
        let attached = |session: &mut Session| {
            let attach = Message::Attach { run: RunId(7).to_string() };
            session.handle_message(at(20), DRIVER, attach);
            std::iter::from_fn(|| session.poll_action()).collect::<Vec<Action>>()
        };
        for _ in 0..3 {
            let actions = attached(&mut session);
            let [Action::Say(DRIVER, Message::Attached { .. })] = &actions[..] else {
                panic!("{actions:?}")
            };
        }
    }

    #[test]
    fn a_run_is_sent_again_over_eight_connections_at_once_and_then_one_a_second() {
        let mut session = started();
        count(&mut session);
        let mut number = 10;
        let mut sent = |session: &mut Session, seconds| {
            number += 1;
            open(session, seconds, ConnectionId(number), key(1));
            let actions = attach(session, seconds, ConnectionId(number));
            actions.iter().any(|it| matches!(it, Action::Say(_, Message::Account(_))))
        };
        let at_once = (0..20).filter(|_| sent(&mut session, 20)).count();
        assert_eq!(at_once, 8);
        assert!(sent(&mut session, 21) && !sent(&mut session, 21));
    }

    #[test]
    fn a_run_is_known_to_the_key_that_asked_for_it_alone() {
        let mut session = started();
        open(&mut session, 3, BACK, key(2));
        let actions = attach(&mut session, 3, BACK);
        let [Action::Say(BACK, Message::Refused { reason })] = &actions[..] else {
            panic!("{actions:?}")
        };
        assert!(reason.contains("this agent does not know that run"), "{reason}");
    }

    #[test]
    fn a_run_that_is_over_holds_nothing_and_tells_what_it_counted() {
        let mut session = started();
        session.handle_closed(at(5), DRIVER);
        session.handle_timeout(at(6));
        assert_eq!(
            session.usage(at(9), RunId(8), (&key(2), crate::units::BitRate::MAX)),
            Usage::default()
        );
        open(&mut session, 7, BACK, key(1));
        let actions = attach(&mut session, 7, BACK);
        let run = RunId(7).to_string();
        let attached = Message::Attached { run, trial: Some(1), granted: false };
        let id = TrialId { run: RunId(7), number: 1 };
        assert_eq!(actions, [Action::Stop(id), Action::Say(BACK, attached)]);
        count(&mut session);
        let sent: Vec<Action> = std::iter::from_fn(|| session.poll_action()).collect();
        assert!(
            matches!(
                sent[..],
                [
                    Action::Say(BACK, Message::Closing { .. }),
                    Action::Say(BACK, Message::Account(_)),
                    Action::Keep(_)
                ]
            ),
            "{sent:?}"
        );
        // It may be asked for leave again, and go on.
        session.handle_message(at(8), BACK, request());
        assert!(matches!(session.poll_action(), Some(Action::Say(BACK, Message::Granted(_)))));
        session.handle_message(at(9), BACK, Message::Finish);
        assert_eq!(session.poll_action(), Some(Action::Forget(RunId(7))));
    }

    /// Nothing is due any more, so that silence shows nothing: the accounts are still waited for.
    #[test]
    fn a_trial_whose_packets_were_all_due_is_not_stopped_by_silence() {
        let mut session = started();
        session.handle_closed(at(10), DRIVER);
        session.handle_timeout(at(11));
        assert_eq!(
            session.usage(at(9), RunId(8), (&key(2), crate::units::BitRate::MAX)),
            Usage::default()
        );
        assert!(matches!(session.poll_action(), Some(Action::Note(_))));
        assert_eq!(session.poll_action(), None);
        // The driver had 10 s to start it, and has 22 s behind its end.
        assert_eq!(session.deadline(), Some(at(42)));
        session.handle_timeout(at(42));
        let id = TrialId { run: RunId(7), number: 1 };
        assert_eq!(session.poll_action(), Some(Action::Stop(id)));
    }

    fn record(run: u128) -> Record {
        let account = Account { trial: 1, ..Account::default() };
        let (owner, who) = (key(1), "ops".to_owned());
        Record { run: RunId(run), owner, who, closings: Vec::new(), account }
    }

    #[test]
    fn one_keys_records_displace_no_other_keys() {
        let mut session = greeted();
        session.restore(at(4_000), record(0), Span::from_secs(3_000));
        for run in 1..70 {
            let record = Record { owner: key(2), ..record(run) };
            session.restore(at(4_000), record, Span::from_secs(100));
        }
        let gone = std::iter::from_fn(|| session.poll_action());
        let gone: Vec<Action> = gone.filter(|a| matches!(a, Action::Forget(_))).collect();
        assert_eq!(gone, [1, 2, 3, 4, 5, 6].map(|run| Action::Forget(RunId(run))));
    }

    #[test]
    fn records_are_kept_for_an_hour_and_the_oldest_gives_way() {
        let mut session = greeted();
        session.restore(at(4_000), record(0), RECORD_SPAN);
        assert_eq!(session.poll_action(), Some(Action::Forget(RunId(0))), "it is too old");
        for run in 0..64 {
            session.restore(at(4_000), record(run.into()), Span::from_secs(600 - 9 * run));
        }
        assert_eq!(session.poll_action(), None);
        session.restore(at(4_000), record(64), Span::from_secs(1));
        assert_eq!(session.poll_action(), Some(Action::Forget(RunId(0))));
        assert_eq!(session.poll_action(), None);
        session.handle_timeout(at(4_000 - 591 + 3_600));
        let over = std::iter::from_fn(|| session.poll_action());
        let over: Vec<Action> = over.filter(|a| matches!(a, Action::Forget(_))).collect();
        assert_eq!(over, [Action::Forget(RunId(1))]);
    }
}
