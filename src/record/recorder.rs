//! The recording loop: PD and Prometheus on their cadences, every tick one durable transaction.
//!
//! What is due and does not come leaves gaps and never ends the loop. When to stop is the caller's to
//! say.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::clock::{Clock, Clocks};
use super::commit::Committer;
use super::copier::{Copier, OpenTick};
use super::error::RecordError;
use super::feed::LiveFeed;
use super::pd_sampler::PdSampler;
use super::pd_sampling;
use super::state::{Behind, Copied, Copying, State, millis};
use crate::capture::{CaptureError, CaptureWriter, Tick};
use crate::model::{Labels, Timestamp};

/// While a copy is under way for longer than this, PD answers are committed without it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an ending recording waits for requests that are under way. With the sealing after it
/// this stays within a second or two of what a person waits for, and well below the 10 s after which
/// container runtimes kill; what was not copied is still in Prometheus, for a recording that resumes.
const GRACE: Duration = Duration::from_millis(1_500);

/// What is recorded, how often and for how long.
pub struct Recording {
    /// Copies Prometheus, if there is one.
    pub copier: Option<Copier>,
    /// Asks the PD members, if there are any.
    pub pd: Option<PdSampler>,
    /// From one PD tick to the next.
    pub pd_interval: Duration,
    /// From one copy of Prometheus to the next.
    pub prometheus_interval: Duration,
    /// How far Prometheus's clock stands from the recorder's, in milliseconds; measured anew at
    /// every copy.
    pub prometheus_offset_ms: i64,
    /// When to end by itself.
    pub until: Option<Timestamp>,
    /// Who follows the recording, if anybody.
    pub feed: Option<LiveFeed>,
    /// Who says when it goes on in another capture, if anybody.
    pub succession: Option<Box<dyn Succession>>,
}

/// Lets a recording go on in another capture without a hole.
pub trait Succession {
    /// The capture to go on with; `None` while `writer` is the one. A full disk is no error: the
    /// recording goes on in `writer` then.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where one cannot be written, which ends the recording.
    fn successor(
        &mut self,
        writer: &mut CaptureWriter,
        now: Timestamp,
    ) -> Result<Option<CaptureWriter>, CaptureError>;

    /// Seals the capture before. One that a full disk keeps from being sealed may wait.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where it cannot be written, which ends the recording.
    fn seal(&mut self, before: CaptureWriter) -> Result<(), CaptureError>;

    /// The disk is full: gives up the oldest of what need not be kept. Returns whether there was
    /// anything.
    fn make_room(&mut self) -> bool;
}

/// What the caller wants of a running recorder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// Finish the tick, then end.
    AfterTick,
    /// End at once; what is committed stays.
    AtOnce,
}

/// How a recording stands, after every commit.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// When the recorder said this.
    pub at: Timestamp,
    /// Samples recorded since the start.
    pub samples: u64,
    /// Samples of this commit.
    pub new_samples: u64,
    /// Series in the capture.
    pub series: u64,
    /// PD answers recorded since the start.
    pub pd_answers: u64,
    /// Gaps written since the start.
    pub gaps: u64,
    /// Sources that do not answer at the moment.
    pub failing: u64,
    /// Size of the capture.
    pub file_bytes: u64,
    /// Whether nothing can be committed for lack of space; `at` is the last commit's.
    pub disk_full: bool,
    /// Up to where Prometheus has been copied.
    pub copied_through: Option<Timestamp>,
    /// The recorder's own metrics, as they stand in the capture.
    pub own: Vec<(Labels, f64)>,
}

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its time had come, or somebody asked; the capture is sealed.
    Sealed,
    /// Somebody insisted; every committed tick is in the capture, and its journal is not sealed.
    Abandoned,
}

/// Records until `recording.until`, or until `stop` says so.
///
/// A resumed capture first gets a gap for the time in which no recorder ran. Every commit is
/// reported to `progress`.
///
/// While the disk is full, PD's answers are held up to a bound, Prometheus holds its own, and what is
/// not in the capture in the end is a gap. The recording goes on when there is room.
///
/// # Errors
///
/// [`RecordError`] where the capture cannot be written for another reason than a full disk, or the
/// disk is full when the recording ends. Sources that fail are no error.
pub async fn run(
    recording: Recording,
    writer: CaptureWriter,
    clock: &'static dyn Clock,
    mut stop: watch::Receiver<Stop>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Ending, RecordError> {
    let clocks = Clocks::start(clock);
    let Recording { copier, pd, until, feed, succession, .. } = recording;
    let open_tick = Mutex::new(OpenTick { writer, tick: Tick::default(), feed });
    let committer = Committer::new(&open_tick, clocks, succession, progress);
    let mut state = State::new(&open_tick, clocks, recording.prometheus_offset_ms, committer);
    let started = state.started();
    let ends = until.map(|until| started.shifted(until - started.at).steady);
    let copy_ms = millis(recording.prometheus_interval);
    if copier.is_some() {
        state.expect_prometheus(copy_ms);
    }
    state.begin()?;

    let (news, mut pd_news) = mpsc::unbounded_channel();
    if let Some(pd) = pd {
        state.expect_members(&pd, millis(recording.pd_interval));
        pd_sampling::start(pd, recording.pd_interval, clocks, news)?;
    }
    let mut due = started.steady;
    let mut copying: Option<Copying<'_>> = None;
    let mut copying_since = Instant::now();
    loop {
        let now = state.look()?.recorder.steady;
        if copying.is_some() && state.copy_is_lost() {
            copying = None;
            due = now;
        }
        if ends.is_some_and(|ends| ends <= now) {
            break;
        }
        if due <= now && copying.is_none() {
            due = now.saturating_add_millis(copy_ms);
            match &copier {
                Some(copier) => {
                    copying_since = Instant::now();
                    copying = state.copy(copier)?;
                }
                None => state.asked_nobody()?,
            }
        }
        let next = if copying.is_some() { Timestamp::MAX } else { due };
        tokio::select! {
            biased;
            () = stopped(&mut stop, Stop::AfterTick) => break,
            copied = wait(&mut copying), if copying.is_some() => {
                copying = None;
                if state.copied(copied)? == Behind::Yes {
                    due = now;
                } else {
                    state.pass_on()?;
                }
            }
            Some(news) = pd_news.recv() => {
                let came = state.heard(news);
                if came && (copying.is_none() || copying_since.elapsed() > PATIENCE) {
                    state.commit()?;
                }
            }
            () = clocks.sleep_until(ends.map_or(next, |ends| ends.min(next))) => {}
        }
    }

    // What is due at the end is a last copy, and whatever is under way.
    let mut last = copier.as_ref();
    let grace = tokio::time::sleep(GRACE);
    tokio::pin!(grace);
    loop {
        if let Some(copier) = last.take_if(|_| copying.is_none()) {
            copying = state.copy(copier)?;
        }
        if copying.is_none() && !state.pd_is_asked() {
            break;
        }
        tokio::select! {
            biased;
            () = stopped(&mut stop, Stop::AtOnce) => return Ok(Ending::Abandoned),
            copied = wait(&mut copying), if copying.is_some() => {
                copying = None;
                state.copied(copied)?;
                if state.copy_is_lost() {
                    last = copier.as_ref();
                }
            }
            Some(news) = pd_news.recv() => { state.heard(news); }
            () = &mut grace => break,
        }
    }
    drop(copying);
    state.end()?;
    drop(state);
    let open_tick = open_tick.into_inner().expect("nobody panics while holding the open_tick");
    open_tick.writer.finish()?;
    Ok(Ending::Sealed)
}

/// Resolves when the caller wants `at_least` this; never, where the caller is gone.
async fn stopped(stop: &mut watch::Receiver<Stop>, at_least: Stop) {
    if stop.wait_for(|stop| *stop >= at_least).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn wait(copying: &mut Option<Copying<'_>>) -> Copied {
    match copying {
        Some(copying) => copying.await,
        None => std::future::pending().await,
    }
}
