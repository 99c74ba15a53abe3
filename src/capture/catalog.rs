//! Which series a capture holds: distinct label sets, and the targets that expose them.
//!
//! Stores of one cluster expose nearly the same metrics, so a label set without `job` and
//! `instance` stands once, and each target lists the numbers of its sets.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::codec::{
    Cursor, DecodeError, decode_label_sets, encode_label_sets, put_bytes, put_varint,
};
use crate::model::{Labels, TargetKey};

/// New series of one commit, sorted as the format demands.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SeriesSegment {
    /// Label sets without `job` and `instance`, each once.
    pub sets: Vec<Labels>,
    /// For each target the sets it exposes, ascending; their order is that of the ordinals.
    pub targets: Vec<(TargetKey, Vec<u32>)>,
}

impl SeriesSegment {
    /// Sorts label sets into a segment. Series that are equal collapse into one.
    pub fn new(series: impl IntoIterator<Item = Labels>) -> Self {
        let mut by_set: BTreeMap<SortKey, (Labels, Vec<TargetKey>)> = BTreeMap::new();
        for labels in series {
            let target = labels.target();
            let set = without_target(labels);
            let entry = by_set.entry(SortKey::of(&set)).or_insert_with(|| (set, Vec::new()));
            entry.1.push(target);
        }
        let mut segment = Self::default();
        let mut targets: BTreeMap<TargetKey, Vec<u32>> = BTreeMap::new();
        for (number, (set, keys)) in by_set.into_values().enumerate() {
            segment.sets.push(set);
            for key in keys {
                targets.entry(key).or_default().push(number as u32);
            }
        }
        for sets in targets.values_mut() {
            sets.dedup();
        }
        segment.targets = targets.into_iter().collect();
        segment
    }

    /// The segment as bytes.
    pub fn encode(&self) -> Vec<u8> {
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
        out.extend(encode_label_sets(&self.sets));
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the bytes have another form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
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
        let sets = decode_label_sets(cursor.take(cursor.remaining())?)?;
        if highest as usize > sets.len() {
            return Err(DecodeError("names a label set that is missing"));
        }
        Ok(Self { sets, targets })
    }
}

fn without_target(labels: Labels) -> Labels {
    let mut pairs: Vec<(String, String)> = labels.into();
    pairs.retain(|(name, _)| name != "job" && name != "instance");
    Labels::new(pairs).expect("removing labels keeps names distinct")
}

/// The full labels of a set exposed by a target.
pub fn with_target(set: &Labels, key: &TargetKey) -> Labels {
    let mut pairs: Vec<(String, String)> = set.clone().into();
    pairs.push(("job".to_owned(), key.job.clone()));
    pairs.push(("instance".to_owned(), key.instance.clone()));
    Labels::new(pairs).expect("a set has neither job nor instance")
}

/// The order of series within a target: a histogram's count, its sum, then its buckets from
/// `+Inf` down, which is what the block codec compares neighbours in.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SortKey {
    family: String,
    labels: Vec<(String, String)>,
    part: u8,
    bound: Reverse<u64>,
    set: Labels,
}

impl SortKey {
    fn of(set: &Labels) -> Self {
        let metric = set.metric();
        let (family, part) = [("_count", 0), ("_sum", 1), ("_bucket", 2)]
            .into_iter()
            .find_map(|(suffix, part)| Some((metric.strip_suffix(suffix)?, part)))
            .unwrap_or((metric, 3));
        let bound = match (part, set.get("le")) {
            (2, Some(bound)) => bound.parse::<f64>().map_or(0, ascending_bits),
            _ => 0,
        };
        let labels = set.iter().filter(|(name, _)| *name != "le" && *name != "__name__");
        Self {
            family: family.to_owned(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            part,
            bound: Reverse(bound),
            set: set.clone(),
        }
    }
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
        let segment = SeriesSegment::new(series.map(|text| {
            let (name, bound) = text.split_once(' ').unwrap_or((text, ""));
            Labels::from_pairs(&[("__name__", name), ("le", bound), ("job", "tikv")])
        }));
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
        assert_eq!(SeriesSegment::decode(&segment.encode()), Ok(segment));
    }

    #[test]
    fn equal_sets_of_two_targets_stand_once() {
        let up = |instance| Labels::from_pairs(&[("__name__", "up"), ("instance", instance)]);
        let segment = SeriesSegment::new([up("a"), up("b"), up("a")]);
        assert_eq!(segment.sets.len(), 1);
        assert_eq!(segment.targets.len(), 2);
        assert_eq!(with_target(&segment.sets[0], &segment.targets[1].0), up("b"));
    }
}
