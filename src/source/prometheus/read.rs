//! Reads raw samples of a window, by remote read, by export or by queries, whichever the server allows.
//!
//! The formats are decoded in `frames`, `proto`, `xor`, `export` and `query`.

use serde::Deserialize;

use super::client::PrometheusClient;
use super::frames::Frames;
use super::proto::{self, Accept, Chunk, ChunkKind, Histograms};
use super::query::{self, MatrixData, Unreadable, infer_staleness, put_in_order};
use super::selector::Selector;
use super::xor;
use crate::model::{EncodedLabels, Sample, Series, TimeRange, Timestamp};
use crate::source::SourceError;
use crate::source::http::AnswerStream;
use crate::source::protobuf::BrokenMessage;
use crate::source::redact::public_url;

/// How far before a window scrapes are read, to find series that end at its first scrape: Prometheus's
/// default lookback.
const SCRAPE_LOOKBACK_MS: i64 = 300_000;

/// The longest error text that a server may write in place of a frame, in bytes.
const LONGEST_TEXT: usize = 4096;

/// A way to copy raw samples out of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadMode {
    /// Remote read, answered with a stream of XOR chunks: every sample to the bit, in bounded memory. The
    /// server sends whole chunks of 120 samples or more, however short the window is: for a
    /// window of four scrapes, ten times the bytes of [`RemoteReadSamples`](Self::RemoteReadSamples)
    /// (measured on Prometheus 2.42 with 88,000 series: 16.7 MB against 1.6 MB).
    RemoteReadChunks,
    /// Remote read, answered with one message of samples: every sample to the bit, but for the
    /// sign of zero, because Prometheus's encoder leaves out whatever equals zero.
    RemoteReadSamples,
    /// VictoriaMetrics's export: raw samples with staleness markers. The server itself keeps twelve decimal
    /// digits of a value at least, no sign of zero, and no NaN but the marker.
    Export,
    /// Instant queries over range vectors: no staleness markers, which are inferred.
    Query,
}

impl ReadMode {
    /// The name in captures and on the command line, such as `remote_read_chunks`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RemoteReadChunks => "remote_read_chunks",
            Self::RemoteReadSamples => "remote_read_samples",
            Self::Export => "export",
            Self::Query => "query",
        }
    }

    /// The mode with this [`name`](Self::name); `None` where there is none.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::RemoteReadChunks, Self::RemoteReadSamples, Self::Export, Self::Query]
            .into_iter()
            .find(|mode| mode.name() == text)
    }
}

impl std::fmt::Display for ReadMode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Receives the series of a read.
pub trait SeriesSink: Send {
    /// Takes samples of one series: at least one, strictly ascending, all inside the window.
    ///
    /// A series may arrive in several consecutive calls, later samples in later calls. Where selectors
    /// overlap, it arrives again for each.
    ///
    /// # Errors
    ///
    /// An error ends the read, and is what the read returns.
    fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) -> Result<(), SourceError>;

    /// Called for a series that has native histograms in or near the window. They are left out.
    fn native_histogram(&mut self, labels: EncodedLabels<'_>);

    /// Called for a series that cannot be read, with as much of its name as can be read, and the reason.
    /// Only this series is left out.
    fn unreadable(&mut self, series: &str, why: &str);

    /// Called where the server says that its answer may lack series or samples, with its words: Thanos where a
    /// store does not answer, for one.
    fn incomplete(&mut self, why: &str);
}

/// How much a read returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadStats {
    /// Series with at least one sample in the window, counted once for each selector.
    pub series: u64,
    /// The number of samples in the window.
    pub samples: u64,
    /// Bytes of the answers' bodies, after HTTP's compression and before the protocol's.
    pub bytes: u64,
}

/// A sink that drops what it receives.
struct Dropped;

impl SeriesSink for Dropped {
    fn series(&mut self, _: EncodedLabels<'_>, _: &[Sample]) -> Result<(), SourceError> {
        Ok(())
    }

    fn native_histogram(&mut self, _: EncodedLabels<'_>) {}

    fn unreadable(&mut self, _: &str, _: &str) {}

    fn incomplete(&mut self, _: &str) {}
}

/// A sink that counts the series and samples it passes on.
pub(super) struct Counted<'a> {
    pub(super) sink: &'a mut dyn SeriesSink,
    pub(super) stats: ReadStats,
    /// The labels of the last call, to distinguish a series that continues from the next one.
    last: Vec<u8>,
}

impl Counted<'_> {
    pub(super) fn series(
        &mut self,
        labels: EncodedLabels<'_>,
        samples: &[Sample],
    ) -> Result<(), SourceError> {
        if samples.is_empty() {
            return Ok(());
        }
        self.stats.samples += samples.len() as u64;
        if self.last != labels.0 {
            self.stats.series += 1;
            self.last.clear();
            self.last.extend_from_slice(labels.0);
        }
        self.sink.series(labels, samples)
    }
}

/// Why decoding a message ended early.
enum Stop {
    Broken(String),
    Sink(SourceError),
}

impl From<BrokenMessage> for Stop {
    fn from(error: BrokenMessage) -> Self {
        Self::Broken(error.to_string())
    }
}

impl PrometheusClient {
    /// Copies the raw samples of `range` of all series that meet any of `selectors`.
    ///
    /// Memory: [`ReadMode::RemoteReadChunks`] holds one frame, at most 64 MiB and about 1 MiB in
    /// practice; the other modes hold a whole answer, so `max_body_bytes` bounds them.
    ///
    /// # Errors
    ///
    /// [`SourceError`]; where [`SourceError::is_limit`] holds, a shorter window or fewer series
    /// may succeed. The sink may have received a part of the data by then.
    pub async fn read(
        &self,
        mode: ReadMode,
        selectors: &[Selector],
        range: TimeRange,
        sink: &mut dyn SeriesSink,
    ) -> Result<ReadStats, SourceError> {
        let mut counted = Counted { sink, stats: ReadStats::default(), last: Vec::new() };
        if range.is_empty() || selectors.is_empty() {
            return Ok(counted.stats);
        }
        match mode {
            ReadMode::RemoteReadChunks => {
                self.remote_read(Accept::Chunks, selectors, range, &mut counted).await?;
            }
            ReadMode::RemoteReadSamples => {
                self.remote_read(Accept::Samples, selectors, range, &mut counted).await?;
            }
            ReadMode::Export => self.read_by_export(selectors, range, &mut counted).await?,
            ReadMode::Query => {
                for selector in selectors {
                    self.read_by_query(selector, range, &mut counted).await?;
                }
                let silent = self.silent_stores(range).await;
                silent.iter().for_each(|why| counted.sink.incomplete(why));
            }
        }
        Ok(counted.stats)
    }

    /// Reads what `selectors` find at one instant, and drops it: an answer that is never too large.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_one_instant(
        &self,
        mode: ReadMode,
        selectors: &[Selector],
        at: Timestamp,
    ) -> Result<(), SourceError> {
        let range = TimeRange::new(at, at.saturating_add_millis(1));
        self.read(mode, selectors, range, &mut Dropped).await.map(drop)
    }

    /// Makes one remote read. Returns the kind of answer that the server sent.
    async fn remote_read(
        &self,
        accept: Accept,
        selectors: &[Selector],
        range: TimeRange,
        counted: &mut Counted<'_>,
    ) -> Result<Accept, SourceError> {
        let url = self.url("/api/v1/read");
        let request = proto::read_request(selectors, range, accept);
        let body = snap::raw::Encoder::new().compress_vec(&request).map_err(|error| {
            SourceError::Options(format!("the request cannot be compressed: {error}"))
        })?;
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "snappy"),
            ("accept-encoding", "snappy"),
            ("x-prometheus-remote-read-version", "0.1.0"),
        ];
        let answer = self.open(&url, &headers, body).await?.successful().await?;
        let content_type = answer.header("content-type").unwrap_or_default();
        if content_type.starts_with("application/x-streamed-protobuf") {
            self.read_frames(answer, range, counted).await?;
            Ok(Accept::Chunks)
        } else if content_type.starts_with("application/x-protobuf") {
            self.read_message(answer, range, counted).await?;
            Ok(Accept::Samples)
        } else {
            let why = format!("its type is {content_type:?}, not a remote read's");
            Err(self.malformed(&url, why))
        }
    }

    async fn read_frames(
        &self,
        mut answer: AnswerStream,
        range: TimeRange,
        counted: &mut Counted<'_>,
    ) -> Result<(), SourceError> {
        let url = self.url("/api/v1/read");
        let mut frames = Frames::default();
        let mut samples = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            frames.push(&piece);
            loop {
                let frame = match frames.next_frame() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) => {
                        read_error_text(&mut answer, &mut frames).await;
                        return Err(self.broken_stream(&url, &error, &frames));
                    }
                };
                proto::each_chunked_series(frame, |series| {
                    take_chunked_series(series, range, &mut samples, counted)
                })
                .map_err(|stop| self.stopped(&url, stop))?;
            }
        }
        counted.stats.bytes += answer.taken();
        frames.finish().map_err(|error| self.broken_stream(&url, &error, &frames))
    }

    async fn read_message(
        &self,
        answer: AnswerStream,
        range: TimeRange,
        counted: &mut Counted<'_>,
    ) -> Result<(), SourceError> {
        let url = self.url("/api/v1/read");
        let body = answer.read_whole().await?.body;
        counted.stats.bytes += body.len() as u64;
        let message = self.decompress(&url, &body)?;
        drop(body);
        let mut samples = Vec::new();
        proto::each_time_series(&message, |series| {
            let (labels, histograms) = proto::time_series(series, &mut samples)?;
            if histograms == Histograms::Present {
                counted.sink.native_histogram(labels.labels());
            }
            samples.retain(|sample| range.contains(sample.at));
            put_in_order(&mut samples);
            counted.series(labels.labels(), &samples).map_err(Stop::Sink)
        })
        .map_err(|stop| self.stopped(&url, stop))
    }

    /// Decompresses snappy's block format. The declared length is checked against the limit first.
    fn decompress(&self, url: &str, body: &[u8]) -> Result<Vec<u8>, SourceError> {
        let broken = |error: snap::Error| self.malformed(url, format!("broken snappy: {error}"));
        let length = snap::raw::decompress_len(body).map_err(broken)?;
        if length as u64 > self.max_body_bytes() {
            return Err(self.too_large(url));
        }
        snap::raw::Decoder::new().decompress_vec(body).map_err(broken)
    }

    async fn read_by_query(
        &self,
        selector: &Selector,
        range: TimeRange,
        counted: &mut Counted<'_>,
    ) -> Result<(), SourceError> {
        let lookback = TimeRange::new(range.start + -SCRAPE_LOOKBACK_MS, range.end);
        let up = self.query_matrix(&selector.scrapes(), lookback, counted).await?;
        let scrapes = query::scrapes(&up);
        // The window is extended to the last scrape before it, so that the end of a series at the
        // window's first scrape is found.
        let before =
            |instants: &Vec<_>| instants.iter().copied().rfind(|instant| *instant < range.start);
        let start = scrapes.values().filter_map(before).min().unwrap_or(range.start);
        let wider = TimeRange::new(start, range.end);
        let mut found = self.query_matrix(selector, wider, counted).await?;
        // A server that merges replicas decides anew in each window which one it follows first, so that the scrapes
        // are those of the same window.
        let up = self.query_matrix(&selector.scrapes(), wider, counted).await?;
        infer_staleness(&mut found, &query::scrapes(&up));
        let mut encoded = Vec::new();
        for mut series in found {
            series.samples.retain(|sample| range.contains(sample.at));
            encoded.clear();
            series.labels.encode(&mut encoded);
            counted.series(EncodedLabels(&encoded), &series.samples)?;
        }
        Ok(())
    }

    async fn query_matrix(
        &self,
        selector: &Selector,
        range: TimeRange,
        counted: &mut Counted<'_>,
    ) -> Result<Vec<Series>, SourceError> {
        // A range selector excludes its left bound since Prometheus 3 and includes it before. The
        // range is one millisecond too long for the older versions, and the surplus is dropped.
        let query = format!("{selector}[{}ms]", range.millis());
        let time = seconds(range.end.as_millis() - 1);
        let url = self.url("/api/v1/query");
        let body = self.post_form(&url, &[("query", &query), ("time", &time)]).await?;
        counted.stats.bytes += body.len() as u64;
        let (data, remarks) = self.api_answer::<MatrixData<'_>>(&url, &body)?;
        remarks.iter().for_each(|why| counted.sink.incomplete(why));
        if data.result_type != "matrix" {
            let why = format!("the result is of type {:?}, not a matrix", data.result_type);
            return Err(self.malformed(&url, why));
        }
        let mut found = Vec::with_capacity(data.result.len());
        for series in data.result {
            let (series, has_histograms) = match series.read(range) {
                Ok(read) => read,
                Err(Unreadable { series, why }) => {
                    counted.sink.unreadable(&series, &why);
                    continue;
                }
            };
            if has_histograms {
                let mut encoded = Vec::new();
                series.labels.encode(&mut encoded);
                counted.sink.native_histogram(EncodedLabels(&encoded));
            }
            found.push(series);
        }
        Ok(found)
    }

    /// Determines the best mode in which the server lets raw samples be read.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where the server cannot be reached, refuses access, or does not answer
    /// queries either.
    pub async fn probe(&self) -> Result<ReadMode, SourceError> {
        let now = self.server_time().await?;
        let up = [Selector::parse("up")?];
        let range = TimeRange::new(now + -60_000, now);
        let stats = ReadStats::default();
        let mut counted = Counted { sink: &mut Dropped, stats, last: Vec::new() };
        for accept in [Accept::Chunks, Accept::Samples] {
            match self.remote_read(accept, &up, range, &mut counted).await {
                Ok(Accept::Chunks) => return Ok(ReadMode::RemoteReadChunks),
                Ok(Accept::Samples) => return Ok(ReadMode::RemoteReadSamples),
                Err(
                    error @ (SourceError::Connect { .. }
                    | SourceError::Blocked { .. }
                    | SourceError::Timeout { .. }
                    | SourceError::Options(_)),
                ) => return Err(error),
                // Gateways often pass queries and refuse remote read.
                Err(error) => tracing::debug!(%error, "remote read is unavailable"),
            }
        }
        match self.read_by_export(&up, range, &mut counted).await {
            Ok(()) => return Ok(ReadMode::Export),
            Err(error) => tracing::debug!(%error, "export is unavailable"),
        }
        self.read_by_query(&up[0], range, &mut counted).await.map(|()| ReadMode::Query)
    }

    fn stopped(&self, url: &str, stop: Stop) -> SourceError {
        match stop {
            Stop::Broken(why) => self.malformed(url, why),
            Stop::Sink(error) => error,
        }
    }

    /// Prometheus writes an error that it meets midway as a line of text after the last frame
    /// (`storage/remote/read_handler.go`): the status has been sent by then.
    fn broken_stream(
        &self,
        url: &str,
        error: &dyn std::error::Error,
        frames: &Frames,
    ) -> SourceError {
        let start = self.redactor().body_start(frames.remainder());
        match error_text(frames.remainder()) {
            Some(message) => SourceError::Reported {
                url: public_url(url),
                kind: "an error midway".to_owned(),
                message: self.redactor().body_start(message.as_bytes()),
            },
            None => self.malformed(url, format!("{error}, at {start:?}")),
        }
    }
}

fn take_chunked_series(
    series: &[u8],
    range: TimeRange,
    samples: &mut Vec<Sample>,
    counted: &mut Counted<'_>,
) -> Result<(), Stop> {
    let mut chunks = Vec::new();
    let labels = proto::chunked_series(series, &mut chunks)?;
    samples.clear();
    let mut has_histograms = false;
    let mut broken = None;
    for chunk in &chunks {
        match chunk.kind {
            ChunkKind::Histogram => has_histograms = true,
            ChunkKind::Xor if outside(chunk, range) => {}
            ChunkKind::Xor => {
                let keep = |sample: Sample| {
                    if range.contains(sample.at) {
                        samples.push(sample);
                    }
                };
                broken = xor::decode(chunk.data, keep).err().map(|error| error.to_string());
            }
            ChunkKind::Unknown(kind) => {
                broken = Some(format!("a chunk has the unknown encoding {kind}"));
            }
        }
        if broken.is_some() {
            break;
        }
    }
    if let Some(why) = broken {
        counted.sink.unreadable(&labels.labels().to_string(), &why);
        return Ok(());
    }
    if has_histograms {
        counted.sink.native_histogram(labels.labels());
    }
    put_in_order(samples);
    counted.series(labels.labels(), samples).map_err(Stop::Sink)
}

/// Reads the rest of an error text that a server writes in place of a frame.
async fn read_error_text(answer: &mut AnswerStream, frames: &mut Frames) {
    while frames.remainder().len() < LONGEST_TEXT {
        match answer.chunk().await {
            Ok(Some(piece)) => frames.push(&piece),
            Ok(None) | Err(_) => return,
        }
    }
}

/// The error text that a server writes in place of a frame: one line, as Go's `http.Error` ends it.
fn error_text(remainder: &[u8]) -> Option<&str> {
    let text = remainder.get(..LONGEST_TEXT).unwrap_or(remainder);
    let line = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
    let is_text = !line.is_empty() && !line.contains(char::is_control);
    is_text.then_some(line)
}

/// Whether a chunk has no sample in the range: servers send whole chunks, and some send neighbours too.
fn outside(chunk: &Chunk<'_>, range: TimeRange) -> bool {
    chunk.max_ms < range.start.as_millis() || chunk.min_ms >= range.end.as_millis()
}

/// Milliseconds as decimal seconds with three decimals, computed in integers.
pub(super) fn seconds(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    format!("{sign}{}.{:03}", millis / 1000, millis % 1000)
}

/// The data of a query whose result is a scalar. VictoriaMetrics answers with a vector of one.
#[derive(Debug, Deserialize)]
pub(super) struct ScalarData {
    pub(super) result: ScalarResult,
}

/// The forms of a scalar.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ScalarResult {
    /// An instant in seconds, and the value as text.
    Scalar(f64, String),
    /// A vector.
    Vector(Vec<VectorSample>),
}

/// The data of an instant query whose result is a vector.
#[derive(Debug, Deserialize)]
pub(super) struct VectorData {
    pub(super) result: Vec<VectorSample>,
}

/// A sample of a vector: an instant in seconds, and the value as text.
#[derive(Debug, Deserialize)]
pub(super) struct VectorSample {
    pub(super) value: (f64, String),
}
