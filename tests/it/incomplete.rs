//! Servers behind which a part is down, with the answers that Thanos 0.42.4 and VictoriaMetrics 1.150.0 were seen to give.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use operator::capture::{CaptureReader, CaptureWriter};
use operator::model::{Gap, GapReason, TimeRange, Timestamp};
use operator::record::{Copier, Ending, Stop, copy_history};
use operator::source::{HttpOptions, PrometheusClient, ReadMode, Selector};
use testkit::capture_server::accept;
use tokio::net::TcpListener;

/// An answer: its status, its type and its body.
type Answer = (u16, &'static str, String);

/// Serves what `answer` says to a path, on loopback. The base URL.
async fn serve(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
    let answer = Arc::new(answer);
    tokio::spawn(accept(listener, move |path, _| {
        let (status, kind, body) = answer(path.split('?').next().unwrap_or_default());
        Some((status, kind, body.into_bytes()))
    }));
    url
}

/// Copies a minute out of the server at `url`. The gaps and the number of samples of the capture.
async fn copied(url: &str, mode: ReadMode) -> (Vec<Gap>, usize) {
    let client = PrometheusClient::new(url, &HttpOptions::default()).expect("the URL is valid");
    let copier = Copier::new(client, mode, vec![Selector::parse("{job=\"a\"}").expect("reads")]);
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let path = scratch.path().join("run.capture");
    let meta = serde_json::json!({"run": "test", "subject": "tikv", "created": 0});
    let meta = serde_json::from_value(meta).expect("a run's metadata");
    let writer = CaptureWriter::create(&path, meta).expect("the capture can be made");
    let window = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(60_000));
    let (_stop, stopped) = tokio::sync::watch::channel(Stop::No);
    let now = || Timestamp::from_millis(60_000);
    let copied = copy_history(&copier, writer, window, &now, stopped, &mut |_| {}).await;
    let (writer, ending) = copied.expect("the window can be copied");
    assert_eq!(ending, Ending::Sealed);
    writer.finish().expect("the capture can be sealed");
    let reader = CaptureReader::open(&path).expect("the capture opens");
    let series = reader.select(&[], TimeRange::ALL).expect("samples read");
    let samples = series.iter().map(|one| one.samples.len()).sum();
    (reader.gaps().expect("gaps read"), samples)
}

/// What `vmselect` answers to an export while one of its storage nodes is down.
const NODE_IS_DOWN: &str = "error when exporting data on the time range (start=0, end=59999): cannot fetch data for \
    \"accountID=0, projectID=0, filters=[{job=\\\"a\\\"}]\": error occured during search: cannot fetch query results from \
    vmstorage nodes: cannot perform search on vmstorage 127.0.0.1:8401: cannot obtain connection from a pool: cannot \
    dial 127.0.0.1:8401: dial tcp4 127.0.0.1:8401: connect: connection refused\n";

#[tokio::test]
async fn a_storage_node_that_is_down_is_waited_for_and_not_taken_for_a_limit() {
    let refused = AtomicUsize::new(0);
    let url = serve(move |path| match path {
        // The names are answered in part; as many exports are refused as a window of a minute is split into.
        "/api/v1/label/__name__/values" => (
            200,
            "application/json",
            r#"{"status":"success","isPartial":true,"data":["m"]}"#.to_owned(),
        ),
        "/api/v1/export" if refused.fetch_add(1, Ordering::SeqCst) < 3 => {
            (503, "text/plain; charset=utf-8", NODE_IS_DOWN.to_owned())
        }
        _ => (
            200,
            "application/stream+json; charset=utf-8",
            "{\"metric\":{\"__name__\":\"m\",\"job\":\"a\"},\"values\":[1.5],\"timestamps\":[15000]}\n"
                .to_owned(),
        ),
    })
    .await;
    let (gaps, samples) = copied(&url, ReadMode::Export).await;
    assert_eq!((gaps, samples), (vec![], 1), "it is copied once the node is back");
}

const JSON: &str = "application/json";

/// What a querier of Thanos answers: to every query one sample, to anything else that it is not there.
fn thanos(warnings: &'static str, stores: &'static str) -> impl Fn(&str) -> Answer {
    move |path| match path {
        "/api/v1/query" => (
            200,
            JSON,
            format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"__name__":"m","job":"a"}},"values":[[15,"1.5"]]}}],"analysis":{{}}}}{warnings}}}"#
            ),
        ),
        "/api/v1/stores" => {
            (200, JSON, format!(r#"{{"status":"success","data":{{"sidecar":[{stores}]}}}}"#))
        }
        _ => (404, "text/plain; charset=utf-8", "404 page not found\n".to_owned()),
    }
}

#[tokio::test]
async fn what_thanos_answers_with_a_warning_is_recorded_beside_a_gap() {
    let warning = r#","warnings":["receive series from Addr: 127.0.0.1:10901 LabelSets: {replica=\"b\"} MinTime: 0 MaxTime: 9223372036854775807: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 127.0.0.1:10901: connect: connection refused\""]"#;
    let (gaps, samples) = copied(&serve(thanos(warning, "")).await, ReadMode::Query).await;
    assert_eq!(samples, 1, "what came is data");
    let [gap] = &gaps[..] else { panic!("one gap: {gaps:?}") };
    assert_eq!((gap.reason, gap.range.millis()), (GapReason::Other, 60_000));
    assert!(gap.detail.contains("connection refused"), "{}", gap.detail);
    let (gaps, _) = copied(&serve(thanos("", "")).await, ReadMode::Query).await;
    assert_eq!(gaps, []);
}

#[tokio::test]
async fn a_store_that_thanos_asks_no_more_is_a_gap_of_its_own_time() {
    const SILENT: &str = r#"{"name":"127.0.0.1:10901","lastCheck":"2026-12-01T18:00:00Z","lastError":"rpc error: code = Unavailable desc = connection refused","labelSets":[{"replica":"b"}],"minTime":-62167219200000,"maxTime":9223372036854775807}"#;
    const OLD: &str = r#"{"name":"127.0.0.1:10905","lastCheck":"2026-12-01T18:00:00Z","lastError":"rpc error: code = Unavailable desc = connection refused","labelSets":[],"minTime":-7200000,"maxTime":-3600000}"#;
    const WELL: &str = r#"{"name":"127.0.0.1:10903","lastCheck":"2026-12-01T18:00:00Z","lastError":null,"labelSets":[{"replica":"a"}],"minTime":-62167219200000,"maxTime":9223372036854775807}"#;
    let (gaps, samples) = copied(&serve(thanos("", SILENT)).await, ReadMode::Query).await;
    assert_eq!(samples, 1);
    let [gap] = &gaps[..] else { panic!("one gap: {gaps:?}") };
    assert_eq!((gap.reason, gap.range.millis()), (GapReason::Other, 60_000));
    assert!(gap.detail.contains("store 127.0.0.1:10901 does not answer"), "{}", gap.detail);
    for others in [OLD, WELL] {
        let (gaps, _) = copied(&serve(thanos("", others)).await, ReadMode::Query).await;
        assert_eq!(gaps, [], "{others}");
    }
}

#[tokio::test]
async fn a_version_that_is_not_prometheus_s_has_the_generation_of_promql_behind_it() {
    let version = async |version: &'static str, count: &'static str| {
        let url = serve(move |path| match path {
            "/api/v1/status/buildinfo" => {
                (200, JSON, format!(r#"{{"status":"success","data":{{"version":"{version}"}}}}"#))
            }
            _ => (
                200,
                JSON,
                format!(
                    r#"{{"status":"success","data":{{"resultType":"scalar","result":[10,"{count}"]}}}}"#
                ),
            ),
        });
        let client = PrometheusClient::new(&url.await, &HttpOptions::default());
        client.expect("the URL is valid").version().await
    };
    assert_eq!(version("0.42.4", "2").await.as_deref(), Some("0.42.4 (PromQL 3)"));
    assert_eq!(version("2.24.0", "2").await.as_deref(), Some("2.24.0 (PromQL 3)"));
    assert_eq!(version("2.42.0", "3").await.as_deref(), Some("2.42.0"));
    assert_eq!(version("", "2").await.as_deref(), Some("3"));
}
