//! A node that was replaced within a run: one store leaves for good, and another one joins after it. Clients ask
//! neither, since they ask for no more because a store was added: their requests stay with the other stores.

use operator::model::{Labels, PdAnswer, Sample, Series, TimeRange, Timestamp, stale_marker};
use serde_json::{Value, json};

use super::naming::dns;
use crate::run::Run;

/// The quiet run, of which one store stands for both.
const QUIET: &str = "chaos-01";
/// What counts the requests of clients; it stands still at both.
const REQUESTS: &str = "tikv_grpc_msg_duration_seconds";
/// The counter of Raft messages that a TiKV received, by the `store` that sent them.
const MESSAGES: &str = "tikv_raftstore_message_recv_by_store";

/// One of the two stores.
struct Half {
    id: u64,
    /// The host under which PD lists it.
    listed: &'static str,
    /// The host at which it is scraped.
    scraped: &'static str,
    /// When it is there.
    there: TimeRange,
}

/// PD lists both stores by the addresses at which they are scraped.
pub(super) fn node_replaced(run: &mut Run) {
    replace(run, ["10.77.9.1", "10.77.9.2"]);
}

/// PD knows DNS names, and Prometheus knows IPs.
pub(super) fn node_replaced_unnamed(run: &mut Run) {
    dns(run);
    replace(run, ["tikv-before.db.acme.internal", "tikv-after.db.acme.internal"]);
}

fn replace(run: &mut Run, [before, after]: [&'static str; 2]) {
    let (left, joined) = (run.at(60), run.at(80));
    let halves = [
        Half {
            id: 9001,
            listed: before,
            scraped: "10.77.9.1",
            there: TimeRange::new(Timestamp::MIN, left),
        },
        Half {
            id: 9002,
            listed: after,
            scraped: "10.77.9.2",
            there: TimeRange::new(joined, Timestamp::MAX),
        },
    ];
    let quiet = Run::load(QUIET);
    let later = run.window.start - quiet.window.start;
    let (model, instance, _) = quiet.store(0);
    let ids: Vec<u64> = run.stores().into_iter().map(|(id, _)| id).collect();
    hear(run, &halves);
    for half in &halves {
        let own = quiet.series.iter().filter(|one| one.labels.get("instance") == Some(&instance));
        let scraped = own.flat_map(|one| half.scraped(one, &ids, later, run.window));
        let scraped: Vec<Series> = scraped.filter(|one| !one.samples.is_empty()).collect();
        run.series.extend(scraped);
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    run.series.dedup_by(|a, b| a.labels == b.labels);
    list(run, &quiet, model, &halves);
}

/// Every store of the run receives messages from the two while they are there.
fn hear(run: &mut Run, halves: &[Half]) {
    let heard: Vec<Series> =
        run.series.iter().filter(|one| one.labels.metric() == MESSAGES).cloned().collect();
    for half in halves {
        for one in &heard {
            let labels = one.labels.with(&[("store", &half.id.to_string())]);
            let known = one.samples.iter().filter(|sample| half.there.start <= sample.at);
            let mut samples: Vec<Sample> = known.copied().collect();
            let last = samples.iter().rfind(|sample| half.there.contains(sample.at)).copied();
            for sample in samples.iter_mut().filter(|sample| !half.there.contains(sample.at)) {
                sample.value = last.map_or(sample.value, |last| last.value);
            }
            run.series.push(Series { labels, samples });
        }
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    run.series.dedup_by(|a, b| a.labels == b.labels);
}

/// PD's listings have both, the one that left as removed.
fn list(run: &mut Run, quiet: &Run, model: u64, halves: &[Half]) {
    let later = run.window.start - quiet.window.start;
    let listings: Vec<&PdAnswer> = quiet
        .pd
        .iter()
        .filter(|answer| answer.path.contains("/stores?") && answer.success().is_some())
        .collect();
    run.bodies("/stores?", TimeRange::new(Timestamp::MIN, Timestamp::MAX), |at, body| {
        let then = at.saturating_add_millis(-later);
        let by = listings.partition_point(|answer| answer.sent <= then).max(1) - 1;
        let listed = listings.get(by).and_then(|answer| answer.success());
        let listed: Value =
            listed.and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let mut known = listed["stores"].as_array().into_iter().flatten();
        let known = known.find(|store| store["store"]["id"] == model).cloned();
        let (Some(known), Some(stores)) = (known, body["stores"].as_array_mut()) else { return };
        let begun = halves.iter().filter(|half| half.there.start <= at);
        stores.extend(begun.map(|half| half.listed(known.clone(), at, later)));
    });
}

impl Half {
    fn scraped(&self, one: &Series, ids: &[u64], later: i64, window: TimeRange) -> Vec<Series> {
        let instance = format!("{}:20180", self.scraped);
        let labels = one.labels.with(&[("instance", &instance)]);
        let first = one.samples.first().map_or(0.0, |sample| sample.value);
        let moved = one.samples.iter().map(|sample| {
            let at = sample.at.saturating_add_millis(later);
            let value = match labels.metric() {
                "process_start_time_seconds" => self.started_s(),
                metric if metric.starts_with(REQUESTS) => first,
                _ => sample.value,
            };
            Sample { at, value }
        });
        let mut samples: Vec<Sample> = moved.filter(|sample| window.contains(sample.at)).collect();
        let gone = samples.iter().position(|sample| sample.at >= self.there.end);
        if let Some(gone) = gone {
            // Prometheus marks the series of a target that it scrapes no longer.
            samples.truncate(gone + 1);
            samples[gone].value = stale_marker();
        }
        samples.retain(|sample| sample.at >= self.there.start);
        let under = |labels: Labels| Series { labels, samples: samples.clone() };
        match labels.metric() {
            MESSAGES => {
                let from = |id: &u64| labels.with(&[("store", &id.to_string())]);
                ids.iter().map(|id| under(from(id))).collect()
            }
            _ => vec![under(labels)],
        }
    }

    fn started_s(&self) -> f64 {
        match self.there.start {
            Timestamp::MIN => 1_700_000_000.0,
            start => (start.as_millis() / 1000 - 5) as f64,
        }
    }

    fn listed(&self, mut store: Value, at: Timestamp, later: i64) -> Value {
        let fields = &mut store["store"];
        fields["id"] = json!(self.id);
        fields["address"] = json!(format!("{}:20160", self.listed));
        fields["peer_address"] = fields["address"].clone();
        fields["status_address"] = json!(format!("{}:20180", self.listed));
        fields["start_timestamp"] = json!(self.started_s() as i64);
        let beat = fields["last_heartbeat"].as_i64().unwrap_or(0) + later * 1_000_000;
        fields["last_heartbeat"] =
            json!(beat.min(self.there.end.as_millis().saturating_mul(1_000_000)));
        if at >= self.there.end {
            fields["state_name"] = json!("Tombstone");
            fields["node_state"] = json!(3);
            store["status"]["leader_count"] = json!(0);
            store["status"]["region_count"] = json!(0);
        }
        store
    }
}
