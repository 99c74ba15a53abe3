//! A finding: something that departed from normal, where, since when, and what shows it.
//!
//! Only its shape, as it stands in JSON, and how its numbers are written. What departs is found in
//! `observations`.

use serde::Serialize;

use crate::model::{Timestamp, duration_text};
use crate::nodes::StoreNode;

/// The thing that a finding or a cause affects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Target {
    /// Whether it is a store, a PD member, a link or something else.
    pub kind: TargetKind,
    /// Its name, such as `store 4`, `pd0`, `cluster` or `workload`.
    pub name: String,
    /// Its host and port; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The name of its pod or host, where Prometheus knows it by one; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
    /// PD's id of the store; absent for anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_id: Option<u64>,
    /// Names of what else is affected, such as the regions of a workload or the missing members of a
    /// quorum.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub concerns: Vec<String>,
}

/// Kinds of targets. The names are stable: they stand in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// One store, that is a TiKV node.
    Store,
    /// One member of PD.
    PdMember,
    /// PD as a whole.
    Pd,
    /// The connection between two nodes.
    Link,
    /// The requests of clients.
    Workload,
    /// The whole cluster of stores and PD.
    Cluster,
    /// Prometheus or the recorder, which observe the cluster.
    Observer,
}

impl Target {
    /// The target of a store, with its address and id.
    pub fn store(store: &StoreNode) -> Self {
        Self {
            address: Some(store.address.clone()),
            known_as: store.known_as.clone(),
            store_id: store.id.map(|id| id.0),
            ..Self::named(TargetKind::Store, &store.name())
        }
    }

    /// The target of a PD member; an empty `address` means that it is unknown.
    pub fn member(name: &str, address: String) -> Self {
        let address = Some(address).filter(|address| !address.is_empty());
        Self { address, ..Self::named(TargetKind::PdMember, name) }
    }

    /// A target that has only a name.
    pub fn named(kind: TargetKind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            address: None,
            known_as: None,
            store_id: None,
            concerns: Vec::new(),
        }
    }

    /// The target of the whole cluster.
    pub fn cluster() -> Self {
        Self::named(TargetKind::Cluster, "cluster")
    }

    /// The name for a person, followed by the pod's or host's name and the address where they say more.
    pub fn text(&self) -> String {
        let address = self.address.as_deref().filter(|address| *address != self.name);
        let shown = |name: &&str| {
            *name != self.name && !address.is_some_and(|address| address.contains(*name))
        };
        let known_as = self.known_as.as_deref().filter(shown);
        let beside: Vec<&str> = known_as.into_iter().chain(address).collect();
        match beside.is_empty() {
            true => self.name.clone(),
            false => format!("{} ({})", self.name, beside.join(", ")),
        }
    }
}

/// The kind of a finding. The names are stable: they stand in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented by the code that makes it")]
pub enum FindingKind {
    SilentToPd,
    ScrapesFail,
    ScrapesMissing,
    UnreachableForPeers,
    ReachesNoPeers,
    Restarted,
    CountersStoodStill,
    CountersMovedOn,
    NoAnswer,
    PdLeaderChanged,
    PdLeaderless,
    PdLeadersDiffer,
    SlowDevice,
    DeviceStopped,
    SlowThreads,
    SlowNetwork,
    LoadRose,
    LoadFell,
    LoadShifted,
    ScansRose,
    LoadConcentrated,
    DiskFilled,
    MemoryRose,
    LeadersLeft,
    StoreRemoving,
    StoreJoined,
    SchedulerAdded,
    SchedulerPaused,
    ConfigChanged,
    SettingChanged,
    SettingsDiffer,
    SettingsNotDefault,
    EngineStalled,
    ThreadsSaturated,
    RequestsRefused,
    CriticalError,
    ClockJumped,
    SafePointStill,
    OperatorsStill,
    RegionsAbnormal,
    SnapshotTraffic,
    QuorumLost,
    ScoresApart,
    QuantityUnusual,
    StoreAbnormal,
    Panicked,
    KilledForMemory,
    ProcessExited,
    StopSignalled,
    CannotOpen,
    EngineFailed,
    LeadershipGivenUp,
    Logged,
    PodEvicted,
    MachineRebooted,
    BecameReadOnly,
    HostSilent,
    PortClosed,
    ClockAlone,
}

impl FindingKind {
    /// Whether faults of many kinds bring it about, so that it is listed beneath the first cause where
    /// no other one claims it.
    pub(in crate::diagnose) fn is_common_consequence(self) -> bool {
        matches!(
            self,
            Self::LoadRose | Self::PdLeaderChanged | Self::LeadersLeft | Self::RegionsAbnormal
        )
    }

    /// The name that stands in JSON.
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).expect("a unit variant is a string");
        name.as_str().unwrap_or_default().to_owned()
    }
}

/// One reading that shows a finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Citation {
    /// A series in PromQL's spelling, or a path of PD's API with the member asked.
    pub reference: String,
    /// When it was sampled or answered.
    pub at_ms: Timestamp,
    /// The value that was read, as text.
    pub value: String,
}

/// How far a quantity departed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Magnitude {
    /// The median before, in `unit`.
    pub baseline: f64,
    /// The median while it lasted, in `unit`.
    pub typical: f64,
    /// The largest value while it lasted, in `unit`.
    pub peak: f64,
    /// The unit of all three values: `seconds` or `requests/s`.
    pub unit: &'static str,
}

/// Something that departed from normal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Its id: `F1`, `F2` and so on, in order of onset.
    pub id: String,
    /// The kind of departure.
    pub kind: FindingKind,
    /// The node, link or workload that is affected.
    pub target: Target,
    /// When the departure began.
    pub onset_ms: Timestamp,
    /// How far the onset may be off, either way, in milliseconds.
    pub onset_uncertainty_ms: i64,
    /// When it was over; `None` where it lasts to the end of what was observed.
    pub end_ms: Option<Timestamp>,
    /// What happened, in a sentence without a full stop.
    pub text: String,
    /// How far it departed; absent where it is no quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub magnitude: Option<Magnitude>,
    /// The readings that show it.
    pub citations: Vec<Citation>,
    /// The quantities to plot.
    pub plot: Vec<Plot>,
}

impl Finding {
    /// The same finding with its readings taken at `at`, where that is not its onset.
    pub(in crate::diagnose) fn read_at(mut self, at: Timestamp) -> Self {
        for citation in &mut self.citations {
            citation.at_ms = at;
        }
        self
    }
}

/// A quantity that shows a finding, to be plotted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Plot {
    /// The metric; where `how` is a mean, the histogram's name without `_sum` and `_count`.
    pub metric: String,
    /// How samples become values.
    pub how: PlotHow,
    /// The `instance` label of the scrape target.
    pub instance: String,
    /// Name of one more label that the series must have, and its value; of several values, which are separated
    /// by `|`, any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<(String, String)>,
}

/// How samples become values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlotHow {
    /// The value as it was scraped.
    Gauge,
    /// The counter's increase per second.
    Rate,
    /// The increase of the sum divided by that of the count.
    Mean,
    /// The observations of a histogram that took longer than a second, per second.
    Slow,
    /// The share of all observations that took longer than a second.
    SlowShare,
    /// The value that PD answered: `metric` names the quantity after PD's API, and `instance` is the
    /// member, the store or the check.
    Pd,
}

/// Refers to a finding before the findings are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindingRef(pub(in crate::diagnose) usize);

/// The findings of a window, in the order in which they are made.
#[derive(Clone, Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding. It gets its id when all are known.
    pub fn add(&mut self, finding: Finding) -> FindingRef {
        self.0.push(finding);
        FindingRef(self.0.len() - 1)
    }

    /// The finding that a reference of this list refers to.
    pub fn get(&self, reference: FindingRef) -> &Finding {
        &self.0[reference.0]
    }

    /// All findings, each with its reference.
    pub fn iter(&self) -> impl Iterator<Item = (FindingRef, &Finding)> {
        self.0.iter().enumerate().map(|(index, finding)| (FindingRef(index), finding))
    }

    /// Numbers the findings in order of onset and returns them in that order, with the id of each
    /// reference.
    pub(in crate::diagnose) fn number(self) -> (Vec<Finding>, Vec<String>) {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        let key = |index: &usize| {
            let finding = &self.0[*index];
            (finding.onset_ms, finding.kind, finding.target.clone(), *index)
        };
        order.sort_by_key(key);
        let mut ids = vec![String::new(); order.len()];
        for (number, index) in order.iter().enumerate() {
            ids[*index] = format!("F{}", number + 1);
        }
        let mut findings = self.0;
        for (finding, id) in findings.iter_mut().zip(&ids) {
            finding.id.clone_from(id);
        }
        let sorted = order.iter().map(|index| findings[*index].clone()).collect();
        (sorted, ids)
    }
}

/// A number for a person: three significant digits, at most nine of them decimals, and all digits before the
/// point.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    let digits = match magnitude {
        m if m >= 100.0 => 0,
        m if m >= 10.0 => 1,
        m if m >= 1.0 => 2,
        m if m >= 1e-9 => (2 - m.log10().floor() as i32).clamp(3, 9) as usize,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A count of something, for a person: `1 region`, `2 regions`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A duration in seconds, for a person: `450 us`, `3.2 ms`, `1.5 s`, `2m30s`.
pub fn seconds(value: f64) -> String {
    match value {
        v if v < 0.001 => format!("{} us", number(v * 1e6)),
        v if v < 1.0 => format!("{} ms", number(v * 1e3)),
        v if v < 120.0 => format!("{} s", number(v)),
        v => duration_text((v * 1000.0) as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_seconds_read_well() {
        assert_eq!(
            [0.0012345, 1.5, 12.345, 1234.5].map(number),
            ["0.00123", "1.5", "12.3", "1234"]
        );
        assert_eq!(
            [0.00045, 0.3012, 1.5, 150.0].map(seconds),
            ["450 us", "301 ms", "1.5 s", "2m30s"]
        );
    }
}
