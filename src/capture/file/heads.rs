//! The rows of the table `head`: one JSON document each about the capture as a whole.

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::CaptureFile;
use crate::capture::CaptureError;
use crate::capture::codec::{open_envelope, seal_envelope};
use crate::model::{RunMeta, Timestamp};

/// Id of the row with the metadata of the run ([`RunMeta`]).
const META: i64 = 1;
/// Id of the row with [`CommittedState`].
const STATE: i64 = 2;
/// Id of the row with [`AdditionCounts`].
const MARKS: i64 = 3;
/// Row that the migrations to format 2 and later write: the oldest version of the program that
/// reads the file.
const READS_SINCE: i64 = 4;

/// Counts and sums of what the writer has committed; a reader checks the rows against them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedState {
    /// Number of rows of `series`.
    pub segments: u64,
    /// Number of rows of `block`.
    pub blocks: u64,
    /// Sum of the hashes of the contexts of all blocks, in hexadecimal: a reader selects blocks by
    /// their bounds before it checks their checksums. Empty in captures of early versions.
    #[serde(default)]
    pub bounds_sum: String,
    /// Number of rows of `gap`.
    pub gaps: u64,
    /// Id of the first row of `journal`.
    pub journal_first: u64,
    /// Id that the next row of `journal` gets.
    pub journal_next: u64,
    /// Number of samples.
    pub samples: u64,
    /// Sum of the hashes of all samples, in hexadecimal.
    pub samples_sum: String,
    /// Number of PD answers.
    pub pd_answers: u64,
    /// Sum of the hashes of all PD answers, in hexadecimal.
    pub pd_sum: String,
    /// Number of distinct PD documents.
    pub documents: u64,
    /// Start of the range that was copied from Prometheus.
    pub copied_from: Option<Timestamp>,
    /// End of the range that was copied from Prometheus.
    pub copied_through: Option<Timestamp>,
    /// Time of the newest observation.
    pub last_observed: Option<Timestamp>,
}

/// Counts of the rows that other processes may add while a recorder runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdditionCounts {
    /// Number of rows of `event`.
    pub events: u64,
    /// Number of rows of `truth`.
    pub truths: u64,
}

impl CommittedState {
    /// The state of an empty capture.
    pub fn empty() -> Self {
        let none = format!("{:032x}", 0);
        Self {
            journal_first: 1,
            journal_next: 1,
            samples_sum: none.clone(),
            pd_sum: none.clone(),
            bounds_sum: none,
            ..Self::default()
        }
    }
}

impl CaptureFile {
    fn head<T: DeserializeOwned>(&self, id: i64) -> Result<Option<T>, CaptureError> {
        let query = "SELECT body FROM head WHERE id = ?1";
        let as_blob = |row: &rusqlite::Row<'_>| {
            Ok(row.get_ref(0)?.as_blob().map(<[u8]>::to_vec).map_err(|_| "the body is not a blob"))
        };
        let body = self
            .connection
            .query_row(query, [id], as_blob)
            .optional()
            .map_err(|source| self.sqlite(source))?;
        let part = format!("head {id}");
        let Some(body) = body else { return Ok(None) };
        let body = body.map_err(|why| self.damaged(&part, why))?;
        let json = open_envelope(&part, &body).map_err(|why| self.damaged(&part, why))?;
        serde_json::from_slice(json).map(Some).map_err(|why| self.damaged(&part, why))
    }

    fn set_head<T: Serialize>(&self, id: i64, value: &T) -> Result<(), CaptureError> {
        let json = serde_json::to_vec(value).expect("heads are plain structures");
        let body = seal_envelope(&format!("head {id}"), &json);
        self.connection
            .prepare("INSERT OR REPLACE INTO head (id, body) VALUES (?1, ?2)")
            .and_then(|mut statement| statement.execute((id, body)))
            .map(drop)
            .map_err(|source| self.sqlite(source))
    }

    /// Reads the metadata of the run.
    pub fn meta(&self) -> Result<RunMeta, CaptureError> {
        self.head(META)?.ok_or_else(|| self.damaged("head 1", "is missing"))
    }

    /// Replaces the metadata of the run.
    pub fn set_meta(&self, meta: &RunMeta) -> Result<(), CaptureError> {
        self.set_head(META, meta)
    }

    /// Reads the counts and sums that were committed.
    pub fn state(&self) -> Result<CommittedState, CaptureError> {
        self.head(STATE)?.ok_or_else(|| self.damaged("head 2", "is missing"))
    }

    /// Replaces the counts and sums that were committed.
    pub fn set_state(&self, state: &CommittedState) -> Result<(), CaptureError> {
        self.set_head(STATE, state)
    }

    /// Reads the counts of events and truths.
    pub fn marks(&self) -> Result<AdditionCounts, CaptureError> {
        Ok(self.head(MARKS)?.unwrap_or_default())
    }

    /// Replaces the counts of events and truths.
    pub fn set_marks(&self, marks: &AdditionCounts) -> Result<(), CaptureError> {
        self.set_head(MARKS, marks)
    }

    /// The oldest version of `operator` that reads a capture of a later format. Nothing else of
    /// such a file is known, so a row that is not as `docs/capture-format.md` specifies gives
    /// `None`.
    pub(super) fn reads_since(&self) -> Option<String> {
        let version: String = self.head(READS_SINCE).ok()??;
        let is_version = |text: &str| {
            text.len() <= 32
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte))
        };
        Some(version).filter(|version| is_version(version))
    }
}
