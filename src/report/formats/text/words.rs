//! Words of the text, and what it has said already.

use crate::trial::Dscp;
use crate::units::Span;

/// A code point, by its name where it has one.
pub(super) fn mark(dscp: u8) -> String {
    Dscp::new(dscp).map_or_else(|| dscp.to_string(), |dscp| dscp.to_string())
}

/// How long a trial was to last.
pub(super) fn duration_text(nanos: u64) -> String {
    format!("{} s", Span::from_nanos(nanos).as_secs())
}

/// Reasons that the text has given: each is given once.
#[derive(Debug, Default)]
pub(super) struct Once {
    said: Vec<String>,
}

impl Once {
    /// A reason is given.
    pub(super) fn note(&mut self, reason: &str) {
        self.said.push(reason.to_owned());
    }

    /// Whether `reason` says anything new; then it is given now. Where a longer one has it, or it
    /// puts a few words before one that was given, it does not.
    pub(super) fn is_new(&mut self, reason: &str) -> bool {
        let has = |said: &String| said.contains(reason) || reason.ends_with(said.as_str());
        let is_new = !self.said.iter().any(has);
        if is_new {
            self.note(reason);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_given_once() {
        let mut once = Once::default();
        once.note("vpc: nothing answers at 10.0.0.7:4872");
        assert!(!once.is_new("nothing answers at 10.0.0.7:4872"));
        assert!(once.is_new("interrupted"));
        assert!(!once.is_new("the trial was not run: interrupted"));
        assert!(once.is_new("interrupted after 3 s"));
    }
}
