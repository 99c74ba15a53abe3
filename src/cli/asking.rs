//! What is shared by whoever asks nodes something while `watch` records: how they are reached, and the threads on which
//! they are asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use super::terminal::progress::Reporter;
use crate::diagnose::{Cause, Notice, Subject, Turn, Verdict};
use crate::model::Timestamp;
use crate::record::{NodeAnswer, Stop};
use crate::source::HttpOptions;
use crate::watch::{Audience, Judged};

/// How nodes are reached, and who gets what they say.
pub struct Asking {
    /// How nodes are reached.
    pub http: HttpOptions,
    /// The scheme of their URLs.
    pub scheme: &'static str,
    /// When this watch began: a fault that was over by then is nothing to ask about.
    pub since: Timestamp,
    /// Ends asking about a fault when it stops.
    pub stop: watch::Receiver<Stop>,
    /// Gets what nodes say of a fault that has been told.
    pub found: mpsc::UnboundedSender<NodeAnswer>,
    /// Tells a person who is asked.
    pub reporter: Arc<Mutex<Reporter>>,
}

impl Asking {
    /// An audience that also asks about each fault that is told for the first time.
    pub fn after(
        self: &Arc<Self>,
        mut audience: Audience,
        ask: impl Fn(&Cause, &Judged<'_>) + Send + 'static,
    ) -> Audience {
        let asking = Arc::clone(self);
        Box::new(move |judged| {
            audience(judged);
            let causes = asking.new_causes(judged.verdict, judged.notices);
            causes.for_each(|cause| ask(cause, judged));
        })
    }

    /// The causes that are told for the first time, and were not over when the watch began.
    fn new_causes<'v>(
        &self,
        verdict: &'v Verdict,
        notices: &[Notice],
    ) -> impl Iterator<Item = &'v Cause> {
        let is_new = |notice: &&Notice| {
            notice.about == Subject::Cause
                && notice.turn == Turn::Began
                && notice.end_ms.is_none_or(|end| end >= self.since)
        };
        notices.iter().filter(is_new).filter_map(|notice| cause_of(verdict, notice))
    }

    /// Tells a person something.
    pub fn tell(&self, text: &str) {
        self.reporter.lock().unwrap_or_else(PoisonError::into_inner).line(text);
    }
}

/// The cause that a notice is about.
fn cause_of<'v>(verdict: &'v Verdict, notice: &Notice) -> Option<&'v Cause> {
    verdict.causes.iter().find(|cause| {
        cause.mode == notice.what
            && cause.target == notice.target
            && cause.onset_ms == notice.onset_ms
    })
}

/// Threads that ask nodes, so that nobody who records or judges waits for a node.
#[derive(Clone, Default)]
pub struct Threads(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Threads {
    /// Starts one.
    pub fn spawn(&self, ask: impl FnOnce() + Send + 'static) {
        match std::thread::Builder::new().name("asking".to_owned()).spawn(ask) {
            Ok(thread) => self.0.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
            Err(error) => tracing::warn!(%error, "nobody is asked about an incident"),
        }
    }

    /// Waits for all of them.
    pub fn join(&self) {
        let threads = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::warn!("asking about an incident panicked");
            }
        }
    }
}
