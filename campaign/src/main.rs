//! Campaigns: measurements and proofs that take minutes, over folders of runs or of captures.
//!
//! `cargo run -p campaign --release -- --help` lists them. A *run* is a folder with
//! Prometheus's blocks in `prometheus/`; each is opened, as a copy, by the real `prometheus`
//! binary on loopback.

mod arguments;
mod build;
mod clients;
mod comparison;
mod cost;
mod day;
mod enlarged;
mod fidelity;
mod formats;
mod grid;
mod hostile;
mod incidents;
mod live;
mod logs;
mod margins;
mod official;
mod page;
#[cfg(feature = "frames")]
mod parquet;
#[cfg(not(feature = "frames"))]
#[path = "no_parquet.rs"]
mod parquet;
mod perturb;
mod promql;
mod promqltest;
mod quiet;
mod rebuilt;
mod remote_write;
mod rules;
mod server;
mod share;
mod size;
mod sizes;
mod sources;
mod speed;
mod thanos;
mod victoria;
mod watching;
mod worlds;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use arguments::{OfCaptures, Task};
use clap::Parser;
use operator::model::Timestamp;
use testkit::clock::wall_clock;
use testkit::{crash, determinism, differential, fuzz, limits, mutate, power_loss};

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    match Task::parse() {
        Task::Fidelity { folder } => runtime.block_on(fidelity::run(&runs_in(&folder)?)),
        Task::Sources { folder, programs } => {
            runtime.block_on(sources::run(&runs_in(&folder)?, &programs))
        }
        Task::Size { folder } => runtime.block_on(size::run(&runs_in(&folder)?)),
        Task::Speed { folder } => speed::run(&folder),
        Task::Clients { folder } => {
            runtime.block_on(clients::run(&built_operator()?, &runs_in(&folder)?))
        }
        Task::Build { parts } => build::run(&parts),
        Task::Rules { folder } => rules::run(&folder),
        Task::Promql { folder, expressions, captures, rules } => {
            let sources = promql::Sources { expressions, rules, captures };
            runtime.block_on(promql::run(&runs_in(&folder)?, &sources))
        }
        Task::Official { table, print: true, .. } => official::print(&table),
        Task::Official { table, captures, .. } => official::run(&table, &captures),
        Task::Differential { blocks, count, seed, ask: None, .. } => {
            runtime.block_on(differential(&blocks, count, seed))
        }
        Task::Differential { blocks, seed, ask: Some(text), at, .. } => {
            runtime.block_on(ask(&blocks, seed, &text, when(&at)?))
        }
        Task::Fuzz { times, seed } => tell(fuzz::run(times, seed, limits::Memory::Watched)?),
        Task::Promqltest { folder } => promqltest::run(&folder),
        Task::Live { capture, copies, minutes } => {
            let live = live::Live { operator: built_operator()?, capture, copies, minutes };
            runtime.block_on(live::run(&live, wall_clock))
        }
        Task::Watching { capture, minutes } => {
            let watching = watching::Watching { operator: built_operator()?, capture, minutes };
            runtime.block_on(watching::run(&watching, wall_clock))
        }
        Task::Day { capture, copies, hours, peers, keep } => {
            runtime.block_on(day::run(&day::Day { capture, copies, hours, peers, keep }))
        }
        Task::Crash { times, seed, capture, operator } => {
            let operator = given_or_built(operator)?;
            let campaign = crash::Campaign { operator, capture, times, seed };
            tell(runtime.block_on(crash::run(&campaign, wall_clock))?)
        }
        Task::Power { times, seed, capture } => tell(power_loss::run(&capture, times, seed)?),
        Task::Determinism { folder, times, seed } => determine(folder, times, seed),
        Task::Mutate { folder, times, seed, resealed: true, processes, operator } => {
            mutate_and_reseal(&folder, &given_or_built(operator)?, (times, processes), seed)
        }
        Task::Mutate { folder, times, seed, .. } => {
            tell(mutate::run(&folder, times, seed, limits::Memory::Watched)?)
        }
        Task::Hostile { only, data, seed, operator } => {
            let (operator, scratch) = (given_or_built(operator)?, tempfile::tempdir()?);
            hostile::run(&hostile::Scene { operator, data, scratch, seed }, &only)
        }
        Task::OfCaptures(task) => of_captures(task),
    }
}

/// Runs a campaign over captures.
fn of_captures(task: OfCaptures) -> Result<()> {
    match task {
        OfCaptures::Perturb { folder, seed } => perturb::run(&folder, seed),
        OfCaptures::Worlds { folder, only } => worlds::run(&folder, &only),
        OfCaptures::Sizes { folder, only, keep, operator } => {
            let operator = given_or_built(operator)?;
            sizes::Campaign { operator, folder, keep }.run(&only)
        }
        OfCaptures::Logs { folder } => logs::run(&folder),
        OfCaptures::Margins { folders } => margins::run(&folders),
        OfCaptures::Incidents { folder: Some(folder), .. } => incidents::run(&folder),
        OfCaptures::Incidents { folder: None, only, held_out } => rebuilt::run(&only, held_out),
        OfCaptures::Quiet { folders } => quiet::run(&folders),
        OfCaptures::Grid { folder, only } => grid::run(&folder, &only),
        OfCaptures::Leaks { exports, folders, seed } => share::leaks::run(exports, &folders, seed),
        OfCaptures::SameBytes { capture, times } => {
            share::same_bytes::run(&built_operator()?, &capture, times)
        }
        OfCaptures::SameVerdict { folders, in_worlds, only } => {
            let (folders, in_worlds) = (&folders, &*in_worlds);
            share::same_verdict::run(&share::same_verdict::Compared {
                folders,
                in_worlds,
                only: &only,
            })
        }
        OfCaptures::ExportSize { folders, at_most } => share::export_size::run(&folders, at_most),
        OfCaptures::Page { folders, browser, axe, screenshots } => {
            page::run(&folders, &browser, axe.as_deref(), screenshots.as_deref())
        }
        OfCaptures::HostileExport { capture } => {
            share::hostile_export::run(&built_operator()?, &capture)
        }
    }
}

/// Prints what a campaign counted.
fn tell(tally: impl std::fmt::Debug) -> Result<()> {
    println!("{tally:#?}");
    Ok(())
}

/// The program that was named, or else the one that was built.
fn given_or_built(operator: Option<PathBuf>) -> Result<PathBuf> {
    operator.map_or_else(built_operator, Ok)
}

fn determine(folder: PathBuf, times: u32, seed: u64) -> Result<()> {
    let campaign = determinism::Campaign { operator: built_operator()?, folder, times, seed };
    print!("{}", determinism::Table(&determinism::run(&campaign)?));
    Ok(())
}

/// `operator` as built with the same profile: it lies beside this program.
fn built_operator() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let operator = own.parent().context("this program lies in a folder")?.join("operator");
    let command = if cfg!(debug_assertions) { "cargo build" } else { "cargo build --release" };
    ensure!(operator.is_file(), "{} is not there; build it first: {command}", operator.display());
    Ok(operator)
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

fn mutate_and_reseal(
    folder: &Path,
    operator: &Path,
    (times, processes): (u32, u32),
    seed: u64,
) -> Result<()> {
    let exits = mutate::resealed::run_processes(folder, operator, processes, seed)?;
    println!("{exits:#?}");
    let tally = mutate::resealed::run(folder, times, seed, limits::Memory::Watched)?;
    tell(tally)
}

/// The instant, or the start, end and step, that `--at` names.
fn when(at: &[i64]) -> Result<differential::When> {
    match *at {
        [at] => Ok(differential::When::At(at)),
        [start, end, step] => Ok(differential::When::Range(start, end, step)),
        _ => bail!("--at takes INSTANT or START,END,STEP"),
    }
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

async fn ask(blocks: &Path, seed: u64, text: &str, when: differential::When) -> Result<()> {
    let world = differential::World::start(blocks, seed).await?;
    let compared = world.ask(text, when).await?;
    println!("{:?}: {}", compared.verdict, compared.why());
    println!("server: {:#?}\nours: {:#?}", compared.server, compared.ours);
    if compared.differs() {
        println!("{:#?}", world.explain(text, when, &compared).await?);
    }
    world.stop().await
}
