//! A real VictoriaMetrics that is given the same samples: one process, or a cluster.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use operator::model::Series;

use super::formats::bytes_under;
use super::remote_write;
use super::server::{Server, client, get, wait_until};

/// The program of Debian's package `victoria-metrics`.
pub const DEBIANS: &str = "victoria-metrics";

/// Where a storage node listens for `vminsert` and for `vmselect`: addresses tell its ports apart.
const FOR_INSERT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const FOR_SELECT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A server that does not outlive its measurement.
pub struct Victoria {
    server: Server,
    /// Its base URL, without a slash at the end.
    pub url: String,
    http: reqwest::Client,
}

/// Bytes of VictoriaMetrics's directory once it holds these samples, merged as far as it merges,
/// without the caches that it makes anew.
pub async fn victoria_bytes(series: &[Series], scratch: &Path) -> Result<u64> {
    let folder = scratch.join("victoria");
    let mut server = Victoria::start(Path::new(DEBIANS), &folder).await?;
    server.write_all(series).await?;
    let expected: usize = series.iter().map(|one| one.samples.len()).sum();
    server.settle(expected as u64).await?;
    server.server.stop()?;
    bytes_under(&folder, "cache")
}

impl Victoria {
    /// Starts without samples, with its data in `folder`.
    pub async fn start(program: &Path, folder: &Path) -> Result<Self> {
        let arguments = [
            format!("-storageDataPath={}", folder.display()),
            "-httpListenAddr=127.0.0.1:0".to_owned(),
            "-retentionPeriod=100y".to_owned(),
        ];
        let mut server = Server::start(program, &arguments)
            .context("the program of Debian is in its package victoria-metrics")?;
        let http = client()?;
        let url = format!("http://127.0.0.1:{}", server.port().await?);
        wait_until(&http, &format!("{url}/health"), |_| true).await?;
        Ok(Self { server, url, http })
    }

    async fn get(&self, path: &str) -> Result<String> {
        get(&self.http, &format!("{}{path}", self.url)).await
    }

    /// Gives it samples, by remote write.
    pub async fn write_all(&self, series: &[Series]) -> Result<()> {
        remote_write::write_all(&self.http, &format!("{}/api/v1/write", self.url), series).await
    }

    /// Makes what it was given visible to readers.
    pub async fn flush(&self) -> Result<()> {
        self.get("/internal/force_flush").await.map(drop)
    }

    /// Waits until all samples lie in its files, merged.
    async fn settle(&self, expected: u64) -> Result<()> {
        self.flush().await?;
        self.get("/internal/force_merge").await?;
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let metrics = self.get("/metrics").await?;
            let sum = |name: &str| -> f64 {
                let of = |line: &&str| line.starts_with(name) && line.contains("storage/");
                let values = metrics.lines().filter(of).filter_map(|line| line.rsplit(' ').next());
                values.filter_map(|value| value.parse::<f64>().ok()).sum()
            };
            if sum("vm_active_merges") == 0.0 {
                let held = sum("vm_rows{") as u64;
                ensure!(held == expected, "it holds {held} samples of {expected}");
                return Ok(());
            }
        }
        bail!("victoria-metrics merges for a minute")
    }
}

/// Two storage nodes, each with half of the series, behind `vminsert` and `vmselect`.
pub struct VictoriaCluster {
    storages: Vec<Storage>,
    _insert: Server,
    _select: Server,
    /// The base URL of tenant 0 at `vmselect`, without a slash at the end.
    pub url: String,
    write_url: String,
    http: reqwest::Client,
}

struct Storage {
    _server: Server,
    url: String,
}

impl VictoriaCluster {
    /// Starts the programs in the folder `programs`, without samples, with their data in `folder`.
    pub async fn start(programs: &Path, folder: &Path) -> Result<Self> {
        let http = client()?;
        let (mut storages, mut insert_flags, mut select_flags) = (Vec::new(), vec![], vec![]);
        for name in ["one", "two"] {
            let arguments = [
                format!("-storageDataPath={}", folder.join(name).display()),
                "-httpListenAddr=127.0.0.1:0".to_owned(),
                format!("-vminsertAddr={FOR_INSERT}:0"),
                format!("-vmselectAddr={FOR_SELECT}:0"),
                "-retentionPeriod=100y".to_owned(),
            ];
            let mut server = Server::start(&programs.join("vmstorage"), &arguments)?;
            let port = server.port_at(FOR_INSERT).await?;
            insert_flags.push(format!("-storageNode={FOR_INSERT}:{port}"));
            let port = server.port_at(FOR_SELECT).await?;
            select_flags.push(format!("-storageNode={FOR_SELECT}:{port}"));
            let url = format!("http://127.0.0.1:{}", server.port_at(Ipv4Addr::LOCALHOST).await?);
            wait_until(&http, &format!("{url}/health"), |_| true).await?;
            storages.push(Storage { _server: server, url });
        }
        for flags in [&mut insert_flags, &mut select_flags] {
            flags.push("-httpListenAddr=127.0.0.1:0".to_owned());
        }
        select_flags.push(format!("-cacheDataPath={}", folder.join("select").display()));
        let mut insert = Server::start(&programs.join("vminsert"), &insert_flags)?;
        let mut select = Server::start(&programs.join("vmselect"), &select_flags)?;
        let write = format!("http://127.0.0.1:{}", insert.port().await?);
        let read = format!("http://127.0.0.1:{}", select.port().await?);
        wait_until(&http, &format!("{write}/health"), |_| true).await?;
        wait_until(&http, &format!("{read}/health"), |_| true).await?;
        Ok(Self {
            storages,
            _insert: insert,
            _select: select,
            url: format!("{read}/select/0/prometheus"),
            write_url: format!("{write}/insert/0/prometheus/api/v1/write"),
            http,
        })
    }

    /// Gives it samples, by remote write, and makes them visible to readers.
    pub async fn write_all(&self, series: &[Series]) -> Result<()> {
        remote_write::write_all(&self.http, &self.write_url, series).await?;
        // `vminsert` sends what it was given within a second.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for storage in &self.storages {
            get(&self.http, &format!("{}/internal/force_flush", storage.url)).await?;
        }
        Ok(())
    }

    /// Kills the second storage node.
    pub fn kill_one(&mut self) {
        self.storages.pop();
    }
}
