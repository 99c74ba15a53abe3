//! Answers of which nothing is data.

use operator::model::GapReason;
use operator::source::{ReadMode, SourceError};

use super::messages::{chunk, chunked, framed};
use super::{ALL, PROTOBUF, Play, STREAMED, answer, read, reason, typed};

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
async fn broken_snappy_is_malformed_and_an_enormous_claim_too_large() {
    let play = typed(PROTOBUF, &[20, 0xff, 0xff, 0xff]);
    assert_eq!(reason(play, ReadMode::RemoteReadSamples).await, GapReason::Malformed);
    let play = typed(PROTOBUF, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    assert_eq!(reason(play, ReadMode::RemoteReadSamples).await, GapReason::TooLarge);
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
