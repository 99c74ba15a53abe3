//! The report of a run as one page for browsers.
//!
//! The page is a single file: it loads nothing, opens from disk, and reads the same without scripts. Its
//! templates are maud's, which escapes by itself; [`text`](text::text) is nevertheless the one way by which
//! anything that was recorded gets into the page.

mod findings;
mod lanes;
mod page;
mod plot;
mod sections;
mod text;
mod track;
mod verdict;

pub use page::{HtmlPage, PageContent, html_page};
