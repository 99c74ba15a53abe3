//! A finding: something that departed from normal, where, since when, and what shows it.

use serde::Serialize;

use crate::model::Timestamp;
use crate::nodes::StoreNode;

/// What a finding or a cause is at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Target {
    /// Which kind of thing.
    pub kind: TargetKind,
    /// `store 4`, `pd0`, `cluster`, `workload`.
    pub name: String,
    /// Host and port, where it has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// PD's number of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_id: Option<u64>,
    /// What it concerns further: regions of a workload, missing members of a quorum.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub concerns: Vec<String>,
}

/// Kinds of targets. The names are stable: they stand in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A TiKV node.
    Store,
    /// A PD member.
    PdMember,
    /// PD as a whole.
    Pd,
    /// The connection between two nodes.
    Link,
    /// What clients ask for.
    Workload,
    /// All of it.
    Cluster,
    /// Prometheus or the recorder: who looks, not what is looked at.
    Observer,
}

impl Target {
    /// A store.
    pub fn store(store: &StoreNode) -> Self {
        Self {
            address: Some(store.address.clone()),
            store_id: store.id.map(|id| id.0),
            ..Self::named(TargetKind::Store, &store.name())
        }
    }

    /// A PD member.
    pub fn member(name: &str, address: String) -> Self {
        let address = Some(address).filter(|address| !address.is_empty());
        Self { address, ..Self::named(TargetKind::PdMember, name) }
    }

    /// Anything that has only a name.
    pub fn named(kind: TargetKind, name: &str) -> Self {
        Self { kind, name: name.to_owned(), address: None, store_id: None, concerns: Vec::new() }
    }

    /// The whole cluster.
    pub fn cluster() -> Self {
        Self::named(TargetKind::Cluster, "cluster")
    }

    /// The name, with the address where there is one.
    pub fn text(&self) -> String {
        match &self.address {
            Some(address) if *address != self.name => format!("{} ({address})", self.name),
            _ => self.name.clone(),
        }
    }
}

/// What departed. The names are stable: they stand in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented where it is made, in `facts`")]
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
    SlowDevice,
    DeviceStopped,
    SlowThreads,
    SlowNetwork,
    LoadRose,
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

/// One reading that a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Citation {
    /// A series in PromQL's spelling, or a path of PD's API with the member asked.
    pub reference: String,
    /// When.
    pub at_ms: Timestamp,
    /// What it said.
    pub value: String,
}

/// How far something went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Magnitude {
    /// What was normal before.
    pub baseline: f64,
    /// The median while it lasted.
    pub typical: f64,
    /// The extreme.
    pub peak: f64,
    /// Of all three.
    pub unit: &'static str,
}

/// Something that departed from normal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// `F1`, in order of onset.
    pub id: String,
    /// What departed.
    pub kind: FindingKind,
    /// Where.
    pub target: Target,
    /// When it began.
    pub onset_ms: Timestamp,
    /// How far that may be off, either way.
    pub onset_uncertainty_ms: i64,
    /// When it was over; `None` where it lasts to the end of what was seen.
    pub end_ms: Option<Timestamp>,
    /// What happened, in a sentence without a full stop.
    pub text: String,
    /// How far it went, where it is a quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub magnitude: Option<Magnitude>,
    /// What shows it.
    pub citations: Vec<Citation>,
    /// What to plot: metric, and labels that the series must have.
    pub plot: Vec<Plot>,
}

/// A quantity behind a finding, for plotting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Plot {
    /// The metric; a histogram's without `_sum` and `_count` where `how` is a mean.
    pub metric: String,
    /// How samples become values.
    pub how: PlotHow,
    /// The scrape target.
    pub instance: String,
    /// A further label that must have a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<(String, String)>,
}

/// How samples become values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlotHow {
    /// As scraped.
    Gauge,
    /// Increase per second.
    Rate,
    /// Increase of the sum over that of the count.
    Mean,
    /// As PD answered: `metric` names what, after its API, and `instance` the member or the store.
    Pd,
}

/// Refers to a finding while a case is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindingRef(pub(in crate::diagnose) usize);

/// Findings as they are made.
#[derive(Clone, Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one. Its id is given when all are known.
    pub fn add(&mut self, finding: Finding) -> FindingRef {
        self.0.push(finding);
        FindingRef(self.0.len() - 1)
    }

    /// The finding.
    pub fn get(&self, reference: FindingRef) -> &Finding {
        &self.0[reference.0]
    }

    /// All, with what refers to them.
    pub fn iter(&self) -> impl Iterator<Item = (FindingRef, &Finding)> {
        self.0.iter().enumerate().map(|(index, finding)| (FindingRef(index), finding))
    }

    /// Numbers them in order of onset and returns them so, with the id of each reference.
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

/// A number for a person: four significant digits at most.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    let digits = match magnitude {
        m if m >= 100.0 => 0,
        m if m >= 10.0 => 1,
        m if m >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// So many of something, for a person: `1 region`, `2 regions`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Seconds for a person: `450 us`, `3.2 ms`, `1.5 s`, `2m 30s`.
pub fn seconds(value: f64) -> String {
    match value {
        v if v < 0.001 => format!("{} us", number(v * 1e6)),
        v if v < 1.0 => format!("{} ms", number(v * 1e3)),
        v if v < 120.0 => format!("{} s", number(v)),
        v => format!("{}m {:02}s", (v / 60.0) as i64, (v % 60.0) as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_seconds_read_well() {
        assert_eq!([0.0012345, 1.5, 12.345, 1234.5].map(number), ["0.001", "1.5", "12.3", "1234"]);
        assert_eq!(
            [0.00045, 0.3012, 1.5, 150.0].map(seconds),
            ["450 us", "301 ms", "1.5 s", "2m 30s"]
        );
    }
}
