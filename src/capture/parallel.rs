//! Maps items on several threads. The result does not depend on the number of threads.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cells per thread that make a thread worthwhile.
const WORTH_A_THREAD: usize = 1 << 16;

/// Asked once, since the system has to read files of its control groups for it.
static AVAILABLE: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));

/// Maps items in their order, on several threads if `cells`, the total work, is large enough. Each thread has
/// a `W` to work in, which no result may depend on.
pub fn map<T: Sync, R: Send, W: Default>(
    items: &[T],
    cells: usize,
    f: impl Fn(&mut W, &T) -> R + Sync,
) -> Vec<R> {
    let threads = (*AVAILABLE).min(cells / WORTH_A_THREAD).min(items.len());
    if threads < 2 {
        let mut room = W::default();
        return items.iter().map(|item| f(&mut room, item)).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut done, mut room) = (Vec::new(), W::default());
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            match items.get(place) {
                Some(item) => done.push((place, f(&mut room, item))),
                None => return done,
            }
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for worker in workers {
            match worker.join() {
                Ok(part) => done.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<usize> = (0..1000).collect();
        for cells in [0, usize::MAX] {
            let doubled = map(&items, cells, |(): &mut (), item| item * 2);
            assert!(doubled.iter().zip(&items).all(|(doubled, item)| *doubled == item * 2));
        }
    }
}
