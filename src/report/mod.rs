//! Reports as bytes: text for a terminal, JSON for programs.
//!
//! The same report gives the same bytes in any time zone and any locale.

mod json;
mod query_parquet;
mod query_text;
mod text;

pub use json::replay_json;
pub use query_parquet::query_parquet;
pub use query_text::{query_csv, query_plot, query_text};
pub use text::{Color, escape, replay_text};
