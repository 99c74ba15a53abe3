//! Counts what a query uses, and fails it where it exceeds a limit.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::promql::error::EvalError;
use crate::promql::eval::engine::EngineOptions;

/// From this product of items and steps on, a further thread saves time.
const WORTH_A_THREAD: usize = 1 << 14;

/// Counts the samples that are held and those that have been read.
pub struct Budget<'a> {
    options: &'a EngineOptions,
    held: AtomicUsize,
    work: AtomicU64,
}

impl<'a> Budget<'a> {
    pub fn new(options: &'a EngineOptions) -> Self {
        Self { options, held: AtomicUsize::new(0), work: AtomicU64::new(0) }
    }

    /// Samples held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Counts samples about to be held.
    ///
    /// # Errors
    ///
    /// Where the limit is exceeded.
    pub fn hold(&self, samples: usize) -> Result<(), EvalError> {
        let before = self.held.fetch_add(samples, Ordering::Relaxed);
        if before.saturating_add(samples) > self.options.limits.samples {
            return Err(EvalError::TooManySamples(self.options.limits.samples));
        }
        Ok(())
    }

    /// Replaces what a node's operands held by what its result holds.
    ///
    /// # Errors
    ///
    /// Where the limit is exceeded.
    pub fn settle(&self, before: usize, result: usize) -> Result<(), EvalError> {
        self.held.store(before, Ordering::Relaxed);
        self.hold(result)
    }

    /// Counts samples that are read.
    ///
    /// # Errors
    ///
    /// Where the limit is exceeded, or the query is cancelled.
    pub fn work(&self, samples: u64) -> Result<(), EvalError> {
        let before = self.work.fetch_add(samples, Ordering::Relaxed);
        if before.saturating_add(samples) > self.options.limits.work {
            return Err(EvalError::TooMuchWork(self.options.limits.work));
        }
        let stop = self.options.interrupt.as_ref();
        if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(EvalError::Interrupted);
        }
        Ok(())
    }

    /// Maps items in their order, on several threads where that saves time.
    pub fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        steps: usize,
        f: impl Fn(&T) -> Result<Option<R>, EvalError> + Sync,
    ) -> Result<Vec<R>, EvalError> {
        let all = |items: &[T]| -> Result<Vec<R>, EvalError> {
            let mut results = Vec::with_capacity(items.len());
            for item in items {
                results.extend(f(item)?);
            }
            Ok(results)
        };
        let worth = items.len().saturating_mul(steps) / WORTH_A_THREAD;
        let threads = self.options.threads.get().min(worth).min(items.len());
        let Some(threads) = NonZeroUsize::new(threads).filter(|threads| threads.get() > 1) else {
            return all(items);
        };
        let chunk = items.len().div_ceil(threads.get());
        let parts: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> =
                items.chunks(chunk).map(|part| scope.spawn(|| all(part))).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, _>| match worker.join() {
                Ok(part) => part,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            workers.into_iter().map(join).collect()
        });
        let mut results = Vec::with_capacity(items.len());
        for part in parts {
            results.append(&mut part?);
        }
        Ok(results)
    }
}
