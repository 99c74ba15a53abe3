//! Changes of duration and magnitude: stretches cut out of the middle, faults made milder.

use operator::model::{PdOutcome, Sample, Series, TimeRange, Timestamp, is_stale};
use serde_json::Value;

use super::Run;

/// Metrics that say how many things there are, though their names end as those of counters do.
const LEVELS: [&str; 5] = [
    "raft_engine_log_entry_count",
    "raft_engine_log_file_count",
    "raft_engine_recycled_file_count",
    "tikv_raftstore_clean_region_count",
    "tikv_raftstore_region_count",
];

/// Whether a metric counts.
pub(super) fn counts(metric: &str) -> bool {
    if LEVELS.contains(&metric) {
        return false;
    }
    ["_count", "_sum", "_total", "_bucket"].iter().any(|end| metric.ends_with(end))
        || metric == "tikv_raftstore_message_recv_by_store"
        || metric == "tikv_engine_write_stall_reason"
}

/// What a counter rises by beyond its run: as many events as make it up, where it counts events.
pub(super) fn further(series: &Series, by: f64) -> f64 {
    let live = series.samples.iter().filter(|sample| !is_stale(sample.value));
    match live.map(|sample| sample.value).all(|value| value.fract() == 0.0) {
        true => by.round(),
        false => by,
    }
}

/// Units in which metrics tell an instant, in each millisecond: seconds, milliseconds, PD's timestamps with 18 bits
/// below them, nanoseconds.
const UNITS: [f64; 4] = [0.001, 1.0, 262_144.0, 1e6];
/// How far from the time of its sample an instant may be, in milliseconds, and move along with it.
const ABOUT_MS: f64 = 600_000.0;

/// Of a gauge whose values are instants about the times of their samples, such as the timestamp up to which
/// everything is resolved: how many units make a millisecond.
pub(super) fn unit_of_instants(series: &Series) -> Option<f64> {
    if counts(series.labels.metric()) {
        return None;
    }
    let live = || series.samples.iter().filter(|sample| !is_stale(sample.value));
    let is_about = |sample: &Sample, unit: f64| {
        (sample.value / unit - sample.at.as_millis() as f64).abs() <= ABOUT_MS
    };
    live().next()?;
    UNITS.into_iter().find(|unit| live().all(|sample| is_about(sample, *unit)))
}

impl Run {
    /// Cuts a stretch out of the middle and moves what follows forward, so that what lasts over it
    /// is shorter by it: counters go on from where they stood, and heartbeats and starts move
    /// along. A multiple of the scrape interval leaves the cadence as it was.
    pub fn splice(&mut self, out: TimeRange) {
        let by = out.millis();
        let moved = |at: Timestamp| match at {
            at if at < out.start => at,
            at if at < out.end => out.start,
            at => at.saturating_add_millis(-by),
        };
        for series in &mut self.series {
            let metric = series.labels.metric().to_owned();
            let live: Vec<Sample> =
                series.samples.iter().copied().filter(|s| !is_stale(s.value)).collect();
            let before = live.iter().rev().find(|s| s.at < out.start);
            let last = live.iter().rev().find(|s| s.at < out.end);
            let next = live.iter().find(|s| s.at >= out.end);
            let rose = match (before, last, next) {
                // Nothing was scraped inside: what it rose by over the scrape gap shrinks with the gap.
                (Some(a), Some(b), Some(c)) if a.at == b.at && c.value >= a.value => {
                    (c.value - a.value) * by as f64 / (c.at - a.at) as f64
                }
                (Some(a), Some(b), Some(_)) if b.value >= a.value => b.value - a.value,
                _ => 0.0,
            };
            let restarted = live.windows(2).any(|pair| {
                pair[1].at >= out.start && pair[1].at < out.end && pair[1].value < pair[0].value
            });
            series.samples.retain(|sample| !out.contains(sample.at));
            for sample in series.samples.iter_mut().filter(|s| s.at >= out.end) {
                sample.at = moved(sample.at);
                if is_stale(sample.value) {
                    continue;
                }
                match metric.as_str() {
                    "process_start_time_seconds" => {
                        let start = Timestamp::from_millis((sample.value * 1000.0) as i64);
                        sample.value = moved(start).as_millis() as f64 / 1000.0;
                    }
                    "pd_cluster_tso" if sample.value > 1e12 => sample.value -= by as f64,
                    name if counts(name) && !restarted => sample.value -= rose,
                    _ => {}
                }
            }
        }
        self.pd.retain(|answer| !out.contains(answer.sent));
        for answer in self.pd.iter_mut().filter(|answer| answer.sent >= out.end) {
            answer.sent = moved(answer.sent);
            if let PdOutcome::Answered { status: 200, body } = &mut answer.outcome {
                let times = answer.path.contains("/stores?") || answer.path.ends_with("/status");
                if times && let Ok(mut value) = serde_json::from_slice::<Value>(body) {
                    move_times(&mut value, &moved);
                    *body = value.to_string().into_bytes().into();
                }
            }
        }
        let end = moved(self.window.end);
        self.window = TimeRange::new(self.window.start, end);
    }

    /// Moves everything by this many milliseconds: samples, PD's answers, and the times inside both.
    pub fn shift(&mut self, by: i64) {
        let moved = |at: Timestamp| at.saturating_add_millis(by);
        for series in &mut self.series {
            let shift = match series.labels.metric() {
                "process_start_time_seconds" => by as f64 / 1000.0,
                "pd_cluster_tso" => by as f64,
                _ => 0.0,
            };
            for sample in &mut series.samples {
                sample.at = moved(sample.at);
                if !is_stale(sample.value) {
                    sample.value += shift;
                }
            }
        }
        for answer in &mut self.pd {
            answer.sent = moved(answer.sent);
            if let PdOutcome::Answered { status: 200, body } = &mut answer.outcome
                && let Ok(mut value) = serde_json::from_slice::<Value>(body)
            {
                move_times(&mut value, &moved);
                *body = value.to_string().into_bytes().into();
            }
        }
        self.window = TimeRange::new(moved(self.window.start), moved(self.window.end));
    }

    /// Makes what departs in a stretch milder, or graver: what each counter rises by beyond its
    /// pace in the two minutes before is multiplied.
    pub fn blend(&mut self, range: TimeRange, factor: f64) {
        let before = TimeRange::new(range.start.saturating_add_millis(-120_000), range.start);
        for series in &mut self.series {
            if !counts(series.labels.metric()) {
                continue;
            }
            let usual: Vec<&Sample> = series
                .samples
                .iter()
                .filter(|s| before.contains(s.at) && !is_stale(s.value))
                .collect();
            let pace = match (usual.first(), usual.last()) {
                (Some(a), Some(b)) if b.at > a.at => (b.value - a.value) / (b.at - a.at) as f64,
                _ => 0.0,
            };
            let mut taken = 0.0;
            let mut last: Option<Sample> = None;
            for sample in series.samples.iter_mut().filter(|s| !is_stale(s.value)) {
                let real = *sample;
                if let Some(last) = last
                    && range.contains(real.at)
                    && real.value >= last.value
                {
                    let usual = pace * (real.at - last.at) as f64;
                    let rose = real.value - last.value;
                    // What takes longer happens less often, and never not at all.
                    taken += rose - (usual + factor * (rose - usual)).max(0.2 * rose);
                }
                last = Some(real);
                sample.value -= taken;
            }
        }
    }
}

pub(super) fn move_times(value: &mut Value, moved: &impl Fn(Timestamp) -> Timestamp) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| move_times(one, moved)),
        Value::Object(map) => {
            for (key, one) in map.iter_mut() {
                match (key.as_str(), one.as_i64()) {
                    ("last_heartbeat", Some(nanos)) => {
                        let at = moved(Timestamp::from_millis(nanos / 1_000_000));
                        *one = (at.as_millis() * 1_000_000).into();
                    }
                    ("start_timestamp", Some(seconds)) => {
                        let at = moved(Timestamp::from_millis(seconds * 1000));
                        *one = (at.as_millis() / 1000).into();
                    }
                    _ => move_times(one, moved),
                }
            }
        }
        _ => {}
    }
}
