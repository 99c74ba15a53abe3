//! Modes without a real run of their own, derived from the samples of real ones.
//!
//! `chaos-01` is quiet, with four stores at 10.77.0.20 to 23 and `pd2` leading; each test says
//! what it changes in it, and why the mode would show so.

use operator::diagnose::Outcome;
use operator::model::Timestamp;

use super::{assert_cause, assert_no_fault, told};
use testkit::run::Run;

/// From here to there, in seconds, a fault lasts.
pub const FROM: i64 = 300;
pub const TO: i64 = 450;

pub fn quiet() -> Run {
    Run::load("chaos-01")
}

/// A process that dies and is back: scrapes fail once, heartbeats stay away for 20 s, start
/// times move, counters begin anew.
pub fn restart(run: &mut Run, index: usize, at: i64) {
    let (id, instance, _) = run.store(index);
    let back = run.at(at + 12);
    run.fail_scrapes(&instance, run.range(at, at + 14), 0.001);
    run.restart_process(&instance, back);
    run.stop_heartbeats(id, run.range(at, at + 18));
    let until = run.window.end;
    run.store_entries(id, operator::model::TimeRange::new(back, until), |_, store| {
        store["store"]["start_timestamp"] = (back.as_millis() / 1000).into();
    });
}

#[test]
fn a_store_that_is_back_at_once_restarted() {
    for index in 0..4 {
        let mut run = quiet();
        restart(&mut run, index, FROM);
        assert_cause(&run.verdict(), "store_restart", &run.store(index).2);
    }
}

#[test]
fn three_restarts_are_a_flap() {
    let mut run = quiet();
    for at in [FROM, FROM + 60, FROM + 120] {
        restart(&mut run, 1, at);
    }
    assert_cause(&run.verdict(), "store_flap", &run.store(1).2);
}

#[test]
fn stores_that_restart_in_turn_are_rolled() {
    let mut run = quiet();
    for (index, at) in [(0, 200), (1, 270), (2, 340), (3, 410)] {
        restart(&mut run, index, at);
    }
    assert_no_fault(&run.verdict(), Some(("rolling_restart", "cluster")));
}

#[test]
fn two_stores_that_restart_at_once_are_two_faults() {
    let mut run = quiet();
    restart(&mut run, 0, FROM);
    restart(&mut run, 1, FROM + 3);
    let verdict = run.verdict();
    let named: Vec<&str> = verdict.causes.iter().map(|one| one.mode).collect();
    assert_eq!(named, ["store_restart", "store_restart"], "{}", told(&verdict));
}

/// Only PD no longer hears the store: its heartbeats stop in PD's listings.
#[test]
fn a_store_that_only_pd_misses_is_cut_off_from_pd() {
    for index in 0..4 {
        let mut run = quiet();
        let (id, _, name) = run.store(index);
        run.stop_heartbeats(id, run.range(FROM, TO));
        assert_cause(&run.verdict(), "store_pd_partition", &name);
    }
}

/// A quiet run in which messages between a store and every other stay undelivered in the
/// directions given, with its peers' health checks and without them, as older releases are.
fn cut_from_peers(index: usize, ways: [bool; 2]) -> [Run; 2] {
    [true, false].map(|checked| {
        let mut run = quiet();
        let range = run.range(FROM, TO);
        run.cut_from_peers(index, range, ways);
        let check = "tikv_raftstore_inspect_network_duration_seconds";
        run.series.retain(|one| checked || !one.labels.metric().starts_with(check));
        run
    })
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_store_that_only_its_peers_miss_is_cut_off_from_them() {
    for index in [0, 1, 3] {
        for run in cut_from_peers(index, [true, true]) {
            assert_cause(&run.verdict(), "store_peer_partition", &run.store(index).2);
        }
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn one_way_is_told_from_both() {
    for ways in [[true, false], [false, true]] {
        for (index, run) in [0, 1, 3]
            .into_iter()
            .flat_map(|index| cut_from_peers(index, ways).map(|run| (index, run)))
        {
            assert_cause(&run.verdict(), "store_asymmetric_partition", &run.store(index).2);
        }
    }
}

#[test]
fn a_store_that_nobody_but_prometheus_hears_is_cut_off() {
    for mut run in cut_from_peers(0, [true, true]) {
        let (id, _, name) = run.store(0);
        run.stop_heartbeats(id, run.range(FROM, TO));
        assert_cause(&run.verdict(), "store_partition", &name);
    }
}

/// A crash, after memory doubled within the minutes before and reached its highest.
#[test]
fn memory_that_rises_until_the_process_dies_is_what_killed_it() {
    let mut run = Run::load("chaos-02");
    let died = run.at(225);
    run.each("process_resident_memory_bytes", Some("10.77.0.20:20180"), |_, samples| {
        for sample in samples.iter_mut().filter(|s| s.at <= died) {
            let left = (died - sample.at) as f64 / 1000.0;
            if left < 90.0 {
                sample.value *= 1.0 + 4.0 * (90.0 - left) / 90.0;
            }
        }
    });
    assert_cause(&run.verdict(), "oom_kill", "store 4");
}

#[test]
fn a_disk_without_space_is_full_and_one_with_some_is_not() {
    let free = |share: f64| {
        let mut run = quiet();
        let (_, instance, _) = run.store(2);
        let range = run.range(FROM, TO);
        let capacity = 3.02e9;
        run.set_where("tikv_store_size_bytes", &instance, range, capacity * share, |labels| {
            labels.get("type") == Some("available")
        });
        run.verdict()
    };
    assert_cause(&free(0.01), "disk_full", &quiet().store(2).2);
    assert_no_fault(&free(0.3), None);
}

/// Every synced write of the store takes longer; nothing else does.
fn slow_disk(index: usize, seconds: f64) -> Run {
    let mut run = quiet();
    let (_, instance, _) = run.store(index);
    let range = run.range(FROM, TO);
    for histogram in [
        "tikv_raftstore_disk_probe_duration_seconds",
        "raft_engine_sync_log_duration_seconds",
        "tikv_raftstore_store_write_raftdb_duration_seconds",
        "tikv_raftstore_append_log_duration_seconds",
    ] {
        // Probes follow one another, and there is one a second.
        let most = if histogram.contains("disk_probe") { 0.9 } else { seconds };
        run.slow_down(histogram, &instance, range, seconds.min(most));
    }
    run
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_disk_is_slow_by_its_own_measure_on_any_store() {
    for index in 0..4 {
        for seconds in [0.01, 0.05, 0.5] {
            let run = slow_disk(index, seconds);
            assert_cause(&run.verdict(), "slow_disk", &run.store(index).2);
        }
    }
}

#[test]
fn a_disk_that_is_slow_on_every_store_accuses_none() {
    let mut run = quiet();
    for (_, instance) in run.stores() {
        for histogram in
            ["tikv_raftstore_disk_probe_duration_seconds", "raft_engine_sync_log_duration_seconds"]
        {
            let range = run.range(FROM, TO);
            run.slow_down(histogram, &instance, range, 0.02);
        }
    }
    assert_eq!(run.verdict().outcome, Outcome::NoFault);
}

/// Probes no longer succeed, and no synced write finishes.
#[test]
fn a_disk_that_does_not_answer_hangs() {
    let mut run = quiet();
    let (_, instance, name) = run.store(0);
    let range = run.range(FROM, TO);
    run.freeze("raft_engine_sync_log_duration_seconds_count", &instance, range, |_| true);
    run.freeze("raft_engine_sync_log_duration_seconds_sum", &instance, range, |_| true);
    run.set_where("tikv_raftstore_slow_score", &instance, range, 100.0, |labels| {
        labels.get("type") == Some("raft")
    });
    assert_cause(&run.verdict(), "disk_hang", &name);
}

/// Round trips to PD and scrapes take longer; no thread waits, no disk is slower.
fn slow_network(index: usize, seconds: f64) -> Run {
    let mut run = quiet();
    let (_, instance, _) = run.store(index);
    let range = run.range(FROM, TO);
    run.slow_down("tikv_pd_request_duration_seconds", &instance, range, seconds);
    run.each("scrape_duration_seconds", Some(&instance), |_, samples| {
        for sample in samples.iter_mut().filter(|s| range.contains(s.at)) {
            sample.value += 5.0 * seconds;
        }
    });
    run
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_node_behind_a_slow_link_is_told_from_a_starved_one() {
    for index in 0..4 {
        for seconds in [0.02, 0.2] {
            let run = slow_network(index, seconds);
            assert_cause(&run.verdict(), "slow_network", &run.store(index).2);
        }
    }
}

/// Threads wait, and so everything else takes longer too, the disk included.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_process_without_cpu_is_starved() {
    for index in 0..4 {
        let mut run = slow_network(index, 0.08);
        let (_, instance, name) = run.store(index);
        let range = run.range(FROM, TO);
        for (histogram, seconds) in [
            ("tikv_batch_system_fsm_schedule_wait_seconds", 0.02),
            ("tikv_yatp_pool_schedule_wait_duration", 0.03),
            ("tikv_grpc_msg_duration_seconds", 0.05),
            ("tikv_raftstore_disk_probe_duration_seconds", 0.05),
            ("raft_engine_sync_log_duration_seconds", 0.03),
        ] {
            run.slow_down(histogram, &instance, range, seconds);
        }
        assert_cause(&run.verdict(), "cpu_starved", &name);
    }
}

/// What was written in the hot run is only read instead.
#[test]
fn a_hot_region_that_is_only_read_is_a_read_hotspot() {
    let mut run = Run::load("chaos-05");
    run.each("tikv_grpc_msg_duration_seconds_count", None, |labels, samples| {
        if labels.get("type") != Some("raw_put") {
            return;
        }
        let first = samples.first().map_or(0.0, |s| s.value);
        let start = samples.first().map_or(Timestamp::default(), |s| s.at);
        for sample in samples {
            sample.value = first + (sample.at - start) as f64 / 1000.0 * 40.0;
        }
    });
    assert_cause(&run.verdict(), "hot_region_read", "workload");
}

/// Counters and gauges that stand for a limit inside a store, each raised on its own.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn limits_inside_a_store_are_named() {
    let counter = |name: &'static str, label: (&'static str, &'static str)| {
        move |run: &mut Run, instance: &str| {
            let range = run.range(FROM, TO);
            let pairs = [("__name__", name), ("job", "tikv"), ("instance", instance), label];
            run.series.retain(|one| {
                one.labels.metric() != name
                    || one.labels.get("instance") != Some(instance)
                    || one.labels.get(label.0) != Some(label.1)
            });
            run.add_counter(&pairs, range, 4.0);
        }
    };
    type Change = Box<dyn Fn(&mut Run, &str)>;
    let cases: Vec<(&str, &str, Change)> = vec![
        (
            "write_stall",
            "store",
            Box::new(counter("tikv_engine_write_stall_reason", ("type", "level0_file_limit_stop"))),
        ),
        (
            "scheduler_busy",
            "store",
            Box::new(counter("tikv_scheduler_too_busy_total", ("type", "prewrite"))),
        ),
        (
            "coprocessor_pressure",
            "workload",
            Box::new(counter("tikv_coprocessor_request_error", ("reason", "full"))),
        ),
        (
            "data_corruption",
            "store",
            Box::new(counter("tikv_critical_error_total", ("type", "panic"))),
        ),
        ("raftstore_bound", "store", Box::new(pool("raftstore_"))),
        ("apply_bound", "store", Box::new(pool("apply_0"))),
        ("grpc_saturation", "store", Box::new(pool("grpc_server"))),
        (
            "snapshot_storm",
            "store",
            Box::new(|run, instance| {
                let range = run.range(FROM, TO);
                run.set("tikv_raftstore_snapshot_traffic_total", instance, range, 40.0);
            }),
        ),
    ];
    for (mode, kind, change) in cases {
        let mut run = quiet();
        let (_, instance, name) = run.store(1);
        change(&mut run, &instance);
        assert_cause(&run.verdict(), mode, if kind == "store" { &name } else { kind });
    }
}

/// Threads of a pool that use a whole core each.
fn pool(prefix: &'static str) -> impl Fn(&mut Run, &str) {
    move |run, instance| {
        let range = run.range(FROM, TO);
        run.each("tikv_thread_cpu_seconds_total", Some(instance), |labels, samples| {
            if labels.get("name").is_some_and(|name| name.starts_with(prefix)) {
                let mut added = 0.0;
                let mut before: Option<Timestamp> = None;
                for sample in samples {
                    if let Some(before) = before
                        && range.contains(sample.at)
                    {
                        added += (sample.at - before) as f64 / 1000.0 * 0.95;
                    }
                    before = Some(sample.at);
                    sample.value += added;
                }
            }
        });
    }
}

#[test]
fn a_clock_that_goes_back_is_told() {
    let mut run = quiet();
    let range = run.range(FROM, TO);
    let pairs = [
        ("__name__", "pd_tso_events"),
        ("job", "pd"),
        ("instance", "10.77.0.12:2379"),
        ("type", "system_time_slow"),
        ("dc", "global"),
        ("group", "1"),
    ];
    run.add_counter(&pairs, range, 0.2);
    assert_cause(&run.verdict(), "clock_drift", "pd2");
}

#[test]
fn stores_that_leave_or_join_are_changes() {
    let mut run = quiet();
    let (id, _, name) = run.store(3);
    let until = run.window.end;
    let range = operator::model::TimeRange::new(run.at(FROM), until);
    run.store_entries(id, range, |_, store| {
        store["store"]["state_name"] = "Offline".into();
        store["store"]["node_state"] = 2.into();
    });
    assert_no_fault(&run.verdict(), Some(("scale_in", &name)));

    let mut run = quiet();
    let before = run.range(-10, FROM);
    run.bodies("/stores?", before, |_, body| {
        let stores = body["stores"].as_array_mut().expect("stores are listed");
        stores.retain(|store| store["store"]["id"] != id);
    });
    assert_no_fault(&run.verdict(), Some(("scale_out", &name)));
}

#[test]
fn a_changed_configuration_and_a_paused_scheduler_are_changes() {
    let mut run = quiet();
    let range = operator::model::TimeRange::new(run.at(FROM), run.window.end);
    run.bodies("/v1/config", range, |_, body| {
        if body["schedule"].is_object() {
            body["schedule"]["leader-schedule-limit"] = 8.into();
        }
    });
    assert_no_fault(&run.verdict(), Some(("config_change", "cluster")));

    let mut run = quiet();
    run.bodies("/schedulers?status=paused", range, |_, body| {
        *body = serde_json::json!(["balance-leader-scheduler", "balance-region-scheduler"]);
    });
    let verdict = run.verdict();
    assert_no_fault(&verdict, Some(("config_change", "cluster")));
    assert_eq!(verdict.changes.len(), 1, "one decision: {}", told(&verdict));
}

/// Scheduling is switched off while regions lack peers.
#[test]
fn scheduling_that_is_halted_while_regions_wait_is_a_fault() {
    let mut run = quiet();
    let range = operator::model::TimeRange::new(run.at(250), run.window.end);
    run.bodies("/v1/config", range, |_, body| {
        if body["schedule"].is_object() {
            body["schedule"]["halt-scheduling"] = true.into();
        }
    });
    run.bodies("/regions/check/miss-peer", range, |_, body| body["count"] = 7.into());
    assert_cause(&run.verdict(), "scheduling_halted", "cluster");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn scrapes_that_fail_while_pd_hears_the_store_are_a_blind_observer() {
    for index in 0..4 {
        let mut run = quiet();
        let (_, instance, name) = run.store(index);
        run.fail_scrapes(&instance, run.range(FROM, TO), 10.0);
        assert_no_fault(&run.verdict(), Some(("scrape_loss", &name)));
    }
    let mut run = quiet();
    run.fail_scrapes("10.77.0.11:2379", run.range(FROM, TO), 10.0);
    assert_no_fault(&run.verdict(), Some(("scrape_loss", "pd1")));
}

#[test]
fn a_prometheus_that_was_away_is_a_blind_observer() {
    let mut run = quiet();
    let away = run.range(FROM, TO);
    for series in &mut run.series {
        series.samples.retain(|sample| !away.contains(sample.at));
    }
    assert_no_fault(&run.verdict(), Some(("scrape_loss", "prometheus")));
}

#[test]
fn two_faults_are_two_causes() {
    let mut run = slow_disk(0, 0.2);
    let (_, _, slow) = run.store(0);
    let (id, _, cut) = run.store(2);
    run.stop_heartbeats(id, run.range(FROM + 60, TO));
    let verdict = run.verdict();
    let mut named: Vec<(&str, &str)> =
        verdict.causes.iter().map(|one| (one.mode, one.target.name.as_str())).collect();
    named.sort_unstable();
    assert_eq!(
        named,
        [("slow_disk", slow.as_str()), ("store_pd_partition", cut.as_str())],
        "{}",
        told(&verdict)
    );
}

/// A disk so slow that heartbeats stay away too.
#[test]
fn a_slow_disk_explains_heartbeats_that_stay_away() {
    let mut run = slow_disk(1, 2.0);
    let (id, _, name) = run.store(1);
    run.stop_heartbeats(id, run.range(FROM + 20, TO));
    assert_cause(&run.verdict(), "slow_disk", &name);
}

/// The hole of a paused store, with its peers' connections whole and its fsyncs waiting.
#[test]
fn a_store_behind_a_stopped_disk_is_told_from_a_frozen_one() {
    let mut run = Run::load("chaos-08");
    run.drop_series(|labels| labels.metric() == "tikv_server_report_failure_msg_total");
    let hole = run.range(0, 10_000);
    for host in 1..4 {
        let instance = format!("10.77.0.2{host}:20180");
        run.set_where("tikv_raftstore_slow_score", &instance, hole, 1.0, |labels| {
            labels.get("type") == Some("network")
        });
    }
    let after = run.at(330);
    run.each(
        "raft_engine_sync_log_duration_seconds_sum",
        Some("10.77.0.20:20180"),
        |_, samples| {
            for sample in samples.iter_mut().filter(|s| s.at >= after) {
                sample.value += 150.0;
            }
        },
    );
    assert_cause(&run.verdict(), "disk_hang", "store 1");
}
