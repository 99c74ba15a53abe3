//! A headless Chromium, driven over the DevTools protocol through two named pipes, so that it needs no port.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running browser with one tab.
pub struct Browser {
    process: Child,
    to: File,
    from: Receiver<Value>,
    session: String,
    last_id: u64,
    events: Vec<Value>,
}

impl Browser {
    /// Starts the browser with a profile of its own in `scratch`.
    pub fn start(program: &Path, scratch: &Path) -> Result<Self> {
        let (to, from) = (scratch.join("to-browser"), scratch.join("from-browser"));
        for pipe in [&to, &from] {
            ensure!(Command::new("mkfifo").arg(pipe).status()?.success(), "mkfifo fails");
        }
        // Chromium reads commands from descriptor 3 and writes answers to 4.
        let process = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<"$TO" 4>"$FROM""#, "sh"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--remote-debugging-pipe", "--hide-scrollbars", "--no-first-run"])
            .arg(format!("--user-data-dir={}", scratch.join("profile").display()))
            .env("TO", &to)
            .env("FROM", &from)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let to = File::options().write(true).open(to)?;
        let answers = File::open(from)?;
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let messages = BufReader::new(answers).split(0);
            for message in messages.map_while(Result::ok) {
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let session = String::new();
        let mut browser = Self { process, to, from, session, last_id: 0, events: Vec::new() };
        browser.open_tab()?;
        Ok(browser)
    }

    fn open_tab(&mut self) -> Result<()> {
        let target = self.ask("Target.createTarget", json!({ "url": "about:blank" }))?;
        let flat = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.ask("Target.attachToTarget", flat)?;
        self.session = attached["sessionId"].as_str().context("there is a session")?.to_owned();
        for domain in ["Page", "Network", "Log", "Runtime"] {
            self.ask(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(())
    }

    /// Sends a command and waits for its answer. Events that come meanwhile are kept.
    pub fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.to.write_all(format!("{message}\0").as_bytes())?;
        loop {
            let answer = match self.from.recv_timeout(PATIENCE) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => bail!("{method} is not answered"),
                Err(RecvTimeoutError::Disconnected) => bail!("the browser ended at {method}"),
            };
            if answer["id"] != json!(self.last_id) {
                self.events.push(answer);
                continue;
            }
            ensure!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
            return Ok(answer["result"].clone());
        }
    }

    /// What a script returns, promises awaited.
    pub fn evaluate(&mut self, script: &str) -> Result<Value> {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let answer = self.ask("Runtime.evaluate", params)?;
        ensure!(answer.get("exceptionDetails").is_none(), "{}", answer["exceptionDetails"]);
        Ok(answer["result"]["value"].clone())
    }

    /// Waits for an event of this name, and returns false where none comes.
    pub fn wait_for(&mut self, method: &str) -> bool {
        let is_it = |event: &Value| event["method"] == method;
        while !self.events.iter().any(is_it) {
            match self.from.recv_timeout(PATIENCE) {
                Ok(event) => self.events.push(event),
                Err(_) => return false,
            }
        }
        true
    }

    /// The events since they were taken last.
    pub fn take_events(&mut self) -> Vec<Value> {
        self.events.extend(self.from.try_iter());
        std::mem::take(&mut self.events)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The pipes go with this, by which the browser ends too.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
