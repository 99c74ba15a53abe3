//! Samples PD on a thread of its own: neither a commit nor a large answer of Prometheus's may show
//! in PD's latencies.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{self, Either};
use tokio::sync::mpsc;

use super::clock::{ClockWatch, Clocks, Reading};
use super::error::RecordError;
use super::pd_sampler::PdSampler;
use crate::model::{PdAnswer, Source, TimeRange, Timestamp};

/// What the thread says.
pub enum PdNews {
    /// The members are about to be asked whatever is due.
    Asking,
    /// One of them has been asked all of it.
    Answered(PdAnswers),
    /// All of them have; these are the members as known now.
    Asked(BTreeSet<Source>),
}

/// What one member answered, in the order of sending.
pub struct PdAnswers {
    /// When the members began to be asked.
    pub began: Reading,
    /// What came. An answer is stamped by the wall clock as it stood at the beginning, and by the
    /// time that passed since.
    pub answers: Vec<PdAnswer>,
}

impl PdAnswers {
    /// The reading of the clocks at an instant of these answers.
    pub fn reading(&self, at: Timestamp) -> Reading {
        self.began.shifted(at - self.began.at)
    }
}

/// The members that a sampler knows, as sources.
pub fn sources(pd: &PdSampler) -> BTreeSet<Source> {
    pd.members().iter().map(|member| Source::PdMember(member.name.clone())).collect()
}

/// Asks what is due every `every` by steady time, until nobody receives the answers.
///
/// # Errors
///
/// [`RecordError::Thread`] where no thread can be started.
pub fn start(
    pd: PdSampler,
    every: Duration,
    clocks: Clocks,
    news: mpsc::UnboundedSender<PdNews>,
) -> Result<(), RecordError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordError::Thread)?;
    std::thread::Builder::new()
        .name("pd".to_owned())
        .spawn(move || runtime.block_on(sample(pd, every, clocks, news)))
        .map(drop)
        .map_err(RecordError::Thread)
}

async fn sample(
    mut pd: PdSampler,
    every: Duration,
    clocks: Clocks,
    news: mpsc::UnboundedSender<PdNews>,
) {
    let every_ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
    let mut due = clocks.read().steady;
    loop {
        while clocks.read().steady < due {
            tokio::select! {
                () = clocks.sleep_until(due) => {}
                () = news.closed() => return,
            }
        }
        due = clocks.read().steady.saturating_add_millis(every_ms);
        if news.send(PdNews::Asking).is_err() {
            return;
        }
        tokio::select! {
            () = ask(&mut pd, clocks, &news) => {}
            () = news.closed() => return,
        }
        if news.send(PdNews::Asked(sources(&pd))).is_err() {
            return;
        }
    }
}

async fn ask(pd: &mut PdSampler, clocks: Clocks, news: &mpsc::UnboundedSender<PdNews>) {
    let began = clocks.read();
    let watch = RefCell::new(Watch { clock: ClockWatch::new(began), pause: None });
    let answered = |mut answers: Vec<PdAnswer>| {
        if let Some(pause) = watch.borrow_mut().look(clocks) {
            // What was under way when the process stopped timed out without any fault of PD's, and
            // what came later is stamped too early where the machine was suspended.
            answers.retain(|answer| answer.observed() <= pause.start);
        }
        let shift = began.at - began.steady;
        for answer in &mut answers {
            answer.sent = answer.sent.saturating_add_millis(shift);
        }
        answers.sort_by(|a, b| (a.sent, &a.path).cmp(&(b.sent, &b.path)));
        // Where nobody receives any more, the thread is about to end.
        let _ = news.send(PdNews::Answered(PdAnswers { began, answers }));
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

/// Notices when the process did not run.
struct Watch {
    clock: ClockWatch,
    pause: Option<TimeRange>,
}

impl Watch {
    /// The first time in which the process did not run.
    fn look(&mut self, clocks: Clocks) -> Option<TimeRange> {
        let now = self.clock.look(clocks.read());
        self.pause = self.pause.or(now.pause);
        self.pause
    }
}
