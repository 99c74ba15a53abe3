//! Whether what is recorded from each real server equals what Prometheus itself returns, and how long that takes.
//!
//! Every server holds the same samples: Prometheus those of a run, the others what it returns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use operator::capture::CaptureReader;
use operator::model::{Labels, Sample, Series, TimeRange, Timestamp};
use operator::source::{HttpOptions, PrometheusClient, ReadMode};

use super::arguments::Programs;
use super::comparison::{self, Column, headings, numbers};
use super::thanos::{self, Thanos};
use super::victoria::{self, Victoria, VictoriaCluster};
use super::{fidelity, name_of};
use testkit::prometheus::remote_read::{self, Comparison, Everything};
use testkit::prometheus::server::{self, Prometheus};

const COLUMNS: [Column; 12] = [
    comparison::SERIES,
    comparison::SAMPLES,
    comparison::MISSING,
    comparison::EXTRA,
    comparison::DIFFER,
    comparison::ROUNDED,
    comparison::FURTHEST,
    comparison::STALE,
    comparison::STALE_MISSING,
    comparison::STALE_EXTRA,
    comparison::TOOK,
    comparison::SPEED,
];

/// How much later the second replica scrapes, where the replicas are apart.
const LATER_MS: i64 = 6_400;
/// Samples of one replica are 15 s apart; those of two, as little as [`LATER_MS`].
const CLOSE_MS: i64 = 10_000;

/// Records every run from every server, and prints a line for each.
pub async fn run(runs: &[PathBuf], programs: &Programs) -> Result<()> {
    println!("{:<8} {:<24} {:<20}{}", "run", "server", "read by", headings(&COLUMNS));
    let (mut unsound, mut versions) = (0, BTreeMap::new());
    for run in runs {
        unsound += measure(run, programs, &mut versions).await?;
    }
    println!(
        "\nrounded: of those that differ, equal to twelve digits, or to a part in 10^17 of the series' largest\n\
         value; furthest: the largest other difference, as a part of the value. stale: staleness markers recorded, stale -: those missing,\n\
         stale +: where Prometheus wrote none. s: how long reading and writing the capture took."
    );
    for (server, version) in versions {
        println!("{server}: {version}");
    }
    for (name, flag, given) in [
        ("Thanos", "--thanos", &programs.thanos),
        ("a current VictoriaMetrics", "--victoria", &programs.victoria),
        ("VictoriaMetrics's cluster", "--victoria-cluster", &programs.victoria_cluster),
    ] {
        if given.is_none() {
            println!("{name} was not tried: {flag} names its program");
        }
    }
    ensure!(unsound == 0, "{unsound} recordings differ by more than the server loses");
    println!("every sample is equal, but for what docs/sources.md says that the server loses");
    Ok(())
}

/// Records one run from every server. Returns how many differ by more than the server loses.
async fn measure(
    run: &Path,
    programs: &Programs,
    versions: &mut BTreeMap<String, String>,
) -> Result<usize> {
    let scratch = tempfile::tempdir()?;
    let blocks = run.join("prometheus");
    let window = server::block_window(&blocks)?;
    let prometheus = Prometheus::start(&blocks, scratch.path()).await?;
    let truth = remote_read::read_everything(&prometheus.url, window).await?;
    let mut measured = Measured { run, scratch: scratch.path(), window, versions, unsound: 0 };
    measured.record("Prometheus", &prometheus.url, &truth).await?;
    prometheus.stop().await?;

    let debians = (Path::new(victoria::DEBIANS), "VictoriaMetrics (Debian)");
    let given = programs.victoria.as_deref().map(|program| (program, "VictoriaMetrics"));
    for (program, name) in [Some(debians), given].into_iter().flatten() {
        let victoria = Victoria::start(program, &scratch.path().join(name)).await?;
        victoria.write_all(&series_of(&truth)).await?;
        victoria.flush().await?;
        measured.record(name, &victoria.url, &truth).await?;
    }
    if let Some(programs) = &programs.victoria_cluster {
        let folder = scratch.path().join("cluster");
        let mut cluster = VictoriaCluster::start(programs, &folder).await?;
        cluster.write_all(&series_of(&truth)).await?;
        measured.record("VictoriaMetrics cluster", &cluster.url, &truth).await?;
        cluster.kill_one();
        measured.expect_refusal("VM cluster, one killed", &cluster.url).await?;
    }
    if let Some(program) = &programs.thanos {
        measured.record_from_thanos(program, &blocks, &truth).await?;
    }
    Ok(measured.unsound)
}

/// A run that is recorded from one server after another.
struct Measured<'a> {
    run: &'a Path,
    scratch: &'a Path,
    window: TimeRange,
    /// The version of each server.
    versions: &'a mut BTreeMap<String, String>,
    unsound: usize,
}

impl Measured<'_> {
    /// Two replicas with the same samples: merged, as they are, and merged after one can no longer be reached. Then two
    /// that scraped at instants of their own, merged.
    async fn record_from_thanos(
        &mut self,
        program: &Path,
        blocks: &Path,
        truth: &Everything,
    ) -> Result<()> {
        let replicas = [thanos::Held::Blocks(blocks), thanos::Held::Blocks(blocks)];
        let mut thanos = Thanos::start(program, replicas, &self.scratch.join("thanos")).await?;
        self.record("Thanos", &thanos.url, truth).await?;
        self.record("Thanos, not merged", &thanos.unmerged_url(), &of_replicas(truth)).await?;
        thanos.kill_one();
        let told = self.record("Thanos, one killed", &thanos.url, truth).await?;
        ensure!(!told.is_empty(), "nobody is told that a replica does not answer");
        // A querier asks its endpoints every 5 s how they are, and then asks this one no more.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let told = self.record("Thanos, one long killed", &thanos.url, truth).await?;
        ensure!(!told.is_empty(), "nobody is told that a replica is asked no more");
        drop(thanos);

        let later = later(truth);
        let series = series_of(&later);
        let replicas = [thanos::Held::Blocks(blocks), thanos::Held::Series(&series)];
        let thanos = Thanos::start(program, replicas, &self.scratch.join("apart")).await?;
        let (path, mode, recorded) = self.recorded("Thanos, replicas apart", &thanos.url).await?;
        let of_both = both(truth, &later);
        let reader = CaptureReader::open(&path)?;
        let found = remote_read::compare(&of_both, &reader)?;
        self.print("Thanos, replicas apart", mode, &found, recorded.took);
        let (close, all) = close_together(&reader)?;
        println!(
            "{:>33} {close} of {all} samples follow another of their series after less than {} s",
            "",
            CLOSE_MS / 1000
        );
        let invented = found.extra - found.stale_extra + found.differ - found.nan_payload;
        self.unsound += usize::from(invented > 0);
        Ok(())
    }

    /// Records from a server that has to refuse to answer.
    async fn expect_refusal(&mut self, server: &str, url: &str) -> Result<()> {
        let path = self.scratch.join("refused.capture");
        let refusal = fidelity::record(url, ReadMode::Export, self.window, &path).await.err();
        let refusal = refusal.with_context(|| format!("{server}: what is missing is not told"))?;
        println!("{:<8} {server:<24} refuses: {refusal}", name_of(self.run));
        Ok(())
    }

    /// Records and compares. Returns why something may be missing, in the server's words.
    async fn record(
        &mut self,
        server: &str,
        url: &str,
        truth: &Everything,
    ) -> Result<BTreeSet<String>> {
        let (path, mode, recorded) = self.recorded(server, url).await?;
        let found = remote_read::compare(truth, &CaptureReader::open(&path)?)?;
        self.print(server, mode, &found, recorded.took);
        for why in &recorded.incomplete {
            println!("{:>33} may be incomplete: {why}", "");
        }
        if !is_sound(mode, &found) {
            self.unsound += 1;
            println!("{:>33} furthest: {}", "", found.furthest_at.unwrap_or_default());
        }
        Ok(recorded.incomplete)
    }

    fn print(&self, server: &str, mode: ReadMode, found: &Comparison, took: Duration) {
        let (run, numbers) = (name_of(self.run), numbers(&COLUMNS, found, took));
        println!("{run:<8} {server:<24} {:<20}{numbers}", mode.name());
    }

    async fn recorded(
        &mut self,
        server: &str,
        url: &str,
    ) -> Result<(PathBuf, ReadMode, fidelity::Recorded)> {
        let client = PrometheusClient::new(url, &HttpOptions::default())?;
        let mode = client.probe().await?;
        if !self.versions.contains_key(server) {
            let version = client.version().await.unwrap_or_else(|| "of unknown version".to_owned());
            self.versions.insert(server.to_owned(), version);
        }
        let path = self.scratch.join(format!("{}.capture", server.replace(' ', "-")));
        let recorded = fidelity::record(url, mode, self.window, &path).await?;
        Ok((path, mode, recorded))
    }
}

/// What a replica holds that scraped [`LATER_MS`] later and saw the same.
fn later(truth: &Everything) -> Everything {
    let moved = |samples: &BTreeMap<i64, u64>| {
        samples.iter().map(|(at, bits)| (at + LATER_MS, *bits)).collect()
    };
    truth.iter().map(|(pairs, samples)| (pairs.clone(), moved(samples))).collect()
}

/// What two replicas hold together.
fn both(one: &Everything, other: &Everything) -> Everything {
    let mut all = one.clone();
    for (pairs, samples) in other {
        all.entry(pairs.clone()).or_default().extend(samples);
    }
    all
}

/// Samples that follow another of their series after less than [`CLOSE_MS`], and all samples.
fn close_together(capture: &CaptureReader) -> Result<(usize, usize)> {
    let (mut close, mut all) = (0, 0);
    for series in capture.select(&[], TimeRange::ALL)? {
        let steps = series.samples.windows(2).map(|pair| pair[1].at - pair[0].at);
        close += steps.filter(|step| *step < CLOSE_MS).count();
        all += series.samples.len();
    }
    Ok((close, all))
}

/// What replicas hold together that hold the same and are not merged.
fn of_replicas(truth: &Everything) -> Everything {
    let named = |(pairs, samples): (&Vec<(String, String)>, &BTreeMap<i64, u64>)| {
        thanos::REPLICAS.map(|replica| {
            let mut pairs = pairs.clone();
            pairs.push((thanos::REPLICA.to_owned(), replica.to_owned()));
            pairs.sort();
            (pairs, samples.clone())
        })
    };
    truth.iter().flat_map(named).collect()
}

/// Whether nothing differs but what a server of this kind does not keep or print.
fn is_sound(mode: ReadMode, found: &Comparison) -> bool {
    match mode {
        ReadMode::Export => {
            found.missing == found.nan_missing
                && found.extra == 0
                && found.differ == found.rounded
                && found.stale_missing + found.stale_extra == 0
        }
        _ => fidelity::is_sound(mode, found),
    }
}

/// What Prometheus returned, as series.
fn series_of(truth: &Everything) -> Vec<Series> {
    let sample = |(at, bits): (&i64, &u64)| Sample {
        at: Timestamp::from_millis(*at),
        value: f64::from_bits(*bits),
    };
    let series = truth.iter().map(|(pairs, samples)| {
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Series { labels: Labels::from_pairs(&pairs), samples: samples.iter().map(sample).collect() }
    });
    series.collect()
}
