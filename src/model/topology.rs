//! Parts of PD's state: members, stores, scheduling steps.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}", self.0)
            }
        }
    };
}

id! {
    /// A TiKV node's id.
    StoreId
}
id! {
    /// A region's id.
    RegionId
}
id! {
    /// A PD member's id; exceeds 2^53.
    MemberId
}

/// A PD member as `/members` lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The id that PD gave it.
    pub id: MemberId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Its binary's version; empty where PD does not say.
    pub version: String,
}

/// What a member says of itself under `/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberStatus {
    /// The version of its binary, such as `v8.5.8`.
    pub version: String,
    /// When its process started, in Unix seconds.
    pub started_unix_s: Option<i64>,
}

/// Where a store stands in its life. PD leaves the first state out of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeState {
    /// Joined, and being filled.
    Preparing,
    /// The store is in service.
    Serving,
    /// The store is being emptied.
    Removing,
    /// Empty and gone.
    Removed,
    /// A code that this version does not know.
    Other(i64),
}

impl NodeState {
    /// From the number that PD writes.
    pub fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Preparing,
            1 => Self::Serving,
            2 => Self::Removing,
            3 => Self::Removed,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preparing => formatter.write_str("Preparing"),
            Self::Serving => formatter.write_str("Serving"),
            Self::Removing => formatter.write_str("Removing"),
            Self::Removed => formatter.write_str("Removed"),
            Self::Other(code) => write!(formatter, "state {code}"),
        }
    }
}

/// A size as PD prints it: four significant digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// PD's text, such as `2.813GiB`.
    pub text: String,
    /// Bytes to within the four digits; `None` where the text is unreadable.
    pub approximate_bytes: Option<u64>,
}

impl Size {
    /// Reads PD's text.
    pub fn parse(text: &str) -> Self {
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let power = match &text[number.len()..] {
            "" | "B" => Some(0),
            "KiB" => Some(1),
            "MiB" => Some(2),
            "GiB" => Some(3),
            "TiB" => Some(4),
            "PiB" => Some(5),
            "EiB" => Some(6),
            _ => None,
        };
        let value: Option<f64> = number.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
        let approximate_bytes =
            value.zip(power).map(|(value, power)| (value * 1024_f64.powi(power)) as u64);
        Self { text: text.to_owned(), approximate_bytes }
    }
}

/// A key and value that PD keeps on a store, such as `zone=a`. Not a Prometheus label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreLabel {
    /// The key, such as `zone`.
    pub key: String,
    /// The value of the key.
    pub value: String,
}

/// A store as PD's leader sees it. Numbers are those of its last heartbeat, so they are old
/// where the store no longer sends any.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// The id that PD gave it.
    pub id: StoreId,
    /// Where clients reach it.
    pub address: String,
    /// Where it serves metrics.
    pub status_address: String,
    /// The version of its binary, such as `8.5.8`.
    pub version: String,
    /// Its placement labels.
    pub labels: Vec<StoreLabel>,
    /// `Up`, `Disconnected` (no heartbeat for 20 s), `Down` (30 min by default), `Offline`,
    /// `Tombstone`.
    pub state_name: String,
    /// Where it stands in its life.
    pub node_state: NodeState,
    /// When its process started, in Unix seconds.
    pub started_unix_s: Option<i64>,
    /// Its last heartbeat, in Unix nanoseconds. PD persists it every five minutes only, so a
    /// new PD leader may show an old one.
    pub last_heartbeat_unix_ns: Option<i64>,
    /// Size of its disk.
    pub capacity: Option<Size>,
    /// Free space on its disk.
    pub available: Option<Size>,
    /// Space used by data.
    pub used: Option<Size>,
    /// How many regions it leads.
    pub leader_count: u64,
    /// PD's score of that.
    pub leader_score: Option<f64>,
    /// How many regions have a peer on it.
    pub region_count: u64,
    /// PD's score of that.
    pub region_score: Option<f64>,
    /// Peers that lag behind.
    pub pending_peer_count: u64,
    /// 1 (well) to 100 (slow); absent before the first slow-score report.
    pub slow_score: Option<u64>,
    /// Whether it says it is busy.
    pub is_busy: bool,
}

impl Store {
    /// Whether it is a TiFlash, by the placement label that TiFlash's own configuration sets.
    pub fn is_tiflash(&self) -> bool {
        self.labels.iter().any(|label| label.key == "engine" && label.value.starts_with("tiflash"))
    }

    /// Where the store stands in its life, as PD says since release 6; `None` for an older one, which
    /// lists no such state.
    pub fn known_node_state(&self) -> Option<NodeState> {
        let major = self.version.trim_start_matches('v').split('.').next();
        let major: Option<u32> = major.and_then(|major| major.parse().ok());
        major.is_none_or(|major| major >= 6).then_some(self.node_state)
    }
}

/// How many regions a store leads and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionCounts {
    /// The number of regions that it leads.
    pub leaders: u64,
    /// The number of regions with a peer on it.
    pub regions: u64,
}

/// A scheduling step that PD has under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PdOperator {
    /// What made it, such as `balance-leader-scheduler`.
    pub desc: String,
    /// What it does, for a person.
    pub brief: String,
    /// The region it moves.
    pub region: Option<RegionId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_before_release_6_has_no_node_state() {
        let store = |version: &str| Store {
            id: StoreId(1),
            address: String::new(),
            status_address: String::new(),
            version: version.to_owned(),
            labels: Vec::new(),
            state_name: "Up".to_owned(),
            node_state: NodeState::Preparing,
            started_unix_s: None,
            last_heartbeat_unix_ns: None,
            capacity: None,
            available: None,
            used: None,
            leader_count: 0,
            leader_score: None,
            region_count: 0,
            region_score: None,
            pending_peer_count: 0,
            slow_score: None,
            is_busy: false,
        };
        assert_eq!(store("5.4.3").known_node_state(), None);
        assert_eq!(store("v8.5.8").known_node_state(), Some(NodeState::Preparing));
        assert_eq!(store("").known_node_state(), Some(NodeState::Preparing));
    }

    #[test]
    fn a_size_that_is_not_one_has_no_bytes() {
        assert_eq!(Size::parse("0B").approximate_bytes, Some(0));
        assert_eq!(Size::parse("1.751TiB").approximate_bytes, Some(1_925_244_860_235));
        assert_eq!(Size::parse("lots").approximate_bytes, None);
    }
}
