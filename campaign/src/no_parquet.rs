//! What stands for Parquet in a build without data frames.

use anyhow::{Result, bail};
use operator::model::Series;

/// Nothing can be said of Parquet without polars.
///
/// # Errors
///
/// Always.
pub fn parquet_bytes(_: &[Series]) -> Result<u64> {
    bail!(
        "Parquet is compared by a build with the feature `frames`: leave out --no-default-features"
    )
}
