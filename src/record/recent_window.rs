//! What was recorded within the last while, for live diagnosis, which is the caller's.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::feed::CommitIncrement;
use super::held_samples::HeldSamples;
use crate::model::{
    AsOf, Fingerprint, Gap, KnownSettings, Labels, LogEvent, PdAnswer, Sample, Series,
    SettingsEvent, TimeRange, Timestamp,
};

/// What was recorded within the last while. Its size depends on the window and the
/// number of series, never on the length of the recording.
pub struct RecentWindow {
    horizon_ms: i64,
    first: Option<Timestamp>,
    newest: Timestamp,
    series: HashMap<Fingerprint, RecentSeries>,
    pd: VecDeque<PdAnswer>,
    gaps: Vec<Gap>,
    settings: Vec<SettingsEvent>,
    logs: Vec<LogEvent>,
}

struct RecentSeries {
    labels: Labels,
    samples: HeldSamples,
}

/// What was known of a window at an instant.
#[derive(Clone, Debug)]
pub struct KnownWindow {
    /// The window itself; it ends at that instant.
    pub window: TimeRange,
    /// The series that were asked for, with their samples inside the window, ascending by labels.
    pub series: Vec<Series>,
    /// Answers of PD that were sent inside the window, in the order of arrival.
    pub pd: Vec<PdAnswer>,
    /// Gaps that overlap the window.
    pub gaps: Vec<Gap>,
    /// What was read of the settings of stores, inside the window and before it.
    pub settings: Vec<SettingsEvent>,
    /// Lines of logs that were written inside the window.
    pub logs: Vec<LogEvent>,
}

impl RecentWindow {
    /// An empty window, which keeps `horizon_ms` before the newest instant passed to
    /// [`as_of`](Self::as_of).
    pub fn new(horizon_ms: i64) -> Self {
        Self {
            horizon_ms,
            first: None,
            newest: Timestamp::MIN,
            series: HashMap::new(),
            pd: VecDeque::new(),
            gaps: Vec::new(),
            settings: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// Adds an increment. Samples that are no newer than the last one of their series are skipped: live
    /// windows overlap, so they were added before.
    pub fn add(&mut self, increment: CommitIncrement) {
        self.first = match (self.first, increment.first) {
            (Some(held), Some(new)) => Some(held.min(new)),
            (held, new) => held.or(new),
        };
        for Series { labels, samples } in increment.series {
            self.add_samples(&labels, samples);
        }
        self.pd.extend(increment.pd);
        self.settings.extend(increment.settings);
        self.logs.extend(increment.logs);
        for gap in increment.gaps {
            let unhealed = |held: &Gap| Gap { healed_at: gap.healed_at, ..held.clone() } == gap;
            match self.gaps.iter().position(unhealed) {
                Some(place) => self.gaps[place] = gap,
                None => self.gaps.push(gap),
            }
        }
    }

    /// Adds samples of a series, as [`add`](Self::add) does.
    pub fn add_samples(&mut self, labels: &Labels, samples: impl IntoIterator<Item = Sample>) {
        let fresh = || RecentSeries { labels: labels.clone(), samples: HeldSamples::default() };
        let held = self.series.entry(labels.fingerprint()).or_insert_with(fresh);
        samples.into_iter().for_each(|sample| held.samples.push(sample));
    }

    /// Whether samples of the series with these labels are held.
    pub fn holds(&self, labels: &Labels) -> bool {
        self.series.contains_key(&labels.fingerprint())
    }

    /// What was known at `as_of` of the window that ends there, with the series that are `wanted`. Data that lies
    /// before any later window is dropped.
    pub fn as_of(&mut self, as_of: Timestamp, wanted: impl Fn(&Labels) -> bool) -> KnownWindow {
        self.forget(as_of);
        let window = AsOf::new(as_of).recent(self.first.unwrap_or(as_of), self.horizon_ms);
        let wanted = self.series_within(window).filter(|(labels, _)| wanted(labels));
        let series = wanted
            .map(|(labels, samples)| Series { labels: labels.clone(), samples: samples.collect() });
        let series = series.collect();
        let pd = self.pd.iter().filter(|answer| window.contains(answer.sent)).cloned().collect();
        let gaps = self.gaps.iter().filter(|gap| gap.range.overlaps(&window)).cloned().collect();
        let logs = self.logs.iter().filter(|line| window.contains(line.at)).cloned().collect();
        KnownWindow { window, series, pd, gaps, settings: self.settings.clone(), logs }
    }

    /// Every series with samples inside `window`, and those samples, ascending by labels: as many series as a large
    /// cluster has would take ten times the room at once.
    pub fn series_within(
        &self,
        window: TimeRange,
    ) -> impl Iterator<Item = (&Labels, impl Iterator<Item = Sample>)> {
        let within =
            move |held: &RecentSeries| held.samples.iter().any(|sample| window.contains(sample.at));
        let mut series: Vec<&RecentSeries> =
            self.series.values().filter(|held| within(held)).collect();
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        series.into_iter().map(move |held| {
            let samples = held.samples.iter().filter(move |sample| window.contains(sample.at));
            (&held.labels, samples)
        })
    }

    /// Puts what the readings before `oldest` made known in their place.
    fn forget_readings(&mut self, oldest: Timestamp) {
        let is_old = |event: &SettingsEvent| event.at < oldest;
        let old = self.settings.iter().filter(|event| is_old(event)).count();
        if old <= 2 * self.stores_read() {
            return;
        }
        let (old, recent): (Vec<_>, Vec<_>) = self.settings.drain(..).partition(is_old);
        self.settings = KnownSettings::of(&old).carried(oldest.saturating_add_millis(-1));
        self.settings.extend(recent);
    }

    fn stores_read(&self) -> usize {
        self.settings.iter().map(|event| event.store).collect::<BTreeSet<_>>().len()
    }

    fn forget(&mut self, as_of: Timestamp) {
        self.newest = self.newest.max(as_of);
        let oldest = self.newest.saturating_add_millis(-self.horizon_ms);
        self.series.retain(|_, held| {
            held.samples.forget(oldest);
            !held.samples.is_empty()
        });
        while self.pd.front().is_some_and(|answer| answer.sent < oldest) {
            self.pd.pop_front();
        }
        self.gaps.retain(|gap| gap.range.end > oldest);
        self.logs.retain(|line| line.at >= oldest);
        self.forget_readings(oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Occasion, SettingsRead, StoreId};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    #[test]
    fn settings_that_were_read_long_ago_are_known_and_take_no_more_room() {
        let mut recent = RecentWindow::new(100_000);
        let value = |text: &str| BTreeMap::from([("gc.num-threads".to_owned(), text.to_owned())]);
        for second in 0..50 {
            let read = match second {
                0 => SettingsRead::Whole(value("0")),
                _ => SettingsRead::Changed(value(&second.to_string())),
            };
            let (store, occasion) = (StoreId(4), Occasion::Hourly);
            let event = SettingsEvent { at: at(second), store, occasion, since: None, read };
            recent.add(CommitIncrement { settings: vec![event], ..CommitIncrement::default() });
        }
        let changes = |known: &KnownWindow| -> usize {
            let mut settings = KnownSettings::default();
            known.settings.iter().map(|event| settings.observe(event).len()).sum()
        };
        let early = recent.as_of(at(90), |_| true);
        assert_eq!((early.settings.len(), changes(&early)), (50, 49));
        let late = recent.as_of(at(140), |_| true);
        // Those of the last ten seconds, and what was known before.
        assert_eq!((late.settings.len(), changes(&late)), (11, 10));
        let known = KnownSettings::of(&late.settings);
        assert_eq!(known.stores[&StoreId(4)].values["gc.num-threads"].0, "49");
    }
}
