//! Stand-ins for what the capture does not offer yet; dropped on merge.

use std::path::Path;

use super::{CaptureError, CaptureReader, Damage};
use crate::model::{Event, TargetKey};

/// What [`verify`] found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Checksums and invariants that were checked.
    pub checked: u64,
    /// What does not hold.
    pub damage: Vec<Damage>,
}

/// What is inside a capture, counted.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Samples.
    pub samples: u64,
    /// Series.
    pub series: u64,
    /// Series and samples of each target.
    pub targets: Vec<(TargetKey, u64, u64)>,
    /// Series of each metric.
    pub metrics: Vec<(String, u64)>,
    /// PD answers.
    pub pd_answers: u64,
    /// Distinct PD documents.
    pub pd_documents: u64,
    /// Bytes by part.
    pub bytes: Vec<(String, u64)>,
    /// Size of the file.
    pub file_bytes: u64,
    /// Format version.
    pub format: u32,
    /// Whether a ground truth is sealed inside.
    pub truth_sealed: bool,
}

impl CaptureReader {
    /// Counts what is inside.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub fn inventory(&self) -> Result<Inventory, CaptureError> {
        todo!()
    }
}

/// Checks every checksum and invariant.
///
/// # Errors
///
/// Where the file cannot be opened at all.
pub fn verify(_path: &Path) -> Result<VerifyReport, CaptureError> {
    todo!()
}

/// Writes a consistent copy, also while a recorder runs.
///
/// # Errors
///
/// Where either file cannot be accessed.
pub fn copy(_src: &Path, _dst: &Path) -> Result<(), CaptureError> {
    todo!()
}

/// Writes a copy in the smallest form.
///
/// # Errors
///
/// Where either file cannot be accessed.
pub fn compact(_src: &Path, _dst: &Path) -> Result<(), CaptureError> {
    todo!()
}

/// Adds an event, also while a recorder runs.
///
/// # Errors
///
/// Where the file cannot be written.
pub fn add_event(_path: &Path, _event: Event) -> Result<(), CaptureError> {
    todo!()
}

/// Seals a ground truth inside.
///
/// # Errors
///
/// Where the file cannot be written.
pub fn seal_truth(_path: &Path, _truth: &[u8]) -> Result<(), CaptureError> {
    todo!()
}
