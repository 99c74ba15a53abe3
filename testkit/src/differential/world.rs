//! Both evaluators: a real Prometheus, and `operator` over the samples that it returns.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use operator::model::{EncodedLabels, Sample, Series, TimeRange, Timestamp};
use operator::promql::{
    AggregateOp, Answer, Dialect, Engine, EngineOptions, ExprKind, Expression, Grouping,
    MemoryStorage, Value,
};
use operator::source::{
    HttpOptions, PrometheusClient, ReadMode, Selector, SeriesSink, SourceError,
};

use super::words::{When, Words};
use super::{Difference, explain, nasty};
use crate::prometheus::api::{
    Api, Points, Reply, Stats, Verdict, compare, first_difference, points_of,
};
use crate::prometheus::server::{Prometheus, block_window};

/// The synthetic series begin at a whole minute after the block.
const MINUTE_MS: i64 = 60_000;

/// A real Prometheus and our evaluator, over the same samples.
pub struct World {
    server: Prometheus,
    pub(super) api: Api,
    storage: MemoryStorage,
    pub(super) engine: Engine,
    pub(super) words: Words,
    /// When the synthetic series begin, in milliseconds since the Unix epoch.
    pub made_from: i64,
    /// Numbers of series: of a real run, and synthetic ones.
    pub series: [usize; 2],
    _scratch: tempfile::TempDir,
}

/// What both sides answer to one query.
pub struct Compared {
    /// How the answers compare.
    pub verdict: Verdict,
    /// The server's answer, or its error.
    pub server: Result<Points, String>,
    /// Our answer, or our error.
    pub ours: Result<Points, String>,
}

impl Compared {
    /// Whether the two sides disagree by more than rounding.
    pub fn differs(&self) -> bool {
        self.verdict >= Verdict::ServerFails
    }

    /// The first difference, as a text for a person.
    pub fn why(&self) -> String {
        match (&self.server, &self.ours) {
            (Ok(server), Ok(ours)) => first_difference(server, ours),
            (Err(error), Err(_)) | (Err(error), Ok(_)) => format!("server: {error}"),
            (Ok(_), Err(error)) => format!("we: {error}"),
        }
    }
}

impl World {
    /// Starts a server over the blocks, and hands it series that the seed makes up.
    ///
    /// # Errors
    ///
    /// An error where the server does not start, or does not return what it was given.
    pub async fn start(blocks: &Path, seed: u64) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let flags = [
            "--web.enable-remote-write-receiver",
            "--enable-feature=promql-experimental-functions,promql-binop-fill-modifiers",
        ];
        let flags = flags.map(str::to_owned);
        let server = Prometheus::start_with(blocks, scratch.path(), &flags).await?;
        let block = block_window(blocks)?;
        let made_from = (block.end.as_millis() / MINUTE_MS + 1) * MINUTE_MS;
        let real = read_back(&server.url, block).await?;
        let api = Api::new(&server.url, Stats::Unasked)?;
        let dialect = api.dialect().await?;
        let mut made = nasty::series(made_from, seed);
        if dialect == Dialect::V3 {
            made.extend(nasty::quoted_series(made_from, seed));
            made.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        nasty::write(&server.url, &made).await?;
        let window = TimeRange::new(
            Timestamp::from_millis(made_from),
            Timestamp::from_millis(made_from * 2),
        );
        ensure!(
            read_back(&server.url, window).await? == made,
            "the server alters what it is given"
        );
        let words = Words::learn(&api, dialect, &real, &made).await?;
        let series = [real.len(), made.len()];
        let storage = MemoryStorage::new(real.into_iter().chain(made).map(Arc::new));
        let engine = Engine::new(EngineOptions {
            threads: NonZeroUsize::MIN,
            ..EngineOptions::new(dialect)
        });
        Ok(Self { server, api, storage, engine, words, made_from, series, _scratch: scratch })
    }

    /// The generation of PromQL that the server evaluates.
    pub fn dialect(&self) -> operator::promql::Dialect {
        self.words.dialect
    }

    /// Kills the server and waits for its end.
    pub async fn stop(self) -> Result<()> {
        self.server.stop().await
    }

    /// Evaluates an expression on both sides and compares the answers.
    pub async fn ask(&self, text: &str, when: When) -> Result<Compared> {
        Ok(self.judge(text, when, self.reply(text, when).await?))
    }

    /// Finds the smallest part of an expression that shows a difference, and its cause.
    pub async fn explain(&self, text: &str, when: When, compared: &Compared) -> Result<Difference> {
        explain::explain(self, text, when, compared).await
    }

    pub(super) async fn reply(&self, text: &str, when: When) -> Result<Reply> {
        let reply = match when {
            When::At(at) => self.api.instant(text, at).await,
            When::Range(start, end, step) => self.api.range(text, (start, end), step).await,
        };
        reply.with_context(|| format!("{when:?} {text}"))
    }

    pub(super) fn judge(&self, text: &str, when: When, reply: Reply) -> Compared {
        let answer = self.answer(text, when);
        let ours = answer.as_ref().map(points_of).map_err(Clone::clone);
        let server = reply.answer;
        let mut verdict = compare(&server, &ours);
        if let Ok(Answer { value: Value::Vector(vector), .. }) = &answer
            && is_ordered(text)
            && verdict == Verdict::Equal
        {
            let bits = |value: f64| if value.is_nan() { 0 } else { value.to_bits() };
            let ours = vector.iter().map(|element| bits(element.sample.value));
            if !reply.in_order.iter().copied().map(bits).eq(ours) {
                verdict = Verdict::Different;
            }
        }
        Compared { verdict, server, ours }
    }

    fn answer(&self, text: &str, when: When) -> Result<Answer, String> {
        let parsed = Expression::parse(text).map_err(|error| error.to_string())?;
        let at = Timestamp::from_millis;
        match when {
            When::At(instant) => self.engine.instant(&parsed, &self.storage, at(instant)),
            When::Range(start, end, step) => {
                self.engine.range(&parsed, &self.storage, (at(start), at(end)), step)
            }
        }
        .map_err(|error| error.to_string())
    }
}

/// Whether the order of an instant query's result is the expression's own.
fn is_ordered(text: &str) -> bool {
    let Ok(parsed) = Expression::parse(text) else { return false };
    match &parsed.root().unwrapped().kind {
        ExprKind::Call { function, .. } => function.name().starts_with("sort"),
        // Groups may come in any order.
        ExprKind::Aggregate(aggregate) => {
            matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk)
                && aggregate.grouping == Grouping::By(Vec::new())
        }
        _ => false,
    }
}

async fn read_back(url: &str, window: TimeRange) -> Result<Vec<Series>> {
    let client = PrometheusClient::new(url, &HttpOptions::default())?;
    let everything = [Selector::parse("{__name__=~\".+\"}")?];
    let mut sink = Collect::default();
    client.read(ReadMode::RemoteReadChunks, &everything, window, &mut sink).await?;
    sink.0.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(sink.0)
}

#[derive(Default)]
struct Collect(Vec<Series>);

impl SeriesSink for Collect {
    fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) -> Result<(), SourceError> {
        let labels = labels.decode().expect("the server's labels are sound");
        self.0.push(Series { labels, samples: samples.to_vec() });
        Ok(())
    }

    fn native_histogram(&mut self, _: EncodedLabels<'_>) {}

    fn unreadable(&mut self, _: &str, _: &str) {}

    fn incomplete(&mut self, _: &str) {}
}
