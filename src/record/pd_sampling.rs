//! Samples PD on a thread of its own, so that neither a commit nor a large answer of Prometheus adds to
//! the measured latencies of PD.
//!
//! Which requests are sent is decided in `pd_sampler`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{self, Either};
use tokio::sync::mpsc;

use super::clock::{ClockWatch, Clocks, Reading};
use super::error::RecordError;
use super::pd_sampler::PdSampler;
use crate::model::{PdAnswer, Source, TimeRange, Timestamp};
use crate::pd::Member;

/// A message of the sampling thread.
pub enum PdUpdate {
    /// A round of requests to all members starts.
    RoundStarted,
    /// One member has answered, or failed, all requests of the round.
    Answered(PdAnswers),
    /// The round has ended.
    RoundEnded(PdMembers),
}

/// The members as known after a round.
pub struct PdMembers {
    /// Those that are asked.
    pub asked: Vec<Member>,
    /// How many the longest list of a member named so far.
    pub listed: usize,
}

/// The answers of one member in one round, in the order of sending.
pub struct PdAnswers {
    /// The clocks at the start of the round.
    pub began: Reading,
    /// The answers. Each is stamped with the wall clock at the start of the round plus the time that
    /// passed since.
    pub answers: Vec<PdAnswer>,
}

impl PdAnswers {
    /// The reading of the clocks that belongs to an instant of these answers.
    pub fn reading(&self, at: Timestamp) -> Reading {
        self.began.shifted(at - self.began.at)
    }
}

/// Members as sources.
pub fn sources(members: &[Member]) -> BTreeSet<Source> {
    members.iter().map(|member| Source::PdMember(member.name.clone())).collect()
}

/// Starts the thread. It sends what is due every `every` of steady time, until the receiver is dropped.
///
/// # Errors
///
/// [`RecordError::Thread`] where no thread can be started.
pub fn start(
    pd: PdSampler,
    every: Duration,
    clocks: Clocks,
    updates: mpsc::UnboundedSender<PdUpdate>,
) -> Result<(), RecordError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordError::Thread)?;
    std::thread::Builder::new()
        .name("pd".to_owned())
        .spawn(move || runtime.block_on(sample(pd, every, clocks, updates)))
        .map(drop)
        .map_err(RecordError::Thread)
}

async fn sample(
    mut pd: PdSampler,
    every: Duration,
    clocks: Clocks,
    updates: mpsc::UnboundedSender<PdUpdate>,
) {
    let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    let mut due = clocks.read().steady;
    loop {
        while clocks.read().steady < due {
            tokio::select! {
                () = clocks.sleep_until(due) => {}
                () = updates.closed() => return,
            }
        }
        due = clocks.read().steady.saturating_add_millis(every_ms);
        if updates.send(PdUpdate::RoundStarted).is_err() {
            return;
        }
        tokio::select! {
            () = ask(&mut pd, clocks, &updates) => {}
            () = updates.closed() => return,
        }
        let members = PdMembers { asked: pd.members().to_vec(), listed: pd.listed() };
        if updates.send(PdUpdate::RoundEnded(members)).is_err() {
            return;
        }
    }
}

async fn ask(pd: &mut PdSampler, clocks: Clocks, updates: &mpsc::UnboundedSender<PdUpdate>) {
    let began = clocks.read();
    let watch = RefCell::new(PauseWatch { clock: ClockWatch::new(began), pause: None });
    let answered = |mut answers: Vec<PdAnswer>| {
        if let Some(pause) = watch.borrow_mut().look(clocks) {
            // Requests that were running when the process stopped timed out without any fault of PD,
            // and later answers are stamped too early where the machine was suspended.
            answers.retain(|answer| answer.observed() <= pause.start);
        }
        let shift = began.at - began.steady;
        for answer in &mut answers {
            answer.sent = answer.sent.saturating_add_millis(shift);
        }
        answers.sort_by(|a, b| (a.sent, &a.path).cmp(&(b.sent, &b.path)));
        // Where the receiver is gone, the thread is about to end.
        let _ = updates.send(PdUpdate::Answered(PdAnswers { began, answers }));
    };
    let mut asking = std::pin::pin!(pd.tick_each(began.steady, answered));
    loop {
        let wake = std::pin::pin!(clocks.sleep_until(Timestamp::MAX));
        match future::select(asking.as_mut(), wake).await {
            Either::Left(_) => return,
            Either::Right(_) => watch.borrow_mut().look(clocks),
        };
    }
}

/// Detects that the process did not run during a round.
struct PauseWatch {
    clock: ClockWatch,
    pause: Option<TimeRange>,
}

impl PauseWatch {
    /// The first pause of the process since the watch began.
    fn look(&mut self, clocks: Clocks) -> Option<TimeRange> {
        let now = self.clock.look(clocks.read());
        self.pause = self.pause.or(now.pause);
        self.pause
    }
}
