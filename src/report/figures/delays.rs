//! Delays as a reader sees them: in us.

use crate::metric::micros;
use crate::report::record::Percentiles;
use crate::stats::delays::{Delay, Delays};

/// What a reader sees of a distribution; `None` of an empty one.
pub(super) fn percentiles(delays: &Delays) -> Option<Percentiles> {
    if delays.total() == 0 {
        return None;
    }
    let quantile = |q| finite(delays.quantile(q));
    Some(Percentiles {
        min: delays.min_ns().map(micros),
        p50: quantile(0.5),
        p90: quantile(0.9),
        p95: quantile(0.95),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: delays.max_ns().map(micros),
        samples: delays.total(),
        lost: delays.infinite(),
    })
}

/// In us; `None` for what never ends.
pub(super) fn finite(delay: Option<Delay>) -> Option<f64> {
    match delay {
        Some(Delay::Finite(nanos)) => Some(micros(nanos)),
        Some(Delay::Infinite) | None => None,
    }
}
