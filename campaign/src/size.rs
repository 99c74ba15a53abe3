//! What a capture of each run takes, beside other formats that hold the same samples.

use std::path::{Path, PathBuf};

use anyhow::Result;
use operator::capture::{CaptureReader, CaptureWriter, Inventory, Tick, compact};
use operator::model::TimeRange;
use operator::source::ReadMode;

use super::{fidelity, formats, parquet, victoria};
use testkit::prometheus::server::{self, Prometheus};

/// The columns, in bytes.
const COLUMNS: [&str; 8] =
    ["recorded", "compact", "block", "chunks", "block.xz", "parquet", "text.zst", "victoria"];

/// Prints for each run a line of megabytes, and a line of how many times the compacted capture.
pub async fn run(runs: &[PathBuf]) -> Result<()> {
    print!("{:<8} {:>9}", "run", "samples");
    COLUMNS.iter().for_each(|column| print!(" {column:>9}"));
    println!(" {:>8} {:>8} {:>8}", "samples", "recorded", "compact");
    println!("{:<18} {:>79} {:>26}", "", "MB, and times compact", "bytes a sample");
    for run in runs {
        line(run).await?;
    }
    println!(
        "\nrecorded, compact: the whole capture, with PD's answers, labels and digests. block: Prometheus's\n\
         own, with its index; chunks: without. block.xz: that block under tar | xz -9. parquet: polars,\n\
         zstd, samples and labels in two files. text.zst: OpenMetrics under zstd -3. victoria: data and\n\
         index of VictoriaMetrics after a forced merge. bytes a sample: of the samples alone, as recorded;\n\
         of the whole file, as recorded and compacted."
    );
    Ok(())
}

async fn line(run: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let blocks = run.join("prometheus");
    let server = Prometheus::start(&blocks, scratch.path()).await?;
    let window = server::block_window(&blocks)?;
    let path = scratch.path().join("recorded.capture");
    fidelity::record(&server.url, ReadMode::RemoteReadChunks, window, &path).await?;
    server.stop().await?;
    let log = run.join("pd.jsonl.gz");
    if log.exists() {
        import_pd(&path, &log)?;
    }
    let small = scratch.path().join("compact.capture");
    compact(&path, &small)?;
    let inventory = CaptureReader::open(&path)?.inventory()?;
    let series = CaptureReader::open(&small)?.select(&[], TimeRange::ALL)?;
    let (recorded, compacted) = (bytes(&path)?, bytes(&small)?);
    let sizes = [
        recorded,
        compacted,
        formats::bytes_under(&blocks, "")?,
        formats::chunk_bytes(&blocks)?,
        formats::xz_bytes(&blocks)?,
        parquet::parquet_bytes(&series)?,
        formats::open_metrics_bytes(&series)?,
        victoria::victoria_bytes(&series, scratch.path()).await?,
    ];
    let samples = inventory.samples as f64;
    print!("{:<8} {:>9}", super::name_of(run), inventory.samples);
    sizes.iter().for_each(|size| print!(" {:>9.3}", *size as f64 / 1e6));
    println!(
        " {:>8.3} {:>8.3} {:>8.3}",
        part(&inventory, "samples") as f64 / samples,
        recorded as f64 / samples,
        compacted as f64 / samples,
    );
    print!("{:18}", "");
    sizes.iter().for_each(|size| print!(" {:>8.2}x", *size as f64 / compacted as f64));
    println!();
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
