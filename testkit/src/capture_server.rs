//! A capture's content served on loopback as Prometheus and as PD, moved to the present.
//!
//! Which sample stands at which instant is a pure function, so that what a recorder made of it
//! can be checked sample by sample. Matchers are ignored: every read returns every series.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use operator::capture::CaptureReader;
use operator::model::{Labels, PdOutcome, Sample, TimeRange, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::clock::ServerClock;

/// The scrape interval of the bundled runs, by which their samples are numbered.
const RECORDED_STEP_MS: i64 = 15_000;

/// The captures in a folder, by name.
pub fn captures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "capture"));
    paths.sort();
    ensure!(!paths.is_empty(), "{} holds no capture", folder.display());
    Ok(paths)
}

/// A series by scrape number.
struct Supplied {
    labels: Labels,
    encoded: Vec<u8>,
    /// How far into each step its target is scraped.
    phase_ms: i64,
    bits: Vec<Option<u64>>,
}

/// The samples of a capture over and over, one scrape every step, and PD's last answers.
pub struct LoopedCapture {
    series: Vec<Supplied>,
    scrapes: usize,
    documents: BTreeMap<String, Vec<u8>>,
    /// The instant of the first scrape.
    epoch: Timestamp,
    /// From one scrape to the next; also how late a sample may show.
    pub step_ms: i64,
}

impl LoopedCapture {
    /// About `keep` series of a capture, spread over all of it, from `epoch` on every `step_ms`.
    pub fn load(capture: &Path, keep: usize, epoch: Timestamp, step_ms: i64) -> Result<Self> {
        let reader = CaptureReader::open(capture)?;
        let window = reader.window();
        let scrapes = (window.millis() / RECORDED_STEP_MS + 1) as usize;
        let all = reader.select(&[], TimeRange::ALL)?;
        let every = (all.len() / keep.max(1)).max(1);
        let mut series = Vec::new();
        for held in all.into_iter().step_by(every) {
            let mut bits = vec![None; scrapes];
            for sample in &held.samples {
                let scrape = (sample.at - window.start) / RECORDED_STEP_MS;
                bits[scrape as usize] = Some(sample.value.to_bits());
            }
            let mut encoded = Vec::new();
            held.labels.encode(&mut encoded);
            let instance = held.labels.get("instance").unwrap_or_default();
            let phase_ms = instance.bytes().map(i64::from).sum::<i64>() % step_ms;
            series.push(Supplied { labels: held.labels, encoded, phase_ms, bits });
        }
        let mut documents = BTreeMap::new();
        for answer in reader.pd_answers(TimeRange::ALL)? {
            if let PdOutcome::Answered { status: 200, body } = answer.outcome {
                documents.insert(answer.path, body.to_vec());
            }
        }
        Ok(Self { series, scrapes, documents, epoch, step_ms })
    }

    /// The labels of every series, in the order of their numbers.
    pub fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.series.iter().map(|series| &series.labels)
    }

    /// Every sample of the series with this number in `range`.
    pub fn samples(&self, series: usize, range: TimeRange) -> Vec<Sample> {
        let series = &self.series[series];
        let start = range.start.max(self.epoch) - self.epoch - series.phase_ms;
        let first = (start.max(0) + self.step_ms - 1) / self.step_ms;
        let instants = (first..).map(|n| (n, self.epoch + (n * self.step_ms + series.phase_ms)));
        instants
            .take_while(|(_, at)| *at < range.end)
            .filter_map(|(n, at)| {
                let bits = series.bits[n as usize % self.scrapes]?;
                Some(Sample { at, value: f64::from_bits(bits) })
            })
            .collect()
    }

    /// A remote read's answer: what of `range` has shown by `now`. A target's samples show late,
    /// each target's by a time of its own.
    fn read(&self, range: TimeRange, now: Timestamp) -> Vec<u8> {
        let mut result = Vec::new();
        for (number, series) in self.series.iter().enumerate() {
            let shown = now + (1 - series.phase_ms);
            let samples = self.samples(number, TimeRange::new(range.start, range.end.min(shown)));
            if samples.is_empty() {
                continue;
            }
            put_series(&mut result, &series.encoded, &samples);
        }
        read_response(&result)
    }
}

/// A Prometheus and a PD of one member, served until this is dropped.
pub struct CaptureServer {
    /// Base URL of Prometheus, without a slash at the end.
    pub prometheus: String,
    /// URL of the only PD member.
    pub pd: String,
    tasks: [JoinHandle<()>; 2],
}

impl CaptureServer {
    /// Serves `supply`; `clock` is that of both servers.
    pub async fn start(supply: Arc<LoopedCapture>, clock: ServerClock) -> Result<Self> {
        let prometheus = TcpListener::bind("127.0.0.1:0").await?;
        let pd = TcpListener::bind("127.0.0.1:0").await?;
        let url = |listener: &TcpListener| -> Result<String> {
            Ok(format!("http://{}", listener.local_addr()?))
        };
        let (prometheus_url, pd_url) = (url(&prometheus)?, url(&pd)?);
        let (of_prometheus, of_pd, own) = (supply.clone(), supply, pd_url.clone());
        let tasks = [
            tokio::spawn(accept(prometheus, move |path, body| {
                Some(clock.answer(|now| prometheus_answer(&of_prometheus, path, body, now)))
            })),
            tokio::spawn(accept(pd, move |path, _| {
                Some(clock.answer(|_| pd_answer(&of_pd, &own, path)))
            })),
        ];
        Ok(Self { prometheus: prometheus_url, pd: pd_url, tasks })
    }
}

impl Drop for CaptureServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// An HTTP answer: status, content type and body.
pub type Answer = (u16, &'static str, Vec<u8>);

const JSON: &str = "application/json";

fn prometheus_answer(supply: &LoopedCapture, path: &str, body: &[u8], now: Timestamp) -> Answer {
    let seconds = now.as_millis() as f64 / 1000.0;
    match path {
        "/api/v1/read" => match read_window(body) {
            Some(range) => {
                let message = supply.read(range, now);
                let body = snap::raw::Encoder::new().compress_vec(&message);
                (200, "application/x-protobuf", body.expect("a message is below 4 GiB"))
            }
            None => (400, "text/plain", b"not a remote read".to_vec()),
        },
        "/api/v1/query" => {
            let result =
                format!("{{\"resultType\":\"scalar\",\"result\":[{seconds},\"{seconds}\"]}}");
            (200, JSON, format!("{{\"status\":\"success\",\"data\":{result}}}").into_bytes())
        }
        "/api/v1/status/buildinfo" => {
            (200, JSON, br#"{"status":"success","data":{"version":"2.42.0"}}"#.to_vec())
        }
        _ => (404, "text/plain", b"not served here".to_vec()),
    }
}

fn pd_answer(supply: &LoopedCapture, own: &str, path: &str) -> Answer {
    if path == "/pd/api/v1/members" {
        let member = serde_json::json!({ "name": "pd0", "client_urls": [own] });
        let body = serde_json::json!({
            "header": { "cluster_id": 7_711_772_636_774_947_891_u64 },
            "members": [member], "leader": member,
        });
        return (200, JSON, body.to_string().into_bytes());
    }
    match supply.documents.get(path) {
        Some(body) => (200, JSON, body.clone()),
        None => (404, "text/plain", b"404 page not found\n".to_vec()),
    }
}

/// Answers by path and body, one task for each connection; where there is no answer, the connection
/// breaks.
pub async fn accept(
    listener: TcpListener,
    answer: impl Fn(&str, &[u8]) -> Option<Answer> + Clone + Send + Sync + 'static,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let answer = answer.clone();
        // A client that is killed breaks its connection, which ends the task and nothing else.
        tokio::spawn(async move { serve(stream, answer).await.ok() });
    }
}

/// Answers one request after another until the client closes.
async fn serve(stream: TcpStream, answer: impl Fn(&str, &[u8]) -> Option<Answer>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).context("no request line")?.to_owned();
        let mut length = 0;
        loop {
            line.clear();
            stream.read_line(&mut line).await?;
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let Some((status, content_type, body)) = answer(&path, &body) else { return Ok(()) };
        let mut whole = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        whole.extend_from_slice(&body);
        stream.write_all(&whole).await?;
    }
}

/// Adds a series to the result of a remote read.
pub fn put_series(result: &mut Vec<u8>, labels: &[u8], samples: &[Sample]) {
    let mut series = labels.to_vec();
    for sample in samples {
        let mut message = vec![0x09];
        message.extend(sample.value.to_bits().to_le_bytes());
        message.push(0x10);
        put_varint(&mut message, sample.at.as_millis() as u64);
        put_bytes(&mut series, 0x12, &message);
    }
    put_bytes(result, 0x0a, &series);
}

/// A remote read's answer, before compression.
pub fn read_response(result: &[u8]) -> Vec<u8> {
    let mut response = Vec::new();
    put_bytes(&mut response, 0x0a, result);
    response
}

/// The window of a remote read's first query.
pub fn read_window(body: &[u8]) -> Option<TimeRange> {
    let request = snap::raw::Decoder::new().decompress_vec(body).ok()?;
    let mut rest = request.strip_prefix(&[0x0a])?;
    take_varint(&mut rest)?;
    rest = rest.strip_prefix(&[0x08])?;
    let start = take_varint(&mut rest)? as i64;
    rest = rest.strip_prefix(&[0x10])?;
    let last = take_varint(&mut rest)? as i64;
    let at = Timestamp::from_millis;
    Some(TimeRange::new(at(start), at(last) + 1))
}

pub(crate) fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Appends an unsigned varint of protobuf.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_bytes(out: &mut Vec<u8>, key: u8, body: &[u8]) {
    out.push(key);
    put_varint(out, body.len() as u64);
    out.extend_from_slice(body);
}
