//! A client of Prometheus: the names of its series, and their raw samples with their own timestamps.
//!
//! Nothing is resampled or evaluated here, and no request is repeated after a failure.

mod client;
mod export;
mod frames;
mod proto;
mod query;
mod read;
mod selector;
mod stores;
mod xor;

pub use client::PrometheusClient;
pub use query::infer_staleness;
pub use read::{ReadMode, ReadStats, SeriesSink};
pub use selector::Selector;
