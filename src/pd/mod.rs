//! PD's HTTP API: which endpoints there are, when they are due, and what their bodies say.
//!
//! Nothing here opens a socket; answers are kept as they came.

mod configuration;
mod documents;
#[cfg(test)]
mod documents_properties;
mod endpoint;
mod hot_regions;
mod identity;
mod member;
mod members;
mod pasted;
mod rewrite;
mod schedule;
mod scheduling;
mod stores;
mod topology;

pub(crate) use configuration::member_name;
pub use configuration::{metric_storage, without_userinfo};
pub use documents::{ParsedBody, PdDocument, PdDocumentError};
pub use endpoint::{
    ASKED, Asked, CLUSTER, CONFIG, Endpoint, Group, MEMBERS, PING, STATUS, STORES, Scope, VERSION,
    profile_path, short_path,
};
pub use hot_regions::{Flow, FlowKind, HotRegion, REGION_HEARTBEAT_S, RegionPeers};
pub use identity::{is_pd, lists_members};
pub use member::Member;
pub use members::{MembersDocument, MembersView, cluster_id, members_view, version};
pub use pasted::{Pasted, pasted};
pub use rewrite::{BodyText, LEAST_RANDOM_ID, RewriteBody, rewrite_body};
pub use schedule::{PdCadence, PdRequest, PdSchedule};
pub use scheduling::{MinResolvedTs, SafePoint};
pub use topology::{MemberView, Topology};
