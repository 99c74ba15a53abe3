use std::sync::Arc;

use crate::model::*;
use crate::timeline::*;

pub(in crate::timeline) fn recording() -> Recording {
    let meta = RunMeta {
        run: RunName::new("run").unwrap(),
        subject: "tikv".to_owned(),
        created: Timestamp::from_millis(0),
        cluster_id: None,
        endpoints: Endpoints::default(),
        versions: Versions::default(),
        selectors: vec![],
        copied_by: vec![],
        clock_offsets: vec![],
        told: Default::default(),
        begins: None,
        export: None,
        lost: None,
    };
    let window = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(600_000));
    Recording {
        meta,
        window,
        pd: vec![],
        events: vec![],
        gaps: vec![],
        series: vec![],
        unreadable: vec![],
        loss: None,
    }
}

pub(in crate::timeline) fn answer(at: i64, member: &str, route: &str, body: &str) -> PdAnswer {
    let body = Arc::from(body.as_bytes());
    outcome(at, member, route, PdOutcome::Answered { status: 200, body })
}

fn outcome(at: i64, member: &str, route: &str, outcome: PdOutcome) -> PdAnswer {
    PdAnswer {
        sent: Timestamp::from_millis(at),
        member: member.to_owned(),
        url: format!("http://{member}:2379"),
        path: format!("/pd/api/v1/{route}"),
        elapsed_us: 0,
        outcome,
    }
}

fn failed(at: i64, member: &str, route: &str) -> PdAnswer {
    let detail = "connection refused".to_owned();
    outcome(at, member, route, PdOutcome::Failed { reason: GapReason::Connect, detail })
}

fn error(at: i64, member: &str, route: &str) -> PdAnswer {
    let body = Arc::from(*b"[PD:apiutil:ErrRedirect]redirect failed\n");
    outcome(at, member, route, PdOutcome::Answered { status: 500, body })
}

const STORES: &str = "stores?state=0&state=1&state=2";

/// One store as PD 8.5 prints it; `fields` and `status` replace what follows the address.
fn stores(fields: &str, status: &str) -> String {
    format!(
        r#"{{"count":1,"stores":[{{"store":{{"id":4,"address":"10.77.0.20:20160","version":"8.5.8",
        "last_heartbeat":1795538171756874635,{fields}}},"status":{{"capacity":"2.813GiB",{status}}}}}]}}"#
    )
}

fn told(pd: Vec<PdAnswer>) -> Vec<String> {
    lines(&Recording { pd, ..recording() })
}

fn lines(recording: &Recording) -> Vec<String> {
    let pd = crate::session::PdSource::Held(&recording.pd);
    crate::report::verify(recording, pd).unwrap().unwrap();
    timeline(recording)
        .iter()
        .map(|e| format!("{} {} {}: {}", e.at.as_millis(), e.source, e.subject, e.text))
        .collect()
}

#[test]
fn a_leader_change_tells_who_it_was_and_how_long_there_was_none() {
    let names = |leader: &str| {
        format!(
            r#"{{"header":{{"cluster_id":7711775287312631573}},"members":[],
            "leader":{{"name":"{leader}","member_id":13817025920978715358}}}}"#
        )
    };
    let told = told(vec![
        answer(0, "pd0", "members", &names("pd0")),
        answer(0, "pd1", "members", &names("pd0")),
        failed(5_000, "pd0", "members"),
        failed(5_001, "pd0", "ping"),
        error(5_010, "pd1", "members"),
        error(5_011, "pd1", "stores"),
        error(5_012, "pd1", "health"),
        answer(20_010, "pd1", "members", &names("pd1")),
        answer(30_000, "pd0", "ping", ""),
        answer(30_001, "pd0", "members", &names("pd1")),
    ]);
    assert_eq!(
        told,
        [
            "5000 recorder pd0: does not answer (connect: connection refused)",
            "5010 pd/pd1 pd leader: no member names a leader (was pd0)",
            "5010 pd/pd1 pd1: answers /members and 2 more paths with HTTP 500: [PD:apiutil:ErrRedirect]redirect failed",
            "20010 pd/pd1 pd leader: pd0 -> pd1, 15.0s without one",
            "30000 pd/pd0 pd0: answers again after 25.0s (2 requests lost)",
        ]
    );
}

#[test]
fn an_empty_list_of_finished_operators_is_no_error() {
    let body = Arc::from(*b"\"[PD:operator:ErrOperatorNotFound]operator not found\"\n");
    let nothing = PdOutcome::Answered { status: 500, body };
    let told = told(vec![outcome(0, "pd0", "operators/records?from=0", nothing)]);
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn one_lost_request_is_not_an_unreachable_member() {
    let told = told(vec![failed(0, "pd0", "ping"), answer(1, "pd0", "ping", "")]);
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn members_that_come_and_go_are_told() {
    let list = |names: &[(&str, u64)]| {
        let one = |(name, id): &(&str, u64)| {
            format!(r#"{{"name":"{name}","member_id":{id},"client_urls":["http://{name}:2379"]}}"#)
        };
        let members: Vec<String> = names.iter().map(one).collect();
        format!(r#"{{"members":[{}],"leader":null}}"#, members.join(","))
    };
    // The two ids are one and the same number as `f64`.
    let (a, b) = (12_749_148_232_194_076_742, 12_749_148_232_194_076_743);
    let told = told(vec![
        answer(0, "pd0", "members", &list(&[("pd0", 1), ("pd1", a)])),
        answer(5, "pd0", "members", &list(&[("pd0", 1), ("pd1", b)])),
    ]);
    assert_eq!(told, ["5 pd/pd0 pd1: joined, at http://pd1:2379", "5 pd/pd0 pd1: left"]);
}

#[test]
fn observers_of_one_unhealthy_member_share_an_entry() {
    let row = |healthy: bool| format!(r#"[{{"name":"pd0","member_id":1,"health":{healthy}}}]"#);
    let told = told(vec![
        answer(0, "pd1", "health", &row(true)),
        answer(0, "pd2", "health", &row(true)),
        answer(5_000, "pd1", "health", &row(false)),
        answer(5_010, "pd2", "health", &row(false)),
        answer(60_000, "pd1", "health", &row(true)),
        answer(60_010, "pd2", "health", &row(true)),
    ]);
    assert_eq!(
        told,
        [
            "5000 pd/pd1 pd0: unhealthy, says pd1, pd2",
            "60000 pd/pd1 pd0: healthy again after 55.0s",
        ]
    );
}

#[test]
fn a_store_that_dies_and_returns_is_told_once_each() {
    let up = r#""node_state":1,"state_name":"Up""#;
    let gone = r#""node_state":1,"state_name":"Disconnected""#;
    let told = told(vec![
        answer(
            0,
            "pd0",
            STORES,
            &stores(&format!(r#""start_timestamp":1,{up}"#), r#""leader_count":7"#),
        ),
        answer(
            10,
            "pd0",
            STORES,
            &stores(&format!(r#""start_timestamp":1,{gone}"#), r#""leader_count":0"#),
        ),
        answer(
            20,
            "pd0",
            STORES,
            &stores(&format!(r#""start_timestamp":1,{gone}"#), r#""leader_count":0"#),
        ),
        answer(
            30,
            "pd0",
            STORES,
            &stores(&format!(r#""start_timestamp":9,{up}"#), r#""leader_count":2"#),
        ),
    ]);
    assert_eq!(
        told,
        [
            "10 pd/pd0 store 4 (10.77.0.20:20160): Up -> Disconnected, last heartbeat 16:36:11",
            "10 pd/pd0 store 4 (10.77.0.20:20160): leaders 7 -> 0",
            "30 pd/pd0 store 4 (10.77.0.20:20160): Disconnected -> Up after 20ms",
            "30 pd/pd0 store 4 (10.77.0.20:20160): restarted, started 00:00:09",
            "30 pd/pd0 store 4 (10.77.0.20:20160): leaders 0 -> 2",
        ]
    );
}

#[test]
fn an_omitted_node_state_is_preparing_not_unchanged() {
    let told = told(vec![
        answer(0, "pd0", STORES, &stores(r#""state_name":"Up""#, r#""leader_count":0"#)),
        answer(
            5,
            "pd0",
            STORES,
            &stores(r#""node_state":2,"state_name":"Offline","state":1"#, r#""leader_count":0"#),
        ),
        answer(9, "pd0", STORES, r#"{"count":0,"stores":null}"#),
    ]);
    assert_eq!(told[1], "5 pd/pd0 store 4 (10.77.0.20:20160): Preparing -> Removing");
    assert_eq!(told[2], "9 pd/pd0 store 4 (10.77.0.20:20160): no longer listed, was Offline");
}

#[test]
fn small_changes_of_a_count_are_not_told_and_a_drift_is_one() {
    let at = |at: i64, count: u64| {
        let status = format!(r#""region_count":{count}"#);
        answer(at, "pd0", STORES, &stores(r#""state_name":"Up""#, &status))
    };
    let told = told(vec![
        at(0, 100),
        at(1_000, 119),
        at(2_000, 120),
        at(30_000, 150),
        at(95_000, 200),
        at(96_000, 100),
    ]);
    assert_eq!(
        told,
        [
            "2000 pd/pd0 store 4 (10.77.0.20:20160): regions 100 -> 150 within 28.0s",
            "95000 pd/pd0 store 4 (10.77.0.20:20160): regions 150 -> 200",
            "96000 pd/pd0 store 4 (10.77.0.20:20160): regions 200 -> 100",
        ]
    );
}

#[test]
fn a_store_is_slow_from_80_until_1() {
    let at = |at: i64, score: u64| {
        let status = format!(r#""slow_score":{score}"#);
        answer(at, "pd0", STORES, &stores(r#""state_name":"Up""#, &status))
    };
    let told = told(vec![at(0, 1), at(10, 79), at(20, 80), at(30, 40), at(40, 85), at(50, 1)]);
    assert_eq!(
        told,
        [
            "20 pd/pd0 store 4 (10.77.0.20:20160): slow: score 80 of 100 (80 counts as slow)",
            "50 pd/pd0 store 4 (10.77.0.20:20160): no longer slow after 30ms",
        ]
    );
}

#[test]
fn pd_operators_of_one_kind_are_one_burst() {
    let list = |regions: &[u64]| {
        let one = |id: &u64| format!(r#"{{"desc":"evict-leader","brief":"b","region_id":{id}}}"#);
        format!("[{}]", regions.iter().map(one).collect::<Vec<_>>().join(","))
    };
    let told = told(vec![
        answer(0, "pd0", "operators?object=true", "[]"),
        answer(5_000, "pd0", "operators?object=true", &list(&[67, 11])),
        answer(10_000, "pd0", "operators?object=true", &list(&[11, 71])),
        answer(90_000, "pd0", "operators?object=true", &list(&[67])),
    ]);
    assert_eq!(
        told,
        [
            "5000 pd/pd0 scheduling: evict-leader: 3 regions within 5.0s",
            "90000 pd/pd0 scheduling: evict-leader: 1 region",
        ]
    );
}

#[test]
fn schedulers_and_pauses_are_told() {
    let told = told(vec![
        answer(0, "pd0", "schedulers", r#"["balance-region-scheduler"]"#),
        answer(0, "pd0", "schedulers?status=paused", "[]"),
        answer(5, "pd0", "schedulers", r#"["balance-region-scheduler","grant-leader-scheduler"]"#),
        answer(6, "pd0", "schedulers?status=paused", r#"[{"name":"balance-region-scheduler"}]"#),
        answer(7, "pd0", "schedulers?status=paused", "null"),
    ]);
    assert_eq!(
        told,
        [
            "5 pd/pd0 grant-leader-scheduler: added",
            "6 pd/pd0 balance-region-scheduler: paused",
            "7 pd/pd0 balance-region-scheduler: resumed",
        ]
    );
}

#[test]
fn configuration_of_a_follower_is_no_change() {
    let config = |name: &str, limit: u64| {
        format!(r#"{{"name":"{name}","schedule":{{"leader-schedule-limit":{limit}}}}}"#)
    };
    let leads = |name: &str| format!(r#"{{"leader":{{"name":"{name}","member_id":1}}}}"#);
    let told = told(vec![
        answer(0, "pd0", "members", &leads("pd0")),
        answer(1, "pd1", "config", &config("pd1", 99)),
        answer(2, "pd0", "config", &config("pd0", 4)),
        answer(3, "pd1", "members", &leads("pd1")),
        answer(4, "pd1", "config", &config("pd1", 4)),
        answer(5, "pd1", "config", &config("pd1", 0)),
    ]);
    assert_eq!(
        told,
        ["3 pd/pd1 pd leader: pd0 -> pd1", "5 pd/pd1 schedule.leader-schedule-limit: 4 -> 0",]
    );
}

#[test]
fn a_region_check_is_told_at_its_ends() {
    let at = |at, count| answer(at, "pd0", "regions/check/down-peer", count);
    let told = told(vec![
        at(0, r#"{"count":0,"regions":[]}"#),
        at(60_000, r#"{"count":10,"regions":[]}"#),
        at(120_000, r#"{"count":16,"regions":[]}"#),
        at(180_000, r#"{"count":0,"regions":null}"#),
    ]);
    assert_eq!(
        told,
        [
            "60000 pd/pd0 down-peer: 10 regions",
            "180000 pd/pd0 down-peer: none any more after 2m00s, peak 16",
        ]
    );
}

#[test]
fn an_unreadable_body_is_told_once_and_harms_nothing() {
    let told = told(vec![
        answer(0, "pd0", "status", "<html>"),
        answer(5, "pd0", "status", "<html>"),
        answer(9, "pd0", "status", r#"{"start_timestamp":1795537602}"#),
        answer(12, "pd0", "status", r#"{"start_timestamp":1795538061}"#),
    ]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("0 pd/pd0 pd0: unreadable answer: "), "{told:?}");
    assert_eq!(told[1], "12 pd/pd0 pd0: restarted, started 16:34:21");
}

fn series(metric: &str, samples: &[(i64, f64)]) -> Series {
    let sample = |&(at, value): &(i64, f64)| Sample { at: Timestamp::from_millis(at), value };
    Series {
        labels: Labels::from_pairs(&[
            ("__name__", metric),
            ("instance", "10.77.0.20:20180"),
            ("job", "tikv"),
        ]),
        samples: samples.iter().map(sample).collect(),
    }
}

#[test]
fn a_target_goes_down_comes_up_and_restarts() {
    let mut recording = recording();
    recording.window.end = Timestamp::from_millis(60_000);
    recording.series = vec![
        series("up", &[(0, 1.0), (15_000, 0.0), (30_000, 0.0), (45_000, 1.0)]),
        series("process_start_time_seconds", &[(0, 10.25), (15_000, 10.26), (45_000, 40.0)]),
    ];
    assert_eq!(
        lines(&recording),
        [
            "15000 prometheus tikv/10.77.0.20:20180: up 1 -> 0, last scraped 15.0s before",
            "45000 prometheus tikv/10.77.0.20:20180: up 0 -> 1 after 30.0s",
            "45000 prometheus tikv/10.77.0.20:20180: process restarted, started 00:00:40",
        ]
    );
}

#[test]
fn missing_samples_are_absence_only_where_no_gap_explains_them() {
    let mut recording = recording();
    recording.window.end = Timestamp::from_millis(130_000);
    recording.series = vec![series(
        "up",
        &[(0, 1.0), (15_000, 1.0), (30_000, 1.0), (105_000, 1.0), (120_000, 1.0)],
    )];
    let absent = lines(&recording);
    assert_eq!(
        absent,
        [
            "45000 prometheus tikv/10.77.0.20:20180: no samples from here on",
            "105000 prometheus tikv/10.77.0.20:20180: there again after 1m15s",
        ]
    );
    recording.gaps = vec![Gap {
        range: TimeRange::new(Timestamp::from_millis(31_000), Timestamp::from_millis(100_000)),
        source: Source::Prometheus,
        reason: GapReason::Timeout,
        detail: "query".to_owned(),
        healed_at: None,
    }];
    assert_eq!(
        lines(&recording),
        [
            "31000 recorder prometheus: nothing observed from here (timeout: query)",
            "100000 recorder prometheus: observed again after 1m09s",
        ]
    );
}

#[test]
fn a_gap_of_single_series_is_not_told_as_if_nothing_was_observed() {
    let at = Timestamp::from_millis;
    let mut recording = recording();
    recording.window.end = at(130_000);
    recording.gaps = vec![Gap {
        range: TimeRange::new(at(31_000), at(100_000)),
        source: Source::Prometheus,
        reason: GapReason::Other,
        detail: "series that cannot be read: up".to_owned(),
        healed_at: None,
    }];
    let began = "31000 recorder prometheus: some of it is not recorded from here \
                 (other: series that cannot be read: up)";
    assert_eq!(lines(&recording)[0], began);
}

#[test]
fn an_outage_of_a_member_is_over_when_it_answers_and_not_when_its_reason_changes() {
    let at = Timestamp::from_millis;
    let mut recording = recording();
    recording.window.end = at(130_000);
    let gap = |start, end, reason, detail: &str| Gap {
        range: TimeRange::new(at(start), at(end)),
        source: Source::PdMember("pd0".to_owned()),
        reason,
        detail: detail.to_owned(),
        healed_at: None,
    };
    recording.gaps = vec![
        gap(31_000, 40_000, GapReason::Connect, "refused"),
        gap(40_000, 100_000, GapReason::Timeout, "slow"),
    ];
    let began = [
        "31000 recorder pd/pd0: nothing observed from here (connect: refused)",
        "40000 recorder pd/pd0: nothing observed from here (timeout: slow)",
    ];
    assert_eq!(lines(&recording), began);
    recording.pd = vec![answer(100_000, "pd0", "ping", "")];
    let over = "100000 recorder pd/pd0: observed again after 1m00s";
    assert!(lines(&recording).iter().any(|line| line == over), "{:?}", lines(&recording));
    assert!(!lines(&recording).iter().any(|line| line.starts_with("40000 recorder pd/pd0: obs")));
}

#[test]
fn a_staleness_marker_is_absence_and_a_late_target_appears() {
    let mut recording = recording();
    recording.window.end = Timestamp::from_millis(90_000);
    recording.series = vec![series(
        "up",
        &[(0, 1.0), (15_000, 1.0), (30_000, stale_marker()), (60_000, 0.0), (75_000, 0.0)],
    )];
    assert_eq!(
        lines(&recording),
        [
            "30000 prometheus tikv/10.77.0.20:20180: is no longer scraped",
            "60000 prometheus tikv/10.77.0.20:20180: appeared, down",
        ]
    );
}

#[test]
fn marks_are_told_and_the_report_names_itself() {
    let mut recording = recording();
    let text = "look\u{1b}[31m here".to_owned();
    let kind = EventKind(EventKind::NOTE.to_owned());
    let at = Timestamp::from_millis(7);
    recording.events = vec![Event { at, kind, text, fields: Default::default() }];
    let report = crate::report::report(&recording, &[], "abc", Evaluation::Sequential);
    let evidence = crate::diagnose::Evidence::new(
        recording.window,
        recording.window.end,
        crate::diagnose::Parts::default(),
    );
    let verdict = crate::diagnose::diagnose(&evidence);
    let diagnosed = crate::report::Diagnosed::new(report.clone(), verdict, Default::default());
    let text = crate::report::replay_text(
        &diagnosed,
        crate::report::Called::whole("run"),
        80,
        crate::report::Color::Plain,
    );
    assert!(text.contains("note: look\\u{1b}[31m here"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let json = crate::report::replay_json(&report);
    let digest = report.report_digest.clone().unwrap();
    let without = json.trim_end().replace(&format!(r#""report_digest":"{digest}","#), "");
    use sha2::{Digest, Sha256};
    let again: String =
        Sha256::digest(without.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(again, digest);
}
