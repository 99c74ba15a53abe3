//! Which nodes of PD's cluster the Prometheus scrapes, found out before a recording begins.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sources::{PdFound, PrometheusFound};
use crate::diagnose::{Evidence, Parts};
use crate::model::{EncodedLabels, Labels, PdAnswer, Sample, Series, TimeRange, Timestamp, Told};
use crate::nodes::{HEARTBEATS, METRICS, Nodes};
use crate::pd::{MEMBERS, STORES};
use crate::source::{Selector, SeriesSink, SourceError};

/// How far back samples are asked for, in milliseconds: five scrapes of the longest usual interval.
const LOOKS_BACK_MS: i64 = 300_000;
/// How long both sources may take; what they have not said by then holds up no recording.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something about the targets that a person should know, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// Everything that PD lists is scraped.
    Whole(String),
    /// A part is not scraped, or is not known.
    Partial(String, &'static str),
    /// Nothing of PD's cluster is scraped.
    Foreign(String, &'static str),
}

/// Resolves the targets of the five minutes before `until` to what PD lists now; `None` where PD lists no
/// store, Prometheus has no sample, or either does not answer in time.
pub async fn scraped_nodes(
    pd: &PdFound,
    prometheus: &PrometheusFound,
    (selectors, told): (&[Selector], &Told),
    until: Timestamp,
) -> Option<Nodes> {
    let range = TimeRange::new(until + -LOOKS_BACK_MS, until);
    let resolved = resolve(pd, prometheus, (selectors, told), range);
    tokio::time::timeout(PATIENCE, resolved).await.ok()?
}

async fn resolve(
    pd: &PdFound,
    prometheus: &PrometheusFound,
    (selectors, told): (&[Selector], &Told),
    range: TimeRange,
) -> Option<Nodes> {
    let mut answers: Vec<PdAnswer> = pd.ask_all(MEMBERS).await;
    answers.extend(pd.ask_all(STORES).await);
    let names = METRICS.iter().chain(&["up", HEARTBEATS]);
    let names: Vec<String> = names.map(|name| (*name).to_owned()).collect();
    let narrow: Vec<Selector> =
        selectors.iter().map(|selector| selector.with_metrics(&names)).collect();
    let mut collected = Collected::default();
    prometheus.client.read(prometheus.mode, &narrow, range, &mut collected).await.ok()?;
    if collected.0.is_empty() {
        return None;
    }
    let told = told.clone();
    let parts = Parts { series: collected.series(), pd: &answers, told, ..Parts::default() };
    let nodes = Evidence::new(range, Timestamp::MAX, parts).nodes;
    let is_listed = nodes.stores.iter().any(|store| store.id.is_some());
    is_listed.then_some(nodes)
}

/// What is worth saying of the nodes, the worst first.
pub fn findings(nodes: &Nodes) -> Vec<Finding> {
    let mut found = Vec::new();
    let missing: Vec<String> =
        nodes.stores.iter().filter(|one| one.instance.is_none()).map(|one| one.name()).collect();
    let all = nodes.stores.len();
    let undecided: Vec<String> = nodes.undecided_clusters.iter().map(Labels::to_string).collect();
    if !undecided.is_empty() {
        found.push(Finding::Foreign(
            format!("it is not known which of these clusters is PD's: {}", undecided.join(", ")),
            "name it with --cluster NAME",
        ));
    } else if missing.len() == all {
        found.push(Finding::Foreign(
            format!("none of the {all} stores that PD lists is a target"),
            "give the Prometheus of this cluster, or select its jobs with --match",
        ));
    } else if !missing.is_empty() {
        found.push(Finding::Partial(
            format!(
                "{} of {all} stores have no known target: {}",
                missing.len(),
                missing.join(", ")
            ),
            "add them to Prometheus's scrape_configs, or name their targets with --node NAME=NAME",
        ));
    } else {
        found.push(Finding::Whole(format!("all {all} stores of PD are targets")));
    }
    let others: Vec<String> = nodes.other_clusters.iter().map(Labels::to_string).collect();
    if !others.is_empty() {
        found.push(Finding::Partial(
            format!(
                "the Prometheus holds other clusters too, which verdicts leave out: {}",
                others.join(", ")
            ),
            "to record this one alone: --no-default-match --match '{cluster=\"NAME\"}'",
        ));
    }
    found
}

/// Series as they come, in pieces.
#[derive(Default)]
struct Collected(BTreeMap<Labels, Vec<Sample>>);

impl Collected {
    fn series(self) -> Vec<Series> {
        let series = self.0.into_iter().map(|(labels, mut samples)| {
            samples.sort_by_key(|sample| sample.at);
            samples.dedup_by_key(|sample| sample.at);
            Series { labels, samples }
        });
        series.collect()
    }
}

impl SeriesSink for Collected {
    fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) -> Result<(), SourceError> {
        // Series that cannot be decoded are left out, as in a recording.
        if let Ok(labels) = labels.decode() {
            self.0.entry(labels).or_default().extend(samples);
        }
        Ok(())
    }

    fn native_histogram(&mut self, _: EncodedLabels<'_>) {}

    fn unreadable(&mut self, _: &str, _: &str) {}

    fn incomplete(&mut self, _: &str) {}
}
