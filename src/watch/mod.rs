//! A recording, judged while it is made: the monitor, who is notified, and the exporter.

mod alerts;
mod exporter;
mod fault_metrics;
mod monitor;
mod notifiers;
mod process_group;

pub use alerts::Alerts;
pub use exporter::Exporter;
pub use monitor::{Audience, Judged, Judging, Monitor, Occasion};
pub use notifiers::{Notified, Notifiers};
pub use process_group::ProcessGroup;
