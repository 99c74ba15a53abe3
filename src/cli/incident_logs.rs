//! `watch --logs`: when the segment of an incident is complete, members and stores are asked for their logs, while
//! the recording goes on.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::attaching;
use super::config::logs::LogArgs;
use super::exit;
use super::lookup::run_name;
use super::terminal::progress::Reporter;
use crate::model::{RunName, escape_path};
use crate::record::{SegmentChange, SegmentListener, is_incident};
use crate::source::HttpOptions;

/// Asks for the logs of incidents, of each on a thread of its own.
#[derive(Clone)]
pub struct IncidentLogs {
    run: RunName,
    http: HttpOptions,
    reporter: Arc<Mutex<Reporter>>,
    asking: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl IncidentLogs {
    /// For the incidents of `run`; nodes are reached with `http`.
    pub fn new(run: RunName, http: HttpOptions, reporter: Arc<Mutex<Reporter>>) -> Self {
        Self { run, http, reporter, asking: Arc::default() }
    }

    /// A listener that also asks for the logs of each incident that is sealed.
    pub fn beside(&self, mut listener: SegmentListener) -> SegmentListener {
        let logs = self.clone();
        Box::new(move |change| {
            listener(change);
            if let SegmentChange::Sealed { path, .. } = change {
                logs.ask(path);
            }
        })
    }

    /// Begins to ask for the logs of a sealed segment, if it is an incident.
    pub fn ask(&self, path: &Path) {
        if !is_incident(&self.run, &run_name(path)) {
            return;
        }
        let (path, logs) = (path.to_owned(), self.clone());
        let asking = std::thread::Builder::new().name("incident logs".to_owned());
        match asking.spawn(move || logs.attach(&path)) {
            Ok(thread) => self.asking.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
            Err(error) => tracing::warn!(%error, "nobody is asked for the logs of an incident"),
        }
    }

    fn attach(&self, path: &Path) {
        let tell =
            |text: &str| self.reporter.lock().unwrap_or_else(PoisonError::into_inner).line(text);
        let args = LogArgs { search: true, ..LogArgs::default() };
        match attaching::attach(path, &args, &self.http, tell) {
            Ok(attached) => attached.iter().for_each(|one| tell(&attaching::text(one))),
            Err(error) => {
                tell(&format!("{}: no logs attached: {}", escape_path(path), exit::chain(&error)));
            }
        }
    }

    /// Waits until all were asked: at most a minute for each node.
    pub fn finish(&self) {
        let asking =
            std::mem::take(&mut *self.asking.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in asking {
            if thread.join().is_err() {
                tracing::warn!("asking for the logs of an incident panicked");
            }
        }
    }
}
