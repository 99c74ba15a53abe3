//! What Prometheus itself returns over remote read, by code that shares nothing with the recorder: sample
//! answers over a bare socket, decoded by a second, plain protobuf decoder.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use operator::capture::CaptureReader;
use operator::model::{TimeRange, is_stale};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The bits of each sample by instant in milliseconds, by the labels of its series.
pub type Everything = BTreeMap<Vec<(String, String)>, BTreeMap<i64, u64>>;

/// How a capture compares with what the server returns.
#[derive(Default)]
pub struct Comparison {
    /// Series that both hold.
    pub series: usize,
    /// Samples that the capture holds of these series.
    pub samples: usize,
    /// Of `samples`: staleness markers.
    pub stale: usize,
    /// Samples that only the server returns.
    pub missing: usize,
    /// Samples that only the capture holds.
    pub extra: usize,
    /// Samples at the same instant with other bits.
    pub differ: usize,
    /// Samples that the capture holds as `-0` and that this module read as `0`: a sample answer
    /// leaves out a value that equals zero, so only chunks carry the sign.
    pub negative_zero: usize,
    /// Of `missing`: staleness markers.
    pub stale_missing: usize,
    /// Of `extra`: staleness markers.
    pub stale_extra: usize,
    /// Of `differ`: NaNs on both sides, with other payloads.
    pub nan_payload: usize,
    /// Of `missing`: NaNs that are no staleness markers.
    pub nan_missing: usize,
    /// Of `differ`: numbers that agree to [`DIGITS_KEPT`], or to [`KEPT_BESIDE_LARGEST`].
    pub rounded: usize,
    /// The largest relative difference of two numbers, but for those that agree to [`KEPT_BESIDE_LARGEST`] alone.
    pub furthest: f64,
    /// Where that is: the series, the instant in milliseconds, what the server returns and what the capture holds.
    pub furthest_at: Option<String>,
}

/// The relative difference up to which numbers agree that VictoriaMetrics keeps as decimals: its `lib/decimal` cuts at
/// 1e-12 (`conversionPrecision`), and reading the decimal rounds once more.
pub const DIGITS_KEPT: f64 = 2e-12;

/// The difference, as a part of the largest number of the series, up to which numbers agree: VictoriaMetrics keeps the
/// numbers of a block as integers of 64 bits with one exponent, so that small ones beside large ones lose digits, or all.
pub const KEPT_BESIDE_LARGEST: f64 = 1e-17;

/// Compares every sample of a capture with what the server returned.
pub fn compare(truth: &Everything, capture: &CaptureReader) -> Result<Comparison> {
    let mut result = Comparison::default();
    let (mut seen, mut stale_met, mut nan_met) = (0, 0, 0);
    for series in capture.select(&[], TimeRange::ALL)? {
        let key: Vec<(String, String)> = series.labels.clone().into();
        let Some(expected) = truth.get(&key) else {
            result.extra += series.samples.len();
            continue;
        };
        result.series += 1;
        for sample in &series.samples {
            result.samples += 1;
            let stale = usize::from(is_stale(sample.value));
            result.stale += stale;
            let known = expected.get(&sample.at.as_millis());
            stale_met += usize::from(known.is_some_and(|&bits| is_stale(f64::from_bits(bits))));
            nan_met += usize::from(known.is_some_and(|&bits| is_plain_nan(bits)));
            match known {
                None => {
                    result.extra += 1;
                    result.stale_extra += stale;
                }
                Some(0) if sample.value.to_bits() == (-0.0_f64).to_bits() => {
                    result.negative_zero += 1;
                    seen += 1;
                }
                Some(bits) if *bits != sample.value.to_bits() => {
                    let theirs = f64::from_bits(*bits);
                    let apart = (theirs - sample.value).abs();
                    result.differ += 1;
                    result.nan_payload += usize::from(theirs.is_nan() && sample.value.is_nan());
                    let numbers = expected.values().map(|bits| f64::from_bits(*bits).abs());
                    let largest = numbers.filter(|number| number.is_finite()).fold(0.0, f64::max);
                    let is_small = apart <= largest * KEPT_BESIDE_LARGEST;
                    result.rounded += usize::from(is_small || apart <= theirs.abs() * DIGITS_KEPT);
                    if !is_small && apart / theirs.abs() > result.furthest {
                        result.furthest = apart / theirs.abs();
                        let (at, ours) = (sample.at.as_millis(), sample.value);
                        let text = format!("{} at {at}: {theirs} became {ours}", series.labels);
                        result.furthest_at = Some(text);
                    }
                }
                Some(_) => seen += 1,
            }
        }
    }
    let bits = || truth.values().flat_map(BTreeMap::values);
    result.missing = bits().count() - seen - result.differ;
    let stale = bits().filter(|&&bits| is_stale(f64::from_bits(bits))).count();
    result.stale_missing = stale - stale_met;
    result.nan_missing = bits().filter(|&&bits| is_plain_nan(bits)).count() - nan_met;
    Ok(result)
}

/// Whether bits are a NaN that is no staleness marker.
fn is_plain_nan(bits: u64) -> bool {
    let value = f64::from_bits(bits);
    value.is_nan() && !is_stale(value)
}

/// Everything that the server holds in `window`.
pub async fn read_everything(url: &str, window: TimeRange) -> Result<Everything> {
    let mut everything = Everything::new();
    let mut start = window.start.as_millis();
    while start < window.end.as_millis() {
        let end = (start + 60_000).min(window.end.as_millis());
        let body = remote_read(url, start, end - 1).await?;
        for (field, result) in fields(&body)? {
            if field == 1 {
                for (_, series) in fields(result)? {
                    add_series(&mut everything, series)?;
                }
            }
        }
        start = end;
    }
    Ok(everything)
}

fn add_series(everything: &mut Everything, bytes: &[u8]) -> Result<()> {
    let mut labels = Vec::new();
    let mut samples = Vec::new();
    for (field, body) in fields(bytes)? {
        match field {
            1 => {
                let mut pair = (String::new(), String::new());
                for (part, text) in fields(body)? {
                    let text = String::from_utf8(text.to_vec())?;
                    *(if part == 1 { &mut pair.0 } else { &mut pair.1 }) = text;
                }
                labels.push(pair);
            }
            2 => samples.push(body),
            _ => bail!("a series has a field {field}"),
        }
    }
    let held = everything.entry(labels).or_default();
    for sample in samples {
        let (mut bits, mut at) = (0, 0);
        let mut rest = sample;
        while let Some((&key, tail)) = rest.split_first() {
            rest = tail;
            if key == 0x09 {
                let (value, tail) = rest.split_first_chunk::<8>().context("a value is cut")?;
                bits = u64::from_le_bytes(*value);
                rest = tail;
            } else {
                at = varint(&mut rest)? as i64;
            }
        }
        held.insert(at, bits);
    }
    Ok(())
}

fn fields(mut rest: &[u8]) -> Result<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        if key & 7 != 2 {
            bail!("an unexpected wire type");
        }
        let length = varint(&mut rest)? as usize;
        let (body, tail) = rest.split_at_checked(length).context("a field is cut")?;
        found.push((key >> 3, body));
        rest = tail;
    }
    Ok(found)
}

fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().context("an integer is cut")?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    bail!("an integer is too long")
}

fn put(out: &mut Vec<u8>, key: u8, body: &[u8]) {
    out.push(key);
    put_varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

async fn remote_read(url: &str, start: i64, end: i64) -> Result<Vec<u8>> {
    let mut matcher = vec![0x08, 2];
    put(&mut matcher, 0x12, b"__name__");
    put(&mut matcher, 0x1a, b".+");
    let mut query = Vec::new();
    for (key, value) in [(0x08, start), (0x10, end)] {
        query.push(key);
        put_varint(&mut query, value as u64);
    }
    put(&mut query, 0x1a, &matcher);
    let mut request = Vec::new();
    put(&mut request, 0x0a, &query);
    let body = snap::raw::Encoder::new().compress_vec(&request)?;
    let address = url.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    let head = format!(
        "POST /api/v1/read HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\nContent-Encoding: snappy\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&body).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").context("no header")? + 4;
    if !answer.starts_with(b"HTTP/1.0 200") {
        bail!("remote read refused: {}", String::from_utf8_lossy(&answer[..end.min(200)]));
    }
    Ok(snap::raw::Decoder::new().decompress_vec(&answer[end..])?)
}
