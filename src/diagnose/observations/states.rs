//! States of stores in PD's listings that last: lost, slow, busy.
//!
//! Which of them a fault explains that is known by other signs is decided by the failure modes.

use crate::diagnose::evidence::Evidence;
use crate::diagnose::observations::moment::is_moment;
use crate::diagnose::observations::pd_history::StoreHistory;
use crate::model::Timestamp;

/// What PD says of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateKind {
    /// It receives no heartbeats: `Disconnected` after 20 s, `Down` after `max-store-down-time`.
    Lost,
    /// The store's disk is slow, by its own score.
    Slow,
    /// The store says that it is busy.
    Busy,
}

impl StateKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Lost, Self::Slow, Self::Busy];

    /// The field of PD's listing.
    pub fn reference(self) -> &'static str {
        match self {
            Self::Lost => "PD /stores state_name",
            Self::Slow => "PD /stores slow_score",
            Self::Busy => "PD /stores is_busy",
        }
    }
}

/// A state of a store that lasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// The store, as an index of `evidence.nodes.stores`.
    pub store: usize,
    /// What PD says.
    pub kind: StateKind,
    /// The same in words: the name of the state, or the score.
    pub shown: String,
    /// Since when: a lost store is so since its last heartbeat, by PD's clock.
    pub since: Timestamp,
    /// When PD first listed it so.
    pub listed: Timestamp,
    /// When PD no longer listed it so; `None` where it did to the end.
    pub end: Option<Timestamp>,
}

/// How long a state must last, in milliseconds. A process that is started again, and a machine that is, are back
/// sooner; a score falls from 100 to 1 within as long once the disk is fast again.
const LASTS_MS: i64 = 300_000;

/// The slow score from which on PD considers a store slow (`slowStoreThreshold` in PD's `core/store.go`). At a
/// score of 100 PD evicts its leaders.
pub const IS_SLOW: u64 = 80;

/// Every state that lasted, ascending by store and kind. Where PD's answers show one moment only, it is the slow score
/// alone, which needs minutes of slow inspections to become so high. A store without any heartbeat has only just
/// registered.
pub fn lasting_states(evidence: &Evidence) -> Vec<Lasting> {
    if is_moment(evidence) {
        return slow_at_a_moment(evidence);
    }
    let mut found = Vec::new();
    for (store, known) in evidence.nodes.stores.iter().enumerate() {
        let Some(history) = known.id.and_then(|id| evidence.pd.stores.get(&id)) else { continue };
        if history.is_removed() {
            continue;
        }
        let states = history.states.iter().map(|(at, name, _)| (*at, name.clone()));
        let mut lost = stretches(evidence, states, |name: &String| is_lost(name));
        if lost.is_empty() {
            lost.extend(again_and_again(evidence, history));
        }
        found.extend(lost.into_iter().filter_map(|one| {
            let heard = last_heard(history, one.listed)?;
            Some(one.of(store, StateKind::Lost, heard))
        }));
        let scores = history.slow.iter().map(|(at, score)| (*at, *score));
        let slow = stretches(evidence, scores, |score: &u64| *score >= IS_SLOW).into_iter();
        found.extend(slow.map(|one| {
            let since = one.listed;
            let one = one.of(store, StateKind::Slow, since);
            Lasting { shown: format!("slow, with a score of {}", one.shown), ..one }
        }));
        let busy = history.busy.iter().map(|(at, busy)| (*at, *busy));
        let busy = stretches(evidence, busy, |busy: &bool| *busy).into_iter();
        found.extend(busy.map(|one| {
            let since = one.listed;
            Lasting { shown: "busy".to_owned(), ..one.of(store, StateKind::Busy, since) }
        }));
    }
    found
}

/// The stores whose slow score is high where no more than a moment is known.
fn slow_at_a_moment(evidence: &Evidence) -> Vec<Lasting> {
    let stores = evidence.nodes.stores.iter().enumerate();
    let slow = stores.filter_map(|(store, known)| {
        let history = evidence.pd.stores.get(&known.id?)?;
        let (listed, score) = *history.slow.last()?;
        (score >= IS_SLOW && !history.is_removed()).then(|| Lasting {
            store,
            kind: StateKind::Slow,
            shown: format!("slow, with a score of {score}"),
            since: listed,
            listed,
            end: None,
        })
    });
    slow.collect()
}

fn is_lost(state: &str) -> bool {
    ["Disconnected", "Down"].contains(&state)
}

/// How often PD must lose a store that comes back each time.
const OFTEN: usize = 3;

/// The stretch in which PD loses a store again and again, for a short time each, while its process runs on; `None`
/// where it does not, or long ago.
fn again_and_again(evidence: &Evidence, history: &StoreHistory) -> Option<Stretch> {
    let mut was_lost = false;
    let losses = history.states.iter().filter(|(_, name, _)| {
        let begins = is_lost(name) && !was_lost;
        was_lost = is_lost(name);
        begins
    });
    let losses: Vec<(Timestamp, &str)> = losses.map(|(at, name, _)| (*at, name.as_str())).collect();
    let ((first, _), (last, shown)) = (*losses.first()?, *losses.last()?);
    let listed = evidence.pd.listings.last().copied().unwrap_or(evidence.as_of);
    let often = losses.len() >= OFTEN && last - first >= LASTS_MS && listed - last < LASTS_MS;
    (often && history.starts.len() <= 1).then(|| Stretch {
        listed: first,
        end: None,
        shown: format!("{shown}, {} times", losses.len()),
        interrupted_ms: 0,
    })
}

/// When PD last heard the store before it listed it as lost; `None` where it never did.
fn last_heard(history: &StoreHistory, listed: Timestamp) -> Option<Timestamp> {
    let by = history.heartbeats.partition_point(|(seen, _)| *seen <= listed);
    let (_, sent) = history.heartbeats[..by].last()?;
    (sent.as_millis() > 0).then(|| (*sent).min(listed))
}

/// A stretch of listings in which something held.
struct Stretch {
    listed: Timestamp,
    /// When it last ceased to hold; `None` while it holds.
    end: Option<Timestamp>,
    shown: String,
    /// For how long it did not hold in between, in milliseconds.
    interrupted_ms: i64,
}

impl Stretch {
    fn of(self, store: usize, kind: StateKind, since: Timestamp) -> Lasting {
        let interrupted = if self.interrupted_ms > 0 { ", on and off" } else { "" };
        let shown = format!("{}{interrupted}", self.shown);
        Lasting { store, kind, shown, since, listed: self.listed, end: self.end }
    }
}

/// The longest interruption of a stretch, in milliseconds: what comes back within a minute was not over.
const INTERRUPTED_MS: i64 = 60_000;

/// The stretches of a history of changes in which `holds` does for long enough, and more often than not; what was
/// shown last stands for each.
fn stretches<T: std::fmt::Display>(
    evidence: &Evidence,
    changes: impl Iterator<Item = (Timestamp, T)>,
    holds: impl Fn(&T) -> bool,
) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    for (at, value) in changes {
        let known =
            found.last_mut().filter(|one| one.end.is_none_or(|end| at - end <= INTERRUPTED_MS));
        match (known, holds(&value)) {
            (Some(stretch), true) => {
                stretch.interrupted_ms += stretch.end.take().map_or(0, |end| at - end);
                stretch.shown = value.to_string();
            }
            (Some(stretch), false) => stretch.end = Some(stretch.end.unwrap_or(at)),
            (None, true) => found.push(Stretch {
                listed: at,
                end: None,
                shown: value.to_string(),
                interrupted_ms: 0,
            }),
            (None, false) => {}
        }
    }
    let last = evidence.pd.listings.last().copied().unwrap_or(evidence.as_of);
    found.retain(|one| {
        let lasted_ms = one.end.unwrap_or(last) - one.listed;
        lasted_ms >= LASTS_MS && 2 * one.interrupted_ms <= lasted_ms
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::evidence::Parts;
    use crate::model::{NodeState, TimeRange};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// The stretches of a state that holds at some seconds and does not at others, of twenty minutes.
    fn of(changes: &[(i64, bool)]) -> Vec<(i64, Option<i64>, i64)> {
        let mut evidence =
            Evidence::new(TimeRange::new(at(0), at(1200)), at(1200), Parts::default());
        evidence.pd.listings = (0..120).map(|step| at(10 * step)).collect();
        let changes = changes.iter().map(|(second, holds)| (at(*second), *holds));
        let seconds = |instant: Timestamp| instant.as_millis() / 1000;
        let found = stretches(&evidence, changes, |holds| *holds);
        let found = found.into_iter();
        found.map(|one| (seconds(one.listed), one.end.map(seconds), one.interrupted_ms)).collect()
    }

    #[test]
    fn a_state_counts_where_it_lasts_five_minutes_or_from_the_first_answer_on() {
        assert_eq!(of(&[(0, false), (100, true), (390, false)]), []);
        assert_eq!(of(&[(0, false), (100, true), (400, false)]), [(100, Some(400), 0)]);
        assert_eq!(of(&[(0, true)]), [(0, None, 0)]);
        assert_eq!(of(&[(0, false), (1000, true)]), []);
    }

    #[test]
    fn a_short_interruption_ends_no_state_and_many_do() {
        let often: Vec<(i64, bool)> =
            (0..20).flat_map(|minute| [(60 * minute, true), (60 * minute + 40, false)]).collect();
        assert_eq!(of(&often), [(0, Some(1180), 19 * 20_000)]);
        let seldom: Vec<(i64, bool)> =
            (0..20).flat_map(|minute| [(60 * minute, true), (60 * minute + 10, false)]).collect();
        assert_eq!(of(&seldom), []);
    }

    #[test]
    fn a_store_that_pd_loses_again_and_again_is_lost() {
        let of = |losses: &[i64], starts: usize| {
            let mut evidence =
                Evidence::new(TimeRange::new(at(0), at(1200)), at(1200), Parts::default());
            evidence.pd.listings = (0..120).map(|step| at(10 * step)).collect();
            let up = (at(0), "Up".to_owned(), NodeState::Serving);
            let states = losses.iter().flat_map(|second| {
                let lost = (at(*second), "Disconnected".to_owned(), NodeState::Serving);
                [lost, (at(second + 60), "Up".to_owned(), NodeState::Serving)]
            });
            let history = StoreHistory {
                states: std::iter::once(up).chain(states).collect(),
                starts: (0..starts).map(|start| (at(start as i64), start as i64)).collect(),
                ..StoreHistory::default()
            };
            again_and_again(&evidence, &history).map(|one| (one.listed, one.shown))
        };
        let lost = Some((at(300), "Disconnected, 5 times".to_owned()));
        assert_eq!(of(&[300, 500, 700, 900, 1100], 1), lost);
        assert_eq!(of(&[900, 1100], 1), None);
        assert_eq!(of(&[300, 500, 700], 1), None, "long ago");
        assert_eq!(of(&[300, 500, 700, 900, 1100], 3), None, "it is restarted each time");
    }
}
