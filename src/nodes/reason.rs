//! Why a node has the scrape target that it has.

use std::fmt;

/// Why a node has the scrape target that it has, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Somebody said so.
    Told,
    /// One of the target's labels is the address that PD lists for it.
    ListedAddress,
    /// It is the only target of its component on the node's host.
    OnlyTargetOfHost,
    /// One of the target's labels names its host, its pod or, of a PD member, its name.
    NamedByLabel,
    /// It says that its id is the one that PD lists.
    OwnId,
    /// It exchanges messages with every other node of its component and not with this one.
    PeersOfOthers,
    /// Its counts of regions and its disk, or when it leads, are what PD says of this node.
    Behaviour,
    /// It is the only target with the port that PD lists.
    OnlyTargetOfPort,
    /// It is the only target, and this the only node, that is left.
    OnlyOneLeft,
    /// No answer of PD lists the node: it is known by its target alone.
    OnlyTarget,
    /// No target is known to be it.
    NoTarget,
}

impl Reason {
    /// Whether addresses or names decided, rather than behaviour.
    pub(super) fn is_by_name(self) -> bool {
        matches!(
            self,
            Self::Told | Self::ListedAddress | Self::OnlyTargetOfHost | Self::NamedByLabel
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Told => "somebody said so",
            Self::ListedAddress => "PD lists its address",
            Self::OnlyTargetOfHost => "the only such target on its host",
            Self::NamedByLabel => "a label names its host or pod",
            Self::OwnId => "it says its id",
            Self::PeersOfOthers => "it exchanges messages with all others",
            Self::Behaviour => "its counts are what PD says",
            Self::OnlyTargetOfPort => "the only target with its port",
            Self::OnlyOneLeft => "the only one left",
            Self::OnlyTarget => "PD lists none; the target is known alone",
            Self::NoTarget => "no target is known to be it",
        })
    }
}
