//! The cluster's lanes: for each store, member, target and kind of change, when it changed and when it was
//! missing, one below the other on one axis of time.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::text::text;
use super::track::Background;
use crate::diagnose::{Target, Verdict};
use crate::model::{Gap, Source, TimeRange, Timestamp};
use crate::report::page::clock;
use crate::report::replay_report::ReplayReport;
use crate::report::tone::Tone;
use crate::timeline::{Entry, EntryKind};

/// Height of a lane in pixels.
const HEIGHT: u32 = 22;
/// The most lanes of a group that are drawn; those in which something happened come first.
const LANES: usize = 16;
/// The most changes that are marked in a lane.
const MARKS: usize = 200;

/// What a group of lanes is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Stores,
    Members,
    Targets,
    Scheduling,
    Events,
}

impl Group {
    const ALL: [Self; 5] =
        [Self::Stores, Self::Members, Self::Targets, Self::Scheduling, Self::Events];

    fn heading(self) -> &'static str {
        match self {
            Self::Stores => "Stores",
            Self::Members => "PD members",
            Self::Targets => "Scrape targets",
            Self::Scheduling => "PD's operators, checks and settings",
            Self::Events => "Events",
        }
    }

    /// The group of a kind of change; `None` for gaps, which are drawn in every lane.
    fn of(kind: EntryKind) -> Option<Self> {
        use EntryKind as Kind;
        Some(match kind {
            Kind::PdMemberJoined
            | Kind::PdMemberLeft
            | Kind::PdMemberUnreachable
            | Kind::PdMemberReachable
            | Kind::PdMemberRestarted
            | Kind::PdMemberUnhealthy
            | Kind::PdMemberHealthy
            | Kind::PdLeaderChanged
            | Kind::PdLeaderLost
            | Kind::PdErrorAnswer
            | Kind::PdMalformedAnswer => Self::Members,
            Kind::StoreAppeared
            | Kind::StoreRemoved
            | Kind::StoreStateChanged
            | Kind::StoreNodeStateChanged
            | Kind::StoreRestarted
            | Kind::StoreLeaderCount
            | Kind::StoreRegionCount
            | Kind::StoreSlow
            | Kind::StoreNotSlow
            | Kind::SettingChanged
            | Kind::SettingsUnread => Self::Stores,
            Kind::PdOperators
            | Kind::SchedulerAdded
            | Kind::SchedulerRemoved
            | Kind::SchedulerPaused
            | Kind::SchedulerResumed
            | Kind::ConfigChanged
            | Kind::RegionCheckRaised
            | Kind::RegionCheckCleared => Self::Scheduling,
            Kind::TargetDown
            | Kind::TargetUp
            | Kind::TargetAbsent
            | Kind::TargetAppeared
            | Kind::ProcessRestarted => Self::Targets,
            Kind::Marked | Kind::LogRead | Kind::LogLine | Kind::LogLinesDropped => Self::Events,
            Kind::GapBegan | Kind::GapEnded => return None,
        })
    }
}

/// All lanes, group by group.
pub(super) fn lanes(
    background: &Background<'_>,
    report: &ReplayReport,
    verdict: &Verdict,
) -> Markup {
    let lanes = collect(report);
    html! {
        @for group in Group::ALL {
            @let mut shown: Vec<(&String, &Vec<&Entry>)> = lanes
                .iter().filter(|((of, _), _)| *of == group).map(|((_, name), entries)| (name, entries)).collect();
            @if !shown.is_empty() {
                @let left_out = keep_busy(&mut shown, verdict);
                h3 { (group.heading()) }
                ul class="lanes" {
                    @for (name, entries) in shown { (lane(background, verdict, group, name, entries)) }
                }
                @if left_out > 0 {
                    p class="quiet" { (left_out) " more, in which less happened" }
                }
            }
        }
        ul class="lanes" {
            li {
                span class="name" { "UTC" }
                svg width="100%" height="16" aria-hidden="true" { (background.time_labels(12)) }
            }
        }
    }
}

/// The lanes with their entries, those without any included.
fn collect(report: &ReplayReport) -> BTreeMap<(Group, String), Vec<&Entry>> {
    let mut lanes: BTreeMap<(Group, String), Vec<&Entry>> = BTreeMap::new();
    for state in [&report.initial, &report.last] {
        for store in &state.stores {
            let name = format!("store {} ({})", store.id, store.address);
            lanes.entry((Group::Stores, name)).or_default();
        }
        for (name, _) in &state.members {
            lanes.entry((Group::Members, name.clone())).or_default();
        }
        for target in &state.targets {
            lanes.entry((Group::Targets, target.target.clone())).or_default();
        }
    }
    for entry in &report.timeline {
        if let Some(group) = Group::of(entry.kind) {
            lanes.entry((group, entry.subject.clone())).or_default().push(entry);
        }
    }
    lanes
}

/// Keeps the lanes in which most happened, in their order, and returns how many are left out.
fn keep_busy(lanes: &mut Vec<(&String, &Vec<&Entry>)>, verdict: &Verdict) -> usize {
    let busy = |name: &str, entries: &[&Entry]| {
        let is_broken = verdict.causes.iter().any(|cause| is_target(&cause.target, name));
        (is_broken, entries.len())
    };
    let mut weights: Vec<_> = lanes.iter().map(|(name, entries)| busy(name, entries)).collect();
    weights.sort_unstable_by(|a, b| b.cmp(a));
    let Some(least) = weights.get(LANES - 1).copied() else { return 0 };
    let all = lanes.len();
    lanes.retain(|(name, entries)| busy(name, entries) >= least);
    lanes.truncate(LANES);
    all - lanes.len()
}

fn lane(
    background: &Background<'_>,
    verdict: &Verdict,
    group: Group,
    name: &str,
    entries: &[&Entry],
) -> Markup {
    let broken = verdict.causes.iter().filter(|cause| is_target(&cause.target, name));
    html! {
        li {
            span class="name" { (text(name)) }
            svg width="100%" height=(HEIGHT) role="img" aria-label=(text(spoken(entries))) {
                (background.faults())
                (background.time_lines(HEIGHT))
                line class="rail" x1="0" x2="100%" y1="50%" y2="50%" {}
                (background.gaps(|gap| misses(group, name, gap)))
                @for cause in broken {
                    @let end = cause.end_ms.unwrap_or(background.window.end);
                    (bar(background, "cause", TimeRange::new(cause.onset_ms, end), &cause.says))
                }
                @for (range, what) in absences(entries, background.window.end) {
                    (bar(background, "bad", range, what))
                }
                @for entry in entries.iter().take(MARKS) { (mark(background, entry)) }
            }
        }
    }
}

fn bar(background: &Background<'_>, class: &str, range: TimeRange, what: &str) -> Markup {
    html! {
        rect class=(class) x=(background.x(range.start)) y="4" width=(background.width(range)) height="14" {
            title { (clock(range.start)) " to " (clock(range.end)) ": " (text(what)) }
        }
    }
}

fn mark(background: &Background<'_>, entry: &Entry) -> Markup {
    let class = match Tone::of(entry.kind) {
        Tone::Bad => "mark bad",
        Tone::Good => "mark good",
        Tone::Notable => "mark notable",
        Tone::Marked => "mark event",
        Tone::Plain => "mark",
    };
    html! {
        circle class=(class) cx=(background.x(entry.at)) cy="11" r="4" {
            title { (clock(entry.at)) " " (text(&entry.text)) }
        }
    }
}

/// Whether a cause is about the node that a lane shows.
fn is_target(target: &Target, lane: &str) -> bool {
    let has_address = |address: &String| lane.ends_with(&format!("({address})"));
    target.address.as_ref().is_some_and(has_address)
        || lane.split(" (").next() == Some(target.name.as_str())
}

/// Whether a gap is one of the source that shows a lane.
fn misses(group: Group, lane: &str, gap: &Gap) -> bool {
    match (&gap.source, group) {
        (Source::Recorder, _) => true,
        (Source::Prometheus, _) => group == Group::Targets,
        (Source::PdMember(name), Group::Members) => name == lane,
        (Source::PdMember(_), _) => false,
    }
}

/// From when to when something was missing, as entries of one lane say it, and the text of the first.
fn absences<'a>(entries: &[&'a Entry], end: Timestamp) -> Vec<(TimeRange, &'a str)> {
    let mut found = Vec::new();
    let mut open: Option<&Entry> = None;
    for entry in entries {
        match Tone::of(entry.kind) {
            Tone::Bad => open = open.or(Some(entry)),
            // A new leader ends the time without one.
            tone if tone == Tone::Good || entry.kind == EntryKind::PdLeaderChanged => {
                let began = open.take();
                found.extend(
                    began.map(|began| (TimeRange::new(began.at, entry.at), began.text.as_str())),
                );
            }
            _ => {}
        }
    }
    found.extend(open.map(|began| (TimeRange::new(began.at, end), began.text.as_str())));
    found
}

/// The changes of a lane in words, for whoever does not see it.
fn spoken(entries: &[&Entry]) -> String {
    const SPOKEN: usize = 8;
    if entries.is_empty() {
        return "no change".to_owned();
    }
    let mut words: Vec<String> = entries
        .iter()
        .take(SPOKEN)
        .map(|entry| format!("{} {}", clock(entry.at), entry.text))
        .collect();
    if entries.len() > SPOKEN {
        words.push(format!("and {} more changes", entries.len() - SPOKEN));
    }
    words.join("; ")
}
