//! Nodes that do not answer at the end of what was seen, for too short a time to be an outage.

use serde::Serialize;

use crate::diagnose::evidence::Evidence;
use crate::model::Timestamp;

/// The longest silence that is told so, in milliseconds. Whatever lasts longer is an outage, or was never
/// there.
const JUST_NOW_MS: i64 = 60_000;

/// A node that does not answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SilentNode {
    /// The first time that it was missed.
    pub since_ms: Timestamp,
    /// What it is called.
    pub name: String,
}

/// Stores and members whose last scrape or request failed after one had succeeded, ascending by time and name.
pub fn silent_just_now(evidence: &Evidence) -> Vec<SilentNode> {
    let scraped = |instance: Option<&String>| {
        let scrapes = instance.and_then(|name| evidence.series.scrapes().get(name.as_str()));
        since(scrapes.into_iter().flatten().map(|scrape| (scrape.at, scrape.up)))
    };
    let stores = evidence
        .nodes
        .stores
        .iter()
        .filter_map(|store| Some((scraped(store.instance.as_ref())?, store.name())));
    let members = evidence.nodes.members.iter().filter_map(|member| {
        let history = evidence.pd.members.get(&member.name);
        let asks = history.into_iter().flat_map(|history| &history.asks);
        let asked = since(asks.map(|ask| (ask.at, ask.failed.is_none())));
        let both = [asked, scraped(member.instance.as_ref())];
        Some((both.into_iter().flatten().min()?, member.name.clone()))
    });
    let recent = |since: Timestamp| evidence.as_of - since <= JUST_NOW_MS;
    let mut found: Vec<SilentNode> = stores
        .chain(members)
        .filter(|(since, _)| recent(*since))
        .map(|(since, name)| SilentNode { since_ms: since, name })
        .collect();
    found.sort();
    found
}

/// When the failures began that last until the end; `None` where the last one was a success, or none was.
fn since(tries: impl Iterator<Item = (Timestamp, bool)>) -> Option<Timestamp> {
    let mut succeeded = false;
    let mut failing = None;
    for (at, success) in tries {
        succeeded |= success;
        failing = if success { None } else { failing.or(Some(at)) };
    }
    failing.filter(|_| succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_that_last_and_followed_a_success_count() {
        let since = |tries: &[(i64, bool)]| {
            let tries = tries.iter().map(|(at, success)| (Timestamp::from_millis(*at), *success));
            super::since(tries).map(Timestamp::as_millis)
        };
        assert_eq!(since(&[(1, true), (2, false), (3, false)]), Some(2));
        assert_eq!(since(&[(1, true), (2, false), (3, true)]), None);
        assert_eq!(since(&[(1, false), (2, false)]), None);
        assert_eq!(since(&[]), None);
    }
}
