//! One direction of a line as words: `delay=10ms jitter=uniform:1ms load.loss=0.1%`.
//!
//! | word | what it does |
//! |---|---|
//! | `mtu=1500` | the longest IP packet that passes, in octets |
//! | `loss=0.1%`, `loss=nth:20`, `loss=first:3`, `loss=after:800`, `loss=ge:0.1%,10%` | who is
//! lost: by chance; each 20th; the first 3; all behind the 800th; in bursts that begin with a
//! chance of 0.1 % and end with one of 10 %, per packet |
//! | `outage=3s+500ms` | everything is lost, from 3 s behind the epoch for 500 ms |
//! | `policer=100Mbit/s,64kB` | what exceeds the rate is lost; the second is the bucket |
//! | `rate=100Mbit/s,250kB` | what exceeds the rate waits; the second is the queue |
//! | `overhead=18` | octets that both count beyond the IP packet; 18, Ethernet's, if not given |
//! | `delay=10ms` | the floor of the delay |
//! | `jitter=uniform:1ms`, `exponential:`, `normal:` | on top of it: the most; the mean; the
//! deviation |
//! | `order=kept` | jitter never reorders |
//! | `reorder=1%,5ms`, `reorder=nth:50,5ms` | who is held back, and for how long |
//! | `duplicate=1%,100us`, `duplicate=nth:10,100us` | who arrives twice, and how far apart |
//!
//! `loss`, `outage`, `reorder` and `duplicate` may be there several times; with `load.`, `probe.`
//! or `signal.` in front they touch that class alone. The order of the words makes no difference,
//! but among words of one kind.

use super::{Applies, Class, Duplicate, Jitter, Loss, Outage, Policer, Reorder, Shaper, Spec};
use crate::units::{BitRate, ByteCount, Malformed, Ratio, Span};
use std::str::FromStr;

/// Octets of an Ethernet frame beyond its IP packet: rates are of frames (L2) unless said
/// otherwise.
const OVERHEAD_OCTETS: u32 = 18;

/// A kind of word: its key, what its value is, and what reads it; `None` where the value is wrong.
type Kind = (&'static str, &'static str, fn(&mut Spec, Applies, &str) -> Option<()>);

/// The words that may be of one class.
const OF_A_CLASS: [Kind; 4] = [
    (
        "loss",
        "a loss: 0.1%, nth:20, first:3, after:800, or ge:0.1%,10% (in bursts)",
        |spec, applies, value| {
            spec.loss.push((applies, loss(value)?));
            Some(())
        },
    ),
    ("outage", "an outage: its start and its length, such as 3s+500ms", |spec, applies, value| {
        spec.loss.push((applies, Loss::Outages(vec![outage(value)?])));
        Some(())
    }),
    ("reorder", "a reordering: 1%,5ms or nth:50,5ms", |spec, applies, value| {
        spec.reorder.push((applies, reorder(value)?));
        Some(())
    }),
    ("duplicate", "a duplication: 1%,100us or nth:10,100us", |spec, applies, value| {
        spec.duplicate.push((applies, duplicate(value)?));
        Some(())
    }),
];

/// The words of the line as a whole; of each there is one.
const OF_ALL: [Kind; 7] = [
    ("mtu", "a number of octets, such as 1500", |spec, _, value| {
        spec.mtu = Some(value.parse().ok()?);
        Some(())
    }),
    ("policer", "a rate and a bucket, such as 100Mbit/s,64kB", |spec, _, value| {
        let (bits_per_second, burst_octets) = rate(value)?;
        let overhead_octets = OVERHEAD_OCTETS;
        spec.policer = Some(Policer { bits_per_second, burst_octets, overhead_octets });
        Some(())
    }),
    ("rate", "a rate and a queue, such as 100Mbit/s,250kB", |spec, _, value| {
        let (bits_per_second, queue_octets) = rate(value)?;
        let overhead_octets = OVERHEAD_OCTETS;
        spec.shaper = Some(Shaper { bits_per_second, queue_octets, overhead_octets });
        Some(())
    }),
    ("delay", "a length of time, such as 10ms", |spec, _, value| {
        spec.delay_ns = nanos(value)?;
        Some(())
    }),
    ("jitter", "a jitter: uniform:1ms, exponential:1ms or normal:1ms", |spec, _, value| {
        spec.jitter = jitter(value)?;
        Some(())
    }),
    ("order", "\"kept\", the only order there is", |spec, _, value| {
        spec.keep_order = value == "kept";
        spec.keep_order.then_some(())
    }),
    // Read by itself, since it changes two others.
    ("overhead", "a number of octets, such as 18", |_, _, value| {
        value.parse::<u32>().ok().map(drop)
    }),
];

const FORM: &str = "a word for a line: mtu=, loss=, outage=, policer=, rate=, overhead=, delay=, \
                    jitter=, order=, reorder= or duplicate=; of these, loss=, outage=, reorder= \
                    and duplicate= may have load., probe. or signal. in front";

const TWICE: &str = "there twice: of this word there is one";

impl FromStr for Spec {
    type Err = Malformed;

    /// Reads the words of this module's table; no word is the perfect line.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (mut spec, mut overhead_octets) = (Self::default(), OVERHEAD_OCTETS);
        let mut seen = Vec::new();
        for word in text.split_whitespace() {
            let malformed = |form| Malformed::new(word, form);
            let (key, value) = word.split_once('=').ok_or_else(|| malformed(FORM))?;
            let of_all = OF_ALL.iter().find(|(name, ..)| *name == key);
            if of_all.is_some() && seen.contains(&key) {
                return Err(malformed(TWICE));
            }
            seen.push(key);
            let (applies, bare) = class_of(key);
            let of_a_class = OF_A_CLASS.iter().find(|(name, ..)| *name == bare);
            let (name, form, read) = of_all.or(of_a_class).ok_or_else(|| malformed(FORM))?;
            read(&mut spec, applies, value).ok_or_else(|| malformed(form))?;
            if *name == "overhead" {
                overhead_octets = value.parse().expect("it was read above");
            }
        }
        if let Some(policer) = &mut spec.policer {
            policer.overhead_octets = overhead_octets;
        }
        if let Some(shaper) = &mut spec.shaper {
            shaper.overhead_octets = overhead_octets;
        }
        Ok(spec)
    }
}

/// Whom a word applies to, and its key without that.
fn class_of(key: &str) -> (Applies, &str) {
    match key.split_once('.') {
        Some(("load", bare)) => (Applies::To(Class::Load), bare),
        Some(("probe", bare)) => (Applies::To(Class::Probe), bare),
        Some(("signal", bare)) => (Applies::To(Class::Signal), bare),
        _ => (Applies::ToAll, key),
    }
}

fn nanos(text: &str) -> Option<u64> {
    text.parse().ok().map(Span::nanos)
}

fn share(text: &str) -> Option<f64> {
    text.parse().ok().map(Ratio::as_fraction)
}

fn rate(text: &str) -> Option<(u64, u64)> {
    let (rate, room) = text.split_once(',')?;
    let rate: BitRate = rate.parse().ok()?;
    let room: ByteCount = room.parse().ok()?;
    Some((rate.bits_per_second(), room.octets()))
}

fn loss(text: &str) -> Option<Loss> {
    let Some((kind, value)) = text.split_once(':') else {
        return Some(Loss::Random { ratio: share(text)? });
    };
    Some(match kind {
        "nth" => Loss::EveryNth(value.parse().ok()?),
        "first" => Loss::First(value.parse().ok()?),
        "after" => Loss::After(value.parse().ok()?),
        "ge" => {
            let (enter, leave) = value.split_once(',')?;
            let (enter, leave) = (share(enter)?, share(leave)?);
            Loss::GilbertElliott { enter, leave, loss_in_bad: 1.0, loss_in_good: 0.0 }
        }
        _ => return None,
    })
}

fn outage(text: &str) -> Option<Outage> {
    let (start, duration) = text.split_once('+')?;
    Some(Outage { start_ns: nanos(start)?, duration_ns: nanos(duration)? })
}

fn jitter(text: &str) -> Option<Jitter> {
    let (kind, value) = text.split_once(':')?;
    let value = nanos(value)?;
    Some(match kind {
        "uniform" => Jitter::Uniform { max_ns: value },
        "exponential" => Jitter::Exponential { mean_ns: value },
        "normal" => Jitter::Normal { sigma_ns: value },
        _ => return None,
    })
}

fn reorder(text: &str) -> Option<Reorder> {
    let (struck, extra_delay) = text.split_once(',')?;
    let extra_delay_ns = nanos(extra_delay)?;
    Some(match struck.strip_prefix("nth:") {
        Some(n) => Reorder::EveryNth { n: n.parse().ok()?, extra_delay_ns },
        None => Reorder::Random { ratio: share(struck)?, extra_delay_ns },
    })
}

fn duplicate(text: &str) -> Option<Duplicate> {
    let (struck, gap) = text.split_once(',')?;
    let gap_ns = nanos(gap)?;
    Some(match struck.strip_prefix("nth:") {
        Some(n) => Duplicate::EveryNth { n: n.parse().ok()?, gap_ns },
        None => Duplicate::Random { ratio: share(struck)?, gap_ns },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const ALL: Applies = Applies::ToAll;
    const LOAD: Applies = Applies::To(Class::Load);

    #[track_caller]
    fn check(text: &str, expected: Spec) {
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }

    #[test]
    fn no_word_is_the_perfect_line() {
        check("", Spec::default());
        check("  ", Spec::default());
    }

    #[test]
    fn each_word_is_one_field() {
        check("mtu=1500", Spec { mtu: Some(1_500), ..Spec::default() });
        check("delay=10ms", Spec { delay_ns: 10 * MS, ..Spec::default() });
        check("order=kept", Spec { keep_order: true, ..Spec::default() });
        for (text, jitter) in [
            ("jitter=uniform:1ms", Jitter::Uniform { max_ns: MS }),
            ("jitter=exponential:1ms", Jitter::Exponential { mean_ns: MS }),
            ("jitter=normal:1ms", Jitter::Normal { sigma_ns: MS }),
        ] {
            check(text, Spec { jitter, ..Spec::default() });
        }
    }

    #[test]
    fn losses_keep_their_order_and_their_class() {
        let bursts =
            Loss::GilbertElliott { enter: 0.001, leave: 0.1, loss_in_bad: 1.0, loss_in_good: 0.0 };
        let outage = Outage { start_ns: 3_000 * MS, duration_ns: 500 * MS };
        let loss = vec![
            (ALL, Loss::Random { ratio: 0.01 }),
            (LOAD, Loss::EveryNth(20)),
            (Applies::To(Class::Signal), Loss::First(3)),
            (Applies::To(Class::Probe), Loss::After(800)),
            (LOAD, bursts),
            (ALL, Loss::Outages(vec![outage])),
        ];
        check(
            "loss=1% load.loss=nth:20 signal.loss=first:3 probe.loss=after:800 \
             load.loss=ge:0.1%,10% outage=3s+500ms",
            Spec { loss, ..Spec::default() },
        );
    }

    #[test]
    fn disorder_is_by_chance_or_counted() {
        let reorder = vec![
            (ALL, Reorder::Random { ratio: 0.01, extra_delay_ns: 5 * MS }),
            (LOAD, Reorder::EveryNth { n: 50, extra_delay_ns: MS }),
        ];
        check("reorder=1%,5ms load.reorder=nth:50,1ms", Spec { reorder, ..Spec::default() });
        let duplicate = vec![
            (ALL, Duplicate::Random { ratio: 0.01, gap_ns: 0 }),
            (LOAD, Duplicate::EveryNth { n: 10, gap_ns: MS / 10 }),
        ];
        check(
            "duplicate=1%,0us load.duplicate=nth:10,100us",
            Spec { duplicate, ..Spec::default() },
        );
    }

    /// Frames are what rates count; what is said instead holds wherever it stands.
    #[test]
    fn rates_count_frames_unless_said_otherwise() {
        let shaped = |overhead_octets| {
            let shaper =
                Shaper { bits_per_second: 100 * MS, queue_octets: 250_000, overhead_octets };
            let policer =
                Policer { bits_per_second: 2 * MS, burst_octets: 64_000, overhead_octets };
            Spec { shaper: Some(shaper), policer: Some(policer), ..Spec::default() }
        };
        check("rate=100Mbit/s,250kB policer=2Mbit/s,64kB", shaped(18));
        check("rate=100Mbit/s,250kB overhead=0 policer=2Mbit/s,64kB", shaped(0));
    }

    #[track_caller]
    fn check_refused(text: &str, word: &str, form: &str) {
        let error = text.parse::<Spec>().expect_err(text).to_string();
        assert!(error.contains(&format!("\"{word}\"")), "{error}");
        assert!(error.contains(form), "{error}");
    }

    #[test]
    fn what_is_no_word_is_refused_with_what_there_is() {
        check_refused("mtu=1500 delya=10ms", "delya=10ms", "a word for a line: mtu=");
        check_refused("delay", "delay", "a word for a line: mtu=");
        check_refused("load.delay=10ms", "load.delay=10ms", "a word for a line: mtu=");
        check_refused("tcp.loss=1%", "tcp.loss=1%", "a word for a line: mtu=");
        check_refused("delay=10ms delay=1ms", "delay=1ms", "there twice");
    }

    #[test]
    fn what_is_no_value_is_refused_with_its_form() {
        check_refused("delay=10", "delay=10", "such as 10ms");
        check_refused("loss=0.01", "loss=0.01", "0.1%, nth:20");
        check_refused("loss=every:20", "loss=every:20", "0.1%, nth:20");
        check_refused("loss=ge:1%", "loss=ge:1%", "ge:0.1%,10%");
        check_refused("rate=100MB,250kB", "rate=100MB,250kB", "such as 100Mbit/s,250kB");
        check_refused("rate=100Mbit/s", "rate=100Mbit/s", "such as 100Mbit/s,250kB");
        check_refused("jitter=1ms", "jitter=1ms", "uniform:1ms");
        check_refused("outage=3s", "outage=3s", "such as 3s+500ms");
        check_refused("order=lost", "order=lost", "\"kept\"");
        check_refused("overhead=x", "overhead=x", "such as 18");
        check_refused("reorder=1%", "reorder=1%", "nth:50,5ms");
        check_refused("duplicate=nth:x,1ms", "duplicate=nth:x,1ms", "nth:10,100us");
    }
}
