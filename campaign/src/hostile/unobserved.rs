//! Times without observation are recorded as gaps: sources that hang, a recorder that is stopped, clocks
//! that are stepped.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use operator::capture::{CaptureReader, verify};
use operator::model::{Gap, GapReason, Source, TimeRange};
use tokio::time::sleep;

use super::{Row, Scene};
use testkit::capture_server::{CaptureServer, LoopedCapture};
use testkit::clock::{ServerClock, wall_clock};
use testkit::gate::{Door, Gate, GatedPd};
use testkit::process::port_of;

/// From one scrape of the source to the next.
const STEP_MS: i64 = 500;

/// Every trial, with a recorder of its own.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut rows = Vec::new();
        for seconds in [5, 20, 70] {
            rows.push(hang(scene, seconds).await?);
        }
        for seconds in [3, 30, 70] {
            rows.push(stop(scene, seconds).await?);
        }
        rows.push(step(scene).await?);
        Ok(rows)
    })
}

/// A recorder of a made Prometheus and a made PD, each behind a gate.
pub struct Recorder {
    _stand: CaptureServer,
    supply: Arc<LoopedCapture>,
    /// Stands before Prometheus, and can be shut.
    pub prometheus: Gate,
    /// PD, behind a gate of its own.
    pub pd: GatedPd,
    directory: PathBuf,
    child: Option<Child>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Recorder {
    /// Two servers and no recorder yet.
    pub async fn new(scene: &Scene, name: &str) -> Result<Self> {
        let epoch = wall_clock() + -300_000;
        let supply = LoopedCapture::load(&scene.data.join("chaos-10.capture"), 60, epoch, STEP_MS)?;
        let supply = Arc::new(supply);
        let stand = CaptureServer::start(supply.clone(), ServerClock::Real).await?;
        let prometheus = Gate::before(&stand.prometheus).await?;
        let pd = GatedPd::start().await?;
        let directory = scene.scratch.path().join(name);
        std::fs::create_dir_all(&directory)?;
        Ok(Self { _stand: stand, supply, prometheus, pd, directory, child: None })
    }

    /// The program with the arguments that all trials share.
    pub fn command(&self, scene: &Scene) -> Command {
        let mut command = Command::new(&scene.operator);
        command
            .args(["record", "--run", "run", "--interval", "1s", "--quiet", "--dir"])
            .arg(&self.directory)
            .args(["--no-default-match", "--match", "{job=~\".+\"}"])
            .args(["--prometheus", &self.prometheus.url, "--pd", &self.pd.gate.url])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Starts the recorder by this command.
    pub fn start(&mut self, command: &mut Command) -> Result<()> {
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// The port that it listens on, once it does.
    pub async fn port(&mut self) -> Result<u16> {
        port_of(self.child.as_mut().context("no recorder runs")?).await
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) -> Result<()> {
        let child = self.child.as_ref().context("no recorder runs")?;
        let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status()?;
        ensure!(sent.success(), "the recorder ended by itself");
        Ok(())
    }

    /// Asks it to end, and tells its exit code and how long that took.
    pub async fn end(&mut self) -> Result<(Option<i32>, Duration)> {
        let asked = tokio::time::Instant::now();
        self.signal("TERM")?;
        let child = self.child.as_mut().context("no recorder runs")?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok((status.code(), asked.elapsed()));
            }
            ensure!(asked.elapsed() < Duration::from_secs(60), "it does not end");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("run.capture")
    }

    /// How many samples of the source from `range` the capture lacks.
    fn missing(&self, reader: &CaptureReader, range: TimeRange) -> Result<usize> {
        let held = reader.select(&[], range)?;
        let mut missing = 0;
        for (number, labels) in self.supply.labels().enumerate() {
            let theirs = self.supply.samples(number, range);
            let ours = held.iter().find(|series| series.labels == *labels);
            let has = |sample| ours.is_some_and(|series| series.samples.contains(sample));
            missing += theirs.iter().filter(|sample| !has(sample)).count();
        }
        Ok(missing)
    }
}

fn whole(path: &Path) -> Result<CaptureReader> {
    ensure!(verify(path)?.damage.is_empty(), "the capture is damaged");
    Ok(CaptureReader::open(path)?)
}

/// How much of `range` the gaps of a source cover, in milliseconds.
fn covered_ms(gaps: &[Gap], source: &Source, range: TimeRange) -> i64 {
    let of_source = gaps.iter().filter(|gap| gap.source == *source);
    let within =
        |gap: &Gap| (gap.range.end.min(range.end) - gap.range.start.max(range.start)).max(0);
    of_source.map(within).sum()
}

fn pd0() -> Source {
    Source::PdMember("pd0".to_owned())
}

/// Both sources hang for the last `seconds` of a recording.
async fn hang(scene: &Scene, seconds: u64) -> Result<Row> {
    let mut recorder = Recorder::new(scene, &format!("hang-{seconds}")).await?;
    let mut command = recorder.command(scene);
    recorder.start(&mut command)?;
    sleep(Duration::from_secs(6)).await;
    recorder.prometheus.set(Door::Silent);
    recorder.pd.gate.set(Door::Silent);
    let hung = wall_clock();
    sleep(Duration::from_secs(seconds)).await;
    let (code, took) = recorder.end().await?;
    let ended = wall_clock();
    let reader = whole(&recorder.path())?;
    let gaps = reader.gaps()?;
    let range = TimeRange::new(hung, ended);
    let prometheus = covered_ms(&gaps, &Source::Prometheus, range);
    let pd = covered_ms(&gaps, &pd0(), range);
    // What is due every 10 s need not have been due in the first of them.
    let pd_is_due = seconds > 10;
    let slack = 1_500;
    Ok(Row {
        tried: format!("sources that hang for the last {seconds} s"),
        seen: format!(
            "exit code {code:?} after {:.1} s; of {:.1} s, {:.1} s of Prometheus and {:.1} s of PD are gaps",
            took.as_secs_f64(),
            range.millis() as f64 / 1e3,
            prometheus as f64 / 1e3,
            pd as f64 / 1e3
        ),
        holds: code == Some(0)
            && took < Duration::from_secs(3)
            && prometheus >= range.millis() - slack
            && (!pd_is_due || pd >= range.millis() - slack),
    })
}

/// SIGSTOP, and SIGCONT after `seconds`.
async fn stop(scene: &Scene, seconds: u64) -> Result<Row> {
    let mut recorder = Recorder::new(scene, &format!("stop-{seconds}")).await?;
    let mut command = recorder.command(scene);
    recorder.start(&mut command)?;
    sleep(Duration::from_secs(6)).await;
    let begun = wall_clock();
    recorder.signal("STOP")?;
    sleep(Duration::from_secs(seconds)).await;
    recorder.signal("CONT")?;
    let stopped = TimeRange::new(begun, wall_clock());
    sleep(Duration::from_secs(4)).await;
    let (code, _) = recorder.end().await?;
    let reader = whole(&recorder.path())?;
    let gaps = reader.gaps()?;
    let pd = covered_ms(&gaps, &pd0(), stopped);
    let missing = recorder.missing(&reader, TimeRange::new(begun, stopped.end + 2_000))?;
    let open =
        gaps.iter().filter(|gap| gap.source == Source::Prometheus && gap.healed_at.is_none());
    let open = open.count();
    let down = gaps.iter().all(|gap| gap.source != pd0() || gap.reason == GapReason::RecorderDown);
    // A member is asked every 10 s, and a gap is what comes more than 10 s late.
    let expected = if seconds > 20 { stopped.millis() } else { 0 };
    Ok(Row {
        tried: format!("a recorder that is stopped for {seconds} s"),
        seen: format!(
            "exit code {code:?}; {:.1} s of PD are gaps, all for the recorder's sake: {down}; {missing} samples missing, {open} open gaps of Prometheus",
            pd as f64 / 1e3
        ),
        holds: code == Some(0)
            && (pd - expected).abs() <= 1_000
            && down
            && missing == 0
            && open == 0,
    })
}

/// Where Debian's package `faketime` lies.
fn faketime() -> Option<String> {
    let found = ["x86_64", "aarch64"]
        .map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|path| Path::new(path).exists())
}

/// The wall clock goes back an hour, ahead three, and back two.
async fn step(scene: &Scene) -> Result<Row> {
    let faketime = faketime().context("the package faketime is not installed")?;
    let mut recorder = Recorder::new(scene, "step").await?;
    let shift = recorder.directory.join("shift");
    let step = |text: &str| -> Result<()> {
        let next = shift.with_extension("next");
        std::fs::write(&next, text)?;
        Ok(std::fs::rename(&next, &shift)?)
    };
    step("+0")?;
    let mut command = recorder.command(scene);
    command
        .env("LD_PRELOAD", faketime)
        .env("FAKETIME_TIMESTAMP_FILE", &shift)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    recorder.start(&mut command)?;
    sleep(Duration::from_secs(5)).await;
    let begun = wall_clock();
    for text in ["-3600", "+7200", "+0"] {
        step(text)?;
        sleep(Duration::from_secs(12)).await;
    }
    let ended = wall_clock() + -2 * STEP_MS;
    let (code, _) = recorder.end().await?;
    let reader = whole(&recorder.path())?;
    let missing = recorder.missing(&reader, TimeRange::new(begun, ended))?;
    let events = reader.events()?;
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| event.text.strip_prefix("the clock was stepped by "))
        .collect();
    let gaps = reader.gaps()?.len();
    Ok(Row {
        tried: "a clock that is set back 1 h, ahead 3 h, back 2 h".to_owned(),
        seen: format!(
            "exit code {code:?}; told: {}; {missing} samples missing, {gaps} gaps",
            told.join(", ")
        ),
        holds: code == Some(0)
            // In the order of the clock that was stepped.
            && told == ["-3600 s", "-7200 s", "+10800 s"]
            && missing == 0
            && gaps == 0,
    })
}
