//! One session of a recorder: it is started, its output is read, and it is ended at the drawn moment.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use operator::model::Timestamp;
use tokio::sync::oneshot;

use super::campaign::{Kind, Run, Said};
use crate::gate::Door;
use crate::process::interrupt;

/// The exit code of a recorder that found no source.
const UNREACHABLE: i32 = 6;

/// How a session is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// SIGKILL after so long.
    Killed(Duration),
    /// SIGINT after so long, and SIGKILL while the capture is being sealed.
    KilledWhileSealing(Duration, Duration),
    /// SIGINT after so long, and nothing else.
    Sealed(Duration),
}

/// From when on the time of a session is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// From when the recorder was started.
    Start,
    /// From when it said that something is committed, however long that took.
    FirstCommit,
}

/// When Prometheus breaks off in a session, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) door: Door,
    pub(super) after: Duration,
    pub(super) length: Duration,
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Killed,
    Itself,
    /// Its source was not there.
    BeforeItBegan,
}

impl Run<'_> {
    /// Starts the recorder and ends it so.
    pub(super) async fn session(
        &mut self,
        since: Since,
        death: Death,
        outage: Option<Outage>,
    ) -> Result<Ended> {
        let mut command = Command::new(&self.campaign.operator);
        command
            .args(["--format", "json", "--dir"])
            .arg(self.directory)
            .args(["record", "--run", "run", "--prometheus", &self.gate.url])
            .args(["--no-default-match", "--match", "{job=~\".+\"}"]);
        match self.kind {
            Kind::Live => command.args(["--pd", &self.server.pd, "--interval", "10ms"]),
            Kind::History(range) => {
                command.args(["--from", &range.start.to_string(), "--to", &range.end.to_string()])
            }
        };
        let program = self.campaign.operator.display();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}: build it first"))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (kind, before) = (self.kind, std::mem::take(&mut self.said));
        let commits = before.commits;
        let (committed, first_commit) = oneshot::channel();
        let listener =
            std::thread::spawn(move || listen(BufReader::new(stdout), kind, before, committed));
        if since == Since::FirstCommit {
            // A recorder that ends before says nothing, and that is seen below.
            let _ = first_commit.await;
        }
        let (alive, ()) = tokio::join!(end(&mut child, death), self.interrupted(outage));
        self.gate.set(Door::Open);
        let alive = alive?;
        self.said = join(listener)?;
        let output = child.wait_with_output()?;
        // Where the source broke off before it was found, there is no recording.
        let unfound = outage.is_some() && output.status.code() == Some(UNREACHABLE);
        match output.status {
            _ if alive => Ok(Ended::Killed),
            status if status.success() => Ok(Ended::Itself),
            _ if unfound && self.said.commits == commits => Ok(Ended::BeforeItBegan),
            status => {
                let errors = String::from_utf8_lossy(&output.stderr);
                bail!("the recorder failed ({status}): {errors}")
            }
        }
    }

    pub(super) async fn interrupted(&self, outage: Option<Outage>) {
        if let Some(Outage { door, after, length }) = outage {
            tokio::time::sleep(after).await;
            self.gate.set(door);
            tokio::time::sleep(length).await;
            self.gate.set(Door::Open);
        }
    }
}

/// Ends the recorder. Returns whether it was alive when it was killed.
async fn end(child: &mut Child, death: Death) -> Result<bool> {
    match death {
        Death::Killed(after) => tokio::time::sleep(after).await,
        Death::KilledWhileSealing(after, then) => {
            tokio::time::sleep(after).await;
            interrupt(child)?;
            tokio::time::sleep(then).await;
        }
        Death::Sealed(after) => {
            tokio::time::sleep(after).await;
            interrupt(child)?;
            while child.try_wait()?.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    let alive = child.try_wait()?.is_none();
    child.kill()?;
    Ok(alive)
}

/// Follows what a recorder says it has committed. A line that was cut off counts for nothing.
fn listen(
    lines: impl BufRead,
    kind: Kind,
    mut said: Said,
    committed: oneshot::Sender<()>,
) -> Result<Said> {
    let before = said.pd_answers;
    let mut committed = Some(committed);
    for line in lines.split(b'\n') {
        let Ok(event) = serde_json::from_slice::<serde_json::Value>(&line?) else { continue };
        let through = match (event["event"].as_str(), kind) {
            (Some("tick"), _) => {
                said.pd_answers = before + event["pd_answers"].as_u64().unwrap_or_default();
                event["copied_through"].as_i64().map(Timestamp::from_millis)
            }
            (Some("slice"), Kind::History(range)) => {
                // Counted from the run-in on, which lies before what was asked for.
                let counted = event["done_ms"].as_i64().zip(event["total_ms"].as_i64());
                counted.map(|(done, total)| range.end + (done - total))
            }
            _ => continue,
        };
        said.commits += 1;
        if let Some(committed) = committed.take() {
            // Nobody waits where the time counts from the start.
            let _ = committed.send(());
        }
        said.first_through = said.first_through.or(through);
        said.through = said.through.max(through);
    }
    Ok(said)
}

fn join(listener: JoinHandle<Result<Said>>) -> Result<Said> {
    match listener.join() {
        Ok(said) => said,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
