//! Limits the memory that a reader uses for one capture file.
//!
//! A few compressed bytes, or a run of numbers, can expand to gigabytes. Limits per row do not
//! bound a file with many rows, so everything that is held of a file at once is charged to one
//! budget before it is allocated.

use super::codec::DecodeError;

/// Bytes that every file may use. A cluster of half a million series with long labels, and the
/// longest journal that a recorder leaves of it, use three quarters of them.
const OF_EACH_FILE: u64 = 1 << 30;
/// Bytes that a file may use in addition for each byte of its size.
const OF_EACH_BYTE: u64 = 256;

/// Memory that a reader may still use for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    limit_bytes: u64,
    left_bytes: u64,
}

impl MemoryBudget {
    /// The budget for a file of this size in bytes: 1 GiB and 256 times its size.
    pub fn of_file(file_bytes: u64) -> Self {
        Self::of_bytes(OF_EACH_FILE.saturating_add(file_bytes.saturating_mul(OF_EACH_BYTE)))
    }

    /// A budget of this many bytes of memory.
    pub fn of_bytes(limit_bytes: u64) -> Self {
        Self { limit_bytes, left_bytes: limit_bytes }
    }

    /// The whole budget in bytes, spent or not.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Charges `count` items of `each` bytes that are held from now on.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where less is left; nothing is charged then.
    pub fn take(&mut self, count: usize, each: usize) -> Result<(), DecodeError> {
        let bytes = (count as u64).saturating_mul(each as u64);
        match self.left_bytes.checked_sub(bytes) {
            Some(left) => self.left_bytes = left,
            None => return Err(DecodeError("takes more memory than a file of this size is given")),
        }
        Ok(())
    }

    /// Checks that `count` items of `each` bytes fit for a moment, without charging them.
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
