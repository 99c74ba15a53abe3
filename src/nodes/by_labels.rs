//! Which node a set of labels is about, such as those of an alert, and whose cluster a series is of.

use super::Nodes;
use super::by_name::NodeIndex;
use super::target::{ScrapeTarget, as_scraped};
use crate::model::{Labels, StoreId};

/// The store that labels are about by its number, as PD and peers count. Whose metric it is, as `instance` says,
/// is another question.
pub fn store_id_of(labels: &Labels) -> Option<StoreId> {
    let id = labels.get("store").or(labels.get("store_id"))?;
    id.parse().ok().map(StoreId)
}

impl Nodes {
    /// The nodes whose target labels may name by `instance` and what else they share with it: an aggregation
    /// leaves some labels out. Else the node that has this address. None where labels name something else, and
    /// `None` where they have no `instance`.
    pub fn owners(&self, labels: &Labels) -> Option<Vec<NodeIndex>> {
        let changed = as_scraped(labels);
        let labels = changed.as_ref().unwrap_or(labels);
        let instance = labels.get("instance")?;
        let agrees = |target: &&ScrapeTarget| {
            let mut own = target.labels.iter();
            target.instance() == instance
                && own.all(|(name, value)| labels.get(name).is_none_or(|known| known == value))
        };
        let targets: Vec<&str> =
            self.targets.iter().filter(agrees).map(|target| target.name.as_str()).collect();
        let is_one =
            |own: &Option<String>| own.as_deref().is_some_and(|own| targets.contains(&own));
        let stores = self.stores.iter().enumerate().filter(|(_, store)| is_one(&store.instance));
        let members = self.members.iter().enumerate().filter(|(_, one)| is_one(&one.instance));
        let stores = stores.map(|(index, _)| NodeIndex::Store(index));
        let mut found: Vec<NodeIndex> =
            stores.chain(members.map(|(index, _)| NodeIndex::Member(index))).collect();
        if targets.is_empty() {
            found.extend(self.named(instance, ""));
        }
        Some(found)
    }

    /// Whether a series, as it was recorded, is of a target of another cluster. What is no target's, such as PD's
    /// answers, is of this one, and so is everything where no other cluster was recorded.
    pub fn is_of_another_cluster(&self, series: &Labels) -> bool {
        if self.other_clusters.is_empty() || self.has_target_of(series) {
            return false;
        }
        let changed = as_scraped(series);
        let series = changed.as_ref().unwrap_or(series);
        let is_of = |target: &ScrapeTarget| {
            target.labels.iter().all(|(name, value)| series.get(name) == Some(value))
        };
        series.get("instance").is_some() && !self.unassigned.iter().any(is_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Component;
    use crate::nodes::{Reason, StoreNode};

    fn target(component: Component, pairs: &[(&str, &str)], name: &str) -> ScrapeTarget {
        ScrapeTarget { labels: Labels::from_pairs(pairs), component, name: name.to_owned() }
    }

    fn nodes() -> Nodes {
        let store = |id, address: &str, instance: &str| StoreNode {
            id: Some(StoreId(id)),
            address: address.to_owned(),
            known_as: None,
            component: Component::Tikv,
            instance: Some(instance.to_owned()),
            reason: Reason::ListedAddress,
        };
        let tikv = |instance: &'static str, name: &str| {
            let own = [("job", "tikv"), ("instance", instance), ("cluster", "prod")];
            target(Component::Tikv, &own, name)
        };
        Nodes {
            stores: vec![
                store(1, "10.0.0.1:20160", "tikv-1:20180"),
                store(4, "10.0.0.4:20160", "kv-1:20180"),
                store(5, "10.0.0.5:20160", "tikv/shared:1"),
            ],
            targets: vec![
                tikv("tikv-1:20180", "tikv-1:20180"),
                tikv("kv-1:20180", "kv-1:20180"),
                tikv("shared:1", "tikv/shared:1"),
                target(Component::Other, &[("job", "node"), ("instance", "shared:1")], "shared:1"),
            ],
            other_clusters: vec![Labels::from_pairs(&[("cluster", "dev")])],
            ..Nodes::default()
        }
    }

    #[test]
    fn labels_are_about_the_node_of_their_target_however_names_end() {
        let nodes = nodes();
        let owners = |pairs: &[(&str, &str)]| nodes.owners(&Labels::from_pairs(pairs));
        let only = |index| Some(vec![NodeIndex::Store(index)]);
        assert_eq!(owners(&[("instance", "kv-1:20180")]), only(1));
        assert_eq!(owners(&[("instance", "tikv-1:20180"), ("job", "tikv")]), only(0));
        assert_eq!(owners(&[("instance", "shared:1"), ("job", "tikv")]), only(2));
        assert_eq!(owners(&[("instance", "shared:1"), ("job", "node")]), Some(Vec::new()));
        assert_eq!(owners(&[("instance", "10.0.0.4:20160")]), only(1), "an address of PD's");
        assert_eq!(owners(&[("instance", "elsewhere:1")]), Some(Vec::new()));
        assert_eq!(owners(&[("job", "tikv")]), None);
    }

    #[test]
    fn a_series_of_a_target_that_is_not_the_clusters_is_of_another_cluster() {
        let mut nodes = nodes();
        let of = |cluster: &str| {
            let own = [("job", "tikv"), ("instance", "tikv-1:20180"), ("cluster", cluster)];
            Labels::from_pairs(&own)
        };
        assert!(nodes.is_of_another_cluster(&of("dev")));
        assert!(!nodes.is_of_another_cluster(&of("prod")));
        assert!(!nodes.is_of_another_cluster(&Labels::from_pairs(&[("store", "1")])));
        nodes.other_clusters.clear();
        assert!(!nodes.is_of_another_cluster(&of("dev")));
    }
}
