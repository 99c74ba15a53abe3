//! A recording under way, whoever asked for it: what it is written into, the past, then live.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use crate::capture::CaptureWriter;
use crate::cli::clock;
use crate::cli::config::plan::Plan;
use crate::cli::config::sources::{PdFound, PrometheusFound};
use crate::cli::exit::CliError;
use crate::cli::terminal::progress::Reporter;
use crate::model::{Endpoints, RunMeta, TimeRange, Versions, escape_path};
use crate::record::{
    self, Copier, Ending, HistoryProgress, LiveFeed, Progress, Recording, Stop, Succession,
};
use crate::watch::Exporter;

/// PD is asked what is due this often; the cadence of each path is the schedule's.
const PD_INTERVAL: Duration = Duration::from_secs(5);
/// Listens where the plan says so: from the start, since finding the sources and copying the past
/// may take their time.
pub async fn exporter(plan: &Plan) -> anyhow::Result<Option<Exporter>> {
    match plan.listen {
        Some(address) => {
            Ok(Some(Exporter::start(address, patience(plan.interval), &clock::SystemClock).await?))
        }
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
    /// The one who tells a person.
    pub fn reporter(&self) -> MutexGuard<'_, Reporter> {
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
            exporter.alive();
        }
    }
}

/// The sources of a recording.
pub struct Sources {
    /// Copies Prometheus, if there is one.
    pub copier: Option<Copier>,
    /// How far Prometheus's clock stands from ours, in milliseconds.
    pub prometheus_offset_ms: i64,
    /// PD, if it is recorded.
    pub pd: Option<PdFound>,
}

impl Sources {
    /// What was found, and of Prometheus what the plan selects.
    pub fn of(plan: &Plan, pd: Option<PdFound>, prometheus: Option<PrometheusFound>) -> Self {
        let offset = prometheus.as_ref().and_then(|found| found.clock_offset.as_ref());
        let prometheus_offset_ms = offset.map_or(0, |offset| offset.offset_ms);
        let copier = prometheus.map(|found| found.copier(&plan.selectors));
        Self { copier, prometheus_offset_ms, pd }
    }
}

/// Who takes part in a live recording.
#[derive(Default)]
pub struct Followers {
    /// Who is told what is recorded.
    pub feed: Option<LiveFeed>,
    /// Who says when another capture follows.
    pub succession: Option<Box<dyn Succession>>,
}

/// History first, then live.
pub async fn phases(
    plan: &Plan,
    mut writer: CaptureWriter,
    sources: Sources,
    stop: watch::Receiver<Stop>,
    watchers: &Watchers<'_>,
    followers: Followers,
) -> anyhow::Result<Ending> {
    let Sources { copier, prometheus_offset_ms, pd } = sources;
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
        prometheus_offset_ms,
        until: live.until,
        feed: followers.feed,
        succession: followers.succession,
    };
    let mut progress = |progress: &_| watchers.live(progress);
    Ok(record::run(recording, writer, &clock::SystemClock, stop, &mut progress).await?)
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

/// Makes the capture, or opens the one that is there to go on with it.
pub fn open(
    plan: &Plan,
    pd: Option<&PdFound>,
    prometheus: Option<&PrometheusFound>,
) -> anyhow::Result<CaptureWriter> {
    let parent = plan.path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)
        .with_context(|| format!("cannot make {}", escape_path(parent)))?;
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
