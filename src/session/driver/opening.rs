//! A trial from `Prepare` to `Start`: its streams and their keys, and what is said where one of
//! them cannot be opened.
//!
//! Nothing is sent here before every stream is open: a trial never begins with a part of them.

use super::state::{
    Action, Failure, Opening, REACH_MAX, Running, Session, State, Task, TcpOpening,
};
use crate::clock::{Driver, Stamp};
use crate::flow::{HandshakeFailed, Stream, TcpStream, streams_of, tcp_streams_of};
use crate::plan::Trial;
use crate::session::ANSWER_MAX;
use crate::wire::StreamNumber;
use crate::wire::control::{Message, Prepare, Secrets};
use std::collections::BTreeMap;

impl Session {
    pub(super) fn prepare(&mut self, now: Stamp<Driver>, task: Task, trial: Trial) -> State {
        self.say(Message::Prepare(Prepare { trial: self.trials, asked: (&trial).into() }));
        self.asked_at = now;
        State::ExpectPrepared { task, trial, until: now.after_nanos(REACH_MAX.nanos()) }
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
        let running = Running {
            trial,
            streams,
            tcp,
            opened: 0,
            started: false,
            ends_at: now,
            heard: now,
            sent: BTreeMap::new(),
            came: BTreeMap::new(),
            tcp_sender: BTreeMap::new(),
            tcp_receiver: BTreeMap::new(),
            probed: None,
            account: None,
            stopping: None,
        };
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

    pub(super) fn on_not_opened(
        &mut self,
        running: &Running,
        stream: StreamNumber,
        why: HandshakeFailed,
    ) -> State {
        let what = match why {
            HandshakeFailed::NoAnswer => "no UDP datagram came back from the agent's port",
            HandshakeFailed::NotAccepted => {
                "the agent's first UDP datagram came back, and none after it"
            }
        };
        self.give_up(format!(
            "stream {stream} of {} could not be opened: {what} within 5 s. Does a firewall let UDP \
             to that port pass, both ways?",
            running.streams.len()
        ))
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
