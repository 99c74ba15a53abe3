//! Changes of a run as a whole: repeated, smaller, with degraded recording, under other names.

use std::collections::{BTreeMap, BTreeSet};

use operator::model::{Labels, PdOutcome, Sample, Series, TimeRange, Timestamp, is_stale};
use serde_json::Value;

use super::Run;
use super::time::{counts, further, unit_of_instants};

impl Run {
    /// Lays the run end to end, `times` in all: counters go on, gauges and answers repeat, and
    /// heartbeats move along.
    pub fn repeat(&mut self, times: i64) {
        // A multiple of every interval that anything is asked at.
        let length = (self.window.millis() + 59_999) / 60_000 * 60_000;
        for series in &mut self.series {
            let counts = counts(series.labels.metric());
            let live = || series.samples.iter().filter(|s| !is_stale(s.value)).map(|s| s.value);
            let live_at = || series.samples.iter().filter(|s| !is_stale(s.value)).map(|s| s.at);
            let rose = live().next_back().unwrap_or(0.0) - live().next().unwrap_or(0.0);
            // From the last sample to the first of the next lap it rises at its pace.
            let whole = live_at().next_back().zip(live_at().next()).map_or(0, |(b, a)| b - a);
            let rose = if whole > 0 { rose * length as f64 / whole as f64 } else { rose };
            let rose = further(series, rose);
            // What stands still in a lap does so in all: the clock of a member of PD that does not lead.
            let unit = unit_of_instants(series).filter(|_| rose > 0.0);
            let once = series.samples.clone();
            for number in 1..times {
                let added = match unit {
                    Some(unit) => (length * number) as f64 * unit,
                    None if counts => rose * number as f64,
                    None => 0.0,
                };
                series.samples.extend(once.iter().map(|sample| Sample {
                    at: sample.at.saturating_add_millis(length * number),
                    value: sample.value + added,
                }));
            }
        }
        let once = self.pd.clone();
        for number in 1..times {
            for mut answer in once.iter().cloned() {
                answer.sent = answer.sent.saturating_add_millis(length * number);
                if let PdOutcome::Answered { status: 200, body } = &mut answer.outcome
                    && answer.path.contains("/stores?")
                {
                    let mut value: Value = serde_json::from_slice(body).expect("it is JSON");
                    for store in value["stores"].as_array_mut().expect("a list") {
                        let beat = store["store"]["last_heartbeat"].as_i64().expect("a time");
                        let moved = beat + length * number * 1_000_000;
                        store["store"]["last_heartbeat"] = moved.into();
                    }
                    *body = value.to_string().into_bytes().into();
                }
                self.pd.push(answer);
            }
        }
        self.window = TimeRange::new(
            self.window.start,
            self.window.end.saturating_add_millis(length * (times - 1)),
        );
    }

    /// Scales what each target's counters rise by between two scrapes, so that all targets
    /// together rise by as much as in the minutes before the middle of the run.
    pub fn keep_total(&mut self, metric: &str) {
        let rise = |run: &Self, from: Timestamp, to: Timestamp| -> f64 {
            let of = |series: &Series| {
                let at = |at: Timestamp| {
                    series.samples.iter().rev().find(|s| s.at <= at && !is_stale(s.value))
                };
                Some(at(to)?.value - at(from)?.value)
            };
            let kept = run.series.iter().filter(|one| one.labels.metric() == metric);
            kept.filter_map(of).sum::<f64>() / (to - from) as f64
        };
        let whole = self.clone();
        let usual = rise(&whole, self.at(100), self.at(190));
        let factor = |at: Timestamp| {
            let now = rise(&whole, at.saturating_add_millis(-30_000), at);
            if now > usual { usual / now } else { 1.0 }
        };
        let step = 15_000;
        let factors: BTreeMap<i64, f64> = (0..self.window.millis() / step)
            .map(|k| (k, factor(self.window.start.saturating_add_millis((k + 1) * step))))
            .collect();
        let start = self.window.start;
        self.each(metric, None, |_, samples| {
            let mut before: Option<Sample> = None;
            let mut value = 0.0;
            for sample in samples.iter_mut().filter(|s| !is_stale(s.value)) {
                let real = *sample;
                if let Some(before) = before {
                    let place = (real.at - start) / step;
                    value += (real.value - before.value).max(0.0)
                        * factors.get(&place).copied().unwrap_or(1.0);
                } else {
                    value = real.value;
                }
                before = Some(real);
                sample.value = value;
            }
        });
    }

    /// Removes a store from series and answers, as if it had never existed.
    pub fn remove_store(&mut self, id: u64) {
        let stores = self.stores();
        let (_, instance) = stores.iter().find(|(one, _)| *one == id).expect("it is listed");
        let number = id.to_string();
        self.drop_series(|labels| {
            let named = |label: &str| labels.get(label) == Some(&number);
            labels.get("instance") == Some(instance) || named("store_id") || named("store")
        });
        let all = TimeRange::new(Timestamp::MIN, Timestamp::MAX);
        self.bodies("/stores?", all, |_, body| {
            let listed = body["stores"].as_array_mut().expect("stores are listed");
            listed.retain(|store| store["store"]["id"] != id);
        });
        self.bodies("/hotspot/regions/", all, |_, body| {
            for list in ["as_leader", "as_peer"] {
                if let Some(flows) = body[list].as_object_mut() {
                    flows.remove(&number);
                }
            }
        });
    }

    /// Drops the series that `drop` accepts.
    pub fn drop_series(&mut self, drop: impl Fn(&Labels) -> bool) {
        self.series.retain(|one| !drop(&one.labels));
    }

    /// Keeps every second scrape of each target.
    pub fn halve_scrapes(&mut self) {
        let mut kept: BTreeSet<(String, Timestamp)> = Default::default();
        for series in self.series.iter().filter(|one| one.labels.metric() == "up") {
            let instance = series.labels.get("instance").unwrap_or_default().to_owned();
            kept.extend(series.samples.iter().step_by(2).map(|s| (instance.clone(), s.at)));
        }
        for series in &mut self.series {
            let instance = series.labels.get("instance").unwrap_or_default().to_owned();
            series
                .samples
                .retain(|s| kept.contains(&(instance.clone(), s.at)) || is_stale(s.value));
        }
    }

    /// Renames a host everywhere.
    pub fn rename_host(&mut self, from: &str, to: &str) {
        for series in &mut self.series {
            let pairs = series
                .labels
                .iter()
                .map(|(name, value)| (name.to_owned(), value.replace(from, to)));
            series.labels = Labels::new(pairs.collect()).expect("names stay distinct");
        }
        for answer in &mut self.pd {
            answer.url = answer.url.replace(from, to);
            if let PdOutcome::Answered { body, .. } = &mut answer.outcome {
                let text = String::from_utf8_lossy(body).replace(from, to);
                *body = text.into_bytes().into();
            }
        }
        self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }

    /// Multiplies every counter of requests, as a larger cluster would show.
    pub fn scale_load(&mut self, factor: f64) {
        let of_requests =
            |one: &&mut Series| one.labels.metric().starts_with("tikv_grpc_msg_duration_seconds_");
        for series in self.series.iter_mut().filter(of_requests) {
            for sample in series.samples.iter_mut().filter(|s| !is_stale(s.value)) {
                sample.value *= factor;
            }
        }
    }

    /// Keeps only what lies in `range`.
    pub fn cut(&mut self, range: TimeRange) {
        self.window = range;
        for series in &mut self.series {
            series.samples.retain(|sample| range.contains(sample.at));
        }
        self.pd.retain(|answer| range.contains(answer.sent));
    }
}
