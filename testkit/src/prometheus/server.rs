//! The process of a real Prometheus, over a copy of a run's TSDB blocks or scraping.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use operator::model::{TimeRange, Timestamp};

use crate::process::port_of;

/// A running server; it is killed when dropped.
pub struct Prometheus {
    child: Child,
    /// Its base URL, without a slash at the end.
    pub url: String,
}

impl Prometheus {
    /// Copies `blocks` into `scratch` and serves them on a free port of the loopback interface.
    pub async fn start(blocks: &Path, scratch: &Path) -> Result<Self> {
        Self::start_with(blocks, scratch, &[]).await
    }

    /// The same with further flags. It is up where it answers at all: with TLS or passwords in
    /// its way, this module cannot ask whether it is ready.
    pub async fn start_with(blocks: &Path, scratch: &Path, flags: &[String]) -> Result<Self> {
        copy_tree(blocks, &scratch.join("tsdb"))?;
        Self::run("", scratch, flags).await
    }

    /// The same with this configuration, such as one with external labels.
    pub async fn start_configured(blocks: &Path, scratch: &Path, config: &str) -> Result<Self> {
        copy_tree(blocks, &scratch.join("tsdb"))?;
        Self::run(config, scratch, &[]).await
    }

    /// Starts without blocks and with this configuration.
    pub async fn scraping(config: &str, scratch: &Path) -> Result<Self> {
        Self::run(config, scratch, &[]).await
    }

    /// Starts without blocks and with this configuration; it takes samples at `/api/v1/write`.
    pub async fn receiving(config: &str, scratch: &Path) -> Result<Self> {
        Self::run(config, scratch, &["--web.enable-remote-write-receiver".to_owned()]).await
    }

    async fn run(config: &str, scratch: &Path, flags: &[String]) -> Result<Self> {
        let file = scratch.join("prometheus.yml");
        std::fs::write(&file, config)?;
        let program = std::env::var("PROMETHEUS").unwrap_or_else(|_| "prometheus".to_owned());
        let child = Command::new(&program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", scratch.join("tsdb").display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg("--web.listen-address=127.0.0.1:0")
            .arg("--log.level=error")
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| {
                format!("cannot start {program}: install Debian's package prometheus")
            })?;
        let mut server = Self { child, url: String::new() };
        let port = port_of(&mut server.child).await.with_context(|| program.clone())?;
        server.url = format!("http://127.0.0.1:{port}");
        for _ in 0..300 {
            if is_ready(port).await {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("{program} did not become ready in 30 s")
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the server and waits for its end.
    pub async fn stop(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the server answers that it is ready, or that it needs TLS or a password.
async fn is_ready(port: u16) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut socket) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
        return false;
    };
    let request = b"GET /-/ready HTTP/1.0\r\n\r\n";
    let mut answer = [0; 12];
    socket.write_all(request).await.is_ok()
        && socket.read_exact(&mut answer).await.is_ok()
        && [b"200", b"400", b"401"].iter().any(|status| answer.ends_with(*status))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().context("a directory entry has a name")?);
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            std::fs::write(&target, std::fs::read(&path)?)?;
        }
    }
    Ok(())
}

/// The window of the blocks under `folder`, from their `meta.json`.
pub fn block_window(folder: &Path) -> Result<TimeRange> {
    let mut window: Option<TimeRange> = None;
    for entry in std::fs::read_dir(folder)? {
        let meta = entry?.path().join("meta.json");
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&meta)?)?;
        let block = TimeRange::new(instant(&json, "minTime")?, instant(&json, "maxTime")? + 1);
        window = Some(window.map_or(block, |held| {
            TimeRange::new(held.start.min(block.start), held.end.max(block.end))
        }));
    }
    window.with_context(|| format!("{} holds no block", folder.display()))
}

/// The instant as Prometheus's blocks state it.
fn instant(json: &serde_json::Value, key: &str) -> Result<Timestamp> {
    let millis = json[key].as_i64().with_context(|| format!("meta.json has no {key}"))?;
    Ok(Timestamp::from_millis(millis))
}
