//! The library's front door: a capture, as of an instant, its evidence and its verdict; a capture as
//! PromQL storage, with PD's answers as series.

mod capture_storage;
pub(crate) mod evidence;
mod judged;
mod pd_bodies;
mod pd_series;

pub use capture_storage::CaptureStorage;
pub use judged::Judged;
pub use pd_bodies::{PdBody, PdSource};
pub use pd_series::{PD_METRICS, PdMetric, pd_series};
