//! A recording, judged while it is made: the monitor, who is notified, and the exporter.

mod exporter;
mod monitor;
mod notifiers;

pub use exporter::Exporter;
pub use monitor::Monitor;
pub use notifiers::{Hooks, Told};
