//! A real Prometheus that is away for a while, beside a recorder that scrapes meanwhile.

use std::sync::Arc;
use std::time::Duration;

use operator::capture::{CaptureReader, verify};
use operator::model::{EventKind, SCRAPED_BY, Source, TimeRange, Timestamp};
use operator::promql::{Engine, EngineOptions, Expression, Value};
use operator::session::{CaptureStorage, unrecorded};
use testkit::clock::wall_clock;
use testkit::gate::{Door, Gate};
use testkit::prometheus::server::Prometheus;
use testkit::scraped_cluster::{Pages, ScrapedCluster, page};

use crate::record_loop::program::{Program, operator};

/// The targets: PD and two stores.
const TARGETS: f64 = 3.0;
/// How old a sample may be, in seconds: missed scrapes that are no hole yet, and what a scrape takes.
const OLDEST: f64 = 4.5;

fn pages() -> Pages {
    Arc::new(|target, request| {
        let own = match target {
            0 => "pd_cluster_status{type=\"store_up_count\"} 2\netcd_server_has_leader 1\n"
                .to_owned(),
            _ => "tikv_raftstore_region_count{type=\"region\"} 7\n".to_owned(),
        };
        Some(page(format!("{own}process_start_time_seconds 1000\nrequests_total {request}\n")))
    })
}

/// A Prometheus that gives its targets other names than PD has.
fn config(cluster: &ScrapedCluster) -> String {
    let job = |name: &str, targets: &[&str]| {
        format!(
            "- job_name: {name}\n  static_configs: [{{targets: {targets:?}, labels: {{fleet: blue}}}}]\n"
        )
    };
    let stores: Vec<&str> = cluster.stores.iter().map(String::as_str).collect();
    let pd = [cluster.pd.trim_start_matches("http://")];
    let jobs = job("db-tikv", &stores) + &job("db-pd", &pd);
    format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}")
}

/// The values of an expression at an instant.
fn values(storage: &CaptureStorage<'_>, text: &str, at: Timestamp) -> Vec<f64> {
    let engine = Engine::new(EngineOptions::new(storage.dialect()));
    let expression = Expression::parse(text).expect("it parses");
    match engine.instant(&expression, storage, at).expect("it evaluates").value {
        Value::Vector(samples) => samples.iter().map(|one| one.sample.value).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

async fn pause(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus: ./test.sh runs it"]
async fn what_is_scraped_while_prometheus_is_away_counts_where_it_has_nothing_itself() {
    let cluster = ScrapedCluster::start(2, pages()).await.expect("ports are free");
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let prometheus = Prometheus::scraping(&config(&cluster), scratch.path()).await;
    let prometheus = prometheus.expect("Debian's package prometheus is installed: test.sh does it");
    let gate = Gate::before(&prometheus.url).await.expect("a port is free");
    pause(6).await;
    let directory = scratch.path().display().to_string();
    let fixed = ["--format", "json", "--dir", &directory, "record", "--run", "run"];
    let sources = ["--pd", &cluster.pd, "--prometheus", &gate.url, "--scrape=fallback"];
    let rest = ["--interval", "1s", "--no-default-match", "--match", "{job=~\".+\"}"];
    let mut recorder = Program::start(operator().args([&fixed[..], &sources, &rest].concat()));
    recorder.event("samples", |event| event["samples"].as_u64() > Some(20)).await;
    pause(4).await;
    // Only the way to Prometheus is broken: it has scraped meanwhile.
    gate.set(Door::Shut);
    let first_from = wall_clock();
    pause(8).await;
    gate.set(Door::Open);
    recorder.event("the end of the outage", |event| event["failing"] == 0).await;
    pause(5).await;
    // It ends for good.
    gate.set(Door::Shut);
    let second_from = wall_clock();
    prometheus.stop().await.expect("it can be killed");
    pause(10).await;
    recorder.signal("TERM");
    let ended = recorder.wait().await;
    let until = wall_clock();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);

    let path = scratch.path().join("run.capture");
    assert_eq!(verify(&path).expect("it opens").damage, []);
    let reader = CaptureReader::open(&path).expect("it opens");
    let storage = CaptureStorage::new(&reader);
    let mut at = first_from;
    while at < until + -1_000 {
        assert_eq!(values(&storage, "count(up)", at), [TARGETS], "{at}");
        assert_eq!(values(&storage, "count(up{fleet=\"blue\"} == 1)", at), [TARGETS], "{at}");
        assert_eq!(values(&storage, "sum(tikv_raftstore_region_count)", at), [14.0], "{at}");
        let age = values(&storage, "max(time() - timestamp(up))", at);
        assert!(age[0] < OLDEST, "{at}: the last scrape is {} s old", age[0]);
        at = at + 500;
    }
    // Where Prometheus has its own samples, nothing else counts.
    let own = |range: TimeRange| {
        let own =
            |one: &operator::model::Series| one.labels.get(SCRAPED_BY.0) == Some(SCRAPED_BY.1);
        let held = reader.select(&[], range).expect("samples read");
        held.into_iter().filter(own).collect::<Vec<_>>()
    };
    assert!(!own(TimeRange::new(first_from, second_from)).is_empty(), "both are in the file");
    let samples = format!("count_over_time(up[{}ms])", second_from - first_from + -6_000);
    for count in values(&storage, &samples, second_from + -5_000) {
        assert!(count <= ((second_from - first_from) / 1_000) as f64, "{count} of one a second");
    }
    let raw = values(&storage, "count(up{scraped_by=\"recorder\"})", until + -2_000);
    assert_eq!(raw, [TARGETS], "they can be asked for");

    let events = reader.events().expect("events read");
    let told = events.iter().filter(|event| event.kind.0 == EventKind::RECORDER);
    let told: Vec<&str> = told.map(|event| event.text.as_str()).collect();
    let begins = "Prometheus is away: the recorder scrapes 3 targets in its place";
    let ceases = "Prometheus answers again: the recorder ceases to scrape";
    assert_eq!(told[1..4], [begins, ceases, begins], "{told:?}");
    let gaps = reader.gaps().expect("gaps read");
    assert!(gaps.iter().all(|gap| gap.source == Source::Prometheus), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap.healed_at.is_some()), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap.healed_at.is_none()), "{gaps:?}");
    let up = Expression::parse("up").expect("it parses");
    let infos = unrecorded(&reader, &up, TimeRange::new(until + -3_000, until + -2_000));
    let infos = infos.expect("the capture reads").join("\n");
    assert!(infos.contains("the recorder itself scraped from"), "{infos}");
}
