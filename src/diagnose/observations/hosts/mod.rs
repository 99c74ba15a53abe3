//! What machines, Kubernetes and probes say of nodes: kills for memory, ends of containers, reboots, file systems
//! that filled up or became read-only, hosts that give no answer.
//!
//! Such a sign says by itself what else would have to be inferred. Quantities of machines, such as how long their
//! disks take, are compared in `pressure`, and only where a node became slow.

mod kubernetes;
mod machine;
mod pressure;
mod probes;
#[cfg(test)]
mod tests;

use crate::diagnose::evidence::Evidence;
use crate::diagnose::findings::finding::{Plot, PlotHow};
use crate::model::{TimeRange, Timestamp};
use crate::nodes::{Beside, NodeIndex};

pub use kubernetes::memory_limit;
pub use machine::{ClockOff, clock_off, free_share};
pub use pressure::{Confines, Pressed, pressed};

/// Every metric that is read of machines, of Kubernetes and of probes.
pub const METRICS: &[&[&str]] =
    &[&kubernetes::METRICS, &machine::METRICS, &pressure::METRICS, &probes::METRICS];

/// What a sign says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostSignKind {
    /// A process was killed for want of memory: the node's own container, or some process of its machine.
    OutOfMemory {
        /// Whether it is the node's own container.
        is_own: bool,
    },
    /// The node's container ended.
    Ended {
        /// Kubernetes's word for it, such as `Error`; empty where it is unknown.
        reason: String,
        /// The exit code; above 128, the signal is what exceeds that. `None` where it is unknown.
        code: Option<i64>,
    },
    /// Kubernetes evicted the node's pod.
    Evicted,
    /// The machine started anew.
    Rebooted,
    /// A file system of the machine became read-only.
    ReadOnly,
    /// A file system of the machine, other than the one that TiKV measures, has no space left.
    Filled,
    /// The machine gives no answer to whoever checks it.
    HostSilent,
    /// A port of the node accepts no connection.
    PortClosed,
    /// The machine's clock is no longer synchronized.
    ClockAlone,
}

/// Something that a machine, Kubernetes or a probe says of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct HostSign {
    /// The node.
    pub node: NodeIndex,
    /// What it says.
    pub kind: HostSignKind,
    /// The last sample before it happened.
    pub since: Timestamp,
    /// The first sample that shows it.
    pub at: Timestamp,
    /// When it was over; `None` where it lasts, or where it is a moment.
    pub end: Option<Timestamp>,
    /// What it says in a sentence without a full stop.
    pub text: String,
    /// A selector of the sample that shows it, and the sample's value.
    pub read: (String, f64),
    /// The quantity to plot; `None` where it is no quantity of a scrape target.
    pub plot: Option<Plot>,
}

impl HostSign {
    /// From the last sample before it to its end, or to the sample that shows it where it is a moment.
    pub fn range(&self) -> TimeRange {
        TimeRange::new(self.since, self.end.unwrap_or(self.at).max(self.at))
    }

    /// Whether it lasts for a while rather than being a moment.
    pub fn is_state(&self) -> bool {
        matches!(
            self.kind,
            HostSignKind::HostSilent
                | HostSignKind::PortClosed
                | HostSignKind::ReadOnly
                | HostSignKind::Filled
                | HostSignKind::ClockAlone
        )
    }
}

/// Every sign about a store or a member, ascending by time, then by node and kind.
pub fn host_signs(evidence: &Evidence) -> Vec<HostSign> {
    let stores = (0..evidence.nodes.stores.len()).map(NodeIndex::Store);
    let members = (0..evidence.nodes.members.len()).map(NodeIndex::Member);
    let mut found = Vec::new();
    for node in stores.chain(members) {
        let Some(beside) = evidence.nodes.beside(node) else { continue };
        if *beside == Beside::default() {
            continue;
        }
        found.extend(kubernetes::signs(evidence, node, beside));
        found.extend(machine::signs(evidence, node, beside));
        found.extend(probes::signs(evidence, node, beside));
    }
    found.retain(|sign| {
        sign.range().overlaps(&evidence.window) || evidence.window.contains(sign.at)
    });
    found.sort_by(|a, b| {
        let key = |one: &HostSign| (one.at, one.node, one.kind.clone());
        key(a).cmp(&key(b)).then_with(|| a.read.0.cmp(&b.read.0))
    });
    without_repeats(found)
}

/// A selector of a metric of one scrape target, with these labels beside: by its `instance` alone where no other
/// target has it.
fn selector(evidence: &Evidence, metric: &str, name: &str, beside: &[(&str, &str)]) -> String {
    let target = evidence.nodes.targets.iter().find(|target| target.name == name);
    let own: Vec<(&str, &str)> = match target {
        Some(target) if target.instance() != name => target.labels.iter().collect(),
        _ => vec![("instance", name)],
    };
    let pairs = beside.iter().copied().chain(own);
    let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{metric}{{{}}}", pairs.join(","))
}

/// A plot of a metric of one scrape target as it was scraped.
fn gauge(metric: &str, name: &str) -> Plot {
    let (metric, instance) = (metric.to_owned(), name.to_owned());
    Plot { metric, how: PlotHow::Gauge, instance, label: None }
}

/// How close two signs of one kind about one node are that say the same, in milliseconds: two sources show one
/// event a scrape apart.
const SAME_MS: i64 = 60_000;
/// Signs of one kind about one node; a node that dies again and again says nothing new.
const MOST_OF_A_KIND: usize = 5;

/// Whether the machine of a node answered Prometheus or a probe in `range`.
pub fn answers(evidence: &Evidence, node: NodeIndex, range: TimeRange) -> bool {
    let Some(beside) = evidence.nodes.beside(node) else { return false };
    let scrapes = beside.machine.iter().filter_map(|name| evidence.series.scrapes().get(name));
    let mut scrapes = scrapes.flatten().filter(|scrape| scrape.up);
    scrapes.any(|scrape| range.contains(scrape.at))
        || beside.host_probes.iter().any(|name| probes::succeeds(evidence, name, range))
}

fn without_repeats(signs: Vec<HostSign>) -> Vec<HostSign> {
    let mut kept: Vec<HostSign> = Vec::new();
    for sign in signs {
        let is_like = |one: &&HostSign| {
            one.node == sign.node
                && std::mem::discriminant(&one.kind) == std::mem::discriminant(&sign.kind)
        };
        let (count, last) = (
            kept.iter().filter(is_like).count(),
            kept.iter().rev().find(is_like).map_or(Timestamp::MIN, |one| one.at),
        );
        if count < MOST_OF_A_KIND && sign.at - last > SAME_MS {
            kept.push(sign);
        }
    }
    kept
}
