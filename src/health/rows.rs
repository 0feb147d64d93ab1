//! What is kept of a path: seconds by class, sums of minutes, hours and days, and outages.

use super::{Class, Second};
use crate::direction::{Direction, PerDirection};
use crate::stats::round_trips::RoundTrips;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds of an hour.
pub const HOUR_S: i64 = 3_600;

/// For how long classes of seconds are kept, in days.
pub const SECONDS_DAYS: i64 = 30;

/// For how long minutes are kept, in days.
pub const MINUTES_DAYS: i64 = 90;

/// For how long hours are kept, in days.
pub const HOURS_DAYS: i64 = 3 * 365;

/// A path that is probed: a link towards one of its far ends.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct PathName {
    /// The link.
    pub link: String,
    /// The far end.
    pub site: String,
}

/// Which way: one direction, or there and back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From the driver to the agent.
    Forward,
    /// From the agent to the driver.
    Reverse,
    /// There and back.
    RoundTrip,
}

impl Way {
    /// All.
    pub const ALL: [Self; 3] = [Self::Forward, Self::Reverse, Self::RoundTrip];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Reverse => "reverse",
            Self::RoundTrip => "round-trip",
        }
    }

    /// How `second` counts for it.
    #[must_use]
    pub fn class_of(self, second: &Second) -> Class {
        self.carried(second).map_or(Class::Unmeasured, |carried| carried.class())
    }

    /// What was sent and lost.
    #[must_use]
    pub const fn carried(self, second: &Second) -> Option<super::Carried> {
        match self {
            Self::Forward => second.carried.forward,
            Self::Reverse => second.carried.reverse,
            Self::RoundTrip => second.answered,
        }
    }
}

impl From<Direction> for Way {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self::Forward,
            Direction::Reverse => Self::Reverse,
        }
    }
}

/// What a way carried in some time.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sum {
    /// Probes, or replies, that were sent.
    pub sent: u64,
    /// Those that were lost.
    pub lost: u64,
    /// Seconds in which at most half were lost.
    pub good_s: u64,
    /// Those in which more were.
    pub errored_s: u64,
    /// Measured seconds that count as unavailable.
    pub unavailable_s: u64,
}

impl Sum {
    /// Adds that of another time.
    pub const fn add(&mut self, other: &Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.lost = self.lost.saturating_add(other.lost);
        self.good_s = self.good_s.saturating_add(other.good_s);
        self.errored_s = self.errored_s.saturating_add(other.errored_s);
        self.unavailable_s = self.unavailable_s.saturating_add(other.unavailable_s);
    }

    /// Seconds that were measured.
    #[must_use]
    pub const fn measured_s(&self) -> u64 {
        self.good_s.saturating_add(self.errored_s)
    }
}

/// A path in some time: a minute, an hour or a day.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Period {
    /// When it began, in seconds since 1970.
    pub start_s: i64,
    /// Seconds of it in which the path was watched, measured or not.
    pub watched_s: u64,
    /// What each direction carried.
    pub one_way: PerDirection<Sum>,
    /// There and back.
    pub round_trip: Sum,
    /// The round trips.
    #[serde(serialize_with = "octets_of", deserialize_with = "round_trips_of")]
    pub round_trips: RoundTrips,
}

impl Period {
    /// Adds another time, whose start does not count.
    pub fn add(&mut self, other: &Self) {
        self.watched_s = self.watched_s.saturating_add(other.watched_s);
        for way in Way::ALL {
            self.sum_mut(way).add(other.sum(way));
        }
        self.round_trips.merge(&other.round_trips);
    }

    /// What `way` carried.
    #[must_use]
    pub const fn sum(&self, way: Way) -> &Sum {
        match way {
            Way::Forward => &self.one_way.forward,
            Way::Reverse => &self.one_way.reverse,
            Way::RoundTrip => &self.round_trip,
        }
    }

    /// The same, to be changed.
    pub const fn sum_mut(&mut self, way: Way) -> &mut Sum {
        match way {
            Way::Forward => &mut self.one_way.forward,
            Way::Reverse => &mut self.one_way.reverse,
            Way::RoundTrip => &mut self.round_trip,
        }
    }
}

fn octets_of<S: Serializer>(it: &RoundTrips, serializer: S) -> Result<S::Ok, S::Error> {
    it.to_octets().serialize(serializer)
}

fn round_trips_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RoundTrips, D::Error> {
    let octets = Vec::<u8>::deserialize(deserializer)?;
    RoundTrips::from_octets(&octets).ok_or_else(|| D::Error::custom("not round trips"))
}

/// How an outage ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It goes on, as far as is known.
    Open,
    /// More than half came through again.
    Recovered,
    /// Nobody saw: from then on nothing was measured.
    Unseen,
}

impl End {
    /// All.
    pub const ALL: [Self; 3] = [Self::Open, Self::Recovered, Self::Unseen];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Recovered => "recovered",
            Self::Unseen => "unseen",
        }
    }
}

/// Errored seconds in a row.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Outage {
    /// Which way.
    pub way: Way,
    /// When its first errored second began, in seconds since 1970.
    pub start_s: i64,
    /// When its last one was over.
    pub until_s: i64,
    /// How it ended.
    pub end: End,
    /// Probes, or replies, that were sent in it, and lost.
    pub sent: u64,
    /// Those that were lost.
    pub lost: u64,
    /// Whether it was so long that the path counts as unavailable: ten seconds or more.
    pub is_unavailability: bool,
}

impl Outage {
    /// How long it was, in seconds.
    #[must_use]
    pub const fn length_s(&self) -> i64 {
        self.until_s.saturating_sub(self.start_s)
    }
}

/// The classes of an hour's seconds, each way.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(into = "Packed", try_from = "Packed")]
pub struct HourOfSeconds {
    /// When it began, in seconds since 1970.
    pub start_s: i64,
    classes: [Vec<Class>; 3],
}

const SECONDS: usize = 3_600;

/// An hour's start, and its octets.
type Packed = (i64, Vec<u8>);

impl From<HourOfSeconds> for Packed {
    fn from(hour: HourOfSeconds) -> Self {
        (hour.start_s, hour.to_octets())
    }
}

impl TryFrom<Packed> for HourOfSeconds {
    type Error = &'static str;

    fn try_from((start_s, octets): Packed) -> Result<Self, Self::Error> {
        Self::from_octets(start_s, &octets).ok_or("not an hour of seconds")
    }
}

impl HourOfSeconds {
    /// An hour of which nothing is known.
    #[must_use]
    pub fn new(start_s: i64) -> Self {
        let classes = std::array::from_fn(|_| vec![Class::Unmeasured; SECONDS]);
        Self { start_s, classes }
    }

    /// Takes `second`, which is within it.
    pub fn take(&mut self, second: &Second) {
        let place = usize::try_from(second.start_s - self.start_s).unwrap_or(SECONDS);
        for (way, classes) in Way::ALL.into_iter().zip(&mut self.classes) {
            if let Some(class) = classes.get_mut(place) {
                *class = way.class_of(second);
            }
        }
    }

    /// The classes of `way`, one for each second.
    #[must_use]
    pub fn of(&self, way: Way) -> &[Class] {
        &self.classes[way as usize]
    }

    /// Takes what `newer` has measured.
    pub fn merge(&mut self, newer: &Self) {
        for (own, newer) in self.classes.iter_mut().zip(&newer.classes) {
            for (own, newer) in own.iter_mut().zip(newer) {
                if *newer != Class::Unmeasured {
                    *own = *newer;
                }
            }
        }
    }

    /// Runs of one class, each in two octets: twice the class's bits, then its length less one.
    #[must_use]
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = Vec::new();
        for classes in &self.classes {
            for run in classes.chunk_by(|one, next| one == next) {
                let code: u16 = match run[0] {
                    Class::Good => 0,
                    Class::Errored => 1,
                    Class::Unmeasured => 2,
                };
                let length = u16::try_from(run.len() - 1).unwrap_or(0);
                octets.extend((code << 14 | length).to_be_bytes());
            }
        }
        octets
    }

    /// What [`Self::to_octets`] made of the hour that began at `start_s`; `None` where it is not.
    #[must_use]
    pub fn from_octets(start_s: i64, octets: &[u8]) -> Option<Self> {
        let (runs, rest) = octets.as_chunks::<2>();
        let mut all = Vec::with_capacity(3 * SECONDS);
        for run in runs {
            let run = u16::from_be_bytes(*run);
            let class = match run >> 14 {
                0 => Class::Good,
                1 => Class::Errored,
                2 => Class::Unmeasured,
                _ => return None,
            };
            let length = usize::from(run & 0x3fff) + 1;
            if 3 * SECONDS < all.len() + length {
                return None;
            }
            all.extend(std::iter::repeat_n(class, length));
        }
        if !rest.is_empty() || all.len() != 3 * SECONDS {
            return None;
        }
        let mut each = all.chunks(SECONDS).map(<[Class]>::to_vec);
        let classes = std::array::from_fn(|_| each.next().unwrap_or_default());
        Some(Self { start_s, classes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Carried;

    fn second(start_s: i64, forward: (u32, u32), reverse: (u32, u32)) -> Second {
        let carried = |(sent, lost)| Carried { sent, lost };
        let lost = forward.1 + reverse.1;
        Second {
            start_s,
            carried: PerDirection {
                forward: Some(carried(forward)),
                reverse: Some(carried(reverse)),
            },
            answered: Some(Carried { sent: forward.0, lost }),
            round_trips: Vec::new(),
        }
    }

    #[test]
    fn an_hour_of_good_seconds_takes_few_octets_and_is_read_back() {
        let mut hour = HourOfSeconds::new(7_200);
        (7_200..10_800).for_each(|start_s| hour.take(&second(start_s, (20, 0), (20, 0))));
        assert_eq!(hour.to_octets().len(), 6);
        hour.take(&second(7_300, (20, 20), (0, 0)));
        hour.take(&second(10_800, (20, 20), (0, 0)));
        let octets = hour.to_octets();
        assert_eq!(octets.len(), 6 * 3);
        assert_eq!(HourOfSeconds::from_octets(7_200, &octets), Some(hour.clone()));
        let class = |way| hour.of(way)[100];
        let expected = [Class::Errored, Class::Unmeasured, Class::Errored];
        assert_eq!(Way::ALL.map(class), expected);
        for len in (0..octets.len()).chain([octets.len() + 1]) {
            let mut other = octets.clone();
            other.resize(len, 0);
            assert_eq!(HourOfSeconds::from_octets(7_200, &other), None, "{len} octets");
        }
        assert_eq!(HourOfSeconds::from_octets(0, &[0xff; 6]), None);
    }

    /// The program was started again within the hour.
    #[test]
    fn what_was_measured_before_stays_where_nothing_newer_is() {
        let (mut before, mut newer) = (HourOfSeconds::new(0), HourOfSeconds::new(0));
        before.take(&second(1, (20, 0), (20, 0)));
        before.take(&second(2, (20, 0), (20, 0)));
        newer.take(&second(2, (20, 20), (0, 0)));
        before.merge(&newer);
        assert_eq!(before.of(Way::Forward)[..4], {
            [Class::Unmeasured, Class::Good, Class::Errored, Class::Unmeasured]
        });
        assert_eq!(before.of(Way::Reverse)[2], Class::Good);
    }
}
