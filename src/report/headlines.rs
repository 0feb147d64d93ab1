//! What came of each link and site, in a line each: for those who list runs.

use super::blocks::blocks;
use super::date::wall_ns;
use super::record::Report;
use super::words::why;
use crate::verdict::Verdict;

/// What came of one site of one link.
#[derive(Clone, Debug, PartialEq)]
pub struct Headline {
    /// The link: its index in `links`.
    pub link: usize,
    /// The site's name.
    pub site: String,
    /// Its agent: host and port, as given.
    pub agent: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason for it, in one line.
    pub why: String,
    /// When its first trial began, in nanoseconds since 1970.
    pub started_ns: Option<u64>,
    /// When its last trial ended.
    pub ended_ns: Option<u64>,
}

impl Report {
    /// What came of each link and site, the worst first.
    #[must_use]
    pub fn headlines(&self) -> Vec<Headline> {
        let headline = |block: &super::blocks::Block<'_>| {
            let (started, ended) = block.times(self);
            Headline {
                link: block.place,
                site: block.site.ends.site.clone(),
                agent: block.site.ends.agent.clone(),
                verdict: block.verdict,
                why: why(block),
                started_ns: wall_ns(started),
                ended_ns: wall_ns(ended),
            }
        };
        blocks(self).iter().map(headline).collect()
    }
}
