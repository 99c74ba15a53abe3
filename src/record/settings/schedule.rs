//! When which store is asked for its settings.

use std::collections::BTreeMap;

use super::listed::ListedStore;
use crate::model::{Occasion, StoreId, Timestamp};

/// The time between two readings of a store, in milliseconds.
const HOURLY_MS: i64 = 3_600_000;
/// The time after a failed reading, in milliseconds; it doubles with each further failure, up to an hour. A store
/// that starts serves its status last.
const RETRY_MS: i64 = 60_000;

/// When each store was asked, in steady time.
#[derive(Debug, Default)]
pub struct Schedule {
    asked: BTreeMap<StoreId, Asked>,
}

#[derive(Debug)]
struct Asked {
    at: Timestamp,
    started_unix_s: Option<i64>,
    /// Why it was asked, as long as it has not answered.
    unanswered: Option<Occasion>,
    failures: u32,
}

/// What is due next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The store.
    pub store: ListedStore,
    /// Why.
    pub occasion: Occasion,
    /// When, in steady time.
    pub at: Timestamp,
}

impl Schedule {
    /// What is due next of these stores, the earliest first and of several the first by id; `None` without stores.
    /// Stores that are no longer listed are forgotten.
    pub fn next(&mut self, listed: &[ListedStore], now: Timestamp) -> Option<Due> {
        self.asked.retain(|id, _| listed.iter().any(|store| store.id == *id));
        let due = listed.iter().map(|store| {
            let (occasion, at) = self.due(store, now);
            Due { store: store.clone(), occasion, at }
        });
        due.min_by_key(|due| (due.at, due.store.id))
    }

    fn due(&self, store: &ListedStore, now: Timestamp) -> (Occasion, Timestamp) {
        let Some(asked) = self.asked.get(&store.id) else { return (Occasion::Start, now) };
        let has_restarted = asked.started_unix_s.is_some()
            && store.started_unix_s.is_some()
            && asked.started_unix_s != store.started_unix_s;
        if has_restarted {
            return (Occasion::Restart, now);
        }
        match asked.unanswered {
            None => (Occasion::Hourly, asked.at.saturating_add_millis(HOURLY_MS)),
            Some(occasion) => {
                let doubled = RETRY_MS << asked.failures.saturating_sub(1).min(6);
                (occasion, asked.at.saturating_add_millis(doubled.min(HOURLY_MS)))
            }
        }
    }

    /// Notes that a store was asked at `now`, and whether it answered.
    pub fn note(&mut self, due: &Due, has_answered: bool, now: Timestamp) {
        let before = self.asked.get(&due.store.id);
        let failures = before.map_or(0, |asked| asked.failures);
        let started = due.store.started_unix_s.or(before.and_then(|asked| asked.started_unix_s));
        let asked = Asked {
            at: now,
            started_unix_s: started,
            unanswered: (!has_answered).then_some(due.occasion),
            failures: if has_answered { 0 } else { failures + 1 },
        };
        self.asked.insert(due.store.id, asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn store(id: u64, started: i64) -> ListedStore {
        ListedStore {
            id: StoreId(id),
            url: format!("http://h{id}/config"),
            clients_url: String::new(),
            started_unix_s: Some(started),
        }
    }

    /// Asks what is due first, which answers or not; the store, why and when.
    fn ask(
        schedule: &mut Schedule,
        stores: &[ListedStore],
        now: i64,
        answers: bool,
    ) -> (u64, Occasion, i64) {
        let due = schedule.next(stores, at(now)).expect("stores are listed");
        let when = due.at.as_millis() / 1_000;
        if when <= now {
            schedule.note(&due, answers, at(now));
        }
        (due.store.id.0, due.occasion, when)
    }

    #[test]
    fn a_store_is_asked_at_the_start_hourly_and_after_a_restart() {
        let mut schedule = Schedule::default();
        let stores = [store(1, 7), store(4, 7)];
        assert_eq!(ask(&mut schedule, &stores, 10, true), (1, Occasion::Start, 10));
        assert_eq!(ask(&mut schedule, &stores, 12, true), (4, Occasion::Start, 12));
        assert_eq!(ask(&mut schedule, &stores, 13, true), (1, Occasion::Hourly, 3_610));
        let restarted = [store(1, 7), store(4, 900)];
        assert_eq!(ask(&mut schedule, &restarted, 1_000, true), (4, Occasion::Restart, 1_000));
        assert_eq!(ask(&mut schedule, &restarted, 3_700, true), (1, Occasion::Hourly, 3_610));
        assert_eq!(ask(&mut schedule, &restarted, 3_700, true), (4, Occasion::Hourly, 4_600));
        assert_eq!(schedule.next(&[], at(0)), None);
    }

    #[test]
    fn a_store_that_does_not_answer_is_asked_again_ever_later() {
        let mut schedule = Schedule::default();
        let stores = [store(1, 7)];
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let (_, occasion, when) = ask(&mut schedule, &stores, now, false);
            assert_eq!((occasion, when), (Occasion::Start, now));
            let next = schedule.next(&stores, at(now)).expect("listed").at.as_millis() / 1_000;
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        // A restart is news, whatever failed before.
        let restarted = [store(1, 8)];
        assert_eq!(ask(&mut schedule, &restarted, now - 100, true).1, Occasion::Restart);
    }
}
