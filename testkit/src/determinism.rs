//! Whether a capture replays to the same bytes, in whatever order it was written, on however many
//! threads, in every time zone and locale: the built `operator`, in a process of its own each time.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use operator::capture::{CaptureReader, CaptureWriter, Tick};
use operator::model::{EncodedLabels, Event, Gap, PdAnswer, Sample, TimeRange, Timestamp};
use sha2::{Digest, Sha256};

use crate::capture_server::captures_in;

/// Replays of one rewritten capture: to write one takes several times as long as to replay it.
const REPLAYS_PER_ORDER: u32 = 4;

const ZONES: [&str; 8] = [
    "UTC",
    "Asia/Tokyo",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Pacific/Apia",
    "Europe/Berlin",
    "XYZ-13:37",
    ":/nowhere",
];
const LOCALES: [&str; 7] =
    ["C", "C.UTF-8", "POSIX", "de_DE.UTF-8", "tr_TR.UTF-8", "ar_EG.UTF-8", "ja_JP.eucJP"];

/// What to replay, how often, and with which seed.
pub struct Campaign {
    /// The `operator` program.
    pub operator: PathBuf,
    /// A folder of captures.
    pub folder: PathBuf,
    /// How many replays.
    pub times: u32,
    /// The seed that decides every order and every environment.
    pub seed: u64,
}

/// How one capture was replayed.
#[derive(Default)]
pub struct Tally {
    /// Replays of this capture.
    pub replays: u32,
    /// Distinct orders of insertion.
    pub orders: u32,
    /// Digests of what was printed, by format, without what `--verify` adds.
    pub digests: BTreeMap<&'static str, BTreeMap<String, u32>>,
}

/// How one replay was run.
#[derive(Debug)]
struct Setting {
    format: &'static str,
    zone: &'static str,
    locale: &'static str,
    /// One processor, or all of them.
    pinned: bool,
    /// Evaluate on several threads, too.
    verify: bool,
}

/// Replays, and returns what became of each capture by its name.
///
/// # Errors
///
/// Where two replays of a capture print different bytes.
pub fn run(campaign: &Campaign) -> Result<BTreeMap<String, Tally>> {
    let captures = captures_in(&campaign.folder)?;
    let count = captures.len() as u32;
    let jobs = (0_u32..).zip(&captures).map(|(number, path)| {
        (path, campaign.times / count + u32::from(number < campaign.times % count), number)
    });
    let jobs = Mutex::new(jobs.collect::<Vec<_>>().into_iter());
    let tallies = Mutex::new(BTreeMap::new());
    let work = || -> Result<()> {
        loop {
            let job = jobs.lock().expect("nobody panics while taking a job").next();
            let Some((path, times, number)) = job else { return Ok(()) };
            let mut random = Rng::with_seed(campaign.seed.wrapping_mul(1_000) + u64::from(number));
            let tally = replay_one(&campaign.operator, path, times, &mut random)
                .with_context(|| format!("{}, seed {}", path.display(), campaign.seed))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            tallies.lock().expect("nobody panics while telling").insert(name, tally);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(tallies.into_inner().expect("nobody panicked"))
}

fn replay_one(operator: &Path, capture: &Path, times: u32, random: &mut Rng) -> Result<Tally> {
    let source = Source::load(capture)?;
    let scratch = tempfile::tempdir()?;
    let mut tally = Tally::default();
    // What is verified is printed too.
    let mut expected: BTreeMap<(&str, bool), String> = BTreeMap::new();
    for (format, verify) in [("json", false), ("json", true), ("text", false), ("text", true)] {
        let plain = Setting { format, zone: "UTC", locale: "C", pinned: false, verify };
        expected.insert((format, verify), digest(operator, capture, &plain)?);
    }
    let mut path = capture.to_owned();
    for number in 0..times {
        if number % REPLAYS_PER_ORDER == 0 {
            // What is printed names the file.
            let folder = scratch.path().join(number.to_string());
            std::fs::create_dir(&folder)?;
            path = folder.join(capture.file_name().context("a capture is a file")?);
            source.write(&path, random).context("cannot write it in another order")?;
            tally.orders += 1;
        }
        let setting = Setting {
            format: if random.bool() { "json" } else { "text" },
            zone: ZONES[random.usize(..ZONES.len())],
            locale: LOCALES[random.usize(..LOCALES.len())],
            pinned: random.bool(),
            verify: random.u8(..3) == 0,
        };
        let found = digest(operator, &path, &setting)?;
        let wanted = &expected[&(setting.format, setting.verify)];
        if *wanted != found {
            let kept = scratch.keep();
            bail!(
                "{setting:?} gives {found} and not {wanted}; {} is kept in {}",
                path.display(),
                kept.display()
            );
        }
        if !setting.verify {
            *tally.digests.entry(setting.format).or_default().entry(found).or_default() += 1;
        }
        tally.replays += 1;
        if (number + 1) % REPLAYS_PER_ORDER == 0 {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(tally)
}

/// Replays in a process of its own, in the capture's folder. Digest of its exit code and of all that it printed.
fn digest(operator: &Path, capture: &Path, setting: &Setting) -> Result<String> {
    let operator = &std::path::absolute(operator)?;
    let (folder, name) =
        capture.parent().zip(capture.file_name()).context("a capture is a file")?;
    let mut command = match setting.pinned {
        true => {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(operator);
            command
        }
        false => Command::new(operator),
    };
    command.args(["--format", setting.format, "replay"]).arg(name).current_dir(folder);
    if setting.verify {
        command.arg("--verify");
    }
    let output = command
        .env("TZ", setting.zone)
        .env("LC_ALL", setting.locale)
        .output()
        .with_context(|| format!("cannot start {}: build it first", operator.display()))?;
    let code = output.status.code();
    let told = matches!(code, Some(0 | 10 | 11));
    ensure!(told, "replay failed: {}", String::from_utf8_lossy(&output.stderr));
    let mut hash = Sha256::new();
    hash.update(format!("{code:?}\n"));
    hash.update(&output.stdout);
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// All that a capture holds.
struct Source {
    reader: CaptureReader,
    series: Vec<(Vec<u8>, Vec<Sample>)>,
    pd: Vec<PdAnswer>,
    gaps: Vec<Gap>,
    events: Vec<Event>,
}

impl Source {
    fn load(path: &Path) -> Result<Self> {
        let reader = CaptureReader::open(path)?;
        let series = reader.select(&[], TimeRange::ALL)?.into_iter().map(|series| {
            let mut labels = Vec::new();
            series.labels.encode(&mut labels);
            (labels, series.samples)
        });
        Ok(Self {
            series: series.collect(),
            pd: reader.pd_answers(TimeRange::ALL)?,
            gaps: reader.gaps()?,
            events: reader.events()?,
            reader,
        })
    }

    /// Writes the same content in another order: other ticks, other series first, some of them
    /// late, PD's answers, gaps and events anywhere.
    fn write(&self, path: &Path, random: &mut Rng) -> Result<()> {
        let mut writer = CaptureWriter::create(path, self.reader.meta().clone())?;
        let window = self.reader.window();
        let ticks = random.usize(1..7);
        let mut cuts: Vec<Timestamp> =
            (1..ticks).map(|_| window.start + random.i64(0..=window.millis())).collect();
        cuts.sort();
        cuts.push(Timestamp::MAX);
        let mut order: Vec<usize> = (0..self.series.len()).collect();
        random.shuffle(&mut order);
        let late: Vec<bool> = self.series.iter().map(|_| random.u8(..4) == 0).collect();
        let mut pd = Spread::new(&self.pd, random);
        let mut gaps = Spread::new(&self.gaps, random);
        let mut events = Spread::new(&self.events, random);
        let mut written = vec![0_usize; self.series.len()];
        for (number, cut) in cuts.iter().enumerate() {
            let left = cuts.len() - number;
            let mut tick = Tick {
                pd: pd.take(left),
                gaps: gaps.take(left),
                events: events.take(left),
                ..Tick::default()
            };
            for &one in &order {
                let (labels, samples) = &self.series[one];
                if late[one] && left > 1 {
                    continue;
                }
                let rest = &samples[written[one]..];
                let now = &rest[..rest.partition_point(|sample| sample.at < *cut)];
                written[one] += now.len();
                tick.samples.push(writer.index(), EncodedLabels(labels), now)?;
            }
            writer.commit(tick)?;
        }
        writer.finish()?;
        Ok(())
    }
}

/// Things in another order, to be handed out in about equal parts.
struct Spread<T>(Vec<T>);

impl<T: Clone> Spread<T> {
    fn new(all: &[T], random: &mut Rng) -> Self {
        let mut all = all.to_vec();
        random.shuffle(&mut all);
        Self(all)
    }

    fn take(&mut self, parts: usize) -> Vec<T> {
        self.0.split_off(self.0.len() - self.0.len() / parts)
    }
}

/// A line for each capture.
pub struct Table<'a>(pub &'a BTreeMap<String, Tally>);

impl fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<10} {:>7} {:>6} {:>7} {:<16} {:<16}",
            "capture", "replays", "orders", "digests", "of JSON", "of text"
        )?;
        for (name, tally) in self.0 {
            let first = |format: &str| {
                let digests = tally.digests.get(format).and_then(|held| held.keys().next());
                digests.map_or_else(String::new, |digest| digest[..16].to_owned())
            };
            let distinct: usize = tally.digests.values().map(BTreeMap::len).sum();
            writeln!(
                formatter,
                "{name:<10} {:>7} {:>6} {:>7} {:<16} {:<16}",
                tally.replays,
                tally.orders,
                distinct,
                first("json"),
                first("text"),
            )?;
        }
        let sum = |of: fn(&Tally) -> u32| self.0.values().map(of).sum::<u32>();
        writeln!(
            formatter,
            "{} replays over {} orders of insertion: one digest for each capture and format",
            sum(|tally| tally.replays),
            sum(|tally| tally.orders)
        )
    }
}
