//! Columns: the values of one series over the steps of an evaluation.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::Steps;
use crate::model::{Labels, STALE_NAN_BITS, Sample, Series, Timestamp, is_stale};

/// Stands for "no value at this step" in columns. Selectors leave out staleness markers, so
/// these bits never are a value.
pub const ABSENT: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether a column has no value at a step.
pub fn is_absent(value: f64) -> bool {
    is_stale(value)
}

/// The labels of metadata: dropped together with the metric's name.
const METADATA: [&str; 3] = ["__name__", "__type__", "__unit__"];

/// The labels of a column: those of a stored series, or made by the expression. The name may be
/// hidden.
#[derive(Clone, Debug)]
pub struct Metric {
    labels: Source,
    nameless: bool,
}

#[derive(Clone, Debug)]
enum Source {
    Stored(Arc<Series>),
    Made(Arc<Labels>),
}

impl Metric {
    /// The labels of a stored series.
    pub fn stored(series: &Arc<Series>) -> Self {
        Self { labels: Source::Stored(Arc::clone(series)), nameless: false }
    }

    /// Labels that the expression makes.
    pub fn made(labels: Labels) -> Self {
        Self { labels: Source::Made(Arc::new(labels)), nameless: false }
    }

    /// From pairs of distinct names; empty values are left out.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        Self::made(Labels::new(pairs).expect("names are distinct and not empty"))
    }

    fn labels(&self) -> &Labels {
        match &self.labels {
            Source::Stored(series) => &series.labels,
            Source::Made(labels) => labels,
        }
    }

    /// Forgets which stored series it is of, so that it counts as one that may collide.
    pub fn detach(&mut self) {
        if let Source::Stored(series) = &self.labels {
            self.labels = Source::Made(Arc::new(series.labels.clone()));
        }
    }

    /// Hides the metric's name and the labels of its metadata.
    pub fn hide_name(&mut self) {
        self.nameless = true;
    }

    /// The value of a label; empty where it is absent.
    pub fn get(&self, name: &str) -> &str {
        if self.nameless && METADATA.contains(&name) {
            return "";
        }
        self.labels().get(name).unwrap_or_default()
    }

    /// Pairs in ascending order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let shown = |name: &str| !self.nameless || !METADATA.contains(&name);
        self.labels().iter().filter(move |(name, _)| shown(name))
    }

    /// A copy of the labels.
    pub fn to_labels(&self) -> Labels {
        if !self.nameless {
            return self.labels().clone();
        }
        let pairs = self.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Labels::new(pairs.collect()).expect("labels stay labels when some are left out")
    }

    /// Copies of the pairs whose names `keep` accepts.
    pub fn pairs(&self, keep: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        self.iter()
            .filter(|(name, _)| keep(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// A hash that identifies the label set.
    pub fn key(&self) -> u128 {
        self.key_of(|_| true)
    }

    /// A hash that identifies the labels whose names `keep` accepts.
    pub fn key_of(&self, keep: impl Fn(&str) -> bool) -> u128 {
        let mut bytes = Vec::with_capacity(256);
        for (name, value) in self.iter().filter(|(name, _)| keep(name)) {
            push(&mut bytes, name);
            push(&mut bytes, value);
        }
        xxh3_128(&bytes)
    }

    /// A hash that identifies the values of the labels `names`, which are in ascending order.
    pub fn key_of_names(&self, names: &[String]) -> u128 {
        let mut bytes = Vec::with_capacity(128);
        for name in names {
            push(&mut bytes, self.get(name));
        }
        xxh3_128(&bytes)
    }
}

fn push(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Whether a label is the metric's name or a label of its metadata.
pub fn is_metadata(name: &str) -> bool {
    METADATA.contains(&name)
}

/// The values of one series, one slot for each step.
#[derive(Clone, Debug)]
pub struct Column {
    /// The labels of the series.
    pub metric: Metric,
    /// Whether its metric's name is removed after the whole expression is evaluated.
    pub drop_name: bool,
    /// The values; [`ABSENT`] at steps without one.
    pub values: Vec<f64>,
}

impl Column {
    /// A column that keeps its name.
    pub fn new(metric: Metric, values: Vec<f64>) -> Self {
        Self { metric, drop_name: false, values }
    }
}

/// Whether all columns come from one metric, so that dropping its name makes none of them equal.
pub fn share_a_name(columns: &[Column]) -> bool {
    let name = |column: &Column| match &column.metric.labels {
        Source::Stored(series) => Some(Arc::clone(series)),
        Source::Made(_) => None,
    };
    let Some(first) = columns.first() else { return true };
    let Some(first) = name(first) else { return columns.len() == 1 };
    let same = |metadata: &str, labels: &Labels| labels.get(metadata) == first.labels.get(metadata);
    columns.iter().all(|column| match &column.metric.labels {
        Source::Stored(series) => METADATA.iter().all(|label| same(label, &series.labels)),
        Source::Made(_) => false,
    })
}

/// A column's values as samples.
pub fn samples(steps: Steps, values: &[f64]) -> Vec<Sample> {
    steps
        .instants()
        .zip(values)
        .filter(|(_, value)| !is_absent(**value))
        .map(|(at, value)| Sample { at: Timestamp::from_millis(at), value: *value })
        .collect()
}
