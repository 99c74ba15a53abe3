//! The official expressions on both sides: a real Prometheus over a run's blocks, and ours over
//! the capture of the same samples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use operator::capture::CaptureReader;
use operator::model::{LabelMatcher, TimeRange, Timestamp};
use operator::promql::{Answer, Engine, EngineOptions, Expression};
use operator::session::CaptureStorage;

use crate::official;
use testkit::prometheus::api::{
    Api, Points, Reply, Stats, Verdict, compare, first_difference, points_of,
};
use testkit::prometheus::server::{Prometheus, block_window};

/// Instants at which every expression is evaluated.
const INSTANTS: i64 = 20;
/// The step of range queries: the scrape interval.
const STEP_MS: i64 = 15_000;

/// Times of one kind of evaluation.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn line(&mut self, name: &str) -> String {
        self.0.sort();
        let at = |share: f64| {
            let index = ((self.0.len() as f64 - 1.0) * share).round().max(0.0) as usize;
            self.0.get(index).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        let total: Duration = self.0.iter().sum();
        format!(
            "  {name:<28} p50 {:>8.3} ms  p95 {:>8.3} ms  total {:>9.3} s",
            at(0.5),
            at(0.95),
            total.as_secs_f64()
        )
    }
}

/// Everything counted over one run.
#[derive(Default)]
struct Tally {
    verdicts: BTreeMap<Verdict, usize>,
    http: Times,
    engine: Times,
    warm: Times,
    cold: Times,
}

/// Where expressions and samples come from.
pub struct Sources {
    /// A file of expressions, one a line.
    pub expressions: PathBuf,
    /// A table of rules.
    pub rules: Option<PathBuf>,
    /// A folder of captures.
    pub captures: PathBuf,
}

/// Compares every run, evaluating expressions over the capture of the same samples.
pub async fn run(runs: &[PathBuf], sources: &Sources) -> Result<()> {
    let path = &sources.expressions;
    let templates =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let variables = variables(path)?;
    let rules = sources.rules.as_deref().map(official::read).transpose()?.unwrap_or_default();
    let rules: Vec<String> = rules.into_iter().map(|rule| rule.expr).collect();
    for run in runs {
        let name = crate::name_of(run);
        let number = name.rsplit('-').next().unwrap_or_default();
        let capture = sources.captures.join(format!("chaos-{number}.capture"));
        let reader = CaptureReader::open(&capture)?;
        let instance = first_instance(&reader)?;
        let dashboards: Vec<String> = templates
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|line| substituted(line, &variables, &instance))
            .collect();
        let scratch = tempfile::tempdir()?;
        let server = Prometheus::start(&run.join("prometheus"), scratch.path()).await?;
        let api = Api::new(&server.url, Stats::Asked)?;
        let window = block_window(&run.join("prometheus"))?;
        for (kind, expressions) in [("dashboards", &dashboards), ("rules", &rules)] {
            let tally = compare_run(&api, &reader, window, expressions).await?;
            report(&format!("{name}, {kind}"), expressions.len(), tally);
        }
        server.stop().await?;
    }
    Ok(())
}

fn report(name: &str, expressions: usize, mut tally: Tally) {
    println!("{name}: {expressions} expressions at {INSTANTS} instants and over the run");
    for (verdict, count) in &tally.verdicts {
        println!("  {:<28} {count:>8}", format!("{verdict:?}"));
    }
    println!("{}", tally.http.line("server over HTTP"));
    println!("{}", tally.engine.line("server's engine"));
    println!("{}", tally.warm.line("ours, capture warm"));
    println!("{}", tally.cold.line("ours, series decoded anew"));
}

async fn compare_run(
    api: &Api,
    reader: &CaptureReader,
    window: TimeRange,
    expressions: &[String],
) -> Result<Tally> {
    let storage = CaptureStorage::new(reader);
    let engine = Engine::new(EngineOptions::new(api.dialect().await?));
    let (start, end) = (window.start.as_millis(), window.end.as_millis() - 1);
    let mut tally = Tally::default();
    for text in expressions {
        let parsed = Expression::parse(text).map_err(|error| error.to_string());
        let ours = |storage: &CaptureStorage<'_>, at: Option<i64>| -> Result<Answer, String> {
            let parsed = parsed.as_ref().map_err(Clone::clone)?;
            let answer = match at {
                Some(at) => engine.instant(parsed, storage, Timestamp::from_millis(at)),
                None => {
                    let range = (Timestamp::from_millis(start), Timestamp::from_millis(end));
                    engine.range(parsed, storage, range, STEP_MS)
                }
            };
            answer.map_err(|error| error.to_string())
        };
        let cold = CaptureStorage::new(reader);
        let (_, took) = timed(|| ours(&cold, None));
        tally.cold.0.push(took);
        for step in 0..=INSTANTS {
            let at = (step < INSTANTS).then(|| start + (end - start) * step / (INSTANTS - 1));
            let Reply { answer, engine_seconds, took, .. } = match at {
                Some(at) => api.instant(text, at).await?,
                None => api.range(text, (start, end), STEP_MS).await?,
            };
            tally.http.0.push(took);
            tally.engine.0.push(Duration::from_secs_f64(engine_seconds));
            let (found, took) = timed(|| ours(&storage, at));
            tally.warm.0.push(took);
            let found = found.as_ref().map(points_of).map_err(Clone::clone);
            let verdict = compare(&answer, &found);
            *tally.verdicts.entry(verdict).or_default() += 1;
            if verdict >= Verdict::ServerFails {
                explain(text, at, &answer, &found);
                let again = match at {
                    Some(at) => api.instant(text, at).await?,
                    None => api.range(text, (start, end), STEP_MS).await?,
                };
                if compare(&answer, &again.answer) >= Verdict::ServerFails {
                    println!("    asked again, the server contradicts itself");
                }
            }
        }
    }
    Ok(tally)
}

fn explain(
    text: &str,
    at: Option<i64>,
    server: &Result<Points, String>,
    ours: &Result<Points, String>,
) {
    let when = at.map_or("range".to_owned(), |at| at.to_string());
    let why = match (server, ours) {
        (Ok(server), Ok(ours)) => first_difference(server, ours),
        (Err(error), _) => format!("server: {error}"),
        (_, Err(error)) => format!("we: {error}"),
    };
    println!("  {when} {text}\n    {why}");
}

/// Values of dashboard variables, from the table beside the expressions.
fn variables(expressions: &Path) -> Result<Vec<(String, String)>> {
    let path = expressions.with_file_name("dashboard-variables.tsv");
    let table = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let mut found: Vec<(String, String)> = table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("variable\t"))
        .filter_map(|line| {
            let mut cells = line.split('\t');
            Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
        })
        .collect();
    // Longer names first, since one may begin another.
    found.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    Ok(found)
}

fn substituted(template: &str, variables: &[(String, String)], instance: &str) -> String {
    let mut text = template.replace("=\"$instance\"", &format!("=\"{instance}\""));
    text = text.replace("=~\"$command\"", "=~\".*\"");
    for (name, value) in variables {
        text = text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
    }
    text
}

fn first_instance(reader: &CaptureReader) -> Result<String> {
    let up = reader.select(&[LabelMatcher::equal("__name__", "up")], TimeRange::ALL)?;
    let tikv =
        up.iter().find(|series| series.labels.get("job").is_some_and(|j| j.contains("tikv")));
    let series = tikv.or(up.first()).context("the capture has no series of `up`")?;
    Ok(series.labels.get("instance").unwrap_or_default().to_owned())
}

fn timed<T>(f: impl FnOnce() -> T) -> (T, Duration) {
    let begun = now();
    let result = f();
    (result, begun.elapsed())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
