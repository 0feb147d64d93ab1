//! Jitter under its two other names: RFC 3550's, which iperf prints, and the IPDV of RFC 3393.
//!
//! Neither is the `jitter` that a line is judged by: that is the delay above the floor, in `skew`.

/// The smoothed jitter of RFC 3550, section 6.4.1: `J += (|D| - J) / 16`, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rfc3550Jitter {
    previous_ns: Option<i64>,
    mean_ns: f64,
    differences: u64,
}

impl Rfc3550Jitter {
    /// Takes the next packet in order of *arrival*: its arrival time less its sending time, in ns.
    ///
    /// The two clocks may be any distance apart.
    pub fn on_arrival(&mut self, transit_ns: i64) {
        if let Some(previous_ns) = self.previous_ns {
            let change_ns = super::real(transit_ns.abs_diff(previous_ns));
            self.mean_ns += (change_ns - self.mean_ns) / 16.0;
            self.differences += 1;
        }
        self.previous_ns = Some(transit_ns);
    }

    /// The jitter now, in ns; `None` before the second arrival.
    #[must_use]
    pub fn jitter_ns(&self) -> Option<f64> {
        (0 < self.differences).then_some(self.mean_ns)
    }
}

/// Delay variation between neighbours, `D(i) - D(i - 1)`, in ns with its sign (RFC 3393).
///
/// `delays_ns` are in order of *sending*, one for each packet sent, `None` for one that was lost;
/// a pair with a loss in it has no difference. The clocks may be any distance apart.
pub fn ipdv(delays_ns: impl IntoIterator<Item = Option<i64>>) -> impl Iterator<Item = i64> {
    let mut previous_ns = None;
    delays_ns.into_iter().filter_map(move |delay_ns| {
        let change_ns = delay_ns.zip(previous_ns).map(|(now, then): (i64, i64)| {
            // Stamps can be a stranger's: a difference that no i64 holds must not panic.
            now.saturating_sub(then)
        });
        previous_ns = delay_ns;
        change_ns
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_methods_gives_its_jitter() {
        let mut jitter = Rfc3550Jitter::default();
        jitter.on_arrival(20);
        for (transit_ns, expected) in [(10, 0.625), (20, 1.2109), (25, 1.4478), (20, 1.6698)] {
            jitter.on_arrival(transit_ns);
            let actual = jitter.jitter_ns().unwrap();
            assert!((actual - expected).abs() < 5e-5, "{actual} is not {expected}");
        }
    }

    #[test]
    fn one_arrival_has_no_jitter() {
        let mut jitter = Rfc3550Jitter::default();
        assert_eq!(jitter.jitter_ns(), None);
        jitter.on_arrival(5);
        assert_eq!(jitter.jitter_ns(), None);
        jitter.on_arrival(5);
        assert_eq!(jitter.jitter_ns(), Some(0.0));
    }

    #[test]
    fn clocks_at_opposite_ends_of_time_do_not_panic() {
        let mut jitter = Rfc3550Jitter::default();
        jitter.on_arrival(i64::MIN);
        jitter.on_arrival(i64::MAX);
        assert!(jitter.jitter_ns().unwrap() < 2e18);
        assert_eq!(ipdv([Some(i64::MIN), Some(i64::MAX)]).next(), Some(i64::MAX));
    }

    #[test]
    fn the_vector_of_the_methods_gives_its_ipdv() {
        let delays = [20, 10, 20, 25, 20].map(Some);
        assert_eq!(ipdv(delays).collect::<Vec<_>>(), [-10, 10, 5, -5]);
    }

    #[test]
    fn a_loss_leaves_two_pairs_without_a_difference() {
        let delays = [Some(20), Some(10), None, Some(25), Some(20)];
        assert_eq!(ipdv(delays).collect::<Vec<_>>(), [-10, -5]);
    }
}
