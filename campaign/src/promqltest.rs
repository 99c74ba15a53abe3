//! Prometheus's own test files for PromQL, run against our evaluator.
//!
//! `campaign promqltest FOLDER` takes the folder `promql/promqltest/testdata` of the Go module
//! `github.com/prometheus/prometheus`. Cases that load or expect native histograms are counted
//! apart, since those are refused by name; so are cases of experimental features.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use operator::model::{Labels, Sample, Series, Timestamp};
use operator::promql::{
    AggregateOp, Answer, Dialect, Engine, EngineOptions, ExprKind, Expression, MemoryStorage,
    NameRemoval, Value, almost_equal, parse_series,
};

/// Relative error that the test files allow.
const TOLERANCE: f64 = 1e-6;

/// Files whose cases all need a feature flag.
const EXPERIMENTAL: [&str; 5] =
    ["fill-modifier", "info", "start_timestamps", "type_and_unit", "unquoted_utf8_names"];

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Stable,
    Experimental,
    Native,
}

/// How many cases passed, of how many.
#[derive(Default)]
struct Score {
    passed: usize,
    all: usize,
}

/// One `eval` command.
struct Case {
    line: usize,
    text: String,
    when: When,
    fails: bool,
    ordered: bool,
    lines: Vec<String>,
}

#[derive(Clone, Copy)]
enum When {
    At(i64),
    Range(i64, i64, i64),
}

/// Runs every file of a folder. Fails where fewer than 99 % of the stable cases pass.
pub fn run(folder: &Path) -> Result<()> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    paths.sort();
    let mut totals: BTreeMap<Kind, Score> = BTreeMap::new();
    for path in &paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path)?;
        let mut file = File { name, ..File::default() };
        file.run(&text);
        println!("{:<24} {}", file.name, line(&file.scores));
        for (kind, score) in file.scores {
            let total = totals.entry(kind).or_default();
            total.passed += score.passed;
            total.all += score.all;
        }
    }
    println!("{:<24} {}", "all", line(&totals));
    let stable = totals.remove(&Kind::Stable).unwrap_or_default();
    if stable.passed * 100 < stable.all * 99 || stable.all == 0 {
        bail!("fewer than 99 % of the stable cases pass");
    }
    Ok(())
}

fn line(scores: &BTreeMap<Kind, Score>) -> String {
    let score = |(kind, score): (&Kind, &Score)| {
        format!("{}: {} of {}", format!("{kind:?}").to_lowercase(), score.passed, score.all)
    };
    scores.iter().map(score).collect::<Vec<_>>().join(", ")
}

#[derive(Default)]
struct File {
    name: String,
    loaded: BTreeMap<Labels, Vec<Sample>>,
    /// Metrics that have a native histogram.
    native: BTreeSet<String>,
    scores: BTreeMap<Kind, Score>,
}

impl File {
    fn run(&mut self, text: &str) {
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.trim())
            .map(|line| if line.starts_with('#') { "" } else { line })
            .collect();
        let mut next = 0;
        while next < lines.len() {
            let (number, head) = (next + 1, lines[next]);
            next += 1;
            if head.is_empty() {
                continue;
            }
            if head.starts_with("clear") {
                self.loaded.clear();
                self.native.clear();
                continue;
            }
            let mut body = Vec::new();
            while next < lines.len() && !lines[next].is_empty() {
                body.push(lines[next].to_owned());
                next += 1;
            }
            if head.starts_with("load") {
                self.load(head, &body);
            } else if head.starts_with("eval") {
                match case(number, head, body) {
                    Some(case) => self.evaluate(&case),
                    None => println!("  {}:{number}: cannot read {head}", self.name),
                }
            }
        }
    }

    fn load(&mut self, head: &str, body: &[String]) {
        let step = head.split_whitespace().nth(1).and_then(duration).unwrap_or(0);
        for line in body {
            if line.contains("{{") || line.contains('@') {
                let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
                self.native.insert(line[..end].to_owned());
                continue;
            }
            let Ok((labels, values)) = parse_series(line) else {
                println!("  {}: cannot read series {line}", self.name);
                continue;
            };
            if head.starts_with("load_with_nhcb") {
                // Also makes a native histogram of the buckets, under the name without suffix.
                let metric = labels.metric();
                for suffix in ["_bucket", "_count", "_sum"] {
                    self.native.extend(metric.strip_suffix(suffix).map(str::to_owned));
                }
            }
            let samples = self.loaded.entry(labels).or_default();
            for (index, value) in values.into_iter().enumerate() {
                let at = Timestamp::from_millis(index as i64 * step);
                if let Some(value) = value {
                    samples.retain(|sample| sample.at != at);
                    samples.push(Sample { at, value });
                }
            }
            samples.sort_by_key(|sample| sample.at);
        }
    }

    fn kind(&self, case: &Case) -> Kind {
        let expects_native = case.lines.iter().any(|line| line.contains("{{"));
        let parsed = Expression::parse(&case.text);
        let touches_native = match &parsed {
            Ok(parsed) => parsed.selectors().iter().any(|selector| match selector.metric() {
                Some(name) => self.native.contains(name),
                None => !self.native.is_empty(),
            }),
            Err(_) => self.native.iter().any(|name| case.text.contains(name.as_str())),
        };
        if expects_native || touches_native {
            return Kind::Native;
        }
        if EXPERIMENTAL.contains(&self.name.as_str()) {
            return Kind::Experimental;
        }
        let Ok(parsed) = parsed else { return Kind::Stable };
        let experimental = parsed.nodes().iter().any(|node| match &node.kind {
            ExprKind::Call { function, .. } => function.signature().experimental,
            ExprKind::Aggregate(aggregate) => {
                matches!(aggregate.op, AggregateOp::Limitk | AggregateOp::LimitRatio)
            }
            _ => false,
        });
        if experimental { Kind::Experimental } else { Kind::Stable }
    }

    fn evaluate(&mut self, case: &Case) {
        let storage = MemoryStorage::new(self.loaded.iter().map(|(labels, samples)| {
            Arc::new(Series { labels: labels.clone(), samples: samples.clone() })
        }));
        let engine = Engine::new(EngineOptions {
            name_removal: NameRemoval::Delayed,
            ..EngineOptions::new(Dialect::V3)
        });
        let kind = self.kind(case);
        let outcome = check(case, &engine, &storage);
        let score = self.scores.entry(kind).or_default();
        score.all += 1;
        match outcome {
            Ok(()) => score.passed += 1,
            Err(why) if kind != Kind::Native => {
                println!("  {}:{} [{kind:?}] {}\n      {why}", self.name, case.line, case.text);
            }
            Err(_) => {}
        }
    }
}

/// Evaluates a case, an instant one also in the midst of a range.
fn check(case: &Case, engine: &Engine, storage: &MemoryStorage) -> Result<(), String> {
    let evaluate = |when: When| -> Result<Answer, String> {
        let parsed = Expression::parse(&case.text).map_err(|error| error.to_string())?;
        let at = Timestamp::from_millis;
        match when {
            When::At(instant) => engine.instant(&parsed, storage, at(instant)),
            When::Range(start, end, step) => {
                engine.range(&parsed, storage, (at(start), at(end)), step)
            }
        }
        .map_err(|error| error.to_string())
    };
    let answer = match (evaluate(case.when), case.fails) {
        (Err(error), true) => return message_matches(case, &error),
        (Err(error), false) => return Err(format!("failed: {error}")),
        (Ok(_), true) => return Err("it should fail".to_owned()),
        (Ok(answer), false) => answer,
    };
    annotations_match(case, &answer)?;
    value_matches(case, &answer.value)?;
    let is_vector = matches!(answer.value, Value::Vector(_) | Value::Scalar(_));
    // What a query knows of itself is something else over a range.
    let own_times = ["start()", "end()", "step()", "range()"];
    let asks_itself = own_times.iter().any(|call| case.text.contains(call));
    if let (When::At(instant), true, false) = (case.when, is_vector, case.ordered || asks_itself) {
        let answer = evaluate(When::Range(instant - 60_000, instant + 60_000, 60_000))
            .map_err(|error| format!("failed as a range: {error}"))?;
        let Value::Matrix(matrix) = &answer.value else { return Ok(()) };
        let at = Timestamp::from_millis(instant);
        let now = matrix.iter().filter_map(|series| {
            let sample = *series.samples.iter().find(|sample| sample.at == at)?;
            Some((series.labels.clone(), vec![(instant, sample.value)]))
        });
        let expected = expected_series(case, case.when)?;
        same_series(&expected, &now.collect(), false)
            .map_err(|why| format!("as a range: {why}"))?;
    }
    Ok(())
}

/// Texts after `expect KIND msg:` and `expect KIND regex:`.
fn expectations<'a>(case: &'a Case, kind: &str) -> Vec<&'a str> {
    let head = format!("expect {kind}");
    case.lines
        .iter()
        .filter_map(|line| line.strip_prefix(head.as_str()))
        .filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        .map(str::trim)
        .collect()
}

fn text_matches(expectation: &str, found: &str) -> bool {
    if let Some(message) = expectation.strip_prefix("msg:") {
        return found == message.trim().trim_matches('"');
    }
    if let Some(pattern) = expectation.strip_prefix("regex:") {
        return regex::Regex::new(pattern.trim()).is_ok_and(|regex| regex.is_match(found));
    }
    true
}

fn message_matches(case: &Case, error: &str) -> Result<(), String> {
    let old = case.lines.iter().find_map(|line| line.strip_prefix("expected_fail_message"));
    if old.is_some_and(|message| message.trim() != error) {
        return Err(format!("fails with {error:?}"));
    }
    match expectations(case, "fail").iter().find(|text| !text_matches(text, error)) {
        Some(expected) => Err(format!("fails with {error:?}, expected {expected:?}")),
        None => Ok(()),
    }
}

fn annotations_match(case: &Case, answer: &Answer) -> Result<(), String> {
    let found: [(&str, Vec<&str>); 2] = [
        ("warn", answer.annotations.warnings().collect()),
        ("info", answer.annotations.infos().collect()),
    ];
    for (kind, texts) in found {
        if !expectations(case, &format!("no_{kind}")).is_empty() && !texts.is_empty() {
            return Err(format!("unexpected {kind}: {texts:?}"));
        }
        for expected in expectations(case, kind) {
            if !texts.iter().any(|text| text_matches(expected, text)) {
                return Err(format!("no {kind} {expected:?} among {texts:?}"));
            }
        }
    }
    Ok(())
}

type Found = Vec<(Labels, Vec<(i64, f64)>)>;

fn value_matches(case: &Case, value: &Value) -> Result<(), String> {
    match value {
        Value::String { text, .. } => {
            let expected = expectations(case, "string");
            let wanted = expected.first().map(|text| text.trim_matches(['"', '`', '\'']));
            // Escapes in the expectation are Go's.
            let parsed = expected.first().and_then(|text| Expression::parse(text).ok());
            let unescaped = parsed.and_then(|parsed| match &parsed.root().kind {
                ExprKind::String(text) => Some(text.clone()),
                _ => None,
            });
            if wanted == Some(text) || unescaped.as_ref() == Some(text) {
                Ok(())
            } else {
                Err(format!("found {text:?}, expected {wanted:?}"))
            }
        }
        Value::Scalar(sample) => {
            let expected = case.lines.iter().find_map(|line| number(line));
            match expected {
                Some(expected) if almost_equal(expected, sample.value, TOLERANCE) => Ok(()),
                _ => Err(format!("found {}, expected {expected:?}", sample.value)),
            }
        }
        Value::Vector(vector) => {
            let point = |sample: Sample| vec![(sample.at.as_millis(), sample.value)];
            let found: Found = vector.iter().map(|e| (e.labels.clone(), point(e.sample))).collect();
            same_series(&expected_series(case, case.when)?, &found, case.ordered)
        }
        Value::Matrix(matrix) => {
            let points = |series: &Series| -> Vec<(i64, f64)> {
                series.samples.iter().map(|s| (s.at.as_millis(), s.value)).collect()
            };
            let found: Found = matrix.iter().map(|s| (s.labels.clone(), points(s))).collect();
            same_series(&expected_series(case, case.when)?, &found, false)
        }
    }
}

fn expected_series(case: &Case, when: When) -> Result<Found, String> {
    let mut when = when;
    let mut expected = Found::new();
    for line in &case.lines {
        if let Some(range) = line.strip_prefix("expect range vector") {
            let words: Vec<i64> = range.split_whitespace().filter_map(duration).collect();
            if let [start, end, step] = words[..] {
                when = When::Range(start, end, step);
            }
            continue;
        }
        if line.starts_with("expect") {
            continue;
        }
        if let Some(value) = number(line) {
            let steps: Vec<i64> = match when {
                When::At(at) => vec![at],
                When::Range(start, end, step) => (start..=end).step_by(step as usize).collect(),
            };
            expected.push((Labels::default(), steps.iter().map(|at| (*at, value)).collect()));
            continue;
        }
        let (labels, values) = parse_series(line).map_err(|error| error.to_string())?;
        let (start, step) = match when {
            When::At(at) => (at, 0),
            When::Range(start, _, step) => (start, step),
        };
        let points = values.into_iter().enumerate();
        let points = points.filter_map(|(i, v)| Some((start + i as i64 * step, v?)));
        expected.push((labels, points.collect()));
    }
    Ok(expected)
}

fn same_series(expected: &Found, found: &Found, ordered: bool) -> Result<(), String> {
    let mismatch = || format!("found {found:?}, expected {expected:?}");
    if expected.len() != found.len() {
        return Err(mismatch());
    }
    for (index, (labels, points)) in expected.iter().enumerate() {
        let matching = if ordered {
            found.get(index).filter(|(other, _)| other == labels)
        } else {
            found.iter().find(|(other, _)| other == labels)
        };
        let Some((_, values)) = matching else { return Err(mismatch()) };
        let same = values.len() == points.len()
            && values
                .iter()
                .zip(points)
                .all(|((a, x), (b, y))| a == b && almost_equal(*x, *y, TOLERANCE));
        if !same {
            return Err(mismatch());
        }
    }
    Ok(())
}

fn case(line: usize, head: &str, lines: Vec<String>) -> Option<Case> {
    let (command, rest) = head.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (when, text) = if let Some(rest) = rest.strip_prefix("instant") {
        let rest = rest.trim_start().strip_prefix("at")?.trim_start();
        let (at, text) = rest.split_once(char::is_whitespace)?;
        (When::At(duration(at)?), text)
    } else {
        let rest = rest.strip_prefix("range")?.trim_start().strip_prefix("from")?.trim_start();
        let (start, rest) = rest.split_once(" to ")?;
        let (end, rest) = rest.split_once(" step ")?;
        let (step, text) = rest.trim_start().split_once(char::is_whitespace)?;
        (When::Range(duration(start.trim())?, duration(end.trim())?, duration(step)?), text)
    };
    let mut case = Case {
        line,
        text: text.trim().to_owned(),
        when,
        fails: command == "eval_fail",
        ordered: command == "eval_ordered",
        lines,
    };
    case.fails |= !expectations(&case, "fail").is_empty();
    case.ordered |= !expectations(&case, "ordered").is_empty();
    Some(case)
}

/// Milliseconds of a duration; a bare number counts as seconds.
fn duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Some((seconds * 1000.0) as i64);
    }
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    if matches!(text, "0s" | "0m" | "0h" | "0ms") {
        return Some(0);
    }
    let parsed = Expression::parse(text).ok()?;
    match parsed.root().kind {
        ExprKind::Number(seconds) => Some(sign * (seconds * 1000.0).round() as i64),
        _ => None,
    }
}

fn number(text: &str) -> Option<f64> {
    let parsed = Expression::parse(text).ok()?;
    match parsed.root().kind {
        ExprKind::Number(value) => Some(value),
        _ => None,
    }
}
