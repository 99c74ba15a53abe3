//! The library's front door: a capture, as of an instant, its evidence and its verdict; a capture as
//! PromQL storage, with PD's answers as series.

mod alerts;
mod capture_storage;
mod citations;
mod open;
mod own_scrapes;
mod pd_bodies;
mod pd_series;
mod recording;
mod survey;
mod unrecorded;
mod versions;
mod window;

pub use alerts::CriticalAlerts;
pub use capture_storage::CaptureStorage;
pub use citations::{CitationCheck, Disagreeing, check_citations};
pub use open::Session;
pub use pd_bodies::PdSource;
pub use pd_series::{PD_METRICS, PdMetric, pd_series};
pub use recording::window_of_steps;
pub use unrecorded::unrecorded;
pub use versions::recorded_versions;
pub use window::{Judgement, View, Window, diagnosis_series, watched_series};
