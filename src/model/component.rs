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
    /// Anything else, such as the Prometheus itself.
    Other,
}

impl Component {
    /// The component whose scrape job has this name, as the bundled environment names its jobs.
    ///
    /// # Examples
    ///
    /// ```
    /// use operator::model::Component;
    /// assert_eq!(Component::of_job("tikv"), Component::Tikv);
    /// assert_eq!(Component::of_job("prometheus"), Component::Other);
    /// ```
    pub fn of_job(job: &str) -> Self {
        match job {
            "tikv" => Self::Tikv,
            "pd" => Self::Pd,
            "tidb" => Self::Tidb,
            "tiflash" => Self::TiFlash,
            "node" => Self::Node,
            _ => Self::Other,
        }
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
            Self::Other => "other",
        })
    }
}
