//! Notifies a command or a webhook of a new verdict.
//!
//! On a thread of its own and one at a time: what hangs holds up neither the recording nor the
//! judging, and it hangs no longer than its time limit. While one runs, the newest verdict waits and
//! older ones are dropped.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::time::sleep;

use super::process_group::ProcessGroup;
use crate::record::Stop;
use crate::source::{Alertmanager, Webhook};

/// How long an ending watch waits for whoever is being told.
const GRACE: Duration = Duration::from_secs(2);
/// How often alerts that fire are posted again: Alertmanager ends an alert that it does not hear of for
/// `resolve_timeout`, 5 minutes by default.
const REPEAT: Duration = Duration::from_secs(60);

/// Who is notified.
#[derive(Clone, Debug, Default)]
pub struct Notified {
    /// A command of the shell, which gets the JSON on its standard input.
    pub command: Option<String>,
    /// How long the command may run.
    pub command_timeout: Duration,
    /// Where the command's own output goes, since stdout is for results; nowhere without.
    pub command_output: Option<fn() -> Stdio>,
    /// A URL, to which the JSON is posted.
    pub webhook: Option<Webhook>,
    /// An Alertmanager, to which the faults are posted as alerts.
    pub alertmanager: Option<Alertmanager>,
}

/// The thread that tells.
pub struct Notifiers {
    newest: watch::Sender<String>,
    alerts: watch::Sender<String>,
    done: mpsc::Receiver<()>,
}

impl Notifiers {
    /// Starts the thread. `None` where nobody is to be told. Where `stop` says to leave at once,
    /// nobody is waited for.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn start(told: Notified, stop: watch::Receiver<Stop>) -> anyhow::Result<Option<Self>> {
        if told.command.is_none() && told.webhook.is_none() && told.alertmanager.is_none() {
            return Ok(None);
        }
        let (newest, receiver) = watch::channel(String::new());
        let (alerts, firing) = watch::channel(String::new());
        let (ended, done) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("hooks".to_owned()).spawn(move || {
            let alertmanager = told.alertmanager.clone();
            let alerted = alert(alertmanager.as_ref(), firing, stop.clone());
            runtime.block_on(async { tokio::join!(serve(&told, receiver, stop), alerted) });
            // Nobody waits where the watch left without.
            let _ = ended.send(());
        })?;
        Ok(Some(Self { newest, alerts, done }))
    }

    /// Tells of a verdict, once whoever is being told has returned.
    pub fn tell(&self, json: String) {
        self.newest.send_replace(json);
    }

    /// Posts alerts, a JSON array, and again from time to time until others replace them. Empty text is
    /// nothing to post.
    pub fn alert(&self, json: String) {
        self.alerts.send_if_modified(|held| {
            let is_new = *held != json;
            *held = json;
            is_new
        });
    }

    /// Waits a little for whoever is being told. A command that still runs then is ended.
    pub fn finish(self) {
        drop((self.newest, self.alerts));
        // The thread ends itself; this only keeps a defect of its from holding up the end.
        if self.done.recv_timeout(GRACE * 2) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("left while a hook was running");
        }
    }
}

async fn serve(
    told: &Notified,
    mut newest: watch::Receiver<String>,
    mut stop: watch::Receiver<Stop>,
) {
    let closed = newest.clone();
    let mut leave = std::pin::pin!(leave(closed, &mut stop));
    while newest.changed().await.is_ok() {
        let json = newest.borrow_and_update().clone();
        tokio::select! {
            biased;
            () = &mut leave => {
                tracing::warn!("a verdict was not told to the end");
                return;
            }
            () = tell(told, &json) => {}
        }
    }
}

/// Posts alerts as they change, and those that stay once a minute.
async fn alert(
    alertmanager: Option<&Alertmanager>,
    mut alerts: watch::Receiver<String>,
    mut stop: watch::Receiver<Stop>,
) {
    let Some(alertmanager) = alertmanager else { return };
    let closed = alerts.clone();
    let mut leave = std::pin::pin!(leave(closed, &mut stop));
    loop {
        tokio::select! {
            changed = alerts.changed() => if changed.is_err() { return },
            () = sleep(REPEAT) => {}
        }
        let json = alerts.borrow_and_update().clone();
        if json.is_empty() {
            continue;
        }
        tokio::select! {
            biased;
            () = &mut leave => return,
            posted = alertmanager.post(&json) => if let Err(error) = posted {
                tracing::warn!(%error, "--alertmanager");
            }
        }
    }
}

/// Resolves when nobody is waited for any more: a while after the last verdict, or at once where the
/// caller leaves at once.
async fn leave(mut closed: watch::Receiver<String>, stop: &mut watch::Receiver<Stop>) {
    let ended = async {
        while closed.changed().await.is_ok() {}
        sleep(GRACE).await;
    };
    tokio::select! {
        () = ended => {}
        Ok(_) = stop.wait_for(|stop| *stop >= Stop::AtOnce) => {}
    }
}

async fn tell(told: &Notified, json: &str) {
    if let Some(command) = &told.command
        && let Err(error) = execute(command, json, told).await
    {
        tracing::warn!("--exec: {error:#}");
    }
    if let Some(webhook) = &told.webhook
        && let Err(error) = webhook.post(json).await
    {
        tracing::warn!(%error, "--webhook");
    }
}

/// Runs a command of the shell with `json` on its standard input, within its time limit.
async fn execute(command: &str, json: &str, told: &Notified) -> anyhow::Result<()> {
    let limit = told.command_timeout;
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(told.command_output.map_or_else(Stdio::null, |output| output()))
        .process_group(0)
        .spawn()
        .context("cannot start sh")?;
    if let Some(mut stdin) = child.stdin.take() {
        let json = json.to_owned();
        // A command that does not read its input is free not to, and holds up nobody but this.
        let write = move || drop(stdin.write_all(json.as_bytes()));
        std::thread::Builder::new().name("hook input".to_owned()).spawn(write)?;
    }
    let mut group = ProcessGroup::new(child);
    let ended = tokio::time::timeout(limit, group.ended()).await;
    let status = ended
        .with_context(|| format!("the command did not end within {limit:?} and was killed"))?
        .context("cannot wait for the command")?;
    anyhow::ensure!(status.success(), "the command ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn told(command: String, command_timeout: Duration) -> Notified {
        Notified { command: Some(command), command_timeout, ..Notified::default() }
    }

    fn start(told: Notified) -> (Notifiers, watch::Sender<Stop>) {
        let (stop, stopped) = watch::channel(Stop::No);
        let hooks = Notifiers::start(told, stopped).expect("a thread starts");
        (hooks.expect("there is somebody to tell"), stop)
    }

    /// Waits until something holds, for ten seconds at most, and tells whether it does.
    fn comes(holds: impl Fn() -> bool) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            for _ in 0..500 {
                if holds() {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        holds()
    }

    /// Waits for a file to hold this.
    fn wait_for(file: &Path, content: &str) {
        let held = || std::fs::read_to_string(file).is_ok_and(|held| held == content);
        assert!(comes(held), "{content}");
    }

    /// Whether any process of a group runs; what nobody has waited for yet does not.
    fn lives(group: &str) -> bool {
        let runs = |stat: String| {
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            fields.next() != Some("Z") && fields.nth(1) == Some(group.trim())
        };
        let processes = std::fs::read_dir("/proc").expect("processes are listed");
        processes
            .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok())
            .any(runs)
    }

    #[test]
    fn a_command_gets_the_verdict_on_its_input() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("told");
        let (hooks, _stop) = start(told(format!("cat > {}", file.display()), LIMIT));
        hooks.tell("{\"verdict\":1}".to_owned());
        hooks.finish();
        assert_eq!(std::fs::read_to_string(file).expect("it was told"), "{\"verdict\":1}");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_does_not_read_is_an_error_of_its_own() {
        let long = "x".repeat(1 << 20);
        let failed = execute("exit 3", &long, &told("exit 3".to_owned(), LIMIT)).await;
        assert!(failed.is_err_and(|error| error.to_string().contains('3')));
        assert!(execute("exit 0", &long, &told("exit 0".to_owned(), LIMIT)).await.is_ok());
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_its_children_and_the_next_verdict_is_told() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (file, group) = (dir.path().join("told"), dir.path().join("group"));
        let command = format!(
            "read -r verdict; test $verdict = 2 && echo $verdict > {}; \
             test $verdict = 1 && echo $$ > {} && {{ sleep 600 & sleep 600; }}",
            file.display(),
            group.display()
        );
        let (hooks, _stop) = start(told(command, Duration::from_millis(300)));
        hooks.tell("1\n".to_owned());
        let id = || std::fs::read_to_string(&group).unwrap_or_default();
        while id().trim().is_empty() {
            std::thread::yield_now();
        }
        hooks.tell("2\n".to_owned());
        wait_for(&file, "2\n");
        assert!(comes(|| !lives(&id())));
        hooks.finish();
    }

    #[test]
    fn a_command_does_not_outlive_the_watch() {
        for at_once in [false, true] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let group = dir.path().join("group");
            let (hooks, stop) =
                start(told(format!("echo $$ > {}; sleep 600", group.display()), LIMIT));
            hooks.tell(String::new());
            let id = || std::fs::read_to_string(&group).unwrap_or_default();
            while id().trim().is_empty() {
                std::thread::yield_now();
            }
            if at_once {
                stop.send_replace(Stop::AtOnce);
            }
            hooks.finish();
            assert!(comes(|| !lives(&id())), "{at_once}");
        }
    }
}
