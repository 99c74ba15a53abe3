//! Campaigns: measurements and proofs that take minutes, over folders of runs or of captures.
//!
//! `cargo run --release --example campaign -- --help` lists them. A *run* is a folder with
//! Prometheus's blocks in `prometheus/`; each is opened, as a copy, by the real `prometheus`
//! binary on loopback.

mod api;
mod bounds;
mod cost;
mod crash;
mod day;
mod differential;
mod enlarged;
mod fuzz;
mod live;
mod mutate;
mod official;
mod peer;
mod power;
mod promql;
mod promqltest;
mod rules;
mod server;
mod speed;
mod stand;
mod weigh;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use clap::Parser;
use operator::capture::{CaptureReader, CaptureWriter, Inventory, Tick, compact};
use operator::model::{EncodedLabels, RunMeta, RunName, Sample, TimeRange, Timestamp, Versions};
use operator::source::{
    HttpOptions, PrometheusClient, ReadMode, Selector, SeriesSink, SourceError,
};

use server::Prometheus;

/// Measurements and proofs that take minutes.
#[derive(Parser)]
#[command(name = "campaign")]
enum Task {
    /// Whether every sample of every run is recorded to the bit
    Fidelity {
        /// A folder of runs
        folder: PathBuf,
    },
    /// What a capture of each run takes, beside other formats
    Size {
        /// A folder of runs
        folder: PathBuf,
    },
    /// How fast captures are opened, read and written
    Speed {
        /// A folder of captures
        folder: PathBuf,
    },
    /// How long the bundled rules take over captures, opening included
    Rules {
        /// A folder of captures
        #[arg(default_value = "data")]
        folder: PathBuf,
    },
    /// The official expressions on both sides: a real Prometheus over each run's blocks, and
    /// `operator` over the capture of the same samples
    Promql {
        /// A folder of runs, `run-NN`
        folder: PathBuf,
        /// Expressions, one a line; `dashboard-variables.tsv` lies beside the file
        expressions: PathBuf,
        /// A folder of captures, `chaos-NN.capture`
        #[arg(default_value = "data")]
        captures: PathBuf,
        /// A table of rules whose expressions are evaluated as well, as `official` takes it
        #[arg(long)]
        rules: Option<PathBuf>,
    },
    /// What captures lack for the official rules, and which of them fire
    Official {
        /// A table of rules: group, kind, name, for, level, expr, summary, separated by tabs
        table: PathBuf,
        /// A folder of captures
        #[arg(default_value = "data")]
        captures: PathBuf,
        /// Only print the rules as a file that `operator rules` and Prometheus take
        #[arg(long)]
        print: bool,
    },
    /// Random expressions on both sides: a real Prometheus and ours
    Differential {
        /// A folder of blocks; made-up series stand beside them
        #[arg(default_value = "data/tsdb")]
        blocks: PathBuf,
        /// How many expressions, each at an instant and over a range
        #[arg(long, default_value_t = 100_000)]
        count: usize,
        /// Decides every expression and every made-up series
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Expressions that nobody would write; none may crash, hang or take memory without bound
    Fuzz {
        /// How many expressions
        #[arg(long, default_value_t = 100_000)]
        times: u32,
        /// Decides every expression
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Prometheus's own test files for PromQL
    Promqltest {
        /// The folder `promql/promqltest/testdata` of Prometheus's Go module
        folder: PathBuf,
    },
    /// What a made-up day of a cluster takes: bytes, memory, time to the first answer
    Day {
        /// The capture that all is made of
        #[arg(default_value = "data/chaos-01.capture")]
        capture: PathBuf,
        /// How often the cluster stands side by side
        #[arg(long, default_value_t = 1)]
        copies: usize,
        /// How long it is recorded
        #[arg(long, default_value_t = 24)]
        hours: u32,
    },
    /// What recording a live Prometheus costs the built `operator`: processor and memory
    Live {
        /// The capture whose series are exposed
        #[arg(default_value = "data/chaos-01.capture")]
        capture: PathBuf,
        /// How often the cluster stands side by side
        #[arg(long, default_value_t = 1)]
        copies: usize,
        /// How long is measured
        #[arg(long, default_value_t = 3)]
        minutes: u64,
    },
    /// Kill the built `operator` while it records; every committed tick must be there
    Crash {
        /// How many kills
        #[arg(long, default_value_t = 1_000)]
        times: u32,
        /// Decides every moment
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A capture whose content the source serves
        #[arg(long, default_value = "data/chaos-02.capture")]
        capture: PathBuf,
        /// The program; without it, the one built beside this one
        #[arg(long)]
        operator: Option<PathBuf>,
    },
    /// Tear the files of a recording as a power failure may; each image must hold whole ticks
    Power {
        /// How many images
        #[arg(long, default_value_t = 1_000)]
        times: u32,
        /// Decides every sector
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A capture whose content is recorded
        #[arg(long, default_value = "data/chaos-02.capture")]
        capture: PathBuf,
    },
    /// Damage captures cut out of real ones; no damage may pass in silence, none may crash
    Mutate {
        /// A folder of captures
        folder: PathBuf,
        /// How many damaged captures
        #[arg(long, default_value_t = 100_000)]
        times: u32,
        /// Decides every damage
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    match Task::parse() {
        Task::Fidelity { folder } => runtime.block_on(fidelity(&runs_in(&folder)?)),
        Task::Size { folder } => runtime.block_on(size(&runs_in(&folder)?)),
        Task::Speed { folder } => speed::run(&folder),
        Task::Rules { folder } => rules::run(&folder),
        Task::Promql { folder, expressions, captures, rules } => {
            let sources = promql::Sources { expressions, rules, captures };
            runtime.block_on(promql::run(&runs_in(&folder)?, &sources))
        }
        Task::Official { table, print: true, .. } => {
            println!("{}", official::rule_file(&official::read(&table)?));
            Ok(())
        }
        Task::Official { table, captures, .. } => official::run(&table, &captures),
        Task::Differential { blocks, count, seed } => {
            runtime.block_on(differential(&blocks, count, seed))
        }
        Task::Fuzz { times, seed } => {
            println!("{:#?}", fuzz::run(times, seed, bounds::Memory::Watched)?);
            Ok(())
        }
        Task::Promqltest { folder } => promqltest::run(&folder),
        Task::Live { capture, copies, minutes } => {
            let operator = built_operator()?;
            let live = live::Live { operator, capture, copies, minutes };
            runtime.block_on(live::run(&live, wall_clock))
        }
        Task::Day { capture, copies, hours } => day::run(&day::Day { capture, copies, hours }),
        Task::Crash { times, seed, capture, operator } => {
            let operator = operator.map_or_else(built_operator, Ok)?;
            let campaign = crash::Campaign { operator, capture, times, seed };
            println!("{:#?}", runtime.block_on(crash::run(&campaign, wall_clock))?);
            Ok(())
        }
        Task::Power { times, seed, capture } => {
            println!("{:#?}", power::run(&capture, times, seed)?);
            Ok(())
        }
        Task::Mutate { folder, times, seed } => {
            println!("{:#?}", mutate::run(&folder, times, seed, bounds::Memory::Watched)?);
            Ok(())
        }
    }
}

/// `operator` as built with the same profile: examples lie one folder below it.
fn built_operator() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).context("this program lies in a folder")?;
    Ok(folder.join("operator"))
}

#[expect(clippy::disallowed_methods, reason = "campaigns record what happens now")]
fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}

fn runs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut runs: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("prometheus").is_dir())
        .collect();
    runs.sort();
    if runs.is_empty() {
        bail!("{} holds no run: a run is a folder with a folder prometheus/", folder.display());
    }
    Ok(runs)
}

fn name_of(run: &Path) -> String {
    run.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Pushes what arrives into a batch.
struct Collect<'a> {
    writer: &'a mut CaptureWriter,
    tick: &'a mut Tick,
}

impl SeriesSink for Collect<'_> {
    fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) -> Result<(), SourceError> {
        self.tick.samples.push(self.writer.index(), labels, samples).expect("labels are sound");
        Ok(())
    }

    fn native_histogram(&mut self, _: EncodedLabels<'_>) {}
}

/// Records all of a server's samples into a new capture. Returns how long it took.
async fn record(
    server: &Prometheus,
    mode: ReadMode,
    window: TimeRange,
    path: &Path,
) -> Result<Duration> {
    let client = PrometheusClient::new(&server.url, &HttpOptions::default())?;
    let everything = [Selector::parse("{__name__=~\".+\"}")?];
    let meta = RunMeta {
        run: RunName::new("campaign")?,
        subject: "tikv".to_owned(),
        created: window.start,
        cluster_id: None,
        endpoints: Default::default(),
        versions: Versions::default(),
        selectors: everything.iter().map(ToString::to_string).collect(),
        copied_by: vec![mode.name().to_owned()],
        clock_offsets: vec![],
    };
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    let begun = Instant::now();
    let mut writer = CaptureWriter::create(path, meta)?;
    let mut start = window.start;
    while start < window.end {
        let end = (start + 120_000).min(window.end);
        let mut tick = Tick { copied_through: Some(end), ..Tick::default() };
        let mut sink = Collect { writer: &mut writer, tick: &mut tick };
        client.read(mode, &everything, TimeRange::new(start, end), &mut sink).await?;
        writer.commit(tick)?;
        start = end;
    }
    writer.finish()?;
    Ok(begun.elapsed())
}

async fn differential(blocks: &Path, count: usize, seed: u64) -> Result<()> {
    let world = differential::World::start(blocks, seed).await?;
    let [real, made] = world.series;
    let (dialect, from) = (world.dialect(), Timestamp::from_millis(world.made_from));
    println!("{dialect:?}: {real} series of a real run, {made} made up from {from}, seed {seed}");
    let tally = differential::run(&world, count, seed).await?;
    world.stop().await?;
    print!("{tally}");
    if tally.wrong.is_empty() && tally.unexplained == 0 { Ok(()) } else { bail!("answers differ") }
}

async fn fidelity(runs: &[PathBuf]) -> Result<()> {
    println!(
        "{:<8} {:<20} {:>8} {:>9} {:>7} {:>6} {:>6} {:>6} {:>4}",
        "run", "copied by", "series", "samples", "missing", "extra", "differ", "stale", "-0"
    );
    let mut sound = true;
    for run in runs {
        let scratch = tempfile::tempdir()?;
        let server = Prometheus::start(&run.join("prometheus"), scratch.path()).await?;
        let window = server::block_window(&run.join("prometheus"))?;
        let truth = peer::read_everything(&server.url, window).await?;
        for mode in [ReadMode::RemoteReadChunks, ReadMode::RemoteReadSamples] {
            let path = scratch.path().join(format!("{}.capture", mode.name()));
            record(&server, mode, window, &path).await?;
            let compared = peer::compare(&truth, &CaptureReader::open(&path)?)?;
            sound &= compared.missing + compared.extra + compared.differ == 0;
            println!(
                "{:<8} {:<20} {:>8} {:>9} {:>7} {:>6} {:>6} {:>6} {:>4}",
                name_of(run),
                mode.name(),
                compared.series,
                compared.samples,
                compared.missing,
                compared.extra,
                compared.differ,
                compared.stale,
                compared.negative_zero
            );
        }
        server.stop().await?;
    }
    if sound {
        println!("every sample of every run is equal");
        Ok(())
    } else {
        bail!("captures differ from what Prometheus returns")
    }
}

async fn size(runs: &[PathBuf]) -> Result<()> {
    println!(
        "{:<8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7}",
        "run",
        "samples",
        "recorded",
        "compact",
        "block",
        "block.xz",
        "B/samp",
        "rec B/s",
        "cmp B/s",
        "xz/cmp"
    );
    for run in runs {
        let scratch = tempfile::tempdir()?;
        let blocks = run.join("prometheus");
        let server = Prometheus::start(&blocks, scratch.path()).await?;
        let window = server::block_window(&blocks)?;
        let path = scratch.path().join("recorded.capture");
        record(&server, ReadMode::RemoteReadChunks, window, &path).await?;
        server.stop().await?;
        let log = run.join("pd.jsonl.gz");
        if log.exists() {
            import_pd(&path, &log)?;
        }
        let small = scratch.path().join("compact.capture");
        compact(&path, &small)?;
        let inventory = CaptureReader::open(&path)?.inventory()?;
        let (block, block_xz) = (weigh::bytes_under(&blocks)?, weigh::xz_bytes(&blocks)?);
        let (recorded, compacted) = (bytes(&path)?, bytes(&small)?);
        let samples = inventory.samples;
        println!(
            "{:<8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7.3} {:>7.3} {:>7.3} {:>7.2}",
            name_of(run),
            samples,
            recorded,
            compacted,
            block,
            block_xz,
            part(&inventory, "samples") as f64 / samples as f64,
            recorded as f64 / samples as f64,
            compacted as f64 / samples as f64,
            block_xz as f64 / compacted as f64,
        );
        println!("         recorded {:?}", inventory.bytes);
        println!("         compact  {:?}", CaptureReader::open(&small)?.inventory()?.bytes);
    }
    Ok(())
}

fn import_pd(path: &Path, log: &Path) -> Result<()> {
    let mut writer = CaptureWriter::resume(path)?;
    let answers = operator::record::pd_log::read_pd_log(std::fs::File::open(log)?);
    let pd = answers.collect::<Result<Vec<_>, _>>()?;
    writer.commit(Tick { pd, ..Tick::default() })?;
    writer.finish()?;
    Ok(())
}

fn part(inventory: &Inventory, name: &str) -> u64 {
    inventory.bytes.iter().find(|(part, _)| part == name).map_or(0, |(_, bytes)| *bytes)
}

fn bytes(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}
