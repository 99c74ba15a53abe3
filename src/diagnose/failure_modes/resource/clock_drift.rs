//! A PD member's clock jumps or disagrees with the others', by PD's own counters and timestamps.

use crate::diagnose::findings::finding::{FindingKind, Plot, PlotHow, Target, number};
use crate::diagnose::findings::{Crossing, crossing, plot};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Selected;
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::hosts::{ClockOff, clock_off};
use crate::diagnose::observations::tracks::Point;
use crate::model::{Labels, TimeRange};
use crate::nodes::NodeIndex;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "clock_drift",
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the member's clock jumped or disagrees with the others'",
    said: Some("the member's clock jumped or disagreed with the others'"),
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMetrics],
    metrics: &[JUMPS, EVENTS, TSO],
    surest: 0.9,
    advice: Advice {
        check: "on each PD machine: chronyc tracking, or timedatectl",
        remedy: "mend time synchronization; slew the clock, do not step it (a change)",
        risk: "timestamps never go back: they stay ahead until time catches up",
        documentation: "https://docs.pingcap.com/tidb/stable/check-before-deployment",
        section: None,
    },
    judge,
};

const JUMPS: &str = "pd_monitor_time_jump_back_total";
const EVENTS: &str = "pd_tso_events";
const TSO: &str = "pd_cluster_tso";

/// The least step of a clock, in milliseconds. PD's leader takes the physical part of its timestamps from
/// its clock every 50 ms, so that they follow Prometheus's clock some tens of milliseconds behind. Even a
/// busy machine does not shift them by two seconds more.
const STEP_MS: f64 = 2_000.0;

/// When the clock of PD's leader moved against Prometheus's: the first and the last point after the step,
/// and its size in milliseconds.
fn step(observed: &ObservedWindow<'_>, name: &str, instance: &str) -> Option<(Point, Point, f64)> {
    let physical = |labels: &Labels| labels.get("type") == Some("tso");
    let track = observed.evidence.series.gauge(TSO, instance, physical);
    // A member that leads no more goes on exporting its last timestamp.
    let leads = |point: &&Point| {
        let pd = &observed.evidence.pd;
        let settled = point.at.saturating_add_millis(-10_000);
        point.value > 0.0
            && pd.leader_at(point.at) == Some(name)
            && pd.leads_since(point.at).is_some_and(|since| since <= settled)
    };
    // Timestamps that stand still show no clock: PD gives none out.
    let still = |index: usize| index > 0 && track.0[index - 1].value == track.0[index].value;
    let moving = track.0.iter().enumerate().filter(|(index, _)| !still(*index));
    let points: Vec<Point> = moving.map(|(_, point)| point).filter(leads).copied().collect();
    let offset = |point: &Point| point.value - point.at.as_millis() as f64;
    let usual = median(points.iter().take(4).map(offset))?;
    let off = |point: &Point| (offset(point) - usual).abs() >= STEP_MS;
    let pair = points.windows(2).find(|pair| off(&pair[0]) && off(&pair[1]))?;
    let last = points.iter().rev().find(|point| off(point)).copied().unwrap_or(pair[1]);
    (points.len() > 4).then(|| (pair[0], last, offset(&pair[1]) - usual))
}

fn slow_clock(labels: &Labels) -> bool {
    labels.get("type") == Some("system_time_slow")
}

/// Whether the member became PD's leader at that time. A new leader starts from the last timestamp that
/// the old one saved, up to `tso-save-interval` (3 s) ahead of any clock, and counts its own clock as
/// slow until that has caught up.
fn takes_over(observed: &ObservedWindow<'_>, name: &str, point: &Point) -> bool {
    observed.leader_changes.iter().any(|(change, _)| {
        let since = change.leaderless_since.unwrap_or(change.at);
        change.to.as_deref() == Some(name)
            && point.at >= since.saturating_add_millis(-LISTED_LATE_MS)
            && point.since <= change.at.saturating_add_millis(LISTED_LATE_MS)
    })
}

/// How late a change of PD's leader is noticed, in milliseconds: members are asked every 10 s.
const LISTED_LATE_MS: i64 = 10_000;

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for name in &observed.member_names {
        let Some(instance) = observed.evidence.nodes.instance_of_member(name) else { continue };
        found.extend(counted_jumps(observed, name, &instance));
        found.extend(moved_clock(observed, name, &instance));
    }
    found.extend(told_by_machines(observed));
    found
}

/// Members whose machine says that its clock is off what it is synchronized with.
fn told_by_machines(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let members = observed.evidence.nodes.members.iter().enumerate();
    let claims = members.filter_map(|(index, member)| {
        let off = clock_off(observed.evidence, NodeIndex::Member(index))?;
        let target = Target::member(&member.name, member.address.clone());
        let uncertainty_ms = (off.at - off.since).max(1_000);
        let mut claim = Claim::new(target.clone(), off.at, uncertainty_ms, 0.9);
        claim.end = off.end;
        let (most, most_at) = off.most;
        let reading = crossing(Crossing {
            kind: FindingKind::ClockJumped,
            target,
            range: TimeRange::new(off.at, off.end.unwrap_or(observed.open()).max(off.at)),
            uncertainty_ms,
            lasts: off.end.is_none(),
            text: format!("its machine's clock is off by {} s", number(most)),
            read: (&off.reference, number(most)),
            plot: vec![plot(ClockOff::METRIC, PlotHow::Gauge, &off.machine)],
        });
        claim.readings.push(reading.read_at(most_at));
        Some(claim)
    });
    claims.collect()
}

/// Jumps back that PD itself counted; a claim for each of its two counters that rose.
fn counted_jumps(observed: &ObservedWindow<'_>, name: &str, instance: &str) -> Vec<Claim> {
    let series = &observed.evidence.series;
    let counters = [
        (JUMPS, series.rate(JUMPS, instance, |_| true)),
        (EVENTS, series.rate(EVENTS, instance, slow_clock)),
    ];
    let claims = counters.into_iter().filter_map(|(metric, rate)| {
        // PD counts an event only where its clock went back by itself; one is one too many.
        let went_back = |point: &&Point| {
            point.value > 0.0 && (metric == JUMPS || !takes_over(observed, name, point))
        };
        let first = rate.0.iter().find(went_back)?;
        let last = rate.0.iter().rev().find(went_back).unwrap_or(first);
        let target = Target::member(name, observed.evidence.nodes.member_address(name));
        let mut claim = Claim::new(target.clone(), first.at, first.at - first.since, 0.9);
        claim.end = Some(last.at);
        claim.readings.push(crossing(Crossing {
            kind: FindingKind::ClockJumped,
            target,
            range: TimeRange::new(first.at, last.at),
            uncertainty_ms: first.at - first.since,
            lasts: false,
            text: format!("{metric} rises"),
            read: (&Selected::all(metric, instance).rate(), number(first.value)),
            plot: vec![Plot {
                metric: metric.to_owned(),
                how: PlotHow::Rate,
                instance: instance.to_owned(),
                label: None,
            }],
        }));
        Some(claim.unchecked("the offset of every clock", "chronyc tracking"))
    });
    claims.collect()
}

/// A clock that moved against Prometheus's, by the timestamps that the member gave out.
fn moved_clock(observed: &ObservedWindow<'_>, name: &str, instance: &str) -> Option<Claim> {
    let (first, last, by) = step(observed, name, instance)?;
    if observed.evidence.clocks.prometheus_stepped(TimeRange::new(first.since, first.at)) {
        return None;
    }
    let target = Target::member(name, observed.evidence.nodes.member_address(name));
    let mut claim = Claim::new(target.clone(), first.at, first.at - first.since, 0.9);
    claim.end = (last.at < observed.open().saturating_add_millis(-30_000)).then_some(last.at);
    claim.readings.push(crossing(Crossing {
        kind: FindingKind::ClockJumped,
        target,
        range: TimeRange::new(first.at, last.at),
        uncertainty_ms: first.at - first.since,
        lasts: claim.end.is_none(),
        text: format!(
            "its timestamps move by {} s against {}'s clock",
            number(by / 1e3),
            observed.evidence.scraped_by.text()
        ),
        read: (&format!("{TSO}{{type=\"tso\",instance=\"{instance}\"}}"), number(first.value)),
        plot: Vec::new(),
    }));
    Some(claim.unchecked("the offset of every clock", "chronyc tracking"))
}
