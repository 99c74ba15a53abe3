//! A real VictoriaMetrics that is given the same samples.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use operator::model::Series;

use super::formats::bytes_under;
use super::remote_write;
use testkit::process::{interrupt, port_of};

/// A server that does not outlive its measurement.
pub struct Victoria {
    child: Child,
    /// Its base URL, without a slash at the end.
    pub url: String,
    http: reqwest::Client,
}

impl Drop for Victoria {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of VictoriaMetrics's directory once it holds these samples, merged as far as it merges,
/// without the caches that it makes anew.
pub async fn victoria_bytes(series: &[Series], scratch: &Path) -> Result<u64> {
    let folder = scratch.join("victoria");
    let mut server = Victoria::start(&folder).await?;
    server.write_all(series).await?;
    let expected: usize = series.iter().map(|one| one.samples.len()).sum();
    server.settle(expected as u64).await?;
    server.stop()?;
    bytes_under(&folder, "cache")
}

impl Victoria {
    /// Starts without samples, with its data in `folder`.
    pub async fn start(folder: &Path) -> Result<Self> {
        let child = Command::new("victoria-metrics")
            .arg(format!("-storageDataPath={}", folder.display()))
            .arg("-httpListenAddr=127.0.0.1:0")
            .arg("-retentionPeriod=100y")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start victoria-metrics: install Debian's package victoria-metrics")?;
        // The provider is the process's; a second installation fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut server = Self { child, url: String::new(), http };
        let port = port_of(&mut server.child).await.context("victoria-metrics")?;
        server.url = format!("http://127.0.0.1:{port}");
        for _ in 0..300 {
            if server.get("/health").await.is_ok() {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("victoria-metrics did not become ready in 30 s")
    }

    async fn get(&self, path: &str) -> Result<String> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
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

    /// Ends it as its init script would, so that all is on disk.
    fn stop(&mut self) -> Result<()> {
        interrupt(&self.child)?;
        self.child.wait()?;
        Ok(())
    }
}
