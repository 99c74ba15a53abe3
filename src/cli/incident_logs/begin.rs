//! Asks the nodes that a fault names for what they wrote, as soon as it is told: the next verdict says why, where
//! their lines do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::capture::{CaptureError, CaptureReader};
use crate::cli::asking::{Asking, Threads};
use crate::cli::log_search::{self, AROUND_MS, AskedNode};
use crate::cli::{block_on, clock};
use crate::diagnose::{Cause, Target, TargetKind, Verdict};
use crate::logs::ExtractOptions;
use crate::model::{LogEvent, LogKind, TimeRange, Timestamp, escape};
use crate::record::{AskedLog, NodeAnswer};
use crate::watch::{Audience, Judged};

/// How long a node may take for its whole answer: somebody has been woken and reads the verdict.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The most nodes that are asked for one fault.
const MOST_NODES: usize = 8;

/// Asks for the logs of faults that are told.
#[derive(Clone)]
pub struct FaultLogs {
    asking: Arc<Asking>,
    asked: Arc<Mutex<Asked>>,
    threads: Threads,
}

/// Whom this watch has asked.
#[derive(Default)]
struct Asked {
    /// In the current segment: nobody is asked twice for one.
    nodes: BTreeSet<String>,
    /// Up to when, in any segment: no line is asked for twice.
    until: BTreeMap<String, Timestamp>,
}

impl FaultLogs {
    /// Has asked nobody yet.
    pub fn new(asking: Arc<Asking>) -> Self {
        Self { asking, asked: Arc::default(), threads: Threads::default() }
    }

    /// Takes in whom a watch before this one has asked, as the capture says in which the recording continues.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read.
    pub fn resume(&self, capture: &Path) -> Result<(), CaptureError> {
        let events = CaptureReader::open(capture)?.events()?;
        let mut asked = self.asked();
        for line in events.iter().filter_map(LogEvent::of_event) {
            if let Some(until) = line.asked_until() {
                let held = asked.until.entry(line.node).or_insert(until);
                *held = until.max(*held);
            }
        }
        Ok(())
    }

    /// An audience that also begins to ask the nodes of each fault that it is told of.
    pub fn after(&self, audience: Audience) -> Audience {
        let logs = self.clone();
        self.asking.after(audience, move |cause, judged| logs.ask(cause, judged))
    }

    /// Nodes may be asked again: for another segment.
    pub fn begin_segment(&self) {
        self.asked().nodes.clear();
    }

    /// Waits until nobody is asked any more: the request that is running when the watch stops is given up.
    pub fn finish(&self) {
        self.threads.join();
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, cause: &Cause, judged: &Judged<'_>) {
        let nodes = AskedNode::all(judged.nodes, self.asking.scheme);
        let nodes = named_by(judged.verdict, cause, nodes);
        let from = cause.onset_ms.saturating_add_millis(-AROUND_MS).max(judged.window.start);
        let now = clock::now();
        let mut questions = Vec::new();
        let mut asked = self.asked();
        for node in nodes {
            if questions.len() == MOST_NODES || !asked.nodes.insert(node.name().to_owned()) {
                continue;
            }
            let start = asked.until.get(node.name()).map_or(from, |until| from.max(*until));
            let options = log_search::options(&node, TimeRange::new(start, now), judged.nodes);
            questions.push((node, options));
        }
        drop(asked);
        if !questions.is_empty() {
            let logs = self.clone();
            self.threads.spawn(move || logs.ask_all(questions));
        }
    }

    fn ask_all(&self, questions: Vec<(AskedNode, ExtractOptions)>) {
        let asking = block_on(async {
            for (node, options) in questions {
                let until = options.window.end;
                self.asking.tell(&format!("asking {} for its log", escape(node.name())));
                let answer = log_search::ask(&node, &self.asking.http, options, TIMEOUT);
                let Some(answer) = clock::unless_stopped(&self.asking.stop, answer).await else {
                    return Ok(());
                };
                self.pass_on(answer?, until);
            }
            Ok(())
        });
        if let Err(error) = asking {
            tracing::warn!(%error, "nobody is asked for the log of a fault");
        }
    }

    /// Passes what a node says on to the recorder.
    fn pass_on(&self, mut answer: AskedLog, until: Timestamp) {
        let told = match &mut answer {
            AskedLog::Read(extract) => {
                let record = extract.events.iter_mut().find(|line| line.kind == LogKind::Coverage);
                record.into_iter().for_each(|line| line.set_asked_until(until));
                self.asked().until.insert(extract.node.clone(), until);
                format!("{}: its log is read", extract.node)
            }
            AskedLog::Unread(line) => format!("{}: {}", line.node, line.text),
        };
        self.asking.tell(&escape(&told));
        // Where the recording has ended, the incident asks for all of it.
        let _ = self.asking.found.send(NodeAnswer::Log(answer));
    }
}

/// The nodes that a cause is about, then those that what speaks for it is about. PD as a whole is all its members.
fn named_by(verdict: &Verdict, cause: &Cause, nodes: Vec<AskedNode>) -> Vec<AskedNode> {
    let findings = cause
        .evidence
        .iter()
        .filter_map(|reason| verdict.findings.iter().find(|finding| finding.id == reason.finding));
    let targets: Vec<&Target> =
        [&cause.target].into_iter().chain(findings.map(|finding| &finding.target)).collect();
    let is_named = |target: &Target, node: &AskedNode| match target.kind {
        TargetKind::Pd => node.is_member(),
        TargetKind::Link => target.name.split(" - ").any(|end| end == node.name()),
        _ => target.name == node.name() || target.concerns.iter().any(|name| name == node.name()),
    };
    let place = |node: &AskedNode| targets.iter().position(|target| is_named(target, node));
    let mut named: Vec<(usize, AskedNode)> =
        nodes.into_iter().filter_map(|node| Some((place(&node)?, node))).collect();
    named.sort_by_key(|(place, _)| *place);
    named.into_iter().map(|(_, node)| node).collect()
}
