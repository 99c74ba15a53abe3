//! A bundled run in memory, and ways to tamper with it.
//!
//! What a mode looks like is derived from real samples: a node's counters are slowed, stopped or
//! raised over a stretch, a member's answers are taken away, a field of PD's documents is changed.
//! Everything else stays as it was recorded, noise included.

use std::path::PathBuf;

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
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data"));
        let reader = CaptureReader::open(&folder.join(format!("{name}.capture")))
            .expect("the capture opens");
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

    /// Drops series.
    pub fn drop_series(&mut self, drop: impl Fn(&Labels) -> bool) {
        self.series.retain(|one| !drop(&one.labels));
    }

    /// Keeps every second scrape of each target.
    pub fn halve_scrapes(&mut self) {
        let mut kept: std::collections::BTreeSet<(String, Timestamp)> = Default::default();
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
