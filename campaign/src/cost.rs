//! Measures CPU time, wall-clock time and memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What something took.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    wall: Duration,
    cpu: Duration,
}

impl Cost {
    /// Milliseconds by the wall's clock.
    pub fn wall_ms(&self) -> f64 {
        self.wall.as_secs_f64() * 1e3
    }

    /// Milliseconds of one core.
    pub fn cpu_ms(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e3
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

/// Does some work and tells what it took.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Cost)> {
    let (wall, cpu) = (Instant::now(), cpu_time());
    let result = work()?;
    Ok((result, Cost { wall: wall.elapsed(), cpu: cpu_time().saturating_sub(cpu) }))
}

/// Processor time of the process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The most memory that a process has held so far, in megabytes.
pub fn peak_memory_mb(process: &str) -> Result<f64> {
    of_status(process, "VmHWM:")
}

/// The memory that a process holds, in megabytes.
pub fn memory_mb(process: &str) -> Result<f64> {
    of_status(process, "VmRSS:")
}

fn of_status(process: &str, name: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.with_context(|| format!("no {name}"))?.parse::<f64>()? / 1e3)
}

/// User and system time of a process, from `/proc/<pid>/stat` in ticks of 1/100 s.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("stat has another form")?;
    let ticks = |field: usize| -> Result<f64> {
        Ok(fields.split_whitespace().nth(field).context("stat is short")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}
