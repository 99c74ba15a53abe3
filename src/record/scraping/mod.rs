//! Scrapes what PD lists, where no Prometheus does or while it is away: the metrics of its members and stores, as
//! Prometheus would have written them.
//!
//! How pages are fetched and what stands in them is in `source`; writing is in `state`.

mod page;
mod recorded;
mod scraper;
mod target;
mod target_series;

pub use page::SampleList;
pub use recorded::{Scraping, pause_gap};
pub use scraper::{Scrape, ScrapeRole, Scraper, scrape_now, scrape_once, start};
pub use target::{
    ScrapeTarget, TOMBSTONE, TargetLabels, TargetList, job, member_target, status_address,
    store_target,
};
