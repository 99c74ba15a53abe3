//! What a running recorder knows of its sources: what was observed, what is due, and what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::{ClockWatch, Clocks, Reading};
use super::commit::Committer;
use super::copier::{Copier, OpenTick, WindowStats, live_window, lock};
use super::error::RecordError;
use super::pd_sampler::PdSampler;
use super::pd_sampling::{self, PdAnswers, PdNews};
use crate::model::{
    Event, EventKind, Gap, GapReason, PdAnswer, PdOutcome, SETTLE_MS, Source, TimeRange, Timestamp,
};
use crate::record::coverage::{Cause, Coverage, LeftOut, Now, copy_from, healed};
use crate::source::SourceError;

/// After an outage the recorder reaches back in transactions of at most this length.
const LONGEST_SLICE_MS: i64 = 300_000;
/// Prometheus is overdue when its copy ends this much longer ago than the interval: as long as one
/// request may take. What is written as a gap by then is healed when the copy comes after all.
const LATE_COPY_MS: i64 = 30_000;
/// A PD member is overdue when it was last heard this much longer ago than its cadence: as long as
/// its `/ping` may take. The interval at which the recorder looks for what is due comes on top.
const LATE_PING_MS: i64 = 5_000;
/// How long Prometheus may take to tell its time before the copy goes by what is known of it.
const TIME_TOLD_WITHIN: Duration = Duration::from_secs(5);

/// A copy of one window that is under way.
pub type Copying<'a> = Pin<Box<dyn Future<Output = Copied> + 'a>>;

/// What came of copying one window.
pub struct Copied {
    range: TimeRange,
    offset_ms: i64,
    result: Result<WindowStats, SourceError>,
    seconds: f64,
}

/// Whether the copy still lags so far that the next one should follow at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Yes.
    Yes,
    /// No; it is due after the interval.
    No,
}

/// What a gap says that a full disk left.
const DISK_FULL: &str = "no space left on the disk that holds the capture";

/// A recording that is under way.
pub struct State<'a> {
    open_tick: &'a Mutex<OpenTick>,
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
    committer: Committer<'a>,
}

impl<'a> State<'a> {
    /// Begins now. Prometheus's clock stands `prometheus_offset_ms` from the recorder's.
    pub fn new(
        open_tick: &'a Mutex<OpenTick>,
        clocks: Clocks,
        prometheus_offset_ms: i64,
        committer: Committer<'a>,
    ) -> Self {
        let started = clocks.read();
        let contiguous_from = {
            let open_tick = lock(open_tick);
            let started = started.steady.saturating_add_millis(prometheus_offset_ms);
            copy_from(open_tick.writer.copied_through(), &open_tick.writer.open_gaps(), started)
        };
        Self {
            open_tick,
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
            committer,
        }
    }

    /// When it began.
    pub fn started(&self) -> Reading {
        self.started
    }

    /// Whether PD members are being asked at the moment.
    pub fn pd_is_asked(&self) -> bool {
        self.pd_is_asked
    }

    /// Whether samples of the copy that began last could not be stored: it has to begin anew.
    pub fn copy_is_lost(&self) -> bool {
        self.committer.copy_is_lost()
    }

    /// The present by Prometheus's clock.
    fn prometheus_now(&self, now: Reading) -> Reading {
        Reading { at: now.steady.saturating_add_millis(self.prometheus_offset_ms), ..now }
    }

    fn now(&self) -> Now {
        let recorder = self.clocks.read();
        Now { recorder, prometheus: self.prometheus_now(recorder) }
    }

    /// From now on Prometheus is due to be copied every `interval_ms`.
    pub fn expect_prometheus(&mut self, interval_ms: i64) {
        let since = Reading { at: self.copied, ..self.started };
        let allowance_ms = interval_ms.saturating_add(LATE_COPY_MS);
        self.coverage.expect(Source::Prometheus, allowance_ms, since);
    }

    /// From now on these members are due, and are looked after every `interval_ms`.
    pub fn expect_members(&mut self, pd: &PdSampler, interval_ms: i64) {
        let cadence_ms = millis(pd.member_cadence());
        self.member_allowance_ms = cadence_ms.saturating_add(interval_ms) + LATE_PING_MS;
        for member in pd_sampling::sources(pd) {
            self.coverage.expect(member, self.member_allowance_ms, self.started);
        }
    }

    /// Looks at the clocks, and writes what follows from the time that has passed: that the wall clock
    /// was stepped, and which sources are overdue.
    pub fn look(&mut self) -> Result<Now, RecordError> {
        let now = self.notice();
        let gaps = self.coverage.overdue(now);
        if gaps.iter().any(|gap| gap.source == Source::Prometheus) {
            // An instant before the silence is judged by what is known of it.
            self.asked(now.prometheus.at);
        }
        let is_news = {
            let mut open_tick = lock(self.open_tick);
            let is_news = !gaps.is_empty() || !open_tick.tick.events.is_empty();
            open_tick.tick.gaps.extend(gaps);
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
    pub fn begin(&mut self) -> Result<(), RecordError> {
        let started = self.started.at;
        let last = {
            let mut open_tick = lock(self.open_tick);
            // A recorder that ran and observed nothing wrote no more than such a gap.
            let gaps = open_tick.writer.open_gaps();
            let down = gaps.iter().filter(|gap| {
                gap.source == Source::Recorder && gap.reason == GapReason::RecorderDown
            });
            let last = open_tick.writer.last_observed().max(down.map(|gap| gap.range.end).max());
            if let Some(last) = last.filter(|last| *last < started) {
                open_tick.tick.gaps.push(Gap {
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
    pub fn pass_on(&mut self) -> Result<(), RecordError> {
        self.committer.pass_on()
    }

    /// The last commit before the capture is sealed. A full disk is an error here.
    pub fn end(&mut self) -> Result<(), RecordError> {
        let now = self.notice();
        let gaps = self.coverage.end(now);
        {
            let mut open_tick = lock(self.open_tick);
            open_tick.tick.gaps.extend(gaps);
            open_tick.tick.gaps.extend(self.left_out.end());
        }
        self.mark(now.recorder.at, "recording ended");
        self.committer.commit_last()
    }

    fn mark(&mut self, at: Timestamp, text: &str) {
        lock(self.open_tick).tick.events.push(Event {
            at,
            kind: EventKind(EventKind::RECORDER.to_owned()),
            text: text.to_owned(),
            fields: BTreeMap::new(),
        });
    }

    /// Begins a copy of what Prometheus has gathered since the last one, where there is room for it.
    pub fn copy<'b>(&mut self, copier: &'b Copier) -> Result<Option<Copying<'b>>, RecordError>
    where
        'a: 'b,
    {
        if !self.has_room()? {
            return Ok(None);
        }
        self.committer.copy_begins();
        self.coverage.asked(&Source::Prometheus);
        let known = (self.copied, self.prometheus_offset_ms);
        Ok(Some(Box::pin(copy(copier, self.open_tick, self.clocks, known))))
    }

    /// Whether there is room for what Prometheus would be asked for. While there is not, what is due
    /// is an outage, healed once it is copied.
    fn has_room(&mut self) -> Result<bool, RecordError> {
        if self.committer.is_short_of_space() {
            self.commit_own()?;
        }
        if !self.committer.is_short_of_space() {
            return Ok(true);
        }
        let now = self.now().prometheus;
        let gap = self.coverage.failed(&Source::Prometheus, disk_full(), now);
        lock(self.open_tick).tick.gaps.extend(gap);
        Ok(false)
    }

    /// Takes note of a copy that has ended, and commits.
    pub fn copied(&mut self, copied: Copied) -> Result<Behind, RecordError> {
        let Copied { range, offset_ms, result, seconds } = copied;
        let (before, is_covered) = (self.copied, result.is_ok());
        self.prometheus_offset_ms = offset_ms;
        self.coverage.settled(&Source::Prometheus);
        let now = self.notice();
        let (behind, asked) = match result {
            Ok(stats) => {
                self.committer.own.request("prometheus", "ok", seconds);
                for _ in 0..stats.refused {
                    self.committer.own.request("prometheus", "limit", 0.0);
                }
                self.covered(range, now);
                let left_out = self.left_out.seen(stats.left_out);
                lock(self.open_tick).tick.gaps.extend(left_out);
                let lags = now.prometheus.at - range.end > LONGEST_SLICE_MS / 10;
                // While a copy catches up, what it has not reached must not be taken for silence.
                if lags { (Behind::Yes, None) } else { (Behind::No, Some(range.end)) }
            }
            Err(error) => {
                self.committer.own.request("prometheus", error.gap_reason().name(), seconds);
                tracing::warn!(%error, "Prometheus was not copied");
                let cause = (error.gap_reason(), error.to_string());
                let gap = self.coverage.failed(&Source::Prometheus, cause, now.prometheus);
                lock(self.open_tick).tick.gaps.extend(gap);
                // An instant before the outage is judged by what is known of it, once it settles.
                let settles = now.prometheus.at - self.copied >= SETTLE_MS;
                (Behind::No, settles.then_some(now.prometheus.at))
            }
        };
        if let Some(asked) = asked {
            self.asked(asked);
        }
        self.commit_own()?;
        if is_covered && self.copy_is_lost() {
            self.copied = before;
            self.coverage.lost(&Source::Prometheus);
            return Ok(Behind::Yes);
        }
        Ok(behind)
    }

    /// Takes note of a window that was copied, and of the gaps that this heals.
    fn covered(&mut self, range: TimeRange, now: Now) {
        self.copied = range.end;
        let lag_ms = now.prometheus.at - range.end;
        let through = now.prometheus.shifted(-lag_ms);
        let last = self.coverage.observed(&Source::Prometheus, through, through, now.prometheus);
        let healed_at = Some(now.recorder.at);
        let mut open_tick = lock(self.open_tick);
        open_tick.tick.copied_from = Some(range.start);
        open_tick.tick.copied_through = Some(range.end);
        // The outage's last segment is healed by this very copy, so it is written as such.
        open_tick.tick.gaps.extend(last.map(|gap| Gap { healed_at, ..gap }));
        let open = open_tick.writer.open_gaps();
        let healed = healed(open, TimeRange::new(self.contiguous_from, range.end));
        open_tick.tick.healed.extend(healed.into_iter().map(|gap| Gap { healed_at, ..gap }));
    }

    /// There is no Prometheus to copy: only the recorder's own metrics are due.
    pub fn asked_nobody(&mut self) -> Result<(), RecordError> {
        self.asked(self.now().prometheus.at);
        self.commit_own()?;
        self.pass_on()
    }

    fn asked(&mut self, asked: Timestamp) {
        if let Some(feed) = &mut lock(self.open_tick).feed {
            feed.asked(asked);
        }
    }

    /// Takes what the thread that samples PD says. Returns whether it is time to commit.
    pub fn heard(&mut self, news: PdNews) -> bool {
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
        if !self.committer.holds(&came.answers) {
            return self.not_held(&source, &came);
        }
        let mut gaps = Vec::new();
        let mut failure = None;
        let mut is_heard = false;
        for answer in &came.answers {
            let seconds = f64::from(answer.elapsed_us) / 1e6;
            self.committer.own.request(&source.to_string(), result_name(&answer.outcome), seconds);
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
        self.committer.standing.pd_answers += came.answers.len() as u64;
        let mut open_tick = lock(self.open_tick);
        open_tick.tick.gaps.extend(gaps);
        open_tick.tick.pd.extend(came.answers);
    }

    /// Answers that a full disk leaves no place for are a gap.
    fn not_held(&mut self, source: &Source, came: &PdAnswers) {
        if let Some(last) = came.answers.iter().map(PdAnswer::observed).max() {
            let gap = self.coverage.failed(source, disk_full(), came.reading(last));
            lock(self.open_tick).tick.gaps.extend(gap);
        }
    }

    /// All PD members have been asked what was due. Returns whether anything came of it.
    fn all_asked(&mut self, members: &BTreeSet<Source>) -> bool {
        let now = self.notice();
        let gaps = self.coverage.keep_members(members, now);
        for member in members {
            self.coverage.expect(member.clone(), self.member_allowance_ms, now.recorder);
            self.coverage.settled(member);
        }
        let mut open_tick = lock(self.open_tick);
        open_tick.tick.gaps.extend(gaps);
        open_tick
            .tick
            .pd
            .sort_by(|a, b| (a.sent, &a.member, &a.path).cmp(&(b.sent, &b.member, &b.path)));
        !open_tick.tick.pd.is_empty() || !open_tick.tick.gaps.is_empty()
    }

    /// Commits, with a sample of the recorder's own metrics.
    fn commit_own(&mut self) -> Result<(), RecordError> {
        self.committer.standing.failing = self.coverage.silent() as u64;
        // Among Prometheus's samples they stand by its clock; one that was stepped back would have
        // them refused as old.
        self.committer.commit_own(self.now().prometheus.at)
    }

    /// Commits what has gathered, unless the disk is full.
    pub fn commit(&mut self) -> Result<(), RecordError> {
        self.committer.standing.failing = self.coverage.silent() as u64;
        self.committer.commit()
    }
}

/// Why nothing is stored while the disk is full.
fn disk_full() -> Cause {
    (GapReason::RecorderDown, DISK_FULL.to_owned())
}

/// Copies on from `copied`, up to the present by Prometheus's own clock. Neither a wrong clock here
/// nor a step of either one then leaves out samples.
async fn copy(
    copier: &Copier,
    open_tick: &Mutex<OpenTick>,
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
    let result = copier.copy_window(open_tick, range).await;
    Copied { range, offset_ms, result, seconds: started.elapsed().as_secs_f64() }
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
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
