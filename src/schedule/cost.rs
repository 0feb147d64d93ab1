//! What scheduled runs cost, by how their provider bills traffic.

use crate::plan::{Billing, Price};
use crate::units::{ByteCount, Span};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The length of a sample of a bill by percentile.
const SAMPLE_S: i64 = 300;

/// The days of a month of such a bill.
pub const MONTH_DAYS: i64 = 30;

/// The samples of it: 8640, of which the highest 5 %, 432, are not billed.
const SAMPLES: usize = 8_640;
const FREE: usize = SAMPLES / 20;

/// What a run sends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Volume {
    /// From the driver, and from the agents.
    pub sent: [ByteCount; 2],
    /// How long it loads.
    pub loads: Span,
    /// How long it takes, if nothing is lengthened.
    pub lasts: Span,
}

impl Volume {
    fn octets(&self) -> u64 {
        self.sent[0].octets().saturating_add(self.sent[1].octets())
    }

    /// The mean of the busiest sample of the busier direction, in Mbit/s.
    #[expect(clippy::cast_precision_loss, reason = "a mean that people read")]
    fn sample_mbit_s(&self) -> f64 {
        let octets = self.sent[0].octets().max(self.sent[1].octets()) as f64;
        let sample = SAMPLE_S as f64;
        octets * 8.0 / self.loads.as_secs().max(sample) / 1e6
    }
}

/// What one run costs by volume; `None` where it is not billed so.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a price that people read")]
pub fn of_run(billing: Option<&Billing>, volume: &Volume) -> Option<String> {
    match billing? {
        Billing::Volume(price) => Some(price.of(volume.octets() as f64 / 1e9)),
        Billing::Flat | Billing::Percentile(_) => None,
    }
}

/// What runs that start at `starts`, within a month, cost in that month, in a sentence; `None`
/// where nothing is billed.
#[must_use]
pub fn of_month(billing: &Billing, starts: &[Timestamp], volume: &Volume) -> Option<String> {
    let (runs, days) = (starts.len(), MONTH_DAYS);
    match billing {
        Billing::Flat => None,
        Billing::Volume(price) => {
            #[expect(clippy::cast_precision_loss, reason = "a price that people read")]
            let gigabytes = volume.octets() as f64 / 1e9 * runs as f64;
            let cost = price.of(gigabytes);
            Some(format!("{runs} runs in {days} days send {gigabytes:.1} GB: {cost}"))
        }
        Billing::Percentile(price) => Some(of_samples(price, starts, volume)),
    }
}

fn of_samples(price: &Price, starts: &[Timestamp], volume: &Volume) -> String {
    let lasts = i64::try_from(volume.lasts.secs_up()).unwrap_or(i64::MAX);
    let touched = |start: &Timestamp| {
        let first = start.as_second();
        let last = first.saturating_add(lasts.saturating_sub(1).max(0));
        first.div_euclid(SAMPLE_S)..=last.div_euclid(SAMPLE_S)
    };
    let samples = starts.iter().flat_map(touched).collect::<BTreeSet<i64>>().len();
    let (runs, days, mbit_s) = (starts.len(), MONTH_DAYS, volume.sample_mbit_s());
    #[expect(clippy::cast_precision_loss, reason = "8640 at most")]
    let percent = samples as f64 / SAMPLES as f64 * 100.0;
    let touch = format!(
        "{runs} runs in {days} days fall into {samples} of the {SAMPLES} 5-minute samples \
         ({percent:.1}%)"
    );
    match FREE < samples {
        true => format!(
            "{touch}, more than the {FREE} that are not billed: they set the bill, at {mbit_s:.1} \
             Mbit/s or more, {} a month",
            price.of(mbit_s)
        ),
        false => format!(
            "{touch}: no cost, as long as they and all other peaks take no more than the {FREE} \
             that are not billed"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 50 Mbit/s for `seconds` from the driver, and a fifth of it from the agent.
    fn volume(seconds: u64) -> Volume {
        let octets = |mbit_s: u64| ByteCount::new(mbit_s * 125_000 * seconds);
        let (loads, lasts) = (Span::from_secs(seconds), Span::from_secs(seconds));
        Volume { sent: [octets(50), octets(10)], loads, lasts }
    }

    fn price(millionths: u64) -> Price {
        Price { millionths, currency: "EUR".into() }
    }

    fn hourly() -> Vec<Timestamp> {
        let start: Timestamp = "2026-12-01T00:00:00Z".parse().expect("a time");
        let at = |hour: i64| start.checked_add(jiff::SignedDuration::from_hours(hour));
        (0..720).map(|hour| at(hour).expect("in range")).collect()
    }

    /// 12 samples an hour, of which one is loaded: a twelfth, which sets the bill.
    #[test]
    fn an_hourly_test_of_five_minutes_sets_the_bill_and_a_nightly_one_does_not() {
        let billing = Billing::Percentile(price(2_500_000));
        let hourly = hourly();
        let shown = of_month(&billing, &hourly, &volume(300)).expect("billed");
        assert!(shown.contains("fall into 720 of the 8640 5-minute samples (8.3%)"), "{shown}");
        assert!(shown.contains("at 50.0 Mbit/s or more, 125.00 EUR a month"), "{shown}");
        let nightly: Vec<Timestamp> = hourly.iter().step_by(24).copied().collect();
        let shown = of_month(&billing, &nightly, &volume(300)).expect("billed");
        assert!(shown.contains("30 of the 8640") && shown.contains("no cost"), "{shown}");
        // A minute of it is a fifth of a sample, and one that crosses two counts in both.
        let shown = of_month(&billing, &hourly, &volume(60)).expect("billed");
        assert!(shown.contains("at 10.0 Mbit/s or more"), "{shown}");
        let shown = of_month(&billing, &hourly, &volume(301)).expect("billed");
        assert!(shown.contains("1440 of the 8640"), "{shown}");
    }

    #[test]
    fn volume_is_billed_in_both_directions() {
        let billing = Billing::Volume(price(80_000));
        // 60 Mbit/s for 100 s are 0.75 GB.
        assert_eq!(of_run(Some(&billing), &volume(100)).as_deref(), Some("0.06 EUR"));
        let shown = of_month(&billing, &hourly(), &volume(100));
        assert_eq!(shown.as_deref(), Some("720 runs in 30 days send 540.0 GB: 43.20 EUR"));
        assert_eq!(of_month(&Billing::Flat, &hourly(), &volume(100)), None);
        assert_eq!(of_run(None, &volume(100)), None);
    }
}
