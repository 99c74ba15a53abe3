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
        for (path, add) in LISTS {
            added.to_answers(run, &quiet, path, *add);
        }
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// Adds what an answer of the quiet run lists to an answer.
type Add = fn(&Added, &mut Value, &Value);

/// What PD lists of stores and their regions, by what its paths contain.
const LISTS: &[(&str, Add)] = &[
    ("/stores?", Added::add_stores),
    ("/hotspot/regions/read", Added::add_hot_regions),
    ("/hotspot/regions/write", Added::add_hot_regions),
];

/// How what is added differs from the quiet run.
struct Added {
    copy: u64,
    later: i64,
}

impl Added {
    /// Adds what the quiet run's answers of a path list to those of a run, each by the last one before it.
    fn to_answers(&self, run: &mut Run, quiet: &Run, path: &str, add: Add) {
        let lists = quiet.pd.iter().filter(|one| one.path.contains(path));
        let listings: Vec<&PdAnswer> = lists.filter(|one| one.success().is_some()).collect();
        let whole = TimeRange::new(Timestamp::MIN, run.window.end);
        run.bodies(path, whole, |at, body| {
            let then = at.saturating_add_millis(-self.later);
            let by = listings.partition_point(|answer| answer.sent <= then).max(1) - 1;
            let listed = listings.get(by).and_then(|answer| answer.success());
            let listed = listed.and_then(|body| serde_json::from_slice(body).ok());
            add(self, body, &listed.unwrap_or_default());
        });
    }

    fn add_stores(&self, body: &mut Value, listed: &Value) {
        let Some(stores) = body["stores"].as_array_mut() else { return };
        let more = listed["stores"].as_array().into_iter().flatten();
        stores.extend(more.map(|store| self.store(store)));
    }

    fn add_hot_regions(&self, body: &mut Value, listed: &Value) {
        for list in ["as_leader", "as_peer"] {
            let Some(flows) = body[list].as_object_mut() else { continue };
            for (store, flow) in listed[list].as_object().into_iter().flatten() {
                let id = self.id(store.parse().unwrap_or(0));
                flows.insert(id.to_string(), self.flow(flow));
            }
        }
    }

    /// The hot regions of a store, of which none is another's.
    fn flow(&self, listed: &Value) -> Value {
        let mut flow = listed.clone();
        for region in flow["statistics"].as_array_mut().into_iter().flatten() {
            for (field, by) in [("store_id", 1_000), ("region_id", 1_000_000)] {
                let id = region[field].as_u64().unwrap_or(0);
                region[field] = json!(id + self.copy * by);
            }
        }
        flow
    }

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
