//! Values that templates compute with.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Timelike, Utc};

use super::number::{duration_text, time_text};
use crate::model::Labels;
use crate::promql::format_short;

/// A value in a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The value `nil`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// An integer, Go's `int`.
    Int(i64),
    /// A floating-point number, Go's `float64`.
    Float(f64),
    /// A string of text.
    Text(String),
    /// Labels by name; an absent label is the empty text.
    Labels(BTreeMap<String, String>),
    /// Named values, as `args` makes them.
    Fields(BTreeMap<String, Value>),
    /// An element of the result of `query`.
    Sample { labels: BTreeMap<String, String>, value: f64 },
    /// A list of values.
    List(Vec<Value>),
    /// An instant, Go's `time.Time` in UTC.
    Time(DateTime<Utc>),
    /// Nanoseconds, Go's `time.Duration`.
    Duration(i64),
}

impl Value {
    /// Labels as a value.
    pub fn labels(labels: &Labels) -> Self {
        Self::Labels(map(labels))
    }

    /// An element of a query's result.
    pub fn sample(labels: &Labels, value: f64) -> Self {
        Self::Sample { labels: map(labels), value }
    }

    /// Whether `if` treats it as true.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Labels(labels) => !labels.is_empty(),
            Self::Fields(fields) => !fields.is_empty(),
            Self::Sample { .. } | Self::Time(_) | Self::Duration(_) => true,
            Self::List(list) => !list.is_empty(),
        }
    }

    /// The field with this name.
    pub fn field(&self, name: &str) -> Result<Self, String> {
        match self {
            Self::Labels(labels) => Ok(Self::Text(labels.get(name).cloned().unwrap_or_default())),
            Self::Fields(fields) => Ok(fields.get(name).cloned().unwrap_or(Self::Nil)),
            Self::Sample { labels, value } => match name {
                "Labels" => Ok(Self::Labels(labels.clone())),
                "Value" => Ok(Self::Float(*value)),
                _ => Err(format!("can't evaluate field {name} in a sample")),
            },
            Self::Time(instant) => of_time(*instant, name),
            other => Err(format!("can't evaluate field {name} in {}", other.kind())),
        }
    }

    /// Name of its type, for errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::Labels(_) | Self::Fields(_) => "a map",
            Self::Sample { .. } => "a sample",
            Self::List(_) => "a list",
            Self::Time(_) => "a time",
            Self::Duration(_) => "a duration",
        }
    }

    /// Its text, as Go prints it.
    pub fn printed(&self) -> String {
        let pairs = |pairs: Vec<String>| format!("map[{}]", pairs.join(" "));
        match self {
            Self::Nil => "<no value>".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => format_short(*value),
            Self::Text(text) => text.clone(),
            Self::Time(instant) => time_text(*instant),
            Self::Duration(nanos) => duration_text(*nanos),
            Self::Labels(labels) => {
                pairs(labels.iter().map(|(name, value)| format!("{name}:{value}")).collect())
            }
            Self::Fields(fields) => {
                let printed =
                    |(name, value): (&String, &Self)| format!("{name}:{}", value.printed());
                pairs(fields.iter().map(printed).collect())
            }
            Self::Sample { labels, value } => {
                let labels = Self::Labels(labels.clone()).printed();
                format!("{{{labels} {}}}", format_short(*value))
            }
            Self::List(list) => {
                format!("[{}]", list.iter().map(Self::printed).collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// What a method of Go's `time.Time` returns; those that take arguments are not supported.
fn of_time(instant: DateTime<Utc>, method: &str) -> Result<Value, String> {
    Ok(Value::Int(match method {
        "Year" => i64::from(instant.year()),
        "Day" => i64::from(instant.day()),
        "YearDay" => i64::from(instant.ordinal()),
        "Hour" => i64::from(instant.hour()),
        "Minute" => i64::from(instant.minute()),
        "Second" => i64::from(instant.second()),
        "Nanosecond" => i64::from(instant.nanosecond()),
        "Unix" => instant.timestamp(),
        "UnixMilli" => instant.timestamp_millis(),
        "Month" => return Ok(Value::Text(instant.format("%B").to_string())),
        "Weekday" => return Ok(Value::Text(instant.format("%A").to_string())),
        "String" => return Ok(Value::Text(time_text(instant))),
        _ => return Err(format!("can't evaluate field {method} in a time")),
    }))
}

fn map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
