//! Answers with a series that cannot be read among others.

use operator::capture::{CaptureReader, CaptureWriter};
use operator::model::{GapReason, Labels, TimeRange, Timestamp};
use operator::record::{Copier, Stop, copy_history};
use operator::source::{HttpOptions, PrometheusClient, Selector};

use super::messages::{chunk, field, framed, varint};
use super::{ALL, LINES, PROTOBUF, STREAMED, serve, typed, window};

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
