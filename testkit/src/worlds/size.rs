//! Larger clusters: the run's own stores beside healthy ones of the quiet run.

use operator::model::{Labels, PdAnswer, Series, TimeRange, Timestamp};
use serde_json::{Value, json};

use crate::run::Run;

/// The quiet run, whose stores are added.
const QUIET: &str = "chaos-01";

/// Adds the stores of the quiet run, `copies` times, each with addresses and ids of its own.
pub(super) fn add_stores(run: &mut Run, copies: usize) {
    let quiet = Run::load(QUIET);
    let later = run.window.start - quiet.window.start;
    for copy in 1..=copies {
        let added = Added { copy: copy as u64, later };
        let own = quiet.series.iter().filter(|one| one.labels.get("job") == Some("tikv"));
        let moved = own.map(|one| added.series(one));
        let window = run.window;
        run.series.extend(moved.map(|mut one| {
            one.samples.retain(|sample| window.contains(sample.at));
            one
        }));
        let listings: Vec<&PdAnswer> = quiet
            .pd
            .iter()
            .filter(|answer| answer.path.contains("/stores?") && answer.success().is_some())
            .collect();
        run.bodies("/stores?", TimeRange::new(Timestamp::MIN, window.end), |at, body| {
            let then = at.saturating_add_millis(-later);
            let by = listings.partition_point(|answer| answer.sent <= then).max(1) - 1;
            let listed = listings.get(by).and_then(|answer| answer.success());
            let listed: Value =
                listed.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
            let Some(stores) = body["stores"].as_array_mut() else { return };
            let more = listed["stores"].as_array().into_iter().flatten();
            stores.extend(more.map(|store| added.store(store)));
        });
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// How what is added differs from the quiet run.
struct Added {
    copy: u64,
    later: i64,
}

impl Added {
    fn address(&self, text: &str) -> String {
        text.replace("10.77.0.", &format!("10.78.{}.", self.copy))
    }

    fn id(&self, id: u64) -> u64 {
        id + self.copy * 1_000
    }

    fn series(&self, one: &Series) -> Series {
        let pairs = one.labels.iter().map(|(name, value)| {
            let id = ["store", "store_id", "target"].contains(&name).then(|| value.parse().ok());
            let value = match id.flatten() {
                Some(id) => self.id(id).to_string(),
                None => self.address(value),
            };
            (name.to_owned(), value)
        });
        let labels = Labels::new(pairs.collect()).expect("names stay distinct");
        let mut samples = one.samples.clone();
        samples
            .iter_mut()
            .for_each(|sample| sample.at = sample.at.saturating_add_millis(self.later));
        Series { labels, samples }
    }

    fn store(&self, listed: &Value) -> Value {
        let text = self.address(&listed.to_string());
        let mut store: Value = serde_json::from_str(&text).expect("it stays JSON");
        let fields = &mut store["store"];
        fields["id"] = json!(self.id(fields["id"].as_u64().unwrap_or(0)));
        if let Some(beat) = fields["last_heartbeat"].as_i64() {
            fields["last_heartbeat"] = json!(beat + self.later * 1_000_000);
        }
        store
    }
}
