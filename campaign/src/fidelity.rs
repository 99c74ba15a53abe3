//! Whether what is recorded equals what Prometheus itself returns, sample by sample.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use operator::capture::{CaptureReader, CaptureWriter, Tick};
use operator::model::{EncodedLabels, RunMeta, RunName, Sample, TimeRange, Versions};
use operator::source::{
    HttpOptions, PrometheusClient, ReadMode, Selector, SeriesSink, SourceError,
};

use super::comparison::{self, Column, headings, numbers};
use testkit::prometheus::remote_read::{self, Comparison};
use testkit::prometheus::server::{self, Prometheus};

const MODES: [ReadMode; 3] =
    [ReadMode::RemoteReadChunks, ReadMode::RemoteReadSamples, ReadMode::Query];

const COLUMNS: [Column; 11] = [
    comparison::SERIES,
    comparison::SAMPLES,
    comparison::MISSING,
    comparison::EXTRA,
    comparison::DIFFER,
    comparison::STALE,
    comparison::STALE_MISSING,
    comparison::STALE_EXTRA,
    comparison::NAN,
    comparison::NEGATIVE_ZERO,
    comparison::SPEED,
];

/// Records every run in every mode, and prints a line for each.
pub async fn run(runs: &[PathBuf]) -> Result<()> {
    println!("{:<8} {:<20}{}", "run", "copied by", headings(&COLUMNS));
    let mut sound = true;
    let mut inferred = Comparison::default();
    for run in runs {
        let scratch = tempfile::tempdir()?;
        let server = Prometheus::start(&run.join("prometheus"), scratch.path()).await?;
        let window = server::block_window(&run.join("prometheus"))?;
        let truth = remote_read::read_everything(&server.url, window).await?;
        for mode in MODES {
            let path = scratch.path().join(format!("{}.capture", mode.name()));
            let took = record(&server.url, mode, window, &path).await?.took;
            let found = remote_read::compare(&truth, &CaptureReader::open(&path)?)?;
            let numbers = numbers(&COLUMNS, &found, took);
            println!("{:<8} {:<20}{numbers}", super::name_of(run), mode.name());
            sound &= is_sound(mode, &found);
            if mode == ReadMode::Query {
                inferred.stale += found.stale;
                inferred.stale_missing += found.stale_missing;
                inferred.stale_extra += found.stale_extra;
            }
        }
        server.stop().await?;
    }
    let equal = inferred.stale - inferred.stale_extra;
    println!(
        "\nThe query API prints no staleness markers, so a recording by queries infers them from the\n\
         scrapes that a series missed. Of Prometheus's {} markers {equal} are inferred and {} are not\n\
         (stale -: the last marker of a target that is scraped no more); {} stand where Prometheus\n\
         wrote none (stale +). NaN: other payloads, which queries do not print; -0: zeros whose sign\n\
         the comparison cannot see.",
        equal + inferred.stale_missing,
        inferred.stale_missing,
        inferred.stale_extra,
    );
    if sound {
        println!("every sample of every run is equal");
        Ok(())
    } else {
        bail!("captures differ from what Prometheus returns")
    }
}

/// Queries may differ in what their API does not print.
pub fn is_sound(mode: ReadMode, found: &Comparison) -> bool {
    let (mut missing, mut extra, mut differ) = (found.missing, found.extra, found.differ);
    if mode == ReadMode::Query {
        missing -= found.stale_missing;
        extra -= found.stale_extra;
        differ -= found.nan_payload;
    }
    missing + extra + differ == 0
}

/// Pushes what arrives into a batch.
struct Collect<'a> {
    writer: &'a mut CaptureWriter,
    tick: &'a mut Tick,
    incomplete: &'a mut BTreeSet<String>,
}

impl SeriesSink for Collect<'_> {
    fn series(&mut self, labels: EncodedLabels<'_>, samples: &[Sample]) -> Result<(), SourceError> {
        self.tick.samples.push(self.writer.index(), labels, samples).expect("labels are sound");
        Ok(())
    }

    fn native_histogram(&mut self, _: EncodedLabels<'_>) {}

    fn unreadable(&mut self, _: &str, _: &str) {}

    fn incomplete(&mut self, why: &str) {
        self.incomplete.insert(why.to_owned());
    }
}

/// How all of a server's samples were recorded.
pub struct Recorded {
    /// How long that took.
    pub took: Duration,
    /// Why something may be missing, in the server's words.
    pub incomplete: BTreeSet<String>,
}

/// Records all of a server's samples into a new capture.
pub async fn record(url: &str, mode: ReadMode, window: TimeRange, path: &Path) -> Result<Recorded> {
    // The machine may be busy with other campaigns; what is measured is not its patience.
    let options = HttpOptions { timeout: Duration::from_secs(600), ..HttpOptions::default() };
    let client = PrometheusClient::new(url, &options)?;
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
        told: Default::default(),
        begins: None,
        export: None,
        lost: None,
    };
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    let begun = Instant::now();
    let mut writer = CaptureWriter::create(path, meta)?;
    let (mut start, mut incomplete) = (window.start, BTreeSet::new());
    while start < window.end {
        let end = (start + 120_000).min(window.end);
        let mut tick = Tick { copied_through: Some(end), ..Tick::default() };
        let mut sink =
            Collect { writer: &mut writer, tick: &mut tick, incomplete: &mut incomplete };
        client.read(mode, &everything, TimeRange::new(start, end), &mut sink).await?;
        writer.commit(tick)?;
        start = end;
    }
    writer.finish()?;
    Ok(Recorded { took: begun.elapsed(), incomplete })
}
