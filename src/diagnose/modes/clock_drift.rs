//! Clocks that jump back or disagree, as PD itself counts it.

use crate::diagnose::case::Case;
use crate::diagnose::finding::{FindingKind, Plot, PlotHow, Target, number};
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::tell::{Crossing, crossing};
use crate::model::{Labels, TimeRange};

/// The mode.
pub const MODE: Mode = Mode {
    name: "clock_drift",
    row: 24,
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the member's clock jumped or disagrees with the others'",
    subsumes: &[],
    needs: &[Need::PdMetrics],
    metrics: &[JUMPS, EVENTS],
    judge,
};

const JUMPS: &str = "pd_monitor_time_jump_back_total";
const EVENTS: &str = "pd_tso_events";

fn slow_clock(labels: &Labels) -> bool {
    labels.get("type") == Some("system_time_slow")
}

fn any(_: &Labels) -> bool {
    true
}

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for name in &case.member_names {
        let Some(instance) = case.evidence.instance_of_member(name) else { continue };
        let counters: [(&str, fn(&Labels) -> bool); 2] = [(JUMPS, any), (EVENTS, slow_clock)];
        for (metric, keep) in counters {
            let rate = case.evidence.series.rate(metric, &instance, keep);
            // PD counts an event only where its clock went back by itself; one is one too many.
            let Some(first) = rate.0.iter().find(|point| point.value > 0.0) else { continue };
            let last = rate.0.iter().rev().find(|point| point.value > 0.0).unwrap_or(first);
            let target = Target::member(name, case.evidence.member_address(name));
            let mut claim = Claim::new(target.clone(), first.at, first.at - first.since, 0.9);
            claim.end = Some(last.at);
            claim.readings.push(crossing(Crossing {
                kind: FindingKind::ClockJumped,
                target,
                range: TimeRange::new(first.at, last.at),
                uncertainty_ms: first.at - first.since,
                lasts: false,
                text: format!("{metric} rises"),
                read: (&format!("rate({metric}{{instance=\"{instance}\"}})"), number(first.value)),
                plot: vec![Plot {
                    metric: metric.to_owned(),
                    how: PlotHow::Rate,
                    instance: instance.clone(),
                    label: None,
                }],
            }));
            found.push(claim.unchecked("the offset of every clock", "chronyc tracking"));
        }
    }
    found
}
