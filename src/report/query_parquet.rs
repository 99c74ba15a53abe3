//! The result of a query as Parquet.

use std::collections::BTreeSet;

use polars::prelude::{
    Column, DataFrame, ParquetCompression, ParquetWriter, PolarsResult, StringChunked,
};
use polars::series::IntoSeries;

use super::query_text::rows;
use crate::promql::Answer;

/// The result as the bytes of a Parquet file.
///
/// A row for each sample, in the order of the result: `time_ms` (i64, Unix milliseconds, UTC),
/// `value` (f64), and a column of text for each label that any series has, ascending by name; a
/// label that a series lacks is null.
///
/// # Errors
///
/// [`PolarsError`](polars::error::PolarsError) where the file cannot be encoded.
pub fn query_parquet(answer: &Answer) -> PolarsResult<Vec<u8>> {
    let rows = rows(answer);
    let samples = || rows.iter().flat_map(|(_, samples)| *samples);
    let times: Vec<i64> = samples().map(|sample| sample.at.as_millis()).collect();
    let values: Vec<f64> = samples().map(|sample| sample.value).collect();
    let height = times.len();
    let mut columns =
        vec![Column::new("time_ms".into(), times), Column::new("value".into(), values)];
    let names: BTreeSet<&str> =
        rows.iter().flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
    for name in names {
        let cells = rows
            .iter()
            .flat_map(|(labels, samples)| std::iter::repeat_n(labels.get(name), samples.len()));
        let mut column: StringChunked = cells.collect();
        column.rename(name.into());
        columns.push(column.into_series().into());
    }
    let mut frame = DataFrame::new(height, columns)?;
    let mut bytes = Vec::new();
    let writer = ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Snappy);
    writer.finish(&mut frame)?;
    Ok(bytes)
}
