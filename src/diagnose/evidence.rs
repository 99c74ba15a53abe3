//! The input of diagnosis: a window of one run, as known at an instant.
//!
//! Reading it from a capture or from a live recorder is left to the caller.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, OnceLock};

use crate::diagnose::clocks::Clocks;
use crate::diagnose::observations::client_metrics::is_latency;
use crate::diagnose::observations::pd_history::{PdHistory, StoreHistory};
use crate::diagnose::observations::scrapes::UnreadableSamples;
use crate::diagnose::observations::series_table::SeriesTable;
use crate::diagnose::survey::Survey;
use crate::diagnose::thresholds::Thresholds;
use crate::model::{
    AsOf, ClockOffset, Component, Gap, LogEvent, Loss, PdAnswer, ScrapedBy, Series, SettingsEvent,
    TargetKey, TimeRange, Timestamp, Told, Unreadable,
};
use crate::nodes::{ListedMember, ListedStore, Listing, Nodes};

/// What was recorded, in any order.
///
/// Marks that people made are not part of it: they are shown on the timeline and never used as
/// evidence. Lines of logs and the settings of stores, which stand beside them in a capture, are.
#[derive(Clone, Debug, Default)]
pub struct Parts<'a> {
    /// Series of the metrics that [`metrics`](super::metrics) names; others are ignored.
    pub series: Vec<Series>,
    /// Answers of PD's members to the recorder's requests.
    pub pd: &'a [PdAnswer],
    /// Times in which a source was not observed.
    pub gaps: &'a [Gap],
    /// Parts of the series and answers above that were recorded and cannot be read any more.
    pub unreadable: &'a [Unreadable],
    /// What the whole run has lost by damage; `None` where it is undamaged.
    pub loss: Option<&'a Loss>,
    /// Lines of components' logs.
    pub logs: Vec<LogEvent>,
    /// What was read of the settings of stores, also before the window.
    pub settings: Vec<SettingsEvent>,
    /// Offsets of sources' clocks that were measured.
    pub clock_offsets: &'a [ClockOffset],
    /// What somebody said of clusters and nodes.
    pub told: Told,
    /// Who scraped the targets.
    pub scraped_by: ScrapedBy,
}

/// A window of a run, as known at an instant. Nothing in it became known later.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The part of the run that is judged, cut off at `as_of`.
    pub window: TimeRange,
    /// The instant up to which everything known is used.
    pub as_of: Timestamp,
    /// Samples by metric and labels, and when each target was scraped.
    pub series: SeriesTable,
    survey: OnceLock<Survey>,
    /// By component, the longest of the typical scrape intervals of its targets.
    intervals: OnceLock<BTreeMap<Component, i64>>,
    /// PD's answers, as histories of its stores, members and configuration.
    pub pd: PdHistory,
    /// Times in which a source was not observed, ascending.
    pub gaps: Vec<Gap>,
    /// Lines of components' logs that were written before `as_of`, ascending.
    pub logs: Vec<LogEvent>,
    /// What was read before `as_of` of the settings of stores, also before the window, ascending.
    pub settings: Vec<SettingsEvent>,
    /// Every store and member that PD or Prometheus knows.
    pub nodes: Nodes,
    /// How far Prometheus's clock stands from the recorder's. PD's answers and their gaps are dated by
    /// Prometheus's here, as samples are.
    pub clocks: Clocks,
    /// Parts inside the window that were recorded and cannot be read any more.
    pub unreadable: Vec<Unreadable>,
    /// What the whole run has lost by damage; `None` where none of it lies inside the window.
    pub loss: Option<Loss>,
    /// The detection thresholds, one of which may be moved.
    pub thresholds: Thresholds,
    /// Who scraped the targets, for sentences about what it saw.
    pub scraped_by: ScrapedBy,
}

impl Evidence {
    /// Sorts the parts and leaves out what was not known at `as_of`.
    pub fn new(window: TimeRange, as_of: Timestamp, parts: Parts<'_>) -> Self {
        let seen = AsOf::new(as_of);
        let pd = PdHistory::new(parts.pd.iter().filter(|answer| seen.knows_answer(answer)));
        Self::with_history(window, as_of, pd, Parts { pd: &[], ..parts })
    }

    /// As [`new`](Self::new), where PD's answers have been read already: `pd` replaces `parts.pd`, and
    /// must hold no answer that was not known at `as_of`.
    pub fn with_history(
        window: TimeRange,
        as_of: Timestamp,
        mut pd: PdHistory,
        parts: Parts<'_>,
    ) -> Self {
        let known = AsOf::new(as_of);
        let mut series = parts.series;
        known.cut_samples(&mut series, parts.gaps);
        series.iter_mut().filter(|one| is_latency(&one.labels)).for_each(cut_idle_start);
        let seen = known.within(window);
        let within =
            |part: &&Unreadable| part.range == TimeRange::ALL || part.range.overlaps(&seen);
        let unreadable: Vec<Unreadable> = parts.unreadable.iter().filter(within).cloned().collect();
        let loss = parts.loss.filter(|loss| loss.parts.iter().any(|part| within(&part))).cloned();
        let begun = parts.gaps.iter().filter(|gap| known.knows_gap(gap));
        let mut gaps: Vec<Gap> = begun.cloned().collect();
        let measured = parts.clock_offsets.iter().filter(|offset| offset.at <= as_of);
        let mut clocks = Clocks::new(&series, &pd, measured, seen);
        if !clocks.agree() {
            let instants = RefCell::new(BTreeSet::new());
            pd.redate(|at| {
                instants.borrow_mut().insert(at);
                at
            });
            clocks.tell_apart(&instants.into_inner());
            pd.redate(|at| clocks.by_prometheus(at));
            clocks.gaps_by_prometheus(&mut gaps);
        }
        gaps.sort();
        let mut logs = parts.logs;
        logs.retain(|line| seen.contains(line.at));
        logs.sort();
        let mut settings = parts.settings;
        settings.retain(|event| event.at < seen.end);
        settings.sort();
        if !clocks.agree() {
            for event in &mut settings {
                event.at = clocks.by_prometheus(event.at);
                event.since = event.since.map(|since| clocks.by_prometheus(since));
            }
        }
        let (nodes, series) = Nodes::resolve(&Listing { told: parts.told, ..listing(&pd) }, series);
        let names = |key: &TargetKey| nodes.names_of_key(key).map(str::to_owned).collect();
        let series = SeriesTable::new(series, UnreadableSamples::new(&unreadable, names));
        Self {
            window: seen,
            as_of,
            series,
            survey: OnceLock::new(),
            intervals: OnceLock::new(),
            pd,
            gaps,
            logs,
            settings,
            nodes,
            clocks,
            unreadable,
            loss,
            thresholds: Thresholds::default(),
            scraped_by: parts.scraped_by,
        }
    }

    /// The longest of the typical scrape intervals of the targets of a component, in milliseconds. Every outage asks
    /// for it, and there may be one of every target, so that it is found once.
    pub fn longest_interval(&self, component: Component) -> i64 {
        let intervals = self.intervals.get_or_init(|| {
            let components: BTreeSet<Component> =
                self.nodes.targets.iter().map(|target| target.component).collect();
            let longest = |one| (one, self.series.longest_interval(self.nodes.names_of(one)));
            components.into_iter().map(longest).collect()
        });
        let found = intervals.get(&component).copied();
        found.unwrap_or_else(|| self.series.longest_interval([]))
    }

    /// Adds what was surveyed, as far as it was known; a survey that was added before stays.
    pub fn add_survey(&self, survey: &Survey) {
        let hidden = AsOf::new(self.as_of).hidden(&self.gaps);
        self.survey.get_or_init(|| survey.as_of(self.as_of, hidden));
    }

    /// What else was recorded, reduced; empty until [`add_survey`](Self::add_survey).
    pub fn survey(&self) -> &Survey {
        static NONE: LazyLock<Survey> = LazyLock::new(Survey::default);
        self.survey.get().unwrap_or(&NONE)
    }
}

/// Leaves out a bucket as long as it has counted nothing: most never do, and a live recorder need not keep them.
fn cut_idle_start(bucket: &mut Series) {
    let idle = bucket.samples.iter().take_while(|sample| sample.value == 0.0).count();
    bucket.samples.drain(..idle);
}

/// What PD lists, for matching scrape targets with it. Members are those that `/members` lists and those
/// that were asked.
fn listing(pd: &PdHistory) -> Listing<'_> {
    let asked = pd.members.iter().map(|(name, member)| (name, &member.url));
    let members = asked.chain(&pd.listed).map(|(name, url)| {
        let id = pd.member_ids.get(name).copied();
        let starts = pd.members.get(name).map_or(&[][..], |member| &member.starts);
        (name.clone(), ListedMember { url, id, starts })
    });
    Listing {
        stores: pd.stores.iter().map(|(id, history)| (*id, listed_store(history))).collect(),
        members: members.collect(),
        leaders: &pd.leaders,
        told: Told::default(),
    }
}

fn listed_store(history: &StoreHistory) -> ListedStore<'_> {
    ListedStore {
        address: &history.address,
        status_address: &history.status_address,
        former: &history.former_addresses,
        is_tiflash: history.is_tiflash,
        is_removed: history.is_removed(),
        was_present: history.was_present(),
        counts: &history.counts,
        free: &history.free,
        starts: &history.starts,
    }
}
