//! `watch --logs`: members and stores are asked for their logs while the recording goes on. When a fault is told,
//! those that it names are asked for what they wrote up to then; when its segment is complete, all of them for
//! the rest.

use std::path::Path;
use std::sync::Arc;

use super::asking::{Asking, Threads};
use super::attaching::{self, Questions};
use super::block_on;
use super::config::logs::LogArgs;
use super::exit::{self, CliError};
use super::lookup::run_name;
use crate::capture::CaptureError;
use crate::model::{RunName, escape_path};
use crate::record::{SegmentChange, SegmentListener, Stop, is_incident};
use crate::watch::Audience;

mod begin;

use begin::FaultLogs;

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
    pub fn new(run: RunName, asking: Arc<Asking>) -> Self {
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
        let told = |text: &str| self.asking.tell(text);
        // A first signal ends the watch, whose last incident has yet to be asked about.
        let stop = (Stop::AtOnce, &self.asking.stop);
        let questions = Questions { http: &self.asking.http, stop, tell: &told };
        match block_on(attaching::attach(path, &args, questions)) {
            Ok(attachment) => {
                attachment.attached.iter().for_each(|one| told(&attaching::text(one)));
                if attachment.is_stopped {
                    told(&format!("{}: {}", escape_path(path), CliError::NotAllAsked));
                }
            }
            Err(error) => {
                told(&format!("{}: no logs attached: {}", escape_path(path), exit::chain(&error)));
            }
        }
    }

    /// Waits until all were asked, at most a minute for each node, or a second signal ends that.
    pub fn finish(&self) {
        self.faults.finish();
        self.threads.join();
    }
}
