//! Servers that answer remote reads and queries in every wrong way, and one in the right way.

use std::io::Write as _;
use std::time::Duration;

use operator::capture::{CaptureReader, CaptureWriter};
use operator::model::{EncodedLabels, GapReason, Labels, Sample, TimeRange, Timestamp};
use operator::record::{Copier, Stop, copy_history};
use operator::source::{
    HttpOptions, PrometheusClient, ReadMode, ReadStats, Selector, SeriesSink, SourceError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
const PROTOBUF: &str = "application/x-protobuf";
const LIMIT: u64 = 1 << 20;

#[derive(Default)]
struct Collected {
    series: Vec<(Labels, Vec<Sample>)>,
    histograms: Vec<Labels>,
    unreadable: Vec<String>,
}

impl SeriesSink for Collected {
    fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) -> Result<(), SourceError> {
        self.series.push((labels.decode().expect("the labels read"), samples.to_vec()));
        Ok(())
    }

    fn native_histogram(&mut self, labels: EncodedLabels<'_>) {
        self.histograms.push(labels.decode().expect("the labels read"));
    }

    fn unreadable(&mut self, series: &str, why: &str) {
        self.unreadable.push(format!("{series}: {why}"));
    }
}

/// What a server does with every connection, once the request has arrived.
#[derive(Clone)]
enum Play {
    /// Send these bytes and close.
    Send(Vec<u8>),
    /// Send the first and then the second, over and over.
    Endless(Vec<u8>, Vec<u8>),
    /// Say nothing.
    Silence,
}

async fn serve(play: Play) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("the listener is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(act(stream, play.clone()));
        }
    });
    format!("http://{address}")
}

async fn act(mut stream: TcpStream, play: Play) {
    read_request(&mut stream).await;
    // A client that hangs up early is what some of these tests are about.
    match play {
        Play::Send(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Play::Endless(first, again) => {
            let mut sent = stream.write_all(&first).await;
            while sent.is_ok() {
                sent = stream.write_all(&again).await;
            }
        }
        Play::Silence => tokio::time::sleep(Duration::from_secs(60)).await,
    }
}

/// Reads headers and as much body as they declare, lest closing reset the connection.
async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .and_then(|length| length.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if request.len() >= end + 4 + length {
                return;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&buffer[..count]),
        }
    }
}

fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Play {
    let mut bytes = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    bytes.push_str("connection: close\r\n\r\n");
    Play::Send([bytes.as_bytes(), body].concat())
}

fn typed(content_type: &str, body: &[u8]) -> Play {
    answer("200 OK", &[("content-type", content_type)], body)
}

fn window() -> TimeRange {
    TimeRange::new(Timestamp::from_millis(1_000), Timestamp::from_millis(61_000))
}

async fn read(play: Play, mode: ReadMode) -> (Result<ReadStats, SourceError>, Collected) {
    let options = HttpOptions {
        timeout: Duration::from_secs(5),
        max_body_bytes: LIMIT,
        ..HttpOptions::default()
    };
    let client = PrometheusClient::new(&serve(play).await, &options).expect("the URL is valid");
    let selectors = [Selector::parse("{job=\"tikv\"}").expect("reads")];
    let mut sink = Collected::default();
    let result = client.read(mode, &selectors, window(), &mut sink).await;
    (result, sink)
}

async fn reason(play: Play, mode: ReadMode) -> GapReason {
    let (result, sink) = read(play, mode).await;
    assert!(sink.series.is_empty(), "nothing of a broken answer is data");
    result.expect_err("the answer is refused").gap_reason()
}

const ALL: [ReadMode; 4] =
    [ReadMode::RemoteReadChunks, ReadMode::RemoteReadSamples, ReadMode::Export, ReadMode::Query];

/// The type of a VictoriaMetrics's export.
const LINES: &str = "application/stream+json; charset=utf-8";

#[tokio::test]
async fn html_is_malformed_in_every_mode() {
    for mode in ALL {
        let play = typed("text/html", b"<html><body>Log in</body></html>");
        assert_eq!(reason(play, mode).await, GapReason::Malformed, "{mode}");
    }
}

#[tokio::test]
async fn half_a_json_is_malformed() {
    let play =
        typed("application/json", br#"{"status":"success","data":{"resultType":"matrix","res"#);
    assert_eq!(reason(play, ReadMode::Query).await, GapReason::Malformed);
}

#[tokio::test]
async fn an_export_is_read_line_by_line() {
    let lines = concat!(
        r#"{"metric":{"__name__":"up","job":"tikv"},"values":[1,0],"timestamps":[2000,17000]}"#,
        "\n",
        r#"{"metric":{"__name__":"st","job":"tikv"},"values":[2.5,null,+Inf],"timestamps":[2000,17000,99000]}"#,
        "\n",
    );
    let (result, sink) = read(typed(LINES, lines.as_bytes()), ReadMode::Export).await;
    let stats = result.expect("it reads");
    assert_eq!((stats.series, stats.samples, sink.series.len()), (2, 4, 2));
    let half = &lines[..lines.len() - 9];
    let (result, _) = read(typed(LINES, half.as_bytes()), ReadMode::Export).await;
    let refused = result.expect_err("half a line is none").gap_reason();
    assert_eq!(refused, GapReason::Malformed);
}

#[tokio::test]
async fn a_scalar_may_come_as_a_vector_of_one() {
    let time = async |result: &str| {
        let body =
            format!(r#"{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}"#);
        let url = serve(typed("application/json", body.as_bytes())).await;
        let client = PrometheusClient::new(&url, &HttpOptions::default()).expect("it is valid");
        client.server_time().await
    };
    let one = r#"[{"metric":{},"value":[1795937394,"1795937364.336"]}]"#;
    assert_eq!(time(one).await, Ok(Timestamp::from_millis(1_795_937_394_000)));
    assert!(time("[]").await.is_err());
}

#[tokio::test]
async fn an_error_under_a_success_status_is_an_error() {
    let body = br#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}"#;
    let (result, _) = read(typed("application/json", body), ReadMode::Query).await;
    let error = result.expect_err("the answer is refused");
    assert_eq!(error.gap_reason(), GapReason::Malformed);
    assert!(error.is_limit());
}

#[tokio::test]
async fn an_answer_cut_short_is_not_data() {
    let body = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{";
    let found = reason(Play::Send(body.to_vec()), ReadMode::Query).await;
    assert!(matches!(found, GapReason::Connect | GapReason::Malformed), "{found}");
}

#[tokio::test]
async fn statuses_are_told_apart() {
    let body = b"exceeded sample limit (5)";
    for (status, expected, limit) in [
        ("400 Bad Request", GapReason::Status, true),
        ("422 Unprocessable Entity", GapReason::Status, true),
        ("401 Unauthorized", GapReason::Unauthorized, false),
        ("403 Forbidden", GapReason::Unauthorized, false),
    ] {
        for mode in ALL {
            let (result, _) = read(answer(status, &[], body), mode).await;
            let error = result.expect_err("the answer is refused");
            assert_eq!((error.gap_reason(), error.is_limit()), (expected, limit), "{status}");
        }
    }
    let (result, _) = read(answer("500 Oops", &[], b"boom"), ReadMode::Query).await;
    assert!(!result.expect_err("the answer is refused").is_limit());
}

#[tokio::test]
async fn an_endless_answer_ends_at_the_limit() {
    for (mode, content_type) in [
        (ReadMode::RemoteReadChunks, STREAMED),
        (ReadMode::RemoteReadSamples, PROTOBUF),
        (ReadMode::Export, LINES),
        (ReadMode::Query, "application/json"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n");
        // A frame of one unknown field, valid and empty of series, so that only the limit ends it.
        let frame = framed(&[0x78, 0x00]);
        let again =
            if mode == ReadMode::RemoteReadChunks { frame.repeat(500) } else { vec![b' '; 4096] };
        let play = Play::Endless(head.into_bytes(), again);
        assert_eq!(reason(play, mode).await, GapReason::TooLarge, "{mode}");
    }
}

#[tokio::test]
async fn an_endless_error_page_is_still_a_status() {
    let head = b"HTTP/1.1 503 Service Unavailable\r\n\r\n".to_vec();
    let play = Play::Endless(head, b"sorry ".repeat(1000));
    let (result, _) = read(play, ReadMode::RemoteReadChunks).await;
    let error = result.expect_err("the answer is refused");
    assert!(matches!(error, SourceError::Status { status: 503, .. }) && error.is_limit());
}

#[tokio::test]
#[ignore = "slow: ./test.sh runs it"]
async fn a_gzip_bomb_ends_at_the_limit() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        encoder.write_all(&vec![b' '; 1 << 20]).expect("memory takes it");
    }
    let body = encoder.finish().expect("memory takes it");
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let play = answer("200 OK", &headers, &body);
    assert_eq!(reason(play, ReadMode::Query).await, GapReason::TooLarge);
}

#[tokio::test]
async fn broken_snappy_is_malformed_and_an_enormous_claim_too_large() {
    let play = typed(PROTOBUF, &[20, 0xff, 0xff, 0xff]);
    assert_eq!(reason(play, ReadMode::RemoteReadSamples).await, GapReason::Malformed);
    let play = typed(PROTOBUF, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    assert_eq!(reason(play, ReadMode::RemoteReadSamples).await, GapReason::TooLarge);
}

#[tokio::test]
#[ignore = "slow: ./test.sh runs it"]
async fn a_gzip_bomb_in_a_remote_read_ends_at_the_limit() {
    let frame = framed(&[0x78, 0x00]);
    for (mode, content_type) in
        [(ReadMode::RemoteReadChunks, STREAMED), (ReadMode::RemoteReadSamples, PROTOBUF)]
    {
        let plain = frame.repeat(64 * (1 << 20) / frame.len());
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain).expect("memory takes it");
        let body = encoder.finish().expect("memory takes it");
        let headers = [("content-type", content_type), ("content-encoding", "gzip")];
        let play = answer("200 OK", &headers, &body);
        assert_eq!(reason(play, mode).await, GapReason::TooLarge, "{mode}");
    }
}

#[tokio::test]
async fn what_exceeds_the_promised_length_is_no_data() {
    let json = br#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let stream = framed(&chunked(&[("__name__", "up")], &chunk()));
    for (mode, content_type, body) in [
        (ReadMode::RemoteReadChunks, STREAMED, &stream[..]),
        (ReadMode::Query, "application/json", &json[..]),
    ] {
        let promised = body.len() / 10;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {promised}\r\n\r\n"
        );
        let play = Play::Send([head.as_bytes(), body].concat());
        assert_eq!(reason(play, mode).await, GapReason::Malformed, "{mode}");
    }
    let mut snappy = snap::raw::Encoder::new().compress_vec(&[0; 1000]).expect("it compresses");
    assert_eq!(snappy[..2], [0xe8, 0x07], "the claim is a varint of 1000");
    snappy.splice(..2, [100]);
    let play = typed(PROTOBUF, &snappy);
    assert_eq!(reason(play, ReadMode::RemoteReadSamples).await, GapReason::Malformed);
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_told_from_a_broken_one() {
    let data = framed(&chunked(&[("__name__", "up")], &chunk()));
    let long = format!("cannot populate the block {}: file already closed\n", "x".repeat(120));
    for (text, limit) in [
        ("exceeded sample limit (5)\n", true),
        ("query processing: context deadline exceeded\n", true),
        ("block is gone\n", false),
        (&*long, false),
    ] {
        let play = typed(STREAMED, &[&data, text.as_bytes()].concat());
        let (result, _) = read(play, ReadMode::RemoteReadChunks).await;
        let error = result.expect_err("the answer is not whole");
        assert!(matches!(error, SourceError::Reported { .. }), "{error:?}");
        assert_eq!((error.gap_reason(), error.is_limit()), (GapReason::Malformed, limit), "{text}");
        assert!(error.to_string().contains(text.trim_end()), "{error}");
    }
}

/// A series of remote read's samples: one, at the first second.
fn with_a_sample(labels: &[u8]) -> Vec<u8> {
    let mut sample = vec![0x09];
    sample.extend(1.0_f64.to_le_bytes());
    sample.push(0x10);
    varint(&mut sample, 1_000);
    field(0x0a, &[labels, &field(0x12, &sample)].concat())
}

#[tokio::test]
async fn one_bad_series_costs_itself_alone_by_every_way_of_reading() {
    let mut good = Vec::new();
    Labels::from_pairs(&[("__name__", "up")]).encode(&mut good);
    let mut twice = Vec::new();
    for value in ["a", "b"] {
        Labels::from_pairs(&[("store", value)]).encode(&mut twice);
    }
    let nameless = field(0x0a, &[field(0x0a, b""), field(0x12, b"x")].concat());
    let no_text = field(0x0a, &[field(0x0a, b"job"), field(0x12, b"\xff")].concat());
    let bad = [twice, nameless, no_text];
    let in_chunks = |labels: &[u8]| field(0x0a, &[labels, &field(0x12, &chunk())].concat());
    let mut chunks: Vec<u8> = bad.iter().flat_map(|labels| in_chunks(labels)).collect();
    let mut newer = chunk();
    let kind = newer.windows(2).position(|pair| pair == [0x18, 1]).expect("it has a kind");
    newer[kind + 1] = 9;
    chunks.extend(field(0x0a, &[&good[..], &field(0x12, &newer)].concat()));
    chunks.extend(in_chunks(&good));
    let samples: Vec<u8> = bad.iter().chain([&good]).flat_map(|one| with_a_sample(one)).collect();
    let samples = field(0x0a, &samples);
    let samples = snap::raw::Encoder::new().compress_vec(&samples).expect("it compresses");
    let json = br#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{"store":"a","store":"b"},"values":[[1.0,"1"]]},
        {"metric":{"":"x"},"values":[[1.0,"1"]]},
        {"metric":{"job":"b"},"values":[[1.0,"one"]]},
        {"metric":{"__name__":"up"},"values":[[1.0,"1"]]}]}}"#;
    let lines = br#"{"metric":{"store":"a","store":"b"},"values":[1],"timestamps":[1000]}
{"metric":{"":"x"},"values":[1],"timestamps":[1000]}
{"metric":{"job":"b"},"values":["one"],"timestamps":[1000]}
{"metric":{"__name__":"up"},"values":[1],"timestamps":[1000]}"#;
    for (mode, play) in ALL.into_iter().zip([
        typed(STREAMED, &framed(&chunks)),
        typed(PROTOBUF, &samples),
        typed(LINES, lines),
        typed("application/json", json),
    ]) {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let meta = serde_json::json!({"run": "test", "subject": "tikv", "created": 0});
        let meta = serde_json::from_value(meta).expect("a run's metadata");
        let path = directory.path().join("run.capture");
        let writer = CaptureWriter::create(&path, meta).expect("the capture can be made");
        let options = HttpOptions::default();
        let client = PrometheusClient::new(&serve(play).await, &options).expect("a valid URL");
        let selectors = vec![Selector::parse("{job=\"tikv\"}").expect("reads")];
        let copier = Copier::new(client, mode, selectors);
        let (_stop, stopped) = tokio::sync::watch::channel(Stop::No);
        let now = || Timestamp::from_millis(0);
        let copied = copy_history(&copier, writer, window(), &now, stopped, &mut |_| {}).await;
        let (writer, _) = copied.unwrap_or_else(|error| panic!("{mode}: {error}"));
        writer.finish().expect("the capture can be sealed");

        let reader = CaptureReader::open(&path).expect("the capture opens");
        let held = reader.select(&[], TimeRange::ALL).expect("samples read");
        let held: Vec<String> = held.iter().map(|series| series.labels.to_string()).collect();
        assert_eq!(held, ["up"], "{mode}");
        let gaps = reader.gaps().expect("gaps read");
        let [gap] = &gaps[..] else { panic!("{mode}: {gaps:?}") };
        assert_eq!((gap.reason, gap.range), (GapReason::Other, window()), "{mode}");
        for part in ["store=\"a\",store=\"b\"", "\"store\" stands twice", "empty name", "job="] {
            assert!(gap.detail.contains(part), "{mode}, {part}: {}", gap.detail);
        }
    }
}

#[tokio::test]
async fn a_frame_with_a_wrong_checksum_is_malformed() {
    let mut frame = framed(&chunked(&[("__name__", "up")], &chunk()));
    let last = frame.len() - 1;
    frame[last] ^= 1;
    let play = typed(STREAMED, &frame);
    assert_eq!(reason(play, ReadMode::RemoteReadChunks).await, GapReason::Malformed);
}

#[tokio::test]
async fn a_stream_that_ends_within_a_frame_is_malformed() {
    let frame = framed(&chunked(&[("__name__", "up")], &chunk()));
    let play = typed(STREAMED, &frame[..frame.len() - 1]);
    assert_eq!(reason(play, ReadMode::RemoteReadChunks).await, GapReason::Malformed);
}

#[tokio::test]
async fn a_server_without_a_version_is_known_by_its_windows() {
    for (told, count, version) in [
        ("", "2", Some("3")),
        ("", "3", Some("2")),
        ("", "7", None),
        ("2.42.0", "2", Some("2.42.0")),
    ] {
        let body = format!(
            r#"{{"status":"success","data":{{"version":"{told}","result":[10,"{count}"]}}}}"#
        );
        let url = serve(typed("application/json", body.as_bytes())).await;
        let client = PrometheusClient::new(&url, &HttpOptions::default()).expect("the URL reads");
        assert_eq!(client.version().await.as_deref(), version, "{told:?} {count}");
    }
}

#[tokio::test]
async fn a_circle_of_redirects_ends() {
    for mode in ALL {
        let play = answer("307 Temporary Redirect", &[("location", "/again")], b"");
        let (result, _) = read(play, mode).await;
        assert!(matches!(result, Err(SourceError::Redirect { .. })), "{mode}: {result:?}");
    }
}

#[tokio::test]
async fn redirects_to_another_host_are_not_followed() {
    let elsewhere = serve(typed("application/json", b"{}")).await;
    let play = answer("307 Temporary Redirect", &[("location", &elsewhere)], b"");
    let (result, _) = read(play, ReadMode::Query).await;
    assert!(matches!(result, Err(SourceError::Redirect { .. })), "{result:?}");
}

#[tokio::test]
async fn silence_and_refusal_are_told_apart() {
    let options = HttpOptions { timeout: Duration::from_millis(200), ..HttpOptions::default() };
    let client =
        PrometheusClient::new(&serve(Play::Silence).await, &options).expect("the URL is valid");
    let error = client.probe().await.expect_err("nobody answers");
    assert_eq!(error.gap_reason(), GapReason::Timeout);
    assert!(error.is_limit());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://ann:hunter2@{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let client = PrometheusClient::new(&url, &options).expect("the URL is valid");
    let error = client.probe().await.expect_err("nobody listens");
    assert_eq!(error.gap_reason(), GapReason::Connect);
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn field(key: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![key];
    varint(&mut out, payload.len());
    out.extend_from_slice(payload);
    out
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, payload.len());
    out.extend(crc32c::crc32c(payload).to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// An XOR chunk with samples of value 1 at 1000, 31000 and 61000 ms.
fn chunk() -> Vec<u8> {
    // Count; zigzag varint of 1000; 1.0; varint of 30000; a zero bit for the same value; then a
    // zero bit each for the same distance and the same value.
    let mut data = vec![0, 3, 0xd0, 0x0f];
    data.extend(1.0_f64.to_be_bytes());
    data.extend([0xb0, 0xea, 0x01, 0]);
    let mut message = vec![0x08];
    varint(&mut message, 1_000);
    message.push(0x10);
    varint(&mut message, 61_000);
    message.extend([0x18, 1]);
    message.extend(field(0x22, &data));
    message
}

fn chunked(labels: &[(&str, &str)], chunk: &[u8]) -> Vec<u8> {
    let mut series = Vec::new();
    Labels::from_pairs(labels).encode(&mut series);
    series.extend(field(0x12, chunk));
    field(0x0a, &series)
}

fn ones(instants: &[i64]) -> Vec<Sample> {
    let sample = |&at| Sample { at: Timestamp::from_millis(at), value: 1.0 };
    instants.iter().map(sample).collect()
}

#[tokio::test]
async fn chunks_are_cut_to_the_window_and_histograms_reported() {
    let histogram = [0x08, 0, 0x10, 0, 0x18, 2];
    let mut stream = framed(&chunked(&[("__name__", "up")], &chunk()));
    stream.extend(framed(&chunked(&[("__name__", "native")], &histogram)));
    let (result, sink) = read(typed(STREAMED, &stream), ReadMode::RemoteReadChunks).await;
    let stats = result.expect("the answer is good");
    assert_eq!((stats.series, stats.samples, stats.bytes), (1, 2, stream.len() as u64));
    // The window ends before 61000.
    let up = Labels::from_pairs(&[("__name__", "up")]);
    assert_eq!(sink.series, [(up, ones(&[1_000, 31_000]))]);
    assert_eq!(sink.histograms, [Labels::from_pairs(&[("__name__", "native")])]);
}

#[tokio::test]
async fn a_series_over_two_frames_counts_once() {
    let frame = framed(&chunked(&[("__name__", "up")], &chunk()));
    let (result, sink) = read(typed(STREAMED, &frame.repeat(2)), ReadMode::RemoteReadChunks).await;
    assert_eq!(result.expect("the answer is good").series, 1);
    assert_eq!(sink.series.len(), 2);
}

#[tokio::test]
async fn samples_are_cut_to_the_window_and_ordered() {
    let mut series = Vec::new();
    Labels::from_pairs(&[("__name__", "up")]).encode(&mut series);
    for at in [61_000, 31_000, 1_000, 999] {
        let mut sample = vec![0x09];
        sample.extend(1.0_f64.to_le_bytes());
        sample.push(0x10);
        varint(&mut sample, at);
        series.extend(field(0x12, &sample));
    }
    let message = field(0x0a, &field(0x0a, &series));
    let body = snap::raw::Encoder::new().compress_vec(&message).expect("it compresses");
    let (result, sink) = read(typed(PROTOBUF, &body), ReadMode::RemoteReadSamples).await;
    assert_eq!(result.expect("the answer is good").samples, 2);
    assert_eq!(sink.series[0].1, ones(&[1_000, 31_000]));
}
