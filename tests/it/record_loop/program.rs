//! The program in a process of its own, followed by what it says.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// The user and group that own nothing.
const NOBODY: u32 = 65_534;

/// The program, with an environment that names no source.
pub fn operator() -> Command {
    clean(env!("CARGO_BIN_EXE_operator"))
}

/// Any program, with such an environment.
pub fn clean(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in ["PD_ENDPOINT", "PROMETHEUS_URL", "OPERATOR_BEARER_TOKEN", "OPERATOR_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A directory in `scratch` that nobody but root can write to.
pub fn read_only(scratch: &Path) -> PathBuf {
    let directory = scratch.join("read-only");
    std::fs::create_dir(&directory).expect("the directory is writable");
    for (path, mode) in [(scratch, 0o755), (&directory, 0o555)] {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("they are ours");
    }
    directory
}

/// The program without root's privilege to write anywhere: a copy in `scratch`, since nobody may
/// have no way to where it was built.
pub fn as_nobody(scratch: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return operator();
    }
    let copy = scratch.join("operator");
    std::fs::copy(env!("CARGO_BIN_EXE_operator"), &copy).expect("the directory is writable");
    let mut command = clean(copy);
    command.uid(NOBODY).gid(NOBODY);
    command
}

/// How it ended.
pub struct Ended {
    /// Its exit code; `None` where a signal killed it.
    pub code: Option<i32>,
    /// What it said on stderr.
    pub errors: String,
}

/// A program that does not outlive its test.
pub struct Program {
    child: Child,
    events: Arc<Mutex<Vec<Value>>>,
    seen: usize,
    listeners: Vec<std::thread::JoinHandle<String>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts it, and listens to both of its outputs.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let events = Arc::new(Mutex::new(Vec::new()));
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let heard = events.clone();
        let listeners = vec![
            std::thread::spawn(move || {
                for line in stdout.lines().map_while(Result::ok) {
                    let event = serde_json::from_str(&line).expect("it prints JSON lines");
                    heard.lock().expect("nobody panicked").push(event);
                }
                String::new()
            }),
            std::thread::spawn(move || {
                let mut text = String::new();
                stderr.read_to_string(&mut text).expect("it prints UTF-8");
                text
            }),
        ];
        Self { child, events, seen: 0, listeners }
    }

    /// Waits for an event that it says from now on.
    pub async fn event(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..6_000 {
            let events = self.events.lock().expect("nobody panicked").clone();
            for event in &events[self.seen..] {
                self.seen += 1;
                if is_it(event) {
                    return event.clone();
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let last = self.last(|_| true);
        panic!("{what} did not come within a minute; the last of {}: {last:?}", self.seen);
    }

    /// The last event of those that it has said.
    pub fn last(&self, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
        let events = self.events.lock().expect("nobody panicked");
        events.iter().rev().find(|event| is_it(event)).cloned()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill is there");
        assert!(sent.success(), "it ended by itself");
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> Ended {
        for _ in 0..6_000 {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                let heard = self.listeners.drain(..).map(|one| one.join().expect("it heard"));
                return Ended { code: status.code(), errors: heard.collect() };
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not end within a minute");
    }
}
