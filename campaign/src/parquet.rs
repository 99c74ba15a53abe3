//! Bytes of Parquet files that hold the same samples.

use std::collections::BTreeSet;

use anyhow::Result;
use operator::model::Series;
use polars::prelude::{Column, DataFrame, ParquetCompression, ParquetWriter, StringChunked};
use polars::series::IntoSeries;

/// Bytes of two Parquet files under zstd: samples (number of the series, instant, value; sorted
/// by both), and series (a column for each label). One wide table would take far more.
pub fn parquet_bytes(series: &[Series]) -> Result<u64> {
    let samples =
        || (0_u32..).zip(series).flat_map(|(n, one)| one.samples.iter().map(move |s| (n, s)));
    let numbers: Vec<u32> = samples().map(|(number, _)| number).collect();
    let times: Vec<i64> = samples().map(|(_, sample)| sample.at.as_millis()).collect();
    let values: Vec<f64> = samples().map(|(_, sample)| sample.value).collect();
    let samples = DataFrame::new(
        numbers.len(),
        vec![
            Column::new("series".into(), numbers),
            Column::new("time_ms".into(), times),
            Column::new("value".into(), values),
        ],
    )?;
    let names: BTreeSet<&str> =
        series.iter().flat_map(|one| one.labels.iter().map(|(name, _)| name)).collect();
    let columns = names.into_iter().map(|name| {
        let mut column: StringChunked = series.iter().map(|one| one.labels.get(name)).collect();
        column.rename(name.into());
        column.into_series().into()
    });
    let labels = DataFrame::new(series.len(), columns.collect())?;
    Ok(parquet(samples)? + parquet(labels)?)
}

fn parquet(mut frame: DataFrame) -> Result<u64> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .finish(&mut frame)?;
    Ok(bytes.len() as u64)
}
