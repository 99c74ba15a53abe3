//! Passes what is recorded to live diagnosis, while the recording runs.
//!
//! A [`LiveFeed`] sends an increment after every commit and never waits for its reader, which is a
//! [`RecentWindow`](super::RecentWindow).

use std::collections::HashMap;

use tokio::sync::mpsc;

use crate::capture::Tick;
use crate::model::{
    EncodedLabels, Fingerprint, Gap, Labels, LogEvent, PdAnswer, SETTLE_MS, Sample, Series,
    SettingsEvent, Timestamp,
};

/// How long diagnosis waits for PD's answers where sampling PD hangs.
const LONGEST_WAIT_MS: i64 = 60_000;

/// What one commit added to the capture.
#[derive(Clone, Debug, Default)]
pub struct CommitIncrement {
    /// The earliest instant of any sample in the commit.
    pub first: Option<Timestamp>,
    /// Samples of the series that diagnosis reads. Some may have been sent before.
    pub series: Vec<Series>,
    /// PD's answers, in the order of arrival.
    pub pd: Vec<PdAnswer>,
    /// New gaps, and known ones that are healed now.
    pub gaps: Vec<Gap>,
    /// What was read of the settings of stores.
    pub settings: Vec<SettingsEvent>,
    /// Lines of logs that nodes were asked for.
    pub logs: Vec<LogEvent>,
    /// Everything that was observed up to this instant has been sent. `None` where the commit ends no
    /// copy.
    pub settled: Option<Timestamp>,
}

/// How a series is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Not at all.
    Never,
    /// Every sample.
    Always,
    /// From the first sample on that is not zero: a bucket of a histogram that has counted nothing yet, as most
    /// never do.
    OnceCounted,
}

impl Reading {
    fn of(labels: &Labels, reads: fn(&Labels) -> bool) -> Self {
        match (reads(labels), labels.metric().ends_with("_bucket")) {
            (false, _) => Self::Never,
            (true, false) => Self::Always,
            (true, true) => Self::OnceCounted,
        }
    }
}

/// The recorder's side: gathers increments and sends them.
pub struct LiveFeed {
    reads: fn(&Labels) -> bool,
    /// How each series that was seen is read, so that labels need be decoded only once.
    known: HashMap<Fingerprint, Reading>,
    increment: CommitIncrement,
    /// The last observation of PD that was sent.
    pd_newest: Option<Timestamp>,
    /// All observations of PD up to this instant have been sent.
    pd_through: Option<Timestamp>,
    pd_request_is_running: bool,
    asked: Option<Timestamp>,
    sender: mpsc::UnboundedSender<CommitIncrement>,
}

impl LiveFeed {
    /// A feed of the series that diagnosis `reads`, and the channel on which its increments arrive.
    pub fn new(reads: fn(&Labels) -> bool) -> (Self, mpsc::UnboundedReceiver<CommitIncrement>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (
            Self {
                reads,
                known: HashMap::new(),
                increment: CommitIncrement::default(),
                pd_newest: None,
                pd_through: None,
                pd_request_is_running: false,
                asked: None,
                sender,
            },
            receiver,
        )
    }

    /// Adds samples of a series that Prometheus sent.
    pub(super) fn add_samples(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) {
        let Some(first) = samples.first() else { return };
        self.note_observation(first.at);
        // Labels that cannot be decoded have ended the copy already.
        let reads = self.reads;
        let decode =
            || labels.decode().map_or(Reading::Never, |labels| Reading::of(&labels, reads));
        let known = self.known.entry(labels.fingerprint()).or_insert_with(decode);
        if *known == Reading::OnceCounted && samples.iter().any(|sample| sample.value != 0.0) {
            *known = Reading::Always;
        }
        if *known == Reading::Always
            && let Ok(labels) = labels.decode()
        {
            self.increment.series.push(Series { labels, samples: samples.to_vec() });
        }
    }

    /// Notes that something was observed at this instant.
    pub(super) fn note_observation(&mut self, at: Timestamp) {
        self.increment.first = Some(self.increment.first.map_or(at, |first| first.min(at)));
    }

    /// Adds PD's answers and the gaps of the tick that a commit has written.
    pub(super) fn add_tick(&mut self, tick: &Tick) {
        for answer in &tick.pd {
            self.note_observation(answer.sent);
            self.pd_newest = self.pd_newest.max(Some(answer.observed()));
        }
        // While a round is running, a member that is slow may still send what it observed before others.
        if !self.pd_request_is_running {
            self.pd_through = self.pd_newest;
        }
        self.increment.pd.extend_from_slice(&tick.pd);
        self.increment.gaps.extend(tick.gaps.iter().chain(&tick.healed).cloned());
        self.increment.settings.extend(tick.events.iter().filter_map(SettingsEvent::of_event));
        self.increment.logs.extend(tick.events.iter().filter_map(LogEvent::of_event));
    }

    /// Notes whether a round of requests to PD is running.
    pub(super) fn set_pd_request_is_running(&mut self, is_running: bool) {
        self.pd_request_is_running = is_running;
    }

    /// Notes that Prometheus was asked for everything before `asked`, whether or not it answered.
    pub(super) fn note_asked_through(&mut self, asked: Timestamp) {
        self.asked = Some(asked);
    }

    /// Sends the increment, after a commit. Where its reader is gone, the increment is dropped.
    pub(super) fn send(&mut self) {
        self.increment.settled = self.asked.take().map(|asked| self.settled(asked));
        let _ = self.sender.send(std::mem::take(&mut self.increment));
    }

    fn settled(&self, asked: Timestamp) -> Timestamp {
        let settled = asked.saturating_add_millis(-SETTLE_MS);
        let waited = asked.saturating_add_millis(-LONGEST_WAIT_MS);
        self.pd_through.map_or(settled, |through| settled.min(through).max(waited))
    }
}
