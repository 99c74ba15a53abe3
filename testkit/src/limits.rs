//! Limits of memory and time for one case of a campaign.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// How much address space the process may ask for in all, so that a claim of terabytes fails.
const ADDRESS_SPACE: u64 = 4 << 30;
/// How often a watchdog looks.
const LOOK: Duration = Duration::from_secs(1);
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

/// Processor time that the calling thread has used. Unlike the time by a clock, it does not depend on what else
/// the machine does.
pub fn thread_time() -> Duration {
    cpu_time(ClockId::ThreadCPUTime)
}

fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Ends the program where a case runs without end, which no code inside it could; until dropped.
pub struct Watchdog(Arc<AtomicU64>);

impl Watchdog {
    /// Gives each case `longest` of the processor time of the whole process.
    pub fn new(what: &'static str, longest: Duration) -> Self {
        let beat = Arc::new(AtomicU64::new(0));
        let watched = Arc::clone(&beat);
        std::thread::spawn(move || {
            let (mut seen, mut since) = (None, Duration::ZERO);
            loop {
                #[expect(clippy::disallowed_methods, reason = "it waits beside the program")]
                std::thread::sleep(LOOK);
                let (beat, used) =
                    (watched.load(Ordering::Relaxed), cpu_time(ClockId::ProcessCPUTime));
                if beat == ENDED {
                    return;
                }
                if seen != Some(beat) {
                    (seen, since) = (Some(beat), used);
                } else if used.saturating_sub(since) > longest {
                    eprintln!("{what} {beat} runs without end");
                    std::process::exit(1);
                }
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
