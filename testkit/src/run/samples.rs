//! Changes of samples: gauges set, counters slowed, stopped and raised, scrapes that fail.

use std::collections::BTreeSet;

use operator::model::{Labels, Sample, Series, TimeRange, Timestamp, is_stale, stale_marker};

use super::Run;

impl Run {
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
        self.slow_down_those(histogram, instance, range, seconds, |_| true);
    }

    /// The same of those series that `keep` accepts.
    pub fn slow_down_those(
        &mut self,
        histogram: &str,
        instance: &str,
        range: TimeRange,
        seconds: f64,
        keep: impl Fn(&Labels) -> bool,
    ) {
        let counts: Vec<Series> = self
            .series
            .iter()
            .filter(|one| one.labels.metric() == format!("{histogram}_count"))
            .cloned()
            .collect();
        self.each(&format!("{histogram}_sum"), Some(instance), |labels, samples| {
            if !keep(labels) {
                return;
            }
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

    /// Multiplies what a target's counters rise by over a stretch.
    pub fn scale_rise(&mut self, metric: &str, range: TimeRange, factor: f64) {
        self.each(metric, None, |_, samples| {
            let mut before: Option<f64> = None;
            let mut added = 0.0;
            for sample in samples.iter_mut().filter(|s| !is_stale(s.value)) {
                let real = sample.value;
                if let Some(before) = before
                    && range.contains(sample.at)
                {
                    added += (real - before).max(0.0) * (factor - 1.0);
                }
                before = Some(real);
                sample.value += added;
            }
        });
    }
}
