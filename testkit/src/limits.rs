//! Limits of memory and time for one case of a campaign.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, setrlimit};

/// How much address space the process may ask for in all, so that a claim of terabytes fails.
const ADDRESS_SPACE: u64 = 4 << 30;
/// No case is under way, and none will be.
const ENDED: u64 = u64::MAX;

/// Whether the memory of the process is watched: only where nothing else runs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// As `/proc/self` reports it, allocations of C libraries included.
    Watched,
    /// Neither limited nor measured.
    Unwatched,
}

impl Memory {
    /// Limits the address space of the process, where memory is watched.
    pub fn limit(self) -> Result<()> {
        if self == Self::Watched {
            let limit = Rlimit { current: Some(ADDRESS_SPACE), maximum: None };
            setrlimit(Resource::As, limit)?;
        }
        Ok(())
    }

    /// Begins a measurement; returns the bytes in use.
    pub fn reset(self) -> Result<u64> {
        if self == Self::Unwatched {
            return Ok(0);
        }
        std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")?;
        self.peak()
    }

    /// The most bytes in use since the last reset.
    pub fn peak(self) -> Result<u64> {
        if self == Self::Unwatched {
            return Ok(0);
        }
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().strip_suffix(" kB"));
        Ok(peak.context("/proc/self/status names no peak")?.parse::<u64>()? * 1024)
    }
}

/// Ends the program where a case runs without end, which no code inside it could; until dropped.
pub struct Watchdog(Arc<AtomicU64>);

impl Watchdog {
    /// Waits `longest` for each case at least, and twice as long at most.
    pub fn new(what: &'static str, longest: Duration) -> Self {
        let beat = Arc::new(AtomicU64::new(0));
        let watched = Arc::clone(&beat);
        std::thread::spawn(move || {
            let mut seen = None;
            loop {
                #[expect(clippy::disallowed_methods, reason = "it waits beside the program")]
                std::thread::sleep(longest);
                let beat = watched.load(Ordering::Relaxed);
                if beat == ENDED {
                    return;
                }
                if seen == Some(beat) {
                    eprintln!("{what} {beat} runs without end");
                    std::process::exit(1);
                }
                seen = Some(beat);
            }
        });
        Self(beat)
    }

    /// Notes that the case with this number begins.
    pub fn begin(&self, number: u32) {
        self.0.store(number.into(), Ordering::Relaxed);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(ENDED, Ordering::Relaxed);
    }
}
