//! The recording loop: PD and Prometheus on their cadences, every tick one durable transaction.
//!
//! Sources that fail leave gaps and never end the loop. When to stop is the caller's to say.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::copier::{Copier, Ledger, WindowStats, live_window, lock};
use super::error::RecordError;
use super::feed::Feed;
use super::outages::{Outages, copy_from, healed};
use super::own::OwnMetrics;
use super::pd_sampler::PdSampler;
use super::shortage::Shortage;
use crate::capture::{CaptureError, CaptureWriter, CommitStats, Tick};
use crate::model::{
    Event, EventKind, Gap, GapReason, Labels, PdAnswer, PdOutcome, SETTLE_MS, Source, TimeRange,
    Timestamp,
};
use crate::source::SourceError;

/// After an outage the recorder reaches back in transactions of at most this length.
const LONGEST_SLICE_MS: i64 = 300_000;
/// While a copy is under way for longer than this, PD answers are committed without it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an ending recording waits for a copy that is under way. With the sealing after it this
/// stays well below the 10 s after which container runtimes kill; what was not copied is still in
/// Prometheus, for a recording that resumes.
const GRACE: Duration = Duration::from_secs(3);

/// The recorder's clock. It is the caller's, so that tests can turn it.
pub type Clock = &'static (dyn Fn() -> Timestamp + Sync);

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
    /// When to end by itself.
    pub until: Option<Timestamp>,
    /// Who follows the recording, if anybody.
    pub feed: Option<Feed>,
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

type Copying<'a> = Pin<Box<dyn Future<Output = Copied> + 'a>>;

struct Copied {
    range: TimeRange,
    result: Result<WindowStats, SourceError>,
    seconds: f64,
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
    clock: Clock,
    mut stop: watch::Receiver<Stop>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Ending, RecordError> {
    let Recording { copier, pd, pd_interval, prometheus_interval, until, feed, succession } =
        recording;
    let started = clock();
    let ledger = Mutex::new(Ledger { writer, tick: Tick::default(), feed });
    let mut state = State::new(&ledger, clock, succession, progress);
    state.begin()?;

    let (answers, mut pd_answers) = mpsc::channel(16);
    if let Some(pd) = pd {
        sample_apart(pd, pd_interval, clock, answers)?;
    }
    let mut prometheus = interval(prometheus_interval);
    prometheus.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut copying: Option<Copying<'_>> = None;
    let mut copying_since = Instant::now();
    let deadline = tokio::time::sleep(remaining(until, started));
    tokio::pin!(deadline);

    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop, Stop::AfterTick) => break,
            copied = wait(&mut copying), if copying.is_some() => {
                copying = None;
                if state.copied(copied)? == Behind::Yes {
                    prometheus.reset_immediately();
                } else {
                    state.pass_on()?;
                }
            }
            Some(answers) = pd_answers.recv() => {
                state.answered(answers);
                let alone = copying.is_none() || copying_since.elapsed() > PATIENCE;
                if alone && state.commit()? == Committed::WithoutSamples {
                    // What this copy has brought so far is gone: it begins anew.
                    copying = None;
                }
            }
            () = &mut deadline, if until.is_some() => break,
            _ = prometheus.tick(), if copying.is_none() => match &copier {
                Some(copier) if state.has_room()? => {
                    copying_since = Instant::now();
                    copying = Some(Box::pin(copy(copier, &ledger, state.window())));
                }
                Some(_) => {}
                None => {
                    state.asked(clock());
                    state.commit_own()?;
                    state.pass_on()?;
                }
            },
        }
    }

    if copying.is_none() && *stop.borrow() < Stop::AtOnce && state.shortage.is_none() {
        copying = copier
            .as_ref()
            .map(|copier| -> Copying<'_> { Box::pin(copy(copier, &ledger, state.window())) });
    }
    tokio::select! {
        biased;
        () = stopped(&mut stop, Stop::AtOnce) => return Ok(Ending::Abandoned),
        copied = wait(&mut copying), if copying.is_some() => { state.copied(copied)?; }
        () = tokio::time::sleep(GRACE) => {}
    }
    drop(copying);
    while let Ok(answers) = pd_answers.try_recv() {
        state.answered(answers);
    }
    state.end()?;
    drop(state);
    let ledger = ledger.into_inner().expect("nobody panics while holding the ledger");
    ledger.writer.finish()?;
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

async fn copy(copier: &Copier, ledger: &Mutex<Ledger>, range: TimeRange) -> Copied {
    let started = Instant::now();
    let result = copier.copy_window(ledger, range).await;
    Copied { range, result, seconds: started.elapsed().as_secs_f64() }
}

/// Samples PD on a thread of its own, until nobody receives the answers: neither a commit nor a
/// large answer of Prometheus's may show in PD's latencies.
fn sample_apart(
    mut pd: PdSampler,
    every: Duration,
    clock: Clock,
    answers: mpsc::Sender<Vec<PdAnswer>>,
) -> Result<(), RecordError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordError::Thread)?;
    let sampling = async move {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tick = pd.tick(clock()).await;
            if answers.send(tick).await.is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("pd".to_owned())
        .spawn(move || runtime.block_on(sampling))
        .map(drop)
        .map_err(RecordError::Thread)
}

fn remaining(until: Option<Timestamp>, now: Timestamp) -> Duration {
    let millis = until.map_or(0, |until| (until - now).max(0));
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// Whether the copy still lags so far that the next one should follow at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Yes,
    No,
}

/// What a commit brought into the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Committed {
    /// All that had gathered.
    All,
    /// The disk was full: the samples are gone, and have to be copied again. The rest is in the
    /// capture or is held.
    WithoutSamples,
}

/// What a gap says that a full disk left.
const DISK_FULL: &str = "no space left on the disk that holds the capture";

struct State<'a> {
    ledger: &'a Mutex<Ledger>,
    clock: Clock,
    succession: Option<Box<dyn Succession>>,
    shortage: Option<Shortage>,
    started: Timestamp,
    /// From here on Prometheus is copied without a hole, up to where it has been copied.
    contiguous_from: Timestamp,
    outages: Outages,
    member_seen: BTreeMap<Source, Timestamp>,
    own: OwnMetrics,
    standing: Progress,
    progress: &'a mut dyn FnMut(&Progress),
}

impl<'a> State<'a> {
    fn new(
        ledger: &'a Mutex<Ledger>,
        clock: Clock,
        succession: Option<Box<dyn Succession>>,
        progress: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        let started = clock();
        let contiguous_from = {
            let ledger = lock(ledger);
            copy_from(ledger.writer.copied_through(), &ledger.writer.open_gaps(), started)
        };
        Self {
            ledger,
            clock,
            succession,
            shortage: None,
            started,
            contiguous_from,
            outages: Outages::default(),
            member_seen: BTreeMap::new(),
            own: OwnMetrics::default(),
            standing: Progress::default(),
            progress,
        }
    }

    /// The first commit: says that a recorder runs, and since when none did.
    fn begin(&mut self) -> Result<(), RecordError> {
        let last = {
            let mut ledger = lock(self.ledger);
            // A recorder that ran and observed nothing wrote no more than such a gap.
            let gaps = ledger.writer.open_gaps();
            let down = gaps.iter().filter(|gap| gap.reason == GapReason::RecorderDown);
            let last = ledger.writer.last_observed().max(down.map(|gap| gap.range.end).max());
            if let Some(last) = last.filter(|last| *last < self.started) {
                ledger.tick.gaps.push(Gap {
                    range: TimeRange::new(last, self.started),
                    source: Source::Recorder,
                    reason: GapReason::RecorderDown,
                    detail: "no recorder was running".to_owned(),
                    healed_at: None,
                });
            }
            last
        };
        let text = if last.is_some() { "recording resumed" } else { "recording began" };
        self.mark(self.started, text);
        self.commit().map(drop)
    }

    /// Goes on in another capture where it is time.
    fn pass_on(&mut self) -> Result<(), RecordError> {
        let Some(succession) = &mut self.succession else { return Ok(()) };
        if self.shortage.is_some() {
            return Ok(());
        }
        let mut ledger = lock(self.ledger);
        if let Some(next) = succession.successor(&mut ledger.writer, (self.clock)())? {
            succession.seal(std::mem::replace(&mut ledger.writer, next))?;
        }
        Ok(())
    }

    /// The last commit before the capture is sealed. A full disk is an error here.
    fn end(&mut self) -> Result<(), RecordError> {
        let now = (self.clock)();
        let gaps = self.outages.close(now);
        lock(self.ledger).tick.gaps.extend(gaps);
        self.mark(now, "recording ended");
        self.write().map(drop)
    }

    fn mark(&mut self, at: Timestamp, text: &str) {
        lock(self.ledger).tick.events.push(Event {
            at,
            kind: EventKind(EventKind::RECORDER.to_owned()),
            text: text.to_owned(),
            fields: BTreeMap::new(),
        });
    }

    fn window(&self) -> TimeRange {
        let copied = lock(self.ledger).writer.copied_through().unwrap_or(self.contiguous_from);
        live_window(copied, (self.clock)(), LONGEST_SLICE_MS)
    }

    fn copied(&mut self, copied: Copied) -> Result<Behind, RecordError> {
        let now = (self.clock)();
        let Copied { range, result, seconds } = copied;
        let (behind, asked) = match result {
            Ok(stats) => {
                self.own.request("prometheus", "ok", seconds);
                for _ in 0..stats.refused {
                    self.own.request("prometheus", "limit", 0.0);
                }
                let last = self.outages.recovered(&Source::Prometheus, range.end);
                let mut ledger = lock(self.ledger);
                ledger.tick.copied_from = Some(range.start);
                ledger.tick.copied_through = Some(range.end);
                // The outage's last segment is healed by this very copy, so it is written as such.
                ledger.tick.gaps.extend(last.map(|gap| Gap { healed_at: Some(now), ..gap }));
                let open = ledger.writer.open_gaps();
                let healed = healed(open, TimeRange::new(self.contiguous_from, range.end));
                ledger
                    .tick
                    .healed
                    .extend(healed.into_iter().map(|gap| Gap { healed_at: Some(now), ..gap }));
                let lags = now - range.end > LONGEST_SLICE_MS / 10;
                // While a copy catches up, what it has not reached must not be taken for silence.
                if lags { (Behind::Yes, None) } else { (Behind::No, Some(range.end)) }
            }
            Err(error) => {
                self.own.request("prometheus", error.gap_reason().name(), seconds);
                tracing::warn!(%error, "Prometheus was not copied");
                let copied = lock(self.ledger).writer.copied_through();
                let since = copied.unwrap_or(self.contiguous_from);
                let cause = (error.gap_reason(), error.to_string());
                let gap = self.outages.failed(Source::Prometheus, cause, since, now);
                lock(self.ledger).tick.gaps.extend(gap);
                // An instant before the outage is judged by what is known of it, once it settles.
                (Behind::No, Some(now).filter(|now| *now - since >= SETTLE_MS))
            }
        };
        if let Some(asked) = asked {
            self.asked(asked);
        }
        self.commit_own()?;
        Ok(behind)
    }

    fn asked(&mut self, asked: Timestamp) {
        if let Some(feed) = &mut lock(self.ledger).feed {
            feed.asked(asked);
        }
    }

    /// Takes one tick of PD answers. A member none of whose requests was answered is out.
    fn answered(&mut self, answers: Vec<PdAnswer>) {
        if self.shortage.as_mut().is_some_and(|shortage| !shortage.holds(&answers)) {
            return self.not_held(&answers);
        }
        let mut members: BTreeMap<Source, (Timestamp, Option<(GapReason, String)>)> =
            BTreeMap::new();
        for answer in &answers {
            let source = Source::PdMember(answer.member.clone());
            let (result, failure) = match &answer.outcome {
                PdOutcome::Answered { status: 200..=299, .. } => ("ok", None),
                PdOutcome::Answered { .. } => ("status", None),
                PdOutcome::Failed { reason, detail } => {
                    (reason.name(), Some((*reason, detail.clone())))
                }
            };
            let seconds = f64::from(answer.elapsed_us) / 1e6;
            self.own.request(&source.to_string(), result, seconds);
            let member = members.entry(source).or_insert((answer.observed(), failure.clone()));
            member.0 = member.0.max(answer.observed());
            if failure.is_none() {
                member.1 = None;
            }
        }
        let mut gaps = Vec::new();
        for (source, (observed, failure)) in members {
            match failure {
                Some(cause) => {
                    let since = *self.member_seen.get(&source).unwrap_or(&self.started);
                    gaps.extend(self.outages.failed(source, cause, since, observed));
                }
                None => {
                    gaps.extend(self.outages.recovered(&source, observed));
                    self.member_seen.insert(source, observed);
                }
            }
        }
        self.standing.pd_answers += answers.len() as u64;
        let mut ledger = lock(self.ledger);
        ledger.tick.gaps.extend(gaps);
        ledger.tick.pd.extend(answers);
    }

    /// Answers that a full disk leaves no place for are gaps.
    fn not_held(&mut self, answers: &[PdAnswer]) {
        for answer in answers {
            let source = Source::PdMember(answer.member.clone());
            let since = *self.member_seen.get(&source).unwrap_or(&self.started);
            let cause = (GapReason::Other, DISK_FULL.to_owned());
            let gap = self.outages.failed(source, cause, since, answer.observed());
            lock(self.ledger).tick.gaps.extend(gap);
        }
    }

    /// Whether there is room for what Prometheus would be asked for. While there is not, what is not
    /// copied is an outage, healed once it is.
    fn has_room(&mut self) -> Result<bool, RecordError> {
        if self.shortage.is_none() {
            return Ok(true);
        }
        self.commit_own()?;
        if self.shortage.is_none() {
            return Ok(true);
        }
        let mut ledger = lock(self.ledger);
        let since = ledger.writer.copied_through().unwrap_or(self.contiguous_from);
        let cause = (GapReason::Other, DISK_FULL.to_owned());
        let gap = self.outages.failed(Source::Prometheus, cause, since, (self.clock)());
        ledger.tick.gaps.extend(gap);
        Ok(false)
    }

    /// Whether the disk is full and it is not yet time to try again.
    fn waits(&self) -> bool {
        self.shortage.as_ref().is_some_and(|shortage| !shortage.is_due(Instant::now()))
    }

    /// Commits, with a sample of the recorder's own metrics.
    fn commit_own(&mut self) -> Result<Committed, RecordError> {
        let now = (self.clock)();
        if !self.waits() {
            let mut ledger = lock(self.ledger);
            let Ledger { writer, tick, feed } = &mut *ledger;
            self.own.push(&mut tick.samples, writer.index(), now)?;
            if let Some(feed) = feed {
                feed.seen(now);
            }
        }
        self.commit()
    }

    /// Commits what has gathered, unless the disk is full.
    fn commit(&mut self) -> Result<Committed, RecordError> {
        if self.waits() {
            return Ok(Committed::WithoutSamples);
        }
        match self.write() {
            Err(RecordError::Capture(error)) if error.is_full() => {
                self.wait_for_room(&error);
                Ok(Committed::WithoutSamples)
            }
            written => written,
        }
    }

    /// The disk is full, and nothing may go.
    fn wait_for_room(&mut self, error: &CaptureError) {
        let now = Instant::now();
        match &mut self.shortage {
            Some(shortage) => shortage.lasts(now),
            shortage => {
                *shortage = Some(Shortage::new(now));
                tracing::warn!(%error, "recording goes on when there is room");
            }
        }
        self.standing.disk_full = true;
        (self.progress)(&self.standing);
    }

    /// Writes what has gathered; where the disk is full, what need not be kept goes first.
    fn write(&mut self) -> Result<Committed, RecordError> {
        let mut committed = Committed::All;
        while let Err(error) = self.try_to_write() {
            let mut make_room = || self.succession.as_mut().is_some_and(|one| one.make_room());
            if !error.is_full() || !make_room() {
                return Err(error.into());
            }
            committed = Committed::WithoutSamples;
        }
        if self.shortage.take().is_some() {
            self.standing.disk_full = false;
            tracing::warn!("the disk has room again");
        }
        (self.progress)(&self.standing);
        Ok(committed)
    }

    /// One attempt. After a full disk the writer is as it was before, and what had gathered is held,
    /// but for the samples: their places in the capture went with the attempt.
    fn try_to_write(&mut self) -> Result<(), CaptureError> {
        let started = Instant::now();
        let mut ledger = lock(self.ledger);
        let Ledger { writer, tick, feed } = &mut *ledger;
        let tick = std::mem::take(tick);
        let held = Tick {
            pd: tick.pd.clone(),
            gaps: tick.gaps.clone(),
            events: tick.events.clone(),
            ..Tick::default()
        };
        let healed = tick.healed.clone();
        let gaps = held.gaps.len();
        let stats: CommitStats = match writer.commit(tick) {
            Err(error) if error.is_full() => {
                writer.reload()?;
                ledger.tick = Tick { gaps: reopened(held.gaps), ..held };
                return Err(error);
            }
            committed => committed?,
        };
        if let Some(feed) = feed {
            feed.tick(&Tick { healed, ..held });
            feed.send();
        }
        self.standing.series = writer.index().len() as u64;
        self.standing.copied_through = writer.copied_through();
        let seconds = started.elapsed().as_secs_f64();
        self.own.commit(seconds, stats.samples as u64, stats.file_bytes);
        self.standing.at = (self.clock)();
        self.standing.new_samples = stats.samples as u64;
        self.standing.samples += stats.samples as u64;
        self.standing.gaps += gaps as u64;
        self.standing.failing = self.outages.count() as u64;
        self.standing.file_bytes = stats.file_bytes;
        self.standing.own = self.own.series();
        Ok(())
    }
}

/// Gaps that are to be healed by a copy that is gone: by the next one, then.
fn reopened(gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.into_iter().map(|gap| Gap { healed_at: None, ..gap }).collect()
}
