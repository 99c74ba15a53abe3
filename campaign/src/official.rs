//! The official rules of TiKV and PD, from a table, as a rule file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use operator::capture::CaptureReader;
use operator::promql::{Engine, EngineOptions};
use operator::rules::{self, External, Near, Outcome, RuleFile, Settings};
use operator::session::CaptureStorage;
use serde_json::json;

/// The interval of evaluation: that of the subject's Prometheus.
const INTERVAL_MS: i64 = 15_000;

/// A row of the table.
pub struct Official {
    group: String,
    kind: String,
    name: String,
    hold: String,
    level: String,
    /// The text of the expression.
    pub expr: String,
    summary: String,
}

/// Reads the table: tab-separated, its columns `group`, `kind` (`alert` or `record`), `name`,
/// `for`, `level`, `expr`, `summary`; its first line names them.
pub fn read(path: &Path) -> Result<Vec<Official>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rules = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [group, kind, name, hold, level, expr, summary, ..] = cells[..] else {
            bail!("{}: a row is short: {line}", path.display());
        };
        let [group, kind, name, hold] = [group, kind, name, hold].map(str::to_owned);
        let [level, expr, summary] = [level, expr, summary].map(str::to_owned);
        rules.push(Official { group, kind, name, hold, level, expr, summary });
    }
    Ok(rules)
}

/// The rules as a file that Prometheus loads.
pub fn rule_file(rules: &[Official]) -> String {
    let mut groups: Vec<(&str, Vec<serde_json::Value>)> = Vec::new();
    for rule in rules {
        let mut written = json!({ &rule.kind: rule.name, "expr": rule.expr });
        if rule.kind == "alert" {
            written["labels"] = json!({ "level": rule.level });
            written["annotations"] = json!({ "summary": rule.summary });
            if !rule.hold.is_empty() {
                written["for"] = json!(rule.hold);
            }
        }
        match groups.iter_mut().find(|(name, _)| *name == rule.group) {
            Some((_, held)) => held.push(written),
            None => groups.push((&rule.group, vec![written])),
        }
    }
    let groups: Vec<_> =
        groups.into_iter().map(|(name, rules)| json!({ "name": name, "rules": rules })).collect();
    // JSON is YAML too.
    serde_json::to_string_pretty(&json!({ "groups": groups })).expect("text is JSON")
}

/// Prints the rules of a table as a file that `operator rules` and Prometheus take.
pub fn print(table: &Path) -> Result<()> {
    println!("{}", rule_file(&read(table)?));
    Ok(())
}

/// Replays the rules of a table over captures, and tells what each rule lacks in all of them.
pub fn run(table: &Path, folder: &Path) -> Result<()> {
    let files = [RuleFile::parse("official.yaml", &rule_file(&read(table)?))?];
    let mut lacking: BTreeMap<String, usize> = BTreeMap::new();
    let captures = testkit::capture_server::captures_in(folder)?;
    for path in &captures {
        let reader = CaptureReader::open(path)?;
        let storage = CaptureStorage::new(&reader);
        storage.announce(rules::metrics_read(&files));
        let engine = Engine::new(EngineOptions::new(storage.dialect()));
        let mut metrics = reader.metrics();
        metrics.sort();
        let (window, external) = (reader.window(), External::default());
        let settings = Settings {
            window,
            run_in_from: window.start,
            interval_ms: INTERVAL_MS,
            metrics: &metrics,
            external,
            near: Near::None,
        };
        let report =
            rules::replay(&files, &storage, &engine, &settings).map_err(|error| anyhow!(error))?;
        let fired = report.rules().filter(|rule| rule.outcome == Outcome::Fired);
        println!(
            "{}: {} rules, {} cannot fire, {} errors; fired: {}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            report.rules().count(),
            report.count(Outcome::CannotFire),
            report.count(Outcome::Error),
            fired.map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(", "),
        );
        for rule in report.rules() {
            for missing in &rule.missing {
                let cannot =
                    if rule.outcome == Outcome::CannotFire { "cannot fire" } else { "reads" };
                let hint =
                    missing.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
                let line = format!("{} {cannot}: {}{hint}", rule.name, missing.why);
                *lacking.entry(line).or_default() += 1;
            }
        }
    }
    println!("missing, in how many of {} captures:", captures.len());
    for (line, count) in lacking {
        println!("  {count:>3} {line}");
    }
    Ok(())
}
