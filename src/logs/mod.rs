//! Logs of TiKV, PD and TiDB: from lines to counts of messages, and to the lines that say what no
//! metric says.
//!
//! `lines` reads a file line by line, `wrapper` takes off what `kubectl logs`, `journalctl` and `docker`
//! put around a line, `parse` reads its header in every format, `mask` makes the key under which it is
//! counted, `listed` names the messages that are kept, `redact` takes values out of them, and `extract`
//! puts it all together. `series` makes series of the counts. `kubectl` reads lists of pods and events. Nothing
//! here opens a file or knows a capture.

mod address;
mod clock;
mod counts;
mod details;
mod exits;
mod extract;
mod fields;
mod kept;
mod kubectl;
mod lines;
mod listed;
mod mask;
mod parse;
mod redact;
mod series;
mod wrapper;

pub use address::NodeNames;
pub use extract::{Extract, ExtractOptions, Extractor, Losses};
pub use kubectl::{KUBERNETES, KubectlError, KubectlReader};
pub use lines::{LogLines, MAX_LINE_BYTES, RawLine};
pub use parse::{Level, LogLine, Parsed, Refusal, Scratch, parse_line};
pub use redact::redact;
pub use series::{LOG_BYTES, LOG_LINES, log_series};
