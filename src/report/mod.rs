//! Turns results into bytes: text for people, JSON, CSV and Parquet for programs.
//!
//! The same result gives the same bytes in any time zone and any locale. Nothing is written to a file or
//! a terminal here: that is the callers' work.

mod called;
mod capture_text;
mod diagnosed;
mod explain_text;
mod extra_fields;
mod html;
mod json;
mod markdown;
mod metric_list;
mod missing;
mod nodes_text;
mod page;
mod placed;
mod plot;
mod profile_text;
mod prompt_text;
mod quantities;
#[cfg(feature = "frames")]
mod query_parquet;
mod query_text;
mod remedy_text;
mod replay_report;
mod replay_text;
mod rules_text;
mod run_report;
mod settings_text;
mod table;
mod tone;
mod verdict_text;
mod why_not_text;

pub use called::Called;
pub use capture_text::{CaptureContents, capture_text};
pub use diagnosed::{Diagnosed, Verification};
pub use explain_text::{Seen, explain_text, findings_text};
pub use html::{HtmlPage, PageContent, html_page};
pub use json::replay_json;
pub use markdown::{MARKDOWN_CHARS, markdown};
pub use metric_list::{Metric, Metrics, metric_names, metrics_text, missing_metric, no_metric};
pub use nodes_text::{nodes_json, nodes_text};
pub use page::{Color, hanging};
pub use profile_text::{profiles_json, profiles_text};
pub use prompt_text::prompt_text;
pub use quantities::{count, size};
#[cfg(feature = "frames")]
pub use query_parquet::query_parquet;
pub use query_text::{query_csv, query_plot, query_text};
pub use replay_report::{
    DamageLine, Mismatch, Recorded, ReplayReport, SCHEMA, report, report_of, verify,
};
pub use replay_text::{range_text, replay_text};
pub use rules_text::{rules_check_text, rules_text};
pub use run_report::{EvidencePlot, NodeCurve, REPORT_SCHEMA, RunReport, run_report};
pub use settings_text::SettingsReport;
pub use table::{table, table_within};
pub use why_not_text::why_not_text;
