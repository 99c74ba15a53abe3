//! Which targets there are: the members and stores that PD lists.

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

use crate::model::{Labels, NodeState, PdAnswer, SCRAPED_BY, Store, StoreId};
use crate::pd::{Member, PdDocument};

/// The most targets that are scraped; further stores are left out, with a warning.
const MOST_TARGETS: usize = 1_024;
/// The path of every page.
const PATH: &str = "/metrics";
/// The state of a store that is gone, in PD's words.
pub const TOMBSTONE: &str = "Tombstone";

/// One page of metrics, and the labels of its series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScrapeTarget {
    /// The label `job`: `pd`, `tikv`, or `tiflash`.
    pub job: &'static str,
    /// The label `instance`: host and port as PD names them.
    pub instance: String,
    /// The URL of the page.
    pub url: String,
    /// The labels of its series, ascending by name: `job` and `instance`, or those that another scraper gives them.
    pub labels: Labels,
}

impl ScrapeTarget {
    /// A target whose series have its `job` and `instance`.
    pub fn new(job: &'static str, instance: String, url: String) -> Self {
        let labels = Labels::from_pairs(&[("job", job), ("instance", &instance)]);
        Self { job, instance, url, labels }
    }

    /// The same with the labels that Prometheus gives its series, where they are known, and one that says that the
    /// recorder scraped them.
    #[must_use]
    pub fn in_place_of(self, prometheus: &TargetLabels) -> Self {
        let theirs = prometheus.get(&self.to_string()).unwrap_or(&self.labels);
        Self { labels: theirs.with(&[SCRAPED_BY]), ..self }
    }
}

/// The labels that Prometheus gives the series of targets, by their names such as `tikv/10.0.1.1:20180`.
pub type TargetLabels = BTreeMap<String, Labels>;

impl fmt::Display for ScrapeTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.job, self.instance)
    }
}

/// The targets as PD's last answers list them. While PD does not answer, the last list stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetList {
    members: Vec<ScrapeTarget>,
    stores: Vec<ScrapeTarget>,
}

impl TargetList {
    /// Takes in the members as known now. Returns whether the targets have changed.
    pub fn set_members(&mut self, members: &[Member]) -> bool {
        let targets = members.iter().filter_map(member_target).collect();
        replace(&mut self.members, targets)
    }

    /// Takes in an answer of PD, if it lists stores. Returns whether the targets have changed.
    pub fn follow(&mut self, answer: &PdAnswer) -> bool {
        // What cannot be read is recorded all the same, and changes no target.
        let Ok(Some(PdDocument::Stores(stores))) = PdDocument::of(answer) else { return false };
        replace(&mut self.stores, of_stores(&stores, &answer.url))
    }

    /// All targets: members first, in the order of their names, then stores in that of their ids.
    pub fn targets(&self) -> Vec<ScrapeTarget> {
        let all = self.members.iter().chain(&self.stores);
        all.take(MOST_TARGETS).cloned().collect()
    }
}

fn replace(held: &mut Vec<ScrapeTarget>, targets: Vec<ScrapeTarget>) -> bool {
    let has_changed = *held != targets;
    *held = targets;
    has_changed
}

/// The page of a member of PD; `None` where its URL is none.
pub fn member_target(member: &Member) -> Option<ScrapeTarget> {
    let (_, rest) = member.url.split_once("://")?;
    let instance = rest.split('/').next()?.to_owned();
    Some(ScrapeTarget::new("pd", instance, format!("{}{PATH}", member.url)))
}

/// The page of a store that is there and says where it is. `pd` is the URL of a member that lists it: the status
/// servers of a cluster speak TLS if PD does.
pub fn store_target(store: &Store, pd: &str) -> Option<ScrapeTarget> {
    if store.node_state == NodeState::Removed || store.state_name == TOMBSTONE {
        return None;
    }
    let scheme = pd.split_once("://").map_or("http", |(scheme, _)| scheme);
    let instance = status_address(store)?;
    let url = format!("{scheme}://{instance}{PATH}");
    Some(ScrapeTarget::new(job(store), instance, url))
}

fn of_stores(stores: &BTreeMap<StoreId, Store>, pd: &str) -> Vec<ScrapeTarget> {
    let targets: Vec<ScrapeTarget> =
        stores.values().filter_map(|store| store_target(store, pd)).collect();
    if targets.len() > MOST_TARGETS {
        tracing::warn!(listed = targets.len(), "more than {MOST_TARGETS} targets are not scraped");
    }
    targets
}

/// Host and port of a store's status server. A server that listens on every address advertises none, so
/// its host is that of the store's own address. `None` where that is no address.
pub fn status_address(store: &Store) -> Option<String> {
    let (host, port) = store.status_address.rsplit_once(':')?;
    let address = match host {
        "" | "0.0.0.0" | "[::]" => format!("{}:{port}", store.address.rsplit_once(':')?.0),
        _ => store.status_address.clone(),
    };
    let url = Url::parse(&format!("http://{address}")).ok()?;
    let is_address = url.host_str().is_some() && url.username().is_empty() && url.path() == "/";
    (is_address && url.query().is_none() && url.fragment().is_none()).then_some(address)
}

/// The job under which TiUP's Prometheus scrapes such a store.
pub fn job(store: &Store) -> &'static str {
    if store.is_tiflash() { "tiflash" } else { "tikv" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PdOutcome, Timestamp};
    use crate::pd::STORES;

    fn stores(url: &str, body: &str) -> PdAnswer {
        PdAnswer {
            sent: Timestamp::default(),
            member: "pd0".to_owned(),
            url: url.to_owned(),
            path: STORES.to_owned(),
            elapsed_us: 0,
            outcome: PdOutcome::Answered { status: 200, body: body.as_bytes().into() },
        }
    }

    fn listed(url: &str, body: &str) -> Vec<String> {
        let mut list = TargetList::default();
        assert!(list.follow(&stores(url, body)), "{body}");
        assert!(!list.follow(&stores(url, body)), "the same list is no change");
        list.targets().iter().map(|one| format!("{one} {}", one.url)).collect()
    }

    #[test]
    fn members_and_stores_are_targets_as_pd_names_them() {
        let body = r#"{"count": 3, "stores": [
            {"store": {"id": 1, "address": "10.0.1.1:20160", "status_address": "10.0.1.1:20180",
                       "state_name": "Up", "node_state": 1}},
            {"store": {"id": 5, "address": "tikv-1.peer:20160", "status_address": "0.0.0.0:20180",
                       "state_name": "Down", "node_state": 1}},
            {"store": {"id": 77, "address": "10.0.1.9:3930", "status_address": "10.0.1.9:20292",
                       "state_name": "Up", "labels": [{"key": "engine", "value": "tiflash"}]}}]}"#;
        let expected = [
            "tikv/10.0.1.1:20180 http://10.0.1.1:20180/metrics",
            "tikv/tikv-1.peer:20180 http://tikv-1.peer:20180/metrics",
            "tiflash/10.0.1.9:20292 http://10.0.1.9:20292/metrics",
        ];
        assert_eq!(listed("http://pd0:2379", body), expected);
        let secure = listed("https://pd0:2379", body);
        assert!(secure.iter().all(|one| one.contains(" https://")), "{secure:?}");

        let mut list = TargetList::default();
        let member = Member { name: "pd0".to_owned(), url: "https://pd0:2379".to_owned() };
        assert!(list.set_members(std::slice::from_ref(&member)));
        assert!(!list.set_members(&[member]));
        let targets = list.targets();
        let url = "https://pd0:2379/metrics".to_owned();
        let expected = ScrapeTarget::new("pd", "pd0:2379".to_owned(), url);
        assert_eq!(targets, std::slice::from_ref(&expected));
        let known = Labels::from_pairs(&[("job", "db-pd"), ("instance", "db-pd-0")]);
        let labels = |known: TargetLabels| expected.clone().in_place_of(&known).labels;
        assert_eq!(labels(TargetLabels::new()), expected.labels.with(&[SCRAPED_BY]));
        let own = TargetLabels::from([("pd/pd0:2379".to_owned(), known.clone())]);
        assert_eq!(labels(own), known.with(&[SCRAPED_BY]));
    }

    #[test]
    fn stores_that_are_gone_or_have_no_address_are_no_targets() {
        let body = r#"{"stores": [
            {"store": {"id": 1, "address": "h1:20160", "status_address": "h1:20180",
                       "state_name": "Tombstone"}},
            {"store": {"id": 7, "address": "h7:20160", "status_address": "h7:20180",
                       "node_state": 3}},
            {"store": {"id": 2, "address": "h2:20160", "state_name": "Up"}},
            {"store": {"id": 3, "address": "h3:20160", "status_address": "u:p@h3:20180"}},
            {"store": {"id": 4, "address": "h4:20160", "status_address": "h4:20180/x?y"}},
            {"store": {"id": 6, "address": "h6:20160", "status_address": "h6:20180"}}]}"#;
        assert_eq!(listed("http://pd0:2379", body), ["tikv/h6:20180 http://h6:20180/metrics"]);
    }

    #[test]
    fn an_answer_that_lists_nothing_changes_nothing() {
        let mut list = TargetList::default();
        let body = r#"{"stores": [{"store": {"id": 6, "status_address": "h6:20180"}}]}"#;
        list.follow(&stores("http://pd0:2379", body));
        assert!(!list.follow(&stores("http://pd0:2379", "<html>")));
        assert_eq!(list.targets().len(), 1);
    }
}
