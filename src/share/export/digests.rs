//! The digest of an exported file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::share::ShareError;
use crate::share::key::to_hex;

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
