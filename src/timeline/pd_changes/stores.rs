//! TiKV's stores as PD sees them: states, slowness, counts.

use std::collections::BTreeMap;

use crate::model::{PdAnswer, Store, StoreId, duration_text};
use crate::timeline::entry::{EntryKind, clock_text};
use crate::timeline::pd_changes::{
    Count, DRIFT_MS, Drift, LEADER_WARM_UP_MS, PdChanges, SLOW_SCORE, subject,
};

impl PdChanges {
    pub(super) fn stores(&mut self, answer: &PdAnswer, stores: &BTreeMap<StoreId, Store>) {
        let first = self.topology.stores_seen.is_none();
        let before = std::mem::take(&mut self.topology.stores);
        for (id, store) in stores {
            match before.get(id) {
                Some(before) => self.store(answer, before, store),
                None if first => {
                    self.baseline(answer, store);
                    self.slowness(answer, store);
                }
                None => {
                    self.baseline(answer, store);
                    let node_state = store.known_node_state();
                    let node_state = node_state.map_or_else(String::new, |one| format!(" {one}"));
                    let text = format!("appeared, {}{node_state}", store.state_name);
                    let value = format!("state_name {}", store.state_name);
                    self.push(answer, EntryKind::StoreAppeared, subject(store), text, &value);
                }
            }
        }
        for (id, store) in &before {
            if !stores.contains_key(id) {
                let text = format!("no longer listed, was {}", store.state_name);
                let kind = EntryKind::StoreRemoved;
                self.push(answer, kind, subject(store), text, "not listed");
            }
        }
    }

    pub(super) fn store(&mut self, answer: &PdAnswer, before: &Store, store: &Store) {
        if before.state_name != store.state_name {
            self.state(answer, before, store);
        }
        if before.node_state != store.node_state {
            let change = format!("{} -> {}", before.node_state, store.node_state);
            let value = format!("node_state {}", store.node_state);
            let kind = EntryKind::StoreNodeStateChanged;
            self.push(answer, kind, subject(store), change, &value);
        }
        if let (Some(old), Some(new)) = (before.started_unix_s, store.started_unix_s)
            && old != new
        {
            let text = format!("restarted, started {}", clock_text(new));
            let value = format!("start_timestamp {old} -> {new}");
            self.push(answer, EntryKind::StoreRestarted, subject(store), text, &value);
        }
        self.slowness(answer, store);
        self.count(answer, store, EntryKind::StoreLeaderCount, store.leader_count);
        self.count(answer, store, EntryKind::StoreRegionCount, store.region_count);
    }

    pub(super) fn state(&mut self, answer: &PdAnswer, before: &Store, store: &Store) {
        let at = answer.observed();
        let mut text = format!("{} -> {}", before.state_name, store.state_name);
        if store.state_name == "Up" {
            if let Some(since) = self.not_up.remove(&store.id) {
                text.push_str(&format!(" after {}", duration_text(at - since)));
            }
        } else {
            self.not_up.entry(store.id).or_insert(at);
        }
        if let Some(nanos) = store.last_heartbeat_unix_ns
            && store.state_name != "Up"
        {
            let heartbeat = clock_text(nanos.div_euclid(1_000_000_000));
            text.push_str(&format!(", last heartbeat {heartbeat}"));
        }
        if let Some(changed) = self.leader_changed
            && store.state_name == "Disconnected"
            && at - changed <= LEADER_WARM_UP_MS
        {
            text.push_str("; PD's leader is new and may not have heard from it yet");
        }
        let value = format!("state_name {}", store.state_name);
        self.push(answer, EntryKind::StoreStateChanged, subject(store), text, &value);
    }

    pub(super) fn slowness(&mut self, answer: &PdAnswer, store: &Store) {
        let at = answer.observed();
        let score = store.slow_score.unwrap_or(0);
        let value = || format!("slow_score {score}");
        if score >= SLOW_SCORE {
            if let std::collections::btree_map::Entry::Vacant(slow) = self.slow.entry(store.id) {
                slow.insert(at);
                let text = format!("slow: score {score} of 100 ({SLOW_SCORE} counts as slow)");
                self.push(answer, EntryKind::StoreSlow, subject(store), text, &value());
            }
        } else if score == 1
            && let Some(since) = self.slow.remove(&store.id)
        {
            let text = format!("no longer slow after {}", duration_text(at - since));
            self.push(answer, EntryKind::StoreNotSlow, subject(store), text, &value());
        }
    }

    pub(super) fn baseline(&mut self, answer: &PdAnswer, store: &Store) {
        for (kind, told) in [
            (EntryKind::StoreLeaderCount, store.leader_count),
            (EntryKind::StoreRegionCount, store.region_count),
        ] {
            self.counts.insert((store.id, kind), Count::new(answer.observed(), told));
        }
    }

    /// A count is told where it differs from the one told last by at least 5 and by at least a
    /// fifth of it, and always where it falls to zero or rises from zero. It is told from what it was within
    /// [`DRIFT_MS`] before, or from the count told last where it went there slowly. Where it goes on in
    /// the same direction within that time, the entry tells how far.
    pub(super) fn count(&mut self, answer: &PdAnswer, store: &Store, kind: EntryKind, now: u64) {
        let at = answer.observed();
        let key = (store.id, kind);
        let Some(mut count) = self.counts.remove(&key) else {
            self.counts.insert(key, Count::new(at, now));
            return;
        };
        let (told, before) = (count.told, count.just_before(at, now));
        count.note(at, now);
        let is_change = |from: u64| {
            let substantial = now.abs_diff(from) >= from.div_ceil(5).max(5);
            now != from && (substantial || now == 0 || from == 0)
        };
        if !is_change(told) {
            self.counts.insert(key, count);
            return;
        }
        let from = if is_change(before) { before } else { told };
        let (noun, field) = match kind {
            EntryKind::StoreLeaderCount => ("leaders", "leader_count"),
            _ => ("regions", "region_count"),
        };
        let goes_on = count
            .drift
            .take()
            .filter(|drift| at - drift.last <= DRIFT_MS && (now > from) == (told > drift.from));
        let drift = match goes_on {
            Some(drift) => {
                let entry = &mut self.entries[drift.entry];
                let lasted = duration_text(at - entry.at);
                entry.text = format!("{noun} {} -> {now} within {lasted}", drift.from);
                entry.evidence.at = at;
                entry.evidence.value = format!("{field} {now}");
                Drift { last: at, ..drift }
            }
            None => {
                let text = format!("{noun} {from} -> {now}");
                self.push(answer, kind, subject(store), text, &format!("{field} {now}"));
                Drift { entry: self.entries.len() - 1, from, last: at }
            }
        };
        self.counts.insert(key, Count { told: now, drift: Some(drift), ..count });
    }
}
