//! Decodes raw samples from instant queries over range vectors, for servers without remote read.
//!
//! The query API drops staleness markers, so they are inferred from the scrapes that a series
//! missed ([`infer_staleness`]). It also prints every NaN as `NaN`, so that the payload of a NaN is
//! lost and read back as that of Prometheus's ordinary one. Requests are sent in `read`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::model::{
    Labels, Sample, Series, TargetKey, TimeRange, Timestamp, is_stale, stale_marker,
};

/// Prometheus's ordinary NaN (`model/value/value.go`, `NormalNaN`).
const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// The frame of every answer of the HTTP API.
#[derive(Debug, Deserialize)]
pub(super) struct ApiAnswer<T> {
    pub(super) status: String,
    pub(super) data: Option<T>,
    #[serde(default, rename = "errorType")]
    pub(super) error_type: String,
    #[serde(default)]
    pub(super) error: String,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
    /// VictoriaMetrics's cluster says so where a storage node does not answer.
    #[serde(default, rename = "isPartial")]
    pub(super) is_partial: bool,
}

/// The data of an instant query over a range vector.
#[derive(Debug, Deserialize)]
pub(super) struct MatrixData<'a> {
    #[serde(rename = "resultType")]
    pub(super) result_type: String,
    #[serde(borrow)]
    pub(super) result: Vec<MatrixSeries<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct MatrixSeries<'a> {
    metric: Pairs,
    #[serde(borrow, default)]
    values: Vec<(f64, Cow<'a, str>)>,
    #[serde(default)]
    histograms: Option<serde::de::IgnoredAny>,
}

/// Labels in the order of the JSON, so that a duplicate name is detected: a map would silently keep one.
#[derive(Debug)]
pub(super) struct Pairs(Vec<(String, String)>);

impl fmt::Display for Pairs {
    /// `{name="value",…}`, as the server printed them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value:?}"));
        write!(formatter, "{{{}}}", pairs.collect::<Vec<_>>().join(","))
    }
}

impl Pairs {
    pub(super) fn borrowed(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A series that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// Its labels, as the server printed them.
    pub(super) series: String,
    /// Why it cannot be read.
    pub(super) why: String,
}

impl MatrixSeries<'_> {
    /// The series with its samples inside `range`, ascending, and whether it has native histograms too.
    pub(super) fn read(self, range: TimeRange) -> Result<(Series, bool), Unreadable> {
        let pairs = self.metric;
        let unreadable = |why: String| Unreadable { series: pairs.to_string(), why };
        let mut borrowed = pairs.borrowed();
        let labels = Labels::of(&mut borrowed).map_err(|error| unreadable(error.to_string()))?;
        let mut samples = Vec::with_capacity(self.values.len());
        for (seconds, text) in self.values {
            let at = timestamp(seconds)
                .ok_or_else(|| unreadable(format!("{seconds} is not an instant")))?;
            let value =
                value(&text).ok_or_else(|| unreadable(format!("{text:?} is not a value")))?;
            if range.contains(at) {
                samples.push(Sample { at, value });
            }
        }
        put_in_order(&mut samples);
        Ok((Series { labels, samples }, self.histograms.is_some()))
    }
}

/// The instant that the API prints as seconds with a fraction. The product is exact to a hundredth of a
/// millisecond for another 100,000 years, so that rounding recovers the milliseconds.
pub(super) fn timestamp(seconds: f64) -> Option<Timestamp> {
    let millis = (seconds * 1000.0).round();
    (millis.abs() < 9.0e18).then_some(Timestamp::from_millis(millis as i64))
}

/// A sample's value as the API prints it: the shortest decimal, `NaN`, `+Inf` or `-Inf`.
fn value(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::from_bits(NORMAL_NAN_BITS)),
        other => other.parse().ok(),
    }
}

/// Sorts samples strictly ascending in time; of several at one instant, the first is kept.
pub(super) fn put_in_order(samples: &mut Vec<Sample>) {
    if !samples.is_sorted_by(|earlier, later| earlier.at < later.at) {
        samples.sort_by_key(|sample| sample.at);
        samples.dedup_by_key(|sample| sample.at);
    }
}

/// The instants at which each target was scraped, according to its `up` series.
///
/// Prometheus stamps `up` with the instant of the scrape that it describes, whether or not that scrape
/// succeeded. Targets that share job and instance cannot be distinguished by the labels of their
/// series, and are left out.
pub(super) fn scrapes(up: &[Series]) -> BTreeMap<TargetKey, Vec<Timestamp>> {
    let mut scrapes: BTreeMap<TargetKey, Option<Vec<Timestamp>>> = BTreeMap::new();
    for series in up {
        let instants = || series.samples.iter().map(|sample| sample.at).collect();
        scrapes
            .entry(series.labels.target())
            .and_modify(|shared| *shared = None)
            .or_insert_with(|| Some(instants()));
    }
    scrapes.into_iter().filter_map(|(target, instants)| Some((target, instants?))).collect()
}

/// Inserts the staleness markers that the query API leaves out.
///
/// Prometheus marks a series as ended at the scrape that no longer contains it, failed scrapes
/// included (`scrape/scrape.go`). Therefore, where a series has a sample at one scrape of its target
/// and none at the next, a marker is inserted at the next.
///
/// No end is inferred for series with timestamps of their own, which coincide with no scrape and which
/// Prometheus does not mark either; for recording rules; for series whose `job` and `instance` name no
/// target in `scrapes`; and for targets that are no longer scraped at all, `up` included, because they
/// cannot be distinguished from a server that is down. Nor is one inferred where a series goes on between the
/// scrapes: a server that merges replicas, such as Thanos, may take `up` from one and the series from another.
pub fn infer_staleness(series: &mut [Series], scrapes: &BTreeMap<TargetKey, Vec<Timestamp>>) {
    for series in series {
        let Some(scrapes) = scrapes.get(&series.labels.target()) else { continue };
        let mut markers = Vec::new();
        let mut live = false;
        let mut samples = series.samples.iter().peekable();
        for (place, &scrape) in scrapes.iter().enumerate() {
            while samples.next_if(|sample| sample.at < scrape).is_some() {
                live = false;
            }
            match samples.next_if(|sample| sample.at == scrape) {
                Some(sample) => live = !is_stale(sample.value),
                None if live => {
                    let next = scrapes.get(place + 1);
                    let before_next = |sample: &&&Sample| next.is_none_or(|next| sample.at < *next);
                    if samples.peek().filter(before_next).is_none() {
                        markers.push(Sample { at: scrape, value: stale_marker() });
                    }
                    live = false;
                }
                None => {}
            }
        }
        if !markers.is_empty() {
            series.samples.extend(markers);
            put_in_order(&mut series.samples);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, pairs: &[(i64, f64)]) -> Series {
        let labels = [("__name__", name), ("job", "tikv"), ("instance", "a:1")];
        let sample = |&(at, value)| Sample { at: Timestamp::from_millis(at), value };
        Series { labels: Labels::from_pairs(&labels), samples: pairs.iter().map(sample).collect() }
    }

    #[test]
    fn a_missed_scrape_ends_a_series_once() {
        let up =
            [series("up", &[(10, 1.0), (20, 1.0), (30, 0.0), (40, 0.0), (50, 1.0), (60, 1.0)])];
        let mut found = [series("x", &[(10, 5.0), (20, 6.0), (50, 7.0)])];
        infer_staleness(&mut found, &scrapes(&up));
        let stale = stale_marker();
        let expected = [(10, 5.0), (20, 6.0), (30, stale), (50, 7.0), (60, stale)];
        assert_eq!(found, [series("x", &expected)]);
    }

    #[test]
    fn timestamps_of_the_targets_own_are_left_alone() {
        let up = [series("up", &[(10, 1.0), (20, 1.0), (30, 1.0)])];
        let mut found = [series("x", &[(7, 5.0), (18, 6.0)])];
        infer_staleness(&mut found, &scrapes(&up));
        assert_eq!(found, [series("x", &[(7, 5.0), (18, 6.0)])]);
    }

    #[test]
    fn a_series_that_goes_on_in_another_replica_has_not_ended() {
        // Replica a scrapes at 10, 25, 40, replica b at 16, 31, 46; `up` is taken from a.
        let up = [series("up", &[(10, 1.0), (25, 1.0), (40, 1.0)])];
        for merged in [[(10, 5.0), (16, 6.0), (31, 7.0)], [(10, 5.0), (31, 6.0), (46, 7.0)]] {
            let mut found = [series("x", &merged)];
            infer_staleness(&mut found, &scrapes(&up));
            assert_eq!(found, [series("x", &merged)]);
        }
        // `up` is taken from a and then from b, the series from a alone.
        let up = [series("up", &[(10, 1.0), (16, 1.0), (31, 1.0), (46, 1.0)])];
        let mut found = [series("x", &[(10, 5.0), (25, 6.0), (40, 7.0)])];
        infer_staleness(&mut found, &scrapes(&up));
        assert_eq!(found, [series("x", &[(10, 5.0), (25, 6.0), (40, 7.0)])]);
    }

    #[test]
    fn targets_that_share_job_and_instance_are_left_out() {
        let up = series("up", &[(10, 1.0)]);
        assert!(scrapes(&[up.clone(), up]).is_empty());
    }

    #[test]
    fn printed_values_read_to_the_bit() {
        assert_eq!(value("NaN").map(f64::to_bits), Some(NORMAL_NAN_BITS));
        assert_eq!(value("+Inf"), Some(f64::INFINITY));
        assert_eq!(value("-Inf"), Some(f64::NEG_INFINITY));
        assert_eq!(value("0.1"), Some(0.1));
        assert_eq!(value("-0").map(f64::to_bits), Some((-0.0_f64).to_bits()));
        assert_eq!(value("x"), None);
        assert_eq!(timestamp(1_795_537_029.202).map(Timestamp::as_millis), Some(1_795_537_029_202));
        assert_eq!(timestamp(f64::NAN), None);
    }
}
