//! How the incidents of stores show.

use operator::model::{Labels, TimeRange};

use crate::incidents::changes::{At, add, growing, pace, raise, set, slow};
use crate::incidents::{FROM, LEADERS_TARGET, lasting};
use crate::run::Run;

fn instance(run: &Run, index: usize) -> String {
    run.store(index).1
}

/// Gives the leaders of a store to another one, as PD and both of them count.
fn hand_over(run: &mut Run, from: usize, to: usize, range: TimeRange) {
    let (from_id, from_instance, _) = run.store(from);
    let (to_id, to_instance, _) = run.store(to);
    let mut led = 0;
    run.store_entries(from_id, range, |_, store| {
        led = store["status"]["leader_count"].as_u64().unwrap_or(led);
        store["status"]["leader_count"] = 0.into();
    });
    run.store_entries(to_id, range, |_, store| {
        let own = store["status"]["leader_count"].as_u64().unwrap_or(0);
        store["status"]["leader_count"] = (own + led).into();
    });
    let leaders = |labels: &Labels| labels.get("type") == Some("leader");
    run.set_where("tikv_raftstore_region_count", &from_instance, range, 0.0, leaders);
    let more = At { keep: leaders, ..At::one("tikv_raftstore_region_count", &to_instance) };
    add(run, more, |at| if range.contains(at) { led as f64 } else { 0.0 });
    for metric in ["pd_cluster_status", "pd_scheduler_store_status"] {
        run.each(metric, Some(LEADERS_TARGET), |labels, samples| {
            let of = |id: u64| {
                labels.get("type") == Some("leader_count")
                    && labels.get("store") == Some(id.to_string().as_str())
            };
            for sample in samples.iter_mut().filter(|one| range.contains(one.at)) {
                if of(from_id) {
                    sample.value = 0.0;
                } else if of(to_id) {
                    sample.value += led as f64;
                }
            }
        });
    }
}

/// The thread has leaders that fall to none, tasks that stay at the limit and no CPU. Eight thousand are what four
/// threads may have by default, within four minutes; PD takes the leaders two minutes later, and half the reads that
/// the store had go on coming: ours.
pub fn half_dead_store_says_busy(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 1);
    let running = At {
        keep: |labels| labels.get("priority") == Some("medium"),
        ..At::one("tikv_unified_read_pool_running_tasks", &instance)
    };
    let more = growing(range, 240_000, 8_000.0);
    add(run, running, |at| more(at).round());
    let readers = At {
        keep: |labels| labels.get("name").is_some_and(|name| name.starts_with("unified_read_po")),
        ..At::one("tikv_thread_cpu_seconds_total", &instance)
    };
    pace(run, readers, range, 0.0);
    let scheduled = At {
        keep: |labels| labels.get("name") == Some("unified-read-pool"),
        ..At::one("tikv_yatp_pool_schedule_wait_duration_count", &instance)
    };
    pace(run, scheduled, range, 0.0);
    let gone = TimeRange::new(run.at(FROM + 120), run.window.end);
    hand_over(run, 1, 0, gone);
    for metric in ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"] {
        for (kind, factor) in [("kv_get", 0.5), ("kv_prewrite", 0.0)] {
            let keep: fn(&Labels) -> bool = match kind {
                "kv_get" => |labels| labels.get("type") == Some("kv_get"),
                _ => |labels| labels.get("type") == Some("kv_prewrite"),
            };
            pace(run, At { keep, ..At::one(metric, &instance) }, gone, factor);
        }
    }
}

/// 50 ms and ten minutes are the thread's; that a commit waits for two passages, and that every second minute half
/// of the requests is left, is ours.
pub fn fifty_milliseconds_of_link(run: &mut Run) {
    let range = run.range(FROM, FROM + 600);
    let instance = instance(run, 0);
    run.slow_link(0, range, 0.05);
    for histogram in [
        "tikv_raftstore_commit_log_duration_seconds",
        "tikv_raftstore_store_wf_commit_log_duration_seconds",
    ] {
        slow(run, histogram, Some(&instance), range, 0.1);
    }
    run.slow_down_those("tikv_grpc_msg_duration_seconds", &instance, range, 0.1, |labels| {
        labels.get("type") == Some("kv_prewrite")
    });
    for minute in (0..10).step_by(2) {
        let part = run.range(FROM + 60 * minute, FROM + 60 * minute + 60);
        for metric in ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"]
        {
            pace(run, At::all(metric), part, 0.5);
        }
    }
}

/// That each store looks every five seconds is TiKV's; that it asks PD ten times each time is ours.
pub fn removed_store_asked_for(run: &mut Run) {
    let range = lasting(run);
    for (_, instance) in run.stores() {
        let failed = [
            ("__name__", "tikv_server_resolve_store_total"),
            ("instance", instance.as_str()),
            ("job", "tikv"),
            ("type", "failed"),
        ];
        run.add_counter(&failed, range, 0.2);
        let looked_up = At::one("tikv_server_address_resolve_duration_secs_count", &instance);
        raise(run, looked_up, range, 0.2);
        for part in ["_count", "_sum"] {
            let metric = format!("tikv_pd_request_duration_seconds{part}");
            let asked = At {
                keep: |labels| labels.get("type") == Some("get_store_async"),
                ..At::one(&metric, &instance)
            };
            raise(run, asked, range, if part == "_count" { 2.0 } else { 0.01 });
        }
    }
    let asked = At {
        keep: |labels| labels.get("grpc_method") == Some("GetStore"),
        ..At::one("grpc_server_started_total", LEADERS_TARGET)
    };
    raise(run, asked, range, 8.0);
    let unknown = [
        ("__name__", "grpc_server_handled_total"),
        ("grpc_code", "Unknown"),
        ("grpc_method", "GetStore"),
        ("grpc_service", "pdpb.PD"),
        ("grpc_type", "unary"),
    ];
    run.drop_series(|labels| unknown.iter().all(|(name, value)| labels.get(name) == Some(value)));
    let of_pd = [("instance", LEADERS_TARGET), ("job", "pd")];
    run.add_counter(&[unknown.as_slice(), of_pd.as_slice()].concat(), range, 8.0);
}

/// Two days are ours, as is that its replicas have been made up for meanwhile.
pub fn a_pod_in_a_crash_loop(run: &mut Run) {
    let whole = run.window;
    let (id, instance, _) = run.store(3);
    hand_over(run, 3, 0, whole);
    run.fail_scrapes(&instance, whole, 0.001);
    let heard_ns = (whole.start.as_millis() - 2 * 86_400_000) * 1_000_000;
    run.store_entries(id, whole, |_, store| {
        store["store"]["state_name"] = "Down".into();
        store["store"]["last_heartbeat"] = heard_ns.into();
        store["status"]["region_count"] = 0.into();
    });
    for metric in ["pd_cluster_status", "pd_scheduler_store_status"] {
        run.each(metric, Some(LEADERS_TARGET), |labels, samples| {
            if labels.get("store") != Some(id.to_string().as_str()) {
                return;
            }
            let value = match labels.get("type") {
                Some("store_up_count" | "store_serving_count" | "region_count") => 0.0,
                Some("store_down_count") => 1.0,
                _ => return,
            };
            samples.iter_mut().for_each(|one| one.value = value);
        });
    }
}

/// 596 GB are the thread's; the share that is refused is what TiKV makes of it between its limits of 192 GiB and
/// 1 TiB. That they come within two minutes, and what waiting costs, is ours.
pub fn dropped_table_throttles_writers(run: &mut Run) {
    let range = lasting(run);
    let instance = instance(run, 1);
    let waiting = 596e9;
    let debt = At {
        keep: |labels| labels.get("cf") == Some("default"),
        ..At::one("tikv_engine_pending_compaction_bytes", &instance)
    };
    add(run, debt, growing(range, 120_000, waiting));
    let throttled = TimeRange::new(run.at(FROM + 120), run.window.end);
    // TiKV exports both ten million times as large, and the bytes as their logarithm.
    let scale = 1e7;
    let seen = At {
        keep: |labels| labels.get("type") == Some("default"),
        ..At::one("tikv_scheduler_pending_compaction_bytes", &instance)
    };
    set(run, seen, throttled, (f64::log2(waiting) * scale).round());
    set(run, At::one("tikv_scheduler_discard_ratio", &instance), throttled, 0.437 * scale);
    let refused = [
        ("__name__", "tikv_scheduler_too_busy_total"),
        ("instance", instance.as_str()),
        ("job", "tikv"),
        ("type", "prewrite"),
    ];
    run.add_counter(&refused, throttled, 20.0);
    run.slow_down_those("tikv_grpc_msg_duration_seconds", &instance, throttled, 0.3, |labels| {
        labels.get("type") == Some("kv_prewrite")
    });
    let destroyed = At {
        keep: |labels| {
            labels.get("type") == Some("unsafe_destroy_range")
                && labels.get("priority") == Some("unknown")
        },
        ..At::one("tikv_grpc_msg_duration_seconds_count", &instance)
    };
    add(run, destroyed, |at| if range.contains(at) { 1.0 } else { 0.0 });
}
