//! One line of the timeline.

use serde::Serialize;

use crate::model::Timestamp;

/// What happened. The names are stable: they stand in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it; the rules are documented where they are made")]
pub enum EntryKind {
    PdMemberJoined,
    PdMemberLeft,
    PdMemberUnreachable,
    PdMemberReachable,
    PdMemberRestarted,
    PdMemberUnhealthy,
    PdMemberHealthy,
    PdLeaderChanged,
    PdLeaderLost,
    PdErrorAnswer,
    PdMalformedAnswer,
    StoreAppeared,
    StoreRemoved,
    StoreStateChanged,
    StoreNodeStateChanged,
    StoreRestarted,
    StoreLeaderCount,
    StoreRegionCount,
    StoreSlow,
    StoreNotSlow,
    PdOperators,
    SchedulerAdded,
    SchedulerRemoved,
    SchedulerPaused,
    SchedulerResumed,
    ConfigChanged,
    SettingChanged,
    SettingsUnread,
    RegionCheckRaised,
    RegionCheckCleared,
    TargetDown,
    TargetUp,
    TargetAbsent,
    TargetAppeared,
    ProcessRestarted,
    Marked,
    LogRead,
    LogLine,
    LogLinesDropped,
    GapBegan,
    GapEnded,
}

/// What an entry rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Evidence {
    /// A path of PD's API, a series, or what else was read.
    pub reference: String,
    /// When it was observed.
    pub at: Timestamp,
    /// What it said.
    pub value: String,
}

/// Something that happened, with what shows it. Entries are ordered by time, then by the rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Entry {
    /// When it was observed first; it happened no later.
    pub at: Timestamp,
    /// Who says so: `pd/pd0`, `prometheus`, `event`, `log`, `settings`, `recorder`.
    pub source: String,
    /// The kind of what happened.
    pub kind: EntryKind,
    /// To what: `store 4 (10.77.0.20:20160)`, `pd0`, `tikv/10.77.0.20:20180`.
    pub subject: String,
    /// What happened, for a person. Text from outside is verbatim: escape it when printing.
    pub text: String,
    /// What shows it.
    pub evidence: Evidence,
}

/// `HH:MM:SS` in UTC of Unix seconds.
pub(crate) fn clock_text(unix_seconds: i64) -> String {
    let second = unix_seconds.rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", second / 3_600, second % 3_600 / 60, second % 60)
}
