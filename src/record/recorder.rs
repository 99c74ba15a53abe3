//! The recording loop: PD and Prometheus on their cadences, every tick one durable transaction.
//!
//! What is due and does not come leaves gaps and never ends the loop. When to stop is the caller's to
//! say.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::clock::{Clock, ClockWatch, Clocks, Reading};
use super::copier::{Copier, Ledger, WindowStats, live_window, lock};
use super::error::RecordError;
use super::feed::Feed;
use super::outages::{Coverage, LeftOut, Now, copy_from, healed};
use super::own::OwnMetrics;
use super::pd_sampler::PdSampler;
use super::pd_sampling::{self, PdAnswers, PdNews};
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
/// How long an ending recording waits for requests that are under way. With the sealing after it
/// this stays within a second or two of what a person waits for, and well below the 10 s after which
/// container runtimes kill; what was not copied is still in Prometheus, for a recording that resumes.
const GRACE: Duration = Duration::from_millis(1_500);
/// Prometheus is overdue when its copy ends this much longer ago than the interval: as long as one
/// request may take. What is written as a gap by then is healed when the copy comes after all.
const LATE_COPY_MS: i64 = 30_000;
/// A PD member is overdue when it was last heard this much longer ago than its cadence: as long as
/// its `/ping` may take. The interval at which the recorder looks for what is due comes on top.
const LATE_PING_MS: i64 = 5_000;
/// How long Prometheus may take to tell its time before the copy goes by what is known of it.
const TIME_TOLD_WITHIN: Duration = Duration::from_secs(5);

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
    pub feed: Option<Feed>,
    /// Who says when it goes on in another capture, if anybody.
    pub succession: Option<Box<dyn Succession>>,
}

/// Lets a recording go on in another capture without a hole.
pub trait Succession {
    /// The capture to go on with; `None` while `writer` is the one.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where one cannot be written, which ends the recording.
    fn successor(
        &mut self,
        writer: &mut CaptureWriter,
        now: Timestamp,
    ) -> Result<Option<CaptureWriter>, CaptureError>;

    /// The capture before is sealed and closed.
    fn sealed(&mut self);
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

/// What came of copying one window.
struct Copied {
    range: TimeRange,
    offset_ms: i64,
    result: Result<WindowStats, SourceError>,
    seconds: f64,
}

/// Records until `recording.until`, or until `stop` says so.
///
/// A resumed capture first gets a gap for the time in which no recorder ran. Every commit is
/// reported to `progress`.
///
/// # Errors
///
/// [`RecordError`] where the capture cannot be written. Sources that fail are no error.
pub async fn run(
    recording: Recording,
    writer: CaptureWriter,
    clock: &'static dyn Clock,
    mut stop: watch::Receiver<Stop>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Ending, RecordError> {
    let clocks = Clocks::start(clock);
    let Recording { copier, pd, until, feed, mut succession, .. } = recording;
    let ledger = Mutex::new(Ledger { writer, tick: Tick::default(), feed });
    let mut state = State::new(&ledger, clocks, recording.prometheus_offset_ms, progress);
    let ends = until.map(|until| state.started.shifted(until - state.started.at).steady);
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
    let mut due = state.started.steady;
    let mut copying: Option<Copying<'_>> = None;
    let mut copying_since = Instant::now();
    loop {
        let now = state.look()?.recorder.steady;
        if ends.is_some_and(|ends| ends <= now) {
            break;
        }
        if due <= now && copying.is_none() {
            due = now.saturating_add_millis(copy_ms);
            match &copier {
                Some(copier) => {
                    copying_since = Instant::now();
                    copying = Some(state.copy(copier));
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
                } else if let Some(succession) = &mut succession {
                    state.pass_on(succession.as_mut())?;
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
        if copying.is_none() {
            copying = last.take().map(|copier| state.copy(copier));
        }
        if copying.is_none() && !state.pd_is_asked {
            break;
        }
        tokio::select! {
            biased;
            () = stopped(&mut stop, Stop::AtOnce) => return Ok(Ending::Abandoned),
            copied = wait(&mut copying), if copying.is_some() => {
                copying = None;
                state.copied(copied)?;
            }
            Some(news) = pd_news.recv() => { state.heard(news); }
            () = &mut grace => break,
        }
    }
    drop(copying);
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

/// Copies on from `copied`, up to the present by Prometheus's own clock. Neither a wrong clock here
/// nor a step of either one then leaves out samples.
async fn copy(
    copier: &Copier,
    ledger: &Mutex<Ledger>,
    clocks: Clocks,
    (copied, offset_ms): (Timestamp, i64),
) -> Copied {
    let started = Instant::now();
    let steady = || clocks.read().steady;
    let told = copier.client.clock_offset(&steady);
    let told = tokio::time::timeout(TIME_TOLD_WITHIN, told).await;
    let offset_ms = match told {
        Ok(Ok(told)) => told.offset_ms,
        // Whatever is wrong with the server, reading from it will tell.
        Ok(Err(_)) | Err(_) => offset_ms,
    };
    let now = steady().saturating_add_millis(offset_ms);
    let range = live_window(copied.min(now), now, LONGEST_SLICE_MS);
    let result = copier.copy_window(ledger, range).await;
    Copied { range, offset_ms, result, seconds: started.elapsed().as_secs_f64() }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether the copy still lags so far that the next one should follow at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Yes,
    No,
}

struct State<'a> {
    ledger: &'a Mutex<Ledger>,
    clocks: Clocks,
    watch: ClockWatch,
    started: Reading,
    /// How far Prometheus's clock stands from steady time.
    prometheus_offset_ms: i64,
    /// From here on Prometheus is copied without a hole, up to where it has been copied.
    contiguous_from: Timestamp,
    /// Up to where Prometheus has been copied.
    copied: Timestamp,
    coverage: Coverage,
    left_out: LeftOut,
    member_allowance_ms: i64,
    pd_is_asked: bool,
    own: OwnMetrics,
    standing: Progress,
    progress: &'a mut dyn FnMut(&Progress),
}

impl<'a> State<'a> {
    fn new(
        ledger: &'a Mutex<Ledger>,
        clocks: Clocks,
        prometheus_offset_ms: i64,
        progress: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        let started = clocks.read();
        let contiguous_from = {
            let ledger = lock(ledger);
            let started = started.steady.saturating_add_millis(prometheus_offset_ms);
            copy_from(ledger.writer.copied_through(), &ledger.writer.open_gaps(), started)
        };
        Self {
            ledger,
            clocks,
            watch: ClockWatch::new(started),
            started,
            prometheus_offset_ms,
            contiguous_from,
            copied: contiguous_from,
            coverage: Coverage::default(),
            left_out: LeftOut::default(),
            member_allowance_ms: i64::MAX,
            pd_is_asked: false,
            own: OwnMetrics::default(),
            standing: Progress::default(),
            progress,
        }
    }

    /// The present by Prometheus's clock.
    fn prometheus_now(&self, now: Reading) -> Reading {
        Reading { at: now.steady.saturating_add_millis(self.prometheus_offset_ms), ..now }
    }

    fn now(&self) -> Now {
        let recorder = self.clocks.read();
        Now { recorder, prometheus: self.prometheus_now(recorder) }
    }

    fn expect_prometheus(&mut self, interval_ms: i64) {
        let since = Reading { at: self.copied, ..self.started };
        let allowance_ms = interval_ms.saturating_add(LATE_COPY_MS);
        self.coverage.expect(Source::Prometheus, allowance_ms, since);
    }

    fn expect_members(&mut self, pd: &PdSampler, interval_ms: i64) {
        let cadence_ms = millis(pd.member_cadence());
        self.member_allowance_ms = cadence_ms.saturating_add(interval_ms) + LATE_PING_MS;
        for member in pd_sampling::sources(pd) {
            self.coverage.expect(member, self.member_allowance_ms, self.started);
        }
    }

    /// Looks at the clocks, and writes what follows from the time that has passed: that the wall clock
    /// was stepped, and which sources are overdue.
    fn look(&mut self) -> Result<Now, RecordError> {
        let now = self.notice();
        let gaps = self.coverage.overdue(now);
        if gaps.iter().any(|gap| gap.source == Source::Prometheus) {
            // An instant before the silence is judged by what is known of it.
            self.asked(now.prometheus.at);
        }
        let is_news = {
            let mut ledger = lock(self.ledger);
            let is_news = !gaps.is_empty() || !ledger.tick.events.is_empty();
            ledger.tick.gaps.extend(gaps);
            is_news
        };
        if is_news {
            self.commit()?;
        }
        Ok(now)
    }

    /// Looks at the clocks, and notes pauses of the recorder and steps of the wall clock.
    fn notice(&mut self) -> Now {
        let now = self.now();
        let passed = self.watch.look(now.recorder);
        if let Some(pause) = passed.pause {
            self.coverage.paused(pause);
        }
        if let Some(step_ms) = passed.step_ms {
            self.mark(now.recorder.at, &format!("the clock was stepped by {}", seconds(step_ms)));
        }
        now
    }

    /// The first commit: says that a recorder runs, and since when none did.
    fn begin(&mut self) -> Result<(), RecordError> {
        let started = self.started.at;
        let last = {
            let mut ledger = lock(self.ledger);
            // A recorder that ran and observed nothing wrote no more than such a gap.
            let gaps = ledger.writer.open_gaps();
            let down = gaps.iter().filter(|gap| {
                gap.source == Source::Recorder && gap.reason == GapReason::RecorderDown
            });
            let last = ledger.writer.last_observed().max(down.map(|gap| gap.range.end).max());
            if let Some(last) = last.filter(|last| *last < started) {
                ledger.tick.gaps.push(Gap {
                    range: TimeRange::new(last, started),
                    source: Source::Recorder,
                    reason: GapReason::RecorderDown,
                    detail: "no recorder was running".to_owned(),
                    healed_at: None,
                });
            }
            last
        };
        let text = if last.is_some() { "recording resumed" } else { "recording began" };
        self.mark(started, text);
        self.commit()
    }

    /// Goes on in another capture where it is time.
    fn pass_on(&mut self, succession: &mut dyn Succession) -> Result<(), RecordError> {
        let mut ledger = lock(self.ledger);
        let Some(next) = succession.successor(&mut ledger.writer, self.clocks.read().at)? else {
            return Ok(());
        };
        std::mem::replace(&mut ledger.writer, next).finish()?;
        succession.sealed();
        Ok(())
    }

    /// The last commit before the capture is sealed.
    fn end(&mut self) -> Result<(), RecordError> {
        let now = self.notice();
        let gaps = self.coverage.end(now);
        {
            let mut ledger = lock(self.ledger);
            ledger.tick.gaps.extend(gaps);
            ledger.tick.gaps.extend(self.left_out.end());
        }
        self.mark(now.recorder.at, "recording ended");
        self.commit()
    }

    fn mark(&mut self, at: Timestamp, text: &str) {
        lock(self.ledger).tick.events.push(Event {
            at,
            kind: EventKind(EventKind::RECORDER.to_owned()),
            text: text.to_owned(),
            fields: BTreeMap::new(),
        });
    }

    /// Begins a copy of what Prometheus has gathered since the last one.
    fn copy<'b>(&mut self, copier: &'b Copier) -> Copying<'b>
    where
        'a: 'b,
    {
        self.coverage.asked(&Source::Prometheus);
        let known = (self.copied, self.prometheus_offset_ms);
        Box::pin(copy(copier, self.ledger, self.clocks, known))
    }

    fn copied(&mut self, copied: Copied) -> Result<Behind, RecordError> {
        let Copied { range, offset_ms, result, seconds } = copied;
        self.prometheus_offset_ms = offset_ms;
        self.coverage.settled(&Source::Prometheus);
        let now = self.notice();
        let (behind, asked) = match result {
            Ok(stats) => {
                self.own.request("prometheus", "ok", seconds);
                for _ in 0..stats.refused {
                    self.own.request("prometheus", "limit", 0.0);
                }
                self.covered(range, now);
                let left_out = self.left_out.seen(stats.left_out);
                lock(self.ledger).tick.gaps.extend(left_out);
                let lags = now.prometheus.at - range.end > LONGEST_SLICE_MS / 10;
                // While a copy catches up, what it has not reached must not be taken for silence.
                if lags { (Behind::Yes, None) } else { (Behind::No, Some(range.end)) }
            }
            Err(error) => {
                self.own.request("prometheus", error.gap_reason().name(), seconds);
                tracing::warn!(%error, "Prometheus was not copied");
                let cause = (error.gap_reason(), error.to_string());
                let gap = self.coverage.failed(&Source::Prometheus, cause, now.prometheus);
                lock(self.ledger).tick.gaps.extend(gap);
                // An instant before the outage is judged by what is known of it, once it settles.
                let settles = now.prometheus.at - self.copied >= SETTLE_MS;
                (Behind::No, settles.then_some(now.prometheus.at))
            }
        };
        if let Some(asked) = asked {
            self.asked(asked);
        }
        self.commit_own()?;
        Ok(behind)
    }

    /// Takes note of a window that was copied, and of the gaps that this heals.
    fn covered(&mut self, range: TimeRange, now: Now) {
        self.copied = range.end;
        let lag_ms = now.prometheus.at - range.end;
        let through = now.prometheus.shifted(-lag_ms);
        let last = self.coverage.observed(&Source::Prometheus, through, through, now.prometheus);
        let healed_at = Some(now.recorder.at);
        let mut ledger = lock(self.ledger);
        ledger.tick.copied_from = Some(range.start);
        ledger.tick.copied_through = Some(range.end);
        // The outage's last segment is healed by this very copy, so it is written as such.
        ledger.tick.gaps.extend(last.map(|gap| Gap { healed_at, ..gap }));
        let open = ledger.writer.open_gaps();
        let healed = healed(open, TimeRange::new(self.contiguous_from, range.end));
        ledger.tick.healed.extend(healed.into_iter().map(|gap| Gap { healed_at, ..gap }));
    }

    /// There is no Prometheus to copy: only the recorder's own metrics are due.
    fn asked_nobody(&mut self) -> Result<(), RecordError> {
        self.asked(self.now().prometheus.at);
        self.commit_own()
    }

    fn asked(&mut self, asked: Timestamp) {
        if let Some(feed) = &mut lock(self.ledger).feed {
            feed.asked(asked);
        }
    }

    /// Takes what the thread that samples PD says. Returns whether it is time to commit.
    fn heard(&mut self, news: PdNews) -> bool {
        match news {
            PdNews::Asking => {
                self.pd_is_asked = true;
                self.coverage.members_asked();
                false
            }
            PdNews::Answered(answers) => {
                self.answered(answers);
                false
            }
            PdNews::Asked(members) => {
                self.pd_is_asked = false;
                self.all_asked(&members)
            }
        }
    }

    /// Takes what one PD member answered. One none of whose requests was answered is out.
    fn answered(&mut self, came: PdAnswers) {
        let Some(member) = came.answers.first().map(|answer| answer.member.clone()) else {
            return;
        };
        self.notice();
        let source = Source::PdMember(member);
        self.coverage.expect(source.clone(), self.member_allowance_ms, came.began);
        self.coverage.settled(&source);
        let mut gaps = Vec::new();
        let mut failure = None;
        let mut is_heard = false;
        for answer in &came.answers {
            let seconds = f64::from(answer.elapsed_us) / 1e6;
            self.own.request(&source.to_string(), result_name(&answer.outcome), seconds);
            if let PdOutcome::Failed { reason, detail } = &answer.outcome {
                failure.get_or_insert((*reason, detail.clone()));
                continue;
            }
            is_heard = true;
            let from = came.reading(answer.sent);
            let through = came.reading(answer.observed());
            gaps.extend(self.coverage.observed(&source, from, through, through));
        }
        let last = came.answers.iter().map(PdAnswer::observed).max();
        if let (false, Some(cause), Some(last)) = (is_heard, failure, last) {
            gaps.extend(self.coverage.failed(&source, cause, came.reading(last)));
        }
        self.standing.pd_answers += came.answers.len() as u64;
        let mut ledger = lock(self.ledger);
        ledger.tick.gaps.extend(gaps);
        ledger.tick.pd.extend(came.answers);
    }

    /// All PD members have been asked what was due. Returns whether anything came of it.
    fn all_asked(&mut self, members: &BTreeSet<Source>) -> bool {
        let now = self.notice();
        let gaps = self.coverage.keep_members(members, now);
        for member in members {
            self.coverage.expect(member.clone(), self.member_allowance_ms, now.recorder);
            self.coverage.settled(member);
        }
        let mut ledger = lock(self.ledger);
        ledger.tick.gaps.extend(gaps);
        ledger
            .tick
            .pd
            .sort_by(|a, b| (a.sent, &a.member, &a.path).cmp(&(b.sent, &b.member, &b.path)));
        !ledger.tick.pd.is_empty() || !ledger.tick.gaps.is_empty()
    }

    /// Commits, with a sample of the recorder's own metrics.
    fn commit_own(&mut self) -> Result<(), RecordError> {
        // Among Prometheus's samples they stand by its clock; one that was stepped back would have
        // them refused as old.
        let now = self.now().prometheus.at;
        {
            let mut ledger = lock(self.ledger);
            let Ledger { writer, tick, feed } = &mut *ledger;
            self.own.push(&mut tick.samples, writer.index(), now)?;
            if let Some(feed) = feed {
                feed.seen(now);
            }
        }
        self.commit()
    }

    fn commit(&mut self) -> Result<(), RecordError> {
        let started = Instant::now();
        let (stats, gaps) = {
            let mut ledger = lock(self.ledger);
            let tick = std::mem::take(&mut ledger.tick);
            let gaps = tick.gaps.len();
            if let Some(feed) = &mut ledger.feed {
                feed.tick(&tick);
            }
            let stats: CommitStats = ledger.writer.commit(tick)?;
            if let Some(feed) = &mut ledger.feed {
                feed.send();
            }
            self.standing.series = ledger.writer.index().len() as u64;
            self.standing.copied_through = ledger.writer.copied_through();
            (stats, gaps)
        };
        let seconds = started.elapsed().as_secs_f64();
        self.own.commit(seconds, stats.samples as u64, stats.file_bytes);
        self.standing.at = self.clocks.read().at;
        self.standing.new_samples = stats.samples as u64;
        self.standing.samples += stats.samples as u64;
        self.standing.gaps += gaps as u64;
        self.standing.failing = self.coverage.silent() as u64;
        self.standing.file_bytes = stats.file_bytes;
        self.standing.own = self.own.series();
        (self.progress)(&self.standing);
        Ok(())
    }
}

/// How a request to PD ended, as the recorder's own metrics name it.
fn result_name(outcome: &PdOutcome) -> &'static str {
    match outcome {
        PdOutcome::Answered { status: 200..=299, .. } => "ok",
        PdOutcome::Answered { .. } => "status",
        PdOutcome::Failed { reason, .. } => reason.name(),
    }
}

/// Milliseconds as seconds, with a sign and at most one decimal: `+7200 s`.
fn seconds(millis: i64) -> String {
    let tenths = (millis as f64 / 100.0).round() / 10.0;
    format!("{tenths:+} s")
}
