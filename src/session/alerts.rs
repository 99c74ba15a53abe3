//! The critical alerts of the bundled rules that fire in a judged window.

use std::sync::LazyLock;

use crate::capture::{CaptureError, CaptureReader};
use crate::diagnose::FiredAlert;
use crate::model::{LabelMatcher, TimeRange, Timestamp};
use crate::nodes::Nodes;
use crate::promql::{Dialect, Engine, EngineOptions, SeriesSet, Storage, StorageError};
use crate::rules::{self, AlertHistory, External, RuleFile, RuleReport, Settings};
use crate::session::CaptureStorage;

/// The longest window in which alerts are evaluated, in milliseconds: two hours. What a rule costs grows with the
/// window, and a report of a day should not wait for it; `operator rules replay` evaluates any.
const LONGEST_MS: i64 = 2 * 3_600_000;

/// The interval of groups that state none, in milliseconds: Prometheus's default is a minute.
const INTERVAL_MS: i64 = 60_000;

/// The critical rules that are bundled. They are kept, since reading them takes longer than evaluating them over a
/// short run, and `watch` judges at every tick.
static CRITICAL: LazyLock<Vec<RuleFile>> = LazyLock::new(|| rules::critical(rules::bundled()));

/// Critical alerts of the bundled rules in a judged window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CriticalAlerts {
    /// Those that are told, in the order of their rules and one for each time that it fires.
    pub fired: Vec<FiredAlert>,
    /// Why some rules or all were not evaluated, so that further alerts may have fired; `None` where all were.
    pub not_evaluated: Option<String>,
}

impl CriticalAlerts {
    fn not_evaluated(why: String) -> Self {
        Self { fired: Vec::new(), not_evaluated: Some(why) }
    }
}

/// The critical alerts of the cluster of these nodes that fire in a window.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub(super) fn critical_alerts(
    reader: &CaptureReader,
    window: TimeRange,
    nodes: &Nodes,
) -> Result<CriticalAlerts, CaptureError> {
    if window.millis() > LONGEST_MS {
        let why = "the window is longer than two hours; `operator rules replay` evaluates any";
        return Ok(CriticalAlerts::not_evaluated(why.to_owned()));
    }
    let storage = CaptureStorage::new(reader);
    storage.announce(rules::metrics_read(&CRITICAL));
    let engine = engine(storage.dialect());
    let own = OfCluster { storage: &storage, nodes };
    let settings = Settings {
        window,
        run_in_from: reader.run_in_from(window),
        interval_ms: INTERVAL_MS,
        metrics: &[],
        external: External::default(),
        near: rules::Near::None,
    };
    let report = match rules::replay(&CRITICAL, &own, engine, &settings) {
        Ok(report) => report,
        Err(error) => match error.downcast::<CaptureError>() {
            Ok(error) => return Err(*error),
            Err(other) => return Ok(CriticalAlerts::not_evaluated(other.to_string())),
        },
    };
    // What a rule reads and nobody recorded is unknown: `absent` would take it for gone.
    let whole = report.rules().filter(|rule| rule.missing.is_empty());
    let alerts = whole.flat_map(|rule| rule.alerts.iter().map(move |one| (rule, one)));
    let fired = alerts.flat_map(|(rule, alert)| firings(rule, alert, window.end)).collect();
    let failed = report.rules().find_map(|rule| Some((rule, rule.failures.as_ref()?)));
    let not_evaluated = failed.map(|(rule, failures)| format!("{}: {}", rule.name, failures.first));
    Ok(CriticalAlerts { fired, not_evaluated })
}

/// The engine for the bundled rules. It is kept, since compiling the regular expressions of their selectors takes
/// longer than evaluating them over a short run, and `watch` judges at every tick.
fn engine(dialect: Dialect) -> &'static Engine {
    static V2: LazyLock<Engine> = LazyLock::new(|| Engine::new(EngineOptions::new(Dialect::V2)));
    static V3: LazyLock<Engine> = LazyLock::new(|| Engine::new(EngineOptions::new(Dialect::V3)));
    match dialect {
        Dialect::V2 => &V2,
        Dialect::V3 => &V3,
    }
}

fn firings<'r>(
    rule: &'r RuleReport,
    alert: &'r AlertHistory,
    end: Timestamp,
) -> impl Iterator<Item = FiredAlert> + use<'r> {
    let own = |name: &str| !rules::LEVELS.contains(&name) && name != "alertname";
    let labels = alert.labels.iter().filter(move |(name, _)| own(name));
    let labels: Vec<(String, String)> =
        labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    alert.firings().into_iter().map(move |(since_ms, until_ms)| FiredAlert {
        name: rule.name.clone(),
        labels: labels.clone(),
        since_ms,
        until_ms,
        fired_ms: until_ms.unwrap_or(end) - since_ms,
    })
}

/// What was recorded of the judged cluster: another one's alerts are no news of it, and its stores have the same
/// numbers.
struct OfCluster<'a> {
    storage: &'a dyn Storage,
    nodes: &'a Nodes,
}

impl Storage for OfCluster<'_> {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        range: TimeRange,
    ) -> Result<SeriesSet, StorageError> {
        let mut found = self.storage.select(matchers, range)?;
        found.retain(|series| !self.nodes.is_of_another_cluster(&series.labels));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Component, Labels, Sample, Series};
    use crate::nodes::ScrapeTarget;
    use crate::promql::MemoryStorage;
    use std::sync::Arc;

    #[test]
    fn alerts_see_nothing_of_another_cluster() {
        let own = |cluster| [("job", "tikv"), ("instance", "tikv-0:20180"), ("cluster", cluster)];
        let up = |cluster| {
            let labels = Labels::from_pairs(&own(cluster)).with(&[("__name__", "up")]);
            let samples = vec![Sample { at: Timestamp::default(), value: 1.0 }];
            Arc::new(Series { labels, samples })
        };
        let storage = MemoryStorage::new([up("prod"), up("dev")]);
        let target = ScrapeTarget {
            labels: Labels::from_pairs(&own("prod")),
            component: Component::Tikv,
            name: "tikv-0:20180".to_owned(),
        };
        let nodes = Nodes {
            targets: vec![target],
            other_clusters: vec![Labels::from_pairs(&[("cluster", "dev")])],
            ..Nodes::default()
        };
        let own = OfCluster { storage: &storage, nodes: &nodes };
        let found = own.select(&[], TimeRange::ALL).unwrap();
        let clusters: Vec<_> = found.iter().map(|one| one.labels.get("cluster")).collect();
        assert_eq!(clusters, [Some("prod")]);
    }
}
