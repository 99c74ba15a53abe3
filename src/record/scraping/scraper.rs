//! Scrapes each target every interval, on a thread of its own, so that no commit shows in the time that a
//! scrape took.
//!
//! A target is asked one thing at a time, and the targets' instants are spread over the interval. A scrape
//! that fails is an observation like another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, Either};
use futures_util::{StreamExt, stream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::page::{BadPage, Page, SampleList};
use super::target::{ScrapeTarget, TargetLabels};
use super::target_series::TargetSeries;
use crate::model::{LabelsError, Timestamp};
use crate::record::clock::{Clock, ClockWatch, Clocks};
use crate::record::coverage::Cause;
use crate::record::error::RecordError;
use crate::source::ScrapeClient;

/// The longest time of a scrape, as in Prometheus (`scrape_timeout`); with a shorter interval, that.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The number of targets that are asked at the same time. One that does not get its turn within its timeout
/// is not asked, which is no failure of the target.
const TARGETS_AT_ONCE: usize = 64;
/// The number of scrapes that wait for the recorder, which holds up further ones.
const SCRAPES_WAITING: usize = 4;

/// How targets are scraped.
#[derive(Clone, Debug)]
pub struct Scraper {
    /// The client that fetches pages. It must not have been used on another thread.
    pub client: ScrapeClient,
    /// The time between two scrapes of a target.
    pub interval: Duration,
    /// When it scrapes, while a recording runs.
    pub role: ScrapeRole,
}

/// When a recorder scrapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScrapeRole {
    /// All the time, and no Prometheus is copied.
    Alone,
    /// While the Prometheus that is copied is away. What is scraped then has the labels that Prometheus gives it, and
    /// [`SCRAPED_BY`](crate::model::SCRAPED_BY).
    Fallback(TargetLabels),
}

/// The outcome of one scrape, or the end of a target.
#[derive(Debug)]
pub struct Scrape {
    /// The name of the target, such as `tikv/10.0.1.1:20180`.
    pub target: String,
    /// Everything that is to be written.
    pub samples: SampleList,
    /// How the scrape ended, and the time that it took in seconds; `None` where the target has vanished.
    pub outcome: Option<(Result<(), Cause>, f64)>,
}

/// Starts the thread. It scrapes the targets of `targets` until that has no sender any more. Samples are
/// stamped with steady time.
///
/// # Errors
///
/// [`RecordError::Thread`] where no thread can be started.
pub fn start(
    scraper: Scraper,
    clocks: Clocks,
    targets: watch::Receiver<Vec<ScrapeTarget>>,
) -> Result<mpsc::Receiver<Scrape>, RecordError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordError::Thread)?;
    let (sender, receiver) = mpsc::channel(SCRAPES_WAITING);
    let turns = Semaphore::new(TARGETS_AT_ONCE);
    let shared = Arc::new(Shared { scraper, clocks, turns });
    std::thread::Builder::new()
        .name("scrape".to_owned())
        .spawn(move || runtime.block_on(supervise(&shared, targets, sender)))
        .map_err(RecordError::Thread)?;
    Ok(receiver)
}

/// Scrapes each target once, outside a recording. The scrapes come in the order of the targets.
pub async fn scrape_now(
    scraper: &Scraper,
    clock: &'static dyn Clock,
    targets: Vec<ScrapeTarget>,
) -> Vec<Scrape> {
    scrape_once(scraper, Clocks::start(clock), targets).await
}

/// Scrapes each target once. The scrapes come in the order of the targets.
pub async fn scrape_once(
    scraper: &Scraper,
    clocks: Clocks,
    targets: Vec<ScrapeTarget>,
) -> Vec<Scrape> {
    let turns = Semaphore::new(TARGETS_AT_ONCE);
    let shared = Shared { scraper: scraper.clone(), clocks, turns };
    let shared = &shared;
    let scrapes = stream::iter(targets).map(|target| async move {
        let mut series = TargetSeries::new(target.clone());
        shared.scrape(&target, &mut series).await
    });
    scrapes.buffered(TARGETS_AT_ONCE).filter_map(future::ready).collect().await
}

/// Follows every target that is listed, each in a task of its own.
async fn supervise(
    shared: &Arc<Shared>,
    mut targets: watch::Receiver<Vec<ScrapeTarget>>,
    results: mpsc::Sender<Scrape>,
) {
    // A task ends when the sender for it is dropped.
    let mut followed: BTreeMap<ScrapeTarget, oneshot::Sender<()>> = BTreeMap::new();
    loop {
        let listed = targets.borrow_and_update().clone();
        followed.retain(|target, _| listed.contains(target));
        for target in listed {
            followed.entry(target).or_insert_with_key(|target| {
                let (sender, unlisted) = oneshot::channel();
                let (shared, results) = (Arc::clone(shared), results.clone());
                tokio::spawn(follow(shared, target.clone(), unlisted, results));
                sender
            });
        }
        if targets.changed().await.is_err() {
            return;
        }
    }
}

/// Scrapes one target every interval until it is no longer listed.
async fn follow(
    shared: Arc<Shared>,
    target: ScrapeTarget,
    mut unlisted: oneshot::Receiver<()>,
    results: mpsc::Sender<Scrape>,
) {
    let mut series = TargetSeries::new(target.clone());
    loop {
        let due = shared.next_due(&target);
        while shared.clocks.read().steady < due {
            tokio::select! {
                () = shared.clocks.sleep_until(due) => {}
                _ = &mut unlisted => return shared.end(&target, &mut series, &results).await,
            }
        }
        let scrape = tokio::select! {
            scrape = shared.scrape(&target, &mut series) => scrape,
            _ = &mut unlisted => return shared.end(&target, &mut series, &results).await,
        };
        if let Some(scrape) = scrape
            && results.send(scrape).await.is_err()
        {
            return;
        }
    }
}

/// What the scrapes of all targets share.
struct Shared {
    scraper: Scraper,
    clocks: Clocks,
    turns: Semaphore,
}

impl Shared {
    /// The next instant of steady time at which a target is due. As in Prometheus, a hash of the target
    /// decides where in the interval that is.
    fn next_due(&self, target: &ScrapeTarget) -> Timestamp {
        let interval_ms = i64::try_from(self.scraper.interval.as_millis()).unwrap_or(i64::MAX);
        let hash = xxh3_64(target.to_string().as_bytes());
        let place = i64::try_from(hash % interval_ms.max(1).unsigned_abs()).unwrap_or_default();
        let now = self.clocks.read().steady.as_millis();
        let ahead = (place - now).rem_euclid(interval_ms.max(1));
        // The instant that has just been scraped lies at most a millisecond back.
        let ahead = if ahead == 0 { interval_ms } else { ahead };
        Timestamp::from_millis(now.saturating_add(ahead))
    }

    /// Scrapes a target. `None` where that says nothing about it: it did not get its turn, or the process
    /// did not run for a while.
    async fn scrape(&self, target: &ScrapeTarget, series: &mut TargetSeries) -> Option<Scrape> {
        let timeout = self.scraper.interval.min(TIMEOUT);
        let turn = tokio::time::timeout(timeout, self.turns.acquire()).await;
        let Ok(_turn) = turn else {
            tracing::warn!(%target, "not scraped, since too many targets do not answer");
            return None;
        };
        let at = self.clocks.read().steady;
        let started = Instant::now();
        let mut watch = ClockWatch::new(self.clocks.read());
        let mut page = std::pin::pin!(self.scraper.client.page(&target.url, timeout));
        let mut has_paused = false;
        let page = loop {
            let wake = std::pin::pin!(self.clocks.sleep_until(Timestamp::MAX));
            let done = future::select(page.as_mut(), wake).await;
            has_paused |= watch.look(self.clocks.read()).pause.is_some();
            if let Either::Left((page, _)) = done {
                break page;
            }
        };
        let read = page
            .map_err(|error| {
                let cause = (error.gap_reason(), error.to_string());
                BadPage { cause, samples: 0 }
            })
            .and_then(|page| Page::read(&page, target, at));
        let (page, outcome) = match read {
            Ok(page) => (Ok(page), Ok(())),
            // The request timed out without any fault of the target.
            Err(_) if has_paused => return None,
            Err(BadPage { cause, samples }) => (Err(samples), Err(cause)),
        };
        let elapsed = started.elapsed();
        let samples = listed(target, series.scraped(page, at, elapsed))?;
        let outcome = Some((outcome, elapsed.as_secs_f64()));
        Some(Scrape { target: target.to_string(), samples, outcome })
    }

    /// Sends what is to be written of a target that has vanished.
    async fn end(
        &self,
        target: &ScrapeTarget,
        series: &mut TargetSeries,
        results: &mpsc::Sender<Scrape>,
    ) {
        if let Some(samples) = listed(target, series.end(self.clocks.read().steady)) {
            let scrape = Scrape { target: target.to_string(), samples, outcome: None };
            // Where the receiver is gone, the thread is about to end.
            let _ = results.send(scrape).await;
        }
    }
}

/// The samples, unless their labels take more than a list can hold.
fn listed(target: &ScrapeTarget, list: Result<SampleList, LabelsError>) -> Option<SampleList> {
    list.map_err(|error| tracing::warn!(%target, %error, "a scrape is not recorded")).ok()
}
