//! Answers that are read whole.

use operator::model::{GapReason, Labels, Sample, Timestamp};
use operator::source::{HttpOptions, PrometheusClient, ReadMode};

use super::messages::{chunk, chunked, field, framed, varint};
use super::{LINES, PROTOBUF, STREAMED, read, serve, typed};

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
async fn a_server_without_a_version_is_known_by_its_windows() {
    for (told, count, version) in [
        ("", "2", Some("3")),
        ("", "3", Some("2")),
        ("", "7", None),
        ("2.42.0", "3", Some("2.42.0")),
        ("2.42.0", "7", Some("2.42.0")),
        ("0.42.4", "2", Some("0.42.4 (PromQL 3)")),
    ] {
        let body = format!(
            r#"{{"status":"success","data":{{"version":"{told}","result":[10,"{count}"]}}}}"#
        );
        let url = serve(typed("application/json", body.as_bytes())).await;
        let client = PrometheusClient::new(&url, &HttpOptions::default()).expect("the URL reads");
        assert_eq!(client.version().await.as_deref(), version, "{told:?} {count}");
    }
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
