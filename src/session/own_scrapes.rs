//! What the recorder scraped itself while a Prometheus that it copies was away, put into Prometheus's series.
//!
//! Diagnosis merges the same samples as those of a replica, in `nodes`.

use std::collections::{BTreeSet, HashMap};

use crate::capture::{CaptureError, CaptureReader};
use crate::model::{
    LabelMatcher, Labels, SCRAPED_BY, Sample, Series, TimeRange, Timestamp, is_stale, stale_marker,
};
use crate::nodes::scrape_holes;

/// The targets that the recorder scraped in Prometheus's place, and when that counts.
pub(super) struct OwnScrapes {
    /// By the label `instance`.
    targets: HashMap<String, Vec<Target>>,
}

/// One such target.
struct Target {
    /// Its labels, without the one that says who scraped it.
    labels: Labels,
    /// The times in which Prometheus has no scrape of it, ascending.
    holes: Vec<Hole>,
    /// When the recorder ceased to scrape it.
    ends: Vec<Timestamp>,
}

/// A time without scrapes of Prometheus, and with own ones.
struct Hole {
    range: TimeRange,
    /// Prometheus's last scrape before.
    before: Option<Timestamp>,
    /// The first own scrape.
    first: Timestamp,
    /// The last one.
    last: Timestamp,
    /// Prometheus's first scrape afterwards.
    after: Option<Timestamp>,
}

impl OwnScrapes {
    /// The own scrapes of a capture; `None` where it has none.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the capture cannot be read.
    pub(super) fn of(reader: &CaptureReader) -> Result<Option<Self>, CaptureError> {
        let up = LabelMatcher::equal("__name__", "up");
        let own = LabelMatcher::equal(SCRAPED_BY.0, SCRAPED_BY.1);
        let own = reader.select(&[up.clone(), own], TimeRange::ALL)?;
        if own.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::new(&own, &reader.select(&[up], TimeRange::ALL)?)))
    }

    /// The own scrapes, out of their series `up` and of those of everybody.
    fn new(own: &[Series], all: &[Series]) -> Self {
        let others = all.iter().filter(|one| !one.labels.is_scraped_by_recorder());
        let others: HashMap<&Labels, &Series> = others.map(|one| (&one.labels, one)).collect();
        let mut targets: HashMap<String, Vec<Target>> = HashMap::new();
        for one in own {
            let up = one.labels.without(&[SCRAPED_BY.0]);
            let theirs = match others.get(&up) {
                Some(theirs) => scrapes(theirs),
                None if others.is_empty() => Vec::new(),
                // Which target of Prometheus this is is not known, and it would count twice.
                None => continue,
            };
            let labels = up.without(&["__name__"]);
            let instance = labels.get("instance").unwrap_or_default().to_owned();
            let ended = one.samples.iter().filter(|sample| is_stale(sample.value));
            let ends = ended.map(|sample| sample.at).collect();
            let target = Target { labels, holes: holes(&scrapes(one), &theirs), ends };
            targets.entry(instance).or_default().push(target);
        }
        Self { targets }
    }

    /// The series, with own samples put into those of Prometheus where Prometheus has none; series of which only
    /// own samples are there are Prometheus's, too. Both ascend by labels. `range` holds all samples.
    pub(super) fn filled_in(&self, series: Vec<Series>, range: TimeRange) -> Vec<Series> {
        let (own, mut filled): (Vec<Series>, Vec<Series>) =
            series.into_iter().partition(|one| one.labels.is_scraped_by_recorder());
        let places = filled.iter().enumerate();
        let mut places: HashMap<Labels, usize> =
            places.map(|(place, one)| (one.labels.clone(), place)).collect();
        for one in own {
            let labels = one.labels.without(&[SCRAPED_BY.0]);
            let Some(target) = self.target(&labels) else { continue };
            let samples = one.samples.into_iter().filter(|sample| target.counts(sample));
            let place = *places.entry(labels).or_insert_with_key(|labels| {
                filled.push(Series { labels: labels.clone(), samples: Vec::new() });
                filled.len() - 1
            });
            filled[place].samples.extend(samples);
        }
        for one in &mut filled {
            let Some(target) = self.target(&one.labels) else { continue };
            one.samples.sort_by_key(|sample| sample.at);
            one.samples.dedup_by_key(|sample| sample.at);
            target.end_where_it_ended(&mut one.samples, range);
        }
        filled.retain(|one| !one.samples.is_empty());
        filled.sort_by(|a, b| a.labels.cmp(&b.labels));
        filled
    }

    /// When the recorder scraped in Prometheus's place within `range`, over all targets.
    pub(super) fn within(&self, range: TimeRange) -> Option<TimeRange> {
        let holes = self.targets.values().flatten().flat_map(|target| &target.holes);
        let own = holes.map(|hole| TimeRange::new(hole.first, hole.last.saturating_add_millis(1)));
        let parts = own.filter(|own| own.overlaps(&range));
        parts.reduce(|a, b| TimeRange::new(a.start.min(b.start), a.end.max(b.end)))
    }

    fn target(&self, series: &Labels) -> Option<&Target> {
        let targets = self.targets.get(series.get("instance").unwrap_or_default())?;
        let is_of = |target: &&Target| {
            target.labels.iter().all(|(name, value)| series.get(name) == Some(value))
        };
        targets.iter().filter(is_of).max_by_key(|target| target.labels.len())
    }
}

impl Target {
    /// Whether an own sample stands in Prometheus's place. That the recorder ceased to scrape, since Prometheus
    /// does again, ends no series.
    fn counts(&self, sample: &Sample) -> bool {
        let hole = self.holes.iter().find(|hole| hole.range.contains(sample.at));
        let is_end = || is_stale(sample.value) && self.ends.contains(&sample.at);
        hole.is_some_and(|hole| hole.after.is_none() || !is_end())
    }

    /// Ends the series where whoever scraped next did not find it any more, as Prometheus does from one scrape to
    /// the next.
    fn end_where_it_ended(&self, samples: &mut Vec<Sample>, range: TimeRange) {
        for hole in &self.holes {
            for (before, after) in [(hole.before, Some(hole.first)), (Some(hole.last), hole.after)]
            {
                let (Some(before), Some(after)) = (before, after) else { continue };
                let place = |at: Timestamp| samples.binary_search_by_key(&at, |sample| sample.at);
                let was_there = place(before).is_ok_and(|place| !is_stale(samples[place].value));
                if let (true, Err(place)) = (was_there && range.contains(after), place(after)) {
                    samples.insert(place, Sample { at: after, value: stale_marker() });
                }
            }
        }
    }
}

/// The times of the scrapes of a target, ascending.
fn scrapes(up: &Series) -> Vec<Timestamp> {
    let live = up.samples.iter().filter(|sample| !is_stale(sample.value));
    live.map(|sample| sample.at).collect::<BTreeSet<_>>().into_iter().collect()
}

fn holes(own: &[Timestamp], theirs: &[Timestamp]) -> Vec<Hole> {
    let hole = |range: TimeRange| {
        let inside = || own.iter().copied().filter(|at| range.contains(*at));
        Some(Hole {
            range,
            before: theirs.iter().copied().rfind(|at| *at < range.start),
            first: inside().next()?,
            last: inside().next_back()?,
            after: theirs.iter().copied().find(|at| range.end <= *at),
        })
    };
    scrape_holes(theirs).into_iter().filter_map(hole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    const PROMETHEUS: &[(&str, &str)] = &[];
    const OWN: &[(&str, &str)] = &[SCRAPED_BY];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn series(metric: &str, by: &[(&str, &str)], seconds: &[i64]) -> Series {
        let labels = [("__name__", metric), ("job", "tikv"), ("instance", "a:1")];
        let sample = |second: &i64| Sample { at: at(*second), value: *second as f64 };
        let samples = seconds.iter().map(sample).collect();
        Series { labels: Labels::from_pairs(&labels).with(by), samples }
    }

    /// Scrapes every 15 s up to 60, and from 240 on; own ones between.
    fn scrapes() -> OwnScrapes {
        let own = series("up", OWN, &[50, 80, 95, 110, 225, 245]);
        let theirs = series("up", PROMETHEUS, &[0, 15, 30, 45, 60, 240, 255]);
        OwnScrapes::new(std::slice::from_ref(&own), &[own.clone(), theirs])
    }

    fn told(series: &[Series]) -> Vec<(String, Vec<String>)> {
        let value = |sample: &Sample| match is_stale(sample.value) {
            true => format!("{} ends", sample.at.as_millis() / 1_000),
            false => sample.value.to_string(),
        };
        let one = |one: &Series| {
            let name = one.labels.get(SCRAPED_BY.0).map_or("", |_| " own");
            let values = one.samples.iter().map(value).collect();
            (format!("{}{name}", one.labels.metric()), values)
        };
        series.iter().map(one).collect()
    }

    fn filled(series: Vec<Series>) -> Vec<(String, Vec<String>)> {
        told(&scrapes().filled_in(series, TimeRange::ALL))
    }

    fn one(metric: &str, values: &[&str]) -> (String, Vec<String>) {
        (metric.to_owned(), values.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn own_samples_stand_where_prometheus_has_none_and_nowhere_else() {
        let theirs = series("a", PROMETHEUS, &[45, 60, 240]);
        let own = series("a", OWN, &[50, 80, 225, 245]);
        let expected = [one("a", &["45", "60", "80", "225", "240"])];
        assert_eq!(filled(vec![theirs, own]), expected);
    }

    #[test]
    fn a_series_that_the_next_scrape_lacks_has_ended_then() {
        let (gone, new) = (series("gone", PROMETHEUS, &[45, 60]), series("new", OWN, &[110, 225]));
        let expected =
            [one("gone", &["45", "60", "80 ends"]), one("new", &["110", "225", "240 ends"])];
        assert_eq!(filled(vec![gone, new]), expected);
        // What was not scraped, as a recorded rule, ends with nothing.
        let rule = series("rule", PROMETHEUS, &[44, 59]);
        assert_eq!(filled(vec![rule]), [one("rule", &["44", "59"])]);
    }

    #[test]
    fn that_the_recorder_ceased_to_scrape_ends_no_series() {
        let mut up = series("up", OWN, &[80, 95]);
        let end = Sample { at: at(100), value: stale_marker() };
        up.samples.push(end);
        let theirs = |seconds| series("up", PROMETHEUS, seconds);
        let mut own = series("a", OWN, &[80, 95]);
        own.samples.push(end);
        let filled = |theirs: Series| {
            let scrapes = OwnScrapes::new(std::slice::from_ref(&up), &[up.clone(), theirs]);
            told(&scrapes.filled_in(vec![own.clone()], TimeRange::new(at(0), at(110))))
        };
        assert_eq!(filled(theirs(&[0, 15, 30, 120])), [one("a", &["80", "95"])]);
        assert_eq!(filled(theirs(&[0, 15, 30])), [one("a", &["80", "95", "100 ends"])]);
    }

    #[test]
    fn a_target_that_may_be_any_of_prometheus_counts_for_none() {
        let own = series("up", OWN, &[80, 95]);
        let mut other = series("up", PROMETHEUS, &[0, 15, 30]);
        other.labels = other.labels.with(&[("instance", "b:1")]);
        let all = [own.clone(), other.clone()];
        let scrapes = OwnScrapes::new(&all[..1], &all);
        let filled = scrapes.filled_in(all.to_vec(), TimeRange::ALL);
        assert_eq!(filled, [other]);
        // Where Prometheus was never there, nothing counts twice.
        let scrapes = OwnScrapes::new(&all[..1], &all[..1]);
        let filled = scrapes.filled_in(vec![own], TimeRange::ALL);
        assert_eq!(told(&filled), [one("up", &["80", "95"])]);
    }
}
