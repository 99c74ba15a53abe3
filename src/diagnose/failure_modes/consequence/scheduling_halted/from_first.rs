//! Scheduling that was halted, or whose schedulers were paused, before the first answer that is known.
//!
//! What halts it within the window is judged beside what was before.

use std::collections::BTreeSet;

use crate::diagnose::findings::finding::{FindingKind, Target, counted};
use crate::diagnose::findings::{Crossing, crossing};
use crate::diagnose::hypotheses::mode::Claim;
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::is_moment;
use crate::model::{TimeRange, Timestamp};

/// How long schedulers must be paused, in milliseconds. Backups and imports pause them for five minutes at a time, and
/// `pd-ctl` for as long as it is told.
const PAUSED_MS: i64 = 600_000;
/// How sure it is that this is a fault: somebody may have meant it.
const SURE: f64 = 0.65;

/// The switch that halts all scheduling.
const HALTED: &str = "schedule.halt-scheduling";
/// Limits of how many operators of a kind may be under way: with none, no region is repaired or moved.
const LIMITS: [&str; 3] = [
    "schedule.replica-schedule-limit",
    "schedule.region-schedule-limit",
    "schedule.leader-schedule-limit",
];

/// Settings that keep PD from one kind of repair, and the check that lists what waits for that.
const FORBIDDEN: [(&str, &str, &str); 5] = [
    ("schedule.enable-make-up-replica", "false", "miss-peer"),
    ("schedule.enable-remove-down-replica", "false", "down-peer"),
    ("schedule.enable-remove-extra-replica", "false", "extra-peer"),
    ("schedule.enable-replace-offline-replica", "false", "offline-peer"),
    ("schedule.merge-schedule-limit", "0", "empty-region"),
];
/// How many regions must wait for what a setting forbids: official alerts call a hundred critical.
const WAITING: u64 = 100;

/// The claim of scheduling that has been off from the first answer to the last: halted, paused, or limited to nothing
/// while regions lack peers, as `lacks_peers` says of a stretch.
pub fn claim(
    observed: &ObservedWindow<'_>,
    lacks_peers: impl Fn(&ObservedWindow<'_>, TimeRange) -> bool,
) -> Option<Claim> {
    let pd = &observed.evidence.pd;
    let since = *pd.listings.first()?;
    let range = TimeRange::new(since, observed.open().max(since));
    let set = |key: &str, value: &str| {
        let changed = pd.config_changes.iter().any(|change| change.key == key);
        !changed && pd.config.get(key).is_some_and(|held| held == value)
    };
    let limit = LIMITS.into_iter().find(|key| set(key, "0"));
    if set(HALTED, "true") {
        return Some(told(range, format!("{HALTED} = true"), "PD /config"));
    }
    if let Some(key) = limit.filter(|_| lacks_peers(observed, range)) {
        let text = format!("{key} = 0 while regions lack peers");
        return Some(told(range, text, "PD /config"));
    }
    let waits = |check: &str| pd.checks.get(check).and_then(|counts| counts.last());
    let forbidden = FORBIDDEN.into_iter().find_map(|(key, value, check)| {
        let (_, count) = waits(check).filter(|(_, count)| *count >= WAITING && set(key, value))?;
        Some(format!("{key} = {value} while {} with {check}", counted(*count, "region")))
    });
    if let Some(text) = forbidden {
        let says = "PD may not do what regions wait for".to_owned();
        return Some(Claim { says: Some(says), ..told(range, text, "PD /config") });
    }
    let names = paused_all_the_while(&pd.paused)?;
    let lasts = is_moment(observed.evidence) || range.millis() >= PAUSED_MS;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let text = format!("paused from the first answer on: {}", names.join(", "));
    lasts.then(|| told(range, text, "PD /schedulers?status=paused"))
}

/// The schedulers that every answer lists as paused; `None` where there are none.
fn paused_all_the_while(lists: &[(Timestamp, BTreeSet<String>)]) -> Option<BTreeSet<String>> {
    let (_, first) = lists.first()?;
    let in_all = |name: &&String| lists.iter().all(|(_, names)| names.contains(*name));
    let names: BTreeSet<String> = first.iter().filter(in_all).cloned().collect();
    (!names.is_empty()).then_some(names)
}

fn told(range: TimeRange, text: String, reference: &str) -> Claim {
    let mut claim = Claim::new(Target::cluster(), range.start, 60_000, SURE);
    claim.says = Some("PD schedules nothing, and has not since before the recording".to_owned());
    let reading = crossing(Crossing {
        kind: FindingKind::OperatorsStill,
        target: Target::cluster(),
        range,
        uncertainty_ms: 60_000,
        lasts: true,
        text: text.clone(),
        read: (reference, text),
        plot: Vec::new(),
    });
    claim.readings.push(reading.read_at(range.start));
    claim.unchecked("who halted it, and until when", "pd-ctl scheduler show; pd-ctl config show")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedulers_are_paused_all_the_while_where_every_answer_says_so() {
        let at = Timestamp::from_millis;
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let of = |lists: &[&[&str]]| {
            let lists: Vec<(Timestamp, BTreeSet<String>)> =
                lists.iter().zip(0..).map(|(list, time)| (at(time), names(list))).collect();
            paused_all_the_while(&lists)
        };
        assert_eq!(of(&[&["a", "b"], &["b"]]), Some(names(&["b"])));
        assert_eq!(of(&[&["a"], &[]]), None);
        assert_eq!(of(&[&[]]), None);
        assert_eq!(of(&[]), None);
    }
}
