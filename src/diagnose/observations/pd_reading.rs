//! Builds a history of PD's answers as they arrive, without reading twice what was read before.

use std::collections::HashMap;

use super::pd_history::PdHistory;
use crate::model::PdAnswer;
use crate::pd::{Endpoint, PdDocument, Scope, Topology};

/// Builds a history from answers that arrive one by one, in the order in which they became known. It
/// keeps no body.
#[derive(Default)]
pub struct PdReading {
    history: PdHistory,
    topology: Topology,
    /// The hash of the last body, by who answers for it and path. What the cluster says is one history,
    /// whichever member passes it on: after a change of leaders and back, the first leader's last body is old.
    bodies: HashMap<Option<String>, HashMap<String, u128>>,
}

impl PdReading {
    /// Whether the body of the next answer has to be read, rather than only that it was answered.
    pub fn needs_body(&self, answer: &PdAnswer) -> bool {
        let before = self.bodies.get(&speaker(answer)).and_then(|one| one.get(&answer.path));
        let repeats = |body| before == Some(&xxhash_rust::xxh3::xxh3_128(body));
        counts_again(answer) || !answer.success().is_some_and(repeats)
    }

    /// Adds the next answer; `document` is its parsed body, where it is readable and needed.
    pub fn observe(&mut self, answer: &PdAnswer, document: Option<&PdDocument>) {
        let repeats = self.repeats(answer);
        self.history.take(answer, document, &mut self.topology, repeats);
    }

    /// Whether a success has the same body as the last one.
    fn repeats(&mut self, answer: &PdAnswer) -> bool {
        let Some(body) = answer.success() else { return false };
        let hash = xxhash_rust::xxh3::xxh3_128(body);
        let known = self.bodies.entry(speaker(answer)).or_default();
        match known.get_mut(&answer.path) {
            Some(before) => std::mem::replace(before, hash) == hash,
            None => {
                known.insert(answer.path.clone(), hash);
                false
            }
        }
    }

    /// The history of all answers that were added.
    pub fn finish(mut self) -> PdHistory {
        for member in self.history.members.values_mut() {
            member.asks.sort_by_key(|ask| ask.at);
        }
        self.history
    }
}

/// Whether an answer with the same body as before has to be read again. A repeated list or health row
/// shows only that the member answers; `/members` and `/stores` show that time has passed.
pub(super) fn counts_again(answer: &PdAnswer) -> bool {
    matches!(Endpoint::of(&answer.path), Endpoint::Members | Endpoint::Stores)
}

/// The member that an answer is about; `None` where the cluster speaks through it.
fn speaker(answer: &PdAnswer) -> Option<String> {
    let scope = Endpoint::of(&answer.path).scope();
    (scope == Scope::EveryMember).then(|| answer.member.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PdOutcome, Timestamp};

    fn checked(at_s: i64, member: &str, count: u64) -> PdAnswer {
        let body = format!(r#"{{"count":{count},"regions":[]}}"#);
        PdAnswer {
            sent: Timestamp::from_millis(at_s * 1000),
            elapsed_us: 1000,
            member: member.to_owned(),
            url: format!("http://{member}:2379"),
            path: "/pd/api/v1/regions/check/down-peer".to_owned(),
            outcome: PdOutcome::Answered { status: 200, body: body.into_bytes().into() },
        }
    }

    #[test]
    fn what_the_cluster_says_is_one_history_whichever_member_passes_it_on() {
        let answers = [
            checked(0, "pd0", 0),
            checked(60, "pd1", 5),
            checked(120, "pd0", 0),
            checked(180, "pd0", 0),
        ];
        let history = PdHistory::new(&answers);
        let counts: Vec<u64> =
            history.checks["down-peer"].iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [0, 5, 0]);
    }
}
