//! What else one Prometheus scrapes, how often, and which sources there are.

use std::collections::BTreeMap;

use operator::model::{Labels, Sample, Series, TimeRange, Timestamp, is_stale};
use serde_json::{Value, json};

use crate::run::Run;

/// A target that is always up, scraped every so many seconds.
pub(super) fn add_target(run: &mut Run, pairs: &[(&str, &str)], every_s: i64) {
    let end = run.window.end;
    let mut at = run.window.start.saturating_add_millis(run.series.len() as i64 % 5_000);
    let mut times = Vec::new();
    while at < end {
        times.push(at);
        at = at.saturating_add_millis(every_s * 1000);
    }
    for (name, value) in [("up", 1.0), ("scrape_duration_seconds", 0.004)] {
        let samples = times.iter().map(|at| Sample { at: *at, value }).collect();
        let labels = Labels::from_pairs(&[&[("__name__", name)], pairs].concat());
        run.series.push(Series { labels, samples });
    }
}

/// What TiUP's template scrapes beside the components: pings of every host by every host under one
/// instance, port probes under the instances of what they probe, machines, and a TiDB.
pub(super) fn add_probes(run: &mut Run) {
    let external = [("cluster", "prod"), ("monitor", "prometheus")];
    let hosts: Vec<String> = (1..=4).map(|index| format!("10.0.1.{index}")).collect();
    for host in &hosts {
        let (instance, machine) = (format!("{host}:9115"), format!("{host}:9100"));
        let job = format!("blackbox_exporter_{host}:9115_icmp");
        for ping in &hosts {
            let own = [("job", &*job), ("instance", &*instance), ("ping", &**ping)];
            add_target(run, &[&own[..], &external].concat(), 6);
        }
        let own = [("job", "overwritten-nodes"), ("instance", &*machine)];
        add_target(run, &[&own[..], &external].concat(), 15);
        for (group, port) in [("tikv", 20180), ("pd", 2379)] {
            let instance = format!("{host}:{port}");
            let own = [("job", "tidb_port_probe"), ("instance", &*instance), ("group", group)];
            add_target(run, &[&own[..], &external].concat(), 30);
        }
    }
    let tidb = [("job", "tidb"), ("instance", "10.0.1.1:10080")];
    add_target(run, &[&tidb[..], &external].concat(), 15);
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// A second cluster in the same Prometheus: the run that crashed a store, moved in time, with its hosts under
/// `prefix`.
pub(super) fn add_cluster(run: &mut Run, prefix: &str) {
    for series in &mut run.series {
        series.labels = series.labels.with(&[("cluster", "ours")]);
    }
    add_neighbour(run, prefix, &[("cluster", "a-neighbour")]);
}

/// The same, where no label tells the two apart.
pub(super) fn add_cluster_unlabelled(run: &mut Run, prefix: &str) {
    add_neighbour(run, prefix, &[]);
}

/// The run that crashed a store, moved in time, with its hosts under `prefix` and these labels.
pub(super) fn add_neighbour(run: &mut Run, prefix: &str, labels: &[(&str, &str)]) {
    let mut other = Run::load("chaos-02");
    other.rename_host("10.77.0.", prefix);
    let by = run.window.start - other.window.start;
    for mut series in other.series {
        for sample in &mut series.samples {
            sample.at = sample.at.saturating_add_millis(by);
        }
        series.samples.retain(|sample| run.window.contains(sample.at));
        series.labels = series.labels.with(labels);
        run.series.push(series);
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

fn replica(series: &Series, name: &str, later_ms: i64) -> Series {
    // Milliseconds of PD's clock, which goes on.
    let is_clock = series.labels.metric() == "pd_cluster_tso";
    let passed = |value: f64| if is_clock && value > 1e12 { later_ms as f64 } else { 0.0 };
    let moved = |sample: &Sample| Sample {
        at: sample.at.saturating_add_millis(later_ms),
        value: if is_stale(sample.value) {
            sample.value
        } else {
            sample.value + passed(sample.value)
        },
    };
    let labels = series.labels.with(&[("prometheus_replica", name)]);
    Series { labels, samples: series.samples.iter().map(moved).collect() }
}

/// A second Prometheus that scrapes the same targets five seconds later.
pub(super) fn add_replica(run: &mut Run) {
    let both = |one: &Series| [replica(one, "k8s-0", 0), replica(one, "k8s-1", 5_000)];
    run.series = run.series.iter().flat_map(both).collect();
}

/// Two replicas, each of which was away for two minutes while the other was there.
pub(super) fn add_replica_with_holes(run: &mut Run) {
    let holes = [run.range(60, 180), run.range(330, 450)];
    let both = |one: &Series| {
        let mut pair = [replica(one, "k8s-0", 0), replica(one, "k8s-1", 5_000)];
        for (series, hole) in pair.iter_mut().zip(holes) {
            series.samples.retain(|sample| !hole.contains(sample.at));
        }
        pair
    };
    run.series = run.series.iter().flat_map(both).collect();
}

/// A TiFlash store that PD lists and Prometheus scrapes at two ports, and a TiDB.
pub(super) fn add_tiflash_and_tidb(run: &mut Run) {
    let end = run.window.end;
    run.bodies("/stores?", TimeRange::new(Timestamp::MIN, end), |at, body| {
        let Some(stores) = body["stores"].as_array_mut() else { return };
        stores.push(tiflash(at));
        body["count"] = json!(body["count"].as_u64().unwrap_or(0) + 1);
    });
    for (job, instance) in [
        ("tiflash", "10.77.0.50:8234"),
        ("tiflash", "10.77.0.50:20292"),
        ("tidb", "10.77.0.60:10080"),
    ] {
        add_target(run, &[("job", job), ("instance", instance)], 15);
    }
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

fn tiflash(at: Timestamp) -> Value {
    let beat = at.as_millis() / 10_000 * 10_000;
    json!({
        "store": {
            "id": 99, "address": "10.77.0.50:3930", "peer_address": "10.77.0.50:20170",
            "status_address": "10.77.0.50:20292", "version": "v8.5.8",
            "labels": [{ "key": "engine", "value": "tiflash" }],
            "last_heartbeat": beat * 1_000_000, "node_state": 1, "state_name": "Up",
        },
        "status": {
            "capacity": "2.813GiB", "available": "2.6GiB", "used_size": "20MiB", "leader_count": 0,
            "region_count": 4, "region_score": 4, "leader_score": 0,
        },
    })
}

/// Keeps one scrape of `every`, of one job where one is named.
pub(super) fn thin(run: &mut Run, job: Option<&str>, every: usize) {
    keep_scrapes(run, job, |number, _| number % every == 0);
}

/// Scrapes every other time in one half of the run: somebody changed the interval in the middle of it.
pub(super) fn change_interval(run: &mut Run, half: Half) {
    let middle = run.window.start.saturating_add_millis(run.window.millis() / 2);
    let is_thin = |at: Timestamp| (at < middle) == (half == Half::First);
    keep_scrapes(run, None, |number, at| !is_thin(at) || number % 2 == 0);
}

/// A half of a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// Up to the middle.
    First,
    /// From the middle on.
    Second,
}

/// Keeps the scrapes of each target that `is_kept` says, given their number and when they were, of one job where one is
/// named.
fn keep_scrapes(run: &mut Run, job: Option<&str>, is_kept: impl Fn(usize, Timestamp) -> bool) {
    let mut kept: BTreeMap<(String, String), Vec<Timestamp>> = BTreeMap::new();
    let key = |labels: &Labels| {
        let label = |name: &str| labels.get(name).unwrap_or_default().to_owned();
        (label("job"), label("instance"))
    };
    for series in run.series.iter().filter(|one| one.labels.metric() == "up") {
        let times = series.samples.iter().map(|sample| sample.at).enumerate();
        let times = times.filter(|(number, at)| is_kept(*number, *at)).map(|(_, at)| at).collect();
        kept.insert(key(&series.labels), times);
    }
    for series in &mut run.series {
        if job.is_some_and(|job| series.labels.get("job") != Some(job)) {
            continue;
        }
        let Some(times) = kept.get(&key(&series.labels)) else { continue };
        let is_kept = |sample: &Sample| times.binary_search(&sample.at).is_ok();
        // Prometheus marks the end of a series at the next scrape that it makes.
        let mut samples: Vec<Sample> = series.samples.iter().copied().filter(is_kept).collect();
        for stale in series.samples.iter().filter(|sample| is_stale(sample.value)) {
            let next = times.iter().find(|at| **at >= stale.at);
            let gone = next.is_some_and(|at| samples.iter().all(|sample| sample.at != *at));
            if gone {
                samples.push(Sample { at: *next.expect("it was found"), ..*stale });
            }
        }
        samples.sort_by_key(|sample| sample.at);
        samples.dedup_by_key(|sample| sample.at);
        series.samples = samples;
    }
    run.series.retain(|series| !series.samples.is_empty());
}

/// Prometheus's clock is so many seconds ahead of PD's and the recorder's.
pub(super) fn skew_prometheus(run: &mut Run, seconds: i64) {
    for series in &mut run.series {
        for sample in &mut series.samples {
            sample.at = sample.at.saturating_add_millis(seconds * 1000);
        }
    }
    let from = run.window.start.saturating_add_millis(seconds.min(0) * 1000);
    let until = run.window.end.saturating_add_millis(seconds.max(0) * 1000);
    run.window = TimeRange::new(from, until);
}

/// Prometheus's clock is stepped by so many seconds in the middle of the run. It refuses samples that are older
/// than the last one of their series.
pub(super) fn step_prometheus(run: &mut Run, seconds: i64) {
    let middle = run.at(run.window.millis() / 2000);
    for series in &mut run.series {
        let from = series.samples.partition_point(|sample| sample.at < middle);
        let later = series.samples.split_off(from);
        let newest = series.samples.last().map_or(Timestamp::MIN, |last| last.at);
        let moved = later
            .into_iter()
            .map(|sample| Sample { at: sample.at.saturating_add_millis(seconds * 1000), ..sample });
        series.samples.extend(moved.filter(|sample| sample.at > newest));
    }
    run.window.end = run.window.end.saturating_add_millis(seconds.max(0) * 1000);
}

/// PD's clock is so many seconds ahead of Prometheus's and the recorder's: it dates heartbeats and timestamps.
pub(super) fn skew_pd(run: &mut Run, seconds: i64) {
    run.bodies("/stores?", TimeRange::new(Timestamp::MIN, run.window.end), |_, body| {
        for store in body["stores"].as_array_mut().into_iter().flatten() {
            if let Some(beat) = store["store"]["last_heartbeat"].as_i64() {
                store["store"]["last_heartbeat"] = json!(beat + seconds * 1_000_000_000);
            }
        }
    });
    run.each("pd_cluster_tso", None, |_, samples| {
        for sample in samples.iter_mut().filter(|sample| sample.value > 1e12) {
            sample.value += (seconds * 1000) as f64;
        }
    });
}

/// The recorder's clock is so many seconds ahead of all others: it dates PD's answers.
pub(super) fn skew_recorder(run: &mut Run, seconds: i64) {
    for answer in &mut run.pd {
        answer.sent = answer.sent.saturating_add_millis(seconds * 1000);
    }
    let from = run.window.start.saturating_add_millis(seconds.min(0) * 1000);
    let until = run.window.end.saturating_add_millis(seconds.max(0) * 1000);
    run.window = TimeRange::new(from, until);
}

/// What release 5.4 of TiKV and PD does not have, by its sources: metrics, and where stores stand in their
/// life.
pub(super) fn release_5_4(run: &mut Run) {
    const LACKING: [&str; 8] = [
        "tikv_batch_system_fsm_schedule_wait_seconds",
        "tikv_raftstore_disk_probe_duration_seconds",
        "tikv_raftstore_inspect_network_duration_seconds",
        "tikv_raftstore_message_recv_by_store",
        "tikv_server_memory_quota_bytes",
        "tikv_yatp_pool_schedule_wait_duration",
        "raft_engine_",
        "go_sched_latencies_seconds",
    ];
    run.drop_series(|labels| LACKING.iter().any(|prefix| labels.metric().starts_with(prefix)));
    run.bodies("/stores?", TimeRange::new(Timestamp::MIN, run.window.end), |_, body| {
        let stores = body["stores"].as_array_mut().into_iter().flatten();
        for store in stores {
            if let Some(fields) = store["store"].as_object_mut() {
                fields.remove("node_state");
            }
            if let Some(fields) = store["status"].as_object_mut() {
                fields.remove("slow_trend");
            }
        }
    });
}

/// Neither PD's API nor a job that scrapes PD.
pub(super) fn drop_pd(run: &mut Run) {
    run.pd.clear();
    run.series.retain(|series| series.labels.get("job") != Some("pd"));
}

/// Only PD, by its API and its metrics.
pub(super) fn drop_tikv(run: &mut Run) {
    run.series.retain(|series| series.labels.get("job") != Some("tikv"));
}
