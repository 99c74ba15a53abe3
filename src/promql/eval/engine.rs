//! Evaluates expressions over a storage.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::model::{Sample, Series, Timestamp};
use crate::promql::annotations::Annotations;
use crate::promql::dialect::Dialect;
use crate::promql::error::EvalError;
use crate::promql::eval::matchers::MatcherCache;
use crate::promql::eval::{self, Period, Query, StepValues, Steps};
use crate::promql::storage::Storage;
use crate::promql::syntax::ast::ValueType;
use crate::promql::syntax::duration::QueryTimes;
use crate::promql::syntax::expression::Expression;
use crate::promql::syntax::parser;
use crate::promql::value::{Answer, Value, VectorSample};

/// When the metric's name is removed from series that a function or an operator changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRemoval {
    /// By the function or the operator itself, as Prometheus does by default.
    #[default]
    Immediate,
    /// After the whole expression is evaluated: Prometheus 3's feature
    /// `promql-delayed-name-removal`.
    Delayed,
}

/// Limits on what one query may use. A query that exceeds a limit fails; no result is cut off.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many samples of intermediate and final results are held at once, at most.
    pub samples: usize,
    /// How many steps a range query has, at most.
    pub steps: usize,
    /// How many samples are read, at most; a sample counts once for each window that holds it.
    pub work: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { samples: 50_000_000, steps: 11_000, work: 20_000_000_000 }
    }
}

/// The settings of an [`Engine`].
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The generation of Prometheus whose answers to give.
    pub dialect: Dialect,
    /// How many milliseconds an instant selector looks back for a sample.
    pub lookback_ms: i64,
    /// The step in milliseconds of subqueries that do not state one.
    pub subquery_step_ms: i64,
    /// When the names of metrics are removed.
    pub name_removal: NameRemoval,
    /// Limits on what each query may use.
    pub limits: Limits,
    /// How many threads evaluate a query, at most; the answer does not depend on their number.
    pub threads: NonZeroUsize,
    /// Cancels running queries: each fails with [`EvalError::Interrupted`] soon after this is set.
    pub interrupt: Option<Arc<AtomicBool>>,
}

impl EngineOptions {
    /// Prometheus's defaults: five minutes of lookback, subqueries every minute.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
            name_removal: NameRemoval::default(),
            limits: Limits::default(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            interrupt: None,
        }
    }
}

/// Evaluates expressions over storages. It holds no series; one engine serves any number of
/// storages.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    matchers: MatcherCache,
}

impl Engine {
    /// Makes an engine with these options and an empty cache of matchers.
    pub fn new(options: EngineOptions) -> Self {
        Self { options, matchers: MatcherCache::default() }
    }

    /// The matchers that were compiled so far, for its dialect.
    pub fn matchers(&self) -> &MatcherCache {
        &self.matchers
    }

    /// The options with which it was made.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates at one instant.
    ///
    /// # Errors
    ///
    /// [`EvalError`] where series cannot be read, where the expression does not suit the data, or
    /// past a limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use operator::model::{Labels, Sample, Series, Timestamp};
    /// use operator::promql::{Dialect, Engine, EngineOptions, Expression, MemoryStorage, Value};
    ///
    /// let at = Timestamp::from_millis(60_000);
    /// let labels = Labels::from_pairs(&[("__name__", "up"), ("job", "tikv")]);
    /// let storage = MemoryStorage::new([Arc::new(Series {
    ///     labels,
    ///     samples: vec![Sample { at, value: 1.0 }],
    /// })]);
    /// let engine = Engine::new(EngineOptions::new(Dialect::V3));
    /// let answer = engine.instant(&Expression::parse("sum(up) * 2")?, &storage, at)?;
    /// let Value::Vector(vector) = answer.value else { panic!("a sum is a vector") };
    /// assert_eq!(vector[0].sample.value, 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn instant(
        &self,
        expression: &Expression,
        storage: &dyn Storage,
        at: Timestamp,
    ) -> Result<Answer, EvalError> {
        let steps = Steps { start: at.as_millis(), interval: 1, count: 1 };
        let expression = &*self.ready(expression, QueryTimes { step: 0, range: 0 })?;
        let query = Query::prepare(self, expression, storage, Period { steps, span_ms: 0 })?;
        let root = expression.root().unwrapped();
        if expression.value_type() == ValueType::Matrix {
            let series = query.matrix(root)?;
            return Ok(Answer { value: Value::Matrix(series), annotations: query.annotations() });
        }
        let value = match query.evaluate(root)? {
            StepValues::Text(text) => Value::String { at, text },
            StepValues::Scalar(values) => Value::Scalar(Sample { at, value: values[0] }),
            StepValues::Vector(columns) => Value::Vector(
                columns
                    .iter()
                    .map(|column| VectorSample {
                        labels: column.metric.to_labels(),
                        sample: Sample { at, value: column.values[0] },
                    })
                    .collect(),
            ),
        };
        Ok(Answer { value, annotations: query.annotations() })
    }

    /// Evaluates at `start`, then every `step_ms`, up to and including `end`.
    ///
    /// # Errors
    ///
    /// As [`Engine::instant`]; also where the expression is neither a scalar nor an instant
    /// vector, where `end` is before `start`, and where the step is not positive.
    pub fn range(
        &self,
        expression: &Expression,
        storage: &dyn Storage,
        (start, end): (Timestamp, Timestamp),
        step_ms: i64,
    ) -> Result<Answer, EvalError> {
        let steps = self.steps(start, end, step_ms)?;
        if !parser::is_instant(expression.value_type()) {
            let found = expression.value_type().documented();
            return Err(EvalError::Expression(format!(
                "invalid expression type {found:?} for range query, must be Scalar or instant Vector"
            )));
        }
        let span = end - start;
        let expression = &*self.ready(expression, QueryTimes { step: step_ms, range: span })?;
        let period = Period { steps, span_ms: span };
        let query = Query::prepare(self, expression, storage, period)?;
        let mut series = match query.evaluate(expression.root().unwrapped())? {
            StepValues::Text(_) => Vec::new(),
            StepValues::Scalar(values) => {
                let labels = crate::model::Labels::default();
                vec![Series { labels, samples: eval::samples(steps, &values) }]
            }
            StepValues::Vector(columns) => columns
                .iter()
                .map(|column| Series {
                    labels: column.metric.to_labels(),
                    samples: eval::samples(steps, &column.values),
                })
                .collect(),
        };
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Answer { value: Value::Matrix(series), annotations: query.annotations() })
    }

    /// The expression with its computed durations replaced, unless the dialect does not know it.
    fn ready<'e>(
        &self,
        expression: &'e Expression,
        times: QueryTimes,
    ) -> Result<Cow<'e, Expression>, EvalError> {
        if let (Dialect::V2, Some(what)) = (self.options.dialect, expression.v3_feature()) {
            let message = format!("{what} is not known to Prometheus 2");
            return Err(EvalError::Expression(message));
        }
        expression.resolve(times)
    }

    fn steps(&self, start: Timestamp, end: Timestamp, step_ms: i64) -> Result<Steps, EvalError> {
        if step_ms <= 0 {
            let why = "zero or negative query resolution step widths are not accepted; try a positive integer";
            return Err(EvalError::BadRange(why));
        }
        if end < start {
            return Err(EvalError::BadRange("end timestamp must not be before start time"));
        }
        let steps = ((end - start) / step_ms) as u64 + 1;
        let limit = self.options.limits.steps;
        if steps > limit as u64 {
            return Err(EvalError::TooManySteps { steps, limit, start, end });
        }
        Ok(Steps { start: start.as_millis(), interval: step_ms, count: steps as usize })
    }
}

impl Answer {
    /// An answer without warnings and infos.
    pub fn new(value: Value) -> Self {
        Self { value, annotations: Annotations::default() }
    }
}
