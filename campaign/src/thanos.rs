//! A real Thanos Querier over two real Prometheus servers, each with a sidecar: replicas of one another.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;
use operator::model::Series;
use testkit::prometheus::server::Prometheus;

use super::remote_write;
use super::server::{Server, client, wait_until};

/// The external label that tells the replicas apart.
pub const REPLICA: &str = "replica";
/// The values of that label.
pub const REPLICAS: [&str; 2] = ["a", "b"];

/// Where a program of Thanos listens for gRPC: addresses tell its ports apart.
const FOR_GRPC: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Where a replica has its samples from.
pub enum Held<'a> {
    /// Blocks.
    Blocks(&'a Path),
    /// Remote writes.
    Series(&'a [Series]),
}

/// The servers.
pub struct Thanos {
    _replicas: Vec<Prometheus>,
    sidecars: Vec<Server>,
    _querier: Server,
    /// The base URL of the querier, which merges the replicas.
    pub url: String,
}

impl Thanos {
    /// Starts two replicas and all that stands before them, with their data in `scratch`.
    pub async fn start(program: &Path, replicas: [Held<'_>; 2], scratch: &Path) -> Result<Self> {
        let http = client()?;
        let (mut servers, mut sidecars) = (Vec::new(), Vec::new());
        let mut flags = listening("query");
        flags.push(format!("--query.replica-label={REPLICA}"));
        for (name, held) in REPLICAS.iter().zip(replicas) {
            let folder = scratch.join(name);
            std::fs::create_dir_all(&folder)?;
            let config = format!("global:\n  external_labels:\n    {REPLICA}: {name}\n");
            let server = match held {
                Held::Blocks(blocks) => {
                    Prometheus::start_configured(blocks, &folder, &config).await?
                }
                Held::Series(series) => {
                    let server = Prometheus::receiving(&config, &folder).await?;
                    let url = format!("{}/api/v1/write", server.url);
                    remote_write::write_all(&http, &url, series).await?;
                    server
                }
            };
            let mut arguments = listening("sidecar");
            arguments.push(format!("--prometheus.url={}", server.url));
            arguments.push(format!("--tsdb.path={}", folder.join("tsdb").display()));
            let mut sidecar = Server::start(program, &arguments)?;
            flags.push(format!("--endpoint={FOR_GRPC}:{}", sidecar.port_at(FOR_GRPC).await?));
            let port = sidecar.port_at(Ipv4Addr::LOCALHOST).await?;
            wait_until(&http, &format!("http://127.0.0.1:{port}/-/ready"), |_| true).await?;
            servers.push(server);
            sidecars.push(sidecar);
        }
        let mut querier = Server::start(program, &flags)?;
        let url = format!("http://127.0.0.1:{}", querier.port_at(Ipv4Addr::LOCALHOST).await?);
        // A querier is ready before it has asked its endpoints what they hold.
        let knows_both = |answer: &str| answer.matches(r#""lastError":null"#).count() == 2;
        wait_until(&http, &format!("{url}/api/v1/stores"), knows_both).await?;
        Ok(Self { _replicas: servers, sidecars, _querier: querier, url })
    }

    /// The base URL at which the querier does not merge the replicas.
    pub fn unmerged_url(&self) -> String {
        format!("{}?dedup=false", self.url)
    }

    /// Kills the sidecar of the second replica.
    pub fn kill_one(&mut self) {
        self.sidecars.pop();
    }
}

/// The name of a part of Thanos, and the flags by which it listens on any ports.
fn listening(part: &str) -> Vec<String> {
    vec![
        part.to_owned(),
        "--http-address=127.0.0.1:0".to_owned(),
        format!("--grpc-address={FOR_GRPC}:0"),
    ]
}
