//! The rows of the table `block`, without their bodies, and which of them belong to a target.

use super::reader::BlockRow;

/// Rows in ascending order of id.
#[derive(Debug, Default)]
pub(super) struct BlockRows {
    rows: Vec<BlockRow>,
    /// The places of the rows, ascending by target, then by id: a capture may have as many targets as blocks, so that
    /// not every target looks at every row.
    by_target: Vec<usize>,
}

impl BlockRows {
    /// Of rows in ascending order of id.
    pub fn new(rows: Vec<BlockRow>) -> Self {
        let mut by_target: Vec<usize> = (0..rows.len()).collect();
        by_target.sort_by_key(|place| rows[*place].target);
        Self { rows, by_target }
    }

    /// All rows, in ascending order of id.
    pub fn iter(&self) -> impl Iterator<Item = &BlockRow> {
        self.rows.iter()
    }

    /// The rows of a target, in ascending order of id.
    pub fn of(&self, target: u32) -> impl Iterator<Item = &BlockRow> {
        let first = self.by_target.partition_point(|place| self.rows[*place].target < target);
        let own = self.by_target[first..].iter().map(|place| &self.rows[*place]);
        own.take_while(move |block| block.target == target)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn row(id: u64, target: u32) -> BlockRow {
        BlockRow { id, target, first: 0, last: 0 }
    }

    #[test]
    fn the_rows_of_a_target_are_in_the_order_of_their_ids() {
        let targets = [3, 1, 3, 0, 1, 3];
        let rows = BlockRows::new((1..).zip(targets).map(|(id, target)| row(id, target)).collect());
        let ids = |target| rows.of(target).map(|row| row.id).collect::<Vec<_>>();
        assert_eq!([ids(0), ids(1), ids(2), ids(3)], [vec![4], vec![2, 5], vec![], vec![1, 3, 6]]);
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn hundreds_of_thousands_of_targets_find_their_rows_in_seconds() {
        const TARGETS: u32 = 300_000;
        let (done, waits) = mpsc::channel();
        std::thread::spawn(move || {
            let rows =
                BlockRows::new((0..TARGETS).map(|one| row(u64::from(one) + 1, one)).collect());
            done.send((0..TARGETS).map(|target| rows.of(target).count()).sum::<usize>())
        });
        assert_eq!(waits.recv_timeout(Duration::from_secs(60)), Ok(TARGETS as usize));
    }
}
