//! Asks stores for their settings, one at a time, on a thread of its own: a store that hangs costs nobody else
//! anything.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::body::settings_in;
use super::listed::ListedStore;
use super::machine::machine_in;
use super::schedule::{Due, Schedule};
use crate::model::{GapReason, Occasion, StoreId, Timestamp};
use crate::record::clock::Clocks;
use crate::record::coverage::Cause;
use crate::record::error::RecordError;
use crate::source::StoreClient;

/// The longest time of one request. The status server has one thread, which a page of metrics may occupy.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time of asking every store once: a hundred that answer take less than a second.
const ONCE: Duration = Duration::from_secs(5);

/// The outcome of asking a store for its settings.
#[derive(Debug)]
pub struct SettingsReading {
    /// The store.
    pub store: StoreId,
    /// When it had answered, or failed, by the wall clock.
    pub at: Timestamp,
    /// Why it was asked.
    pub occasion: Occasion,
    /// Its settings, or why there are none.
    pub read: Result<BTreeMap<String, String>, Cause>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How it went to ask for its machine, and how long that took, in seconds; `None` where that was not asked.
    pub machine: Option<(&'static str, f64)>,
}

/// Starts the thread. It asks the stores of `stores` until that has no sender any more. The client must not have
/// been used on another thread.
///
/// # Errors
///
/// [`RecordError::Thread`] where no thread can be started.
pub fn start(
    client: StoreClient,
    clocks: Clocks,
    stores: watch::Receiver<Vec<ListedStore>>,
) -> Result<mpsc::UnboundedReceiver<SettingsReading>, RecordError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordError::Thread)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::Builder::new()
        .name("settings".to_owned())
        .spawn(move || runtime.block_on(follow(client, clocks, stores, sender)))
        .map_err(RecordError::Thread)?;
    Ok(receiver)
}

async fn follow(
    client: StoreClient,
    clocks: Clocks,
    mut stores: watch::Receiver<Vec<ListedStore>>,
    results: mpsc::UnboundedSender<SettingsReading>,
) {
    let mut schedule = Schedule::default();
    loop {
        let listed = stores.borrow_and_update().clone();
        let now = clocks.read().steady;
        let next = schedule.next(&listed, now);
        let wake = next.as_ref().map_or(Timestamp::MAX, |due| due.at);
        if let Some(due) = next.filter(|due| due.at <= now) {
            let reading = read(&client, &clocks, &due).await;
            schedule.note(&due, reading.read.is_ok(), clocks.read().steady);
            if results.send(reading).is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            changed = stores.changed() => if changed.is_err() { return },
            () = clocks.sleep_until(wake) => {}
        }
    }
}

/// Asks each store once, one after the other, for at most 5 s. Those that had no turn by then are left out.
pub async fn read_once(
    client: &StoreClient,
    clocks: Clocks,
    stores: &[ListedStore],
) -> Vec<SettingsReading> {
    let mut readings = Vec::new();
    let all = async {
        for store in stores {
            let at = clocks.read().steady;
            let due = Due { store: store.clone(), occasion: Occasion::Start, at };
            readings.push(read(client, &clocks, &due).await);
        }
    };
    // What was read by then is kept.
    let _ = tokio::time::timeout(ONCE, all).await;
    readings
}

async fn read(client: &StoreClient, clocks: &Clocks, due: &Due) -> SettingsReading {
    let started = Instant::now();
    let mut machine = None;
    let answer = client.config(&due.store.url, TIMEOUT).await;
    let mut read = match answer {
        Ok(body) => settings_in(&body).ok_or_else(|| {
            let why = format!("{} is no configuration of TiKV", due.store.url);
            (GapReason::Malformed, why)
        }),
        Err(error) => Err((error.gap_reason(), error.to_string())),
    };
    let seconds = started.elapsed().as_secs_f64();
    // What a machine is changes with a restart at the earliest.
    if let Ok(values) = &mut read
        && due.occasion != Occasion::Hourly
    {
        machine = Some(read_machine(client, due, values).await);
    }
    SettingsReading {
        store: due.store.id,
        at: clocks.read().at,
        occasion: due.occasion,
        read,
        seconds,
        machine,
    }
}

/// Adds to `values` what the store says of its machine.
async fn read_machine(
    client: &StoreClient,
    due: &Due,
    values: &mut BTreeMap<String, String>,
) -> (&'static str, f64) {
    let started = Instant::now();
    let result = match client.server_info(&due.store.clients_url, TIMEOUT).await {
        Ok(items) => {
            values.extend(machine_in(&items));
            "ok"
        }
        Err(error) => {
            let store = due.store.id;
            tracing::info!(%store, %error, "a store does not say what its machine is");
            error.gap_reason().name()
        }
    };
    (result, started.elapsed().as_secs_f64())
}
