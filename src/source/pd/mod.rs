//! PD over HTTP: which paths are asked of whom and when, and what the answers say about members.
//!
//! Nothing here decides what an answer means for the cluster; answers are kept as they came.

mod body;
mod client;
mod member;
mod schedule;

pub use body::{MembersView, cluster_id, members_view, metric_storage, version, without_userinfo};
pub use client::{Addresses, Discovered, PdClient};
pub(crate) use client::{MEMBERS_AT_ONCE, MOST_MEMBERS};
pub(crate) use schedule::{MEMBERS, PING};
pub use member::Member;
pub use schedule::{PdCadence, PdRequest, PdSchedule, Scope};
