//! The recording loop: asks PD and Prometheus on their cadences and writes each tick as one durable
//! transaction.
//!
//! A source that does not answer leaves a gap and never ends the loop. The caller decides when the
//! loop stops; what a tick contains is decided in `state`.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::clock::{Clock, Clocks};
use super::commit::Committer;
use super::copier::{Copier, OpenTick};
use super::error::RecordError;
use super::feed::LiveFeed;
use super::live_copy::{CopyLag, CopyResult, PendingCopy};
use super::node_answer::NodeAnswer;
use super::pd_sampler::PdSampler;
use super::pd_sampling::{self, PdUpdate};
use super::scraping::{self, Scrape, Scraper};
use super::settings::{self, SettingsReading};
use super::state::{RecordingState, millis};
use crate::capture::{CaptureError, CaptureWriter, Tick};
use crate::model::{Labels, Timestamp};
use crate::pd::Member;
use crate::source::StoreClient;

/// PD's answers wait at most this long for a running copy, then they are committed without it.
const MAX_COMMIT_DELAY: Duration = Duration::from_secs(10);
/// How long an ending recording waits for running requests. Together with the sealing that follows,
/// a person waits for a second or two, well below the 10 s after which container runtimes kill a
/// process. What was not copied is still in Prometheus, and a recording that resumes copies it.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_500);

/// What is recorded, how often and for how long.
pub struct Recording {
    /// Copies samples out of Prometheus; `None` where no Prometheus is recorded.
    pub copier: Option<Copier>,
    /// Asks the PD members; `None` where no PD is recorded.
    pub pd: Option<PdSampler>,
    /// Scrapes what PD lists; `None` where nothing is scraped. It needs `pd`, and a `copier` beside it where its role
    /// is that of a fallback, else none.
    pub scraper: Option<Scraper>,
    /// Reads the settings of the stores that PD lists; `None` where they are not read. It needs `pd`, and must not
    /// have been used on another thread.
    pub settings: Option<StoreClient>,
    /// What nodes say that somebody asks while the recording runs; `None` where nobody does.
    pub answers: Option<mpsc::UnboundedReceiver<NodeAnswer>>,
    /// The time between two rounds of requests to PD.
    pub pd_interval: Duration,
    /// The time between two copies out of Prometheus.
    pub prometheus_interval: Duration,
    /// Prometheus's clock minus the recorder's at the start, in milliseconds. The recorder measures it
    /// again at every copy.
    pub prometheus_offset_ms: i64,
    /// The instant at which the recording ends by itself; `None` where it runs until it is stopped.
    pub until: Option<Timestamp>,
    /// Receives every commit while the recording runs, for live diagnosis.
    pub feed: Option<LiveFeed>,
    /// Decides when the recording continues in another capture; `None` for a single file.
    pub succession: Option<Box<dyn Succession>>,
}

/// Lets a recording continue in another capture without a gap between the two.
pub trait Succession {
    /// Returns the capture to continue with, or `None` while the recording stays in `writer`. A full
    /// disk is no error: the recording then stays in `writer`.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the new capture cannot be written, which ends the recording.
    fn successor(
        &mut self,
        writer: &mut CaptureWriter,
        now: Timestamp,
    ) -> Result<Option<CaptureWriter>, CaptureError>;

    /// Seals the capture that the recording has left. Where the disk is full, sealing may be postponed.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where it cannot be written, which ends the recording.
    fn seal(&mut self, before: CaptureWriter) -> Result<(), CaptureError>;

    /// Called when the disk is full: removes the oldest file that need not be kept. Returns whether a
    /// file was removed.
    fn make_room(&mut self) -> bool;
}

/// Whether and how the caller wants a running recorder to stop. The order is that of urgency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Continue to record.
    #[default]
    No,
    /// Finish the tick, then end.
    AfterTick,
    /// End at once; what is committed stays.
    AtOnce,
}

/// The state of a recording after a commit.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The instant of the report, by the recorder's wall clock.
    pub at: Timestamp,
    /// Samples recorded since the start.
    pub samples: u64,
    /// Samples that this commit added.
    pub new_samples: u64,
    /// Series in the capture.
    pub series: u64,
    /// Requests that PD answered since the start, with a success or an error.
    pub pd_answers: u64,
    /// Gaps written since the start.
    pub gaps: u64,
    /// The number of sources that do not answer at the moment.
    pub failing: u64,
    /// Size of the capture in bytes, its journal included.
    pub file_bytes: u64,
    /// Whether nothing can be committed because the disk is full; `at` is then the last commit's.
    pub disk_full: bool,
    /// The end of what has been copied out of Prometheus.
    pub copied_through: Option<Timestamp>,
    /// The recorder's own metrics with their values, as they are stored in the capture.
    pub own: Vec<(Labels, f64)>,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its end had come or, where none was planned, the caller asked for it; the capture is sealed.
    Sealed,
    /// The caller asked for it before the planned end had come: the capture is sealed, and shorter.
    Early,
    /// It stopped at once ([`Stop::AtOnce`]): every committed tick is in the capture, whose journal is
    /// not sealed.
    Abandoned,
}

impl Ending {
    /// Whether the capture is sealed.
    pub fn is_sealed(self) -> bool {
        self != Self::Abandoned
    }
}

/// Records until `recording.until`, or until `stop` says so.
///
/// A resumed capture first gets a gap for the time in which no recorder ran. Every commit is
/// reported to `progress`.
///
/// While the disk is full, PD's answers are held in memory up to a bound, Prometheus keeps its own
/// samples, and what is missing from the capture in the end is a gap. The recording continues as soon
/// as there is room.
///
/// # Errors
///
/// [`RecordError`] where the capture cannot be written for another reason than a full disk, or the
/// disk is full when the recording ends. Sources that fail are no error.
pub async fn run(
    recording: Recording,
    writer: CaptureWriter,
    clock: &'static dyn Clock,
    stop: watch::Receiver<Stop>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Ending, RecordError> {
    let clocks = Clocks::start(clock);
    let Recording { copier, pd, scraper, settings, answers, until, feed, succession, .. } =
        recording;
    let open_tick = Mutex::new(OpenTick { writer, tick: Tick::default(), feed });
    let committer = Committer::new(&open_tick, clocks, succession, progress);
    let mut state =
        RecordingState::new(&open_tick, clocks, recording.prometheus_offset_ms, committer);
    let started = state.started();
    let copy_interval_ms = millis(recording.prometheus_interval);
    if copier.is_some() {
        state.expect_prometheus(copy_interval_ms);
    }
    state.begin()?;

    let members = pd.as_ref().map(|pd| pd.members().to_vec()).unwrap_or_default();
    let scrapes = start_scraping(scraper, &members, clocks, &mut state)?;
    let settings = start_settings(settings, clocks, &mut state)?;
    let pd_updates = start_sampling(pd, recording.pd_interval, clocks, &mut state)?;
    let mut recorder = Recorder {
        state,
        clocks,
        copier: copier.as_ref(),
        copy_interval_ms,
        ends: until.map(|until| started.shifted(until - started.at).steady),
        next_copy: started.steady,
        pending_copy: None,
        copy_started: Instant::now(),
        pd_updates,
        scrapes,
        settings,
        answers: answers.unwrap_or_else(|| mpsc::unbounded_channel().1),
        stop,
    };
    let ending = recorder.record().await?;
    if recorder.finish_requests().await? == Finished::Abandoned {
        return Ok(Ending::Abandoned);
    }
    recorder.state.end()?;
    drop(recorder);
    let open_tick = open_tick.into_inner().expect("nobody panics while holding the open tick");
    open_tick.writer.finish()?;
    Ok(ending)
}

/// Starts to scrape what PD lists. Nothing ever comes where nothing is scraped.
fn start_scraping(
    scraper: Option<Scraper>,
    members: &[Member],
    clocks: Clocks,
    state: &mut RecordingState<'_>,
) -> Result<mpsc::Receiver<Scrape>, RecordError> {
    let Some(scraper) = scraper else { return Ok(mpsc::channel(1).1) };
    let targets = state.expect_scrapes(members, scraper.role.clone());
    scraping::start(scraper, clocks, targets)
}

/// Starts to read the settings of stores. Nothing ever comes where they are not read.
fn start_settings(
    client: Option<StoreClient>,
    clocks: Clocks,
    state: &mut RecordingState<'_>,
) -> Result<mpsc::UnboundedReceiver<SettingsReading>, RecordError> {
    let Some(client) = client else { return Ok(mpsc::unbounded_channel().1) };
    settings::start(client, clocks, state.expect_settings()?)
}

/// Starts to ask the PD members. Nothing ever comes where no PD is recorded.
fn start_sampling(
    pd: Option<PdSampler>,
    every: Duration,
    clocks: Clocks,
    state: &mut RecordingState<'_>,
) -> Result<mpsc::UnboundedReceiver<PdUpdate>, RecordError> {
    let (sender, updates) = mpsc::unbounded_channel();
    if let Some(pd) = pd {
        state.expect_members(&pd, millis(every));
        pd_sampling::start(pd, every, clocks, sender)?;
    }
    Ok(updates)
}

/// Whether the last requests of a recording were waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finished {
    /// They have ended, or took too long.
    Waited,
    /// The caller wanted to stop at once.
    Abandoned,
}

/// A running recording: its state, and what it waits for. Instants are in steady time.
struct Recorder<'a> {
    state: RecordingState<'a>,
    clocks: Clocks,
    copier: Option<&'a Copier>,
    copy_interval_ms: i64,
    /// When the recording ends by itself.
    ends: Option<Timestamp>,
    /// When the next copy out of Prometheus is due.
    next_copy: Timestamp,
    pending_copy: Option<PendingCopy<'a>>,
    copy_started: Instant,
    pd_updates: mpsc::UnboundedReceiver<PdUpdate>,
    scrapes: mpsc::Receiver<Scrape>,
    settings: mpsc::UnboundedReceiver<SettingsReading>,
    answers: mpsc::UnboundedReceiver<NodeAnswer>,
    stop: watch::Receiver<Stop>,
}

impl Recorder<'_> {
    /// Records until the end has come or the caller wants to stop. A copy may then still be running.
    async fn record(&mut self) -> Result<Ending, RecordError> {
        while let Some(wake) = self.start_what_is_due()? {
            tokio::select! {
                biased;
                () = wait_for_stop(&mut self.stop, Stop::AfterTick) => {
                    let is_planned = self.ends.is_some();
                    return Ok(if is_planned { Ending::Early } else { Ending::Sealed });
                }
                copied = wait_for_copy(&mut self.pending_copy), if self.pending_copy.is_some() => {
                    self.copy_finished(copied)?;
                }
                Some(update) = self.pd_updates.recv() => self.pd_updated(update)?,
                Some(scrape) = self.scrapes.recv() => self.state.add_scrape(&scrape)?,
                Some(reading) = self.settings.recv() => self.state.add_settings(&reading),
                Some(answer) = self.answers.recv() => self.state.add_answer(&answer),
                () = self.clocks.sleep_until(wake) => {}
            }
        }
        Ok(Ending::Sealed)
    }

    /// Writes what is overdue, and starts a copy where one is due. Returns when to look again; `None`
    /// where the recording has come to its end.
    fn start_what_is_due(&mut self) -> Result<Option<Timestamp>, RecordError> {
        let now = self.state.check_due()?.recorder.steady;
        if self.pending_copy.is_some() && self.state.copy_is_lost() {
            self.pending_copy = None;
            self.next_copy = now;
        }
        if self.ends.is_some_and(|ends| ends <= now) {
            return Ok(None);
        }
        if self.next_copy <= now && self.pending_copy.is_none() {
            self.next_copy = now.saturating_add_millis(self.copy_interval_ms);
            match self.copier {
                Some(copier) => {
                    self.copy_started = Instant::now();
                    self.pending_copy = self.state.start_copy(copier)?;
                }
                None => self.state.tick_without_prometheus()?,
            }
        }
        let next = if self.pending_copy.is_some() { Timestamp::MAX } else { self.next_copy };
        Ok(Some(self.ends.map_or(next, |ends| ends.min(next))))
    }

    fn copy_finished(&mut self, copied: CopyResult) -> Result<(), RecordError> {
        self.pending_copy = None;
        match self.state.finish_copy(copied)? {
            // The next copy is due at once.
            CopyLag::Behind => self.next_copy = Timestamp::MIN,
            CopyLag::UpToDate => self.state.continue_in_successor()?,
        }
        Ok(())
    }

    fn pd_updated(&mut self, update: PdUpdate) -> Result<(), RecordError> {
        let has_news = self.state.handle_pd_update(update);
        let may_wait =
            self.pending_copy.is_some() && self.copy_started.elapsed() <= MAX_COMMIT_DELAY;
        if has_news && !may_wait {
            self.state.commit()?;
        }
        Ok(())
    }

    /// Makes a last copy and waits for all running requests, at most [`SHUTDOWN_TIMEOUT`].
    async fn finish_requests(&mut self) -> Result<Finished, RecordError> {
        let mut last_copy = self.copier;
        let timeout = tokio::time::sleep(SHUTDOWN_TIMEOUT);
        tokio::pin!(timeout);
        loop {
            if let Some(copier) = last_copy.take_if(|_| self.pending_copy.is_none()) {
                self.pending_copy = self.state.start_copy(copier)?;
            }
            if self.pending_copy.is_none() && !self.state.pd_request_is_running() {
                break;
            }
            tokio::select! {
                biased;
                () = wait_for_stop(&mut self.stop, Stop::AtOnce) => return Ok(Finished::Abandoned),
                copied = wait_for_copy(&mut self.pending_copy), if self.pending_copy.is_some() => {
                    self.pending_copy = None;
                    self.state.finish_copy(copied)?;
                    if self.state.copy_is_lost() {
                        last_copy = self.copier;
                    }
                }
                Some(update) = self.pd_updates.recv() => {
                    self.state.handle_pd_update(update);
                }
                Some(scrape) = self.scrapes.recv() => self.state.add_scrape(&scrape)?,
                () = &mut timeout => break,
            }
        }
        while let Ok(scrape) = self.scrapes.try_recv() {
            self.state.add_scrape(&scrape)?;
        }
        while let Ok(reading) = self.settings.try_recv() {
            self.state.add_settings(&reading);
        }
        while let Ok(answer) = self.answers.try_recv() {
            self.state.add_answer(&answer);
        }
        self.pending_copy = None;
        Ok(Finished::Waited)
    }
}

/// Resolves when the caller wants at least this; never, where the caller is gone.
pub(super) async fn wait_for_stop(stop: &mut watch::Receiver<Stop>, at_least: Stop) {
    if stop.wait_for(|stop| *stop >= at_least).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Resolves when the running copy ends; never, where none is running.
async fn wait_for_copy(pending: &mut Option<PendingCopy<'_>>) -> CopyResult {
    match pending {
        Some(copy) => copy.await,
        None => std::future::pending().await,
    }
}
