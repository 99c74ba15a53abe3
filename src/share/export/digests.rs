//! Digests of an export: of its file and of its verdict.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::diagnose::Verdict;
use crate::model::canonical_json;
use crate::share::ShareError;
use crate::share::key::to_hex;

/// SHA-256 of a verdict's canonical JSON without advice, which is no result of judging, in hexadecimal.
pub fn verdict_digest(verdict: &Verdict) -> String {
    let mut verdict = verdict.clone();
    for cause in verdict.causes.iter_mut().chain(&mut verdict.changes) {
        cause.advice = None;
    }
    to_hex(&Sha256::digest(canonical_json(&verdict).as_bytes()))
}

/// SHA-256 of a file, in hexadecimal, as an export's Markdown names it.
///
/// # Errors
///
/// [`ShareError::Io`] where it cannot be read.
pub fn file_sha256(path: &Path) -> Result<String, ShareError> {
    Ok(size_and_digest(path)?.1)
}

pub(super) fn size_and_digest(path: &Path) -> Result<(u64, String), ShareError> {
    let mut file = File::open(path).map_err(ShareError::io(path))?;
    let (mut hasher, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece).map_err(ShareError::io(path))? {
            0 => return Ok((bytes, to_hex(&hasher.finalize()))),
            count => {
                hasher.update(&piece[..count]);
                bytes += count as u64;
            }
        }
    }
}
