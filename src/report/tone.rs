//! Whether a change on the timeline is bad news, for whatever colours it.

use crate::timeline::EntryKind;

/// The tone of an entry of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Something was lost.
    Bad,
    /// Something that had been lost is there again.
    Good,
    /// A change that deserves attention.
    Notable,
    /// A person's or a program's mark.
    Marked,
    /// Any other change.
    Plain,
}

impl Tone {
    /// The tone of a kind of entry.
    pub(super) fn of(kind: EntryKind) -> Self {
        use EntryKind as Kind;
        match kind {
            Kind::PdMemberUnreachable
            | Kind::PdMemberUnhealthy
            | Kind::PdLeaderLost
            | Kind::StoreRemoved
            | Kind::StoreSlow
            | Kind::TargetDown
            | Kind::TargetAbsent => Self::Bad,
            Kind::PdMemberReachable
            | Kind::PdMemberHealthy
            | Kind::StoreNotSlow
            | Kind::RegionCheckCleared
            | Kind::TargetUp
            | Kind::TargetAppeared => Self::Good,
            Kind::PdErrorAnswer
            | Kind::PdMalformedAnswer
            | Kind::PdMemberRestarted
            | Kind::PdLeaderChanged
            | Kind::StoreStateChanged
            | Kind::StoreNodeStateChanged
            | Kind::StoreRestarted
            | Kind::ProcessRestarted
            | Kind::RegionCheckRaised
            | Kind::LogLinesDropped
            | Kind::SettingChanged
            | Kind::GapBegan => Self::Notable,
            Kind::Marked => Self::Marked,
            _ => Self::Plain,
        }
    }
}
