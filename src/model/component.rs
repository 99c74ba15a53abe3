//! The parts of a TiKV cluster, and what runs beside it.

use std::fmt;

/// What a scrape target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// A TiKV process: a store.
    Tikv,
    /// A PD process: a member.
    Pd,
    /// A TiDB server, a client of the cluster.
    Tidb,
    /// A TiFlash process: a store without TiKV's metrics.
    TiFlash,
    /// The machine that something runs on, as `node_exporter` shows it.
    Node,
    /// A check of a host or a port from outside, as `blackbox_exporter` makes it.
    Probe,
    /// What Kubernetes says of pods and containers: `kube-state-metrics`, or the kubelet's cAdvisor.
    Kubernetes,
    /// Anything else, such as the Prometheus itself.
    Other,
}

impl Component {
    /// Whether its processes are nodes of the cluster that diagnosis judges: stores and members.
    pub fn is_node(self) -> bool {
        matches!(self, Self::Tikv | Self::Pd | Self::TiFlash)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tikv => "TiKV",
            Self::Pd => "PD",
            Self::Tidb => "TiDB",
            Self::TiFlash => "TiFlash",
            Self::Node => "node",
            Self::Probe => "probe",
            Self::Kubernetes => "Kubernetes",
            Self::Other => "other",
        })
    }
}
