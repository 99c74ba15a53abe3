//! What never ends, leads elsewhere or stays silent.

use std::io::Write as _;
use std::time::Duration;

use operator::model::GapReason;
use operator::source::{HttpOptions, PrometheusClient, ReadMode, SourceError};
use tokio::net::TcpListener;

use super::messages::framed;
use super::{ALL, LINES, PROTOBUF, Play, STREAMED, answer, read, reason, serve, typed};

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
