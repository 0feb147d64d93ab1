//! The record itself, from which every other format can be made again.

use crate::report::{Rendering, Report};

pub(super) fn render(report: &Report, _: &Rendering) -> String {
    report.to_json()
}
