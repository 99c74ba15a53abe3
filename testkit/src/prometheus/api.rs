//! Queries over Prometheus's HTTP API, and how its answers compare with ours.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use operator::promql::{Answer, Dialect, Value};
use serde_json::Value as Json;

/// Values by time in milliseconds, by labels. A string is the value of a label without a name.
pub type Points = BTreeMap<Vec<(String, String)>, BTreeMap<i64, f64>>;

/// A server's answer to a query, and how long that took, in seconds.
pub struct Reply {
    /// The answer, or the error's text.
    pub answer: Result<Points, String>,
    /// The values of an instant vector, in the order in which they came.
    pub in_order: Vec<f64>,
    /// Seconds that the engine took: `stats.timings.execTotalTime`.
    pub engine_seconds: f64,
    /// From the question to the last byte of the answer.
    pub took: Duration,
}

/// How two answers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The same series, times and bits.
    Equal,
    /// The same but for rounding: relative differences up to 1e-12.
    Rounded,
    /// Both sides return an error.
    BothFail,
    /// Only the server returns an error.
    ServerFails,
    /// Only `operator` returns an error.
    WeFail,
    /// Series, times or values differ.
    Different,
}

/// Whether a server is asked for the statistics of each query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stats {
    /// It is asked, and returns them.
    Asked,
    /// It is not asked to.
    Unasked,
}

/// A client for one server.
pub struct Api {
    client: reqwest::Client,
    url: String,
    stats: Stats,
}

impl Api {
    /// A client for the server at a base URL.
    pub fn new(url: &str, stats: Stats) -> Result<Self> {
        // A second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { client, url: url.to_owned(), stats })
    }

    /// The generation of PromQL that the server evaluates, by its version.
    pub async fn dialect(&self) -> Result<Dialect> {
        let url = format!("{}/api/v1/status/buildinfo", self.url);
        let answer = self.client.get(url).send().await?.bytes().await?;
        let json: Json = serde_json::from_slice(&answer)?;
        let version = json["data"]["version"].as_str().context("the server has no version")?;
        Ok(Dialect::of_version(version))
    }

    /// Evaluates an expression at an instant, in milliseconds since the Unix epoch.
    pub async fn instant(&self, expression: &str, at_ms: i64) -> Result<Reply> {
        let time = ("time", seconds(at_ms));
        self.query("query", &[("query", expression.to_owned()), time]).await
    }

    /// Evaluates an expression over a range: start, end and step in milliseconds.
    pub async fn range(
        &self,
        expression: &str,
        (start_ms, end_ms): (i64, i64),
        step_ms: i64,
    ) -> Result<Reply> {
        let fields = [
            ("query", expression.to_owned()),
            ("start", seconds(start_ms)),
            ("end", seconds(end_ms)),
            ("step", seconds(step_ms)),
        ];
        self.query("query_range", &fields).await
    }

    async fn query(&self, path: &str, fields: &[(&str, String)]) -> Result<Reply> {
        let mut body = String::new();
        if self.stats == Stats::Asked {
            body.push_str("stats=all&");
        }
        for (name, value) in fields {
            body.push_str(&format!("{name}={}&", encoded(value)));
        }
        let begun = now();
        let response = self
            .client
            .post(format!("{}/api/v1/{path}", self.url))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await?;
        let bytes = response.bytes().await?;
        let took = begun.elapsed();
        let json: Json = serde_json::from_slice(&bytes)?;
        if json["status"] != "success" {
            let error = json["error"].as_str().unwrap_or_default().to_owned();
            let answer = Err(error);
            return Ok(Reply { answer, in_order: Vec::new(), engine_seconds: 0.0, took });
        }
        let data = &json["data"];
        let engine_seconds = data["stats"]["timings"]["execTotalTime"].as_f64().unwrap_or_default();
        let elements = data["result"].as_array().map_or(&[][..], Vec::as_slice);
        let in_order = elements.iter().filter_map(|element| number(element["value"][1].as_str()?));
        Ok(Reply {
            answer: Ok(points_of_json(data)?),
            in_order: in_order.collect(),
            engine_seconds,
            took,
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// A value as Prometheus prints it.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn of_text(at_ms: i64, text: &str) -> Points {
    Points::from([(vec![(String::new(), text.to_owned())], BTreeMap::from([(at_ms, 0.0)]))])
}

fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn points_of_json(data: &Json) -> Result<Points> {
    let mut points = Points::new();
    let point = |pair: &Json| -> Result<(i64, f64)> {
        let at = pair[0].as_f64().context("a point has no time")?;
        let value = pair[1].as_str().and_then(number).context("a point has no value")?;
        Ok(((at * 1000.0).round() as i64, value))
    };
    match data["resultType"].as_str() {
        Some("scalar") => {
            points.insert(Vec::new(), BTreeMap::from([point(&data["result"])?]));
        }
        Some("string") => {
            let [at, text] = [&data["result"][0], &data["result"][1]];
            let at = at.as_f64().context("a string has no time")?;
            points = of_text((at * 1000.0).round() as i64, text.as_str().unwrap_or_default());
        }
        Some("vector" | "matrix") => {
            for element in data["result"].as_array().context("the result is no list")? {
                let labels = element["metric"].as_object().context("no labels")?;
                let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
                let mut labels: Vec<(String, String)> =
                    labels.iter().map(|(name, value)| (name.clone(), text(value))).collect();
                labels.sort();
                let held = points.entry(labels).or_default();
                match element["values"].as_array() {
                    Some(values) => {
                        for pair in values {
                            let (at, value) = point(pair)?;
                            held.insert(at, value);
                        }
                    }
                    None => {
                        let (at, value) = point(&element["value"])?;
                        held.insert(at, value);
                    }
                }
            }
        }
        other => bail!("an unexpected result type {other:?}"),
    }
    Ok(points)
}

/// The points of our own answer.
pub fn points_of(answer: &Answer) -> Points {
    let mut points = Points::new();
    match &answer.value {
        Value::Scalar(sample) => {
            points.insert(Vec::new(), BTreeMap::from([(sample.at.as_millis(), sample.value)]));
        }
        Value::String { at, text } => points = of_text(at.as_millis(), text),
        Value::Vector(vector) => {
            for element in vector {
                let at = element.sample.at.as_millis();
                points
                    .entry(element.labels.clone().into())
                    .or_default()
                    .insert(at, element.sample.value);
            }
        }
        Value::Matrix(matrix) => {
            for series in matrix {
                let values = series.samples.iter().map(|s| (s.at.as_millis(), s.value));
                points.insert(series.labels.clone().into(), values.collect());
            }
        }
    }
    points
}

/// Compares what the server says with what we say.
pub fn compare(server: &Result<Points, String>, ours: &Result<Points, String>) -> Verdict {
    let (server, ours) = match (server, ours) {
        (Ok(server), Ok(ours)) => (server, ours),
        (Err(_), Err(_)) => return Verdict::BothFail,
        (Err(_), Ok(_)) => return Verdict::ServerFails,
        (Ok(_), Err(_)) => return Verdict::WeFail,
    };
    if !server.keys().eq(ours.keys()) {
        return Verdict::Different;
    }
    let mut verdict = Verdict::Equal;
    for (theirs, ours) in server.values().zip(ours.values()) {
        if !theirs.keys().eq(ours.keys()) {
            return Verdict::Different;
        }
        for (a, b) in theirs.values().zip(ours.values()) {
            if a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) {
                continue;
            }
            let close = (a - b).abs() <= 1e-12 * a.abs().max(b.abs());
            verdict = verdict.max(if close { Verdict::Rounded } else { Verdict::Different });
        }
    }
    verdict
}

/// The first difference, for a person.
pub fn first_difference(server: &Points, ours: &Points) -> String {
    if let Some(labels) = server.keys().find(|labels| !ours.contains_key(*labels)) {
        return format!(
            "only the server has {labels:?} ({} series, we {})",
            server.len(),
            ours.len()
        );
    }
    for (labels, values) in ours {
        let Some(theirs) = server.get(labels) else {
            return format!("only we have {labels:?}");
        };
        for (at, value) in values {
            match theirs.get(at) {
                Some(expected) if (expected - value).abs() <= 1e-12 * expected.abs() => {}
                Some(expected) if expected.to_bits() == value.to_bits() => {}
                Some(expected) if expected.is_nan() && value.is_nan() => {}
                expected => {
                    return format!("{labels:?} at {at}: server {expected:?}, we {value:?}");
                }
            }
        }
        if let Some((at, value)) = theirs.iter().find(|(at, _)| !values.contains_key(at)) {
            return format!("{labels:?} at {at}: server {value}, we nothing");
        }
    }
    "none".to_owned()
}
