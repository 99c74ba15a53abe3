//! PD's configuration was changed, or a scheduler was paused.

use crate::diagnose::findings::finding::{FindingKind, Target};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, KNOWN_DEPTHS, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::pd_history::ConfigChange;
use crate::model::{Series, TimeRange, Timestamp};

/// The declaration of this planned change.
pub const MODE: Mode = Mode {
    name: "config_change",
    nature: Nature::Change,
    depth: Depth::Presence,
    says: "the configuration was changed",
    said: None,
    subsumes: &[],
    // A change of configuration moves no load and slows no disk.
    never_explains: &KNOWN_DEPTHS,
    needs: &[Need::PdMembers],
    metrics: &[STATUS],
    surest: 0.95,
    advice: Advice {
        check: "pd-ctl config show beside the timeline: who changed what, and why?",
        remedy: "if harm followed, pd-ctl config set the old value (a change)",
        risk: "PD acts on the new value at once",
        documentation: "https://docs.pingcap.com/tidb/stable/dynamic-config",
        section: None,
    },
    judge,
};

/// The metric in which PD exports the numbers and switches of its schedule configuration.
pub const STATUS: &str = "pd_config_status";

/// How late a change is noticed, in milliseconds: PD is asked for its configuration once a minute.
const ASKED_MS: i64 = 60_000;

/// When a change happened, and how far that may be off in milliseconds. Many items are exported as
/// metrics too, and PD is scraped more often than it is asked.
pub fn onset(observed: &ObservedWindow<'_>, change: &ConfigChange) -> (Timestamp, i64) {
    let item = change.key.rsplit('.').next().unwrap_or(&change.key);
    let of_item = |series: &&Series| series.labels.get("type") == Some(item);
    let from = change.at.saturating_add_millis(-ASKED_MS - 15_000);
    let scraped = observed.evidence.series.metric(STATUS).iter().filter(of_item);
    let moved = scraped.flat_map(|series| {
        let steps = series.samples.windows(2).filter(|pair| pair[0].value != pair[1].value);
        steps.map(|pair| (pair[1].at, pair[1].at - pair[0].at)).collect::<Vec<_>>()
    });
    let near =
        moved.filter(|(at, _)| *at >= from && *at <= change.at.saturating_add_millis(15_000));
    near.min().map_or((change.at, ASKED_MS), |(at, apart)| (at.min(change.at), apart))
}

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found = Vec::new();
    for change in &observed.evidence.pd.config_changes {
        let (at, uncertainty_ms) = onset(observed, change);
        let mut claim = Claim::new(Target::cluster(), at, uncertainty_ms, 0.95);
        let show =
            |value: &str| if value.is_empty() { "unset".to_owned() } else { value.to_owned() };
        let text = format!("{}: {} -> {}", change.key, show(&change.from), show(&change.to));
        let reading = crossing(Crossing {
            kind: FindingKind::ConfigChanged,
            target: Target::cluster(),
            range: TimeRange::new(at, at),
            uncertainty_ms,
            lasts: false,
            text,
            read: ("PD /config", format!("{} {}", change.key, change.to)),
            plot: Vec::new(),
        });
        claim.readings.push(reading.read_at(change.at));
        claim.target.concerns.push(change.key.clone());
        found.push(claim);
    }
    found.extend(paused(observed));
    found
}

/// A claim for the schedulers that one answer lists as paused: `pd-ctl` pauses all at once.
fn paused(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let mut found: Vec<Claim> = Vec::new();
    for (change, finding) in observed.schedulers.iter().filter(|(change, _)| change.paused) {
        let same = |claim: &Claim| claim.onset == change.at && claim.end == change.end;
        let index = found.iter().position(same).unwrap_or_else(|| {
            let mut claim = Claim::new(Target::cluster(), change.at, 60_000, 0.95);
            claim.end = change.end;
            found.push(claim);
            found.len() - 1
        });
        found[index].target.concerns.push(format!("{} paused", change.name));
        found[index].evidence.push(*finding);
    }
    found
}
