//! Gives a server samples, by Prometheus's remote write.

use anyhow::Result;
use operator::model::Series;
use testkit::capture_server::put_series;

/// Series in one remote write: an answer of a megabyte or so.
const SERIES_PER_WRITE: usize = 2_000;

/// Sends all series to the URL of a server's remote write.
pub async fn write_all(http: &reqwest::Client, url: &str, series: &[Series]) -> Result<()> {
    for part in series.chunks(SERIES_PER_WRITE) {
        write(http, url, part).await?;
    }
    Ok(())
}

/// A `WriteRequest` has the form of a remote read's result.
async fn write(http: &reqwest::Client, url: &str, series: &[Series]) -> Result<()> {
    let mut request = Vec::new();
    for one in series {
        let mut labels = Vec::new();
        one.labels.encode(&mut labels);
        put_series(&mut request, &labels, &one.samples);
    }
    let body = snap::raw::Encoder::new().compress_vec(&request)?;
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
    let asked =
        headers.iter().fold(http.post(url), |asked, (name, value)| asked.header(*name, *value));
    asked.body(body).send().await?.error_for_status()?;
    Ok(())
}
