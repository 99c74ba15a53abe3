//! What the answers about scheduling say: `/operators`, `/schedulers` and `/gc/safepoint`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::documents::{PdDocumentError, Reader};
use crate::model::{PdOperator, RegionId, StoreId, Timestamp};

#[derive(Deserialize)]
struct RawOperator {
    desc: String,
    brief: Option<String>,
    region_id: Option<u64>,
}

pub(super) fn operators(
    reader: &Reader<'_>,
    raw: Option<Vec<Value>>,
) -> Result<Vec<PdOperator>, PdDocumentError> {
    raw.unwrap_or_default()
        .into_iter()
        .map(|value| match value {
            Value::String(text) => Ok(operator_from_text(&text)),
            object => {
                let raw: RawOperator = serde_json::from_value(object)
                    .map_err(|error| reader.error(&error.to_string()))?;
                Ok(PdOperator {
                    desc: raw.desc,
                    brief: raw.brief.unwrap_or_default(),
                    region: raw.region_id.map(RegionId),
                })
            }
        })
        .collect()
}

/// Reads PD's Go `String()` form: `desc {brief} (kind:…, region:71(15, 5), …`.
fn operator_from_text(text: &str) -> PdOperator {
    let (desc, rest) = text.split_once(" {").unwrap_or((text, ""));
    let brief = rest.split_once("} (").map_or("", |(brief, _)| brief);
    let region = rest.split_once("region:").and_then(|(_, rest)| {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest[..digits].parse().ok().map(RegionId)
    });
    PdOperator { desc: desc.to_owned(), brief: brief.to_owned(), region }
}

/// The names of schedulers, which newer versions list as objects.
pub(super) fn scheduler_names(
    reader: &Reader<'_>,
    raw: Option<Vec<Value>>,
) -> Result<BTreeSet<String>, PdDocumentError> {
    raw.unwrap_or_default()
        .into_iter()
        .map(|value| {
            let name = match &value {
                Value::String(name) => Some(name.as_str()),
                other => other.get("name").and_then(Value::as_str),
            };
            name.map(str::to_owned).ok_or_else(|| reader.error("a scheduler has no name"))
        })
        .collect()
}

/// Where GC stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafePoint {
    /// The cluster's safe point, a TSO.
    pub cluster: u64,
    /// The service with the least safe point, and that.
    pub holder: Option<(String, u64)>,
}

#[derive(Deserialize)]
pub(super) struct RawSafePoints {
    #[serde(default)]
    service_gc_safe_points: Option<Vec<RawServiceSafePoint>>,
    #[serde(default)]
    gc_safe_point: u64,
}

#[derive(Deserialize)]
struct RawServiceSafePoint {
    service_id: String,
    safe_point: u64,
}

pub(super) fn safe_point(raw: RawSafePoints) -> SafePoint {
    let services = raw.service_gc_safe_points.unwrap_or_default();
    let holder = services.into_iter().map(|one| (one.safe_point, one.service_id)).min();
    SafePoint {
        cluster: raw.gc_safe_point,
        holder: holder.map(|(safe_point, service)| (service, safe_point)),
    }
}

/// What `/min-resolved-ts` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinResolvedTs {
    /// The least resolved timestamp of all stores, a TSO.
    pub cluster: u64,
    /// The store that has it; `None` where PD does not list the stores.
    pub store: Option<StoreId>,
}

/// How many low bits of a TSO count within a millisecond.
const LOGICAL_BITS: u32 = 18;

impl MinResolvedTs {
    /// The instant of the timestamp, by PD's clock.
    pub fn instant(self) -> Timestamp {
        Timestamp::from_millis((self.cluster >> LOGICAL_BITS) as i64)
    }
}

#[derive(Deserialize)]
pub(super) struct RawMinResolvedTs {
    #[serde(default)]
    is_real_time: bool,
    #[serde(default)]
    min_resolved_ts: u64,
    #[serde(default)]
    stores_min_resolved_ts: Option<BTreeMap<StoreId, u64>>,
}

/// The least physical part that is a timestamp of PD's, in milliseconds: the year 2015, before TiKV was.
const LEAST_MS: u64 = 1_420_070_400_000;

/// `None` where PD does not follow the timestamps of its stores, or has none yet: it then answers zero or
/// the greatest number there is.
pub(super) fn min_resolved_ts(raw: RawMinResolvedTs) -> Option<MinResolvedTs> {
    let known = |ts: u64| ts >> LOGICAL_BITS >= LEAST_MS && ts < u64::MAX;
    if !raw.is_real_time || !known(raw.min_resolved_ts) {
        return None;
    }
    let stores = raw.stores_min_resolved_ts.unwrap_or_default();
    let least = stores.into_iter().filter(|(_, ts)| known(*ts)).map(|(id, ts)| (ts, id)).min();
    let store = least.filter(|(ts, _)| *ts == raw.min_resolved_ts).map(|(_, id)| id);
    Some(MinResolvedTs { cluster: raw.min_resolved_ts, store })
}
