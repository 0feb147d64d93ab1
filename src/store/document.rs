//! A report as it is kept: compressed, with its checksum.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read as _, Write as _};

/// The octets of a report at most, as for one that is read from a file.
const OCTETS_MAX: u64 = 256 << 20;

/// A compressed report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Document {
    /// gzip (RFC 1952).
    pub(super) gzip: Vec<u8>,
    /// SHA-256 of the text, 64 hexadecimal digits.
    pub(super) sha256: String,
}

impl Document {
    /// That of `text`.
    ///
    /// # Errors
    ///
    /// Where it cannot be compressed.
    pub(super) fn of(text: &str) -> io::Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let gzip = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish())?;
        Ok(Self { gzip, sha256: sha256(text) })
    }

    /// The text.
    ///
    /// # Errors
    ///
    /// Where it was damaged.
    pub(super) fn text(&self) -> Result<String, String> {
        let mut text = String::new();
        let read = GzDecoder::new(self.gzip.as_slice()).take(OCTETS_MAX).read_to_string(&mut text);
        read.map_err(|error| format!("its report is damaged: {error}"))?;
        if sha256(&text) != self.sha256 {
            return Err("its report is damaged: its SHA-256 is another".to_owned());
        }
        Ok(text)
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_what_was_kept_or_says_that_it_is_not() {
        let text = "{\"verdict\": \"PASS\"}".repeat(1_000);
        let document = Document::of(&text).expect("compressed");
        assert!(document.gzip.len() < text.len() / 10);
        assert_eq!(document.text().as_ref(), Ok(&text));
        let mut damaged = document.clone();
        damaged.gzip.truncate(20);
        assert!(damaged.text().is_err());
        let swapped = Document { sha256: sha256("other"), ..document };
        assert!(swapped.text().is_err());
    }
}
