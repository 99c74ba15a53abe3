//! What the series of a histogram say together: its mean, and how many observations were slow.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::quantity::{Quantity, Reading};
use super::sign::is_asked;
use super::sums::{Key, Sums};
use super::tail::BUCKET;

/// The mean observations of histograms and summaries: of those whose series all have a sum and a count.
pub(super) fn means(kept: &BTreeMap<&Key, &Sums>) -> Vec<Quantity> {
    let mean = |((metric, label), sum): (&&Key, &&Sums)| {
        let base = metric.strip_suffix("_sum")?;
        let count = kept.get(&(format!("{base}_count"), label.clone()))?;
        // Where counts of some series were not recorded, the others would seem slow.
        if sum.series != count.series {
            return None;
        }
        let (sum, count) = (sum.steps.as_ref()?, count.steps.as_ref()?);
        let pairs = sum.increase.iter().zip(&count.increase);
        Some(Quantity {
            metric: base.to_owned(),
            reading: Reading::Mean,
            label: label.clone(),
            bound: String::new(),
            values: pairs.map(|(sum, count)| sum / count).collect(),
        })
    };
    kept.iter().filter_map(mean).collect()
}

/// The sums of a target's series, among them those of buckets.
pub(super) struct Histograms<'a> {
    /// By metric and label.
    pub sums: &'a BTreeMap<&'a Key, &'a Sums>,
    /// The bound of the buckets that were kept of each metric; `None` where they have several.
    pub bounds: &'a HashMap<String, Option<String>>,
    /// The labels of each bucket's metric that tell requests which take as long as was asked for from others.
    pub asked: &'a BTreeSet<(String, String)>,
    /// The rate in each step by the increase in it.
    pub rates: &'a dyn Fn(&[f64]) -> Vec<f64>,
}

impl Histograms<'_> {
    /// Whether no series with this label, or without one, are of requests that take as long as was asked for.
    fn is_told_apart(&self, metric: &str, label: Option<&(String, String)>) -> bool {
        self.asked
            .iter()
            .filter(|(of, _)| of == metric)
            .all(|(_, name)| label.is_some_and(|(own, kind)| own == name && !is_asked(kind)))
    }
}

/// The observations beyond the bound of each histogram with one bucket: how many a second, and which share of all.
/// Where the bucket counted nothing, all were beyond it.
pub(super) fn slow(histograms: &Histograms<'_>) -> Vec<Quantity> {
    let of_bucket = |((metric, label), bucket): (&&Key, &&Sums)| {
        let base = metric.strip_suffix(BUCKET)?;
        if !histograms.is_told_apart(metric, label.as_ref()) {
            return None;
        }
        let bound = histograms.bounds.get(metric)?.as_ref()?;
        let count = histograms.sums.get(&(format!("{base}_count"), label.clone()))?;
        // Where buckets of some series were not recorded, what those observed would seem slow.
        if bucket.series != count.series {
            return None;
        }
        let all = &count.steps.as_ref()?.increase;
        let fast = bucket.steps.as_ref().map(|steps| steps.increase.as_slice()).unwrap_or_default();
        let fast = fast.iter().copied().chain(std::iter::repeat(0.0));
        // An increase that is spread over steps is not exact.
        let beyond = |(all, fast): (&f64, f64)| (all - fast).max(0.0);
        let beyond: Vec<f64> = all.iter().zip(fast).map(beyond).map(no_less).collect();
        let shares = beyond.iter().zip(all).map(|(beyond, all)| beyond / all).collect();
        let quantity = |reading, values| Quantity {
            metric: base.to_owned(),
            reading,
            label: label.clone(),
            bound: bound.clone(),
            values,
        };
        let rates = (histograms.rates)(&beyond);
        Some([quantity(Reading::Slow, rates), quantity(Reading::SlowShare, shares)])
    };
    histograms.sums.iter().filter_map(of_bucket).flatten().collect()
}

/// What is left of an increase where less than this is nothing: sums of parts of events are not whole.
fn no_less(events: f64) -> f64 {
    if events < 1e-6 { 0.0 } else { events }
}
