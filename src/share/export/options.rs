//! What is exported and how, and what came of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::capture::FileMode;
use crate::diagnose::Verdict;
use crate::model::{Event, EventKind, LabelMatcher, RunMeta, RunName, TimeRange};
use crate::share::key::Key;
use crate::share::pseudonyms::Mapping;

/// Whether originals are replaced.
#[derive(Clone, Debug)]
pub enum Redaction {
    /// Originals get pseudonyms in the order that this key gives.
    Pseudonyms(Key),
    /// Everything is exported as it was recorded.
    Off,
}

/// Whether sealed ground truths go along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truths {
    /// They stay sealed inside.
    Included,
    /// They are left out.
    LeftOut,
}

/// Whether what is on the timeline goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// All of it.
    Included,
    /// Only what the recorder says of itself: no notes, marks, output of commands and lines of logs.
    LeftOut,
}

/// What is done with a capture of which parts are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamagedParts {
    /// It is not exported.
    Refused,
    /// The rest is exported, and says what is lost.
    LeftOut,
}

/// What is exported, and how.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The part of the run.
    pub range: TimeRange,
    /// Only series that match all of these.
    pub matchers: Vec<LabelMatcher>,
    /// Whether originals are replaced.
    pub redaction: Redaction,
    /// Whether sealed ground truths go along.
    pub truths: Truths,
    /// Whether what is on the timeline goes along.
    pub events: Events,
    /// What is done with a capture of which parts are damaged.
    pub damaged: DamagedParts,
    /// The most bytes that the file may take.
    pub most_bytes: u64,
    /// Who may read it.
    pub mode: FileMode,
}

/// Where the exported file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A new file at this path.
    File(&'a Path),
    /// A new file in this directory, called after the run as the exported capture names it.
    Folder(&'a Path),
}

impl Destination<'_> {
    pub(super) fn path(self, run: &RunName, suffix: &str) -> PathBuf {
        match self {
            Self::File(path) => path.to_owned(),
            Self::Folder(folder) => folder.join(format!("{run}{suffix}")),
        }
    }
}

/// What was exported.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The file that was written.
    pub path: PathBuf,
    /// The metadata of the exported capture, with [`RunMeta::export`].
    pub meta: RunMeta,
    /// The part of the run that it holds.
    pub window: TimeRange,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub file_sha256: String,
    /// The digest of the exported capture's content.
    pub capture_digest: String,
    /// The version of PD that was noted at the recording, or that PD answered; `None` where nothing says.
    pub pd_version: Option<String>,
    /// The versions of TiKV that PD listed first, ascending.
    pub tikv_versions: BTreeSet<String>,
    /// What the reporter's build found in it.
    pub verdict: Verdict,
    /// What that build finds in the whole run, with its own names, where the file holds a part of it in which it
    /// found something else.
    pub whole: Option<Verdict>,
    /// How many texts of persons and lines of commands' output it holds, whose plain words stay.
    pub free_texts: u64,
    /// Whether a sealed truth is in it.
    pub has_truth: bool,
    /// The private table of pseudonyms; empty where nothing was redacted.
    pub mapping: Mapping,
}

/// Whether an event is exported.
pub(super) fn goes_along(event: &Event, events: Events) -> bool {
    events == Events::Included || event.kind.0 == EventKind::RECORDER
}
