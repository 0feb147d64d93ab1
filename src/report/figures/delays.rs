//! Delays as a reader sees them: in us.

use crate::account::DelayBounds;
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

/// One-way delays half-way between their bounds, and the most that one of the percentiles may be
/// off, in us.
pub(super) fn one_way_delays(bounds: &DelayBounds) -> Option<(Percentiles, f64)> {
    let (low, high) = (percentiles(&bounds.low)?, percentiles(&bounds.high)?);
    let mut error_us = 0.0_f64;
    let mut between = |low: Option<f64>, high: Option<f64>| {
        let (low, high) = low.zip(high)?;
        error_us = error_us.max((high - low) / 2.0);
        Some(f64::midpoint(low, high))
    };
    let owd = Percentiles {
        min: between(low.min, high.min),
        p50: between(low.p50, high.p50),
        p90: between(low.p90, high.p90),
        p95: between(low.p95, high.p95),
        p99: between(low.p99, high.p99),
        p999: between(low.p999, high.p999),
        max: between(low.max, high.max),
        samples: low.samples,
        lost: low.lost,
    };
    Some((owd, error_us))
}

/// In us; `None` for what never ends.
pub(super) fn finite(delay: Option<Delay>) -> Option<f64> {
    match delay {
        Some(Delay::Finite(nanos)) => Some(micros(nanos)),
        Some(Delay::Infinite) | None => None,
    }
}
