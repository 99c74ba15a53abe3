//! Changes of a run that the incidents share.

use operator::model::{Labels, PdOutcome, Sample, Series, TimeRange, Timestamp, is_stale};
use serde_json::Value;

use crate::run::Run;

/// Milliseconds to the physical part of a timestamp of PD's: the lower 18 bits are a counter.
const TSO_SHIFT: u32 = 18;

/// Lets timestamps go on where the run was repeated, which repeats them: `lap_ms` is the length of one lap.
pub fn go_on(run: &mut Run, lap_ms: i64) {
    let start = run.window.start;
    let laps = |at: Timestamp| (at - start) / lap_ms;
    let route = "/min-resolved-ts";
    for answer in run.pd.iter_mut().filter(|one| one.path.contains(route)) {
        let PdOutcome::Answered { status: 200, body } = &mut answer.outcome else { continue };
        let mut value: Value = serde_json::from_slice(body).expect("PD answers in JSON");
        let by = ((laps(answer.sent) * lap_ms) as u64) << TSO_SHIFT;
        move_timestamps(&mut value, by);
        *body = value.to_string().into_bytes().into();
    }
    for series in &mut run.series {
        let metric = series.labels.metric();
        let is_ts = metric.starts_with("tikv_resolved_ts_min") && metric.ends_with("_ts");
        for sample in series.samples.iter_mut().filter(|one| is_ts && one.value > 1e12) {
            sample.value += ((laps(sample.at) * lap_ms) as u64) as f64;
        }
    }
}

fn move_timestamps(value: &mut Value, by: u64) {
    match value {
        Value::Object(map) => map.values_mut().for_each(|one| move_timestamps(one, by)),
        Value::Number(number) => {
            if let Some(known) = number.as_u64().filter(|known| *known > 1 << 50) {
                *value = (known + by).into();
            }
        }
        _ => {}
    }
}

/// A selection of series: of a metric, or of every metric that the name begins with where it ends with `*`, at
/// one target or at all.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The metric.
    pub metric: &'a str,
    /// The target; `None` for all.
    pub instance: Option<&'a str>,
    /// Which of the series, by their labels.
    pub keep: fn(&Labels) -> bool,
}

impl<'a> At<'a> {
    /// All series of a metric at a target.
    pub fn one(metric: &'a str, instance: &'a str) -> Self {
        Self { metric, instance: Some(instance), keep: |_| true }
    }

    /// All series of a metric.
    pub fn all(metric: &'a str) -> Self {
        Self { metric, instance: None, keep: |_| true }
    }

    fn has(&self, labels: &Labels) -> bool {
        let metric = match self.metric.strip_suffix('*') {
            Some(start) => labels.metric().starts_with(start),
            None => labels.metric() == self.metric,
        };
        metric
            && self.instance.is_none_or(|one| labels.get("instance") == Some(one))
            && (self.keep)(labels)
    }
}

/// Multiplies what counters rise by over a stretch.
pub fn pace(run: &mut Run, at: At<'_>, range: TimeRange, factor: f64) {
    let mut found = false;
    for series in run.series.iter_mut().filter(|one| at.has(&one.labels)) {
        found = true;
        let (mut before, mut added): (Option<f64>, f64) = (None, 0.0);
        for sample in series.samples.iter_mut().filter(|one| !is_stale(one.value)) {
            let real = sample.value;
            if let Some(before) = before.filter(|_| range.contains(sample.at)) {
                added += (real - before).max(0.0) * (factor - 1.0);
            }
            before = Some(real);
            sample.value += added;
        }
    }
    assert!(found, "no series {} of {:?}", at.metric, at.instance);
}

/// Sets gauges from the beginning of a stretch to its end.
pub fn set(run: &mut Run, at: At<'_>, range: TimeRange, value: f64) {
    let mut found = false;
    for series in run.series.iter_mut().filter(|one| at.has(&one.labels)) {
        found = true;
        series.samples.iter_mut().filter(|s| range.contains(s.at)).for_each(|s| s.value = value);
    }
    assert!(found, "no series {} of {:?}", at.metric, at.instance);
}

/// Makes every observation of a histogram take so many seconds more over a stretch.
pub fn slow(
    run: &mut Run,
    histogram: &str,
    instance: Option<&str>,
    range: TimeRange,
    seconds: f64,
) {
    let mut found = false;
    let counts = of(run, &format!("{histogram}_count"), instance);
    let sum = format!("{histogram}_sum");
    let is_meant = |one: &&mut Series| {
        one.labels.metric() == sum
            && instance.is_none_or(|it| one.labels.get("instance") == Some(it))
    };
    for series in run.series.iter_mut().filter(is_meant) {
        let own = |one: &&Series| unnamed(&one.labels).eq(unnamed(&series.labels));
        let Some(count) = counts.iter().find(own) else { continue };
        found = true;
        let (mut before, mut added): (Option<f64>, f64) = (None, 0.0);
        for (sample, count) in series.samples.iter_mut().zip(&count.samples) {
            if let Some(before) = before.filter(|_| range.contains(sample.at)) {
                added += (count.value - before).max(0.0) * seconds;
            }
            before = Some(count.value);
            sample.value += added;
        }
    }
    assert!(found, "no histogram {histogram} of {instance:?}");
}

fn of(run: &Run, metric: &str, instance: Option<&str>) -> Vec<Series> {
    let is_it = |one: &&Series| {
        one.labels.metric() == metric
            && instance.is_none_or(|it| one.labels.get("instance") == Some(it))
    };
    run.series.iter().filter(is_it).cloned().collect()
}

fn unnamed(labels: &Labels) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().filter(|(name, _)| *name != "__name__")
}

/// Adds a gauge that a target exports with each of its scrapes.
pub fn add_gauge(run: &mut Run, pairs: &[(&str, &str)], value: impl Fn(Timestamp) -> f64) {
    let labels = Labels::from_pairs(pairs);
    let instance = labels.get("instance").expect("it has a target").to_owned();
    let ups = of(run, "up", Some(&instance));
    let up = ups.first().expect("the target is scraped");
    let samples =
        up.samples.iter().map(|one| Sample { at: one.at, value: value(one.at) }).collect();
    run.series.retain(|one| one.labels != labels);
    run.series.push(Series { labels, samples });
    run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
}

/// Lets counters rise by so much more a second over a stretch.
pub fn raise(run: &mut Run, at: At<'_>, range: TimeRange, per_second: f64) {
    let mut found = false;
    for series in run.series.iter_mut().filter(|one| at.has(&one.labels)) {
        found = true;
        for sample in series.samples.iter_mut().filter(|one| !is_stale(one.value)) {
            let inside_ms = (sample.at.min(range.end) - range.start).max(0);
            sample.value += (inside_ms as f64 / 1000.0 * per_second).round();
        }
    }
    assert!(found, "no series {} of {:?}", at.metric, at.instance);
}

/// Adds to gauges what a course of time says.
pub fn add(run: &mut Run, at: At<'_>, course: impl Fn(Timestamp) -> f64) {
    let mut found = false;
    for series in run.series.iter_mut().filter(|one| at.has(&one.labels)) {
        found = true;
        for sample in series.samples.iter_mut().filter(|one| !is_stale(one.value)) {
            sample.value += course(sample.at);
        }
    }
    assert!(found, "no series {} of {:?}", at.metric, at.instance);
}

/// A course that is 0 before a stretch, grows evenly to `most` within `grows_ms` from its beginning, and stays.
pub fn growing(range: TimeRange, grows_ms: i64, most: f64) -> impl Fn(Timestamp) -> f64 {
    move |at| ((at - range.start) as f64 / grows_ms as f64).clamp(0.0, 1.0) * most
}
