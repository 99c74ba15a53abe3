//! Programs that a campaign starts as servers on the loopback interface, and that do not outlive it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testkit::process::{interrupt, port_at, port_of};

/// A running program.
pub struct Server {
    child: Child,
    program: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a program. What it prints is dropped.
    pub fn start(program: &Path, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let child =
            command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, program: program.to_owned() })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The first port on which it listens.
    pub async fn port(&mut self) -> Result<u16> {
        port_of(&mut self.child).await.with_context(|| self.program.display().to_string())
    }

    /// The port on which it listens at an address.
    pub async fn port_at(&mut self, address: Ipv4Addr) -> Result<u16> {
        port_at(&mut self.child, address).await.with_context(|| self.program.display().to_string())
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        interrupt(&self.child)?;
        self.child.wait()?;
        Ok(())
    }
}

/// A client of servers on the loopback interface.
pub fn client() -> Result<reqwest::Client> {
    // The provider is the process's; a second installation fails and changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// What a server answers, where that is a success.
pub async fn get(http: &reqwest::Client, url: &str) -> Result<String> {
    Ok(http.get(url).send().await?.error_for_status()?.text().await?)
}

/// Waits until what a server answers is as wanted: 30 s at most.
pub async fn wait_until(
    http: &reqwest::Client,
    url: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    for _ in 0..300 {
        if get(http, url).await.is_ok_and(|answer| is_wanted(&answer)) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("{url} did not become ready in 30 s")
}
