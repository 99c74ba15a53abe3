//! `operator rules`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::capture::{CaptureError, CaptureReader};
use crate::cli::commands::rules_test;
use crate::cli::commands::rules_test::TestArgs;
use crate::cli::config::file::read_up_to;
use crate::cli::config::headings::{EVALUATION, INPUT, OUTPUT, TIME};
use crate::cli::config::zone::ZoneArgs;
use crate::cli::exit::{CliError, Code};
use crate::cli::lookup::path_text;
use crate::cli::terminal::output::{self, Format};
use crate::cli::{Global, clock, lookup};
use crate::diagnose::{Damaged, HORIZON_MS, counted};
use crate::model::{
    Loss, TimeRange, Timestamp, canonical_json, did_you_mean, escape_path, parse_duration_ms,
    similar_names,
};
use crate::promql::{Dialect, Engine, EngineOptions, StorageError};
use crate::report;
use crate::rules::{
    self, External, MOST_EVALUATIONS, Near, Outcome, RuleFile, RulesReport, Settings,
    TooManyEvaluations,
};
use crate::session::{CaptureStorage, Session, window_of_steps};

/// The version of the JSON of `operator rules`.
pub(in crate::cli) const SCHEMA: &str = "operator.rules/1";

/// The largest rule file or test file, in MiB: generated ones have tens of thousands of rules.
pub(in crate::cli) const MOST_MIB: u64 = 64;

const DEFAULT_INTERVAL: &str = "15s";
const DEFAULT_TIMEOUT: &str = "2m";

const EXAMPLES: &str = "\
Examples:
  operator rules replay chaos-02            the rules that are built in
  operator rules replay chaos-02 --rules alerts.yaml --step 30s
  operator rules replay chaos-02 --format json
  operator rules check --rules alerts.yaml  whether the file can be read
  operator rules check chaos-02 --rules alerts.yaml
      and what the capture lacks for it
  operator rules test alerts-test.yaml      the tests that promtool runs

Rules are evaluated at whole multiples of their group's interval since 1970, files, groups and \
rules in the order in which they stand. A rule that reads what is absent from the capture cannot \
fire, and that is said; it is not counted as quiet.";

const CHECK_EXAMPLES: &str = "\
Examples:
  operator rules check --rules alerts.yaml
  operator rules check chaos-02 --rules alerts.yaml
  operator rules check chaos-02 --only CriticalError

A PrometheusRule of Kubernetes is read as the rule file that its spec is.

Exits with 0 where all is well, 2 where a file is no rule file, 11 where a rule cannot be \
evaluated over the run, or cannot fire because a metric, a label or a label's value is absent \
from it.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  operator rules replay chaos-02
  operator rules replay chaos-02 --rules alerts.yaml --from -5m
  operator rules replay chaos-02 --rules a.yaml --rules b.yaml --format json
  operator rules replay chaos-02 --near  how near the quiet ones came
  operator rules replay chaos-02 --near=MemoryNearQuota
  operator rules replay chaos-02 --at 16:32

An alert that fires as soon as its series begin, in the first three minutes of a cluster, and is \
then resolved, is listed separately: what it misses has never been there. Exits with 10 where another \
alert fired, 11 where none did and a rule cannot be evaluated or none can fire, else with 0. \
Times: a date and time, a time of day in UTC (16:30:50), unix seconds, or an offset: -5m \
from the end of the capture, +5m from its start.";

/// Arguments of `rules`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RulesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check rule files, and what a run lacks for them
    Check(CheckArgs),
    /// Show which alerts would have fired over a run, when and why
    Replay(ReplayArgs),
    /// Run the tests of rules that promtool runs
    Test(TestArgs),
}

/// Which rules, and whose answers.
#[derive(Debug, Args)]
struct RuleSet {
    /// A Prometheus rule file; may be given several times [default: the rules that are built in]
    #[arg(long = "rules", value_name = "FILE", help_heading = INPUT)]
    files: Vec<PathBuf>,
    /// Tell of this rule alone; all are evaluated
    #[arg(long, value_name = "RULE", help_heading = OUTPUT)]
    only: Option<String>,
    /// Whose answers to give, such as 2.42 or 3 [default: those of the recorded server]
    #[arg(long, value_name = "VERSION", help_heading = EVALUATION)]
    prometheus_version: Option<String>,
}

/// Arguments of `rules check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
struct CheckArgs {
    /// A run's name, `latest`, or the path of a capture or of an exported file
    #[arg(value_name = "RUN")]
    run: Option<OsString>,
    #[command(flatten)]
    set: RuleSet,
}

/// Arguments of `rules replay`.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_EXAMPLES)]
struct ReplayArgs {
    /// A run's name, `latest`, or the path of a capture or of an exported file
    #[arg(value_name = "RUN")]
    run: OsString,
    #[command(flatten)]
    set: RuleSet,
    #[command(flatten)]
    span: Span,
}

/// When rules are evaluated, and what is reported of them.
#[derive(Debug, Args)]
#[command(next_help_heading = TIME)]
struct Span {
    /// The interval of groups that state none
    #[arg(long = "step", visible_alias = "interval", value_name = "DURATION", default_value = DEFAULT_INTERVAL, help_heading = EVALUATION)]
    interval: String,
    /// Begin here instead of at the capture's start
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    from: Option<String>,
    /// Evaluate up to here, this instant included, instead of to the capture's end
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    to: Option<String>,
    /// Answer as of this instant: evaluate up to here, from an hour before on unless --from says more
    #[arg(long, value_name = "T", allow_hyphen_values = true, conflicts_with = "to")]
    at: Option<String>,
    #[command(flatten)]
    zone: ZoneArgs,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = DEFAULT_TIMEOUT, help_heading = EVALUATION)]
    timeout: String,
    /// Show how near rules came: the value nearest to each number, when, and for how long. Of the rules that
    /// stayed quiet (`quiet`), of those that fired too (`all`), or of the rule of this name alone
    #[arg(long, value_name = "quiet|all|RULE", num_args = 0..=1, require_equals = true,
          default_missing_value = "quiet", help_heading = OUTPUT)]
    near: Option<String>,
}

/// Checks or replays rules.
///
/// # Errors
///
/// Where there is no such run, it cannot be read, or a file is no rule file.
pub fn run(global: &Global, args: &RulesArgs) -> anyhow::Result<Code> {
    match &args.command {
        Command::Check(args) => check(global, args),
        Command::Replay(args) => replay(global, args),
        Command::Test(args) => rules_test::run(global, args),
    }
}

fn load(set: &RuleSet) -> anyhow::Result<Vec<RuleFile>> {
    let files = match set.files.as_slice() {
        [] => rules::bundled(),
        files => files.iter().map(|path| read(path)).collect::<Result<_, _>>()?,
    };
    check_name("--only", set.only.as_deref(), &files)?;
    Ok(files)
}

/// Reads a rule file.
///
/// # Errors
///
/// Where it cannot be read or is no rule file.
pub(in crate::cli) fn read(path: &Path) -> anyhow::Result<RuleFile> {
    Ok(RuleFile::parse(&escape_path(path), &read_up_to(path, MOST_MIB)?)?)
}

fn check(global: &Global, args: &CheckArgs) -> anyhow::Result<Code> {
    let files = load(&args.set)?;
    let Some(run) = &args.run else {
        let groups = files.iter().flat_map(|file| &file.groups);
        let rules: usize = groups.map(|group| group.rules.len()).sum();
        match global.format {
            Format::Json => output::json(&json!({ "schema": SCHEMA, "rules": rules }))?,
            Format::Text => {
                output::line(&format!("{} can be read", counted(rules as u64, "rule")))?
            }
        }
        return Ok(Code::Ok);
    };
    let replayed = Replayed::new(global, run, &args.set, &files, &Span::default())?;
    let report = &replayed.report;
    match global.format {
        Format::Json => {
            let rules = report.rules().filter(|rule| !rule.missing.is_empty());
            let lacking: Vec<_> = rules
                .map(|rule| {
                    let cannot = rule.outcome == Outcome::CannotFire;
                    json!({ "name": rule.name, "cannot_fire": cannot, "missing": rule.missing })
                })
                .collect();
            let failed = report.rules().filter(|rule| rule.failures.is_some());
            let failed: Vec<_> = failed
                .map(|rule| json!({ "name": rule.name, "failures": rule.failures }))
                .collect();
            let rules = report.rules().count();
            output::json(&json!({
                "schema": SCHEMA, "rules": rules, "lacking": lacking, "failed": failed,
            }))?;
        }
        Format::Text => {
            output::write(report::rules_check_text(&path_text(Path::new(run)), report).as_bytes())?
        }
    }
    replayed.check_damage()?;
    let lacks = report.count(Outcome::CannotFire) > 0;
    let fails = report.rules().any(|rule| rule.failures.is_some());
    Ok(if lacks || fails { Code::CannotTell } else { Code::Ok })
}

fn replay(global: &Global, args: &ReplayArgs) -> anyhow::Result<Code> {
    let files = load(&args.set)?;
    let replayed = Replayed::new(global, &args.run, &args.set, &files, &args.span)?;
    let report = &replayed.report;
    match global.format {
        Format::Json => {
            let mut value = serde_json::to_value(report)?;
            value["schema"] = json!(SCHEMA);
            value["run"] = json!(replayed.run);
            if let Some(loss) = &replayed.loss {
                value["damage"] = json!(Damaged::new(loss));
            }
            output::write(format!("{}\n", canonical_json(&value)).as_bytes())?;
        }
        Format::Text => {
            if let Some(loss) = &replayed.loss {
                output::line(&Damaged::new(loss).summary)?;
            }
            output::write(report::rules_text(&replayed.run, report).as_bytes())?;
        }
    }
    replayed.check_damage()?;
    Ok(if report.count(Outcome::Fired) > 0 {
        Code::Fault
    } else if report.count(Outcome::Error) > 0 || none_can_fire(report) {
        Code::CannotTell
    } else {
        Code::Ok
    })
}

/// Whether what they read is absent for every rule that alerts.
fn none_can_fire(report: &RulesReport) -> bool {
    let could = [Outcome::Quiet, Outcome::Pending, Outcome::FiredAtStart];
    let could: usize = could.into_iter().map(|outcome| report.count(outcome)).sum();
    report.count(Outcome::CannotFire) > 0 && could == 0
}

/// The result of evaluating rules over a run.
struct Replayed {
    run: String,
    report: RulesReport,
    path: PathBuf,
    /// The observations that damage has made unreadable; `None` where there are none.
    loss: Option<Loss>,
    damage: usize,
}

impl Replayed {
    fn new(
        global: &Global,
        run: &OsStr,
        set: &RuleSet,
        files: &[RuleFile],
        span: &Span,
    ) -> anyhow::Result<Self> {
        let path = lookup::find(&global.dir, run)?;
        let reader = CaptureReader::open(&path)?;
        let storage = CaptureStorage::new(&reader);
        storage.announce(rules::metrics_read(files));
        let version = set.prometheus_version.as_deref();
        let dialect = version.map_or_else(|| storage.dialect(), Dialect::of_version);
        let engine = Engine::new(EngineOptions {
            interrupt: Some(clock::stop_after(&span.timeout)?),
            ..EngineOptions::new(dialect)
        });
        let interval_ms = span.interval_ms()?;
        check_name("--near", span.near().name(), files)?;
        let window = span.window(&reader, shortest_interval(files, interval_ms))?;
        let settings = Settings {
            window,
            run_in_from: reader.run_in_from(window),
            interval_ms,
            metrics: &report::metric_names(&reader),
            external: External::default(),
            near: span.near(),
        };
        let mut report =
            rules::replay(files, &storage, &engine, &settings).map_err(cannot_replay)?;
        for name in span.near().name().into_iter().chain(set.only.as_deref()) {
            report.retain(name);
        }
        // The last instant was evaluated, and is shown as it was given.
        if (span.to.is_some() || span.at.is_some()) && window.end < reader.window().end {
            report.window.end = window.end.saturating_add_millis(-1);
        }
        if span.near.is_some() {
            let nodes = Session::open(&path)?.evidence()?.nodes;
            report.name_nodes(|instance| {
                let store = nodes.store_of_instance(instance)?;
                Some(nodes.stores[store].name())
            });
        }
        // No rule reads gaps, but where one is lost, what rules found absent may not have been observed.
        reader.gaps()?;
        Ok(Self {
            run: reader.meta().run.to_string(),
            report,
            path: path.shown().to_owned(),
            loss: reader.loss()?,
            damage: reader.damaged_rows(),
        })
    }

    /// Fails where parts of the capture could not be read.
    fn check_damage(&self) -> Result<(), CliError> {
        CliError::unless_whole(&self.path, self.damage)
    }
}

/// Refuses the name of a rule that is in none of the files.
fn check_name(flag: &str, name: Option<&str>, files: &[RuleFile]) -> Result<(), CliError> {
    let rules = || files.iter().flat_map(|file| &file.groups).flat_map(|group| &group.rules);
    let names = || rules().map(|rule| rule.name.as_str());
    let Some(name) = name.filter(|name| names().all(|known| known != *name)) else {
        return Ok(());
    };
    let near = did_you_mean(&similar_names(name, names(), |_| 0.6, 3));
    Err(CliError::Usage(format!("{flag}: there is no rule {name:?}{near}")))
}

/// The shortest interval of all groups, in milliseconds.
fn shortest_interval(files: &[RuleFile], otherwise: i64) -> i64 {
    let groups = files.iter().flat_map(|file| &file.groups);
    groups.map(|group| group.interval_ms.unwrap_or(otherwise)).min().unwrap_or(otherwise)
}

fn cannot_replay(error: StorageError) -> anyhow::Error {
    match error.downcast::<TooManyEvaluations>() {
        Ok(error) => {
            let text = format!(
                "{error}: narrow the window with --from and --to, or evaluate less often with --step"
            );
            CliError::Usage(text).into()
        }
        Err(error) => {
            // As what it is, it has an exit code.
            let error = match error.downcast::<CaptureError>() {
                Ok(error) => anyhow::Error::new(*error),
                Err(error) => anyhow::anyhow!(error),
            };
            error.context("cannot read series")
        }
    }
}

impl Span {
    /// The window that was given, or that of the run without samples that are years apart.
    fn window(&self, reader: &CaptureReader, interval_ms: i64) -> anyhow::Result<TimeRange> {
        let whole = reader.window();
        if self.from.is_none() && self.to.is_none() && self.at.is_none() {
            let window = window_of_steps(reader, interval_ms, MOST_EVALUATIONS)?;
            if window != whole {
                tracing::warn!(
                    "samples lie from {} to {}: evaluated where most was observed, from {} to {}",
                    whole.start,
                    whole.end,
                    window.start,
                    window.end
                );
            }
            return Ok(window);
        }
        let zone = self.zone.at(whole.end);
        let parse = |text: &Option<String>, otherwise| {
            text.as_deref().map_or(Ok(otherwise), |text| Timestamp::parse_within(text, whole, zone))
        };
        // An evaluation at the last instant belongs to it, as in a range query of Prometheus.
        let last = match (&self.to, &self.at) {
            (None, None) => whole.end,
            (to, at) => parse(to.as_ref().map_or(at, |_| to), whole.end)?.saturating_add_millis(1),
        };
        let from = match &self.at {
            Some(_) => last.saturating_add_millis(-HORIZON_MS - 1),
            None => whole.start,
        };
        let window = TimeRange::new(parse(&self.from, from)?, last);
        let covers = format!("the capture covers {} to {}", whole.start, whole.end);
        if self.at.is_some() && last > whole.end {
            let at = last.saturating_add_millis(-1);
            return Err(CliError::Usage(format!("{at} was not recorded: {covers}")).into());
        }
        let window = TimeRange::new(window.start.max(whole.start), window.end.min(whole.end));
        if window.is_empty() && !whole.is_empty() {
            return Err(CliError::Usage(format!("nothing was recorded then: {covers}")).into());
        }
        Ok(window)
    }

    fn near(&self) -> Near<'_> {
        match self.near.as_deref() {
            None => Near::None,
            Some("quiet") => Near::Quiet,
            Some("all") => Near::All,
            Some(name) => Near::Of(name),
        }
    }

    fn interval_ms(&self) -> anyhow::Result<i64> {
        match parse_duration_ms(&self.interval)? {
            interval @ 1.. => Ok(interval),
            _ => Err(CliError::Usage("an interval of zero has no end".to_owned()).into()),
        }
    }
}

impl Default for Span {
    fn default() -> Self {
        Self {
            interval: DEFAULT_INTERVAL.to_owned(),
            from: None,
            to: None,
            at: None,
            zone: ZoneArgs::default(),
            timeout: DEFAULT_TIMEOUT.to_owned(),
            near: None,
        }
    }
}
