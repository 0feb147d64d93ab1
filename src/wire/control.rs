//! What driver and agent say to each other over TLS: frames of a length (32 bit, big-endian) and
//! that many octets of JSON.
//!
//! Both say [`Message::Hello`] first, with the versions of the protocol that they speak
//! ([`Versions`]): the newest that both do is spoken, and where there is none, that is said before
//! anything else is read. Fields that this version does not know are ignored, so that a later one
//! may add some; a message that it does not know is an error. What an end counted is
//! carried as it is ([`crate::account`]), as a claim: one that cannot be so leaves the message be.
//!
//! A run outlives its connection: [`Message::Attach`] gives it another. Whatever a driver says may
//! be said again there, for nobody knows what the lost connection still carried: saying it twice is
//! as saying it once.

use crate::account::{
    AskedTrial, Claim, HostCounts, HostFacts, Moved, ReceiverCounts, ReflectorCounts, SenderCounts,
    TcpReceiverCounts, TcpSenderCounts, spoken,
};
use crate::wire::fence::Fence;
use crate::wire::seal::KEY_LEN;
use crate::wire::{StreamNumber, Token};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

mod version;

pub use version::{PROTOCOL, PROTOCOL_BEFORE, Versions};

/// The longest frame: a trial's account with its histograms is a tenth of it.
pub const FRAME_MAX: usize = 4 << 20;

/// The name of a run: it outlives the connection that it was asked for on.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct RunId(pub u128);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for RunId {
    type Err = MalformedRunId;

    fn from_str(text: &str) -> Result<Self, MalformedRunId> {
        let is_hex = text.len() == 32 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
        let id = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
        id.map(Self).ok_or(MalformedRunId)
    }
}

/// A text is no run's name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a run's name is 32 hexadecimal digits")]
pub struct MalformedRunId;

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A message.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// Both, first.
    Hello(Hello),
    /// Driver: may I?
    Request(Request),
    /// Agent: you may, within this.
    Granted(Granted),
    /// Agent: you may not, or not this.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
    /// Driver: this connection takes the place of the one that the run had.
    Attach {
        /// The run.
        run: String,
    },
    /// Agent: the run is this connection's; what it has sent of its trial follows, once more.
    Attached {
        /// The run.
        run: String,
        /// The trial under way, or the last one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trial: Option<u32>,
        /// Whether its grant still stands: where not, only what was counted is to be had.
        granted: bool,
    },
    /// Driver: the next trial.
    Prepare(Prepare),
    /// Agent: its streams, to be opened by handshake.
    Prepared {
        /// The trial.
        trial: u32,
        /// Each stream's secrets.
        streams: Vec<Secrets>,
    },
    /// Driver: all streams are open; send.
    Start {
        /// The trial.
        trial: u32,
    },
    /// Agent: sending, if there is anything to send.
    Started {
        /// The trial.
        trial: u32,
    },
    /// Both: a stream's sender is done; this is its account.
    Closing {
        /// The trial.
        trial: u32,
        /// The stream.
        stream: StreamNumber,
        /// What was sent.
        sent: Claim<SenderCounts>,
    },
    /// Driver: end this trial now.
    Stop {
        /// The trial.
        trial: u32,
    },
    /// Agent: all that it counted in a trial.
    Account(Box<Account>),
    /// Driver: no more trials.
    Finish,
    /// Agent: it is about to end, or loads nothing for a while. The trial under way is to be
    /// stopped, so that its counts are sent.
    Leaving {
        /// Why, where the agent does not end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Both: something went wrong that ends the conversation.
    Fault {
        /// What.
        reason: String,
    },
}

/// Who speaks.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hello {
    /// The oldest version that it speaks: what a peer looks at that speaks one version alone.
    pub protocol: u32,
    /// The newest; absent where it speaks one version alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<u32>,
    /// The program and its version, for people.
    pub program: String,
    /// What the agent allows this driver; absent from a driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsMessage>,
    /// The role that it gives this driver's key; absent from a driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it calls this driver's key; absent from a driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The agent's host; absent from a driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Claim<HostFacts>>,
}

/// What an agent allows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LimitsMessage {
    /// Bits per second at L2, in one direction.
    pub rate_max_bit_s: u64,
    /// Of load under one grant.
    pub duration_max_ns: u64,
}

/// What a driver asks for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Request {
    /// The run.
    pub run: String,
    /// The circuit, whose load lock is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
    /// How long the run may take in all.
    pub duration_ns: u64,
    /// The load; absent where only probes are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadRequest>,
    /// The congestion controls, by the kernel's names, by which the agent is to send TCP in this
    /// run: one that its host lacks is refused before anything is measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub congestion: Vec<String>,
    /// The leases that the run holds on what it loads: an agent refuses one that is older than
    /// another that it was shown. From version 7 on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fences: Vec<Fence>,
}

/// The load that a driver asks for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LoadRequest {
    /// Bits per second of Ethernet frames (L2) in one direction: load, probes, answers and
    /// acknowledgements, with their headers.
    pub rate_bit_s: u64,
    /// Of all load together.
    pub duration_ns: u64,
}

/// What an agent grants.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Granted {
    /// The run.
    pub run: String,
    /// From now; then it ends by itself.
    pub duration_ns: u64,
    /// The load; absent where only probes are granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadRequest>,
    /// What other runs leave of the agent's limit, in bits per second of Ethernet frames (L2) in
    /// one direction, this grant's own load included. It is promised to nobody.
    pub free_rate_bit_s: u64,
}

/// A trial.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Prepare {
    /// Its number in the run.
    pub trial: u32,
    /// What it is.
    pub asked: AskedTrial,
}

/// A stream's secrets.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Secrets {
    /// The stream.
    pub stream: StreamNumber,
    /// What each of its datagrams carries, as 16 hexadecimal digits.
    #[serde(with = "hex_token")]
    pub token: Token,
    /// What its signals and probes are sealed with, as 64 hexadecimal digits.
    #[serde(with = "hex_key")]
    pub key: [u8; KEY_LEN],
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets of stream {}", self.stream)
    }
}

/// All that the agent counted in a trial.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Account {
    /// The trial.
    pub trial: u32,
    /// The probes.
    pub probes: Claim<ReflectorCounts>,
    /// The UDP load that it received, all streams together; absent where it had none to receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Claim<ReceiverCounts>>,
    /// The TCP streams that it received, all together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_receiver: Option<Claim<TcpReceiverCounts>>,
    /// The TCP streams that it sent, all together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_sender: Option<Claim<TcpSenderCounts>>,
    /// Streams whose driver's address changed.
    pub moves: Claim<Vec<Moved>>,
    /// Its host.
    pub host: Claim<HostCounts>,
}

impl Message {
    /// The message as a frame's octets, without their length.
    ///
    /// # Panics
    ///
    /// Never: every message here is made of what JSON can say.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers, texts and lists are JSON")
    }

    /// Reads a frame's octets, which may be anyone's.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the octets; never panics.
    pub fn parse(frame: &[u8]) -> Result<Self, MalformedMessage> {
        serde_json::from_slice(frame).map_err(|error| MalformedMessage(spoken(&error.to_string())))
    }

    /// Its name, for errors and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Request(_) => "request",
            Self::Granted(_) => "granted",
            Self::Refused { .. } => "refused",
            Self::Attach { .. } => "attach",
            Self::Attached { .. } => "attached",
            Self::Prepare(_) => "prepare",
            Self::Prepared { .. } => "prepared",
            Self::Start { .. } => "start",
            Self::Started { .. } => "started",
            Self::Closing { .. } => "closing",
            Self::Stop { .. } => "stop",
            Self::Account(_) => "account",
            Self::Finish => "finish",
            Self::Leaving { .. } => "leaving",
            Self::Fault { .. } => "fault",
        }
    }
}

/// A frame is no message of this version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a message of protocol version {PROTOCOL}: {0}")]
pub struct MalformedMessage(String);

mod hex_token {
    use super::Token;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(token: &Token, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{:016x}", token.0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Token, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16).map(Token).map_err(D::Error::custom)
    }
}

mod hex_key {
    use super::KEY_LEN;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(key: &[u8; KEY_LEN], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&key.iter().map(|octet| format!("{octet:02x}")).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<[u8; KEY_LEN], D::Error> {
        let text = String::deserialize(from)?;
        let octet = |place: usize| {
            text.get(2 * place..2 * place + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())
        };
        let mut key = [0; KEY_LEN];
        for (place, slot) in key.iter_mut().enumerate() {
            *slot = octet(place).ok_or_else(|| D::Error::custom("not 64 hexadecimal digits"))?;
        }
        if text.len() == 2 * KEY_LEN { Ok(key) } else { Err(D::Error::custom("too many digits")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secrets() -> Message {
        let secrets = Secrets { stream: 3, token: Token(0xfeed), key: [0xa5; KEY_LEN] };
        Message::Prepared { trial: 1, streams: vec![secrets] }
    }

    /// Golden: this text is the protocol.
    #[test]
    fn a_message_is_tagged_json() {
        let text = String::from_utf8(secrets().emit()).expect("UTF-8");
        let expected = format!(
            r#"{{"type":"prepared","trial":1,"streams":[{{"stream":3,"token":"000000000000feed","key":"{}"}}]}}"#,
            "a5".repeat(32)
        );
        assert_eq!(text, expected);
        assert_eq!(Message::parse(text.as_bytes()), Ok(secrets()));
    }

    #[test]
    fn what_is_not_known_is_ignored_in_a_message_and_refused_as_one() {
        let later = br#"{"type":"start","trial":2,"mood":"good"}"#;
        assert_eq!(Message::parse(later), Ok(Message::Start { trial: 2 }));
        assert!(Message::parse(br#"{"type":"sing"}"#).is_err());
        assert!(Message::parse(br#"{"type":"start"}"#).is_err());
        let sly = Message::parse(b"{\"type\":\"\\u001b[2Jsing\"}").expect_err("it is unknown");
        assert!(sly.to_string().contains("`[2Jsing`"), "{sly}");
    }

    #[test]
    fn a_key_has_64_digits_and_no_more() {
        for digits in [0, 63, 65, 66] {
            let text = format!(r#"{{"stream":0,"token":"1","key":"{}"}}"#, "a".repeat(digits));
            assert!(serde_json::from_str::<Secrets>(&text).is_err(), "{digits} digits");
        }
    }

    /// Found by fuzzing: read without care, this number loses the last bit.
    #[test]
    fn a_jitter_is_read_back_to_its_last_bit() {
        let jitter_rfc3550_ns = Some(1.333_333_333_333_333_3e65);
        let probes = ReceiverCounts { jitter_rfc3550_ns, ..ReceiverCounts::default() };
        let probes = ReflectorCounts { probes, ..ReflectorCounts::default() }.into();
        let account = Message::Account(Account { probes, ..Account::default() }.into());
        assert_eq!(Message::parse(&account.emit()), Ok(account));
    }

    #[test]
    fn the_fuzzers_start_from_lines_that_are_messages() {
        let agent = include_str!("../../tests/fuzz/seeds/control/agent");
        let driver = include_str!("../../tests/fuzz/seeds/control/driver");
        for line in agent.lines().chain(driver.lines()) {
            let holds = match Message::parse(line.as_bytes()).expect(line) {
                Message::Closing { sent, .. } => sent.fact().is_ok(),
                Message::Account(account) => {
                    let received = account.receiver.is_none_or(|claim| claim.fact().is_ok());
                    account.probes.fact().is_ok() && account.host.fact().is_ok() && received
                }
                _ => true,
            };
            assert!(holds, "{line}");
        }
    }

    #[test]
    fn a_run_has_a_name_of_32_digits() {
        assert_eq!(RunId(7).to_string().parse(), Ok(RunId(7)));
        for text in ["", "7", "+0000000000000000000000000000007", &"g".repeat(32)] {
            assert_eq!(text.parse::<RunId>(), Err(MalformedRunId), "{text}");
        }
    }

    /// Golden: what was said when a run found its driver again.
    #[test]
    fn an_attached_run_tells_its_trial_where_it_has_one() {
        let attached = |trial| Message::Attached { run: "7".into(), trial, granted: true };
        for (message, text) in [
            (Message::Attach { run: "7".into() }, r#"{"type":"attach","run":"7"}"#),
            (attached(None), r#"{"type":"attached","run":"7","granted":true}"#),
            (attached(Some(3)), r#"{"type":"attached","run":"7","trial":3,"granted":true}"#),
        ] {
            assert_eq!(String::from_utf8(message.emit()).as_deref(), Ok(text));
            assert_eq!(Message::parse(text.as_bytes()), Ok(message));
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", secrets()).contains("feed"));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&octets);
        }

        #[test]
        fn any_json_is_read_or_refused(kind in "[a-z]{3,9}", number in any::<f64>()) {
            let _ = Message::parse(format!(r#"{{"type":"{kind}","trial":{number}}}"#).as_bytes());
        }
    }
}
