//! What an agent keeps of a run on its disk: one JSON document, so that an agent that was started
//! again still hands out what was counted before.
//!
//! It holds counts alone: no secret of a trial, which is over, and no address.

use crate::account::{Claim, SenderCounts, spoken};
use crate::wire::StreamNumber;
use crate::wire::control::{Account, RunId};
use crate::wire::key::{PublicKey, SPKI_LEN};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// What such a document calls itself.
pub const FORMAT: &str = "linkqual-agent-record/2";

/// The account of a run's last trial, as the agent sent it or would have sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The run.
    pub run: RunId,
    /// The key that asked for it: nobody else gets it.
    pub owner: PublicKey,
    /// Whose key that is, for people.
    pub who: String,
    /// What the agent sent, each stream.
    pub closings: Vec<(StreamNumber, Claim<SenderCounts>)>,
    /// What it counted; names the trial.
    pub account: Account,
}

#[derive(Deserialize, Serialize)]
struct Document {
    format: String,
    run: String,
    key: String,
    who: String,
    /// When it was written, in nanoseconds since 1970.
    saved_ns: u64,
    closings: Vec<(StreamNumber, Claim<SenderCounts>)>,
    account: Account,
}

impl Record {
    /// The record as a document that is saved at `saved_ns`, nanoseconds since 1970.
    ///
    /// # Panics
    ///
    /// Never: a record is made of what JSON can say.
    #[must_use]
    pub fn emit(&self, saved_ns: u64) -> String {
        let document = Document {
            format: FORMAT.to_owned(),
            run: self.run.to_string(),
            key: STANDARD.encode(self.owner.to_spki()),
            who: self.who.clone(),
            saved_ns,
            closings: self.closings.clone(),
            account: self.account.clone(),
        };
        serde_json::to_string(&document).expect("numbers, texts and lists are JSON") + "\n"
    }

    /// Reads a document, which anyone may have written; and when it was saved.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it; never panics.
    pub fn parse(text: &str) -> Result<(Self, u64), MalformedRecord> {
        let malformed = |why: String| MalformedRecord(spoken(&why));
        let document: Document =
            serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let Document { format, run, key, who, saved_ns, closings, account } = document;
        if format != FORMAT {
            return Err(malformed(format!("its format is '{format}', '{FORMAT}' is read")));
        }
        let run = run.parse().map_err(|_| malformed(format!("'{run}' is no run's name")))?;
        let spki = STANDARD.decode(&key).ok().filter(|spki| spki.len() == SPKI_LEN);
        let owner = spki.and_then(|spki| PublicKey::from_spki(&spki).ok());
        let owner = owner.ok_or_else(|| malformed("its key is none".to_owned()))?;
        let who = spoken(&who);
        Ok((Self { run, owner, who, closings, account }, saved_ns))
    }
}

/// A file is no record of this version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a record of {FORMAT}: {0}")]
pub struct MalformedRecord(String);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        let spki: Vec<u8> = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0]
            .into_iter()
            .chain([0xa5; 32])
            .collect();
        Record {
            run: RunId(7),
            owner: PublicKey::from_spki(&spki).expect("a key"),
            who: "ops".to_owned(),
            closings: vec![(2, Claim::of(SenderCounts { sent: 9, ..SenderCounts::default() }))],
            account: Account { trial: 3, ..Account::default() },
        }
    }

    #[test]
    fn a_record_is_read_back_with_its_time() {
        assert_eq!(Record::parse(&record().emit(17)), Ok((record(), 17)));
    }

    #[test]
    fn what_is_no_record_is_reported_and_not_taken() {
        let text = record().emit(17);
        for (from, to, words) in [
            ("record/2", "record/1", "its format is 'linkqual-agent-record/1'"),
            ("00000007", "0000000g", "is no run's name"),
            ("MCowBQ", "MCowBR", "its key is none"),
            ("saved_ns", "saved", "missing field `saved_ns`"),
        ] {
            let error = Record::parse(&text.replacen(from, to, 1)).expect_err(from).to_string();
            assert!(error.starts_with("not a record") && error.contains(words), "{error}");
        }
        for len in 0..text.trim_end().len() {
            assert!(Record::parse(&text[..len]).is_err(), "cut after {len} octets");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = Record::parse(&text);
        }
    }
}
