use super::*;
use crate::diagnose::evidence::Parts;
use crate::diagnose::observations::series_table::tests::series;
use crate::model::Series;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

const EXPORTER: [(&str, &str); 2] = [("job", "node"), ("instance", "10.0.0.1:9100")];
const STATE: [(&str, &str); 2] = [("job", "kube-state-metrics"), ("instance", "10.9.9.9:8080")];
const POD: [(&str, &str); 3] = [("namespace", "tidb"), ("pod", "a-tikv-0"), ("container", "tikv")];

/// Ten minutes of samples every 15 s.
fn steps(value: impl Fn(i64) -> Option<f64>) -> Vec<(i64, f64)> {
    (0..40).map(|step| step * 15).filter_map(|second| Some((second, value(second)?))).collect()
}

fn of(target: &[(&str, &str)], own: &[(&str, &str)], value: impl Fn(i64) -> Option<f64>) -> Series {
    series(&[target, own].concat(), &steps(value))
}

/// What is said of one store, in the pod `a-tikv-0` at 10.0.0.1, beside which there are these series.
fn signs(more: Vec<Series>) -> Vec<(i64, HostSignKind)> {
    let tikv = [("job", "tikv"), ("instance", "10.0.0.1:20180"), ("pod", "a-tikv-0")];
    let always = |_: i64| Some(1.0);
    let mut all = vec![
        of(&tikv, &[("__name__", "up")], always),
        of(&tikv, &[("__name__", "tikv_raftstore_region_count"), ("type", "leader")], always),
        of(&EXPORTER, &[("__name__", "up")], always),
        of(&STATE, &[("__name__", "up")], always),
    ];
    all.extend(more);
    let parts = Parts { series: all, ..Parts::default() };
    let evidence = Evidence::new(TimeRange::new(at(0), at(600)), at(599), parts);
    assert_eq!(evidence.nodes.stores.len(), 1);
    let found = host_signs(&evidence).into_iter();
    found.map(|sign| (sign.at.as_millis() / 1000, sign.kind)).collect()
}

/// A series about the pod.
fn pod(name: &str, more: &[(&str, &str)], value: impl Fn(i64) -> Option<f64>) -> Series {
    of(&STATE, &[&[("__name__", name)], &POD[..], more].concat(), value)
}

const RESTARTS: &str = "kube_pod_container_status_restarts_total";
const REASON: &str = "kube_pod_container_status_last_terminated_reason";
const CODE: &str = "kube_pod_container_status_last_terminated_exitcode";
const FINISHED: &str = "kube_pod_container_status_last_terminated_timestamp";

#[test]
fn an_end_is_told_when_it_happened_and_one_from_before_is_not() {
    let before = |second: i64| (second < 300).then_some(1.0);
    let after = |second: i64| (second >= 300).then_some(1.0);
    let series = |restarts: fn(i64) -> f64| {
        vec![
            pod(RESTARTS, &[], move |second| Some(restarts(second))),
            pod(REASON, &[("reason", "Error")], before),
            pod(REASON, &[("reason", "OOMKilled")], after),
        ]
    };
    let ended = signs(series(|second| if second < 300 { 4.0 } else { 5.0 }));
    assert_eq!(ended, [(300, HostSignKind::OutOfMemory { is_own: true })]);
    let old = vec![
        pod(RESTARTS, &[], |_| Some(4.0)),
        pod(REASON, &[("reason", "OOMKilled")], |_| Some(1.0)),
        pod(CODE, &[], |_| Some(137.0)),
        pod(FINISHED, &[], |_| Some(-5_000.0)),
    ];
    assert_eq!(signs(old), []);
}

#[test]
fn an_end_with_a_date_is_told_once_and_with_its_code() {
    let since = |second: i64, value: f64| (second >= 330).then_some(value);
    let found = signs(vec![
        pod(RESTARTS, &[], |second| Some(if second < 360 { 0.0 } else { 1.0 })),
        pod(REASON, &[("reason", "Error")], |second| since(second, 1.0)),
        pod(CODE, &[], |second| since(second, 134.0)),
        pod(FINISHED, &[], |second| since(second, 312.0)),
    ]);
    let ended = HostSignKind::Ended { reason: "Error".to_owned(), code: Some(134) };
    assert_eq!(found, [(330, ended)]);
}

#[test]
fn a_pod_of_that_name_elsewhere_says_nothing() {
    let own = [("namespace", "tidb"), ("pod", "b-tikv-0"), ("container", "tikv")];
    let other = [&[("__name__", "container_oom_events_total")], &own[..]].concat();
    let rises = |second: i64| Some(if second < 300 { 0.0 } else { 1.0 });
    assert_eq!(signs(vec![of(&STATE, &other, rises)]), []);
    let own = pod("container_oom_events_total", &[], rises);
    assert_eq!(signs(vec![own]), [(300, HostSignKind::OutOfMemory { is_own: true })]);
}

#[test]
fn a_boot_is_told_and_a_step_of_the_clock_is_not() {
    let boot = |after: f64| {
        let value = move |second: i64| Some(if second < 300 { -5_000.0 } else { after });
        signs(vec![of(&EXPORTER, &[("__name__", "node_boot_time_seconds")], value)])
    };
    assert_eq!(boot(290.0), [(300, HostSignKind::Rebooted)]);
    assert_eq!(boot(-4_990.0), []);
}

#[test]
fn a_file_system_is_told_where_it_changed() {
    let mount = [("device", "/dev/sdb"), ("fstype", "xfs"), ("mountpoint", "/data")];
    let of_mount = |name: &'static str, value: fn(i64) -> f64| {
        of(&EXPORTER, &[&[("__name__", name)], &mount[..]].concat(), move |s| Some(value(s)))
    };
    let read_only = |value| signs(vec![of_mount("node_filesystem_readonly", value)]);
    assert_eq!(read_only(|s| f64::from(s >= 300)), [(300, HostSignKind::ReadOnly)]);
    assert_eq!(read_only(|_| 1.0), []);
    let free = |value| {
        let size = of_mount("node_filesystem_size_bytes", |_| 1_000.0);
        signs(vec![size, of_mount("node_filesystem_avail_bytes", value)])
    };
    assert_eq!(free(|s| if s < 300 { 200.0 } else { 5.0 }), [(300, HostSignKind::Filled)]);
    assert_eq!(free(|_| 5.0), [], "it was full all the time");
    assert_eq!(free(|s| if s < 300 { 200.0 } else { 40.0 }), []);
}

#[test]
fn kills_are_counted_and_a_counter_that_begins_anew_is_none() {
    let kills = |value: fn(i64) -> f64| {
        signs(vec![of(&EXPORTER, &[("__name__", "node_vmstat_oom_kill")], move |s| Some(value(s)))])
    };
    let killed = HostSignKind::OutOfMemory { is_own: false };
    assert_eq!(kills(|s| if s < 300 { 7.0 } else { 8.0 }), [(300, killed)]);
    assert_eq!(kills(|s| if s < 300 { 7.0 } else { 1.0 }), []);
}

#[test]
fn one_lost_ping_is_no_news_and_a_machine_that_pings_itself_says_nothing() {
    let ping = |by: &'static str, fails: fn(i64) -> bool| {
        let target = [("job", "blackbox_icmp"), ("instance", by), ("ping", "10.0.0.1")];
        let success = move |second: i64| Some(f64::from(!fails(second)));
        signs(vec![
            of(&target, &[("__name__", "up")], |_| Some(1.0)),
            of(&target, &[("__name__", "probe_success")], success),
        ])
    };
    let silent = [(300, HostSignKind::HostSilent)];
    assert_eq!(ping("10.0.0.2:9115", |second| second >= 300), silent);
    assert_eq!(ping("10.0.0.2:9115", |second| second == 300), []);
    assert_eq!(ping("10.0.0.1:9115", |second| second >= 300), []);
}
