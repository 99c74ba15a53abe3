//! What the answers about scheduling say: `/operators`, `/schedulers` and `/gc/safepoint`.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::documents::{PdDocumentError, Reader};
use crate::model::{PdOperator, RegionId};

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
