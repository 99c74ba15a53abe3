//! Whether what is recorded from each real server equals what Prometheus itself returns, and how long that takes.
//!
//! Every server holds the same samples: Prometheus those of a run, the others what it returns.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use operator::capture::CaptureReader;
use operator::model::{Labels, Sample, Series, TimeRange, Timestamp};
use operator::source::{HttpOptions, PrometheusClient, ReadMode};

use super::comparison::{self, Column, headings, numbers};
use super::victoria::Victoria;
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

/// Records every run from every server, and prints a line for each.
pub async fn run(runs: &[PathBuf]) -> Result<()> {
    println!("{:<8} {:<18} {:<20}{}", "run", "server", "read by", headings(&COLUMNS));
    let mut unsound = 0;
    for run in runs {
        unsound += measure(run).await?;
    }
    println!(
        "\nrounded: of those that differ, equal to twelve digits; furthest: the largest difference, as a part of\n\
         the value. stale: staleness markers recorded, stale -: those missing,\n\
         stale +: where Prometheus wrote none. s: how long reading and writing the capture took."
    );
    ensure!(unsound == 0, "{unsound} recordings differ by more than the server loses");
    println!("every sample is equal, but for what docs/sources.md says that the server loses");
    Ok(())
}

/// Records one run from every server. Returns how many differ by more than the server loses.
async fn measure(run: &Path) -> Result<usize> {
    let scratch = tempfile::tempdir()?;
    let blocks = run.join("prometheus");
    let window = server::block_window(&blocks)?;
    let prometheus = Prometheus::start(&blocks, scratch.path()).await?;
    let truth = remote_read::read_everything(&prometheus.url, window).await?;
    let mut measured = Measured { run, scratch: scratch.path(), window, unsound: 0 };
    measured.record("Prometheus", &prometheus.url, &truth).await?;
    prometheus.stop().await?;

    let victoria = Victoria::start(&scratch.path().join("victoria")).await?;
    victoria.write_all(&series_of(&truth)).await?;
    victoria.flush().await?;
    measured.record("VictoriaMetrics", &victoria.url, &truth).await?;
    drop(victoria);
    Ok(measured.unsound)
}

/// A run that is recorded from one server after another.
struct Measured<'a> {
    run: &'a Path,
    scratch: &'a Path,
    window: TimeRange,
    unsound: usize,
}

impl Measured<'_> {
    async fn record(&mut self, server: &str, url: &str, truth: &Everything) -> Result<()> {
        let mode = PrometheusClient::new(url, &HttpOptions::default())?.probe().await?;
        let path = self.scratch.join(format!("{}.capture", server.replace(' ', "-")));
        let took = fidelity::record(url, mode, self.window, &path).await?;
        let found = remote_read::compare(truth, &CaptureReader::open(&path)?)?;
        let (run, numbers) = (name_of(self.run), numbers(&COLUMNS, &found, took));
        println!("{run:<8} {server:<18} {:<20}{numbers}", mode.name());
        self.unsound += usize::from(!is_sound(mode, &found));
        Ok(())
    }
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
