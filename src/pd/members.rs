//! What the answers about members say: `/members`, `/health`, `/status`, `/cluster` and `/version`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Member;
use crate::model::{self, MemberId, MemberStatus};

/// What `/members` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersDocument {
    /// The cluster's id.
    pub cluster_id: Option<u64>,
    /// All members by id.
    pub members: BTreeMap<MemberId, model::Member>,
    /// Name of PD's leader; `None` where there is none.
    pub leader: Option<String>,
    /// Name of etcd's leader, which normally is PD's too.
    pub etcd_leader: Option<String>,
}

/// What one member's `/pd/api/v1/members` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersView {
    /// The cluster's id; it exceeds 2^53.
    pub cluster_id: Option<u64>,
    /// Every member with its first client URL, ascending by name. A member that has not told
    /// its name yet goes by host and port; one without a client URL is left out.
    pub members: Vec<Member>,
    /// The name of PD's leader.
    pub leader: Option<String>,
    /// The name of the leader of PD's etcd, which can be another member.
    pub etcd_leader: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RawMembers {
    header: Option<RawHeader>,
    members: Option<Vec<RawMember>>,
    leader: Option<RawMember>,
    etcd_leader: Option<RawMember>,
}

#[derive(Deserialize)]
struct RawHeader {
    cluster_id: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct RawMember {
    name: Option<String>,
    member_id: Option<u64>,
    client_urls: Option<Vec<String>>,
    binary_version: Option<String>,
    health: Option<bool>,
}

/// PD names the lack of a leader by `null`, by leaving it out, or by an empty object.
fn leader_name(raw: Option<RawMember>) -> Option<String> {
    raw.and_then(|member| member.name).filter(|name| !name.is_empty())
}

pub(super) fn members(raw: RawMembers) -> MembersDocument {
    let members = raw.members.unwrap_or_default().into_iter().map(|member| {
        let id = MemberId(member.member_id.unwrap_or_default());
        let member = model::Member {
            id,
            name: member.name.unwrap_or_default(),
            client_urls: member.client_urls.unwrap_or_default(),
            version: member.binary_version.unwrap_or_default(),
        };
        (id, member)
    });
    MembersDocument {
        cluster_id: raw.header.and_then(|header| header.cluster_id),
        members: members.collect(),
        leader: leader_name(raw.leader),
        etcd_leader: leader_name(raw.etcd_leader),
    }
}

pub(super) fn health(raw: Option<Vec<RawMember>>) -> BTreeMap<String, bool> {
    // `health` is left out by some versions where it is false.
    let row = |member: RawMember| {
        let id = member.member_id.unwrap_or_default();
        let name = member.name.filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_string());
        (name, member.health.unwrap_or(false))
    };
    raw.unwrap_or_default().into_iter().map(row).collect()
}

/// Reads an answer of `/pd/api/v1/members`; `None` where it is not one.
pub fn members_view(body: &[u8]) -> Option<MembersView> {
    let raw: RawMembers = serde_json::from_slice(body).ok()?;
    let mut members: Vec<Member> = raw.members?.into_iter().filter_map(reached).collect();
    members.sort();
    members.dedup_by(|a, b| a.name == b.name);
    Some(MembersView {
        cluster_id: raw.header.and_then(|header| header.cluster_id),
        members,
        leader: leader_name(raw.leader),
        etcd_leader: leader_name(raw.etcd_leader),
    })
}

/// The member by its first client URL; `None` where it has none.
fn reached(raw: RawMember) -> Option<Member> {
    let urls = raw.client_urls.unwrap_or_default();
    let by_url = Member::of_url(urls.first()?)?;
    let name = raw.name.filter(|name| !name.is_empty()).unwrap_or(by_url.name);
    Some(Member { name, url: by_url.url })
}

#[derive(Deserialize)]
pub(super) struct RawStatus {
    version: Option<String>,
    start_timestamp: Option<i64>,
}

pub(super) fn status(raw: RawStatus) -> MemberStatus {
    MemberStatus {
        version: raw.version.unwrap_or_default(),
        started_unix_s: raw.start_timestamp.filter(|&seconds| seconds != 0),
    }
}

/// The cluster's id as decimal digits, out of `/pd/api/v1/cluster` or `/pd/api/v1/members`.
pub fn cluster_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Cluster {
        id: Option<u64>,
        header: Option<RawHeader>,
    }
    let cluster: Cluster = serde_json::from_slice(body).ok()?;
    let id = cluster.id.or(cluster.header.and_then(|header| header.cluster_id));
    id.filter(|id| *id != 0).map(|id| id.to_string())
}

/// PD's version, such as `v8.5.8`, out of `/pd/api/v1/version`, `/pd/api/v1/status` or, of the first member that
/// says it, `/pd/api/v1/members`.
pub fn version(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Version {
        version: Option<String>,
        #[serde(default)]
        members: Vec<OfMember>,
    }
    #[derive(Deserialize)]
    struct OfMember {
        binary_version: Option<String>,
    }
    let body: Version = serde_json::from_slice(body).ok()?;
    let members = body.members.into_iter().filter_map(|member| member.binary_version);
    body.version.into_iter().chain(members).find(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_beyond_two_to_the_53_keep_every_digit() {
        let cluster = br#"{"id": 7711772636774947891, "max_peer_count": 3}"#;
        assert_eq!(cluster_id(cluster).as_deref(), Some("7711772636774947891"));
        let versions = br#"{"members":[{"name":"pd0"},{"binary_version":"v8.5.8"}]}"#;
        assert_eq!(version(versions).as_deref(), Some("v8.5.8"));
        let members = br#"{"header":{"cluster_id":7711772636774947891},"members":[]}"#;
        assert_eq!(cluster_id(members).as_deref(), Some("7711772636774947891"));
    }

    #[test]
    fn a_view_without_a_leader_is_still_a_view() {
        let view = members_view(
            br#"{"members":[
                {"name":"pd1","client_urls":["http://a:b@h1:2379"]},
                {"name":"","client_urls":["http://h0:2379/"]},
                {"name":"pd2"}],
               "leader":null,"etcd_leader":{"name":"pd1"}}"#,
        )
        .expect("a view");
        assert_eq!(view.leader, None);
        assert_eq!(view.etcd_leader.as_deref(), Some("pd1"));
        let members: Vec<_> =
            view.members.iter().map(|m| (m.name.as_str(), m.url.as_str())).collect();
        assert_eq!(members, [("h0:2379", "http://h0:2379"), ("pd1", "http://h1:2379")]);
    }

    #[test]
    fn an_error_text_is_not_a_view() {
        assert_eq!(members_view(b"\"etcd has no leader\"\n"), None);
        assert_eq!(version(b"{}"), None);
    }
}
