//! What is to be recorded: arguments and configuration file put together, nothing left open.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::capture::FileMode;
use crate::cli::Global;
use crate::cli::config::file::{ConfigFile, SourceArgs};
use crate::cli::config::retention::{self, RetentionArgs};
use crate::cli::config::subjects::{self, Asking};
use crate::cli::exit::CliError;
use crate::cli::lookup::SUFFIX;
use crate::model::{RunName, TimeRange, Timestamp, parse_duration_ms};
use crate::record::{Retention, Subject, stamped_name};
use crate::source::Selector;

/// The scrape interval of a TiKV deployment.
const PROMETHEUS_INTERVAL: Duration = Duration::from_secs(15);

/// The run's name where none is given and only a part of it is kept: the time stands in the names of
/// its segments.
const ENDLESS_RUN: &str = "record";

/// Arguments of whatever records live: `record` and `watch`.
#[derive(Debug, Default, Args)]
pub struct LiveArgs {
    /// Name of the run; without it, one from the subject and the time
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How long to record live
    #[arg(long = "for", value_name = "DURATION")]
    pub length: Option<String>,
    /// How often Prometheus is copied [default: 15s]
    #[arg(long, value_name = "DURATION")]
    pub interval: Option<String>,
    /// A series selector to copy beside the default ones. Repeatable
    #[arg(long = "match", value_name = "SELECTOR")]
    pub matches: Vec<String>,
    /// Copy only what --match selects
    #[arg(long)]
    pub no_default_match: bool,
    /// What belongs to the system under observation: a name that is built in, or the path of a
    /// subject.toml [default: tikv]
    #[arg(long, value_name = "NAME|FILE")]
    pub subject: Option<OsString>,
    /// Serve the recorder's own metrics (/metrics) and whether it commits (/healthz) on this
    /// address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// A TOML file whose keys are these flags; flags come first
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The past that `record` copies.
#[derive(Debug, Default, Args)]
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
}

/// What to record, with nothing left open.
pub struct Plan {
    /// The run's name.
    pub run: RunName,
    /// Where its capture lies.
    pub path: PathBuf,
    /// Who may read it.
    pub mode: FileMode,
    /// What is recorded.
    pub subject: Subject,
    /// Where from.
    pub sources: SourceArgs,
    /// Which series.
    pub selectors: Vec<Selector>,
    /// The past to copy first.
    pub history: Option<TimeRange>,
    /// The live part, if there is one.
    pub live: Option<Live>,
    /// How often Prometheus is copied.
    pub interval: Duration,
    /// Logs of PD's answers to import.
    pub pd_logs: Vec<PathBuf>,
    /// Where the recorder's own metrics are served.
    pub listen: Option<SocketAddr>,
    /// How much is kept, where the recording lies in segments.
    pub retention: Option<Retention>,
}

/// The live part of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// Puts arguments and configuration file together.
///
/// # Errors
///
/// Where they make no sense together, or there is nothing to record.
pub fn plan(
    global: &Global,
    args: LiveArgs,
    past: PastArgs,
    now: Timestamp,
) -> anyhow::Result<Plan> {
    let PastArgs { from, to, pd_log } = past;
    let file = ConfigFile::read(args.config.as_deref())?;
    let subject =
        subjects::find(args.subject.or(file.subject.clone().map(OsString::from)).as_deref())?;
    let sources = args.sources.or(file.sources());
    let listen = args.listen.or(file.listen);
    let retention = args.retention.clone().or(file.retention()).retention()?;
    let run = match args.run.or(file.run) {
        Some(name) => RunName::new(&name)?,
        None if retention.is_some() => RunName::new(ENDLESS_RUN)?,
        None => stamped_name(subject.name(), now)?,
    };
    let from = from.or(file.from);
    // A flag that contradicts the file wins over it.
    let length = args.length.or(file.r#for.filter(|_| to.is_none()));
    let to = to.or(file.to.filter(|_| length.is_none()));
    let (history, live) = spans(from.as_deref(), to.as_deref(), length.as_deref(), now)?;
    let pd_logs = if pd_log.is_empty() { file.pd_log } else { pd_log };
    let asking = if pd_logs.is_empty() { Asking::Endpoints } else { Asking::OnlyWhatIsNamed };
    let sources = subjects::complete(sources, &subject, asking)?;
    if sources.pd.is_empty() && sources.prometheus.is_none() && pd_logs.is_empty() {
        let text = "nothing to record: give --pd, --prometheus or --pd-log";
        return Err(CliError::Usage(text.to_owned()).into());
    }
    let mut selectors = Vec::new();
    if !(args.no_default_match || file.no_default_match) {
        selectors.extend(subject.selectors());
    }
    for text in file.r#match.iter().chain(&args.matches) {
        selectors.push(Selector::parse(text)?);
    }
    let interval = match args.interval.or(file.interval) {
        Some(text) => positive_duration(&text)?,
        None => PROMETHEUS_INTERVAL,
    };
    // What was collected elsewhere and nothing else: an import, not a recording.
    let only_logs = sources.pd.is_empty() && sources.prometheus.is_none();
    let live = live.filter(|_| !only_logs);
    let path = global.dir.join(format!("{run}{SUFFIX}"));
    if retention.is_some() {
        retention::check_name(&run, subject.name())?;
        if live.is_none() {
            let text = "--keep and --max-bytes are for what is recorded live";
            return Err(CliError::Usage(text.to_owned()).into());
        }
    }
    Ok(Plan {
        run,
        path,
        mode: global.file_mode,
        subject,
        sources,
        selectors,
        history,
        live,
        interval,
        pd_logs,
        listen,
        retention,
    })
}

/// What `watch` records: no past but what the caller adds, live until somebody ends it.
///
/// # Errors
///
/// As [`plan`].
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
    from: Option<&str>,
    to: Option<&str>,
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
    let start = Timestamp::parse(from, now)?;
    let end = to.map_or(Ok(now), |to| Timestamp::parse(to, now))?;
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

/// A length of time that is longer than none.
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
    fn from_alone_copies_up_to_now_and_ends() {
        let (history, live) = spans(Some("-2h"), None, None, now()).expect("the times are fine");
        assert_eq!(history, Some(TimeRange::new(now() + -7_200_000, now())));
        assert_eq!(live, None);
    }

    #[test]
    fn from_with_for_goes_on_live() {
        let (history, live) = spans(Some("-2h"), None, Some("10m"), now()).expect("fine");
        assert!(history.is_some());
        assert_eq!(live, Some(Live { until: Some(now() + 600_000) }));
    }

    #[test]
    fn without_times_the_recording_is_live_and_endless() {
        assert_eq!(
            spans(None, None, None, now()).expect("fine"),
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
            assert!(spans(from, to, None, now()).is_err(), "{from:?} {to:?}");
        }
    }
}
