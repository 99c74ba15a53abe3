//! What is known of a run beside its observations.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::loss::{Loss, Unreadable, joined_unreadable};
use super::time::Timestamp;
use super::told::Told;

/// The name of a run: letters, digits, `.`, `_` and `-`, at most 100 bytes, not starting with
/// a dot. It becomes a file name, so nothing that could leave a directory is allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunName(String);

/// A name that cannot be a run's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot name a run: use 1 to 100 letters, digits, '.', '_' or '-', not starting with '.' or '-'"
)]
pub struct RunNameError(pub String);

impl RunName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`RunNameError`] where it is empty, too long, or has another character.
    pub fn new(name: &str) -> Result<Self, RunNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let valid = (1..=100).contains(&name.len())
            && !name.starts_with(['.', '-'])
            && name.bytes().all(allowed);
        if valid { Ok(Self(name.to_owned())) } else { Err(RunNameError(name.to_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunName {
    type Error = RunNameError;

    fn try_from(name: String) -> Result<Self, RunNameError> {
        Self::new(&name)
    }
}

impl From<RunName> for String {
    fn from(name: RunName) -> Self {
        name.0
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where the observations came from, without credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// PD client URLs by member name.
    #[serde(default)]
    pub pd: BTreeMap<String, String>,
    /// Prometheus's base URL.
    #[serde(default)]
    pub prometheus: Option<String>,
}

/// Versions of what was observed and of what observed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The version of this program.
    #[serde(default)]
    pub operator: String,
    /// `version` of Prometheus's `/api/v1/status/buildinfo`, or the major alone; of a compatible server with the
    /// generation of PromQL behind it, such as `0.42.4 (PromQL 3)`.
    #[serde(default)]
    pub prometheus: Option<String>,
    /// `version` of PD's `/version`.
    #[serde(default)]
    pub pd: Option<String>,
}

/// How far a source's clock stood from the recorder's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// The source, as [`Source`](super::Source) prints it.
    pub source: String,
    /// When it was measured, by the recorder's clock.
    pub at: Timestamp,
    /// The source's clock minus the recorder's, in milliseconds.
    pub offset_ms: i64,
    /// The measurement is right to within this many milliseconds.
    pub uncertainty_ms: i64,
}

/// What an exported capture says of its making.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The version of this program that exported it.
    #[serde(default)]
    pub build: String,
    /// What that version found in the exported capture, in a sentence without a full stop.
    #[serde(default)]
    pub verdict: String,
    /// SHA-256 of that verdict's canonical JSON, in hexadecimal.
    #[serde(default)]
    pub verdict_digest: String,
    /// How many different originals of each kind have a pseudonym; empty where nothing was redacted.
    #[serde(default)]
    pub replaced: BTreeMap<String, u64>,
    /// What was left out to make the file smaller, in the order in which it went.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// What was damaged in the capture that it was made of, and is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Loss>,
    /// The parts of `lost` that held what a verdict reads, by the program that exported it; `None` in a file
    /// of a program that did not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<Vec<Unreadable>>,
}

/// How samples came that no Prometheus scraped, in [`RunMeta::copied_by`].
pub const SCRAPED: &str = "scrape";

/// The label, and its value, of series that the recorder scraped itself while a Prometheus that it copies was away.
pub const SCRAPED_BY: (&str, &str) = ("scraped_by", "recorder");

/// Who scraped the targets of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScrapedBy {
    /// A Prometheus, or a server like it, of which samples were copied.
    #[default]
    Prometheus,
    /// The recorder itself (`record --scrape`).
    Recorder,
}

impl ScrapedBy {
    /// What it is called in a sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::Prometheus => "Prometheus",
            Self::Recorder => "the recorder",
        }
    }

    /// What it is called where a name stands alone, as on the timeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Recorder => "recorder",
        }
    }
}

/// What a capture says about its run as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMeta {
    /// The run's name.
    pub run: RunName,
    /// The kind of system under observation, such as `tikv`.
    pub subject: String,
    /// When the capture was created, by the recorder's clock.
    pub created: Timestamp,
    /// PD's cluster id, where it was learnt. Exceeds 2^53, so it is written as a string.
    #[serde(default)]
    pub cluster_id: Option<String>,
    /// Where the observations came from.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// Versions of what took part.
    #[serde(default)]
    pub versions: Versions,
    /// Series selectors by which samples were copied.
    #[serde(default)]
    pub selectors: Vec<String>,
    /// How samples were copied: `remote_read_chunks`, `remote_read_samples` or `query`
    /// (with staleness inferred); or [`SCRAPED`].
    #[serde(default)]
    pub copied_by: Vec<String>,
    /// Clock offsets, in the order of measurement.
    #[serde(default)]
    pub clock_offsets: Vec<ClockOffset>,
    /// Where the run begins, by the source's clock: what was recorded before is its run-in, for rules and queries that
    /// look back. `None` where it begins with the first observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<Timestamp>,
    /// What somebody said of clusters and nodes.
    #[serde(default, skip_serializing_if = "Told::is_empty")]
    pub told: Told,
    /// How it was exported; `None` for a recording that was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Export>,
    /// What was damaged in the segment before this one, of the time that was copied out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Loss>,
}

impl RunMeta {
    /// Whether pseudonyms stand in it for what was recorded.
    pub fn is_redacted(&self) -> bool {
        self.export.as_ref().is_some_and(|export| !export.replaced.is_empty())
    }

    /// What was damaged in the captures that this one was made of, and is not in it.
    pub fn lost_before(&self) -> impl Iterator<Item = &Loss> {
        let export = self.export.iter().flat_map(|export| &export.lost);
        export.chain(&self.lost)
    }

    /// The parts of [`lost_before`](Self::lost_before) that held what a verdict reads, ascending; all of
    /// them where nobody said which did.
    pub fn unreadable_before(&self) -> Vec<Unreadable> {
        let export = self.export.iter().filter_map(|export| {
            let all = export.lost.as_ref().map(|lost| &lost.parts);
            export.unreadable.as_ref().or(all)
        });
        let parts = export.chain(self.lost.iter().map(|lost| &lost.parts));
        joined_unreadable(parts.flatten().cloned())
    }

    /// Who scraped its targets. Where a part was copied of a Prometheus, that counts.
    pub fn scraped_by(&self) -> ScrapedBy {
        let is_recorder = |how: &String| how == SCRAPED;
        match !self.copied_by.is_empty() && self.copied_by.iter().all(is_recorder) {
            true => ScrapedBy::Recorder,
            false => ScrapedBy::Prometheus,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_directory_are_refused() {
        for name in ["", "..", "a/b", "../x", ".hidden", "-x", "a b", "a\\b", "a\0"] {
            assert!(RunName::new(name).is_err(), "{name:?}");
        }
        assert!(RunName::new("chaos-01").is_ok());
    }
}
