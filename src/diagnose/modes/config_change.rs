//! Somebody changed PD's configuration or paused a scheduler.

use crate::diagnose::case::Case;
use crate::diagnose::finding::{FindingKind, Target};
use crate::diagnose::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::tell::{Crossing, crossing};
use crate::model::TimeRange;

/// The mode.
pub const MODE: Mode = Mode {
    name: "config_change",
    row: 30,
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "the configuration was changed",
    subsumes: &[],
    needs: &[Need::PdMembers],
    metrics: &[],
    judge,
};

fn judge(case: &Case<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for change in &case.evidence.pd.config_changes {
        // PD is asked for its configuration once a minute.
        let mut claim = Claim::new(Target::cluster(), change.at, 60_000, 0.95);
        let show =
            |value: &str| if value.is_empty() { "unset".to_owned() } else { value.to_owned() };
        let text = format!("{}: {} -> {}", change.key, show(&change.from), show(&change.to));
        claim.readings.push(crossing(Crossing {
            kind: FindingKind::ConfigChanged,
            target: Target::cluster(),
            range: TimeRange::new(change.at, change.at),
            uncertainty_ms: 60_000,
            lasts: false,
            text,
            read: ("PD /config", format!("{} {}", change.key, change.to)),
            plot: Vec::new(),
        }));
        claim.target.concerns.push(change.key.clone());
        found.push(claim);
    }
    for (change, told) in case.schedulers.iter().filter(|(change, _)| change.paused) {
        let mut claim = Claim::new(Target::cluster(), change.at, 60_000, 0.95);
        claim.target.concerns.push(format!("{} paused", change.name));
        claim.end = change.end;
        claim.evidence = vec![*told];
        found.push(claim);
    }
    found
}
