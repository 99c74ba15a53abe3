//! What the two modes about hot regions share.

use super::workload::{Spread, catches_up, spread};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{FindingKind, Target, TargetKind, number};
use crate::diagnose::flows::FlowKind;
use crate::diagnose::mode::Claim;
use crate::diagnose::tell::{Crossing, crossing};
use crate::model::TimeRange;

/// Rises that gather in one place, of one kind of flow.
pub fn judge_kind(case: &Case<'_>, kind: FlowKind) -> Vec<Claim> {
    let gathered = case.rises.iter().filter(|(rise, _)| spread(rise) == Spread::Gathered(kind));
    gathered
        .map(|(rise, told)| {
            let departure = &rise.departure;
            let mut target = Target::named(TargetKind::Workload, "workload");
            if let Some(hot) = rise.hot {
                target.concerns.push(format!("region {}", hot.region.region));
            }
            if let Some((store, _)) = rise.greatest {
                target.concerns.push(Target::store(&case.evidence.stores[store]).text());
            }
            let sure = rise.hot.is_some();
            let confidence = if sure { 0.95 } else { 0.75 };
            let mut claim =
                Claim::new(target.clone(), departure.onset, departure.uncertainty_ms, confidence);
            claim.end = departure.end;
            claim.evidence = vec![*told];
            if let Some(hot) = rise.hot {
                let route = match hot.kind {
                    FlowKind::Read => "PD /hotspot/regions/read",
                    FlowKind::Write => "PD /hotspot/regions/write",
                };
                claim.readings.push(crossing(Crossing {
                    kind: FindingKind::LoadConcentrated,
                    target,
                    range: TimeRange::new(hot.at, departure.end.unwrap_or(case.open())),
                    // PD's hot cache averages over some minutes.
                    uncertainty_ms: 60_000,
                    lasts: departure.end.is_none(),
                    text: format!(
                        "region {} takes {} % of the flow, {} KB/s; the greatest before took {} %",
                        hot.region.region,
                        number(hot.share * 100.0),
                        number(hot.region.bytes / 1000.0),
                        number(hot.before * 100.0)
                    ),
                    read: (route, format!("flow_bytes {}", number(hot.region.bytes))),
                    plot: Vec::new(),
                }));
            } else {
                let command =
                    format!("pd-ctl hot {}", if kind == FlowKind::Read { "read" } else { "write" });
                claim =
                    claim.unchecked("which region: PD's list of hot regions names none", &command);
            }
            if catches_up(case, rise) {
                claim.confidence -= 0.3;
                claim = claim.but("it follows a fault: clients catch up");
            }
            claim
        })
        .collect()
}
