//! Tells a command or a webhook of a new verdict.
//!
//! On a thread of its own and one at a time: what hangs holds up neither the recording nor the
//! judging. While one runs, the newest verdict waits and older ones are dropped.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use crate::source::Webhook;

/// How long an ending watch waits for whoever is being told.
const GRACE: Duration = Duration::from_secs(3);

/// Who is told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// A command of the shell, which gets the JSON on its standard input.
    pub command: Option<String>,
    /// A URL, to which the JSON is posted.
    pub webhook: Option<Webhook>,
}

/// The thread that tells.
pub struct Hooks {
    newest: watch::Sender<String>,
    done: mpsc::Receiver<()>,
}

impl Hooks {
    /// Starts the thread. `None` where nobody is to be told.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn start(told: Told) -> anyhow::Result<Option<Self>> {
        if told.command.is_none() && told.webhook.is_none() {
            return Ok(None);
        }
        let (newest, receiver) = watch::channel(String::new());
        let (ended, done) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("hooks".to_owned()).spawn(move || {
            runtime.block_on(serve(&told, receiver));
            // Nobody waits where the watch left without.
            let _ = ended.send(());
        })?;
        Ok(Some(Self { newest, done }))
    }

    /// Tells of a verdict, once whoever is being told has returned.
    pub fn tell(&self, json: String) {
        self.newest.send_replace(json);
    }

    /// Waits a little for whoever is being told.
    pub fn finish(self) {
        drop(self.newest);
        if self.done.recv_timeout(GRACE) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("left while a hook was running");
        }
    }
}

async fn serve(told: &Told, mut newest: watch::Receiver<String>) {
    while newest.changed().await.is_ok() {
        let json = newest.borrow_and_update().clone();
        if let Some(command) = &told.command
            && let Err(error) = execute(command, &json)
        {
            tracing::warn!("--exec: {error:#}");
        }
        if let Some(webhook) = &told.webhook
            && let Err(error) = webhook.post(&json).await
        {
            tracing::warn!(%error, "--webhook");
        }
    }
}

/// Runs a command of the shell with `json` on its standard input. Its output goes to stderr, since
/// stdout is for results.
fn execute(command: &str, json: &str) -> anyhow::Result<()> {
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(std::io::stderr())
        .spawn()
        .context("cannot start sh")?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input is free not to.
        let _ = stdin.write_all(json.as_bytes());
    }
    let status = child.wait().context("cannot wait for the command")?;
    anyhow::ensure!(status.success(), "the command ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gets_the_verdict_on_its_input() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("told");
        let command = Some(format!("cat > {}", file.display()));
        let hooks = Hooks::start(Told { command, webhook: None }).expect("a thread starts");
        let hooks = hooks.expect("there is somebody to tell");
        hooks.tell("{\"verdict\":1}".to_owned());
        hooks.finish();
        assert_eq!(std::fs::read_to_string(file).expect("it was told"), "{\"verdict\":1}");
    }

    #[test]
    fn a_command_that_fails_or_does_not_read_is_an_error_of_its_own() {
        let long = "x".repeat(1 << 20);
        assert!(execute("exit 3", &long).is_err_and(|error| error.to_string().contains('3')));
        assert!(execute("exit 0", &long).is_ok());
    }
}
