//! What verdicts on the bundled captures say of clients. The numbers are those of the load generator's log of the
//! same runs, which asked for 560 requests a second (400 operations, of which 160 update what they read).

use operator::diagnose::{Clients, Impact, Part, ServedRates};
use operator::model::{Labels, Series};
use operator::session::View;
use testkit::run::{Run, session};

fn clients(name: &str) -> Clients {
    let session = session(name);
    let verdict = session.load(View::WHOLE).unwrap().verdict().unwrap();
    verdict.clients.expect("stores show what they serve")
}

fn of(clients: &Clients, part: Part) -> ServedRates {
    clients.stretches.iter().find(|one| one.part == part).expect("the stretch is known").all
}

fn is_near(value: f64, wanted: f64) -> bool {
    (value / wanted - 1.0).abs() < 0.05
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_crash_holds_clients_up_for_a_moment() {
    let clients = clients("chaos-02");
    assert_eq!((clients.impact, clients.about), (Some(Impact::Seen), Some("store_crash")));
    for part in [Part::Before, Part::During, Part::After] {
        let rate = of(&clients, part).requests_per_second;
        assert!(is_near(rate, 560.0), "{part:?}: {rate}");
    }
    let least = clients.least.expect("a scrape interval is complete").requests_per_second;
    assert!(least < 250.0, "the log has 2 and 306 in the first two steps of ten seconds: {least}");
    assert!(clients.text.contains("as few as 177 during (567 on average)"), "{}", clients.text);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_slow_disk_of_a_store_without_leaders_holds_nobody_up() {
    let clients = clients("chaos-03");
    assert_eq!(clients.impact, Some(Impact::NoneSeen));
    assert!(
        clients
            .text
            .starts_with("no impact seen on average: 560 requests a second before, 561 during, "),
        "{}",
        clients.text
    );
    assert_eq!(clients.most_affected, None);
    let slowest = clients.slowest.expect("writes were slow while its leaders moved");
    assert_eq!(slowest.kind, "raw_put");
    assert!(slowest.p99_ms > 5.0 * slowest.before_p99_ms, "{slowest:?}");
    let told = "; raw_put at its slowest: p99 ";
    assert!(clients.text.contains(told), "{}", clients.text);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn more_load_makes_requests_slow() {
    let clients = clients("chaos-09");
    assert_eq!(clients.impact, Some(Impact::Seen));
    let p99 = |part| of(&clients, part).p99_ms.expect("buckets are recorded");
    assert!(p99(Part::During) > 3.0 * p99(Part::Before));
    assert_eq!(clients.most_affected.as_deref(), Some("raw_get"));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn without_a_fault_there_is_no_impact_to_speak_of() {
    let clients = clients("chaos-01");
    assert_eq!(clients.impact, None);
    assert!(is_near(of(&clients, Part::Throughout).requests_per_second, 560.0));
}

#[test]
fn without_metrics_of_stores_it_cannot_be_told() {
    let mut run = Run::load("chaos-02");
    run.drop_series(|labels| labels.metric().starts_with("tikv_grpc_msg"));
    let clients = run.verdict().clients.expect("a fault is named");
    assert_eq!(clients.impact, Some(Impact::CannotTell));
    assert_eq!(clients.text, "cannot tell: no store's metrics show what clients asked for");
}

#[test]
fn failed_requests_are_an_impact() {
    let mut run = Run::load("chaos-03");
    let instance = run.store(0).1;
    let pairs = [
        ("__name__", "tikv_grpc_msg_fail_total"),
        ("instance", instance.as_str()),
        ("job", "tikv"),
        ("type", "raw_put"),
    ];
    run.add_counter(&pairs, run.range(220, 400), 3.0);
    let clients = run.verdict().clients.expect("a fault is named");
    assert_eq!(clients.impact, Some(Impact::Seen));
    assert_eq!(clients.most_affected.as_deref(), Some("raw_put"));
    assert!(clients.text.contains("failed a second"), "{}", clients.text);
}

/// Adds a TiDB server at which clients run fifty statements a second.
fn add_tidb(run: &mut Run, instance: &str) {
    let of = |name: &'static str| [("__name__", name), ("instance", instance), ("job", "tidb")];
    let up = run.series.iter().find(|one| one.labels.metric() == "up").cloned();
    let mut up = up.expect("targets are recorded");
    up.labels = Labels::from_pairs(&of("up"));
    run.series.push(up);
    let whole = run.range(0, 600);
    let statements = [&of("tidb_server_query_total")[..], &[("type", "Query")]].concat();
    run.add_counter(&statements, whole, 50.0);
}

#[test]
fn statements_of_a_tidb_stand_beside_requests() {
    let mut run = Run::load("chaos-03");
    add_tidb(&mut run, "10.77.0.30:10080");
    run.freeze("tidb_server_query_total", "10.77.0.30:10080", run.range(240, 380), |_| true);
    let clients = run.verdict().clients.expect("a fault is named");
    assert_eq!(clients.impact, Some(Impact::Seen), "{}", clients.text);
    assert!(clients.text.starts_with("50 statements a second before, "), "{}", clients.text);
    assert!(clients.text.contains(" during, "), "{}", clients.text);
    assert!(
        clients.text.contains("; of stores, no impact seen on average: 560 requests"),
        "{}",
        clients.text
    );
}

#[test]
fn statements_of_a_tidb_that_is_not_scraped_any_more_are_unknown_and_not_fewer() {
    let mut run = Run::load("chaos-03");
    add_tidb(&mut run, "10.77.0.30:10080");
    add_tidb(&mut run, "10.77.0.31:10080");
    let gone = run.range(240, 600).start;
    let of_second = |one: &&mut Series| one.labels.get("instance") == Some("10.77.0.31:10080");
    run.series.iter_mut().filter(of_second).for_each(|one| one.samples.retain(|s| s.at < gone));
    let clients = run.verdict().clients.expect("a fault is named");
    assert!(clients.text.contains("100 statements a second before, "), "{}", clients.text);
    assert_eq!(clients.impact, Some(Impact::NoneSeen), "{}", clients.text);
    let unknown = "what TiDB 10.77.0.31:10080 ran while it was not scraped is unknown";
    assert_eq!(clients.not_counted, [unknown]);
}
