//! Large and long recordings made of the runs: each fault among 30 and among 100 stores, and three faults hours apart
//! on one day. The built `operator` must tell each as it does in the run itself, within ten seconds of one core and a
//! gigabyte.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use operator::capture::CaptureWriter;
use operator::model::Timestamp;
use serde_json::{Value, json};
use testkit::run::{Joined, Run};
use testkit::worlds::WORLDS;

use super::cost::{cpu_seconds, peak_memory_mb};

/// The most processor time of a replay, in seconds.
const MOST_CPU_S: f64 = 10.0;
/// The most memory of a replay, in megabytes.
const MOST_MB: f64 = 1000.0;
/// The worlds that are larger.
const LARGE: [&str; 2] = ["thirty-stores", "hundred-stores"];
/// The runs of one day, each after so many laps of the quiet one: three hours, seven and nine later.
const DAY: [(usize, &str); 3] = [(18, "chaos-02"), (48, "chaos-03"), (54, "chaos-05")];
/// Laps of the quiet run after the last of them, to the end of the day.
const REST: usize = 21;
/// The run without a fault and without a change.
const QUIET: &str = "chaos-01";

/// What is measured with.
pub struct Campaign {
    /// The program.
    pub operator: PathBuf,
    /// Where the runs are.
    pub folder: PathBuf,
    /// Where captures are left; nowhere without.
    pub keep: Option<PathBuf>,
}

/// A cause as the lines compare it.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    mode: String,
    target: String,
    onset_ms: i64,
    uncertainty_ms: i64,
}

/// A replay and what it took.
struct Replayed {
    causes: Vec<Told>,
    cpu_s: f64,
    peak_mb: f64,
}

impl Campaign {
    /// Prints a line for each recording; fails where a cause is another one or at another time, or a replay takes too
    /// much.
    pub fn run(&self, only: &[String]) -> Result<()> {
        println!("{:<28} {:>8} {:>6} {:>6}  verdict", "", "MB", "s", "MB RAM");
        println!("{:<28} {:>8} {MOST_CPU_S:>6.2} {MOST_MB:>6.0}", "at most", "");
        let mut fails = 0;
        let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
        for path in testkit::capture_server::captures_in(&self.folder)? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if !wanted(&name) {
                continue;
            }
            let (lab, run) = (self.replay(&path)?.causes, Run::open_all(&path));
            for world in WORLDS.iter().filter(|one| LARGE.contains(&one.name)) {
                let mut large = run.clone();
                (world.change)(&mut large);
                let called = format!("{name} {}", world.name);
                fails += self.judge(&called, &lab, |writer| large.append(writer))?;
            }
        }
        if wanted("day") {
            fails += self.day()?;
        }
        if fails > 0 {
            bail!("{fails} recordings fall short");
        }
        Ok(())
    }

    /// A day of the quiet run with three others in it.
    fn day(&self) -> Result<usize> {
        let capture = |name: &str| self.folder.join(format!("{name}.capture"));
        let quiet = Run::open_all(&capture(QUIET)).settled();
        let mut joined = Joined::default();
        let mut wanted = Vec::new();
        let path = self.place("day")?;
        let mut writer = new_capture(&path.0, "day", quiet.window.start)?;
        let laps = |joined: &mut Joined, writer: &mut CaptureWriter, times: usize| -> Result<()> {
            (0..times).try_for_each(|_| joined.next(&quiet).append(writer))
        };
        for (after, name) in DAY {
            laps(&mut joined, &mut writer, after)?;
            let run = Run::open_all(&capture(name));
            let moved = joined.next(&run);
            moved.append(&mut writer)?;
            let by = moved.window.start - run.window.start;
            let own = self.replay(&capture(name))?.causes;
            wanted.extend(own.into_iter().map(|one| Told { onset_ms: one.onset_ms + by, ..one }));
        }
        laps(&mut joined, &mut writer, REST)?;
        writer.finish()?;
        self.tell("day", &path.0, &wanted)
    }

    fn judge(
        &self,
        called: &str,
        lab: &[Told],
        write: impl FnOnce(&mut CaptureWriter) -> Result<()>,
    ) -> Result<usize> {
        let path = self.place(called)?;
        let mut writer = new_capture(&path.0, called, Timestamp::from_millis(0))?;
        write(&mut writer)?;
        writer.finish()?;
        self.tell(called, &path.0, lab)
    }

    /// Where a capture is written, and what removes it afterwards.
    fn place(&self, called: &str) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
        let file = format!("{}.capture", called.replace(' ', "-"));
        if let Some(keep) = &self.keep {
            return Ok((keep.join(file), None));
        }
        let folder = tempfile::tempdir()?;
        Ok((folder.path().join(file), Some(folder)))
    }

    /// Prints the line of a recording, and says how much falls short.
    fn tell(&self, called: &str, path: &Path, wanted: &[Told]) -> Result<usize> {
        let now = self.replay(path)?;
        let bytes = std::fs::metadata(path)?.len() as f64 / 1e6;
        let is_told = now.causes.len() == wanted.len()
            && now.causes.iter().zip(wanted).all(|(now, wanted)| now.is(wanted));
        let verdict = match is_told {
            true => format!("all {} told", wanted.len()),
            false => format!("wants {}, got {}", listed(wanted), listed(&now.causes)),
        };
        let missed = now.missed();
        println!(
            "{called:<28} {bytes:>8.1} {:>6.2} {:>6.0}  {verdict}{missed}",
            now.cpu_s, now.peak_mb
        );
        Ok(usize::from(!is_told || !missed.is_empty()))
    }

    fn replay(&self, path: &Path) -> Result<Replayed> {
        let mut command = Command::new(&self.operator);
        command.arg("replay").arg(path).args(["--format", "json"]);
        let folder = tempfile::tempdir()?;
        let out = folder.path().join("replay.json");
        let mut child =
            command.stdout(std::fs::File::create(&out)?).stderr(Stdio::null()).spawn()?;
        let (mut cpu_s, mut peak_mb) = (0.0_f64, 0.0_f64);
        while child.try_wait()?.is_none() {
            cpu_s = cpu_seconds(child.id()).unwrap_or(cpu_s);
            peak_mb = peak_memory_mb(&child.id().to_string()).unwrap_or(peak_mb);
            pause();
        }
        let report: Value = serde_json::from_slice(&std::fs::read(&out)?)
            .with_context(|| format!("no report of {}", path.display()))?;
        let causes = report["verdict"]["causes"].as_array().into_iter().flatten();
        Ok(Replayed { causes: causes.map(Told::of).collect(), cpu_s, peak_mb })
    }
}

impl Replayed {
    /// The bounds that a replay exceeds, in words; empty where it exceeds none.
    fn missed(&self) -> String {
        let mut missed = String::new();
        if self.cpu_s > MOST_CPU_S {
            missed += &format!("; takes more than {MOST_CPU_S} s");
        }
        if self.peak_mb > MOST_MB {
            missed += &format!("; takes more than {MOST_MB} MB");
        }
        missed
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark looks at a process from time to time")]
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

fn new_capture(path: &Path, name: &str, created: Timestamp) -> Result<CaptureWriter> {
    let meta =
        json!({"run": name.replace(' ', "-"), "subject": "tikv", "created": created.as_millis()});
    Ok(CaptureWriter::create(path, serde_json::from_value(meta)?)?)
}

fn listed(causes: &[Told]) -> String {
    let one = |told: &Told| format!("{}@{} {}", told.mode, told.target, told.onset_ms);
    causes.iter().map(one).collect::<Vec<String>>().join(", ")
}

impl Told {
    fn of(cause: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            mode: text(&cause["mode"]),
            target: text(&cause["target"]["name"]),
            onset_ms: cause["onset_ms"].as_i64().unwrap_or(0),
            uncertainty_ms: cause["onset_uncertainty_ms"].as_i64().unwrap_or(0),
        }
    }

    /// Whether it is the same cause, as far as both know when it began.
    fn is(&self, other: &Self) -> bool {
        let apart = (self.onset_ms - other.onset_ms).abs();
        self.mode == other.mode
            && self.target == other.target
            && apart <= self.uncertainty_ms + other.uncertainty_ms
    }
}
