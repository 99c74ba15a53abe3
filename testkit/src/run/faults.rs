//! Synthetic faults over a stretch of a run, as their mechanism would show in the samples.

use operator::model::{GapReason, TimeRange};

use super::Run;

/// Times that a device takes.
const DEVICE: [&str; 4] = [
    "tikv_raftstore_disk_probe_duration_seconds",
    "raft_engine_sync_log_duration_seconds",
    "tikv_raftstore_store_write_raftdb_duration_seconds",
    "tikv_raftstore_append_log_duration_seconds",
];

/// Waits for a thread.
const THREADS: [&str; 3] = [
    "tikv_batch_system_fsm_schedule_wait_seconds",
    "tikv_yatp_pool_schedule_wait_duration",
    "tikv_grpc_msg_duration_seconds",
];

const PD_REQUESTS: &str = "tikv_pd_request_duration_seconds";
const ROUND_TRIPS: &str = "etcd_network_peer_round_trip_time_seconds";
const RECEIVED: &str = "tikv_raftstore_message_recv_by_store";

impl Run {
    fn slow_down_where_known(&mut self, histogram: &str, instance: &str, range: TimeRange, s: f64) {
        if self.has(&format!("{histogram}_sum"), instance) {
            self.slow_down(histogram, instance, range, s);
        }
    }

    /// Whether a target exports a metric.
    pub fn has(&self, metric: &str, instance: &str) -> bool {
        let of = |one: &operator::model::Series| {
            one.labels.metric() == metric && one.labels.get("instance") == Some(instance)
        };
        self.series.iter().any(of)
    }

    /// No message of a store's reaches its peers, and they count what they cannot deliver.
    fn fall_out(&mut self, index: usize, range: TimeRange, per_second: f64) {
        let all = self.stores();
        let (id, _) = all[index].clone();
        for (_, by) in all.into_iter().filter(|(other, _)| *other != id) {
            self.report_unreachable(&by, id, range, per_second);
            if self.has(RECEIVED, &by) {
                let from = id.to_string();
                self.freeze(RECEIVED, &by, range, |l| l.get("store") == Some(&from));
            }
        }
    }

    /// A process that is paused over a stretch, as its peers see it too.
    pub fn stop_process(&mut self, index: usize, from: i64, to: i64) {
        self.pause(index, from, to);
        self.fall_out(index, self.range(from, to), 2.0);
    }

    /// A process that dies at once and is back after a while, or not inside the run: its host
    /// refuses connections meanwhile.
    pub fn kill(&mut self, index: usize, from: i64, to: i64) {
        let (id, instance, _) = self.store(index);
        self.fail_scrapes(&instance, self.range(from, to), 0.001);
        self.stop_heartbeats(id, self.range(from, to + 4));
        self.fall_out(index, self.range(from, to), 2.0);
        let back = self.at(to);
        if back >= self.window.end {
            return;
        }
        self.restart_process(&instance, back);
        let after = TimeRange::new(back, self.window.end);
        self.store_entries(id, after, |_, store| {
            store["store"]["start_timestamp"] = (back.as_millis() / 1000).into();
        });
    }

    /// Peers count messages to a store as undeliverable.
    pub fn report_unreachable(&mut self, by: &str, whom: u64, range: TimeRange, per_second: f64) {
        let whom = whom.to_string();
        let pairs = [
            ("__name__", "tikv_server_report_failure_msg_total"),
            ("job", "tikv"),
            ("instance", by),
            ("type", "unreachable"),
            ("store_id", whom.as_str()),
        ];
        self.add_counter(&pairs, range, per_second);
        // Health checks stay away too: ten a second, each some seconds late.
        let source = self.stores().into_iter().find(|(_, one)| one == by).expect("it is a store").0;
        let source = source.to_string();
        for (part, pace) in [("count", 10.0), ("sum", 32.0)] {
            let name = format!("tikv_raftstore_inspect_network_duration_seconds_{part}");
            let pairs = [
                ("__name__", name.as_str()),
                ("job", "tikv"),
                ("instance", by),
                ("source", source.as_str()),
                ("target", whom.as_str()),
            ];
            self.add_counter(&pairs, range, pace);
        }
    }

    /// Neither PD nor Prometheus nor any peer hears the store, which runs.
    pub fn isolate(&mut self, index: usize, from: i64, to: i64) {
        let (id, instance, _) = self.store(index);
        let range = self.range(from, to);
        self.fail_scrapes(&instance, range, 10.0);
        self.stop_heartbeats(id, range);
        self.fall_out(index, range, 2.0);
    }

    /// Messages between a store and every other stay undelivered in the directions given.
    pub fn cut_from_peers(&mut self, index: usize, range: TimeRange, ways: [bool; 2]) {
        let all = self.stores();
        let (id, instance) = all[index].clone();
        for (other, other_instance) in all.iter().filter(|(other, _)| *other != id) {
            if ways[0] {
                self.report_unreachable(other_instance, id, range, 8.0);
                if self.has(RECEIVED, &instance) {
                    let from = other.to_string();
                    self.freeze(RECEIVED, &instance, range, |l| l.get("store") == Some(&from));
                }
            }
            if ways[1] {
                self.report_unreachable(&instance, *other, range, 8.0);
                if self.has(RECEIVED, other_instance) {
                    let from = id.to_string();
                    self.freeze(RECEIVED, other_instance, range, |l| l.get("store") == Some(&from));
                }
            }
        }
    }

    /// A device takes so many seconds longer for each write.
    pub fn slow_device(&mut self, index: usize, range: TimeRange, seconds: f64) {
        let (_, instance, _) = self.store(index);
        for histogram in DEVICE {
            // Probes follow one another, and there is one a second.
            let most = if histogram.contains("disk_probe") { 0.9 } else { seconds };
            self.slow_down_where_known(histogram, &instance, range, seconds.min(most));
        }
    }

    /// A device that answers nothing.
    pub fn stop_device(&mut self, index: usize, range: TimeRange) {
        let (_, instance, _) = self.store(index);
        for histogram in DEVICE {
            for part in ["_count", "_sum"] {
                let metric = format!("{histogram}{part}");
                if self.has(&metric, &instance) {
                    self.freeze(&metric, &instance, range, |_| true);
                }
            }
        }
    }

    /// A store's packets take so many seconds longer for each round trip.
    pub fn slow_link(&mut self, index: usize, range: TimeRange, seconds: f64) {
        let (_, instance, _) = self.store(index);
        self.slow_down(PD_REQUESTS, &instance, range, seconds);
        self.lengthen_scrapes(&instance, range, 5.0 * seconds);
    }

    /// Scrapes of a target take longer.
    pub fn lengthen_scrapes(&mut self, instance: &str, range: TimeRange, seconds: f64) {
        self.each("scrape_duration_seconds", Some(instance), |_, samples| {
            samples.iter_mut().filter(|s| range.contains(s.at)).for_each(|s| s.value += seconds);
        });
    }

    /// Threads wait for the CPU, and all that they do takes as much longer.
    pub fn starve(&mut self, index: usize, range: TimeRange, seconds: f64) {
        let (_, instance, _) = self.store(index);
        for histogram in THREADS.into_iter().chain([PD_REQUESTS]).chain(DEVICE) {
            self.slow_down_where_known(histogram, &instance, range, seconds);
        }
        self.lengthen_scrapes(&instance, range, 20.0 * seconds);
    }

    /// So much of a store's disk is free.
    pub fn leave_free(&mut self, index: usize, range: TimeRange, share: f64) {
        let (id, instance, _) = self.store(index);
        let capacity = 3.02e9;
        self.set_where("tikv_store_size_bytes", &instance, range, capacity * share, |labels| {
            labels.get("type") == Some("available")
        });
        self.store_entries(id, range, |_, store| {
            store["status"]["available"] = format!("{:.4}GiB", 2.813 * share).into();
        });
    }

    /// Memory rises over a minute and a half and the process is killed at its height.
    pub fn kill_for_memory(&mut self, index: usize, from: i64, to: i64) {
        let (_, instance, _) = self.store(index);
        let died = self.at(from);
        self.each("process_resident_memory_bytes", Some(&instance), |_, samples| {
            for sample in samples.iter_mut().filter(|s| s.at <= died) {
                let left = (died - sample.at) as f64 / 1000.0;
                if left < 60.0 {
                    sample.value *= 1.0 + 4.0 * (60.0 - left) / 60.0;
                }
            }
        });
        self.kill(index, from, to);
    }

    /// Where Prometheus scrapes a member of PD.
    pub fn instance_of_member(&self, member: &str) -> String {
        let answer = self.pd.iter().find(|a| a.member == member).expect("the member is asked");
        answer.url.split_once("://").expect("a URL").1.trim_end_matches('/').to_owned()
    }

    /// The member that leads PD at first.
    pub fn leader(&self) -> String {
        let body = self
            .pd
            .iter()
            .filter(|a| a.path.ends_with("/members"))
            .find_map(|a| serde_json::from_slice::<serde_json::Value>(a.success()?).ok())
            .expect("members are listed");
        body["leader"]["name"].as_str().expect("a name").to_owned()
    }

    /// A member of PD that answers nobody, refused or left waiting; others take over where it led.
    pub fn lose_member(&mut self, member: &str, from: i64, to: i64, reason: GapReason) {
        let instance = self.instance_of_member(member);
        if self.leader() == member {
            let names = ["pd0", "pd1", "pd2"];
            let next = names.into_iter().find(|name| *name != member).expect("there are three");
            self.move_pd_leader(next, self.at(from + 12));
        }
        self.silence_member(member, self.range(from, to), reason);
        let took = if reason == GapReason::Connect { 0.001 } else { 10.0 };
        self.fail_scrapes(&instance, self.range(from, to), took);
    }

    /// Round trips between a member and each other, as both ends probe them.
    fn lengthen_round_trips(&mut self, member: &str, range: TimeRange, seconds: f64) {
        let own = self.instance_of_member(member);
        let probed = |run: &Self, by: &str| {
            let of = |one: &&operator::model::Series| {
                one.labels.metric() == format!("{ROUND_TRIPS}_count")
                    && one.labels.get("instance") == Some(by)
            };
            let to = run.series.iter().filter(of).filter_map(|one| one.labels.get("To"));
            to.map(str::to_owned).collect::<std::collections::BTreeSet<String>>()
        };
        let others: Vec<String> = ["pd0", "pd1", "pd2"]
            .iter()
            .filter(|name| **name != member)
            .map(|name| self.instance_of_member(name))
            .collect();
        let (a, b, mine) = (probed(self, &others[0]), probed(self, &others[1]), probed(self, &own));
        let Some(id) = a.intersection(&b).find(|id| !mine.contains(*id)).cloned() else { return };
        for instance in [own.clone()].iter().chain(&others) {
            let slow = |labels: &operator::model::Labels| {
                *instance == own || labels.get("To") == Some(id.as_str())
            };
            self.slow_down_those(ROUND_TRIPS, instance, range, seconds, slow);
        }
    }

    /// A member's answers take longer, to all who ask.
    pub fn slow_member_link(&mut self, member: &str, range: TimeRange, seconds: f64) {
        let instance = self.instance_of_member(member);
        for answer in self.pd.iter_mut().filter(|a| a.member == member && range.contains(a.sent)) {
            answer.elapsed_us += (seconds * 1e6) as u32;
        }
        self.lengthen_scrapes(&instance, range, 6.0 * seconds);
        self.lengthen_round_trips(member, range, seconds);
        if self.leader() == member {
            for (_, store) in self.stores() {
                self.slow_down(PD_REQUESTS, &store, range, seconds);
            }
        }
    }
}
