//! A hash map keyed by fingerprints, which are hashes already and need no second hashing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::model::Fingerprint;

/// Uses the low 64 bits of a fingerprint as its hash.
#[derive(Default)]
pub struct FingerprintHasher(u64);

impl Hasher for FingerprintHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
}

/// A hash map whose keys are series fingerprints.
pub type FingerprintMap<T> = HashMap<Fingerprint, T, BuildHasherDefault<FingerprintHasher>>;
