//! A trial from `Prepare` to `Start`: its streams and their keys, and what is said where one of
//! them cannot be opened.
//!
//! Nothing is sent here before every stream is open: a trial never begins with a part of them.

use super::state::{
    Action, Blocked, Failure, Opening, RECEIVED_MAX, Running, Session, State, Task, TcpOpening,
};
use crate::clock::{Driver, Stamp};
use crate::flow::{HandshakeFailed, Stream, TcpStream, streams_of, tcp_streams_of};
use crate::session::ANSWER_MAX;
use crate::trial::Trial;
use crate::wire::StreamNumber;
use crate::wire::control::{Account, Message, Prepare, Secrets};

impl Session {
    pub(super) fn prepare(
        &mut self,
        now: Stamp<Driver>,
        task: Task,
        trial: Trial,
        until: Stamp<Driver>,
    ) -> State {
        self.say(Message::Prepare(Prepare { trial: self.trials, asked: (&trial).into() }));
        self.asked_at = now;
        State::ExpectPrepared { task, trial, until }
    }

    pub(super) fn on_prepared(
        &mut self,
        now: Stamp<Driver>,
        task: Task,
        trial: Trial,
        secrets: &[Secrets],
    ) -> State {
        let streams = streams_of(&trial);
        let opening = |stream: &Stream| {
            let secret = secrets.iter().find(|secret| secret.stream == stream.number)?;
            Some(Opening { stream: Stream { token: secret.token, ..*stream }, key: secret.key })
        };
        let Some(openings) = streams.iter().map(opening).collect::<Option<Vec<_>>>() else {
            return self.fail(Failure::Protocol("a stream without its secrets".into()));
        };
        let tcp = tcp_streams_of(&trial);
        let run = self.run;
        let tcp_opening = |stream: &TcpStream| {
            let secret = secrets.iter().find(|secret| secret.stream == stream.number)?;
            let stream = TcpStream { token: secret.token, ..*stream };
            Some(TcpOpening { run, stream, key: secret.key })
        };
        let Some(tcp_openings) = tcp.iter().map(tcp_opening).collect::<Option<Vec<_>>>() else {
            return self.fail(Failure::Protocol("a TCP stream without its secrets".into()));
        };
        self.actions.push_back(Action::Open(openings, tcp_openings));
        let running = Running::new(trial, (streams, tcp), now);
        State::Opening { task, running }
    }

    pub(super) fn on_all_open(
        &mut self,
        now: Stamp<Driver>,
        task: Task,
        mut running: Running,
    ) -> State {
        match task {
            Task::FindPayload(most) => {
                self.actions.push_back(Action::FindPayload(most));
                State::Searching
            }
            Task::Measure => {
                running.ends_at = now.after_nanos(running.trial.duration().nanos());
                running.heard = now;
                self.say(Message::Start { trial: self.trials });
                self.asked_at = now;
                self.actions.push_back(Action::Start);
                State::ExpectStarted { running, until: now.after_nanos(ANSWER_MAX.nanos()) }
            }
        }
    }

    /// A UDP stream could not be opened: whether the agent received anything of it says which way
    /// it is blocked.
    pub(super) fn on_not_opened(
        &mut self,
        now: Stamp<Driver>,
        running: &Running,
        stream: StreamNumber,
        why: HandshakeFailed,
    ) -> State {
        let (streams, dscp) = (running.streams.len(), running.trial.dscp());
        let blocked = Blocked { stream, streams, why, dscp, received: None };
        self.actions.push_back(Action::Stop);
        self.say(Message::Stop { trial: self.trials });
        self.asked_at = now;
        State::ExpectReceived { blocked, until: now.after_nanos(RECEIVED_MAX.nanos()) }
    }

    /// The agent's account of a trial of which a stream could not be opened.
    pub(super) fn on_received(&mut self, blocked: Blocked, account: &Account) -> State {
        let received = account.probes.fact().ok().map(|probes| probes.unopened_hellos);
        self.fail(Failure::Blocked(Blocked { received, ..blocked }))
    }

    pub(super) fn on_not_connected(
        &mut self,
        running: &Running,
        stream: StreamNumber,
        why: &str,
    ) -> State {
        self.give_up(format!(
            "TCP stream {stream} of {} could not be opened: {why}. Does a firewall limit how many \
             connections to that port may be open?",
            running.tcp.len()
        ))
    }

    /// A trial that cannot begin.
    pub(super) fn give_up(&mut self, reason: String) -> State {
        self.actions.push_back(Action::Stop);
        self.say(Message::Stop { trial: self.trials });
        self.fail(Failure::NotOpened(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{ReflectorCounts, SenderCounts};
    use crate::flow::NearEvent as Event;
    use crate::session::driver::tests::{NOW, actions, after, granted, idle, names, say};
    use crate::wire::control::Account;

    /// A driver whose only stream got no answer.
    fn unanswered() -> Session {
        let mut session = granted();
        session.begin(NOW, Task::FindPayload(1_472), idle());
        let secrets = Secrets { stream: 0, token: crate::wire::Token(7), key: [1; 32] };
        let prepared = Message::Prepared { trial: 1, streams: vec![secrets] };
        assert!(matches!(say(&mut session, prepared).last(), Some(Action::Open(..))));
        session.handle_trial(NOW, crate::flow::NearEvent::NotOpened(0, HandshakeFailed::NoAnswer));
        let asked = actions(&mut session);
        assert!(asked.contains(&Action::Stop) && names(&asked) == ["stop"], "{asked:?}");
        session
    }

    /// Without it the agent waits 2.5 s for what was sent, and the driver for the agent.
    #[test]
    fn what_a_search_sent_is_reported_before_it_is_stopped() {
        let mut session = granted();
        session.begin(NOW, Task::FindPayload(1_472), idle());
        let secrets = Secrets { stream: 0, token: crate::wire::Token(7), key: [1; 32] };
        say(&mut session, Message::Prepared { trial: 1, streams: vec![secrets] });
        session.handle_trial(NOW, Event::Opened(0));
        assert_eq!(actions(&mut session), [Action::FindPayload(1_472)]);
        let sent = SenderCounts { sent: 2, ..SenderCounts::default() };
        session.handle_trial(NOW, Event::Sent(0, sent));
        session.handle_trial(NOW, Event::PayloadFound(Some(1_472)));
        assert_eq!(names(&actions(&mut session)), ["closing", "stop"]);
        let account = Account { trial: 1, ..Account::default() };
        let found = say(&mut session, Message::Account(Box::new(account)));
        assert_eq!(found, [Action::PayloadFound(Some(1_472))]);
    }

    #[track_caller]
    fn blocked(actions: &[Action], received: Option<u64>, words: &str) {
        let Some(Action::Failed(Failure::Blocked(blocked))) = actions.last() else {
            panic!("{actions:?}")
        };
        assert_eq!(blocked.received, received);
        let text = blocked.to_string();
        let start = "stream 1 of 1 could not be opened: no UDP datagram came back from the agent's";
        assert!(text.starts_with(start) && text.contains(words), "{text}");
    }

    #[test]
    fn the_agent_says_which_way_udp_is_blocked() {
        for (unopened_hellos, words) in [
            (0, "UDP to it is blocked"),
            (9, "received 9 of this host's datagrams and answered each"),
        ] {
            let mut session = unanswered();
            let probes = ReflectorCounts { unopened_hellos, ..ReflectorCounts::default() };
            let account = Account { trial: 1, probes: probes.into(), ..Account::default() };
            let said = say(&mut session, Message::Account(Box::new(account)));
            blocked(&said, Some(unopened_hellos), words);
        }
    }

    #[test]
    fn an_agent_that_does_not_say_is_not_waited_for() {
        let mut session = unanswered();
        session.handle_timeout(after(RECEIVED_MAX));
        blocked(
            &actions(&mut session),
            None,
            "Does a firewall let UDP to that port through, both ways?",
        );
    }
}
