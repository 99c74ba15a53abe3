//! `operator query`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;

use clap::Args;
use serde_json::json;

use crate::capture::CaptureReader;
use crate::cli::config::headings::{EVALUATION, OUTPUT, TIME};
use crate::cli::config::zone::ZoneArgs;
use crate::cli::exit::CliError;
use crate::cli::terminal::output::{self, AnyFormat};
use crate::cli::terminal::remarks::remark;
use crate::cli::{Global, clock, lookup};
use crate::model::{Comparison, MatcherText};
use crate::model::{Labels, TimeRange, Timestamp, escape_json, parse_duration_ms};
use crate::promql::{Answer, Dialect, Engine, EngineOptions, Expression, MatcherCache};
use crate::report;
use crate::session::{CaptureStorage, PD_METRICS, unrecorded};

/// The number of points of a range for which no step is given.
const DEFAULT_POINTS: i64 = 250;

const EXAMPLES: &str = "\
Examples:
  operator query chaos-02 \\
      'sum by (instance) (rate(tikv_grpc_msg_duration_seconds_count[1m]))'
  operator query chaos-02 up --at -5m
  operator query chaos-02 'rate(process_cpu_seconds_total[1m])' --plot
  operator query chaos-02 up --from -5m --step 15s --format csv
  operator query chaos-02 --metrics 'tikv_raftstore_.*'

Times: a date and time, a time of day in UTC (16:30:50), unix seconds, or an offset: -5m \
from the end of the run, +5m from its start.

In CSV, what a terminal obeys or does not show is escaped, and text that a spreadsheet would \
take for a formula has a ' before it; numbers stand as they are.";

/// Arguments of `query`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct QueryArgs {
    /// A run's name, `latest`, or the path of a capture or of an exported file
    #[arg(value_name = "RUN")]
    run: OsString,
    /// A PromQL expression
    #[arg(value_name = "EXPR", required_unless_present = "metrics")]
    expression: Option<String>,
    /// The instant of evaluation [default: the end of the run]
    #[arg(long = "at", visible_alias = "time", value_name = "TIME", help_heading = TIME, conflicts_with_all = ["start", "end", "step", "plot"], allow_hyphen_values = true)]
    time: Option<String>,
    /// Where a range query begins [default: the start of the run]
    #[arg(long = "from", visible_alias = "start", value_name = "TIME", help_heading = TIME, allow_hyphen_values = true)]
    start: Option<String>,
    /// Where a range query ends [default: the end of the run]
    #[arg(long = "to", visible_alias = "end", value_name = "TIME", help_heading = TIME, allow_hyphen_values = true)]
    end: Option<String>,
    /// The step of a range query [default: as many seconds as make 250 points]
    #[arg(long, value_name = "DURATION", help_heading = TIME)]
    step: Option<String>,
    #[command(flatten)]
    zone: ZoneArgs,
    /// Plot the series of a range query
    #[arg(long, help_heading = OUTPUT)]
    plot: bool,
    /// Columns of the plot, the same on every terminal, so that its bytes are too
    #[arg(long, value_name = "COLUMNS", default_value_t = 80, requires = "plot", help_heading = OUTPUT)]
    width: usize,
    /// List metrics instead: those that a regular expression matches
    #[arg(
        long,
        value_name = "PATTERN",
        num_args = 0..=1,
        default_missing_value = ".*",
        help_heading = OUTPUT,
        conflicts_with_all = ["expression", "time", "start", "end", "step", "plot"]
    )]
    metrics: Option<String>,
    /// Whose answers to give, such as 2.42 or 3 [default: those of the recorded server]
    #[arg(long, value_name = "VERSION", help_heading = EVALUATION)]
    prometheus_version: Option<String>,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "2m", help_heading = EVALUATION)]
    timeout: String,
}

/// The instant or the range of an evaluation.
enum When {
    At(Timestamp),
    Range { start: Timestamp, end: Timestamp, step_ms: i64 },
}

/// Evaluates an expression over a capture.
///
/// # Errors
///
/// Where there is no such run, where the expression is not PromQL, or where it cannot be evaluated, and
/// where a part that was read is damaged.
pub fn run(global: &Global, args: &QueryArgs) -> anyhow::Result<()> {
    let path = lookup::find(&global.dir, &args.run)?;
    let reader = CaptureReader::open(&path)?;
    let storage = CaptureStorage::new(&reader);
    let dialect = args.prometheus_version.as_deref().map_or(storage.dialect(), Dialect::of_version);
    if let Some(pattern) = &args.metrics {
        return list_metrics(global, (&reader, &storage), pattern, dialect);
    }
    let text = args.expression.as_deref().unwrap_or_default();
    let expression = Expression::parse(text)?;
    let engine = Engine::new(EngineOptions {
        interrupt: Some(clock::stop_after(&args.timeout)?),
        ..EngineOptions::new(dialect)
    });
    let (mut answer, range) = match when(args, reader.window())? {
        When::At(at) => {
            if args.time.is_none() && !global.quiet {
                remark(&format!(
                    "evaluated at {at}, the end of the run; --at names another instant"
                ));
            }
            (engine.instant(&expression, &storage, at)?, TimeRange::new(at, at))
        }
        When::Range { start, end, step_ms } => {
            let answer = engine.range(&expression, &storage, (start, end), step_ms)?;
            (answer, TimeRange::new(start, end))
        }
    };
    for info in unrecorded(&reader, &expression, range)? {
        answer.annotations.inform(info);
    }
    write(global, args, &answer, range)?;
    if !global.quiet {
        write_remarks((&reader, &storage), &expression, &answer, range)?;
    }
    Ok(CliError::unless_whole(path.shown(), reader.damaged_rows())?)
}

/// Lists the metrics whose whole name `pattern` matches.
fn list_metrics(
    global: &Global,
    (reader, storage): (&CaptureReader, &CaptureStorage<'_>),
    pattern: &str,
    dialect: Dialect,
) -> anyhow::Result<()> {
    let condition = MatcherText {
        name: "__name__".to_owned(),
        comparison: Comparison::Regex,
        value: pattern.to_owned(),
    };
    let matchers =
        MatcherCache::default().matchers(&[condition], dialect).map_err(CliError::Usage)?;
    let mut metrics = report::Metrics::default();
    let mut add = |labels: &Labels| {
        if matchers.iter().all(|matcher| matcher.matches(labels)) {
            metrics.add(labels);
        }
    };
    reader.visit_series(&mut add);
    storage.pd()?.series().iter().for_each(|series| add(&series.labels));
    let report::Metrics(metrics) = metrics;
    match global.wide_format {
        AnyFormat::Json => {
            let metrics: BTreeMap<_, _> = metrics
                .iter()
                .map(|(name, metric)| {
                    let labels: BTreeMap<_, _> =
                        metric.labels.iter().map(|(name, values)| (name, values.len())).collect();
                    (name, json!({ "series": metric.series, "labels": labels }))
                })
                .collect();
            Ok(output::json(&json!({ "schema": 1, "metrics": metrics }))?)
        }
        AnyFormat::Text if metrics.is_empty() => {
            let names = report::metric_names(reader);
            Ok(output::line(&report::no_metric(pattern, &names))?)
        }
        AnyFormat::Text => Ok(output::write(report::metrics_text(&metrics).as_bytes())?),
        _ => Err(CliError::Usage("a list of metrics comes as text or json".to_owned()).into()),
    }
}

fn when(args: &QueryArgs, window: TimeRange) -> anyhow::Result<When> {
    let last = window.end.saturating_add_millis(-1).max(window.start);
    let zone = args.zone.at(last);
    let instant = |text: &Option<String>, default: Timestamp| match text {
        Some(text) => Timestamp::parse_within(text, TimeRange::new(window.start, last), zone),
        None => Ok(default),
    };
    if args.start.is_none() && args.end.is_none() && args.step.is_none() && !args.plot {
        return Ok(When::At(instant(&args.time, last)?));
    }
    let (start, end) = (instant(&args.start, window.start)?, instant(&args.end, last)?);
    let step_ms = match &args.step {
        Some(text) => parse_duration_ms(text)?,
        None => {
            let seconds = (end - start).saturating_add(999) / 1000;
            (seconds.saturating_add(DEFAULT_POINTS - 1) / DEFAULT_POINTS).max(1) * 1000
        }
    };
    if step_ms <= 0 {
        return Err(CliError::Usage("--step takes a time that is longer than 0".to_owned()).into());
    }
    if start > end {
        let text = format!("--from {start} is after --to {end}");
        return Err(CliError::Usage(text).into());
    }
    Ok(When::Range { start, end, step_ms })
}

fn write(
    global: &Global,
    args: &QueryArgs,
    answer: &Answer,
    range: TimeRange,
) -> anyhow::Result<()> {
    let bytes = match global.wide_format {
        AnyFormat::Json => format!("{}\n", escape_json(&answer.to_api_json())).into_bytes(),
        AnyFormat::Csv => report::query_csv(answer).into_bytes(),
        AnyFormat::Parquet if std::io::stdout().is_terminal() => {
            let why = "parquet is not for a terminal: redirect stdout into a file";
            return Err(CliError::Usage(why.to_owned()).into());
        }
        AnyFormat::Parquet => parquet(answer)?,
        // Dispatch lets no other format through but text.
        _ if args.plot => report::query_plot(answer, range, args.width).into_bytes(),
        _ => report::query_text(answer).into_bytes(),
    };
    Ok(output::write(&bytes)?)
}

#[cfg(feature = "frames")]
fn parquet(answer: &Answer) -> anyhow::Result<Vec<u8>> {
    Ok(report::query_parquet(answer)?)
}

#[cfg(not(feature = "frames"))]
fn parquet(_: &Answer) -> anyhow::Result<Vec<u8>> {
    let why =
        "this program was built without Parquet: build it with `--features frames`, or use csv";
    Err(CliError::Usage(why.to_owned()).into())
}

/// Writes the remarks about an answer over `range` to stderr: annotations, damage, a time of which nothing was
/// recorded, and metrics that do not exist.
fn write_remarks(
    (reader, storage): (&CaptureReader, &CaptureStorage<'_>),
    expression: &Expression,
    answer: &Answer,
    range: TimeRange,
) -> anyhow::Result<()> {
    for text in answer.annotations.warnings().chain(answer.annotations.infos()) {
        remark(text);
    }
    for damage in reader.damage() {
        remark(&format!("damaged: {}: {}", damage.part, damage.why));
    }
    let mut asked: Vec<&str> =
        expression.selectors().iter().filter_map(|selector| selector.metric()).collect();
    asked.sort_unstable();
    asked.dedup();
    let run = reader.window();
    let is_outside = range.start >= run.end || range.end < run.start;
    if answer.value.is_empty() && is_outside && !run.is_empty() {
        remark(&format!("note: the capture covers {} to {}", run.start, run.end));
    }
    let recorded = reader.metrics();
    for name in asked {
        let is_there = match PD_METRICS.iter().any(|metric| metric.name == name) {
            true => storage.pd()?.series().iter().any(|series| series.labels.metric() == name),
            false => recorded.iter().any(|known| known == name),
        };
        if !is_there {
            remark(&report::missing_metric(reader, name));
        }
    }
    Ok(())
}
