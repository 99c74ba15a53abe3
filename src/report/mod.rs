//! Reports as bytes: text for a terminal, JSON for programs.
//!
//! The same report gives the same bytes in any time zone and any locale.

mod diagnosed;
mod json;
mod text;
mod verdict_text;

pub use diagnosed::Diagnosed;
pub use json::replay_json;
pub use text::{Color, escape, replay_text};
