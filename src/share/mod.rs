//! Hands a capture to somebody else: redacted, in one file, and checked before it is finished.
//!
//! A page for browsers is made elsewhere; [`export_page`] puts the capture into it.

mod audit;
mod error;
mod export;
mod issue_comment;
mod key;
mod message;
mod message_words;
mod names;
mod pack;
mod pseudonyms;
mod reporter;
mod scan;
mod selection;
mod selectors;
mod text;
mod vocabulary;
mod walk;

pub use audit::{audit, is_looked_for};
pub use error::ShareError;
pub use export::{
    DamagedParts, Destination, Events, ExportOptions, Exported, NOT_PICKED, Redaction, RenderPage,
    Truths, export, export_page, file_sha256, mapping_of,
};
pub use issue_comment::issue_comment;
pub use key::{KEY_BYTES, Key, KeyError};
pub use pack::Page;
pub use pseudonyms::{Mapping, Reversed, Scrubbed};
pub use reporter::compared_with_reporter;
pub use scan::{Leak, Scanner, Secrets};
