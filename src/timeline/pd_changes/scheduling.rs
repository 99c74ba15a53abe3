//! What PD does and is told to do: operators, schedulers, configuration, region checks.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{PdAnswer, PdOperator, duration_text};
use crate::timeline::entry::EntryKind;
use crate::timeline::pd_changes::{BURST_MS, Burst, Check, PdChanges, SHARED_CONFIG, excerpt};

impl PdChanges {
    /// One entry per burst of PD operators with the same description.
    pub(super) fn operators(&mut self, answer: &PdAnswer, operators: &[PdOperator]) {
        let at = answer.observed();
        let mut by_desc: BTreeMap<&str, Vec<&PdOperator>> = BTreeMap::new();
        for operator in operators {
            by_desc.entry(&operator.desc).or_default().push(operator);
        }
        let first = !std::mem::replace(&mut self.operators_seen, true);
        for (desc, operators) in by_desc {
            let running = self.bursts.remove(desc).filter(|burst| at - burst.last <= BURST_MS);
            let mut burst = running.unwrap_or_else(|| {
                let brief = operators.first().map_or("", |operator| operator.brief.as_str());
                let value = format!("{} x {desc}: {brief}", operators.len());
                let kind = EntryKind::PdOperators;
                self.push(answer, kind, "scheduling".to_owned(), String::new(), &value);
                Burst { entry: self.entries.len() - 1, last: at, regions: BTreeSet::new() }
            });
            burst.last = at;
            burst.regions.extend(operators.iter().filter_map(|operator| operator.region));
            let entry = &mut self.entries[burst.entry];
            let lasted = match at - entry.at {
                0 => String::new(),
                millis => format!(" within {}", duration_text(millis)),
            };
            let regions = burst.regions.len().max(1);
            let noun = if regions == 1 { "region" } else { "regions" };
            let since = if first { ", under way at the start" } else { "" };
            entry.text = format!("{desc}: {regions} {noun}{lasted}{since}");
            self.bursts.insert(desc.to_owned(), burst);
        }
    }

    pub(super) fn schedulers(
        &mut self,
        answer: &PdAnswer,
        before: &BTreeSet<String>,
        now: &BTreeSet<String>,
        (more, fewer): (EntryKind, EntryKind),
    ) {
        let word = |kind: EntryKind| match kind {
            EntryKind::SchedulerAdded => "added",
            EntryKind::SchedulerRemoved => "removed",
            EntryKind::SchedulerPaused => "paused",
            _ => "resumed",
        };
        for name in now.difference(before) {
            let mut text = word(more).to_owned();
            if more == EntryKind::SchedulerAdded && name.starts_with("evict-leader") {
                text.push_str(": somebody or something drains a store's leaders");
            }
            self.push(answer, more, name.clone(), text, &format!("lists {name}"));
        }
        for name in before.difference(now) {
            let value = format!("does not list {name}");
            self.push(answer, fewer, name.clone(), word(fewer).to_owned(), &value);
        }
    }

    /// Shared keys are compared from one leader's answer to the next: `/config` is answered by
    /// the member that was asked, and a follower may hold defaults (`cluster-version` 0.0.0).
    /// Other keys are compared with what the same member said before. `schedulers-v2` repeats
    /// `/schedulers`; `security` stays out of reports.
    pub(super) fn config(&mut self, answer: &PdAnswer, config: &BTreeMap<String, String>) {
        let leads = self.topology.leader.as_ref() == Some(&answer.member);
        let is_shared = |key: &str| SHARED_CONFIG.iter().any(|prefix| key.starts_with(prefix));
        let shared = |key: &str| leads && is_shared(key);
        let ignored = |key: &str| {
            key.starts_with("security")
                || key == "schedule.schedulers-v2"
                || (!leads && is_shared(key))
        };
        let mut before = if leads { std::mem::take(&mut self.config) } else { BTreeMap::new() };
        let own = self.topology.config.get(&answer.member).cloned();
        if let Some(own) = own {
            before.extend(own.into_iter().filter(|(key, _)| !is_shared(key)));
        }
        let pick = |map: &BTreeMap<String, String>, key: &str| map.get(key).cloned();
        let keys: BTreeSet<&String> = before.keys().chain(config.keys()).collect();
        let known_shared = before.keys().any(|key| shared(key));
        let known_own = before.keys().any(|key| !shared(key));
        for key in keys {
            let known = if shared(key) { known_shared } else { known_own };
            let (old, new) = (pick(&before, key), pick(config, key));
            if !known || old == new || ignored(key) {
                continue;
            }
            let show = |value: Option<String>| match value {
                Some(value) if value.is_empty() => "\"\"".to_owned(),
                Some(value) => excerpt(&value, 40),
                None => "unset".to_owned(),
            };
            let (old, new) = (show(old), show(new));
            let value = format!("{key} = {new}");
            let text = format!("{old} -> {new}");
            self.push(answer, EntryKind::ConfigChanged, key.clone(), text, &value);
        }
        if leads {
            let shared = config.iter().filter(|(key, _)| is_shared(key));
            self.config = shared.map(|(key, value)| (key.clone(), value.clone())).collect();
        }
    }

    /// A check is told when it begins and when it ceases to name regions, with the peak.
    pub(super) fn check(&mut self, answer: &PdAnswer, name: &str, count: u64) {
        let at = answer.observed();
        let value = format!("count {count}");
        let subject = name.to_owned();
        let is_first = self.checked.insert(name.to_owned());
        match (self.checks.remove(name), count) {
            (None, 0) => {}
            (None, count) => {
                let noun = if count == 1 { "region" } else { "regions" };
                let since = if is_first { " as first seen" } else { "" };
                let text = format!("{count} {noun}{since}");
                self.push(answer, EntryKind::RegionCheckRaised, subject, text, &value);
                self.checks.insert(name.to_owned(), Check { since: at, peak: count });
            }
            (Some(check), 0) => {
                let lasted = duration_text(at - check.since);
                let text = format!("none any more after {lasted}, peak {}", check.peak);
                self.push(answer, EntryKind::RegionCheckCleared, subject, text, &value);
            }
            (Some(check), count) => {
                let check = Check { peak: check.peak.max(count), ..check };
                self.checks.insert(name.to_owned(), check);
            }
        }
    }
}
