//! The flags by which somebody says which cluster and which nodes are meant.

use clap::Args;

use crate::cli::exit::CliError;
use crate::model::{Told, ToldNode};

/// What somebody says of clusters and nodes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster and nodes")]
pub struct ToldArgs {
    /// The cluster that is meant where the Prometheus holds several: the value of a label that tells them
    /// apart, such as `prod`, or `label=value`
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// That a name of PD's and one of Prometheus's mean the same node, such as tikv-0=10.0.1.5:20160 or
    /// 4=tikv-0. Repeatable
    #[arg(long = "node", value_name = "NAME=NAME")]
    pub nodes: Vec<String>,
}

impl ToldArgs {
    /// What the flags say.
    ///
    /// # Errors
    ///
    /// [`CliError::Usage`] where a node has no two names.
    pub fn told(self) -> Result<Told, CliError> {
        let read = |text: String| {
            let usage = || CliError::Usage(format!("--node {text:?} is not NAME=NAME"));
            ToldNode::parse(&text).ok_or_else(usage)
        };
        let nodes = self.nodes.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(Told { cluster: self.cluster, nodes })
    }
}
