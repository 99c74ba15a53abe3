//! A bundled run in memory, and ways to tamper with it.
//!
//! What a mode looks like is derived from real samples: a node's counters are slowed, stopped or
//! raised over a stretch, a member's answers are taken away, a field of PD's documents is changed.
//! Everything else stays as it was recorded, noise included.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use operator::capture::CaptureReader;
use operator::diagnose::{Evidence, Parts, Verdict, diagnose, metrics};
use operator::model::{
    Gap, GapReason, LabelMatcher, Labels, MatchOp, PdAnswer, PdOutcome, Sample, Series, TimeRange,
    Timestamp, is_stale, stale_marker,
};
use serde_json::Value;

/// A run.
#[derive(Clone)]
pub struct Run {
    pub window: TimeRange,
    pub series: Vec<Series>,
    pub pd: Vec<PdAnswer>,
    pub gaps: Vec<Gap>,
}

impl Run {
    /// Loads `data/<name>.capture`, with the metrics that diagnosis reads.
    pub fn load(name: &str) -> Self {
        static LOADED: Mutex<BTreeMap<String, Run>> = Mutex::new(BTreeMap::new());
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data"));
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || Self::open(&folder.join(format!("{name}.capture")));
        loaded.entry(name.to_owned()).or_insert_with(open).clone()
    }

    /// Opens any capture.
    pub fn open(path: &Path) -> Self {
        let reader = CaptureReader::open(path).expect("the capture opens");
        let names = format!("^(?:{})$", metrics().join("|"));
        let op = MatchOp::Regex(regex::Regex::new(&names).expect("names are words"));
        let matcher = LabelMatcher { name: "__name__".to_owned(), op, value: String::new() };
        let window = reader.window();
        Self {
            window,
            series: reader.select(&[matcher], window).expect("samples read"),
            pd: reader.pd_answers(window).expect("answers read"),
            gaps: reader.gaps().expect("gaps read"),
        }
    }

    /// The verdict on the whole.
    pub fn verdict(&self) -> Verdict {
        self.verdict_at(self.window.end)
    }

    /// The verdict as of an instant.
    pub fn verdict_at(&self, as_of: Timestamp) -> Verdict {
        let parts = Parts { series: self.series.clone(), pd: &self.pd, gaps: &self.gaps };
        diagnose(&Evidence::new(self.window, as_of, parts))
    }

    /// `seconds` after the start of the window.
    pub fn at(&self, seconds: i64) -> Timestamp {
        self.window.start.saturating_add_millis(seconds * 1000)
    }

    /// From and to, in seconds after the start.
    pub fn range(&self, from: i64, to: i64) -> TimeRange {
        TimeRange::new(self.at(from), self.at(to))
    }

    /// Lets `change` at every series of a metric, of one target where one is named.
    pub fn each(
        &mut self,
        metric: &str,
        instance: Option<&str>,
        mut change: impl FnMut(&Labels, &mut Vec<Sample>),
    ) {
        let mut found = false;
        for series in &mut self.series {
            let labels = series.labels.clone();
            if labels.metric() == metric
                && instance.is_none_or(|i| labels.get("instance") == Some(i))
            {
                found = true;
                change(&labels, &mut series.samples);
            }
        }
        assert!(found, "no series {metric} of {instance:?}");
    }

    /// Sets a gauge over a stretch.
    pub fn set(&mut self, metric: &str, instance: &str, range: TimeRange, value: f64) {
        self.set_where(metric, instance, range, value, |_| true);
    }

    /// Sets those of a metric's gauges that `keep` accepts.
    pub fn set_where(
        &mut self,
        metric: &str,
        instance: &str,
        range: TimeRange,
        value: f64,
        keep: impl Fn(&Labels) -> bool,
    ) {
        self.each(metric, Some(instance), |labels, samples| {
            for sample in samples.iter_mut().filter(|s| range.contains(s.at) && keep(labels)) {
                sample.value = value;
            }
        });
    }

    /// Makes a histogram's mean larger by `seconds` over a stretch: each observation takes so
    /// much longer.
    pub fn slow_down(&mut self, histogram: &str, instance: &str, range: TimeRange, seconds: f64) {
        let counts: Vec<Series> = self
            .series
            .iter()
            .filter(|one| one.labels.metric() == format!("{histogram}_count"))
            .cloned()
            .collect();
        self.each(&format!("{histogram}_sum"), Some(instance), |labels, samples| {
            let same = |one: &&Series| {
                one.labels
                    .iter()
                    .filter(|(name, _)| *name != "__name__")
                    .eq(labels.iter().filter(|(name, _)| *name != "__name__"))
            };
            let Some(count) = counts.iter().find(same) else { return };
            let mut added = 0.0;
            let mut before: Option<f64> = None;
            for (sample, count) in samples.iter_mut().zip(&count.samples) {
                if let Some(before) = before
                    && range.contains(sample.at)
                    && !is_stale(count.value)
                {
                    added += (count.value - before).max(0.0) * seconds;
                }
                before = Some(count.value);
                sample.value += added;
            }
        });
    }

    /// Lets a counter stand still over a stretch.
    pub fn freeze(
        &mut self,
        metric: &str,
        instance: &str,
        range: TimeRange,
        keep: impl Fn(&Labels) -> bool,
    ) {
        self.each(metric, Some(instance), |labels, samples| {
            if !keep(labels) {
                return;
            }
            let Some(level) = samples.iter().rev().find(|s| s.at < range.start).map(|s| s.value)
            else {
                return;
            };
            let Some(resumed) = samples.iter().rev().find(|s| s.at < range.end).map(|s| s.value)
            else {
                return;
            };
            for sample in samples.iter_mut().filter(|s| s.at >= range.start) {
                sample.value =
                    if sample.at < range.end { level } else { sample.value - (resumed - level) };
            }
        });
    }

    /// Adds a counter that rises at a pace over a stretch, sampled with its target's scrapes.
    pub fn add_counter(&mut self, pairs: &[(&str, &str)], range: TimeRange, per_second: f64) {
        let labels = Labels::from_pairs(pairs);
        let instance = labels.get("instance").expect("the counter has a target").to_owned();
        let up = self.series.iter().find(|one| {
            one.labels.metric() == "up" && one.labels.get("instance") == Some(&instance)
        });
        let times = up.expect("the target is scraped").samples.iter();
        let value = |at: Timestamp| {
            let until = at.min(range.end);
            (until - range.start).max(0) as f64 / 1000.0 * per_second
        };
        let samples = times
            .filter(|sample| sample.value > 0.0 && sample.at >= range.start)
            .map(|sample| Sample { at: sample.at, value: value(sample.at).round() })
            .collect();
        self.series.push(Series { labels, samples });
        self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }

    /// Makes a target's scrapes fail over a stretch, each after so many seconds.
    pub fn fail_scrapes(&mut self, instance: &str, range: TimeRange, took: f64) {
        for series in &mut self.series {
            if series.labels.get("instance") != Some(instance) {
                continue;
            }
            let of_scrape = match series.labels.metric() {
                "up" => Some(0.0),
                "scrape_duration_seconds" => Some(took),
                _ => None,
            };
            let mut ended = false;
            series.samples.retain_mut(|sample| {
                if !range.contains(sample.at) {
                    return true;
                }
                let first = !std::mem::replace(&mut ended, true);
                match of_scrape {
                    Some(value) => sample.value = value,
                    None => sample.value = stale_marker(),
                }
                of_scrape.is_some() || first
            });
        }
    }

    /// Gives a target's process a new start: the gauge says so, and counters begin at zero.
    pub fn restart_process(&mut self, instance: &str, at: Timestamp) {
        for series in &mut self.series {
            if series.labels.get("instance") != Some(instance) {
                continue;
            }
            let metric = series.labels.metric().to_owned();
            let after = series.samples.iter().filter(|s| s.at >= at && !is_stale(s.value));
            let level = after.map(|s| s.value).next();
            for sample in series.samples.iter_mut().filter(|s| s.at >= at && !is_stale(s.value)) {
                if metric == "process_start_time_seconds" {
                    sample.value = (at.as_millis() / 1000) as f64;
                } else if metric.ends_with("_count")
                    || metric.ends_with("_sum")
                    || metric.ends_with("_total")
                {
                    sample.value -= level.unwrap_or(0.0);
                }
            }
        }
    }

    /// Changes the bodies of successful answers to a route that were sent in a stretch.
    pub fn bodies(
        &mut self,
        route: &str,
        range: TimeRange,
        mut change: impl FnMut(Timestamp, &mut Value),
    ) {
        let mut found = false;
        for answer in
            self.pd.iter_mut().filter(|a| a.path.contains(route) && range.contains(a.sent))
        {
            if let PdOutcome::Answered { status: 200, body } = &mut answer.outcome {
                let mut value: Value = serde_json::from_slice(body).expect("PD answers in JSON");
                change(answer.sent, &mut value);
                *body = value.to_string().into_bytes();
                found = true;
            }
        }
        assert!(found, "no answer to {route}");
    }

    /// Changes one store's entry in every listing of a stretch.
    pub fn store_entries(
        &mut self,
        id: u64,
        range: TimeRange,
        mut change: impl FnMut(Timestamp, &mut Value),
    ) {
        self.bodies("/stores?", range, |at, body| {
            let stores = body["stores"].as_array_mut().expect("stores are listed");
            for store in stores.iter_mut().filter(|store| store["store"]["id"] == id) {
                change(at, store);
            }
        });
    }

    /// Stops a store's heartbeats over a stretch, as PD tells it.
    pub fn stop_heartbeats(&mut self, id: u64, range: TimeRange) {
        let mut last = None;
        self.store_entries(id, range, |at, store| {
            let held =
                *last.get_or_insert(store["store"]["last_heartbeat"].as_i64().expect("a time"));
            store["store"]["last_heartbeat"] = held.into();
            if at.as_millis() - held / 1_000_000 > 20_000 {
                store["store"]["state_name"] = "Disconnected".into();
            }
        });
    }

    /// Takes away a member's answers over a stretch.
    pub fn silence_member(&mut self, name: &str, range: TimeRange, reason: GapReason) {
        for answer in self.pd.iter_mut().filter(|a| a.member == name && range.contains(a.sent)) {
            answer.outcome = PdOutcome::Failed { reason, detail: "no answer".to_owned() };
        }
    }

    /// Lets everybody name another leader of PD from an instant on.
    pub fn move_pd_leader(&mut self, to: &str, from: Timestamp) {
        let range = TimeRange::new(from, Timestamp::MAX);
        self.bodies("/members", range, |_, body| {
            let members = body["members"].as_array().expect("members are listed");
            let member =
                members.iter().find(|member| member["name"] == to).expect("it is a member");
            let member = member.clone();
            body["leader"] = member.clone();
            body["etcd_leader"] = member;
        });
        // What only the leader is asked is asked of the new one.
        let leader_only = |path: &str| {
            !["ping", "health", "status", "members"].iter().any(|route| path.ends_with(route))
        };
        for answer in self.pd.iter_mut().filter(|a| a.sent >= from && leader_only(&a.path)) {
            answer.member = to.to_owned();
        }
    }

    /// All stores: id and instance, ascending.
    pub fn stores(&self) -> Vec<(u64, String)> {
        let listing = self.pd.iter().find(|a| a.path.contains("/stores?") && a.success().is_some());
        let body = listing.expect("stores are listed").success().expect("it is one");
        let body: Value = serde_json::from_slice(body).expect("it is JSON");
        let store = |store: &Value| {
            let id = store["store"]["id"].as_u64().expect("an id");
            let status = store["store"]["status_address"].as_str().expect("an address");
            (id, status.to_owned())
        };
        let mut found: Vec<_> =
            body["stores"].as_array().expect("a list").iter().map(store).collect();
        found.sort();
        found
    }

    /// One of them: id, instance and what verdicts call it.
    pub fn store(&self, index: usize) -> (u64, String, String) {
        let (id, instance) = self.stores()[index].clone();
        (id, instance, format!("store {id}"))
    }

    /// Lays the run end to end, `times` in all: counters go on, gauges and answers repeat, and
    /// heartbeats move along.
    pub fn repeat(&mut self, times: i64) {
        // A multiple of every interval that anything is asked at.
        let length = (self.window.millis() + 59_999) / 60_000 * 60_000;
        for series in &mut self.series {
            let metric = series.labels.metric().to_owned();
            let metric = metric.as_str();
            let counts =
                ["_count", "_sum", "_total", "_bucket"].iter().any(|end| metric.ends_with(end));
            let live = || series.samples.iter().filter(|s| !is_stale(s.value)).map(|s| s.value);
            let rose = live().next_back().unwrap_or(0.0) - live().next().unwrap_or(0.0);
            let once = series.samples.clone();
            for number in 1..times {
                let added = match metric {
                    // Milliseconds of PD's clock, where the member leads.
                    "pd_cluster_tso" if rose > 0.0 => (length * number) as f64,
                    _ if counts => rose * number as f64,
                    _ => 0.0,
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
                    *body = value.to_string().into_bytes();
                }
                self.pd.push(answer);
            }
        }
        self.window = TimeRange::new(
            self.window.start,
            self.window.end.saturating_add_millis(length * (times - 1)),
        );
    }

    /// Stops a process over a stretch and lets it go on: its counters stand still, it answers
    /// neither PD nor Prometheus.
    pub fn pause(&mut self, index: usize, from: i64, to: i64) {
        let (id, instance, _) = self.store(index);
        let range = self.range(from, to);
        let counters: Vec<String> = self
            .series
            .iter()
            .filter(|one| one.labels.get("instance") == Some(&instance))
            .map(|one| one.labels.metric().to_owned())
            .filter(|name| ["_count", "_sum", "_total"].iter().any(|end| name.ends_with(end)))
            .collect();
        for metric in counters.iter().collect::<BTreeSet<_>>() {
            self.stand_still(metric, &instance, range);
        }
        // A scrape that begins within ten seconds of the end is answered in time.
        self.fail_scrapes(&instance, self.range(from, (to - 10).max(from)), 10.0);
        self.stop_heartbeats(id, range);
    }

    /// Takes out of a target's counter what it rose by over a stretch, at its usual pace.
    fn stand_still(&mut self, metric: &str, instance: &str, range: TimeRange) {
        self.each(metric, Some(instance), |_, samples| {
            let live: Vec<Sample> =
                samples.iter().copied().filter(|s| !is_stale(s.value)).collect();
            let value_at = |at: Timestamp| {
                let after = live.iter().position(|s| s.at >= at)?;
                let (a, b) = (live.get(after.checked_sub(1)?)?, live[after]);
                let share = (at - a.at) as f64 / (b.at - a.at) as f64;
                Some(a.value + (b.value - a.value) * share)
            };
            let Some(start) = value_at(range.start) else { return };
            for sample in samples.iter_mut().filter(|s| s.at >= range.start) {
                let until = value_at(sample.at.min(range.end)).unwrap_or(start);
                sample.value -= until - start;
            }
        });
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

    /// Drops series.
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
                *body = text.into_bytes();
            }
        }
        self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }

    /// Multiplies every counter of requests, as a larger cluster would show.
    pub fn scale_load(&mut self, factor: f64) {
        for metric in ["tikv_grpc_msg_duration_seconds_count", "tikv_grpc_msg_duration_seconds_sum"]
        {
            self.each(metric, None, |_, samples| {
                for sample in samples.iter_mut().filter(|s| !is_stale(s.value)) {
                    sample.value *= factor;
                }
            });
        }
    }

    /// Cuts the window.
    pub fn cut(&mut self, range: TimeRange) {
        self.window = range;
        for series in &mut self.series {
            series.samples.retain(|sample| range.contains(sample.at));
        }
        self.pd.retain(|answer| range.contains(answer.sent));
    }
}
