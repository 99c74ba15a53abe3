//! What random expressions are made of: metrics with their labels, instants, and the names that a
//! server knows.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use fastrand::Rng;
use operator::model::Series;
use operator::promql::{AggregateOp, Dialect, FUNCTIONS, Signature, ValueType};

use crate::prometheus::api::Api;

/// Functions of native histograms.
const LEFT_OUT: [&str; 5] =
    ["histogram_avg", "histogram_count", "histogram_stddev", "histogram_stdvar", "histogram_sum"];

/// A metric, and what its series look like.
pub struct Metric {
    /// The name of the metric.
    pub name: String,
    /// Its labels but the name, each with its values.
    pub labels: Vec<(String, Vec<String>)>,
    /// When there are samples, ascending.
    pub instants: Vec<i64>,
}

/// What expressions are drawn from.
pub struct Words {
    /// Metrics of a real run.
    pub real: Vec<Metric>,
    /// Metrics that are generated.
    pub made: Vec<Metric>,
    /// Functions that the server knows and that expressions may call.
    pub functions: Vec<&'static Signature>,
    /// Aggregation operators that the server knows.
    pub aggregations: Vec<AggregateOp>,
    /// The server's generation.
    pub dialect: Dialect,
}

impl Words {
    /// Asks the server which functions and operators it knows.
    pub async fn learn(
        api: &Api,
        dialect: Dialect,
        real: &[Series],
        made: &[Series],
    ) -> Result<Self> {
        let mut functions = Vec::new();
        for function in &FUNCTIONS {
            if !LEFT_OUT.contains(&function.name) && knows(api, &sample_call(function)).await? {
                functions.push(function);
            }
        }
        let mut aggregations = Vec::new();
        for (name, op) in AggregateOp::ALL {
            let parameter = match op.parameter() {
                Some(ValueType::String) => "\"a\", ",
                Some(_) => "1, ",
                None => "",
            };
            if knows(api, &format!("{name}({parameter}vector(1))")).await? {
                aggregations.push(op);
            }
        }
        Ok(Self { real: metrics(real), made: metrics(made), functions, aggregations, dialect })
    }
}

/// A call that no server refuses that knows the function.
fn sample_call(function: &Signature) -> String {
    let arg = |kind: &ValueType| match kind {
        ValueType::Scalar => "0.5",
        ValueType::String => "\"a\"",
        ValueType::Vector => "absent_metric",
        ValueType::Matrix => "absent_metric[1m]",
    };
    let args: Vec<&str> = function.args[..function.required].iter().map(arg).collect();
    format!("{}({})", function.name, args.join(", "))
}

/// Whether the server takes an expression at all.
async fn knows(api: &Api, text: &str) -> Result<bool> {
    Ok(match api.instant(text, 0).await?.answer {
        Ok(_) => true,
        Err(why) => !why.contains("parse error") && !why.contains("unknown function"),
    })
}

fn metrics(series: &[Series]) -> Vec<Metric> {
    type Held = (BTreeMap<String, BTreeSet<String>>, BTreeSet<i64>);
    let mut metrics: BTreeMap<&str, Held> = BTreeMap::new();
    for series in series {
        let (labels, instants) = metrics.entry(series.labels.metric()).or_default();
        for (name, value) in series.labels.iter().filter(|(name, _)| *name != "__name__") {
            labels.entry(name.to_owned()).or_default().insert(value.to_owned());
        }
        instants.extend(series.samples.iter().map(|sample| sample.at.as_millis()));
    }
    let metric = |(name, (labels, instants)): (&str, Held)| Metric {
        name: name.to_owned(),
        labels: labels.into_iter().map(|(k, v)| (k, v.into_iter().collect())).collect(),
        instants: instants.into_iter().collect(),
    };
    metrics.into_iter().map(metric).collect()
}

/// When an expression is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At an instant, in milliseconds since the Unix epoch.
    At(i64),
    /// From one to another, with this many milliseconds between steps.
    Range(i64, i64, i64),
}

impl When {
    /// All instants of the range, ascending.
    pub fn instants(self) -> impl Iterator<Item = i64> {
        let (start, end, step) = match self {
            Self::At(at) => (at, at, 1),
            Self::Range(start, end, step) => (start, end, step),
        };
        (start..=end).step_by(step as usize)
    }
}

/// An instant at or near a sample: on it, beside it, and where windows and lookback end on it.
pub fn instant(metric: &Metric, random: &mut Rng) -> i64 {
    const BESIDE: [i64; 14] =
        [0, 0, 0, 1, -1, 300_000, 300_001, 299_999, 60_000, 60_001, 59_999, 15_000, 7_321, -500];
    let sample = random.choice(&metric.instants).copied().unwrap_or_default();
    sample + random.choice(BESIDE).unwrap_or_default()
}

/// A range that begins at or near a sample; its steps often hit samples, or never do.
pub fn range(metric: &Metric, random: &mut Rng) -> When {
    const STEPS: [i64; 9] = [15_000, 15_000, 30_000, 60_000, 1_000, 7_000, 17_500, 14_999, 120_000];
    let start = instant(metric, random) - random.i64(0..4) * 60_000;
    let step = random.choice(STEPS).unwrap_or(15_000);
    When::Range(start, start + step * random.i64(0..30), step)
}
