//! The rows of `head`: one JSON document each about the capture as a whole.

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::CaptureFile;
use crate::capture::CaptureError;
use crate::capture::codec::{open_envelope, seal_envelope};
use crate::model::{RunMeta, Timestamp};

const META: i64 = 1;
const STATE: i64 = 2;
const MARKS: i64 = 3;
/// Written by the migrations to format 2 and later ones.
const READS_SINCE: i64 = 4;

/// What the writer has committed so far; a reader checks the rows against it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedState {
    /// Rows of `series`.
    pub segments: u64,
    /// Rows of `block`.
    pub blocks: u64,
    /// Sum of the hashes of what the blocks' checksums are bound to, in hexadecimal: a reader picks
    /// blocks by their bounds before it checks them. Empty where a capture was written without.
    #[serde(default)]
    pub bounds_sum: String,
    /// Rows of `gap`.
    pub gaps: u64,
    /// First id of `journal`.
    pub journal_first: u64,
    /// Id that the next row of `journal` gets.
    pub journal_next: u64,
    /// Samples.
    pub samples: u64,
    /// Sum of the samples' hashes, in hexadecimal.
    pub samples_sum: String,
    /// PD answers.
    pub pd_answers: u64,
    /// Sum of the PD answers' hashes, in hexadecimal.
    pub pd_sum: String,
    /// PD documents.
    pub documents: u64,
    /// From when on Prometheus has been copied.
    pub copied_from: Option<Timestamp>,
    /// How far Prometheus has been copied.
    pub copied_through: Option<Timestamp>,
    /// When something was last observed.
    pub last_observed: Option<Timestamp>,
}

/// What may be added while a recorder runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdditionCounts {
    /// Rows of `event`.
    pub events: u64,
    /// Rows of `truth`.
    pub truths: u64,
}

impl CommittedState {
    /// Of a capture that holds nothing yet.
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

    /// What is known of the run.
    pub fn meta(&self) -> Result<RunMeta, CaptureError> {
        self.head(META)?.ok_or_else(|| self.damaged("head 1", "is missing"))
    }

    /// Replaces what is known of the run.
    pub fn set_meta(&self, meta: &RunMeta) -> Result<(), CaptureError> {
        self.set_head(META, meta)
    }

    /// What has been committed.
    pub fn state(&self) -> Result<CommittedState, CaptureError> {
        self.head(STATE)?.ok_or_else(|| self.damaged("head 2", "is missing"))
    }

    /// Replaces what has been committed.
    pub fn set_state(&self, state: &CommittedState) -> Result<(), CaptureError> {
        self.set_head(STATE, state)
    }

    /// Counts of what may be added while a recorder runs.
    pub fn marks(&self) -> Result<AdditionCounts, CaptureError> {
        Ok(self.head(MARKS)?.unwrap_or_default())
    }

    /// Replaces those counts.
    pub fn set_marks(&self, marks: &AdditionCounts) -> Result<(), CaptureError> {
        self.set_head(MARKS, marks)
    }

    /// The version of `operator` that a capture of a later format asks for. Nothing else of such a
    /// file is known, so whatever is not as `docs/capture-format.md` promises is no answer.
    pub(super) fn reads_since(&self) -> Option<String> {
        let version: String = self.head(READS_SINCE).ok()??;
        let is_version = |text: &str| {
            text.len() <= 32
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte))
        };
        Some(version).filter(|version| is_version(version))
    }
}
