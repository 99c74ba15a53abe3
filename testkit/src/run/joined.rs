//! Runs one after another, as if one cluster had been recorded for hours: counters go on where they stood,
//! heartbeats and starts move along, and nodes keep their names.

use std::collections::{BTreeMap, BTreeSet};

use operator::model::{
    Labels, PdAnswer, PdOutcome, STALE_NAN_BITS, Sample, Series, TimeRange, Timestamp, is_stale,
};
use serde_json::Value;

use super::Run;
use super::time::{counts, further, move_times, unit_of_instants};

/// Where runs that are laid end to end stand.
#[derive(Default)]
pub struct Joined {
    names: Option<Names>,
    end: Option<Timestamp>,
    last: BTreeMap<Labels, Last>,
    started: BTreeMap<String, i64>,
}

/// The last sample of a series.
#[derive(Clone, Copy)]
struct Last {
    at: Timestamp,
    value: f64,
}

/// The part of the quiet run in which leaders stay where they are, in seconds of the run: before, they move to a store
/// that serves nothing at first, which no cluster does every ten minutes.
const SETTLED: (i64, i64) = (465, 585);
/// How often that part follows itself.
const PARTS: i64 = 5;

/// By what a run's nodes are told apart that differs from run to run: of each, the texts in the same places.
#[derive(Clone)]
struct Names(Vec<String>);

impl Run {
    /// Of the quiet run `chaos-01`, ten minutes in which nothing changes.
    pub fn settled(mut self) -> Self {
        self.cut(self.range(SETTLED.0, SETTLED.1));
        self.repeat(PARTS);
        self
    }

    /// Bundled runs one after another, with the metrics that failure modes read, and how far each was moved, in
    /// milliseconds.
    pub fn joined(names: &[&str]) -> (Self, Vec<i64>) {
        let mut joined = Joined::default();
        let mut moved = Vec::new();
        let mut series: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
        let mut whole: Option<Self> = None;
        for name in names {
            let run = Self::load(name);
            let next = joined.next(&run);
            moved.push(next.window.start - run.window.start);
            for one in next.series {
                series.entry(one.labels).or_default().extend(one.samples);
            }
            match &mut whole {
                None => whole = Some(Self { series: Vec::new(), ..next }),
                Some(whole) => {
                    whole.window = TimeRange::new(whole.window.start, next.window.end);
                    whole.pd.extend(next.pd);
                    whole.gaps.extend(next.gaps);
                }
            }
        }
        let series = series.into_iter().map(|(labels, samples)| Series { labels, samples });
        let whole = whole.expect("a run is named");
        (Self { series: series.collect(), ..whole }, moved)
    }
}

impl Joined {
    /// The run as it would have gone on after the ones before: moved to their end, on whole minutes, under the
    /// names of the first one.
    pub fn next(&mut self, run: &Run) -> Run {
        let names = Names::of(run);
        let mut run = match &self.names {
            Some(first) if first.0 != names.0 => names.replaced(run, first),
            _ => run.clone(),
        };
        self.names.get_or_insert(names);
        let start = self.end.unwrap_or(run.window.start);
        // In whole seconds, in which starts of processes are told.
        let by = (start - run.window.start + 999).div_euclid(1000) * 1000;
        let begun = run.window.start;
        self.move_samples(&mut run, by);
        for answer in &mut run.pd {
            answer.sent = answer.sent.saturating_add_millis(by);
            self.move_body(answer, begun, by);
        }
        for gap in &mut run.gaps {
            let moved = |at: Timestamp| at.saturating_add_millis(by);
            gap.range = TimeRange::new(moved(gap.range.start), moved(gap.range.end));
            gap.healed_at = gap.healed_at.map(moved);
        }
        // A multiple of every interval that anything is asked at.
        let length = (run.window.millis() + 59_999) / 60_000 * 60_000;
        let end = start.saturating_add_millis(length);
        run.window = TimeRange::new(begun.saturating_add_millis(by), end);
        self.end = Some(end);
        run
    }

    fn move_samples(&mut self, run: &mut Run, by: i64) {
        let own: BTreeSet<Labels> = run.series.iter().map(|one| one.labels.clone()).collect();
        for series in &mut run.series {
            self.move_series(series, by);
        }
        // What the next run does not expose ends.
        let start = run.window.start.saturating_add_millis(by);
        let ended: Vec<Labels> =
            self.last.keys().filter(|labels| !own.contains(labels)).cloned().collect();
        for labels in ended {
            self.last.remove(&labels);
            let at = start.saturating_add_millis(1);
            let samples = vec![Sample { at, value: f64::from_bits(STALE_NAN_BITS) }];
            run.series.push(Series { labels, samples });
        }
        run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }

    fn move_series(&mut self, series: &mut Series, by: i64) {
        let metric = series.labels.metric().to_owned();
        let unit = unit_of_instants(series);
        let live = || series.samples.iter().filter(|one| !is_stale(one.value));
        let (Some(first), Some(newest)) = (live().next().copied(), live().next_back().copied())
        else {
            series.samples.iter_mut().for_each(|one| one.at = one.at.saturating_add_millis(by));
            return;
        };
        let before = self.last.get(&series.labels).copied();
        let mut added = match before {
            Some(before) if counts(&metric) => {
                let whole = (newest.at - first.at).max(1) as f64;
                let since = (first.at.saturating_add_millis(by) - before.at) as f64;
                let rose = (newest.value - first.value).max(0.0) * since / whole;
                before.value + further(series, rose) - first.value
            }
            _ => 0.0,
        };
        let begins = metric == "process_start_time_seconds";
        let start = begins.then(|| series.labels.to_string());
        let start = start.and_then(|labels| self.started.get(&labels)).copied();
        let mut raw = f64::NEG_INFINITY;
        for sample in &mut series.samples {
            sample.at = sample.at.saturating_add_millis(by);
            if is_stale(sample.value) {
                continue;
            }
            // A restart: the counter begins anew.
            if counts(&metric) && sample.value < raw {
                added = 0.0;
            }
            raw = sample.value;
            sample.value = match unit {
                _ if begins && raw == first.value => start.map_or(raw, |start| start as f64 / 1e3),
                _ if begins => raw + by as f64 / 1e3,
                Some(unit) => raw + by as f64 * unit,
                None => raw + added,
            };
        }
        let last = series.samples.iter().rev().find(|one| !is_stale(one.value));
        let Some(last) = last else { return };
        if begins {
            self.started.insert(series.labels.to_string(), (last.value * 1e3) as i64);
        }
        self.last.insert(series.labels.clone(), Last { at: last.at, value: last.value });
    }

    /// Moves times in a body of PD; the process that runs when a run begins is the one that ran before.
    fn move_body(&mut self, answer: &mut PdAnswer, begun: Timestamp, by: i64) {
        let PdOutcome::Answered { status: 200, body } = &mut answer.outcome else { return };
        if !answer.path.contains("/stores?") && !answer.path.ends_with("/status") {
            return;
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return };
        let mut starts: Vec<(String, i64)> = Vec::new();
        for store in value["stores"].as_array_mut().into_iter().flatten() {
            let fields = &mut store["store"];
            let Some(start) = fields["start_timestamp"].as_i64() else { continue };
            let own = format!("store {}", fields["id"]);
            let known = *self.started.entry(own.clone()).or_insert(start);
            if start * 1000 < begun.as_millis() {
                // `move_times` adds what is taken off here.
                fields["start_timestamp"] = (known - by / 1000).into();
            } else {
                starts.push((own, start + by / 1000));
            }
        }
        self.started.extend(starts);
        if answer.path.ends_with("/status")
            && let Some(start) = value["start_timestamp"].as_i64()
        {
            let known = *self.started.entry(format!("pd {}", answer.member)).or_insert(start);
            if start * 1000 < begun.as_millis() {
                value["start_timestamp"] = (known - by / 1000).into();
            }
        }
        move_times(&mut value, &|at| at.saturating_add_millis(by));
        *body = value.to_string().into_bytes().into();
    }
}

impl Names {
    /// Hosts and names in the order of stores by id, then of members with the leader first, then their ids and the
    /// cluster's.
    fn of(run: &Run) -> Self {
        let host =
            |address: &str| address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        let mut names: Vec<String> =
            run.stores().into_iter().map(|(_, address)| host(&address)).collect();
        let bodies = |end: &str| -> Vec<Value> {
            let own = run.pd.iter().filter(|one| one.path.ends_with(end));
            own.filter_map(|one| serde_json::from_slice(one.success()?).ok()).collect()
        };
        let members = bodies("/members").into_iter().next().unwrap_or_default();
        let leader = members["leader"]["name"].as_str().unwrap_or_default().to_owned();
        let mut all: Vec<&Value> = members["members"].as_array().into_iter().flatten().collect();
        all.sort_by_key(|one| (one["name"] != leader.as_str(), one["name"].to_string()));
        for one in all {
            let url = one["client_urls"][0].as_str().unwrap_or_default();
            names.push(host(url.trim_start_matches("http://")));
            names.push(format!("\"{}\"", one["name"].as_str().unwrap_or_default()));
            let id = one["member_id"].as_u64().unwrap_or_default();
            names.extend([id.to_string(), format!("{id:x}")]);
        }
        names.push(members["header"]["cluster_id"].to_string());
        Self(names)
    }

    /// The run under other names.
    fn replaced(&self, run: &Run, names: &Self) -> Run {
        assert_eq!(self.0.len(), names.0.len(), "clusters of the same size");
        let replaced = |text: &str| -> String {
            let held = |index: usize| format!("\u{1}{index}\u{2}");
            let mut text = text.to_owned();
            for (index, own) in self.0.iter().enumerate().filter(|(_, own)| own.len() > 3) {
                text = text.replace(own, &held(index));
            }
            for (index, other) in names.0.iter().enumerate() {
                text = text.replace(&held(index), other);
            }
            text
        };
        let mut run = run.clone();
        for series in &mut run.series {
            let pairs = series.labels.iter();
            let pairs = pairs.map(|(name, value)| (name.to_owned(), replaced(value)));
            series.labels = Labels::new(pairs.collect()).expect("names stay distinct");
        }
        run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        for answer in &mut run.pd {
            answer.url = replaced(&answer.url);
            answer.member =
                replaced(&format!("\"{}\"", answer.member)).trim_matches('"').to_owned();
            if let PdOutcome::Answered { body, .. } = &mut answer.outcome {
                *body = replaced(&String::from_utf8_lossy(body)).into_bytes().into();
            }
        }
        run
    }
}
