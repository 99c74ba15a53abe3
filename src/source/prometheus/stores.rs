//! The stores behind a Thanos Querier that do not answer.
//!
//! A querier asks a store that it finds unhealthy no more, and its answers say nothing of that. It still lists such a store
//! at `/api/v1/stores`: for five minutes, or as long as its flag `--store.unhealthy-timeout` says.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde::Deserialize;

use super::client::PrometheusClient;
use crate::model::TimeRange;
use crate::source::SourceError;

/// A store as `/api/v1/stores` lists it (`pkg/query/endpointset.go`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Store {
    name: String,
    last_error: Option<String>,
    /// Of the samples that it held when it answered last, in milliseconds.
    min_time: i64,
    max_time: i64,
}

impl Store {
    /// Why it does not answer, where it holds samples of the range.
    fn silence(self, range: TimeRange) -> Option<String> {
        let holds =
            self.min_time < range.end.as_millis() && self.max_time >= range.start.as_millis();
        let error = self.last_error.filter(|_| holds)?;
        Some(format!("store {} does not answer: {error}", self.name))
    }
}

impl PrometheusClient {
    /// Of each store behind the server that does not answer and holds samples of `range`: its name, and why. None
    /// of a server that lists no stores, which is asked once.
    pub(super) async fn silent_stores(&self, range: TimeRange) -> Vec<String> {
        if self.lists_no_stores.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let stores = match self.stores().await {
            Ok(stores) => stores,
            Err(error) => {
                if is_final(&error) {
                    self.lists_no_stores.store(true, Ordering::Relaxed);
                }
                tracing::debug!(%error, "the server lists no stores");
                return Vec::new();
            }
        };
        let of_all = stores.into_values().flatten();
        let mut silent: Vec<String> = of_all.filter_map(|store| store.silence(range)).collect();
        silent.sort_unstable();
        silent.into_iter().map(|text| self.readable(&text)).collect()
    }

    /// The stores by kind, such as `sidecar`.
    async fn stores(&self) -> Result<BTreeMap<String, Vec<Store>>, SourceError> {
        let (url, body) = self.get("/api/v1/stores", &[]).await?;
        self.api_data(&url, &body)
    }
}

/// Whether a server that answers so is none that lists stores.
fn is_final(error: &SourceError) -> bool {
    match error {
        SourceError::Status { status, .. } => *status < 500,
        SourceError::Malformed { .. }
        | SourceError::Reported { .. }
        | SourceError::Unauthorized { .. }
        | SourceError::Redirect { .. } => true,
        _ => false,
    }
}
