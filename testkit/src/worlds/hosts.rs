//! What node_exporter, kube-state-metrics, the kubelet's cAdvisor and blackbox_exporter show beside a run: quiet, or
//! with a word on what the run shows anyway.
//!
//! Names and labels are those of the exporters' own documentation and tests; values are made up.

use operator::model::{Labels, Sample, Series, TimeRange, Timestamp};

use super::naming;
use super::scraping::add_target;
use crate::run::Run;

/// The exporters of a machine, of Kubernetes and of probes, with their quiet values.
struct Exporters<'a> {
    run: &'a mut Run,
}

/// The target of kube-state-metrics, which passes the labels of pods on.
const STATE: [(&str, &str); 5] = [
    ("job", "kube-state-metrics"),
    ("instance", "10.244.9.9:8443"),
    ("namespace", "monitoring"),
    ("pod", "kube-state-metrics-6c9f-x1"),
    ("container", "kube-rbac-proxy-main"),
];

/// A store of the run under its present names.
struct Store {
    index: usize,
    id: u64,
    host: String,
    pod: String,
}

fn stores(run: &Run) -> Vec<Store> {
    let listed = run.stores().into_iter().enumerate();
    let store = |(index, (id, address)): (usize, (u64, String))| {
        let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host).to_owned();
        let pod = host.split('.').next().unwrap_or_default().to_owned();
        Store { index, id, host, pod }
    };
    listed.map(store).collect()
}

fn store(run: &Run, id: u64) -> Store {
    stores(run).into_iter().find(|store| store.id == id).expect("the store is listed")
}

/// From the first scrape of a store that failed to the next one that did not.
fn outage(run: &Run, id: u64) -> TimeRange {
    let index = store(run, id).index;
    let (_, instance, _) = run.store(index);
    let own = run.series.iter().filter(|one| one.labels.metric() == "up");
    let scraped = own
        .clone()
        .find(|one| one.labels.get("instance") == Some(&instance))
        .or_else(|| own.clone().find(|one| one.samples.iter().any(|sample| sample.value == 0.0)));
    let samples = &scraped.expect("the store is scraped").samples;
    let first = samples.iter().find(|one| one.value == 0.0).expect("a scrape fails").at;
    let next = samples.iter().find(|one| one.at > first && one.value > 0.0);
    TimeRange::new(first, next.map_or(run.window.end, |one| one.at))
}

impl Exporters<'_> {
    /// Adds series to a target, sampled with its scrapes; labels of the series stand in place of the target's.
    fn add(
        &mut self,
        target: &[(&str, &str)],
        own: &[(&str, &str)],
        value: impl Fn(Timestamp) -> Option<f64>,
    ) {
        let up = Labels::from_pairs(&[&[("__name__", "up")], target].concat());
        let up =
            self.run.series.iter().find(|one| one.labels == up).expect("the target is scraped");
        let sample = |at: Timestamp| Some(Sample { at, value: value(at)? });
        let samples: Vec<Sample> = up.samples.iter().filter_map(|one| sample(one.at)).collect();
        let labels = Labels::from_pairs(target).with(own);
        if !samples.is_empty() {
            self.run.series.push(Series { labels, samples });
        }
    }

    /// kube-state-metrics and a kubelet, with every store's pod healthy. `of_pod` changes what a pod shows.
    fn kubernetes(&mut self, of_pod: impl Fn(&Store, Timestamp) -> Pod) {
        add_target(self.run, &STATE, 30);
        for store in stores(self.run) {
            let machine = format!("worker-{}", store.index + 1);
            let pod = [("namespace", "tidb"), ("pod", &*store.pod), ("uid", "1b7e")];
            let container = [&pod[..], &[("container", "tikv")]].concat();
            let of = |name: &'static str, more: &[(&'static str, &'static str)]| {
                [&[("__name__", name)], &container[..], more].concat()
            };
            let host_ip = format!("10.0.2.{}", store.index + 1);
            let info = [("host_ip", &*host_ip), ("node", &*machine)];
            let info = [&[("__name__", "kube_pod_info")], &pod[..], &info].concat();
            self.add(&STATE, &info, |_| Some(1.0));
            let limit = of(
                "kube_pod_container_resource_limits",
                &[("resource", "memory"), ("unit", "byte")],
            );
            self.add(&STATE, &limit, |_| Some(8.0e9));
            self.add(&STATE, &of("kube_pod_container_status_restarts_total", &[]), |at| {
                Some(of_pod(&store, at).ends.len() as f64)
            });
            for reason in ["OOMKilled", "Error"] {
                let name = "kube_pod_container_status_last_terminated_reason";
                self.add(&STATE, &of(name, &[("reason", reason)]), |at| {
                    let pod = of_pod(&store, at);
                    pod.ends.last().filter(|end| end.reason == reason).map(|_| 1.0)
                });
            }
            self.add(
                &STATE,
                &of("kube_pod_container_status_last_terminated_exitcode", &[]),
                |at| of_pod(&store, at).ends.last().map(|end| end.code),
            );
            self.add(
                &STATE,
                &of("kube_pod_container_status_last_terminated_timestamp", &[]),
                |at| {
                    let seconds = |end: &End| (end.at.as_millis() / 1000) as f64;
                    of_pod(&store, at).ends.last().map(seconds)
                },
            );
            self.kubelet(&store, &machine, &of_pod);
        }
    }

    /// The kubelet of a store's machine, with the container of the store.
    fn kubelet(
        &mut self,
        store: &Store,
        machine: &str,
        of_pod: &impl Fn(&Store, Timestamp) -> Pod,
    ) {
        let instance = format!("10.0.2.{}:10250", store.index + 1);
        let target = [
            ("job", "kubelet"),
            ("instance", &*instance),
            ("metrics_path", "/metrics/cadvisor"),
            ("namespace", "kube-system"),
            ("node", machine),
        ];
        add_target(self.run, &target, 30);
        let pod = [("namespace", "tidb"), ("pod", &*store.pod), ("container", "tikv")];
        let of = |name: &'static str| [&[("__name__", name)], &pod[..]].concat();
        let start = self.run.window.start;
        let periods = move |at: Timestamp| (at - start) as f64 / 100.0;
        self.add(&target, &of("container_cpu_cfs_periods_total"), |at| Some(periods(at).round()));
        self.add(&target, &of("container_cpu_cfs_throttled_periods_total"), |at| {
            let more = |range: TimeRange| match at > range.start {
                true => 0.7 * (periods(at.min(range.end)) - periods(range.start)),
                false => 0.0,
            };
            let more = of_pod(store, at).throttled.map_or(0.0, more);
            Some((0.02 * periods(at) + more).round())
        });
        self.add(&target, &of("container_oom_events_total"), |_| Some(0.0));
    }

    /// node_exporter on every store's machine. `of_machine` changes what one shows.
    fn machines(
        &mut self,
        external: &[(&str, &str)],
        of_machine: impl Fn(&Store, Timestamp) -> Machine,
    ) {
        for store in stores(self.run) {
            let instance = format!("{}:9100", store.host);
            let known = [("job", "overwritten-nodes"), ("instance", &*instance)];
            let target = [&known[..], external].concat();
            let up = Labels::from_pairs(&[&[("__name__", "up")], &target[..]].concat());
            if !self.run.series.iter().any(|one| one.labels == up) {
                add_target(self.run, &target, 15);
            }
            let shown = |at: Timestamp| of_machine(&store, at);
            let start = self.run.window.start;
            let passed = move |at: Timestamp| (at - start) as f64 / 1000.0;
            self.add(&target, &[("__name__", "node_vmstat_oom_kill")], |at| Some(shown(at).kills));
            self.add(&target, &[("__name__", "node_boot_time_seconds")], |at| {
                Some(shown(at).boot_s)
            });
            self.add(&target, &[("__name__", "node_memory_MemAvailable_bytes")], |_| Some(2.1e9));
            self.add(&target, &[("__name__", "node_timex_sync_status")], |_| Some(1.0));
            self.add(&target, &[("__name__", "node_timex_offset_seconds")], |at| {
                Some(shown(at).offset_s)
            });
            self.add(&target, &[("__name__", "node_netstat_Tcp_OutSegs")], |at| {
                Some((900.0 * passed(at)).round())
            });
            self.add(&target, &[("__name__", "node_netstat_Tcp_RetransSegs")], |at| {
                Some((0.4 * passed(at)).round())
            });
            self.add(&target, &[("__name__", "node_pressure_cpu_waiting_seconds_total")], |at| {
                Some(0.11 * passed(at))
            });
            self.add(&target, &[("__name__", "node_pressure_io_waiting_seconds_total")], |at| {
                Some(0.03 * passed(at))
            });
            let mount = [("device", "/dev/nvme0n1"), ("fstype", "ext4"), ("mountpoint", "/data")];
            let of_mount = |name: &'static str| [&[("__name__", name)], &mount[..]].concat();
            self.add(&target, &of_mount("node_filesystem_size_bytes"), |_| Some(5.0e11));
            self.add(&target, &of_mount("node_filesystem_avail_bytes"), |_| Some(3.1e11));
            self.add(&target, &of_mount("node_filesystem_readonly"), |at| {
                Some(f64::from(shown(at).read_only))
            });
            let of_disk = |name: &'static str| [("__name__", name), ("device", "nvme0n1")];
            let done = move |at: Timestamp| (120.0 * passed(at)).round();
            self.add(&target, &of_disk("node_disk_writes_completed_total"), |at| Some(done(at)));
            self.add(&target, &of_disk("node_disk_reads_completed_total"), |_| Some(81_204.0));
            self.add(&target, &of_disk("node_disk_read_time_seconds_total"), |_| Some(93.0));
            self.add(&target, &of_disk("node_disk_write_time_seconds_total"), |at| {
                Some(0.0008 * done(at) + shown(at).waited_s)
            });
        }
    }

    /// Pings of every store's host, and probes of its port, as TiUP's template has them.
    fn probes(&mut self, external: &[(&str, &str)], of_probe: impl Fn(&Store, Timestamp) -> Probe) {
        let all = stores(self.run);
        for by in &all {
            for store in all.iter().filter(|store| store.id != by.id) {
                let (job, instance) = (
                    format!("blackbox_exporter_{}:9115_icmp", by.host),
                    format!("{}:9115", by.host),
                );
                let own = [("job", &*job), ("instance", &*instance), ("ping", &*store.host)];
                let target = [&own[..], external].concat();
                self.probe(&target, |at| of_probe(store, at), true);
            }
            let port = format!("{}:20180", by.host);
            let own = [("job", "tidb_port_probe"), ("instance", &*port), ("group", "tikv")];
            let target = [&own[..], external].concat();
            self.probe(&target, |at| of_probe(by, at), false);
        }
    }

    fn probe(&mut self, target: &[(&str, &str)], of: impl Fn(Timestamp) -> Probe, is_ping: bool) {
        let up = Labels::from_pairs(&[&[("__name__", "up")], target].concat());
        if !self.run.series.iter().any(|one| one.labels == up) {
            add_target(self.run, target, 15);
        }
        let success =
            |at: Timestamp| f64::from(if is_ping { of(at).pings } else { of(at).connects });
        self.add(target, &[("__name__", "probe_success")], |at| Some(success(at)));
        let way = |at: Timestamp| of(at).way_s;
        self.add(target, &[("__name__", "probe_duration_seconds")], |at| Some(way(at) + 0.0003));
        if is_ping {
            let own = [("__name__", "probe_icmp_duration_seconds"), ("phase", "rtt")];
            self.add(target, &own, |at| Some(way(at)));
        }
    }
}

/// How a container ended.
#[derive(Clone)]
struct End {
    at: Timestamp,
    reason: &'static str,
    code: f64,
}

/// What Kubernetes shows of a pod at an instant.
#[derive(Clone, Default)]
struct Pod {
    ends: Vec<End>,
    throttled: Option<TimeRange>,
}

/// What a machine shows at an instant.
struct Machine {
    kills: f64,
    boot_s: f64,
    offset_s: f64,
    read_only: bool,
    /// Seconds that writes have waited so far beyond the usual.
    waited_s: f64,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            kills: 1.0,
            boot_s: 1_790_000_000.0,
            offset_s: 0.000_04,
            read_only: false,
            waited_s: 0.0,
        }
    }
}

/// What a probe of a machine shows at an instant.
struct Probe {
    pings: bool,
    connects: bool,
    way_s: f64,
}

impl Default for Probe {
    fn default() -> Self {
        Self { pings: true, connects: true, way_s: 0.0004 }
    }
}

/// The external labels of TiUP's Prometheus.
const TIUP: [(&str, &str); 2] = [("cluster", "prod"), ("monitor", "prometheus")];

fn sorted(run: &mut Run) {
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

fn kubernetes(run: &mut Run, of_pod: impl Fn(&Store, Timestamp) -> Pod) {
    Exporters { run }.kubernetes(of_pod);
    sorted(run);
}

/// Kubernetes with kube-state-metrics and kubelets beside, which have nothing to say.
pub(super) fn kubernetes_quiet(run: &mut Run) {
    naming::service_monitor(run);
    kubernetes(run, |_, _| Pod::default());
}

/// TiUP with machines and probes that have nothing to say.
pub(super) fn machines_quiet(run: &mut Run) {
    naming::tiup(run);
    Exporters { run }.machines(&TIUP, |_, _| Machine::default());
    Exporters { run }.probes(&TIUP, |_, _| Probe::default());
    sorted(run);
}

/// Kubernetes says how the container of a store ended, at the death that the run shows.
pub fn pod_ended(run: &mut Run, id: u64, reason: &'static str, code: f64) {
    naming::service_monitor(run);
    let died = outage(run, id).start.saturating_add_millis(-5_000);
    kubernetes(run, |store, at| {
        let is_it = store.id == id && at > died.saturating_add_millis(4_000);
        Pod {
            ends: is_it.then_some(End { at: died, reason, code }).into_iter().collect(),
            throttled: None,
        }
    });
}

/// The store that dies in chaos-02 was killed for want of memory, by Kubernetes's account.
pub(super) fn pod_oom_killed(run: &mut Run) {
    pod_ended(run, 4, "OOMKilled", 137.0);
}

/// The same store ended by itself.
pub(super) fn pod_exited(run: &mut Run) {
    pod_ended(run, 4, "Error", 1.0);
}

fn machine_of(run: &mut Run, of_machine: impl Fn(&Store, Timestamp) -> Machine) {
    Exporters { run }.machines(&TIUP, of_machine);
    sorted(run);
}

/// The store that dies in chaos-02 was killed for want of memory, by its machine's account.
pub(super) fn machine_oom_killed(run: &mut Run) {
    naming::tiup(run);
    let died = outage(run, 4).start.saturating_add_millis(-5_000);
    machine_of(run, |store, at| {
        let killed = store.id == 4 && at > died;
        Machine { kills: if killed { 2.0 } else { 1.0 }, ..Machine::default() }
    });
}

/// The machine of the store that dies in chaos-02 started anew.
pub(super) fn machine_rebooted(run: &mut Run) {
    naming::tiup(run);
    let outage = outage(run, 4);
    let boot_s = (outage.start.as_millis() / 1000 + 40) as f64;
    machine_of(run, |store, at| match store.id == 4 && at > outage.end {
        true => Machine { boot_s, ..Machine::default() },
        false => Machine::default(),
    });
    // Nothing answers while a machine starts.
    let host = store(run, 4).host;
    run.fail_scrapes(&format!("{host}:9100"), outage, 10.0);
}

/// Nothing reaches the machine of the store that chaos-07 cuts off.
pub(super) fn machine_unreachable(run: &mut Run) {
    naming::tiup(run);
    let outage = outage(run, 1);
    Exporters { run }.machines(&TIUP, |_, _| Machine::default());
    Exporters { run }.probes(&TIUP, |store, at| {
        let reached = store.id != 1 || !outage.contains(at);
        Probe { pings: reached, connects: reached, ..Probe::default() }
    });
    sorted(run);
}

/// Writes wait on the machine of the store that chaos-03 gives a slow disk.
pub(super) fn machine_disk_slow(run: &mut Run) {
    naming::tiup(run);
    let slow = run.range(228, 438);
    machine_of(run, |store, at| {
        let lasted = (at.min(slow.end) - slow.start).max(0) as f64 / 1000.0;
        let waited_s = if store.id == 1 { 120.0 * 0.045 * lasted } else { 0.0 };
        Machine { waited_s, ..Machine::default() }
    });
}

/// In a healthy run a file system becomes read-only.
pub(super) fn machine_read_only(run: &mut Run) {
    naming::tiup(run);
    let (id, _) = run.stores()[1].clone();
    let from = run.at(300);
    machine_of(run, |store, at| Machine {
        read_only: store.id == id && at >= from,
        ..Machine::default()
    });
}

/// In a healthy run the clock of a machine that a member of PD runs on leaves the others.
pub(super) fn machine_clock_off(run: &mut Run) {
    naming::tiup(run);
    let (id, _) = run.stores()[1].clone();
    let from = run.at(300);
    machine_of(run, |store, at| match store.id == id && at >= from {
        true => Machine { offset_s: -1.7, ..Machine::default() },
        false => Machine::default(),
    });
}

/// In a healthy run a store writes slowly, since its container is throttled.
pub(super) fn pod_throttled(run: &mut Run) {
    let (id, _) = run.stores()[1].clone();
    let slow = run.range(240, 420);
    run.slow_device(1, slow, 0.05);
    naming::service_monitor(run);
    kubernetes(run, |store, _| Pod {
        throttled: (store.id == id).then_some(slow),
        ends: Vec::new(),
    });
}

/// In a healthy run answers of PD and probes take longer for one store.
pub(super) fn probes_slow(run: &mut Run) {
    let (id, _) = run.stores()[1].clone();
    let slow = run.range(240, 420);
    run.slow_link(1, slow, 0.04);
    naming::tiup(run);
    Exporters { run }.machines(&TIUP, |_, _| Machine::default());
    Exporters { run }.probes(&TIUP, |store, at| match store.id == id && slow.contains(at) {
        true => Probe { way_s: 0.041, ..Probe::default() },
        false => Probe::default(),
    });
    sorted(run);
}
