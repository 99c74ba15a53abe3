//! Clients of Prometheus and PD over HTTP, with bounds of time and size for every answer.
//!
//! When requests are sent is decided in `record`, and writing what was received is its work too.

mod alertmanager;
mod error;
mod grpc;
mod http;
mod log_search;
mod obstacle;
mod pd_client;
mod pprof;
mod profile_client;
mod prometheus;
mod protobuf;
mod redact;
mod scrape_client;
mod server_info;
mod store_client;
mod text_format;
mod webhook;

pub use alertmanager::Alertmanager;
pub use error::SourceError;
pub use http::{Auth, Http, HttpAnswer, HttpOptions, Secret};
pub use log_search::{FoundLines, LogSearch};
pub use obstacle::Obstacle;
pub use pd_client::{Addresses, Discovered, PdClient};
pub(crate) use pd_client::{MEMBERS_AT_ONCE, MOST_MEMBERS};
pub use profile_client::ProfileClient;
pub use prometheus::{
    PrometheusClient, ReadMode, ReadStats, Selector, SeriesSink, infer_staleness,
};
pub use redact::{REDACTED, Redactor, names_user, public_url};
pub use scrape_client::ScrapeClient;
pub use server_info::ServerInfoItem;
pub use store_client::StoreClient;
pub use text_format::{TextFormat, TextFormatError, TextSample};
pub use webhook::Webhook;
