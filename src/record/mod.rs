//! Records a cluster: asks every source on its cadence, and writes what was observed and, as gaps, what
//! was due and not observed.
//!
//! How sources are asked is in `source`; how a capture is stored is in `capture`.

mod clock;
mod commit;
mod connection;
mod copier;
mod coverage;
mod error;
mod estimate;
mod exposition;
mod feed;
mod full_disk;
mod held_samples;
mod history;
mod live_copy;
mod log_attach;
mod moment;
mod node_answer;
mod pd_import;
pub mod pd_log;
pub mod pd_sampler;
mod pd_sampling;
mod recent_window;
mod recorder;
mod scraping;
mod segment;
mod segments;
mod self_metrics;
mod settings;
mod state;
mod subject;

pub use clock::Clock;
pub use connection::{Connect, Connection};
pub use copier::Copier;
pub use coverage::Cause;
pub use error::RecordError;
pub use estimate::HistoryEstimate;
pub use exposition::{EXPOSITION_TYPE, escaped_label_value, exposition};
pub use feed::{CommitIncrement, LiveFeed};
pub use history::{HistoryProgress, copy_history};
pub use log_attach::{AskedLog, AttachError, attach_log, holds_log};
pub use moment::{Moment, record_moment};
pub use node_answer::NodeAnswer;
pub use pd_import::{PdImport, import_pasted, import_pd_log};
pub use recent_window::{KnownWindow, RecentWindow};
pub use recorder::{Ending, Progress, Recording, Stop, Succession, run};
pub use scraping::{
    SampleList, Scrape, ScrapeRole, ScrapeTarget, Scraper, TargetLabels, TargetList, member_target,
    scrape_now, store_target,
};
pub use segment::{
    CAPTURE_SUFFIX, ResumePolicy, Retention, Segment, current_segment, is_incident, segments,
    stamped_name,
};
pub use segments::{DropReason, Incident, SegmentChange, SegmentListener, Segments, close};
pub use self_metrics::{SelfMetrics, is_own_metric};
pub use subject::{Job, Subject, SubjectEndpoints, SubjectError};
