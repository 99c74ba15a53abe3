//! Carries out a plan for `record` and `watch`: opens the capture, copies the past, then records live.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, watch};

use crate::capture::{CaptureReader, CaptureWriter};
use crate::cli::clock;
use crate::cli::config::file::ScrapeWhen;
use crate::cli::config::plan::Plan;
use crate::cli::config::scraping;
use crate::cli::config::sources::{Found, PdFound, PrometheusFound};
use crate::cli::exit::CliError;
use crate::cli::observed::{Observed, none_succeeded};
use crate::cli::terminal::progress::Reporter;
use crate::cli::terminal::remarks::remark;
use crate::model::{
    ClockOffset, Endpoints, Gap, RunMeta, SCRAPED, Source, TimeRange, Versions, escape, escape_path,
};
use crate::record::{
    self, Copier, Ending, HistoryProgress, LiveFeed, Moment, NodeAnswer, Progress, Recording,
    Scraper, Stop, Succession, TargetLabels,
};
use crate::source::StoreClient;
use crate::watch::Exporter;

/// The time between two rounds of requests to PD. Which requests are due in a round is decided by the
/// schedule.
const PD_INTERVAL: Duration = Duration::from_secs(5);

/// Starts to listen on the address of the plan, if it has one. Call it first, since finding the sources
/// and copying the past may take long.
///
/// # Errors
///
/// An I/O error where the address cannot be listened on.
pub async fn exporter(plan: &Plan) -> anyhow::Result<Option<Exporter>> {
    match plan.listen {
        Some(address) => Ok(Some(
            Exporter::start(address, health_timeout(plan.interval), &clock::SystemClock).await?,
        )),
        None => Ok(None),
    }
}

/// The longest time without a commit for which a recorder counts as healthy.
fn health_timeout(interval: Duration) -> Duration {
    (interval * 4).max(Duration::from_secs(60))
}

/// The receivers of the recording's progress.
pub struct Watchers<'a> {
    /// Prints progress; shared with the live monitor.
    pub reporter: &'a Mutex<Reporter>,
    /// Serves metrics and health over HTTP, if that was asked for.
    pub exporter: Option<Exporter>,
}

impl Watchers<'_> {
    /// The reporter, locked.
    pub fn reporter(&self) -> MutexGuard<'_, Reporter> {
        self.reporter.lock().expect("nobody panics while reporting")
    }

    /// Says which jobs are recorded beside those that the subject knows.
    pub fn further_jobs(&self, jobs: &[String]) {
        for job in jobs {
            let job = escape(job);
            self.reporter()
                .line(&format!("also recording job {job}: it exposes TiKV's or PD's metrics"));
        }
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
            exporter.alive();
        }
    }
}

/// Refuses a recording that has ended with nothing in it but the recorder's own metrics, and names what was
/// asked for and not there. Gaps alone are nothing: what nobody ever saw is more often a wrong URL, or a server that
/// refuses, than an outage.
///
/// # Errors
///
/// [`CliError::NothingRecorded`] or [`CliError::NothingSelected`], or an error where the capture cannot be read.
pub fn refuse_empty(plan: &Plan, path: &Path) -> anyhow::Result<()> {
    let reader = CaptureReader::open(path)?;
    let observed = Observed::of(&reader)?;
    if !observed.is_nothing() {
        return Ok(());
    }
    let path = escape_path(path);
    let why = if observed.asked > 0 {
        none_succeeded(observed.asked)
    } else if let Some(gap) = first_gap(&reader, &Source::Prometheus)? {
        format!("Prometheus gave no sample ({}: {})", gap.reason, escape(&gap.detail))
    } else if plan.sources.scrapes_alone() {
        "PD listed no member or store that could be scraped".to_owned()
    } else if plan.sources.prometheus.is_none() {
        "no request to PD was answered".to_owned()
    } else if plan.selectors.is_empty() {
        "nothing was selected".to_owned()
    } else {
        let selectors: Vec<String> = plan.selectors.iter().map(ToString::to_string).collect();
        let selectors = selectors.join(", ");
        return Err(CliError::NothingSelected { path, selectors }.into());
    };
    Err(CliError::NothingRecorded { path, why }.into())
}

/// The first gap of a source.
fn first_gap(reader: &CaptureReader, source: &Source) -> anyhow::Result<Option<Gap>> {
    Ok(reader.gaps()?.into_iter().find(|gap| gap.source == *source))
}

/// The sources of a recording.
pub struct Sources {
    /// Copies samples out of Prometheus; `None` without Prometheus.
    pub copier: Option<Copier>,
    /// Scrapes what PD lists; `None` without `--scrape`.
    pub scraper: Option<Scraper>,
    /// Reads the settings of the stores that PD lists; `None` without PD, or with `--no-settings`.
    pub settings: Option<StoreClient>,
    /// Prometheus's clock minus ours, in milliseconds.
    pub prometheus_offset_ms: i64,
    /// PD's members; `None` without PD.
    pub pd: Option<PdFound>,
}

impl Sources {
    /// The sources that were found, with the plan's selectors for Prometheus. `theirs` are the labels that it gives to
    /// targets, for what is scraped while it is away.
    ///
    /// # Errors
    ///
    /// [`CliError::Usage`] where no Prometheus is known that could be away, and those of [`scraping::scraper`] and
    /// [`scraping::settings`].
    pub fn of(plan: &Plan, found: Found, theirs: TargetLabels) -> anyhow::Result<Self> {
        let is_fallback = plan.sources.scrape == Some(ScrapeWhen::Fallback);
        if is_fallback && found.prometheus_url().is_none() {
            return Err(CliError::Usage(scraping::NO_PROMETHEUS.to_owned()).into());
        }
        let Found { pd, prometheus, silent } = found;
        let offset = prometheus.as_ref().and_then(|found| found.clock_offset.as_ref());
        let prometheus_offset_ms = offset.map_or(0, |offset| offset.offset_ms);
        let copier = prometheus.map(|found| found.copier(&plan.selectors));
        let subject = plan.records_subject().then_some(&plan.subject);
        let copier = copier.or(silent.map(|silent| silent.copier(&plan.selectors, subject)));
        let scraper = scraping::scraper(&plan.sources, plan.interval, theirs)?;
        let settings = match pd.is_some() && plan.settings {
            true => Some(scraping::settings(&plan.sources)?),
            false => None,
        };
        Ok(Self { copier, scraper, settings, prometheus_offset_ms, pd })
    }
}

/// The parts of a live recording that only some commands have.
#[derive(Default)]
pub struct Followers {
    /// Receives every commit, for live diagnosis.
    pub feed: Option<LiveFeed>,
    /// What nodes say that are asked something meanwhile.
    pub answers: Option<mpsc::UnboundedReceiver<NodeAnswer>>,
    /// Decides when the recording continues in another capture.
    pub succession: Option<Box<dyn Succession>>,
}

/// Copies the past of the plan, then records live. Returns how the recording ended.
///
/// # Errors
///
/// Those of [`history`] and of [`record::run`].
pub async fn phases(
    plan: &Plan,
    mut writer: CaptureWriter,
    sources: Sources,
    stop: watch::Receiver<Stop>,
    watchers: &Watchers<'_>,
    followers: Followers,
) -> anyhow::Result<Ending> {
    let Sources { copier, scraper, settings, prometheus_offset_ms, pd } = sources;
    let mut copied = Ending::Sealed;
    if let (Some(range), Some(copier)) = (plan.history, &copier) {
        (writer, copied) = history(plan, writer, copier, range, &stop, watchers).await?;
        if copied == Ending::Abandoned {
            return Ok(copied);
        }
    }
    let Some(live) = plan.live.filter(|_| *stop.borrow() == Stop::No) else {
        writer.finish()?;
        let is_planned = plan.live.is_some_and(|live| live.until.is_some());
        return Ok(if is_planned { Ending::Early } else { copied });
    };
    let recording = Recording {
        copier,
        pd: pd.map(PdFound::into_sampler),
        scraper,
        settings,
        answers: followers.answers,
        pd_interval: PD_INTERVAL,
        prometheus_interval: plan.interval,
        prometheus_offset_ms,
        until: live.until,
        feed: followers.feed,
        succession: followers.succession,
    };
    let mut progress = |progress: &_| watchers.live(progress);
    Ok(record::run(recording, writer, &clock::SystemClock, stop, &mut progress).await?)
}

/// Records one moment of the sources.
///
/// # Errors
///
/// Those of [`record::record_moment`].
pub async fn moment(
    writer: CaptureWriter,
    sources: Sources,
    stop: watch::Receiver<Stop>,
    watchers: &Watchers<'_>,
) -> anyhow::Result<Ending> {
    let Sources { copier, scraper, settings, prometheus_offset_ms, pd } = sources;
    let pd = pd.map(PdFound::into_sampler);
    let moment = Moment { copier, pd, scraper, settings, prometheus_offset_ms };
    let mut progress = |progress: &_| watchers.live(progress);
    Ok(record::record_moment(moment, writer, &clock::SystemClock, stop, &mut progress).await?)
}

/// Copies `range` out of Prometheus with its run-in, and reports an estimate first.
///
/// # Errors
///
/// [`CliError::Usage`] where the range begins before what the capture holds, and those of
/// [`record::copy_history`].
pub async fn history(
    plan: &Plan,
    writer: CaptureWriter,
    copier: &Copier,
    range: TimeRange,
    stop: &watch::Receiver<Stop>,
    watchers: &Watchers<'_>,
) -> anyhow::Result<(CaptureWriter, Ending)> {
    let copied_from = writer.copied_from();
    let first = writer.meta().begins.or(copied_from);
    if let Some(first) = first.filter(|first| range.start < *first) {
        let run = &plan.run;
        let text = format!(
            "{run} has been copied from {first} on and cannot be extended backwards: copy {} under another --run",
            range.start
        );
        return Err(CliError::Usage(text).into());
    }
    // What looks back from the beginning of the range has its samples, too.
    let run_in_ms = writer.meta().begins.map_or(0, |_| plan.run_in_ms);
    let run_in = range.start.saturating_add_millis(-run_in_ms);
    let start = copied_from.map_or(run_in, |first| run_in.max(first));
    let (asked, range) = (range, TimeRange::new(start, range.end));
    // What was asked for is estimated: before it, fewer series may have been there.
    let copied = writer.copied_through().filter(|through| asked.contains(*through));
    let rest = TimeRange::new(copied.unwrap_or(asked.start), asked.end);
    match clock::unless_stopped(stop, copier.estimate(rest)).await {
        Some(Ok(estimate)) => {
            watchers.reporter().estimate(&estimate, rest.millis(), clock::now());
        }
        Some(Err(error)) => tracing::debug!(%error, "nothing is estimated before the first slice"),
        None => {}
    }
    let mut progress = |progress: &_| watchers.history(progress);
    let copied =
        record::copy_history(copier, writer, range, &clock::now, stop.clone(), &mut progress);
    Ok(copied.await?)
}

/// What the capture at `path` holds; `None` where there is none.
pub fn held(path: &Path) -> Option<TimeRange> {
    path.exists().then(|| CaptureReader::open(path).ok()).flatten().map(|reader| reader.window())
}

/// Says that a capture is continued from other endpoints than it was recorded of. Where both clusters are known, they
/// are the same here.
fn warn_of_other_endpoints(before: &RunMeta, now: &RunMeta) {
    let urls = |meta: &RunMeta| -> BTreeSet<String> {
        meta.endpoints.pd.values().chain(&meta.endpoints.prometheus).cloned().collect()
    };
    let (held, asked) = (urls(before), urls(now));
    let is_known = before.cluster_id.is_some() && now.cluster_id.is_some();
    if is_known || held.is_empty() || asked.is_empty() || !held.is_disjoint(&asked) {
        return;
    }
    let text = |urls: BTreeSet<String>| urls.into_iter().collect::<Vec<_>>().join(", ");
    remark(&format!(
        "warning: {} was recorded of {}, and now it is of {}: if that is another cluster, stop and record under another --run",
        before.run,
        text(held),
        text(asked)
    ));
}

/// Creates the capture, or opens an existing one to continue it.
///
/// # Errors
///
/// An error where the file cannot be made or opened, and [`CliError::Usage`] where it holds another
/// cluster.
pub fn open(plan: &Plan, found: &Found) -> anyhow::Result<CaptureWriter> {
    let (pd, prometheus) = (found.pd.as_ref(), found.prometheus.as_ref());
    let parent = plan.path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)
        .with_context(|| format!("cannot make {}", escape_path(parent)))?;
    let history = plan.history.filter(|_| prometheus.is_some());
    let mut meta = RunMeta {
        run: plan.run.clone(),
        subject: plan.subject.name().to_owned(),
        created: clock::now(),
        cluster_id: pd.and_then(|pd| pd.cluster_id.clone()),
        endpoints: Endpoints {
            pd: pd.map(PdFound::urls).unwrap_or_default(),
            prometheus: found.prometheus_url().map(str::to_owned),
        },
        versions: Versions {
            operator: env!("CARGO_PKG_VERSION").to_owned(),
            prometheus: prometheus.and_then(|found| found.version.clone()),
            pd: pd.and_then(|pd| pd.version.clone()),
        },
        selectors: plan.selectors.iter().map(ToString::to_string).collect(),
        copied_by: copied_by(plan, prometheus),
        clock_offsets: clock_offset(plan, prometheus).into_iter().collect(),
        told: plan.told.clone(),
        begins: history.map(|history| history.start),
        export: None,
        lost: None,
    };
    if !plan.path.exists() {
        return Ok(CaptureWriter::create_as(&plan.path, meta, plan.mode)?);
    }
    let mut writer = CaptureWriter::resume(&plan.path)?;
    let before = writer.meta().clone();
    if before.cluster_id.is_some()
        && meta.cluster_id.is_some()
        && before.cluster_id != meta.cluster_id
    {
        let text = format!(
            "{} holds another cluster ({} and not {}): record under another --run",
            escape_path(&plan.path),
            before.cluster_id.unwrap_or_default(),
            meta.cluster_id.unwrap_or_default()
        );
        return Err(CliError::Usage(text).into());
    }
    warn_of_other_endpoints(&before, &meta);
    meta = resumed(before, meta);
    writer.set_meta(meta);
    Ok(writer)
}

/// How far the clock that stamps samples stands from the recorder's; `None` where that is not known. What is
/// scraped is stamped by the recorder's own.
pub fn clock_offset(plan: &Plan, prometheus: Option<&PrometheusFound>) -> Option<ClockOffset> {
    if plan.sources.scrapes_alone() {
        let (source, at) = (Source::Prometheus.to_string(), clock::now());
        return Some(ClockOffset { source, at, offset_ms: 0, uncertainty_ms: 0 });
    }
    prometheus.and_then(|found| found.clock_offset.clone())
}

/// How samples come into the capture.
fn copied_by(plan: &Plan, prometheus: Option<&PrometheusFound>) -> Vec<String> {
    let how = match plan.sources.scrapes_alone() {
        true => Some(SCRAPED),
        false => prometheus.map(|found| found.mode.name()),
    };
    how.map(str::to_owned).into_iter().collect()
}

fn add_new(held: &mut Vec<String>, new: Vec<String>) {
    for text in new {
        if !held.contains(&text) {
            held.push(text);
        }
    }
}

/// The metadata of a resumed capture: that of the file, with what is new.
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
        begins: before.begins,
        told: now.told.or(before.told),
        export: before.export,
        lost: before.lost,
    }
}
