//! The plan of a recording: arguments and configuration file combined, with every default filled in.
//!
//! Finding the sources is in `sources`, and carrying the plan out is in `recording`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::capture::FileMode;
use crate::cli::Global;
use crate::cli::config::file::{ConfigFile, SourceArgs};
use crate::cli::config::retention::{self, RetentionArgs};
use crate::cli::config::scraping;
use crate::cli::config::subjects::{self, Asking};
use crate::cli::config::tiup;
use crate::cli::config::told::ToldArgs;
use crate::cli::exit::CliError;
use crate::cli::lookup::SUFFIX;
use crate::model::{RunName, TimeRange, Timestamp, Told, Zone, parse_duration_ms};
use crate::record::{Retention, Subject, stamped_name};
use crate::rules;
use crate::source::Selector;

/// The scrape interval of a TiKV deployment.
pub const PROMETHEUS_INTERVAL: Duration = Duration::from_secs(15);

/// The name of a run in segments where none is given: their names contain the time, so it needs none.
const ENDLESS_RUN: &str = "record";

/// The heading of options about a recording, in the help of `record` and `watch`.
pub const RECORDING: &str = "Recording";

/// Arguments of whatever records live: `record` and `watch`.
#[derive(Debug, Default, Args)]
pub struct LiveArgs {
    /// Name of the run. Without it, `watch` calls it `watch`, and `record` by the subject and the time
    #[arg(long, value_name = "NAME", help_heading = RECORDING)]
    pub run: Option<String>,
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How long to record live, such as 10m; without it, until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", help_heading = RECORDING)]
    pub length: Option<String>,
    /// How often Prometheus is copied, or each target scraped [default: 15s]
    #[arg(long, value_name = "DURATION", help_heading = RECORDING)]
    pub interval: Option<String>,
    /// A series selector to copy beside the default ones. Repeatable
    #[arg(long = "match", value_name = "SELECTOR", help_heading = RECORDING)]
    pub matches: Vec<String>,
    /// Copy only what --match selects
    #[arg(long, help_heading = RECORDING)]
    pub no_default_match: bool,
    /// Do not read the settings of stores from their status addresses
    #[arg(long, help_heading = RECORDING)]
    pub no_settings: bool,
    /// What belongs to the system under observation: a name that is built in, or the path of a
    /// subject.toml [default: tikv]
    #[arg(long, value_name = "NAME|FILE", help_heading = RECORDING)]
    pub subject: Option<OsString>,
    /// Serve the recorder's own metrics (/metrics) and whether it commits (/healthz) on this
    /// address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS", help_heading = RECORDING)]
    pub listen: Option<SocketAddr>,
    #[command(flatten)]
    pub told: ToldArgs,
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// A TOML file whose keys are these flags; flags come first
    #[arg(long, value_name = "FILE", help_heading = RECORDING)]
    pub config: Option<PathBuf>,
}

/// The past that `record` copies.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "The past")]
pub struct PastArgs {
    /// Copy the past from here
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Copy the past up to here; without it, up to now
    #[arg(long, value_name = "T", allow_hyphen_values = true, conflicts_with = "length")]
    pub to: Option<String>,
    /// Import PD answers that something else collected (JSON lines, plain or gzip). Repeatable
    #[arg(long, value_name = "FILE")]
    pub pd_log: Vec<PathBuf>,
    /// The zone of times that have none.
    #[arg(skip)]
    pub zone: Zone,
}

/// What to record, with every default filled in.
pub struct Plan {
    /// The name of the run or, in segments, of the current segment.
    pub run: RunName,
    /// The path of its capture.
    pub path: PathBuf,
    /// The permissions of the capture's file.
    pub mode: FileMode,
    /// The system that is recorded.
    pub subject: Subject,
    /// The endpoints and credentials of the sources.
    pub sources: SourceArgs,
    /// The series to copy out of Prometheus.
    pub selectors: Vec<Selector>,
    /// The past to copy first; `None` where nothing of it is copied.
    pub history: Option<TimeRange>,
    /// How long before the past its run-in is copied too, in milliseconds.
    pub run_in_ms: i64,
    /// The live part; `None` where only the past or logs are recorded.
    pub live: Option<Live>,
    /// The time between two copies out of Prometheus, or two scrapes of a target.
    pub interval: Duration,
    /// Whether the settings of stores are read.
    pub settings: bool,
    /// Paths of logs of PD's answers to import.
    pub pd_logs: Vec<PathBuf>,
    /// What somebody said of clusters and nodes.
    pub told: Told,
    /// The address on which the recorder's own metrics are served.
    pub listen: Option<SocketAddr>,
    /// How much is kept; `None` where the recording is a single file.
    pub retention: Option<Retention>,
}

impl Plan {
    /// Whether all that the subject knows is copied out of Prometheus.
    pub fn records_subject(&self) -> bool {
        let by_default = self.subject.selectors();
        !by_default.is_empty() && by_default.iter().all(|one| self.selectors.contains(one))
    }
}

/// The live part of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// When it ends by itself; `None` where it runs until it is stopped.
    pub until: Option<Timestamp>,
}

/// Combines arguments and configuration file into a plan.
///
/// # Errors
///
/// [`CliError::Usage`] where they contradict each other or there is nothing to record, and the errors of
/// reading the files that they name.
pub fn plan(
    global: &Global,
    args: LiveArgs,
    past: PastArgs,
    now: Timestamp,
) -> anyhow::Result<Plan> {
    let PastArgs { from, to, pd_log, zone } = past;
    let file = ConfigFile::read(args.config.as_deref())?;
    let subject =
        subjects::find(args.subject.or(file.subject.clone().map(OsString::from)).as_deref())?;
    let sources = tiup::complete(args.sources.or(file.sources()))?;
    let listen = args.listen.or(file.listen);
    let told = args.told.told()?.or(file.told().told()?);
    let retention = args.retention.clone().or(file.retention()).retention()?;
    let run = match args.run.or(file.run) {
        Some(name) => RunName::new(&name)?,
        None => default_name(&global.dir, &subject, retention, now)?,
    };
    let from = from.or(file.from);
    // A flag that contradicts the file wins over it.
    let length = args.length.or(file.r#for.filter(|_| to.is_none()));
    let to = to.or(file.to.filter(|_| length.is_none()));
    let (history, live) = spans((from.as_deref(), to.as_deref(), zone), length.as_deref(), now)?;
    let pd_logs = if pd_log.is_empty() { file.pd_log } else { pd_log };
    let sources = complete(sources, &subject, &pd_logs)?;
    let only_given = args.no_default_match || file.no_default_match;
    let by_default = !only_given && !sources.scrapes_alone();
    let mut selectors = if by_default { subject.selectors() } else { Vec::new() };
    selectors.extend(parsed(file.r#match.iter().chain(&args.matches))?);
    let interval = interval(args.interval.or(file.interval).as_deref())?;
    if sources.scrape.is_some() {
        let selection = only_given || !selectors.is_empty();
        let beside = scraping::Beside { interval, past: history.is_some(), selection };
        scraping::check(&sources, &beside)?;
    }
    // With logs alone there is nothing to record live.
    let only_logs = sources.pd.is_empty() && sources.prometheus.is_none();
    let live = live.filter(|_| !only_logs);
    let path = global.dir.join(format!("{run}{SUFFIX}"));
    if retention.is_some() {
        check_segments(&run, &subject, live)?;
    }
    Ok(Plan {
        run,
        path,
        mode: global.file_mode,
        subject,
        sources,
        selectors,
        history,
        run_in_ms: rules::run_in_ms(),
        live,
        interval,
        settings: !(args.no_settings || file.no_settings),
        pd_logs,
        told,
        listen,
        retention,
    })
}

/// The name of a run to which nobody gave one.
fn default_name(
    dir: &Path,
    subject: &Subject,
    retention: Option<Retention>,
    now: Timestamp,
) -> anyhow::Result<RunName> {
    match retention {
        Some(_) => Ok(RunName::new(ENDLESS_RUN)?),
        None => unused_name(dir, &stamped_name(subject.name(), now)?),
    }
}

/// The sources with the endpoints of the subject where none are given. Without logs of PD's answers there has to be one.
fn complete(
    sources: SourceArgs,
    subject: &Subject,
    pd_logs: &[PathBuf],
) -> anyhow::Result<SourceArgs> {
    let asking = if pd_logs.is_empty() { Asking::Endpoints } else { Asking::OnlyWhatIsNamed };
    let sources = subjects::complete(sources, subject, asking)?;
    if sources.pd.is_empty() && sources.prometheus.is_none() && pd_logs.is_empty() {
        let text = "nothing to record: give --pd URL, --tiup CLUSTER or --prometheus URL";
        return Err(CliError::Usage(text.to_owned()).into());
    }
    Ok(sources)
}

/// The time between two copies or scrapes.
fn interval(given: Option<&str>) -> anyhow::Result<Duration> {
    given.map_or(Ok(PROMETHEUS_INTERVAL), positive_duration)
}

fn parsed<'a>(selectors: impl Iterator<Item = &'a String>) -> anyhow::Result<Vec<Selector>> {
    Ok(selectors.map(|text| Selector::parse(text)).collect::<Result<_, _>>()?)
}

/// The name, or, where a capture has it, the first of `NAME-2`, `NAME-3` and so on that none has: recordings of two
/// clusters may begin in one second.
fn unused_name(dir: &Path, name: &RunName) -> anyhow::Result<RunName> {
    let is_free = |name: &RunName| !dir.join(format!("{name}{SUFFIX}")).exists();
    let further = (2..).map(|number: u32| RunName::new(&format!("{name}-{number}")));
    for candidate in std::iter::once(Ok(name.clone())).chain(further) {
        let candidate = candidate?;
        if is_free(&candidate) {
            return Ok(candidate);
        }
    }
    unreachable!("the numbers do not end")
}

/// Refuses a recording in segments that is not live, or whose name could be mistaken.
fn check_segments(run: &RunName, subject: &Subject, live: Option<Live>) -> Result<(), CliError> {
    retention::check_name(run, subject.name())?;
    if live.is_none() {
        let text = "--keep and --max-bytes are for what is recorded live";
        return Err(CliError::Usage(text.to_owned()));
    }
    Ok(())
}

/// The plan of `watch`, which records live until it is stopped. The caller may add the past.
///
/// # Errors
///
/// As [`plan`], and where the configuration file names a past to record.
pub fn live_plan(global: &Global, args: LiveArgs, now: Timestamp) -> anyhow::Result<Plan> {
    let plan = plan(global, args, PastArgs::default(), now)?;
    if plan.history.is_some() || plan.live.is_none() || !plan.pd_logs.is_empty() {
        let text = "what is watched happens now: --config names from, to or pd-log";
        return Err(CliError::Usage(text.to_owned()).into());
    }
    Ok(plan)
}

/// The past to copy, and what to record live.
fn spans(
    (from, to, zone): (Option<&str>, Option<&str>, Zone),
    length: Option<&str>,
    now: Timestamp,
) -> anyhow::Result<(Option<TimeRange>, Option<Live>)> {
    let length = length.map(positive_duration).transpose()?;
    let until = length.map(|length| now + i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
    let Some(from) = from else {
        if to.is_some() {
            return Err(CliError::Usage("--to needs --from".to_owned()).into());
        }
        return Ok((None, Some(Live { until })));
    };
    let start = Timestamp::parse_in(from, now, zone)?;
    let until_now = TimeRange::new(start, now);
    let end = to.map_or(Ok(now), |to| Timestamp::parse_within(to, until_now, zone))?;
    if end > now {
        let text = "--to lies in the future: use --for to record live".to_owned();
        return Err(CliError::Usage(text).into());
    }
    if end <= start {
        return Err(CliError::Usage(format!("nothing lies between {start} and {end}")).into());
    }
    let live = until.map(|until| Live { until: Some(until) });
    Ok((Some(TimeRange::new(start, end)), live))
}

/// Parses a duration, which must be longer than zero.
fn positive_duration(text: &str) -> anyhow::Result<Duration> {
    let millis = parse_duration_ms(text)?;
    match u64::try_from(millis) {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err(CliError::Usage(format!("{text:?} is not a length of time")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_795_537_029_202)
    }

    #[test]
    fn a_name_by_the_time_is_never_that_of_another_recording() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let name = RunName::new("tikv-20261129T154342Z").expect("a name");
        let unused = || unused_name(folder.path(), &name).expect("a name").to_string();
        for expected in
            ["tikv-20261129T154342Z", "tikv-20261129T154342Z-2", "tikv-20261129T154342Z-3"]
        {
            assert_eq!(unused(), expected);
            std::fs::write(folder.path().join(format!("{expected}{SUFFIX}")), "").expect("writes");
        }
    }

    #[test]
    fn from_alone_copies_up_to_now_and_ends() {
        let (history, live) =
            spans((Some("-2h"), None, Zone::UTC), None, now()).expect("the times are fine");
        assert_eq!(history, Some(TimeRange::new(now() + -7_200_000, now())));
        assert_eq!(live, None);
    }

    #[test]
    fn from_with_for_goes_on_live() {
        let (history, live) =
            spans((Some("-2h"), None, Zone::UTC), Some("10m"), now()).expect("fine");
        assert!(history.is_some());
        assert_eq!(live, Some(Live { until: Some(now() + 600_000) }));
    }

    #[test]
    fn without_times_the_recording_is_live_and_endless() {
        assert_eq!(
            spans((None, None, Zone::UTC), None, now()).expect("fine"),
            (None, Some(Live { until: None }))
        );
    }

    #[test]
    fn spans_that_hold_nothing_are_refused() {
        for (from, to) in [
            (Some("-1h"), Some("-2h")),
            (Some("-1h"), Some("2100-01-01T00:00:00Z")),
            (None, Some("now")),
        ] {
            assert!(spans((from, to, Zone::UTC), None, now()).is_err(), "{from:?} {to:?}");
        }
    }
}
