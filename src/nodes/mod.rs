//! Which scrape target is which node of the cluster, and why.
//!
//! Decided once, here; everybody else asks by [`StoreNode`] and [`MemberNode`], and compares no names.

mod address;
mod resolve;

pub use resolve::{Listing, MemberNode, Nodes, Reason, StoreNode, Targets};
