//! PD's HTTP API: which endpoints there are, when they are due, and what their bodies say.
//!
//! Nothing here opens a socket; answers are kept as they came.

mod documents;
#[cfg(test)]
mod documents_properties;
mod endpoints;
mod hot_regions;
mod member;
mod members;
mod topology;

pub use documents::{MembersDocument, ParsedBody, PdDocument, PdDocumentError};
pub(crate) use endpoints::{CONFIG, MEMBERS, PING};
pub use endpoints::{PdCadence, PdRequest, PdSchedule, Scope};
pub use hot_regions::{FlowAnswer, FlowKind, HotRegion};
pub(crate) use hot_regions::{busy_regions, region_peers};
pub use member::Member;
pub(crate) use members::member_name;
pub use members::{
    MembersView, cluster_id, members_view, metric_storage, version, without_userinfo,
};
pub use topology::{MemberView, Topology};
