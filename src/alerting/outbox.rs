//! What is sent to each receiver, and when: again where it failed, and after a restart.

use super::alert::{Alert, Notice};
use super::forms::{alertmanager, heartbeat, webhook};
use super::settings::Receiver;
use super::words::Occasion;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;

/// Notices that wait for one receiver at most: beyond that the oldest are given up.
const WAITING_MAX: usize = 1000;

/// How often Alertmanager is sent what goes on, in seconds.
const REPEAT_S: i64 = 60;

/// So long it is sent what is over, in seconds.
const OVER_S: i64 = 900;

/// After a failure it is tried again after this time, then after twice as long, and so on.
const RETRY_S: i64 = 5;
const RETRY_S_MAX: i64 = 300;

/// What waits for a receiver, as it is kept over a restart.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Waiting {
    /// The receiver's name.
    pub receiver: String,
    /// The notices, the oldest first.
    pub notices: VecDeque<Notice>,
}

/// What is to be sent to the receiver at that place of the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// The receiver's place.
    pub receiver: usize,
    /// What is sent.
    pub json: Value,
}

/// One receiver.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    /// Whether it is sent all that goes on, again and again.
    takes_state: bool,
    waiting: VecDeque<Notice>,
    is_sending: bool,
    /// How many of `waiting` are being sent.
    sending: usize,
    failures: u32,
    due_s: i64,
}

/// What is sent to each receiver, and when.
#[derive(Clone, Debug)]
pub struct Outbox {
    watch: String,
    started_s: i64,
    lines: Vec<Line>,
}

impl Outbox {
    /// For `receivers`, of a `watch` that was started at `now_s`.
    #[must_use]
    pub fn new(watch: &str, receivers: &[Receiver], now_s: i64) -> Self {
        let line = |receiver: &Receiver| Line {
            name: receiver.name(),
            takes_state: matches!(receiver, Receiver::Alertmanager { .. }),
            waiting: VecDeque::new(),
            is_sending: false,
            sending: 0,
            failures: 0,
            due_s: now_s,
        };
        let lines = receivers.iter().map(line).collect();
        Self { watch: watch.to_owned(), started_s: now_s, lines }
    }

    /// What waits, to be kept over a restart.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let waiting = self.lines.iter().filter(|line| !line.waiting.is_empty());
        let of =
            |line: &Line| Waiting { receiver: line.name.clone(), notices: line.waiting.clone() };
        waiting.map(of).collect()
    }

    /// Goes on with what waited before.
    pub fn restore(&mut self, waiting: Vec<Waiting>) {
        for Waiting { receiver, notices } in waiting {
            if let Some(line) = self.lines.iter_mut().find(|line| line.name == receiver) {
                line.waiting.extend(notices);
            }
        }
    }

    /// Has `notice` sent to every receiver; how many notices were given up for it.
    pub fn add(&mut self, notice: &Notice, now_s: i64) -> usize {
        let mut lost = 0;
        for line in &mut self.lines {
            // Alertmanager is sent what goes on, whatever the notice is.
            let is_kept = !line.takes_state || notice.occasion == Occasion::Resolved;
            if is_kept {
                line.waiting.push_back(notice.clone());
            }
            if line.failures == 0 {
                line.due_s = now_s;
            }
            while WAITING_MAX < line.waiting.len() && !line.is_sending {
                line.waiting.pop_front();
                lost += 1;
            }
        }
        lost
    }

    /// The next letter that is due at `now_s`; `alerts` are those that are open.
    pub fn poll<'a>(
        &mut self,
        now_s: i64,
        alerts: impl Iterator<Item = &'a Alert> + Clone,
    ) -> Option<Letter> {
        let (watch, started_s) = (&self.watch, self.started_s);
        let (receiver, line) =
            self.lines.iter_mut().enumerate().find(|(_, line)| line.is_due(now_s))?;
        line.is_sending = true;
        let json = if line.takes_state {
            line.waiting.retain(|notice| now_s - OVER_S < notice.at_s);
            line.sending = line.waiting.len();
            let mut all = alertmanager(alerts, line.waiting.iter(), watch, now_s);
            let beat = heartbeat(watch, started_s, now_s);
            if let (Value::Array(all), Value::Array(beat)) = (&mut all, beat) {
                all.extend(beat);
            }
            all
        } else {
            line.sending = 1;
            webhook(line.waiting.front()?, watch)
        };
        Some(Letter { receiver, json })
    }

    /// The letter to `receiver` arrived, or did not; its name where that is worth a word: at the
    /// first failure, and at the first success after one.
    pub fn handle_sent(&mut self, receiver: usize, arrived: bool, now_s: i64) -> Option<&str> {
        let line = self.lines.get_mut(receiver)?;
        line.is_sending = false;
        let sent = std::mem::take(&mut line.sending);
        let is_change = arrived == (0 < line.failures);
        if arrived {
            line.failures = 0;
            line.due_s = if line.takes_state { now_s + REPEAT_S } else { now_s };
            if !line.takes_state {
                line.waiting.drain(..sent.min(line.waiting.len()));
            }
        } else {
            let wait_s = RETRY_S.saturating_mul(1 << line.failures.min(10));
            line.due_s = now_s + wait_s.min(RETRY_S_MAX);
            line.failures = line.failures.saturating_add(1);
        }
        let is_first = arrived || line.failures == 1;
        (is_change && is_first).then_some(line.name.as_str())
    }
}

impl Line {
    fn is_due(&self, now_s: i64) -> bool {
        let has_something = self.takes_state || !self.waiting.is_empty();
        has_something && !self.is_sending && self.due_s <= now_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox {
        let url = "http://a".to_owned();
        let hook = Receiver::Webhook { url: url.clone(), bearer: None, hmac: None, ca_file: None };
        let manager = Receiver::Alertmanager { url, bearer: None, ca_file: None };
        Outbox::new("near", &[hook, manager], 0)
    }

    fn notice(occasion: Occasion, at_s: i64) -> Notice {
        Notice { occasion, at_s, alert: Alert::test(at_s), remark: None }
    }

    fn due(outbox: &mut Outbox, now_s: i64) -> Vec<(usize, usize)> {
        let none: [Alert; 0] = [];
        let letters = std::iter::from_fn(|| outbox.poll(now_s, none.iter()));
        letters.map(|it| (it.receiver, it.json.as_array().map_or(1, Vec::len))).collect()
    }

    #[test]
    fn a_notice_is_sent_until_it_arrives_and_after_a_restart_too() {
        let mut outbox = outbox();
        assert_eq!(due(&mut outbox, 0), [(1, 1)], "the heartbeat");
        assert_eq!(outbox.handle_sent(1, true, 0), None);
        assert_eq!(outbox.add(&notice(Occasion::Firing, 1), 1), 0);
        assert_eq!(outbox.add(&notice(Occasion::Reminder, 2), 2), 0);
        assert_eq!(due(&mut outbox, 2), [(0, 1), (1, 1)]);
        assert_eq!(due(&mut outbox, 2), [], "one at a time");
        assert_eq!(outbox.handle_sent(0, false, 3), Some("webhook http://a"));
        assert_eq!(due(&mut outbox, 7), []);
        assert_eq!(due(&mut outbox, 8), [(0, 1)]);
        assert_eq!(outbox.handle_sent(0, false, 8), None, "it is said once");
        assert_eq!(due(&mut outbox, 17), []);
        let text = serde_json::to_string(&outbox.waiting()).expect("JSON");
        let mut after = self::outbox();
        after.restore(serde_json::from_str(&text).expect("notices"));
        assert_eq!(due(&mut after, 100), [(0, 1), (1, 1)]);
        assert_eq!(after.handle_sent(0, true, 101), None);
        assert_eq!(due(&mut after, 101), [(0, 1)]);
        after.handle_sent(0, true, 102);
        assert_eq!((due(&mut after, 103), after.waiting()), (vec![], vec![]));
        outbox.handle_sent(0, false, 20);
        due(&mut outbox, 1000);
        assert_eq!(outbox.handle_sent(0, true, 1000), Some("webhook http://a"));
    }

    #[test]
    fn alertmanager_is_sent_what_goes_on_each_minute_and_what_is_over_for_a_while() {
        let mut outbox = outbox();
        due(&mut outbox, 0);
        outbox.handle_sent(1, true, 0);
        outbox.add(&notice(Occasion::Resolved, 10), 10);
        assert_eq!(due(&mut outbox, 10), [(0, 1), (1, 2)]);
        outbox.handle_sent(1, true, 10);
        assert_eq!(due(&mut outbox, 69), []);
        assert_eq!(due(&mut outbox, 70), [(1, 2)]);
        outbox.handle_sent(1, true, 70);
        assert_eq!(due(&mut outbox, 910), [(1, 1)]);
    }

    #[test]
    fn what_waits_has_an_end() {
        let mut outbox = outbox();
        for at_s in 0..1000 {
            assert_eq!(outbox.add(&notice(Occasion::Firing, at_s), at_s), 0);
        }
        assert_eq!(outbox.add(&notice(Occasion::Firing, 1000), 1000), 1);
        assert_eq!(outbox.waiting()[0].notices.front().map(|it| it.at_s), Some(1));
    }
}
