//! Faults at the edge of what can be told, derived from the quiet run like those in `derived`:
//! mild, short, early, late, still open, with the marks of others beside them.

use operator::diagnose::{Outcome, Verdict};
use operator::model::{GapReason, TimeRange};

use super::{assert_cause, assert_no_fault, told};
use testkit::run::Run;

const FROM: i64 = 300;
const TO: i64 = 390;

/// Beginnings and ends, in seconds: a minute in the middle, soon after clients began, near the end
/// of what was seen, and open there.
const SPANS: [(i64, i64); 4] = [(300, 360), (160, 250), (440, 520), (480, 10_000)];

/// A store that leads as many regions as others, and one that holds few and leads none for long.
const BUSY: usize = 0;
const IDLE: usize = 2;

fn quiet() -> Run {
    Run::load("chaos-01")
}

fn assert_onset(run: &Run, verdict: &Verdict, from: i64) {
    let off = verdict.causes[0].onset_ms - run.at(from);
    assert!(off.abs() <= 15_000, "{off} ms off: {}", told(verdict));
}

const DEVICE: [&str; 4] = [
    "tikv_raftstore_disk_probe_duration_seconds",
    "raft_engine_sync_log_duration_seconds",
    "tikv_raftstore_store_write_raftdb_duration_seconds",
    "tikv_raftstore_append_log_duration_seconds",
];

fn slow_device(run: &mut Run, index: usize, range: TimeRange, seconds: f64) {
    let (_, instance, _) = run.store(index);
    for histogram in DEVICE {
        run.slow_down(histogram, &instance, range, seconds);
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_disk_eight_milliseconds_slower_is_named_at_any_time_on_any_store() {
    for index in [BUSY, IDLE] {
        for (from, to) in SPANS {
            let mut run = quiet();
            let range = run.range(from, to);
            slow_device(&mut run, index, range, 0.008);
            let verdict = run.verdict();
            assert_cause(&verdict, "slow_disk", &run.store(index).2);
            assert_onset(&run, &verdict, from);
        }
    }
}

/// PD's answers take a round trip longer; scrapes hardly show it.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_link_twenty_milliseconds_longer_is_named_at_any_time_on_any_store() {
    for index in [BUSY, IDLE] {
        for (from, to) in SPANS {
            let mut run = quiet();
            let (range, (_, instance, name)) = (run.range(from, to), run.store(index));
            run.slow_down("tikv_pd_request_duration_seconds", &instance, range, 0.02);
            let verdict = run.verdict();
            assert_cause(&verdict, "slow_network", &name);
            assert_onset(&run, &verdict, from);
        }
    }
}

/// Packets are lost now and then: an answer that needs a retransmission takes 200 ms more (TCP's
/// least timeout), and a scrape several of them.
#[test]
fn a_link_that_loses_packets_is_slow_and_not_broken() {
    const LOST: [f64; 10] = [2.0, 1.0, 4.0, 2.0, 3.0, 1.0, 0.0, 3.0, 2.0, 5.0];
    for index in [BUSY, IDLE] {
        let mut run = quiet();
        let (range, (_, instance, name)) = (run.range(FROM, TO + 30), run.store(index));
        let metric = "tikv_pd_request_duration_seconds_sum";
        run.each(metric, Some(&instance), |labels, samples| {
            if labels.get("type") != Some("tso") {
                return;
            }
            let mut added = 0.0;
            let mut lost = LOST.iter();
            for sample in samples {
                if range.contains(sample.at) {
                    added += 0.2 * lost.next().copied().unwrap_or(0.0);
                }
                sample.value += added;
            }
        });
        let mut lost = LOST.iter();
        run.each("scrape_duration_seconds", Some(&instance), |_, samples| {
            for sample in samples.iter_mut().filter(|s| range.contains(s.at)) {
                sample.value += 0.25 * lost.next().copied().unwrap_or(0.0);
            }
        });
        let verdict = run.verdict();
        assert_cause(&verdict, "slow_network", &name);
        assert_onset(&run, &verdict, FROM);
    }
}

/// Threads wait for the CPU, and all that they do takes as much longer.
fn starve(run: &mut Run, index: usize, range: TimeRange, seconds: f64) {
    let (_, instance, _) = run.store(index);
    for histogram in [
        "tikv_batch_system_fsm_schedule_wait_seconds",
        "tikv_yatp_pool_schedule_wait_duration",
        "tikv_grpc_msg_duration_seconds",
        "tikv_pd_request_duration_seconds",
    ]
    .into_iter()
    .chain(DEVICE)
    {
        run.slow_down(histogram, &instance, range, seconds);
    }
    run.each("scrape_duration_seconds", Some(&instance), |_, samples| {
        for sample in samples.iter_mut().filter(|s| range.contains(s.at)) {
            sample.value += 20.0 * seconds;
        }
    });
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_process_that_is_throttled_a_little_or_much_is_starved() {
    for index in [BUSY, IDLE] {
        for seconds in [0.012, 0.1] {
            for (from, to) in SPANS {
                let mut run = quiet();
                let range = run.range(from, to);
                starve(&mut run, index, range, seconds);
                let verdict = run.verdict();
                assert_cause(&verdict, "cpu_starved", &run.store(index).2);
                assert_onset(&run, &verdict, from);
            }
        }
    }
}

/// Peers give up on a process that does not answer their keepalives in time, now and then.
fn missed_by_peers(run: &mut Run, index: usize, range: TimeRange) {
    let (id, _, _) = run.store(index);
    let whom = id.to_string();
    for (_, by) in run.stores().into_iter().filter(|(other, _)| *other != id) {
        let pairs = [
            ("__name__", "tikv_server_report_failure_msg_total"),
            ("job", "tikv"),
            ("instance", by.as_str()),
            ("type", "unreachable"),
            ("store_id", whom.as_str()),
        ];
        run.add_counter(&pairs, range, 2.0);
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_starved_process_is_not_taken_for_a_cut_off_one() {
    for index in 0..4 {
        // Its peers miss it, its scrapes all time out, its heartbeats stay away, or all of that.
        for (peers, scrapes, beats) in
            [(true, false, false), (false, true, false), (true, true, false), (true, true, true)]
        {
            let mut run = quiet();
            let (range, (id, instance, name)) = (run.range(FROM, TO), run.store(index));
            starve(&mut run, index, range, 0.3);
            if peers {
                missed_by_peers(&mut run, index, range);
            }
            if scrapes {
                run.fail_scrapes(&instance, range, 10.0);
            }
            if beats {
                run.stop_heartbeats(id, run.range(FROM + 10, TO - 10));
            }
            assert_cause(&run.verdict(), "cpu_starved", &name);
        }
    }
}

/// Of lost packets, peers' connections break at times, and scrapes take too long.
#[test]
fn a_link_that_loses_many_packets_is_not_taken_for_a_cut_one() {
    for (peers, scrapes) in [(true, false), (false, true), (true, true)] {
        let mut run = quiet();
        let (range, (_, instance, name)) = (run.range(FROM, TO), run.store(BUSY));
        run.slow_down("tikv_pd_request_duration_seconds", &instance, range, 0.3);
        if peers {
            missed_by_peers(&mut run, BUSY, range);
        }
        if scrapes {
            run.fail_scrapes(&instance, range, 10.0);
        }
        let verdict = run.verdict();
        assert_cause(&verdict, "slow_network", &name);
        assert!(verdict.changes.is_empty(), "{}", told(&verdict));
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_process_that_stands_still_for_half_a_minute_is_paused() {
    for index in 0..4 {
        for (from, to) in [(300, 330), (180, 225), (300, 360), (305, 340)] {
            let mut run = quiet();
            run.pause(index, from, to);
            let verdict = run.verdict();
            assert_cause(&verdict, "store_pause", &run.store(index).2);
            assert_onset(&run, &verdict, from);
        }
    }
}

/// As it is cut off, its own counters go on.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_store_that_nobody_hears_for_half_a_minute_is_cut_off() {
    for index in 0..4 {
        for (from, to) in [(300, 330), (180, 225), (300, 360)] {
            let mut run = quiet();
            let (id, instance, name) = run.store(index);
            run.fail_scrapes(&instance, run.range(from, to), 10.0);
            run.stop_heartbeats(id, run.range(from, to));
            let range = run.range(from, to);
            missed_by_peers(&mut run, index, range);
            let verdict = run.verdict();
            assert_cause(&verdict, "store_partition", &name);
            assert_onset(&run, &verdict, from);
        }
    }
}

/// Killed and started again, so fast that scrapes and heartbeats hardly see it between.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_process_that_restarts_every_twenty_seconds_flaps() {
    for index in 0..4 {
        let mut run = quiet();
        let (id, instance, name) = run.store(index);
        for at in [300, 322, 344, 366] {
            let back = run.at(at + 7);
            run.fail_scrapes(&instance, run.range(at, at + 7), 0.001);
            run.restart_process(&instance, back);
            let until = run.window.end;
            run.store_entries(id, TimeRange::new(back, until), |_, store| {
                store["store"]["start_timestamp"] = (back.as_millis() / 1000).into();
            });
        }
        run.stop_heartbeats(id, run.range(300, 373));
        assert_cause(&run.verdict(), "store_flap", &name);
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_store_that_is_away_for_a_minute_and_a_half_crashed_and_for_one_restarted() {
    for (down, mode) in [(60, "store_restart"), (95, "store_crash")] {
        for index in 0..4 {
            let mut run = quiet();
            let (id, instance, name) = run.store(index);
            let (from, back) = (FROM, run.at(FROM + down));
            run.fail_scrapes(&instance, run.range(from, from + down), 0.001);
            run.restart_process(&instance, back);
            run.stop_heartbeats(id, run.range(from, from + down + 4));
            let until = run.window.end;
            run.store_entries(id, TimeRange::new(back, until), |_, store| {
                store["store"]["start_timestamp"] = (back.as_millis() / 1000).into();
            });
            assert_cause(&run.verdict(), mode, &name);
        }
    }
}

/// Probes and synced writes stop; PD and Prometheus go on hearing the process.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_disk_that_stops_for_a_minute_hangs_also_on_a_store_that_hardly_writes() {
    for index in [BUSY, IDLE] {
        for (from, to) in SPANS {
            let mut run = quiet();
            let (range, (_, instance, name)) = (run.range(from, to), run.store(index));
            for histogram in DEVICE {
                for part in ["_count", "_sum"] {
                    run.freeze(&format!("{histogram}{part}"), &instance, range, |_| true);
                }
            }
            let verdict = run.verdict();
            assert_cause(&verdict, "disk_hang", &name);
            assert_onset(&run, &verdict, from);
        }
    }
}

/// A probe that comes back after half a minute tells how long the disk was away.
#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_disk_that_stops_for_half_a_minute_is_told_by_the_probe_that_waited() {
    for index in 0..4 {
        let mut run = quiet();
        let (_, instance, name) = run.store(index);
        let (range, after) = (run.range(300, 330), run.at(330));
        for histogram in DEVICE {
            for part in ["_count", "_sum"] {
                run.freeze(&format!("{histogram}{part}"), &instance, range, |_| true);
            }
        }
        run.each(&format!("{}_sum", DEVICE[0]), Some(&instance), |labels, samples| {
            if labels.get("outcome").is_none_or(|outcome| outcome == "success") {
                samples.iter_mut().filter(|s| s.at >= after).for_each(|s| s.value += 30.0);
            }
        });
        let verdict = run.verdict();
        assert_cause(&verdict, "disk_hang", &name);
        assert_onset(&run, &verdict, 300);
    }
}

const MEMBERS: [&str; 3] = ["pd0", "pd1", "pd2"];

fn target_of(member: &str) -> String {
    format!("10.77.0.1{}:2379", &member[2..])
}

/// Answers of a member take longer, to the recorder and to Prometheus; PD's leader answers all
/// stores later.
fn slow_link_of(run: &mut Run, member: &str, range: TimeRange, seconds: f64) {
    for answer in run.pd.iter_mut().filter(|a| a.member == member && range.contains(a.sent)) {
        answer.elapsed_us += (seconds * 1e6) as u32;
    }
    run.each("scrape_duration_seconds", Some(&target_of(member)), |_, samples| {
        samples.iter_mut().filter(|s| range.contains(s.at)).for_each(|s| s.value += 6.0 * seconds);
    });
    if member == "pd2" {
        for (_, instance) in run.stores() {
            run.slow_down("tikv_pd_request_duration_seconds", &instance, range, seconds);
        }
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_member_behind_a_slow_link_is_named_within_a_minute_whoever_leads() {
    for member in MEMBERS {
        for (from, to) in SPANS {
            let mut run = quiet();
            let range = run.range(from, to);
            slow_link_of(&mut run, member, range, 0.05);
            let verdict = run.verdict();
            assert_cause(&verdict, "slow_network", member);
            assert_onset(&run, &verdict, from);
        }
    }
}

/// Goroutines wait for a thread, and so does everybody who asks.
#[test]
fn a_member_without_cpu_is_overloaded_and_not_badly_connected() {
    for member in MEMBERS {
        let mut run = quiet();
        let range = run.range(FROM, TO);
        slow_link_of(&mut run, member, range, 0.08);
        run.slow_down("go_sched_latencies_seconds", &target_of(member), range, 0.004);
        let verdict = run.verdict();
        assert_cause(&verdict, "pd_overloaded", member);
        assert_onset(&run, &verdict, FROM);
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_member_that_dies_for_a_minute_is_told_at_any_time() {
    for member in MEMBERS {
        for (from, to) in SPANS {
            let mut run = quiet();
            if member == "pd2" {
                run.move_pd_leader("pd0", run.at(from + 12));
            }
            run.silence_member(member, run.range(from, to), GapReason::Connect);
            run.fail_scrapes(&target_of(member), run.range(from, to), 0.001);
            let mode = if member == "pd2" { "pd_leader_crash" } else { "pd_follower_crash" };
            let verdict = run.verdict();
            assert_cause(&verdict, mode, member);
            assert_onset(&run, &verdict, from);
        }
    }
}

#[test]
fn two_faults_at_different_nodes_are_both_told() {
    let mut run = quiet();
    let range = run.range(FROM, TO);
    slow_device(&mut run, 1, range, 0.05);
    run.silence_member("pd0", run.range(FROM + 20, TO), GapReason::Connect);
    run.fail_scrapes(&target_of("pd0"), run.range(FROM + 20, TO), 0.001);
    let verdict = run.verdict();
    let mut named: Vec<&str> = verdict.causes.iter().map(|one| one.mode).collect();
    named.sort_unstable();
    assert_eq!(named, ["pd_follower_crash", "slow_disk"], "{}", told(&verdict));
}

/// The load of the hot run, brought down to what it was before, store by store in proportion: the
/// hot store keeps its share.
#[test]
fn load_that_gathers_without_growing_is_a_hot_region() {
    let mut run = Run::load("chaos-05");
    run.keep_total("tikv_grpc_msg_duration_seconds_count");
    let verdict = run.verdict();
    assert_cause(&verdict, "hot_region_write", "workload");
    let onset = verdict.causes[0].onset_ms.as_millis();
    assert!((onset - 1_795_539_574_496).abs() <= 15_000, "{}", told(&verdict));
}

/// What a store leads more it also serves more.
#[test]
fn load_that_follows_leaders_is_none() {
    let mut run = Run::load("chaos-05");
    run.keep_total("tikv_grpc_msg_duration_seconds_count");
    let (from, to) = (run.at(200), run.at(430));
    run.store_entries(4, TimeRange::new(from, to), |_, store| {
        store["status"]["leader_count"] = 60.into();
    });
    assert_eq!(run.verdict().outcome, Outcome::NoFault, "{}", told(&run.verdict()));
}

/// Scans where there were none, for which the read pools of all stores work.
#[test]
fn scans_that_occupy_the_read_pools_are_told_from_more_load() {
    let mut run = quiet();
    let range = run.range(FROM, TO);
    for (_, instance) in run.stores() {
        run.series.retain(|one| {
            one.labels.metric() != "tikv_grpc_msg_duration_seconds_count"
                || one.labels.get("instance") != Some(&instance)
                || one.labels.get("type") != Some("raw_scan")
        });
        let pairs = [
            ("__name__", "tikv_grpc_msg_duration_seconds_count"),
            ("job", "tikv"),
            ("instance", instance.as_str()),
            ("priority", "medium"),
            ("type", "raw_scan"),
        ];
        run.add_counter(&pairs, range, 60.0);
        let pairs = [
            ("__name__", "tikv_thread_cpu_seconds_total"),
            ("job", "tikv"),
            ("instance", instance.as_str()),
            ("name", "unified_read_po_99"),
        ];
        run.add_counter(&pairs, range, 0.3);
    }
    let verdict = run.verdict();
    assert_cause(&verdict, "coprocessor_pressure", "workload");
    assert_onset(&run, &verdict, FROM);
}

/// Noise that a busy machine makes: single slow scrapes, a late heartbeat, one failed request.
#[test]
fn hiccups_are_no_faults() {
    let mut run = quiet();
    for index in 0..4 {
        let at = 200 + 60 * index as i64;
        // No longer than a scrape is apart from the next.
        let range = run.range(at, at + 15);
        starve(&mut run, index, range, 0.3);
        let (_, instance, _) = run.store(index);
        run.fail_scrapes(&instance, run.range(at + 30, at + 44), 10.0);
    }
    run.silence_member("pd1", run.range(300, 304), GapReason::Timeout);
    assert_no_fault(&run.verdict(), None);
}
