//! Prometheus and PD over HTTP: what they answer, within bounds of time and size.
//!
//! Nothing here decides when to ask, and nothing here writes.

mod error;
mod http;
pub mod pd;
mod prometheus;
mod redact;
mod webhook;

pub use error::SourceError;
pub use http::{Auth, Http, HttpAnswer, HttpOptions, Secret};
pub use prometheus::{
    MatchKind, Matcher, PrometheusClient, ReadMode, ReadStats, Selector, SeriesSink,
    infer_staleness,
};
pub use redact::{REDACTED, Redactor, names_user, public_url};
pub use webhook::Webhook;
