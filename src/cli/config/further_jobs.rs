//! Jobs of Prometheus that hold stores or members of PD under names that the subject does not know, found out
//! before a recording begins by what their targets expose.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::plan::Plan;
use super::sources::PrometheusFound;
use crate::model::{Comparison, EncodedLabels, Labels, MatcherText, Sample, TimeRange, Timestamp};
use crate::nodes::IN_EVERY_VERSION;
use crate::record::Subject;
use crate::source::{Selector, SeriesSink, SourceError};

/// How far back samples are asked for, in milliseconds: five scrapes of the longest usual interval.
const LOOKS_BACK_MS: i64 = 300_000;
/// How long Prometheus may take; what it has not said by then holds up no recording.
const PATIENCE: Duration = Duration::from_secs(10);

/// Adds selectors of such jobs to a plan that records what the subject knows, and returns the names of the jobs.
pub async fn add_further_jobs(
    plan: &mut Plan,
    prometheus: Option<&PrometheusFound>,
    now: Timestamp,
) -> Vec<String> {
    let Some(prometheus) = prometheus.filter(|_| plan.records_subject()) else {
        return Vec::new();
    };
    let until = plan.history.map_or(now, |range| range.end.min(now));
    let found = further_jobs(prometheus, &plan.subject, until).await;
    plan.selectors.extend(found.iter().map(|(_, selector)| selector.clone()));
    found.into_iter().map(|(job, _)| job).collect()
}

/// Jobs that the subject does not know and that hold stores or members of PD in the five minutes before
/// `until`, each with a selector of its series. None where Prometheus does not answer in time.
pub async fn further_jobs(
    prometheus: &PrometheusFound,
    subject: &Subject,
    until: Timestamp,
) -> Vec<(String, Selector)> {
    let range = TimeRange::new(until + -LOOKS_BACK_MS, until);
    let found = tokio::time::timeout(PATIENCE, further(prometheus, subject, range)).await;
    found.ok().flatten().unwrap_or_default()
}

async fn further(
    prometheus: &PrometheusFound,
    subject: &Subject,
    range: TimeRange,
) -> Option<Vec<(String, Selector)>> {
    let names = IN_EVERY_VERSION.map(str::to_owned);
    let exposing = targets(prometheus, &Selector::new(vec![of_metrics(&names)]), range).await?;
    let mut by_job: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for labels in exposing {
        let label = |name: &str| labels.get(name).unwrap_or_default().to_owned();
        let job = (label("job"), label("exported_job"));
        by_job.entry(job).or_default().insert(label("instance"));
    }
    // Whether a job is known is asked once: that takes patterns, and targets are many.
    by_job.retain(|(job, _), _| subject.part(job).is_none());
    let mut selectors = Vec::new();
    for ((job, own), instances) in by_job {
        let of_job = Selector::new(vec![equal("job", &job)]);
        if !own.is_empty() {
            let of_job = of_job.with_matcher("exported_job", Comparison::Equal, &own);
            selectors.push((format!("{job} ({own})"), of_job));
            continue;
        }
        let up = targets(prometheus, &of_job.with_metrics(&["up".to_owned()]), range).await?;
        // A job of many kinds of targets is not recorded completely.
        let selector = match up.len() > 2 * instances.len() {
            true => of_job.with_matcher("instance", Comparison::Regex, &any_of(&instances)),
            false => of_job,
        };
        selectors.push((job, selector));
    }
    Some(selectors)
}

fn equal(name: &str, value: &str) -> MatcherText {
    let (name, value) = (name.to_owned(), value.to_owned());
    MatcherText { name, comparison: Comparison::Equal, value }
}

fn of_metrics(names: &[String]) -> MatcherText {
    let value = names.join("|");
    MatcherText { name: "__name__".to_owned(), comparison: Comparison::Regex, value }
}

fn any_of(values: &BTreeSet<String>) -> String {
    let escaped: Vec<String> = values.iter().map(|value| regex::escape(value)).collect();
    escaped.join("|")
}

/// The labels of the series that a selector finds, but for their names; `None` where Prometheus does not say.
async fn targets(
    prometheus: &PrometheusFound,
    selector: &Selector,
    range: TimeRange,
) -> Option<BTreeSet<Labels>> {
    let mut found = Found::default();
    let selectors = std::slice::from_ref(selector);
    prometheus.client.read(prometheus.mode, selectors, range, &mut found).await.ok()?;
    Some(found.0)
}

#[derive(Default)]
struct Found(BTreeSet<Labels>);

impl SeriesSink for Found {
    fn series(&mut self, labels: EncodedLabels<'_>, _: &[Sample]) -> Result<(), SourceError> {
        // Series that cannot be decoded are left out, as in a recording.
        if let Ok(labels) = labels.decode() {
            self.0.insert(labels.without(&["__name__"]));
        }
        Ok(())
    }

    fn native_histogram(&mut self, _: EncodedLabels<'_>) {}

    fn unreadable(&mut self, _: &str, _: &str) {}

    fn incomplete(&mut self, _: &str) {}
}
