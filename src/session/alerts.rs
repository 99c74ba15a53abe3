//! The critical alerts of the bundled rules that fire in a judged window.

use crate::capture::{CaptureError, CaptureReader};
use crate::diagnose::FiredAlert;
use crate::model::{TimeRange, Timestamp};
use crate::promql::{Engine, EngineOptions};
use crate::rules::{self, AlertHistory, AlertState, External, RuleReport, Settings};
use crate::session::CaptureStorage;

/// The longest window in which alerts are evaluated, in milliseconds: two hours. What a rule costs grows with the
/// window, and a report of a day should not wait for it; `operator rules replay` evaluates any.
const LONGEST_MS: i64 = 2 * 3_600_000;

/// The interval of groups that state none, in milliseconds: Prometheus's default is a minute.
const INTERVAL_MS: i64 = 60_000;

/// The critical alerts that fire in a window, in the order of their rules; `None` where the window is too long.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub(super) fn fired(
    reader: &CaptureReader,
    window: TimeRange,
) -> Result<Option<Vec<FiredAlert>>, CaptureError> {
    if window.millis() > LONGEST_MS {
        return Ok(None);
    }
    let files = rules::critical(rules::bundled());
    let storage = CaptureStorage::new(reader);
    storage.announce(rules::metrics_read(&files));
    let engine = Engine::new(EngineOptions::new(storage.dialect()));
    let settings = Settings {
        window,
        interval_ms: INTERVAL_MS,
        metrics: &[],
        external: External::default(),
        near: rules::Near::None,
    };
    let report = match rules::replay(&files, &storage, &engine, &settings) {
        Ok(report) => report,
        Err(error) => match error.downcast::<CaptureError>() {
            Ok(error) => return Err(*error),
            // The window is short, so nothing else can go wrong.
            Err(_) => return Ok(None),
        },
    };
    // What a rule reads and nobody recorded is unknown: `absent` would take it for gone.
    let whole = report.rules().filter(|rule| rule.missing.is_empty());
    let alerts = whole.flat_map(|rule| rule.alerts.iter().map(move |one| (rule, one)));
    Ok(Some(alerts.filter_map(|(rule, alert)| fired_alert(rule, alert)).collect()))
}

fn fired_alert(rule: &RuleReport, alert: &AlertHistory) -> Option<FiredAlert> {
    let first = alert.changes.iter().find(|change| change.to == AlertState::Firing)?;
    let last = alert.changes.last()?;
    let until_ms: Option<Timestamp> = (last.to != AlertState::Firing).then_some(last.at);
    let labels = alert
        .labels
        .iter()
        .filter(|(name, _)| !rules::LEVELS.contains(name) && *name != "alertname");
    Some(FiredAlert {
        name: rule.name.clone(),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        since_ms: first.at,
        until_ms,
        fired_ms: alert.fired_ms,
    })
}
