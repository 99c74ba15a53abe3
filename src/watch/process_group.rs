//! A command that was started as the head of a process group of its own.

use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::sleep;

/// How often it is looked whether a command has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A command with all that it started. While the command itself runs, none of them outlives this; what it leaves
/// behind when it ends is left alone.
#[derive(Debug)]
pub struct ProcessGroup(Child);

impl ProcessGroup {
    /// A child that was started with `process_group(0)`.
    pub fn new(child: Child) -> Self {
        Self(child)
    }

    /// Waits for the command itself, not for what it started.
    ///
    /// # Errors
    ///
    /// Where the operating system does not tell.
    pub async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            sleep(LOOK).await;
        }
    }

    /// Asks the command and all that it started to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may end by itself meanwhile.
            let _ = kill_process_group(id, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.signal(Signal::KILL);
            let _ = self.0.wait();
        }
    }
}
