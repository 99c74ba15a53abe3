//! The state of a running recording: what was observed of each source, what is due, and the gaps and
//! events that follow.
//!
//! Waiting and timing are in `recorder`, writing is in `commit`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use super::clock::{ClockWatch, Clocks, Reading};
use super::commit::Committer;
use super::copier::{Copier, OpenTick, lock};
use super::error::RecordError;
use super::live_copy::{CopyLag, CopyResult, LONGEST_SLICE_MS, PendingCopy, copy};
use super::pd_sampler::PdSampler;
use super::pd_sampling::{self, PdAnswers, PdMembers, PdUpdate};
use super::scraping::{Scraping, pause_gap};
use super::settings::RecordedSettings;
use crate::model::{
    Event, EventKind, Gap, GapReason, PdAnswer, PdOutcome, SETTLE_MS, Source, TimeRange, Timestamp,
};
use crate::record::coverage::{
    Cause, Coverage, Now, PartialGaps, contiguous_from, copy_from, healed,
};
use crate::source::MOST_MEMBERS;

mod answers;
mod scrapes;
mod settings;

/// Prometheus is overdue when its last copy ended longer ago than the interval and this margin: the
/// time that one request may take. A gap that was written by then is healed if the copy succeeds
/// later.
const LATE_COPY_MS: i64 = 30_000;
/// A PD member is overdue when its last answer is older than its cadence, the interval between two
/// rounds of requests, and this margin: the time that its `/ping` may take.
const LATE_PING_MS: i64 = 5_000;
/// The detail of gaps that a full disk caused.
pub const DISK_FULL: &str = "no space left on the disk that holds the capture";

/// The state of a running recording.
pub struct RecordingState<'a> {
    open_tick: &'a Mutex<OpenTick>,
    clocks: Clocks,
    watch: ClockWatch,
    started: Reading,
    /// Prometheus's clock minus steady time, in milliseconds.
    prometheus_offset_ms: i64,
    /// The start of the range that has been copied out of Prometheus without a gap.
    contiguous_from: Timestamp,
    /// The end of that range.
    copied_through: Timestamp,
    coverage: Coverage,
    partial_gaps: PartialGaps,
    member_allowance_ms: i64,
    pd_request_is_running: bool,
    /// Whether it was noted that PD lists more members than are asked.
    has_noted_crowd: bool,
    committer: Committer<'a>,
    /// The scrapes; `None` where nothing is scraped.
    scraping: Option<Scraping>,
    /// The settings of stores; `None` where they are not read.
    settings: Option<RecordedSettings>,
}

impl<'a> RecordingState<'a> {
    /// A recording that begins now. `prometheus_offset_ms` is Prometheus's clock minus the recorder's.
    pub fn new(
        open_tick: &'a Mutex<OpenTick>,
        clocks: Clocks,
        prometheus_offset_ms: i64,
        committer: Committer<'a>,
    ) -> Self {
        let started = clocks.read();
        let (contiguous_from, copied_through) = {
            let writer = &lock(open_tick).writer;
            let started = started.steady.saturating_add_millis(prometheus_offset_ms);
            let from = copy_from(writer.copied_through(), writer.open_gaps(), started);
            (contiguous_from(from, writer.open_gaps()), from)
        };
        Self {
            open_tick,
            clocks,
            watch: ClockWatch::new(started),
            started,
            prometheus_offset_ms,
            contiguous_from,
            copied_through,
            coverage: Coverage::default(),
            partial_gaps: PartialGaps::default(),
            member_allowance_ms: i64::MAX,
            pd_request_is_running: false,
            has_noted_crowd: false,
            committer,
            scraping: None,
            settings: None,
        }
    }

    /// The clocks at the beginning of the recording.
    pub fn started(&self) -> Reading {
        self.started
    }

    /// Whether a request to a PD member is running.
    pub fn pd_request_is_running(&self) -> bool {
        self.pd_request_is_running
    }

    /// Whether samples of the current copy could not be stored, so that it has to start again.
    pub fn copy_is_lost(&self) -> bool {
        self.committer.copy_is_lost()
    }

    /// A reading with the instant of Prometheus's clock in place of the recorder's.
    fn prometheus_now(&self, now: Reading) -> Reading {
        Reading { at: now.steady.saturating_add_millis(self.prometheus_offset_ms), ..now }
    }

    fn now(&self) -> Now {
        let recorder = self.clocks.read();
        Now { recorder, prometheus: self.prometheus_now(recorder) }
    }

    /// Declares that Prometheus is due to be copied every `interval_ms` from now on.
    pub fn expect_prometheus(&mut self, interval_ms: i64) {
        let since = Reading { at: self.copied_through, ..self.started };
        let allowance_ms = interval_ms.saturating_add(LATE_COPY_MS);
        self.coverage.expect(Source::Prometheus, allowance_ms, since);
    }

    /// Declares that these PD members are due from now on. They are asked every `interval_ms`.
    pub fn expect_members(&mut self, pd: &PdSampler, interval_ms: i64) {
        let cadence_ms = millis(pd.member_cadence());
        self.member_allowance_ms = cadence_ms.saturating_add(interval_ms) + LATE_PING_MS;
        for member in pd_sampling::sources(pd.members()) {
            self.coverage.expect(member, self.member_allowance_ms, self.started);
        }
        for (member, cause) in pd.failures() {
            self.coverage.know_failure(&Source::PdMember(member.clone()), cause.clone());
        }
    }

    /// Reads the clocks, and commits what follows from the time that has passed: an event where the wall
    /// clock was stepped, and a gap for each source that is overdue.
    pub fn check_due(&mut self) -> Result<Now, RecordError> {
        let now = self.check_clocks();
        let gaps = self.coverage.overdue(now);
        self.stand_in_for_prometheus();
        if gaps.iter().any(|gap| gap.source == Source::Prometheus) {
            // Diagnosis of an instant before the outage need not wait for the copy.
            lock(self.open_tick).tell_feed(|feed| feed.note_asked_through(now.prometheus.at));
        }
        let has_news = {
            let mut open_tick = lock(self.open_tick);
            // Settings wait for the next commit: a hundred stores are no reason for a hundred of them.
            let is_news = |event: &Event| event.kind.0 != EventKind::SETTINGS;
            let has_news = !gaps.is_empty() || open_tick.tick.events.iter().any(is_news);
            open_tick.tick.gaps.extend(gaps);
            has_news
        };
        if has_news {
            self.commit()?;
        }
        Ok(now)
    }

    /// Reads the clocks, and notes pauses of the process and steps of the wall clock.
    fn check_clocks(&mut self) -> Now {
        let now = self.now();
        let passed = self.watch.look(now.recorder);
        if let Some(pause) = passed.pause {
            self.coverage.add_pause(pause);
            let gap = self.scraping.as_ref().is_some_and(Scraping::is_alone);
            let gap = gap.then(|| pause_gap(pause));
            lock(self.open_tick).tick.gaps.extend(gap);
        }
        if let Some(step_ms) = passed.step_ms {
            self.add_event(
                now.recorder.at,
                &format!("the clock was stepped by {}", seconds(step_ms)),
            );
        }
        now
    }

    /// Waits for `work` and looks at the clocks meanwhile, so that work that takes long is no pause of the process.
    pub async fn attend<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            let wake = self.clocks.sleep_until(Timestamp::MAX);
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = wake => self.check_clocks(),
            };
        }
    }

    /// Makes the first commit: an event that the recording began, and a gap for the time in which no
    /// recorder ran.
    pub fn begin(&mut self) -> Result<(), RecordError> {
        let started = self.started.at;
        let last = {
            let mut open_tick = lock(self.open_tick);
            // The last trace of a recorder that observed nothing is such a gap.
            let down = open_tick.writer.open_gaps().filter(|gap| {
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
        self.add_event(started, text);
        self.commit()
    }

    /// Continues in another capture where that is due.
    pub fn continue_in_successor(&mut self) -> Result<(), RecordError> {
        self.committer.continue_in_successor()
    }

    /// Makes the last commit before the capture is sealed. A full disk is an error here.
    pub fn end(&mut self) -> Result<(), RecordError> {
        let now = self.check_clocks();
        let gaps = self.coverage.end(now);
        {
            let mut open_tick = lock(self.open_tick);
            open_tick.tick.gaps.extend(gaps);
            open_tick.tick.gaps.extend(self.partial_gaps.end());
        }
        self.add_event(now.recorder.at, "recording ended");
        self.committer.commit_last()
    }

    fn add_event(&mut self, at: Timestamp, text: &str) {
        lock(self.open_tick).tick.events.push(Event {
            at,
            kind: EventKind(EventKind::RECORDER.to_owned()),
            text: text.to_owned(),
            fields: BTreeMap::new(),
        });
    }

    /// Starts a copy of what Prometheus has gathered since the last one. `None` where the disk is full.
    pub fn start_copy<'b>(
        &mut self,
        copier: &'b Copier,
    ) -> Result<Option<PendingCopy<'b>>, RecordError>
    where
        'a: 'b,
    {
        if !self.has_room()? {
            return Ok(None);
        }
        self.committer.start_copy();
        self.coverage.start_request(&Source::Prometheus);
        let known = (self.copied_through, self.prometheus_offset_ms);
        Ok(Some(Box::pin(copy(copier, self.open_tick, self.clocks, known))))
    }

    /// Whether the disk has room for samples of Prometheus. While it has none, what is due becomes a gap,
    /// which is healed once the samples are copied.
    fn has_room(&mut self) -> Result<bool, RecordError> {
        if self.committer.is_short_of_space() {
            self.commit_own()?;
        }
        if !self.committer.is_short_of_space() {
            return Ok(true);
        }
        let now = self.now().prometheus;
        let gap = self.coverage.record_failure(&Source::Prometheus, disk_full(), now);
        lock(self.open_tick).tick.gaps.extend(gap);
        Ok(false)
    }

    /// Takes in the outcome of a copy, and commits.
    pub fn finish_copy(&mut self, copy: CopyResult) -> Result<CopyLag, RecordError> {
        let CopyResult { range, offset_ms, result, seconds } = copy;
        let (before, was_copied) = (self.copied_through, result.is_ok());
        self.prometheus_offset_ms = offset_ms;
        self.coverage.end_request(&Source::Prometheus);
        let now = self.check_clocks();
        let (lag, asked) = match result {
            Ok(stats) => {
                self.committer.self_metrics.count_request("prometheus", "ok", seconds);
                for _ in 0..stats.refused {
                    self.committer.self_metrics.count_request("prometheus", "limit", 0.0);
                }
                self.note_copied_window(range, now);
                let partial = self.partial_gaps.add_window(range, stats.left_out);
                lock(self.open_tick).tick.gaps.extend(partial);
                let lags = now.prometheus.at - range.end > LONGEST_SLICE_MS / 10;
                // While a copy catches up, what it has not reached must not count as missing.
                if lags { (CopyLag::Behind, None) } else { (CopyLag::UpToDate, Some(range.end)) }
            }
            Err(error) => {
                self.committer.self_metrics.count_request(
                    "prometheus",
                    error.gap_reason().name(),
                    seconds,
                );
                tracing::warn!(%error, "Prometheus was not copied");
                let cause = (error.gap_reason(), error.to_string());
                let gap = self.coverage.record_failure(&Source::Prometheus, cause, now.prometheus);
                // Diagnosis of an instant before the outage need not wait for the next copy, but for the
                // gap that says why there is nothing since: a replay knows it.
                let is_told =
                    gap.is_some() || self.scraping.as_ref().is_some_and(Scraping::is_in_place);
                let settles = is_told && now.prometheus.at - self.copied_through >= SETTLE_MS;
                lock(self.open_tick).tick.gaps.extend(gap);
                (CopyLag::UpToDate, settles.then_some(now.prometheus.at))
            }
        };
        if let Some(asked) = asked {
            lock(self.open_tick).tell_feed(|feed| feed.note_asked_through(asked));
        }
        self.stand_in_for_prometheus();
        self.commit_own()?;
        if was_copied && self.copy_is_lost() {
            self.copied_through = before;
            self.coverage.undo_observation(&Source::Prometheus);
            return Ok(CopyLag::Behind);
        }
        Ok(lag)
    }

    /// Notes a window that was copied, and the gaps that this heals.
    fn note_copied_window(&mut self, range: TimeRange, now: Now) {
        self.copied_through = range.end;
        let lag_ms = now.prometheus.at - range.end;
        let through = now.prometheus.shifted(-lag_ms);
        let last = self.coverage.observe(&Source::Prometheus, through, through, now.prometheus);
        let healed_at = Some(now.recorder.at);
        let mut open_tick = lock(self.open_tick);
        open_tick.tick.copied_from = Some(range.start);
        open_tick.tick.copied_through = Some(range.end);
        // This copy also heals the last part of the outage, so that part is written as healed.
        open_tick.tick.gaps.extend(last.map(|gap| Gap { healed_at, ..gap }));
        let covered = TimeRange::new(self.contiguous_from, range.end);
        let OpenTick { writer, tick, .. } = &mut *open_tick;
        let healed = healed(writer.open_gaps(), covered);
        tick.healed.extend(healed.map(|gap| Gap { healed_at, ..gap.clone() }));
    }

    /// Commits the recorder's own metrics where no Prometheus is recorded.
    pub fn tick_without_prometheus(&mut self) -> Result<(), RecordError> {
        let asked = self.now().prometheus.at;
        lock(self.open_tick).tell_feed(|feed| feed.note_asked_through(asked));
        self.commit_own()?;
        self.continue_in_successor()
    }

    /// Takes in a message of the thread that samples PD. Returns whether there is something to commit
    /// and the round of requests is complete.
    pub fn handle_pd_update(&mut self, update: PdUpdate) -> bool {
        match update {
            PdUpdate::RoundStarted => {
                self.pd_request_is_running = true;
                lock(self.open_tick).tell_feed(|feed| feed.set_pd_request_is_running(true));
                self.coverage.start_member_requests();
                false
            }
            PdUpdate::Answered(answers) => {
                self.add_pd_answers(answers);
                false
            }
            PdUpdate::RoundEnded(PdMembers { asked: members, listed }) => {
                self.note_crowd(listed);
                if let Some(scraping) = &mut self.scraping {
                    scraping.set_members(&members);
                }
                self.pd_request_is_running = false;
                lock(self.open_tick).tell_feed(|feed| feed.set_pd_request_is_running(false));
                self.end_pd_round(&pd_sampling::sources(&members))
            }
        }
    }

    /// Takes in the answers of one PD member. A member that answered no request is recorded as failed.
    fn add_pd_answers(&mut self, round: PdAnswers) {
        let Some(member) = round.answers.first().map(|answer| answer.member.clone()) else {
            return;
        };
        self.check_clocks();
        if let Some(scraping) = &mut self.scraping {
            scraping.follow(&round.answers);
        }
        if let Some(settings) = &mut self.settings {
            settings.follow(&round.answers);
        }
        let source = Source::PdMember(member);
        self.coverage.expect(source.clone(), self.member_allowance_ms, round.began);
        self.coverage.end_request(&source);
        if !self.committer.can_hold(&round.answers) {
            return self.drop_pd_answers(&source, &round);
        }
        let mut gaps = Vec::new();
        let mut failure = None;
        let mut has_answered = false;
        for answer in &round.answers {
            let seconds = f64::from(answer.elapsed_us) / 1e6;
            self.committer.self_metrics.count_request(
                &source.to_string(),
                result_name(&answer.outcome),
                seconds,
            );
            if let PdOutcome::Failed { reason, detail } = &answer.outcome {
                failure.get_or_insert((*reason, detail.clone()));
                continue;
            }
            has_answered = true;
            let from = round.reading(answer.sent);
            let through = round.reading(answer.observed());
            gaps.extend(self.coverage.observe(&source, from, through, through));
        }
        let last = round.answers.iter().map(PdAnswer::observed).max();
        if let (false, Some(cause), Some(last)) = (has_answered, failure, last) {
            gaps.extend(self.coverage.record_failure(&source, cause, round.reading(last)));
        }
        let answered = |one: &&PdAnswer| matches!(one.outcome, PdOutcome::Answered { .. });
        self.committer.progress.pd_answers += round.answers.iter().filter(answered).count() as u64;
        let mut open_tick = lock(self.open_tick);
        open_tick.tick.gaps.extend(gaps);
        open_tick.tick.pd.extend(round.answers);
    }

    /// Records a gap for answers that cannot be held in memory while the disk is full.
    fn drop_pd_answers(&mut self, source: &Source, round: &PdAnswers) {
        if let Some(last) = round.answers.iter().map(PdAnswer::observed).max() {
            let gap = self.coverage.record_failure(source, disk_full(), round.reading(last));
            lock(self.open_tick).tick.gaps.extend(gap);
        }
    }

    /// Notes on the timeline, once for a recording, that PD lists more members than are asked.
    fn note_crowd(&mut self, listed: usize) {
        if listed > MOST_MEMBERS && !std::mem::replace(&mut self.has_noted_crowd, true) {
            let text = format!("PD lists {listed} members, of which {MOST_MEMBERS} are asked");
            self.add_event(self.clocks.read().at, &text);
        }
    }

    /// Ends a round of requests to `members`. Returns whether there is something to commit.
    fn end_pd_round(&mut self, members: &BTreeSet<Source>) -> bool {
        let now = self.check_clocks();
        let gaps = self.coverage.keep_members(members, now);
        for member in members {
            self.coverage.expect(member.clone(), self.member_allowance_ms, now.recorder);
            self.coverage.end_request(member);
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
        self.count_failing();
        // These samples are stamped by Prometheus's clock, as its own samples are: by a recorder's clock
        // that was stepped back they would be refused as old.
        self.committer.commit_own(self.now().prometheus.at)?;
        self.note_commit();
        Ok(())
    }

    /// Commits the open tick, unless the disk is full.
    pub fn commit(&mut self) -> Result<(), RecordError> {
        self.count_failing();
        self.committer.commit()?;
        self.note_commit();
        Ok(())
    }

    fn count_failing(&mut self) {
        let scrapes = self.scraping.as_ref().map_or(0, Scraping::failing);
        self.committer.progress.failing = (self.coverage.outages() + scrapes) as u64;
    }
}

/// The cause of gaps while the disk is full.
fn disk_full() -> Cause {
    (GapReason::RecorderDown, DISK_FULL.to_owned())
}

/// A duration in whole milliseconds, at most `i64::MAX`.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The value of the label `result` in the recorder's own metrics, for a request to PD.
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
