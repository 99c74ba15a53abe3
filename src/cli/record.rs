//! `operator record`.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use tokio::sync::watch;

use super::exit::CliError;
use super::exporter::Exporter;
use super::lookup::SUFFIX;
use super::output::{self, Format};
use super::progress::Reporter;
use super::record_config::{ConfigFile, SourceArgs};
use super::sources::{self, PdFound, PrometheusFound};
use super::subjects::{self, Asking};
use super::{Global, clock};
use crate::capture::CaptureWriter;
use crate::model::{
    Endpoints, RunMeta, RunName, RunNameError, TimeRange, Timestamp, Versions, parse_duration_ms,
};
use crate::record::{
    self, Copier, Ending, Feed, HistoryProgress, PdImport, Progress, Recording, Stop, Subject,
    Succession,
};
use crate::source::Selector;

/// PD is asked what is due this often; the cadence of each path is the schedule's.
const PD_INTERVAL: Duration = Duration::from_secs(5);
/// The scrape interval of a TiKV deployment.
const PROMETHEUS_INTERVAL: Duration = Duration::from_secs(15);

const EXAMPLES: &str = "\
Examples:
  operator record --pd http://pd0:2379                       until Ctrl-C
  operator record --run chaos-01 --pd http://pd0:2379 --for 10m
  operator record --prometheus http://prometheus:9090 --from -2h
  operator record --run incident --prometheus http://prometheus:9090 \\
      --from 2026-11-24T16:00:00Z --to 2026-11-24T17:00:00Z --pd-log pd.jsonl.gz

With --from or --to the past is copied and the recording ends; with --from and --for it then
goes on live. The first Ctrl-C finishes the tick and seals the capture, a second one leaves at
once, without loss. The same --run again goes on where it stopped.

Times: RFC 3339 with a zone, unix seconds, `now`, or an offset from now such as -2h.

The keys of --config are the long flags: `pd = [\"http://pd0:2379\"]`, `for = \"10m\"`.
Secrets come from files or the environment and are never written anywhere.";

/// Arguments of `record`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RecordArgs {
    #[command(flatten)]
    live: LiveArgs,
    /// Copy the past from here
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    from: Option<String>,
    /// Copy the past up to here; without it, up to now
    #[arg(long, value_name = "T", allow_hyphen_values = true, conflicts_with = "length")]
    to: Option<String>,
    /// Import PD answers that something else collected (JSON lines, plain or gzip). Repeatable
    #[arg(long, value_name = "FILE")]
    pd_log: Vec<PathBuf>,
}

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
    pub subject: Option<String>,
    /// Serve the recorder's own metrics (/metrics) and whether it commits (/healthz) on this
    /// address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// A TOML file whose keys are these flags; flags come first
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What to record, with nothing left open.
pub struct Plan {
    /// The run's name.
    pub run: RunName,
    /// Where its capture lies.
    pub path: PathBuf,
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
}

/// The live part of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// Records.
///
/// # Errors
///
/// Where the arguments make no sense together, no source is there at the start, another recorder
/// holds the run, history cannot be copied, or the capture cannot be written.
pub fn run(global: &Global, args: RecordArgs) -> anyhow::Result<()> {
    let plan = plan(global, args, clock::now())?;
    super::block_on(record(global, plan))
}

fn plan(global: &Global, args: RecordArgs, now: Timestamp) -> anyhow::Result<Plan> {
    let RecordArgs { live: args, from, to, pd_log } = args;
    let file = ConfigFile::read(args.config.as_deref())?;
    let subject = subjects::find(args.subject.or(file.subject.clone()).as_deref())?;
    let sources = args.sources.or(file.sources());
    let listen = args.listen.or(file.listen);
    let run = match args.run.or(file.run) {
        Some(name) => RunName::new(&name)?,
        None => generated_name(subject.name(), now)?,
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
    Ok(Plan { run, path, subject, sources, selectors, history, live, interval, pd_logs, listen })
}

/// What `watch` records: no past but what the caller adds, live until somebody ends it.
///
/// # Errors
///
/// As [`run`].
pub fn live_plan(global: &Global, args: LiveArgs, now: Timestamp) -> anyhow::Result<Plan> {
    let args = RecordArgs { live: args, from: None, to: None, pd_log: Vec::new() };
    let plan = plan(global, args, now)?;
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
pub fn positive_duration(text: &str) -> anyhow::Result<Duration> {
    let millis = parse_duration_ms(text)?;
    match u64::try_from(millis) {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis)),
        _ => Err(CliError::Usage(format!("{text:?} is not a length of time")).into()),
    }
}

/// A name from the subject and the time.
pub fn generated_name(subject: &str, now: Timestamp) -> Result<RunName, RunNameError> {
    let time: String = now.to_string().chars().take(19).filter(|c| !"-:".contains(*c)).collect();
    RunName::new(&format!("{subject}-{time}Z"))
}

async fn record(global: &Global, plan: Plan) -> anyhow::Result<()> {
    let stop = clock::stop_on_signals()?;
    let exporter = exporter(&plan).await?;
    let pd = sources::find_pd(&plan.sources, clock::now()).await?;
    let prometheus = sources::find_prometheus(&plan.sources, pd.as_ref()).await?;
    let mut writer = open(&plan, pd.as_ref(), prometheus.as_ref())?;
    let reporter = Reporter::new(global, clock::now());
    reporter.line(&format!("recording {} into {}", plan.run, plan.path.display()));
    for log in &plan.pd_logs {
        import(&mut writer, log, &reporter)?;
    }
    let copier = prometheus.map(|found| found.copier(&plan.selectors));
    let reporter = Mutex::new(reporter);
    let watchers = Watchers { reporter: &reporter, exporter };
    let ending = phases(&plan, writer, (copier, pd), stop, &watchers, Followers::default()).await;
    watchers.reporter().finish();
    let ending = ending?;
    report(global, &plan.path, &plan.run, ending)?;
    if ending == Ending::Abandoned { Err(CliError::Interrupted.into()) } else { Ok(()) }
}

/// Listens where the plan says so: from the start, since finding the sources and copying the past
/// may take their time.
pub async fn exporter(plan: &Plan) -> anyhow::Result<Option<Exporter>> {
    match plan.listen {
        Some(address) => Ok(Some(Exporter::start(address, patience(plan.interval)).await?)),
        None => Ok(None),
    }
}

/// How long a recorder may go without a commit and still count as healthy.
fn patience(interval: Duration) -> Duration {
    (interval * 4).max(Duration::from_secs(60))
}

/// Whoever is told how the recording stands.
pub struct Watchers<'a> {
    /// Who tells a person; shared with whoever judges the recording.
    pub reporter: &'a Mutex<Reporter>,
    /// Who tells machines.
    pub exporter: Option<Exporter>,
}

impl Watchers<'_> {
    fn reporter(&self) -> MutexGuard<'_, Reporter> {
        self.reporter.lock().expect("nobody panics while reporting")
    }

    fn live(&self, progress: &Progress) {
        self.reporter().live(progress);
        if let Some(exporter) = &self.exporter {
            exporter.publish(progress);
        }
    }

    fn history(&self, progress: &HistoryProgress) {
        let now = clock::now();
        self.reporter().history(progress, now);
        if let Some(exporter) = &self.exporter {
            exporter.alive(now);
        }
    }
}

/// Who takes part in a live recording.
#[derive(Default)]
pub struct Followers {
    /// Who is told what is recorded.
    pub feed: Option<Feed>,
    /// Who says when another capture follows.
    pub succession: Option<Box<dyn Succession>>,
}

/// History first, then live.
pub async fn phases(
    plan: &Plan,
    mut writer: CaptureWriter,
    (copier, pd): (Option<Copier>, Option<PdFound>),
    stop: watch::Receiver<Stop>,
    watchers: &Watchers<'_>,
    followers: Followers,
) -> anyhow::Result<Ending> {
    if let (Some(range), Some(copier)) = (plan.history, &copier) {
        let (back, ending) = history(plan, writer, copier, range, &stop, watchers).await?;
        writer = back;
        if ending == Ending::Abandoned {
            return Ok(ending);
        }
    }
    let Some(live) = plan.live.filter(|_| *stop.borrow() == Stop::No) else {
        writer.finish()?;
        return Ok(Ending::Sealed);
    };
    let recording = Recording {
        copier,
        pd: pd.map(PdFound::into_sampler),
        pd_interval: PD_INTERVAL,
        prometheus_interval: plan.interval,
        until: live.until,
        feed: followers.feed,
        succession: followers.succession,
    };
    let mut progress = |progress: &_| watchers.live(progress);
    Ok(record::run(recording, writer, &clock::now, stop, &mut progress).await?)
}

/// Copies the past of the plan.
pub async fn history(
    plan: &Plan,
    writer: CaptureWriter,
    copier: &Copier,
    range: TimeRange,
    stop: &watch::Receiver<Stop>,
    watchers: &Watchers<'_>,
) -> anyhow::Result<(CaptureWriter, Ending)> {
    if let Some(first) = writer.copied_from().filter(|first| range.start < *first) {
        let run = &plan.run;
        let text = format!(
            "{run} has been copied from {first} on and cannot be extended backwards: copy {} under another --run",
            range.start
        );
        return Err(CliError::Usage(text).into());
    }
    let copied = writer.copied_through().filter(|through| range.contains(*through));
    let rest = TimeRange::new(copied.unwrap_or(range.start), range.end);
    match copier.estimate(rest).await {
        Ok(estimate) => {
            watchers.reporter().estimate(&estimate, rest.millis(), clock::now());
        }
        Err(error) => tracing::debug!(%error, "nothing is estimated before the first slice"),
    }
    let mut progress = |progress: &_| watchers.history(progress);
    let copied =
        record::copy_history(copier, writer, range, &clock::now, stop.clone(), &mut progress);
    Ok(copied.await?)
}

/// Makes the capture, or opens the one that is there to go on with it.
pub fn open(
    plan: &Plan,
    pd: Option<&PdFound>,
    prometheus: Option<&PrometheusFound>,
) -> anyhow::Result<CaptureWriter> {
    let parent = plan.path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let mut meta = RunMeta {
        run: plan.run.clone(),
        subject: plan.subject.name().to_owned(),
        created: clock::now(),
        cluster_id: pd.and_then(|pd| pd.cluster_id.clone()),
        endpoints: Endpoints {
            pd: pd.map(PdFound::urls).unwrap_or_default(),
            prometheus: prometheus.map(|found| found.url.clone()),
        },
        versions: Versions {
            operator: env!("CARGO_PKG_VERSION").to_owned(),
            prometheus: prometheus.and_then(|found| found.version.clone()),
            pd: pd.and_then(|pd| pd.version.clone()),
        },
        selectors: plan.selectors.iter().map(ToString::to_string).collect(),
        copied_by: prometheus.map(|found| found.mode.name().to_owned()).into_iter().collect(),
        clock_offsets: prometheus
            .and_then(|found| found.clock_offset.clone())
            .into_iter()
            .collect(),
    };
    if !plan.path.exists() {
        return Ok(CaptureWriter::create(&plan.path, meta)?);
    }
    let mut writer = CaptureWriter::resume(&plan.path)?;
    let before = writer.meta().clone();
    if before.cluster_id.is_some()
        && meta.cluster_id.is_some()
        && before.cluster_id != meta.cluster_id
    {
        let text = format!(
            "{} holds another cluster ({} and not {}): record under another --run",
            plan.path.display(),
            before.cluster_id.unwrap_or_default(),
            meta.cluster_id.unwrap_or_default()
        );
        return Err(CliError::Usage(text).into());
    }
    meta = resumed(before, meta);
    writer.set_meta(meta);
    Ok(writer)
}

fn add_new(held: &mut Vec<String>, new: Vec<String>) {
    for text in new {
        if !held.contains(&text) {
            held.push(text);
        }
    }
}

/// What the file said before, and what is new.
fn resumed(before: RunMeta, now: RunMeta) -> RunMeta {
    let mut copied_by = before.copied_by;
    add_new(&mut copied_by, now.copied_by);
    let mut selectors = before.selectors;
    add_new(&mut selectors, now.selectors);
    let mut pd = before.endpoints.pd;
    pd.extend(now.endpoints.pd);
    RunMeta {
        run: before.run,
        subject: before.subject,
        created: before.created,
        cluster_id: now.cluster_id.or(before.cluster_id),
        endpoints: Endpoints {
            pd,
            prometheus: now.endpoints.prometheus.or(before.endpoints.prometheus),
        },
        versions: Versions {
            operator: now.versions.operator,
            prometheus: now.versions.prometheus.or(before.versions.prometheus),
            pd: now.versions.pd.or(before.versions.pd),
        },
        selectors,
        copied_by,
        clock_offsets: [before.clock_offsets, now.clock_offsets].concat(),
    }
}

/// Imports a log of PD answers and says what it brought.
fn import(writer: &mut CaptureWriter, path: &Path, reporter: &Reporter) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let PdImport { read, written, broken } = record::import_pd_log(writer, file)?;
    anyhow::ensure!(read > 0 || broken == 0, "{} holds no PD answer", path.display());
    let left_out = match broken {
        0 => String::new(),
        broken => format!(", {} broken lines left out as gaps", output::count(broken)),
    };
    reporter.line(&format!(
        "{}: {} new PD answers{left_out}",
        path.display(),
        output::count(written)
    ));
    Ok(())
}

/// Tells what a recording left.
pub fn report(global: &Global, path: &Path, run: &RunName, ending: Ending) -> anyhow::Result<()> {
    let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let sealed = ending == Ending::Sealed;
    match global.format {
        Format::Json => output::json_line(&json!({
            "schema": 1, "event": "end", "run": run, "file": path,
            "file_bytes": bytes, "sealed": sealed,
        }))?,
        Format::Text => {
            output::line(&format!("{} ({})", path.display(), output::size(bytes)))?;
        }
    }
    Ok(())
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

    #[test]
    fn a_generated_name_tells_subject_and_time() {
        let name = generated_name("tikv", now()).expect("the name is valid");
        assert_eq!(name.as_str(), "tikv-20261124T161709Z");
    }
}
