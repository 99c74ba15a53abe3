//! Limits the memory that a reader uses for one capture file.
//!
//! A few compressed bytes, or a run of numbers, can expand to gigabytes. Limits per row do not
//! bound a file with many rows, so everything that is held of a file at once is charged to a
//! budget before it is allocated: to one budget what stays while the file is open, to another one
//! each time what is selected of it. Both grow with the file, so that every command on a small file
//! takes less than 512 MB, however little of it was needed to claim more.
//!
//! Measured on real captures, of which none comes near: what is held of 90,000 series of a run of five
//! minutes is 10 MB, that is 30 bytes for each byte of a small file; of 535,000 series of two hours
//! it is 36 MB, or 2 bytes for each byte. All samples of these are 130 and 210 bytes for each byte.

use super::codec::DecodeError;

/// Bytes that may be held of every file while it is open: the labels of a million series, or of half a
/// million series and most of the longest journal that a recorder leaves.
const HELD_OF_EACH_FILE: u64 = 128 << 20;
/// Bytes that may be held in addition for each byte of the file. Text that does not compress is charged
/// with less.
const HELD_OF_EACH_BYTE: u64 = 8;
/// Bytes that one selection may take of every file.
const SELECTED_OF_EACH_FILE: u64 = 96 << 20;
/// Bytes that one selection may take in addition for each byte of the file: more than all samples that a
/// recorder has ever put into it.
const SELECTED_OF_EACH_BYTE: u64 = 256;
/// How often the text of a selected series' labels is charged: evaluations and judgements copy it, by target, by
/// node, and for each alert that fires.
const COPIES_OF_LABELS: usize = 6;
/// Bytes that are charged for a selected series beside its text and its samples.
const SIZE_OF_SERIES: usize = 512;

/// Memory that a reader may still use for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBudget {
    limit_bytes: u64,
    left_bytes: u64,
}

impl MemoryBudget {
    /// What may be held of a file of this size in bytes while it is open: 128 MiB and 8 times its size.
    pub fn to_open(file_bytes: u64) -> Self {
        let more = file_bytes.saturating_mul(HELD_OF_EACH_BYTE);
        Self::of_bytes(HELD_OF_EACH_FILE.saturating_add(more))
    }

    /// What one selection of a file of this size in bytes may take: 96 MiB and 256 times its size.
    pub fn to_select(file_bytes: u64) -> Self {
        let more = file_bytes.saturating_mul(SELECTED_OF_EACH_BYTE);
        Self::of_bytes(SELECTED_OF_EACH_FILE.saturating_add(more))
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

    /// Charges the labels of a selected series, whose names and values have `text` bytes.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub fn take_labels(&mut self, text: usize) -> Result<(), DecodeError> {
        self.take(1, text.saturating_mul(COPIES_OF_LABELS).saturating_add(SIZE_OF_SERIES))
    }

    /// Gives back what was charged for what is no longer held.
    pub fn give_back(&mut self, bytes: u64) {
        self.left_bytes = self.left_bytes.saturating_add(bytes).min(self.limit_bytes);
    }

    /// Bytes that are left.
    pub fn left_bytes(&self) -> u64 {
        self.left_bytes
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
        budget.give_back(1);
        assert!(budget.take(1, 1).is_ok());
        budget.give_back(1_000);
        assert_eq!(budget.left_bytes(), 100);
        assert_eq!(budget.limit_bytes(), 100);
    }
}
