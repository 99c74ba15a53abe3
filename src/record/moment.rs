//! Records one moment: one round of requests to PD and the last sample of each series.
//!
//! What follows one moment by another is `recorder`.

use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::clock::{Clock, Clocks};
use super::commit::Committer;
use super::copier::{Copier, OpenTick, lock};
use super::error::RecordError;
use super::pd_sampler::PdSampler;
use super::pd_sampling::{self, PdUpdate};
use super::recorder::{Ending, Progress, Stop, wait_for_stop};
use super::scraping::{self, ScrapeRole, Scraper};
use super::settings;
use super::state::{RecordingState, millis};
use crate::capture::{CaptureWriter, Tick};
use crate::model::{Gap, Source, TimeRange, Timestamp};
use crate::source::StoreClient;

/// How far back the last sample of a series may lie, in milliseconds: Prometheus's own lookback
/// (`--query.lookback-delta`).
const LOOKBACK_MS: i64 = 300_000;
/// The time to the next round of requests to PD, which a moment does not wait for.
const NEXT_ROUND: Duration = Duration::from_secs(3_600);

/// The sources of one moment.
pub struct Moment {
    /// Copies samples out of Prometheus; `None` where no Prometheus is recorded.
    pub copier: Option<Copier>,
    /// Asks the PD members; `None` where no PD is recorded.
    pub pd: Option<PdSampler>,
    /// Scrapes what PD lists; `None` where nothing is scraped.
    pub scraper: Option<Scraper>,
    /// Reads the settings of the stores that PD lists; `None` where they are not read.
    pub settings: Option<StoreClient>,
    /// Prometheus's clock minus the recorder's, in milliseconds.
    pub prometheus_offset_ms: i64,
}

/// Asks every member of PD for everything once, copies the last sample of each series out of Prometheus, both
/// at the same time, or then scrapes what PD lists once, and seals the capture. Where the caller wants to stop, what has come by then is sealed.
///
/// The capture does not count as copied: a later copy of the past reads all samples.
///
/// # Errors
///
/// [`RecordError`] where the capture cannot be written. Sources that fail are no error but gaps.
pub async fn record_moment(
    moment: Moment,
    writer: CaptureWriter,
    clock: &'static dyn Clock,
    mut stop: watch::Receiver<Stop>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Ending, RecordError> {
    let clocks = Clocks::start(clock);
    let Moment { copier, pd, scraper, settings, prometheus_offset_ms } = moment;
    // A moment is over before it is known whether Prometheus is away.
    let scraper = scraper.filter(|scraper| scraper.role == ScrapeRole::Alone);
    let open_tick = Mutex::new(OpenTick { writer, tick: Tick::default(), feed: None });
    let committer = Committer::new(&open_tick, clocks, None, progress);
    let mut state = RecordingState::new(&open_tick, clocks, prometheus_offset_ms, committer);
    let now = state.started().steady.saturating_add_millis(prometheus_offset_ms);
    state.begin()?;

    let (sender, updates) = mpsc::unbounded_channel();
    let mut targets = None;
    let stores = match &settings {
        Some(_) => Some(state.expect_settings()?),
        None => None,
    };
    if let Some(pd) = pd {
        let alone = || state.expect_scrapes(pd.members(), ScrapeRole::Alone);
        targets = scraper.is_some().then(alone);
        state.expect_members(&pd, millis(NEXT_ROUND));
        pd_sampling::start(pd, NEXT_ROUND, clocks, sender)?;
    } else {
        drop(sender);
    }
    let all = async {
        let mut copying = std::pin::pin!(copy(copier.as_ref(), &open_tick, now));
        let is_copied = ask(&mut state, updates, copying.as_mut()).await;
        if !is_copied {
            state.attend(copying).await;
        }
        // Which stores there are is known by now.
        if let Some((client, stores)) = settings.zip(stores) {
            let listed = stores.borrow().clone();
            let readings = state.attend(settings::read_once(&client, clocks, &listed)).await;
            readings.iter().for_each(|reading| state.add_settings(reading));
        }
        let Some((scraper, targets)) = scraper.zip(targets) else { return Ok(()) };
        let listed = targets.borrow().clone();
        let scrapes = state.attend(scraping::scrape_once(&scraper, clocks, listed)).await;
        scrapes.iter().try_for_each(|scrape| state.add_scrape(scrape))
    };
    tokio::select! {
        biased;
        () = wait_for_stop(&mut stop, Stop::AfterTick) => {}
        all = all => all?,
    }
    state.end()?;
    drop(state);
    let open_tick = open_tick.into_inner().expect("nobody panics while holding the open tick");
    open_tick.writer.finish()?;
    Ok(Ending::Sealed)
}

/// Takes in one round of answers; none where no sampler runs. Whether the work beside it is done by then.
async fn ask(
    state: &mut RecordingState<'_>,
    mut updates: mpsc::UnboundedReceiver<PdUpdate>,
    mut beside: Pin<&mut impl Future<Output = ()>>,
) -> bool {
    let mut is_done = false;
    loop {
        let next = async {
            tokio::select! {
                biased;
                update = updates.recv() => Some(update),
                () = &mut beside, if !is_done => None,
            }
        };
        match state.attend(next).await {
            None => is_done = true,
            Some(None) => return is_done,
            Some(Some(update)) => {
                let is_last = matches!(update, PdUpdate::RoundEnded(_));
                state.handle_pd_update(update);
                if is_last {
                    return is_done;
                }
            }
        }
    }
}

/// Copies the last samples up to `now` of Prometheus's clock. A failure becomes a gap.
async fn copy(copier: Option<&Copier>, open_tick: &Mutex<OpenTick>, now: Timestamp) {
    let Some(copier) = copier else { return };
    let end = now.saturating_add_millis(1);
    let range = TimeRange::new(now.saturating_add_millis(-LOOKBACK_MS), end);
    let gaps = match copier.copy_last(open_tick, range).await {
        Ok(stats) => stats.left_out,
        Err(error) => {
            tracing::warn!(%error, "Prometheus was not copied");
            vec![Gap {
                range: TimeRange::new(now, end),
                source: Source::Prometheus,
                reason: error.gap_reason(),
                detail: error.to_string(),
                healed_at: None,
            }]
        }
    };
    lock(open_tick).tick.gaps.extend(gaps);
}
