//! An answer as Prometheus's HTTP API writes it.

use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::value::{Answer, Value};
use crate::model::{Labels, Sample, Timestamp};
use crate::promql::go_compat::number;

impl Answer {
    /// The body of a response of `/api/v1/query` or `/api/v1/query_range`, byte for byte as
    /// Prometheus writes it, without a newline at its end.
    pub fn to_api_json(&self) -> String {
        serde_json::to_string(&Body(self)).expect("strings and numbers always serialize")
    }
}

struct Body<'a>(&'a Answer);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", "success")?;
        map.serialize_entry("data", &Data(&self.0.value))?;
        let annotations = &self.0.annotations;
        for (key, texts) in [
            ("warnings", annotations.warnings().collect::<Vec<_>>()),
            ("infos", annotations.infos().collect()),
        ] {
            if !texts.is_empty() {
                map.serialize_entry(key, &texts)?;
            }
        }
        map.end()
    }
}

struct Data<'a>(&'a Value);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut data = serializer.serialize_struct("data", 2)?;
        match self.0 {
            Value::Scalar(sample) => {
                data.serialize_field("resultType", "scalar")?;
                data.serialize_field("result", &Point(*sample))?;
            }
            Value::String { at, text } => {
                data.serialize_field("resultType", "string")?;
                data.serialize_field("result", &(seconds(*at), text))?;
            }
            Value::Vector(vector) => {
                data.serialize_field("resultType", "vector")?;
                let elements = vector.iter().map(|element| Element {
                    labels: &element.labels,
                    points: Points::One(element.sample),
                });
                data.serialize_field("result", &elements.collect::<Vec<_>>())?;
            }
            Value::Matrix(matrix) => {
                data.serialize_field("resultType", "matrix")?;
                let elements = matrix.iter().map(|series| Element {
                    labels: &series.labels,
                    points: Points::Many(&series.samples),
                });
                data.serialize_field("result", &elements.collect::<Vec<_>>())?;
            }
        }
        data.end()
    }
}

struct Element<'a> {
    labels: &'a Labels,
    points: Points<'a>,
}

enum Points<'a> {
    One(Sample),
    Many(&'a [Sample]),
}

impl Serialize for Element<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut element = serializer.serialize_struct("element", 2)?;
        element.serialize_field("metric", &Metric(self.labels))?;
        match self.points {
            Points::One(sample) => element.serialize_field("value", &Point(sample))?,
            Points::Many(samples) => {
                let points: Vec<Point> = samples.iter().copied().map(Point).collect();
                element.serialize_field("values", &points)?;
            }
        }
        element.end()
    }
}

struct Metric<'a>(&'a Labels);

impl Serialize for Metric<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct Point(Sample);

impl Serialize for Point {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pair = serializer.serialize_seq(Some(2))?;
        pair.serialize_element(&seconds(self.0.at))?;
        pair.serialize_element(&number::api(self.0.value))?;
        pair.end()
    }
}

/// Seconds with at most three decimals, none where they are zero.
fn seconds(at: Timestamp) -> Box<RawValue> {
    let millis = at.as_millis();
    let (sign, size) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    let mut text = format!("{sign}{}", size / 1000);
    if !size.is_multiple_of(1000) {
        text.push_str(&format!(".{:03}", size % 1000));
    }
    RawValue::from_string(text).expect("digits with a point are JSON")
}

#[cfg(test)]
mod tests {
    use super::super::value::VectorSample;
    use super::*;

    #[test]
    fn answers_are_written_as_prometheus_does() {
        let at = Timestamp::from_millis(1_435_781_430_781);
        let sample = Sample { at, value: f64::INFINITY };
        let labels = Labels::from_pairs(&[("__name__", "up"), ("job", "pd")]);
        let answer = Answer::new(Value::Vector(vec![VectorSample { labels, sample }]));
        assert_eq!(
            answer.to_api_json(),
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","job":"pd"},"value":[1435781430.781,"+Inf"]}]}}"#
        );
    }

    #[test]
    fn times_have_as_many_decimals_as_they_need() {
        let text = |millis| seconds(Timestamp::from_millis(millis)).get().to_owned();
        assert_eq!([text(1000), text(-1), text(50)], ["1", "-0.001", "0.050"]);
    }
}
