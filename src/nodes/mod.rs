//! Which scrape target is which node of the cluster, and why.
//!
//! Decided once, here; everybody else asks by [`StoreNode`] and [`MemberNode`], and compares no names.
//! A target is told by what it exposes before how it is called, a node by its address, then by the names of
//! pods and hosts, then by what it and its peers show of it. Where nothing decides, nothing is assumed.

mod address;
mod beside;
mod by_labels;
mod by_name;
mod cluster;
mod component;
mod deployment;
mod label_sets;
mod listed_at;
mod listing;
mod matching;
mod members;
mod reason;
mod replicas;
mod resolve;
mod same_node;
mod shown;
mod stores;
mod target;
#[cfg(test)]
mod tests;
mod told;
mod way;

pub use beside::{BESIDE_METRICS, Beside, PodName};
pub use by_labels::store_id_of;
pub use by_name::NodeIndex;
pub use component::IN_EVERY_VERSION;
pub use listing::{ListedMember, ListedStore, Listing};
pub use reason::Reason;
pub use replicas::scrape_holes;
pub use resolve::{HEARTBEATS, MemberNode, Nodes, StoreNode, TargetFinder};
pub use shown::METRICS;
pub use target::{ScrapeTarget, target_identity};
pub use way::Way;
