//! Reads raw samples by VictoriaMetrics's `/api/v1/export`: a line of JSON for each series.
//!
//! Observed on 1.79.5, as Debian has it: a staleness marker is `null`, and a bare `NaN` where it is the first value of a
//! line; infinities stand bare (`+Inf`). The last two are no JSON. Later versions may write such values as text, which is
//! read as well. The server keeps no other NaN than the marker.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::PrometheusClient;
use super::query::{Pairs, Unreadable, put_in_order};
use super::read::{Counted, seconds};
use super::selector::Selector;
use crate::model::{EncodedLabels, Labels, Sample, TimeRange, Timestamp, stale_marker};
use crate::source::SourceError;

impl PrometheusClient {
    /// Copies the samples of `range` of all series that meet any of `selectors`, each series once.
    pub(super) async fn read_by_export(
        &self,
        selectors: &[Selector],
        range: TimeRange,
        counted: &mut Counted<'_>,
    ) -> Result<(), SourceError> {
        let url = self.url("/api/v1/export");
        let selected: Vec<String> = selectors.iter().map(Selector::to_string).collect();
        let (start, end) = (seconds(range.start.as_millis()), seconds(range.end.as_millis() - 1));
        let mut fields: Vec<(&str, &str)> =
            selected.iter().map(|selector| ("match[]", selector.as_str())).collect();
        fields.extend([("start", &*start), ("end", &*end)]);
        let mut answer = self.post_form_open(&url, &fields).await?.successful().await?;
        let content_type = answer.header("content-type").unwrap_or_default();
        if !content_type.contains("json") {
            let why = format!("its type is {content_type:?}, not an export's");
            return Err(self.malformed(&url, why));
        }
        let mut held: Vec<u8> = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            let mut rest = &piece[..];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                held.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                self.take_line(&url, &held, range, counted)?;
                held.clear();
            }
            held.extend_from_slice(rest);
            if held.len() as u64 > self.max_body_bytes() {
                return Err(self.too_large(&url));
            }
        }
        counted.stats.bytes += answer.taken();
        self.take_line(&url, &held, range, counted)
    }

    fn take_line(
        &self,
        url: &str,
        line: &[u8],
        range: TimeRange,
        counted: &mut Counted<'_>,
    ) -> Result<(), SourceError> {
        if line.is_empty() {
            return Ok(());
        }
        let decoded = decode(line, range).map_err(|why| {
            let start = self.redactor().body_start(line);
            self.malformed(url, format!("{why}, in {start:?}"))
        })?;
        match decoded {
            Ok((labels, samples)) => {
                let mut encoded = Vec::new();
                labels.encode(&mut encoded);
                counted.series(EncodedLabels(&encoded), &samples)
            }
            Err(Unreadable { series, why }) => {
                counted.sink.unreadable(&series, &why);
                Ok(())
            }
        }
    }
}

#[derive(Deserialize)]
struct Line<'a> {
    metric: Pairs,
    #[serde(borrow)]
    values: Vec<&'a RawValue>,
    timestamps: Vec<i64>,
}

/// The labels of a series and its samples.
type Found = (Labels, Vec<Sample>);

/// The series in a line, with its samples inside the range, ascending; or why that series alone cannot be read.
/// An error is a line that is none.
fn decode(line: &[u8], range: TimeRange) -> Result<Result<Found, Unreadable>, String> {
    let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    let text = with_bare_values_as_text(text);
    let line: Line<'_> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let found = series(&line, range);
    Ok(found.map_err(|why| Unreadable { series: line.metric.to_string(), why }))
}

fn series(line: &Line<'_>, range: TimeRange) -> Result<Found, String> {
    if line.values.len() != line.timestamps.len() {
        return Err("there are not as many values as timestamps".to_owned());
    }
    let mut pairs = line.metric.borrowed();
    let labels = Labels::of(&mut pairs).map_err(|error| error.to_string())?;
    let mut samples = Vec::with_capacity(line.values.len());
    for (value, millis) in line.values.iter().zip(&line.timestamps) {
        let at = Timestamp::from_millis(*millis);
        let value = self::value(value.get()).ok_or_else(|| format!("{value} is no value"))?;
        if range.contains(at) {
            samples.push(Sample { at, value });
        }
    }
    put_in_order(&mut samples);
    Ok((labels, samples))
}

/// A value: a number, `null` or `NaN` for a staleness marker, or text for what JSON has no number for.
fn value(text: &str) -> Option<f64> {
    match text.trim_matches('"') {
        "null" | "NaN" => Some(stale_marker()),
        number => number.parse().ok(),
    }
}

/// The line with quotes around values that are no JSON. Only the values are looked at: a label may have such a text too.
fn with_bare_values_as_text(line: &str) -> Cow<'_, str> {
    const VALUES: &str = ",\"values\":[";
    let is_bare = |values: &str| values.contains("Inf") || values.contains("NaN");
    let Some(start) = line.rfind(VALUES).filter(|start| is_bare(&line[*start..])) else {
        return Cow::Borrowed(line);
    };
    let (labels, values) = line.split_at(start + VALUES.len());
    let (values, rest) = values.split_at(values.find(']').unwrap_or(values.len()));
    let quoted = values.split(',').map(|value| match value {
        "+Inf" | "-Inf" | "Inf" | "NaN" => format!("\"{value}\""),
        other => other.to_owned(),
    });
    Cow::Owned(format!("{labels}{}{rest}", quoted.collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::is_stale;

    fn samples(line: &str) -> Vec<(i64, f64)> {
        let range = TimeRange::new(Timestamp::from_millis(10), Timestamp::from_millis(50));
        let found = decode(line.as_bytes(), range).expect("it is a line");
        let (labels, samples) = found.expect("it is a series");
        assert_eq!(labels.metric(), "st");
        samples.iter().map(|sample| (sample.at.as_millis(), sample.value)).collect()
    }

    #[test]
    fn a_line_has_numbers_infinities_and_staleness_markers() {
        let metric = r#""metric":{"__name__":"st","job":"+Inf,\"values\":[+Inf"}"#;
        let line = |values: &str, timestamps: &str| {
            format!(r#"{{{metric},"values":[{values}],"timestamps":[{timestamps}]}}"#)
        };
        let read = samples(&line("0.30000000000000004,null,-Inf", "10,20,30"));
        assert_eq!((read[0], read[2]), ((10, 0.300_000_000_000_000_04), (30, f64::NEG_INFINITY)));
        assert!(is_stale(read[1].1));
        let first = samples(&line("NaN,null,1", "10,20,30"));
        assert!(is_stale(first[0].1) && is_stale(first[1].1), "{first:?}");
        assert_eq!(samples(&line("1,2,3", "9,20,50")), [(20, 2.0)]);
        assert_eq!(samples(&line("\"Infinity\",+Inf", "10,20")).len(), 2);
    }

    #[test]
    fn what_is_no_line_is_refused_and_what_is_no_series_left_out() {
        let decoded = |line: &str| decode(line.as_bytes(), TimeRange::ALL);
        assert!(decoded("{").is_err());
        let left_out = |line: &str| matches!(decoded(line), Ok(Err(_)));
        assert!(left_out(r#"{"metric":{"__name__":"a"},"values":[1,2],"timestamps":[1]}"#));
        assert!(left_out(r#"{"metric":{"__name__":"a"},"values":[true],"timestamps":[1]}"#));
        assert!(left_out(r#"{"metric":{"a":"b","a":"c"},"values":[1],"timestamps":[1]}"#));
    }
}
