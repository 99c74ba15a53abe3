//! `watch --logs`: members and stores are asked for their logs while the recording goes on. When a fault is told,
//! those that it names are asked for what they wrote up to then; when its segment is complete, all of them for
//! the rest.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use super::attaching;
use super::config::logs::LogArgs;
use super::exit;
use super::lookup::run_name;
use super::terminal::progress::Reporter;
use crate::capture::CaptureError;
use crate::model::{RunName, Timestamp, escape_path};
use crate::record::{AskedLog, SegmentChange, SegmentListener, Stop, is_incident};
use crate::source::HttpOptions;
use crate::watch::Audience;

mod begin;

use begin::FaultLogs;

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
    pub found: mpsc::UnboundedSender<AskedLog>,
    /// Tells a person who is asked.
    pub reporter: Arc<Mutex<Reporter>>,
}

/// Asks for the logs of incidents, of each on a thread of its own.
#[derive(Clone)]
pub struct IncidentLogs {
    run: RunName,
    asking: Arc<Asking>,
    faults: FaultLogs,
    threads: Threads,
}

impl IncidentLogs {
    /// For the incidents of `run`.
    pub fn new(run: RunName, asking: Asking) -> Self {
        let asking = Arc::new(asking);
        let faults = FaultLogs::new(Arc::clone(&asking));
        Self { run, asking, faults, threads: Threads::default() }
    }

    /// Takes in what a capture holds in which the recording continues.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where it cannot be read.
    pub fn resume(&self, capture: &Path) -> Result<(), CaptureError> {
        self.faults.resume(capture)
    }

    /// An audience that also begins to ask the nodes of each fault that it is told of.
    pub fn after(&self, audience: Audience) -> Audience {
        self.faults.after(audience)
    }

    /// A listener that also asks for the logs of each incident that is sealed.
    pub fn beside(&self, mut listener: SegmentListener) -> SegmentListener {
        let logs = self.clone();
        Box::new(move |change| {
            listener(change);
            match change {
                SegmentChange::Began { .. } => logs.faults.begin_segment(),
                SegmentChange::Sealed { path, .. } => logs.ask(path),
                SegmentChange::Dropped { .. } => {}
            }
        })
    }

    /// Begins to ask for the logs of a sealed segment, if it is an incident.
    pub fn ask(&self, path: &Path) {
        if !is_incident(&self.run, &run_name(path)) {
            return;
        }
        let (path, logs) = (path.to_owned(), self.clone());
        self.threads.spawn(move || logs.attach(&path));
    }

    fn attach(&self, path: &Path) {
        let args = LogArgs { search: true, ..LogArgs::default() };
        let told = |text: &str| tell(&self.asking.reporter, text);
        match attaching::attach(path, &args, &self.asking.http, told) {
            Ok(attached) => attached.iter().for_each(|one| told(&attaching::text(one))),
            Err(error) => {
                told(&format!("{}: no logs attached: {}", escape_path(path), exit::chain(&error)));
            }
        }
    }

    /// Waits until all were asked: at most a minute for each node.
    pub fn finish(&self) {
        self.faults.finish();
        self.threads.join();
    }
}

fn tell(reporter: &Mutex<Reporter>, text: &str) {
    reporter.lock().unwrap_or_else(PoisonError::into_inner).line(text);
}

/// Threads that ask nodes, so that nobody who records or judges waits for a node.
#[derive(Clone, Default)]
struct Threads(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Threads {
    fn spawn(&self, ask: impl FnOnce() + Send + 'static) {
        match std::thread::Builder::new().name("logs".to_owned()).spawn(ask) {
            Ok(thread) => self.0.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
            Err(error) => tracing::warn!(%error, "nobody is asked for the logs of an incident"),
        }
    }

    fn join(&self) {
        let threads = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::warn!("asking for the logs of an incident panicked");
            }
        }
    }
}
