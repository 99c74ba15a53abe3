//! How much memory a reader gives to one file.
//!
//! A few bytes that are compressed, or a run of numbers, may stand for gigabytes. What limits each
//! row says nothing of a file with many of them, so whatever is held of a file at once is taken
//! from one budget before it is allocated.

use super::codec::DecodeError;

/// What any file is given. A cluster of half a million series with long labels, and the longest
/// journal that a recorder leaves of it, take three quarters of it.
const OF_EACH_FILE: u64 = 1 << 30;
/// What a file is given in addition for each of its bytes.
const OF_EACH_BYTE: u64 = 256;

/// Memory that a reader may still take for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    limit_bytes: u64,
    left_bytes: u64,
}

impl MemoryBudget {
    /// Of a file of so many bytes.
    pub fn of_file(file_bytes: u64) -> Self {
        Self::of_bytes(OF_EACH_FILE.saturating_add(file_bytes.saturating_mul(OF_EACH_BYTE)))
    }

    /// Of so many bytes of memory.
    pub fn of_bytes(limit_bytes: u64) -> Self {
        Self { limit_bytes, left_bytes: limit_bytes }
    }

    /// All of it, in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Takes the memory of `count` things of `each` bytes that are held from now on.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where less is left; nothing is taken then.
    pub fn take(&mut self, count: usize, each: usize) -> Result<(), DecodeError> {
        let bytes = (count as u64).saturating_mul(each as u64);
        match self.left_bytes.checked_sub(bytes) {
            Some(left) => self.left_bytes = left,
            None => return Err(DecodeError("takes more memory than a file of this size is given")),
        }
        Ok(())
    }

    /// Checks that `count` things of `each` bytes can be held for a moment.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where less is left.
    pub fn allow(&self, count: usize, each: usize) -> Result<(), DecodeError> {
        { *self }.take(count, each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_and_what_does_not_fit_takes_nothing() {
        let mut budget = MemoryBudget::of_bytes(100);
        assert!(budget.take(3, 20).is_ok());
        assert!(budget.take(3, 20).is_err());
        assert!(budget.take(usize::MAX, usize::MAX).is_err());
        assert!(budget.allow(2, 20).is_ok());
        assert!(budget.take(2, 20).is_ok());
        assert!(budget.take(1, 1).is_err());
        assert_eq!(budget.limit_bytes(), 100);
    }
}
