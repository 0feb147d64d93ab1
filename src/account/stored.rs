//! How distributions are written down: the histogram as HdrHistogram V2, sums beyond 64 bit as
//! digits.

use crate::stats::delays::Delays;
use crate::stats::loss_bursts::LossBursts;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A distribution of delays: a histogram, and what it cannot hold.
#[derive(Default, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
struct StoredDelays {
    /// HdrHistogram V2 in ns, base64; empty if there are no samples.
    histogram: String,
    /// Packets that were lost: they count as infinite delays.
    lost: u64,
    /// Exact minimum, in ns; null if there are no samples.
    min_ns: Option<u64>,
    /// Exact maximum, in ns; null if there are no samples.
    max_ns: Option<u64>,
}

impl Serialize for Delays {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_empty = self.measured() == 0;
        let histogram = if is_empty { String::new() } else { self.to_base64() };
        let (min_ns, max_ns) = (self.min_ns(), self.max_ns());
        StoredDelays { histogram, lost: self.infinite(), min_ns, max_ns }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Delays {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StoredDelays { histogram, lost, min_ns, max_ns } =
            StoredDelays::deserialize(deserializer)?;
        if histogram.is_empty() {
            let mut delays = Self::default();
            delays.record_lost(lost);
            return Ok(delays);
        }
        Self::from_base64(&histogram, lost, min_ns, max_ns).map_err(D::Error::custom)
    }
}

/// Losses by their pattern (RFC 3357).
#[derive(Default, Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
struct StoredLosses {
    /// Packets lost, late ones included.
    lost: u64,
    /// Number of loss bursts: runs of consecutive losses.
    bursts: u64,
    /// Packets lost in the longest burst.
    longest: u64,
    /// Sum of the squares of the burst lengths in packets, as decimal digits, because it may exceed
    /// 64 bit.
    squares: String,
    /// The same losses grouped into clusters: confidence bounds on loss count a cluster as one
    /// event. They use the largest reach that is at most a tenth of the packets sent per packet
    /// lost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clusters: Vec<StoredCluster>,
}

/// Losses grouped by distance: two losses belong to the same cluster if fewer packets than `reach`
/// arrived between them.
#[derive(Deserialize, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct StoredCluster {
    /// The reach, in packets.
    reach: u64,
    /// Number of clusters.
    count: u64,
    /// Sum of the squares of the packets lost in each cluster, as decimal digits.
    squares: String,
}

impl Serialize for LossBursts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let clusters = self.wider().filter(|_| 0 < self.lost());
        let clusters = clusters.map(|(reach, clusters)| StoredCluster {
            reach,
            count: clusters.count,
            squares: clusters.sum_of_squares.to_string(),
        });
        StoredLosses {
            lost: self.lost(),
            bursts: self.bursts(),
            longest: self.longest(),
            squares: self.sum_of_squares().to_string(),
            clusters: clusters.collect(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LossBursts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let StoredLosses { lost, bursts, longest, squares, clusters } =
            StoredLosses::deserialize(deserializer)?;
        let parse = |digits: &str| match digits {
            "" => Ok(0),
            digits => digits.parse().map_err(|_| D::Error::custom("squares: not a number")),
        };
        let clusters = clusters.iter();
        let clusters = clusters.map(|cluster| Ok((cluster.count, parse(&cluster.squares)?)));
        let clusters: Vec<(u64, u128)> = clusters.collect::<Result<_, D::Error>>()?;
        Self::from_parts(lost, bursts, longest, parse(&squares)?, &clusters)
            .ok_or_else(|| D::Error::custom("losses that do not agree with their bursts"))
    }
}

#[cfg(test)]
mod schema {
    use super::{Delays, LossBursts, StoredDelays, StoredLosses};
    use schemars::{JsonSchema, Schema, SchemaGenerator};
    use std::borrow::Cow;

    impl JsonSchema for Delays {
        fn schema_name() -> Cow<'static, str> {
            "Delays".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            StoredDelays::json_schema(generator)
        }
    }

    impl JsonSchema for LossBursts {
        fn schema_name() -> Cow<'static, str> {
            "Losses".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            StoredLosses::json_schema(generator)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn losses(value: &Value) -> Result<LossBursts, serde_json::Error> {
        LossBursts::deserialize(value)
    }

    #[test]
    fn delays_are_read_back_whole() {
        let mut delays = Delays::default();
        delays.record_lost(3);
        for lost_only in [true, false] {
            let value = serde_json::to_value(&delays).expect("JSON");
            assert_eq!(value["histogram"] == "", lost_only);
            assert_eq!(Delays::deserialize(&value).expect("its own text"), delays);
            delays.record(17);
        }
        let value = json!({"histogram": "x", "lost": 0});
        assert!(Delays::deserialize(&value).is_err());
    }

    #[test]
    fn losses_are_read_back_whole() {
        let mut bursts = LossBursts::default();
        for arrived in [1, 3, 20] {
            bursts.on_lost(4);
            bursts.on_arrived(arrived);
        }
        let value = serde_json::to_value(bursts).expect("JSON");
        assert_eq!(value["bursts"], 3);
        bursts.close();
        assert_eq!(losses(&value).expect("its own text"), bursts);
        assert_eq!(losses(&json!({})).expect("none"), LossBursts::default());
    }

    #[test]
    fn clusters_that_contradict_the_bursts_are_refused() {
        let mut bursts = LossBursts::default();
        bursts.on_lost(2);
        bursts.on_arrived(1);
        bursts.on_lost(1);
        let value = serde_json::to_value(bursts).expect("JSON");
        let cluster =
            |count: u64, squares: &str| json!({"reach": 2, "count": count, "squares": squares});
        let with = |clusters: Vec<Value>| {
            let mut value = value.clone();
            value["clusters"] = clusters.into();
            losses(&value).map(|losses| losses.clusters(16).count)
        };
        assert_eq!(with(vec![cluster(1, "9"); 4]).expect("they agree"), 1);
        assert_eq!(with(Vec::new()).expect("without clusters there are its bursts"), 2);
        for clusters in [
            vec![cluster(1, "9"); 3],
            vec![cluster(1, "9"); 5],
            vec![cluster(3, "5"); 4],
            vec![cluster(1, "5"); 4],
            vec![cluster(1, "-9"); 4],
            vec![cluster(1, ""); 4],
        ] {
            assert!(with(clusters.clone()).is_err(), "{clusters:?} were taken");
        }
    }
}
