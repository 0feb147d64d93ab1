//! What a run showed, for people and for programs: each format a pure function of the record.
//!
//! The record is the run. What happened is written into it ([`Run::report`]); findings, caveats and
//! the verdict are derived from what is written there, by [`Report::judge`] alone, so that a saved
//! report that is judged again by the same requirements says the same to the octet.

mod blocks;
mod date;
mod figures;
mod formats;
mod headlines;
mod judging;
mod merging;
mod quantity;
mod reading;
mod record;
mod rendering;
mod run;
mod v2;
mod words;
mod writing;

pub use blocks::{ABORTED, INTERRUPTED, NOT_RUN_YET};
pub use date::date;
pub use formats::csv::csv;
pub use formats::text::text;
pub use formats::{FORMATS, Format};
pub use headlines::Headline;
pub use judging::{LinkQuestion, Question, program};
pub use merging::Merged;
pub(crate) use quantity::quantity;
pub use reading::Unreadable;
pub use record::{
    Asked, BiasRecord, BoundText, CaveatRecord, DirectionFigures, FORMAT, FindingRecord,
    JudgedAgain, LayerRates, LinkRecord, LoadKindRecord, LossConcentrated, OutageRecord,
    Percentiles, PlanRecord, Report, RequirementRecord, Row, Scope, SecondFigures, SiteEnds,
    SiteRecord, StreamFigures, TcpFigures, TcpLimits, TimestampMethod, TrialFigures, TrialRecord,
    TrialVerdict, TrialVerdicts,
};
pub use rendering::Rendering;
pub use run::{Run, SiteRun};
