//! The few facts that the recorder itself needs out of PD's answers.
//!
//! What an answer says about the cluster's state is read elsewhere.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use crate::pd::Member;

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
struct MembersBody {
    header: Option<HeaderBody>,
    members: Vec<MemberBody>,
    leader: Option<MemberBody>,
    etcd_leader: Option<MemberBody>,
}

#[derive(Deserialize)]
struct HeaderBody {
    cluster_id: Option<u64>,
}

#[derive(Deserialize)]
struct MemberBody {
    #[serde(default)]
    name: String,
    #[serde(default)]
    client_urls: Vec<String>,
}

/// Reads an answer of `/pd/api/v1/members`; `None` where it is not one.
pub fn members_view(body: &[u8]) -> Option<MembersView> {
    let body: MembersBody = serde_json::from_slice(body).ok()?;
    let name = |member: Option<MemberBody>| {
        member.map(|member| member.name).filter(|name| !name.is_empty())
    };
    let mut members: Vec<Member> = body
        .members
        .into_iter()
        .filter_map(|member| {
            let named = Member::of_url(member.client_urls.first()?)?;
            let name = if member.name.is_empty() { named.name } else { member.name };
            Some(Member { name, url: named.url })
        })
        .collect();
    members.sort();
    members.dedup_by(|a, b| a.name == b.name);
    Some(MembersView {
        cluster_id: body.header.and_then(|header| header.cluster_id),
        members,
        leader: name(body.leader),
        etcd_leader: name(body.etcd_leader),
    })
}

/// The base URL of Prometheus that PD's dashboard uses: `pd-server.metric-storage` of
/// `/pd/api/v1/config`, without credentials. `None` where it is not set or the body is not a
/// configuration.
pub fn metric_storage(config_body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "pd-server")]
        pd_server: Server,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Server {
        metric_storage: String,
    }
    let config: Config = serde_json::from_slice(config_body).ok()?;
    let url = config.pd_server.metric_storage;
    (!url.is_empty()).then(|| without_userinfo(&url))
}

/// The name of the member whose `/pd/api/v1/config` this is.
pub(crate) fn member_name(config_body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        name: String,
    }
    let config: Config = serde_json::from_slice(config_body).ok()?;
    Some(config.name).filter(|name| !name.is_empty())
}

/// The cluster's id as decimal digits, out of `/pd/api/v1/cluster` or `/pd/api/v1/members`.
pub fn cluster_id(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Cluster {
        id: Option<u64>,
        header: Option<HeaderBody>,
    }
    let cluster: Cluster = serde_json::from_slice(body).ok()?;
    let id = cluster.id.or(cluster.header.and_then(|header| header.cluster_id));
    id.filter(|id| *id != 0).map(|id| id.to_string())
}

/// PD's version, such as `v8.5.8`, out of `/pd/api/v1/version` or `/pd/api/v1/status`.
pub fn version(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let version: Version = serde_json::from_slice(body).ok()?;
    (!version.version.is_empty()).then_some(version.version)
}

static USERINFO: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"([A-Za-z][A-Za-z0-9+.\-]*://)[^/?#\s"'<>\\]*@"#).expect("the pattern is valid")
});

/// A text with the user and password taken out of every URL in it.
///
/// # Examples
///
/// ```
/// use operator::pd::without_userinfo;
/// assert_eq!(without_userinfo("get http://root:p@ss@pd0:2379/x"), "get http://pd0:2379/x");
/// ```
pub fn without_userinfo(text: &str) -> String {
    USERINFO.replace_all(text, "$1").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_beyond_two_to_the_53_keep_every_digit() {
        let cluster = br#"{"id": 7711772636774947891, "max_peer_count": 3}"#;
        assert_eq!(cluster_id(cluster).as_deref(), Some("7711772636774947891"));
        let members = br#"{"header":{"cluster_id":7711772636774947891},"members":[]}"#;
        assert_eq!(cluster_id(members).as_deref(), Some("7711772636774947891"));
    }

    #[test]
    fn the_address_of_prometheus_comes_without_credentials() {
        let config = br#"{"pd-server":{"metric-storage":"http://u:p@10.0.0.1:9090"}}"#;
        assert_eq!(metric_storage(config).as_deref(), Some("http://10.0.0.1:9090"));
        assert_eq!(metric_storage(br#"{"pd-server":{"metric-storage":""}}"#), None);
        assert_eq!(metric_storage(b"<html>"), None);
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
