//! Encodes the series of a capture: distinct label sets, and the targets that expose them.
//!
//! The stores of one cluster expose nearly the same metrics. So each label set, without `job` and
//! `instance`, is stored once, and each target lists the numbers of its sets.

use std::collections::BTreeMap;

use super::codec::{
    Cursor, DecodeError, decode_label_sets, encode_label_sets, put_bytes, put_varint,
};
use super::fingerprint_map::FingerprintMap;
use super::memory_budget::MemoryBudget;
use crate::model::{Labels, TargetKey};

/// The labels that identify a target; the other labels are shared between targets.
const OF_TARGET: [&str; 2] = ["job", "instance"];

/// Most uncompressed bytes of label sets in one segment, if it can be cut: a quarter of what a
/// reader accepts.
const MOST_BYTES: usize = 1 << 26;
/// Most bytes that a label needs beside its text: two lengths, and its numbers in a run.
const SIZE_OF_LABEL: usize = 20;
/// Most series in one segment, if it can be cut: half of what a reader accepts.
const MOST_SERIES: usize = 1 << 23;
/// For each series, one in this many bytes of its shared text is charged to the memory budget.
const SHARED_TEXT: usize = 16;

/// The new series of one commit, sorted as the format requires.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SeriesSegment {
    /// Distinct label sets without `job` and `instance`.
    pub sets: Vec<Labels>,
    /// For each target, the indices of its sets in `sets`, ascending. The position in this list is
    /// the ordinal of the series.
    pub targets: Vec<(TargetKey, Vec<u32>)>,
}

impl SeriesSegment {
    /// Sorts label sets into a segment. Equal series become one.
    pub fn new<'a>(series: impl IntoIterator<Item = &'a Labels>) -> Self {
        Self::placed(series).0
    }

    /// As [`new`](Self::new), and returns for each series the index of its target in `targets` and
    /// its ordinal within that target.
    pub fn placed<'a>(series: impl IntoIterator<Item = &'a Labels>) -> (Self, Vec<(usize, usize)>) {
        let mut numbers: FingerprintMap<u32> = FingerprintMap::default();
        let mut sets: Vec<Labels> = Vec::new();
        let mut targets: BTreeMap<[&str; 2], Vec<u32>> = BTreeMap::new();
        let mut arrived: Vec<([&str; 2], u32)> = Vec::new();
        for labels in series {
            let number =
                *numbers.entry(labels.fingerprint_without(&OF_TARGET)).or_insert_with(|| {
                    sets.push(labels.without(&OF_TARGET));
                    sets.len() as u32 - 1
                });
            let key = OF_TARGET.map(|name| labels.get(name).unwrap_or_default());
            targets.entry(key).or_default().push(number);
            arrived.push((key, number));
        }
        let mut order: Vec<(Vec<u8>, u32)> = sets.iter().map(sort_key).zip(0..).collect();
        // A stable sort is fast here: sets usually arrive in long runs that are in order already.
        order.sort();
        let mut place = vec![0; sets.len()];
        for (new, (_, old)) in (0..).zip(&order) {
            place[*old as usize] = new;
        }
        for list in targets.values_mut() {
            list.iter_mut().for_each(|number| *number = place[*number as usize]);
            list.sort_unstable();
            list.dedup();
        }
        let keys: BTreeMap<[&str; 2], usize> = targets.keys().copied().zip(0..).collect();
        let listed: Vec<&Vec<u32>> = targets.values().collect();
        let places = arrived.iter().map(|(key, number)| {
            let target = keys[key];
            let ordinal = listed[target].binary_search(&place[*number as usize]);
            (target, ordinal.expect("the set was just listed"))
        });
        let places = places.collect();
        let target = |([job, instance], sets): ([&str; 2], Vec<u32>)| {
            (TargetKey { job: job.to_owned(), instance: instance.to_owned() }, sets)
        };
        let segment = Self {
            sets: order.iter().map(|(_, old)| sets[*old as usize].clone()).collect(),
            targets: targets.into_iter().map(target).collect(),
        };
        (segment, places)
    }

    /// Cuts a segment into parts that every reader accepts, in order; usually there is one part.
    ///
    /// Each part names all targets, so that targets are numbered in the same order as here, and
    /// lists the sets of this part that each target has.
    pub fn cut(self) -> Vec<Self> {
        let ends = self.ends();
        if ends.len() < 2 {
            return vec![self];
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let part = |(start, end): (usize, usize)| {
            let within = |set: &&u32| (start..end).contains(&(**set as usize));
            let listed =
                |list: &[u32]| list.iter().filter(within).map(|set| set - start as u32).collect();
            Self {
                sets: self.sets[start..end].to_vec(),
                targets: self
                    .targets
                    .iter()
                    .map(|(key, list)| (key.clone(), listed(list)))
                    .collect(),
            }
        };
        starts.zip(ends.iter().copied()).map(part).collect()
    }

    /// The end indices in `sets` of the parts that [`cut`](Self::cut) returns.
    fn ends(&self) -> Vec<usize> {
        let mut listed = vec![0; self.sets.len()];
        for &set in self.targets.iter().flat_map(|(_, list)| list) {
            listed[set as usize] += 1;
        }
        let mut ends = Vec::new();
        let (mut bytes, mut series) = (0, 0);
        for (number, (set, listed)) in self.sets.iter().zip(&listed).enumerate() {
            // The name and the value may both be new strings, each with its length.
            let own = set.text_len() + set.len() * SIZE_OF_LABEL;
            if number > 0 && (bytes + own > MOST_BYTES || series + listed > MOST_SERIES) {
                ends.push(number);
                (bytes, series) = (0, 0);
            }
            (bytes, series) = (bytes + own, series + listed);
        }
        ends.push(self.sets.len());
        ends
    }

    /// Encodes the segment, with its labels compressed at the given zstd level.
    pub fn encode(&self, level: i32) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.targets.len() as u64);
        for (key, sets) in &self.targets {
            put_bytes(&mut out, key.job.as_bytes());
            put_bytes(&mut out, key.instance.as_bytes());
            let mut next = 0;
            let runs: Vec<&[u32]> = sets.chunk_by(|a, b| a + 1 == *b).collect();
            put_varint(&mut out, runs.len() as u64);
            for run in runs {
                put_varint(&mut out, u64::from(run[0] - next));
                put_varint(&mut out, run.len() as u64);
                next = run[0] + run.len() as u32;
            }
        }
        out.extend(encode_label_sets(&self.sets, level));
        out
    }

    /// Decodes what [`encode`](Self::encode) wrote, and charges the memory of the series to
    /// `budget`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the bytes are malformed, or expand to more than the budget allows.
    pub fn decode(bytes: &[u8], budget: &mut MemoryBudget) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        let mut targets = Vec::new();
        let mut highest = 0;
        let mut listed = 0_usize;
        for _ in 0..cursor.count()? {
            let mut text = || -> Result<String, DecodeError> {
                let text = std::str::from_utf8(cursor.bytes()?);
                text.map(str::to_owned).map_err(|_| DecodeError("a target is not UTF-8"))
            };
            let key = TargetKey { job: text()?, instance: text()? };
            let mut sets = Vec::new();
            let mut next = 0_u32;
            for _ in 0..cursor.count()? {
                let (skipped, length) = (cursor.u32()?, cursor.u32()?);
                let start = next.checked_add(skipped);
                let range = start.and_then(|start| Some(start..start.checked_add(length)?));
                let range = range.ok_or(DecodeError("a set's number exceeds 32 bits"))?;
                next = range.end;
                listed = listed.saturating_add(range.len());
                if listed > 1 << 24 {
                    return Err(DecodeError("lists more series than the format allows"));
                }
                sets.extend(range);
            }
            highest = highest.max(next);
            targets.push((key, sets));
        }
        let sets = decode_label_sets(cursor.take(cursor.remaining())?, budget)?;
        if highest as usize > sets.len() {
            return Err(DecodeError("names a label set that is missing"));
        }
        let segment = Self { sets, targets };
        segment.take_from(budget)?;
        Ok(segment)
    }

    /// Charges what each target's series hold beside the label sets that they share.
    ///
    /// Code that walks all series hashes or copies their labels, so a long text that many series
    /// share costs time as well as memory. A part of it is charged for each of them.
    fn take_from(&self, budget: &mut MemoryBudget) -> Result<(), DecodeError> {
        for (key, sets) in &self.targets {
            let own = size_of::<Labels>() + key.job.len() + key.instance.len();
            budget.take(sets.len(), own)?;
            let shared: usize = sets.iter().map(|&set| self.sets[set as usize].text_len()).sum();
            budget.take(shared / SHARED_TEXT, 1)?;
        }
        Ok(())
    }
}

/// The labels `instance` and `job`, which a target adds to each of its sets.
pub fn target_labels(key: &TargetKey) -> [(&str, &str); 2] {
    [("instance", &key.instance), ("job", &key.job)]
}

/// The sort key of series within a target: the count of a histogram, its sum, then its buckets from
/// `+Inf` down. The block codec compares neighbours in this order.
///
/// A zero byte ends each part. The encoded set is the last part, so the order is total even where a
/// label contains a zero byte.
fn sort_key(set: &Labels) -> Vec<u8> {
    let metric = set.metric();
    let (family, part) = [("_count", 0), ("_sum", 1), ("_bucket", 2)]
        .into_iter()
        .find_map(|(suffix, part)| Some((metric.strip_suffix(suffix)?, part)))
        .unwrap_or((metric, 3));
    let bound = match (part, set.get("le")) {
        (2, Some(bound)) => bound.parse::<f64>().map_or(0, ascending_bits),
        _ => 0,
    };
    let mut key = Vec::with_capacity(128);
    let put = |key: &mut Vec<u8>, text: &str| {
        key.extend_from_slice(text.as_bytes());
        key.push(0);
    };
    put(&mut key, family);
    for (name, value) in set.iter().filter(|(name, _)| *name != "le" && *name != "__name__") {
        put(&mut key, name);
        put(&mut key, value);
    }
    key.extend_from_slice(&[0, part]);
    key.extend_from_slice(&(!bound).to_be_bytes());
    set.encode(&mut key);
    key
}

fn ascending_bits(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_stands_as_count_sum_and_buckets_from_the_top() {
        let series = ["h_sum", "h_bucket 0.5", "h_count", "h_bucket +Inf", "h_bucket 10"];
        let series = series.map(|text| {
            let (name, bound) = text.split_once(' ').unwrap_or((text, ""));
            Labels::from_pairs(&[("__name__", name), ("le", bound), ("job", "tikv")])
        });
        let segment = SeriesSegment::new(&series);
        let order: Vec<String> = segment.sets.iter().map(ToString::to_string).collect();
        assert_eq!(
            order,
            [
                "h_count",
                "h_sum",
                "h_bucket{le=\"+Inf\"}",
                "h_bucket{le=\"10\"}",
                "h_bucket{le=\"0.5\"}"
            ]
        );
        let mut budget = MemoryBudget::of_bytes(10_000);
        assert_eq!(SeriesSegment::decode(&segment.encode(1), &mut budget), Ok(segment));
    }

    #[test]
    #[ignore = "slow: ./test.sh runs it"]
    fn a_segment_of_long_labels_is_cut_and_its_series_keep_their_places() {
        let series: Vec<Labels> = (0..2_000_u32)
            .map(|n| {
                let (metric, long) = (format!("m{n:04}"), n.to_string() + &"x".repeat(80_000));
                let instance = ["a", "b", "c"][n as usize % 3];
                Labels::from_pairs(&[("__name__", &metric), ("l", &long), ("instance", instance)])
            })
            .collect();
        let whole = SeriesSegment::new(&series);
        let expected: BTreeMap<TargetKey, Vec<Labels>> = whole
            .targets
            .iter()
            .map(|(key, list)| {
                (key.clone(), list.iter().map(|set| whole.sets[*set as usize].clone()).collect())
            })
            .collect();
        let keys: Vec<TargetKey> = expected.keys().cloned().collect();
        let mut found: BTreeMap<TargetKey, Vec<Labels>> = BTreeMap::new();
        let parts = whole.cut();
        assert_eq!(parts.len(), 3);
        for part in parts {
            let mut budget = MemoryBudget::of_bytes(1 << 28);
            let part = SeriesSegment::decode(&part.encode(1), &mut budget).expect("reads");
            assert!(part.targets.iter().map(|(key, _)| key).eq(&keys));
            for (key, list) in part.targets {
                let sets = list.iter().map(|set| part.sets[*set as usize].clone());
                found.entry(key).or_default().extend(sets);
            }
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn equal_sets_of_two_targets_stand_once() {
        let up = |instance| Labels::from_pairs(&[("__name__", "up"), ("instance", instance)]);
        let segment = SeriesSegment::new(&[up("a"), up("b"), up("a")]);
        assert_eq!(segment.sets.len(), 1);
        assert_eq!(segment.targets.len(), 2);
        assert_eq!(segment.sets[0].with(&target_labels(&segment.targets[1].0)), up("b"));
    }
}
