//! Findings of settings of stores that were changed or differ, each citing its reading.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{
    Citation, Finding, FindingKind, Findings, Target, counted,
};
use crate::diagnose::findings::{About, cite, finding};
use crate::diagnose::observations::{ChangedSettings, ChangedValue, DifferingSetting, SetValue};
use crate::model::Timestamp;

/// Settings that differ of which each has a finding of its own; the others are counted. Stores of two versions, or
/// machines of two kinds, differ in dozens.
const MOST_DIFFERING: usize = 12;
/// Settings that are no defaults which the one sentence on them names.
const MOST_SET: usize = 4;
/// Stores that a sentence names.
const MOST_NAMED: usize = 3;

/// The finding of one of the settings that were changed together.
pub(in crate::diagnose) fn changed_setting(
    evidence: &Evidence,
    changed: &ChangedSettings,
    ChangedValue { name, from, to }: &ChangedValue,
) -> Finding {
    let at_all = match changed.stores.len() {
        1 => String::new(),
        _ => format!(" at {}", named(evidence, &changed.stores)),
    };
    let first = changed.stores[0];
    let citations = vec![reading(evidence, first, name, to, changed.at)];
    finding(about(evidence, changed), format!("{name}: {from} -> {to}{at_all}"), citations, vec![])
}

fn about(evidence: &Evidence, changed: &ChangedSettings) -> About {
    About {
        kind: FindingKind::SettingChanged,
        target: target(evidence, &changed.stores),
        onset: changed.at,
        uncertainty_ms: changed.uncertainty_ms,
        end: Some(changed.at),
    }
}

/// The store where it is one, else the cluster.
pub(in crate::diagnose) fn target(evidence: &Evidence, stores: &[usize]) -> Target {
    match stores {
        [only] => Target::store(&evidence.nodes.stores[*only]),
        _ => Target::cluster(),
    }
}

/// The findings of settings that differ between stores.
pub(in crate::diagnose) fn differing(
    evidence: &Evidence,
    settings: &[DifferingSetting],
    findings: &mut Findings,
) {
    for setting in settings.iter().take(MOST_DIFFERING) {
        findings.add(difference(evidence, setting));
    }
    let Some(next) = settings.get(MOST_DIFFERING) else { return };
    let more = counted((settings.len() - MOST_DIFFERING) as u64, "further setting");
    let text =
        format!("{more} differ between stores, {} the first; `show --settings` has all", next.name);
    findings.add(Finding { text, ..difference(evidence, next) });
}

/// The finding of settings that are not what their release has by default: one for all of them, since most clusters
/// have some, and for good.
pub(in crate::diagnose) fn set_values(
    evidence: &Evidence,
    values: &[SetValue],
    findings: &mut Findings,
) {
    let Some(since) = values.iter().map(|one| one.since).max() else { return };
    let since = since.max(evidence.window.start);
    let named = values.iter().take(MOST_SET);
    let told: Vec<String> = named
        .clone()
        .map(|one| format!("{} {} (default {})", one.name, one.value, one.default))
        .collect();
    let more = match values.len() - told.len() {
        0 => String::new(),
        more => format!(" and {more} more; `show --settings` has all"),
    };
    let what = match values.len() {
        1 => "1 setting is not".to_owned(),
        count => format!("{count} settings are not"),
    };
    let text = format!("{what} what TiKV has by default: {}{more}", told.join(", "));
    let read = named.map(|one| reading(evidence, one.stores[0], &one.name, &one.value, one.since));
    let about = About {
        kind: FindingKind::SettingsNotDefault,
        target: Target::cluster(),
        onset: since,
        uncertainty_ms: 0,
        end: None,
    };
    findings.add(finding(about, text, read.collect(), vec![]));
}

fn difference(evidence: &Evidence, setting: &DifferingSetting) -> Finding {
    let name = &setting.name;
    let values = setting.values.iter();
    let told: Vec<String> = values
        .clone()
        .map(|(value, stores)| format!("{value} at {}", named(evidence, stores)))
        .collect();
    let read =
        values.map(|(value, stores)| reading(evidence, stores[0], name, value, setting.since));
    let about = About {
        kind: FindingKind::SettingsDiffer,
        target: Target::cluster(),
        onset: setting.since,
        uncertainty_ms: 0,
        end: None,
    };
    finding(about, format!("{name} differs: {}", told.join(", ")), read.collect(), vec![])
}

/// `store 4`, `store 1, store 5`, or how many there are.
fn named(evidence: &Evidence, stores: &[usize]) -> String {
    if stores.len() > MOST_NAMED {
        return counted(stores.len() as u64, "store");
    }
    let names: Vec<String> =
        stores.iter().map(|store| evidence.nodes.stores[*store].name()).collect();
    names.join(", ")
}

fn reading(evidence: &Evidence, store: usize, name: &str, value: &str, at: Timestamp) -> Citation {
    let store = evidence.nodes.stores[store].name();
    cite(format!("settings {store} {name}"), at, value.to_owned())
}
