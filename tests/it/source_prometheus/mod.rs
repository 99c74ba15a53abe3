//! Servers that answer remote reads and queries in every wrong way, and one in the right way.

mod bad_series;
mod bounds;
mod messages;
mod refused;
mod whole;

use std::time::Duration;

use operator::model::{EncodedLabels, GapReason, Labels, Sample, TimeRange, Timestamp};
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
    incomplete: Vec<String>,
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

    fn incomplete(&mut self, why: &str) {
        self.incomplete.push(why.to_owned());
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
