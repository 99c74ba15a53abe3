//! The settings of a command: combines arguments, environment and files.

pub(super) mod arguments;
pub(super) mod file;
pub(super) mod further_jobs;
pub(super) mod headings;
pub(super) mod logs;
pub(super) mod membership;
pub(super) mod plan;
pub(super) mod retention;
pub(super) mod scraping;
pub(super) mod sources;
pub(super) mod subjects;
pub(super) mod tiup;
pub(super) mod tls;
pub(super) mod told;
pub(super) mod viewed;
pub(super) mod zone;
