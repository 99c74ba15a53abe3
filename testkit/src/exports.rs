//! Checks of exported captures: the verdict is the same but for names, and nothing planted is left.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use operator::capture::{CaptureReader, FileMode};
use operator::model::{Sample, TimeRange, Timestamp, canonical_json};
use operator::promql::{Engine, EngineOptions, Expression, Value as Queried};
use operator::session::{CaptureStorage, Session};
use operator::share::{
    DamagedParts, Destination, Events, ExportOptions, Exported, KEY_BYTES, Key, Mapping, Redaction,
    Truths, export,
};
use serde_json::Value;

/// A redacted export of everything, with the key of tests.
pub fn redacted() -> ExportOptions {
    ExportOptions {
        range: TimeRange::ALL,
        matchers: Vec::new(),
        redaction: Redaction::Pseudonyms(key(7)),
        truths: Truths::Included,
        events: Events::Included,
        damaged: DamagedParts::Refused,
        most_bytes: u64::MAX,
        mode: FileMode::default(),
    }
}

/// A key that everybody knows.
pub fn key(seed: u8) -> Key {
    Key::new([seed; KEY_BYTES])
}

/// Exports a part of a capture in redacted form to `to` and compares the verdict with that on the same part as it
/// was recorded.
///
/// # Errors
///
/// Where the export fails, or the verdict differs in more than names.
pub fn export_and_compare(from: &Path, to: &Path, range: TimeRange) -> Result<Exported> {
    let exported = export(from, Destination::File(to), &ExportOptions { range, ..redacted() })?;
    let recorded = if range == TimeRange::ALL {
        canonical_json(&Session::open(from)?.verdict()?)
    } else {
        // An exported part ends at its last observation.
        let scratch = tempfile::tempdir()?;
        let plain = scratch.path().join("plain.gz");
        let options = ExportOptions { range, redaction: Redaction::Off, ..redacted() };
        canonical_json(&export(from, Destination::File(&plain), &options)?.verdict)
    };
    let redacted = canonical_json(&Session::open(to)?.verdict()?);
    compare(&recorded, &redacted, &exported.mapping).with_context(|| from.display().to_string())?;
    if range == TimeRange::ALL {
        compare_quantiles(from, to)?;
    }
    Ok(exported)
}

/// Compares the verdicts as of an instant on a whole capture and on its redacted export.
///
/// # Errors
///
/// Where one cannot be judged, or the verdicts differ in more than names.
pub fn compare_as_of(from: &Path, exported: &Exported, at: Timestamp) -> Result<()> {
    let verdict =
        |path| -> Result<String> { Ok(canonical_json(&Session::open(path)?.verdict_as_of(at)?)) };
    compare(&verdict(from)?, &verdict(&exported.path)?, &exported.mapping)
        .with_context(|| format!("{} as of {at}", from.display()))
}

/// Compares verdicts, as JSON, of which the second one has the names that the mapping gives.
fn compare(recorded: &str, redacted: &str, mapping: &Mapping) -> Result<()> {
    let expected = renamed(serde_json::from_str(recorded)?, mapping);
    let found = without_names_of_addresses(serde_json::from_str(redacted)?, &expected);
    let (expected, found) = (ordered(expected), ordered(found));
    ensure!(expected == found, "{}", difference(&expected, &found));
    Ok(())
}

/// Histograms whose quantiles are compared, by the front of their names: of each, the first in order of name.
const HISTOGRAMS: [&str; 8] = [
    "raft_engine_",
    "tikv_raftstore_",
    "tikv_grpc_",
    "tikv_scheduler_",
    "tikv_storage_",
    "etcd_disk_",
    "grpc_server_",
    "pd_client_",
];

/// The most by which quantiles may differ, in relation to their size: other names of nodes put the summands of a rate
/// in another order, which changes the last digits.
const ROUNDING: f64 = 1e-9;

/// Compares quantiles of both captures, which redaction changes in nothing, and returns how many expressions were
/// compared.
///
/// # Errors
///
/// Where one cannot be evaluated, or the answers differ.
pub fn compare_quantiles(from: &Path, to: &Path) -> Result<usize> {
    let (recorded, redacted) = (CaptureReader::open(from)?, CaptureReader::open(to)?);
    let mut metrics = BTreeSet::new();
    recorded.visit_series(|labels| {
        if labels.metric().ends_with("_bucket") {
            metrics.insert(labels.metric().to_owned());
        }
    });
    let first = |front: &&str| metrics.iter().find(|metric| metric.starts_with(*front));
    let mut compared = 0;
    for metric in HISTOGRAMS.iter().filter_map(first) {
        for quantile in [0.5, 0.99] {
            let text = format!("histogram_quantile({quantile}, sum by (le) (rate({metric}[2m])))");
            let before = quantiles(&recorded, &text)?;
            let after = quantiles(&redacted, &text)?;
            let is_near = |(left, right): (&Sample, &Sample)| {
                let (a, b) = (left.value, right.value);
                let near = a == b || (a - b).abs() <= ROUNDING * a.abs().max(b.abs());
                left.at == right.at && (near || a.is_nan() && b.is_nan())
            };
            let is_same = before.len() == after.len() && before.iter().zip(&after).all(is_near);
            ensure!(is_same, "{}: {text}: {before:?} became {after:?}", from.display());
            compared += 1;
        }
    }
    Ok(compared)
}

/// The answer to an expression at ten instants of a capture.
fn quantiles(reader: &CaptureReader, text: &str) -> Result<Vec<Sample>> {
    let storage = CaptureStorage::new(reader);
    let engine = Engine::new(EngineOptions::new(storage.dialect()));
    let window = reader.window();
    let step_ms = (window.millis() / 10).max(1_000);
    let expression = Expression::parse(text)?;
    let answer = engine.range(&expression, &storage, (window.start, window.end), step_ms)?;
    let Queried::Matrix(series) = answer.value else { bail!("{text} is no range of series") };
    Ok(series.into_iter().flat_map(|series| series.samples).collect())
}

/// The document with every text translated.
fn renamed(document: Value, mapping: &Mapping) -> Value {
    match document {
        Value::String(text) => Value::String(mapping.known(&text)),
        Value::Array(values) => values.into_iter().map(|value| renamed(value, mapping)).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields = fields.map(|(name, value)| match name.as_str() {
                // What a failure mode advises holds no name.
                "advice" => (name, value),
                _ => (mapping.known(&name), renamed(value, mapping)),
            });
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// The document without what its nodes are known as where `expected` knows them by an address alone: an address has
/// no short name, and its pseudonym has one.
fn without_names_of_addresses(found: Value, expected: &Value) -> Value {
    let mut names = BTreeSet::new();
    note_known_as(&found, &mut names);
    let mut known = BTreeSet::new();
    note_known_as(expected, &mut known);
    names.retain(|name| !known.contains(name));
    without_known_as(found, &names)
}

fn note_known_as(document: &Value, names: &mut BTreeSet<String>) {
    match document {
        Value::Array(values) => values.iter().for_each(|value| note_known_as(value, names)),
        Value::Object(fields) => {
            names.extend(fields.get(KNOWN_AS).and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| note_known_as(value, names));
        }
        _ => {}
    }
}

/// The field of a node with the name that people know it by.
const KNOWN_AS: &str = "known_as";

fn without_known_as(document: Value, names: &BTreeSet<String>) -> Value {
    match document {
        Value::String(text) => {
            let without = |text: String, name: &String| {
                text.replace(&format!("({name}, "), "(").replace(&format!(" ({name})"), "")
            };
            Value::String(names.iter().fold(text, without))
        }
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| without_known_as(value, names)).collect())
        }
        Value::Object(fields) => {
            let is_name = |value: &Value| value.as_str().is_some_and(|name| names.contains(name));
            let left =
                fields.into_iter().filter(|(field, value)| field != KNOWN_AS || !is_name(value));
            Value::Object(
                left.map(|(field, value)| (field, without_known_as(value, names))).collect(),
            )
        }
        other => other,
    }
}

/// The document with its lists in one order: where names decide the order of equals, others decide it after
/// redaction. The numbers of findings follow that order, so they are left out.
fn ordered(document: Value) -> Value {
    match document {
        Value::String(text) if is_finding(&text) => Value::String("F".to_owned()),
        Value::Array(values) => {
            let mut values: Vec<Value> = values.into_iter().map(ordered).collect();
            values.sort_by_cached_key(Value::to_string);
            Value::Array(values)
        }
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name, ordered(value))).collect())
        }
        other => other,
    }
}

fn is_finding(text: &str) -> bool {
    text.strip_prefix('F').is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// The first place at which two documents differ.
fn difference(expected: &Value, found: &Value) -> String {
    match (expected, found) {
        (Value::Object(left), Value::Object(right)) => {
            let differing = left.iter().find(|(name, value)| right.get(*name) != Some(*value));
            match differing {
                Some((name, value)) => {
                    let other = right.get(name).unwrap_or(&Value::Null);
                    format!("{name}: {}", difference(value, other))
                }
                None => "fields were added".to_owned(),
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let differing = left.iter().zip(right).find(|(left, right)| left != right);
            differing.map_or_else(String::new, |(left, right)| difference(left, right))
        }
        _ => format!("{expected} became {found}"),
    }
}
