//! Bytes of other formats that hold the same samples.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use operator::model::{Labels, Series};

/// Bytes of all files under a folder, but for folders of one name.
pub fn bytes_under(folder: &Path, without: &str) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            total += std::fs::metadata(&path)?.len();
        } else if path.file_name().is_none_or(|name| name != without) {
            total += bytes_under(&path, without)?;
        }
    }
    Ok(total)
}

/// Bytes of the chunks alone of the blocks in a folder: samples without index.
pub fn chunk_bytes(blocks: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(blocks)? {
        total += bytes_under(&entry?.path().join("chunks"), "")?;
    }
    Ok(total)
}

/// Bytes of the folder under `tar | xz -9`.
pub fn xz_bytes(folder: &Path) -> Result<u64> {
    let output = Command::new("sh")
        .arg("-c")
        .arg("tar c -C \"$0\" . | xz -9 | wc -c")
        .arg(folder)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

/// Bytes of the samples as OpenMetrics text under zstd, level 3.
///
/// Staleness markers stand as `NaN`: the format has nothing else for them.
pub fn open_metrics_bytes(series: &[Series]) -> Result<u64> {
    let mut out = zstd::Encoder::new(Counted(0), 3)?;
    let mut line = String::new();
    for one in series {
        let name = text(&one.labels);
        for sample in &one.samples {
            use std::fmt::Write as _;
            line.clear();
            let millis = sample.at.as_millis();
            writeln!(line, "{name} {} {}.{:03}", sample.value, millis / 1000, millis % 1000)?;
            out.write_all(line.as_bytes())?;
        }
    }
    out.write_all(b"# EOF\n")?;
    Ok(out.finish()?.0)
}

/// A series' name as in an exposition.
fn text(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{}{{{}}}", labels.metric(), pairs.join(","))
}

/// Counts what is written to it.
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
