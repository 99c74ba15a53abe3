//! The series of one target from scrape to scrape: which are new, which have ended, and what Prometheus
//! writes about each scrape.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::page::{Page, SampleList, series};
use super::target::ScrapeTarget;
use crate::model::{LabelsError, Sample, Timestamp, stale_marker};

/// The level of compression of the labels that are kept.
const ZSTD_LEVEL: i32 = 1;
/// Metrics that Prometheus writes about each scrape, in the order in which [`report`] has their values.
const REPORTED: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// What is known of the series of one target.
///
/// The labels of a store's series take megabytes, and they are needed only when one ends. So they are kept
/// compressed, and compressed anew only when a page has other series.
pub struct TargetSeries {
    target: ScrapeTarget,
    /// A hash of each series of the last page that was read, in its order.
    hashes: Vec<u64>,
    /// Their encoded labels, compressed.
    labels: Vec<u8>,
    /// Where the labels of each end, uncompressed.
    ends: Vec<u32>,
    /// Whether a marker has been written for the end of all of them.
    have_ended: bool,
    /// Whether anything has been written about scrapes.
    is_reported: bool,
}

impl TargetSeries {
    /// A target of which no page has been read.
    pub fn new(target: ScrapeTarget) -> Self {
        Self {
            target,
            hashes: Vec::new(),
            labels: Vec::new(),
            ends: Vec::new(),
            have_ended: false,
            is_reported: false,
        }
    }

    /// Everything that Prometheus would write of a scrape at `at` that took `elapsed`: the samples of the
    /// page, staleness markers for series that it lacks, and what is reported about the scrape. Of a scrape
    /// that failed, only the number of samples before the failure is known, and all series end.
    ///
    /// One thing differs: where a page is malformed, Prometheus 2 writes no markers for series that stand
    /// before that place, though it writes no samples of them either.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where the labels take 4 GiB.
    pub fn scraped(
        &mut self,
        page: Result<Page, usize>,
        at: Timestamp,
        elapsed: Duration,
    ) -> Result<SampleList, LabelsError> {
        let (up, samples, ended, added, mut list) = match page {
            Ok(Page { stamped, timed }) => {
                let samples = stamped.count() + timed.count();
                let (ended, added) = self.replace(&stamped);
                let mut list = stamped;
                for (labels, sample) in timed.iter() {
                    list.push_encoded(labels.0, sample)?;
                }
                (1.0, samples, ended, added, list)
            }
            Err(samples) => (0.0, samples, self.end_all(), 0, SampleList::default()),
        };
        push_stale(&mut list, &ended, at)?;
        let samples = samples as f64;
        let values = [up, elapsed.as_secs_f64(), samples, samples, added as f64];
        self.report(&mut list, at, values)?;
        self.is_reported = true;
        Ok(list)
    }

    /// Staleness markers for everything of a target that is no longer scraped.
    ///
    /// # Errors
    ///
    /// As [`scraped`](Self::scraped).
    pub fn end(&mut self, at: Timestamp) -> Result<SampleList, LabelsError> {
        let mut list = SampleList::default();
        push_stale(&mut list, &self.end_all(), at)?;
        if std::mem::take(&mut self.is_reported) {
            self.report(&mut list, at, [stale_marker(); 5])?;
        }
        Ok(list)
    }

    fn report(
        &self,
        list: &mut SampleList,
        at: Timestamp,
        values: [f64; 5],
    ) -> Result<(), LabelsError> {
        for (metric, value) in REPORTED.into_iter().zip(values) {
            let mut pairs = vec![("__name__", metric)];
            pairs.extend(self.target.labels.iter());
            list.push(&mut pairs, Sample { at, value })?;
        }
        Ok(())
    }

    /// Keeps the series of a page in place of those before. Returns the encoded labels of series that have
    /// ended, and the number of series that the page before did not have.
    fn replace(&mut self, page: &SampleList) -> (Vec<Vec<u8>>, usize) {
        let (labels, ends) = page.encoded();
        let hashes: Vec<u64> = series(labels, ends).map(xxh3_64).collect();
        let had_ended = std::mem::replace(&mut self.have_ended, false);
        if hashes == self.hashes {
            return (Vec::new(), 0);
        }
        let now = sorted(&hashes);
        let before = sorted(&self.hashes);
        let ended = match had_ended {
            true => Vec::new(),
            false => self.labels_of(|hash| now.binary_search(&hash).is_err()),
        };
        let added = now.iter().filter(|hash| before.binary_search(hash).is_err()).count();
        self.labels =
            zstd::bulk::compress(labels, ZSTD_LEVEL).expect("compressing in memory does not fail");
        self.ends = ends.to_vec();
        self.hashes = hashes;
        (ended, added)
    }

    /// The encoded labels of all series that have not ended yet, which end now.
    fn end_all(&mut self) -> Vec<Vec<u8>> {
        match std::mem::replace(&mut self.have_ended, true) {
            true => Vec::new(),
            false => self.labels_of(|_| true),
        }
    }

    fn labels_of(&self, is_wanted: impl Fn(u64) -> bool) -> Vec<Vec<u8>> {
        if !self.hashes.iter().any(|&hash| is_wanted(hash)) {
            return Vec::new();
        }
        let length = self.ends.last().copied().unwrap_or_default() as usize;
        let labels = zstd::bulk::decompress(&self.labels, length)
            .expect("what was compressed here is decompressed");
        let all = series(&labels, &self.ends).zip(&self.hashes);
        all.filter(|(_, hash)| is_wanted(**hash)).map(|(labels, _)| labels.to_vec()).collect()
    }
}

fn sorted(hashes: &[u64]) -> Vec<u64> {
    let mut sorted = hashes.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

fn push_stale(list: &mut SampleList, ended: &[Vec<u8>], at: Timestamp) -> Result<(), LabelsError> {
    let stale = Sample { at, value: stale_marker() };
    ended.iter().try_for_each(|labels| list.push_encoded(labels, stale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::is_stale;

    const REPORTS: [&str; 5] = REPORTED;

    struct Scraped {
        series: TargetSeries,
        second: i64,
    }

    impl Scraped {
        fn new() -> Self {
            let target = ScrapeTarget::new("tikv", "h:20180".to_owned(), String::new());
            Self { series: TargetSeries::new(target), second: 0 }
        }

        /// What is written of the next page: metric and value, `stale` for a marker.
        fn page(&mut self, page: Option<&str>) -> Vec<(String, String)> {
            self.second += 15;
            let at = Timestamp::from_millis(self.second * 1_000);
            let read = |text: &str| {
                Page::read(text.as_bytes(), &self.series.target, at).expect("the format")
            };
            let page = page.map(read).ok_or(0);
            let list = self.series.scraped(page, at, Duration::from_millis(250));
            shown(&list.expect("small"), at)
        }
    }

    fn shown(list: &SampleList, at: Timestamp) -> Vec<(String, String)> {
        let shown = list.iter().map(|(labels, sample)| {
            assert_eq!(sample.at, at);
            let labels = labels.decode().expect("what is written here reads");
            assert_eq!(labels.target().to_string(), "tikv/h:20180");
            let value = sample.value.to_string();
            let value = if is_stale(sample.value) { "stale".to_owned() } else { value };
            (labels.metric().to_owned(), value)
        });
        shown.collect()
    }

    fn expected(samples: &[(&str, &str)], reports: [&str; 5]) -> Vec<(String, String)> {
        let reports = REPORTS.into_iter().zip(reports);
        let all = samples.iter().copied().chain(reports);
        all.map(|(metric, value)| (metric.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_series_that_a_page_lacks_ends_once() {
        let mut scraped = Scraped::new();
        let first = scraped.page(Some("a 1\nb 2\n"));
        assert_eq!(first, expected(&[("a", "1"), ("b", "2")], ["1", "0.25", "2", "2", "2"]));
        let second = scraped.page(Some("b 3\nc 4\n"));
        let samples = [("b", "3"), ("c", "4"), ("a", "stale")];
        assert_eq!(second, expected(&samples, ["1", "0.25", "2", "2", "1"]));
        let third = scraped.page(Some("b 3\nc 4\n"));
        assert_eq!(third, expected(&[("b", "3"), ("c", "4")], ["1", "0.25", "2", "2", "0"]));
    }

    #[test]
    fn a_failed_scrape_ends_all_series_once_and_is_reported_each_time() {
        let mut scraped = Scraped::new();
        scraped.page(Some("a 1\nb 2\n"));
        let ended = [("a", "stale"), ("b", "stale")];
        assert_eq!(scraped.page(None), expected(&ended, ["0", "0.25", "0", "0", "0"]));
        assert_eq!(scraped.page(None), expected(&[], ["0", "0.25", "0", "0", "0"]));
        // Series that come back after a failure are not new to Prometheus.
        let back = scraped.page(Some("a 5\n"));
        assert_eq!(back, expected(&[("a", "5")], ["1", "0.25", "1", "1", "0"]));
    }

    #[test]
    fn a_series_that_the_page_stamps_gets_no_marker() {
        let mut scraped = Scraped::new();
        scraped.page(Some("b 2\n"));
        let at = Timestamp::from_millis(1_000);
        let page = Page::read(b"a 1 500\n", &scraped.series.target, at).expect("the format");
        let list = scraped.series.scraped(Ok(page), at, Duration::ZERO).expect("small");
        let values: Vec<(i64, bool)> =
            list.iter().map(|(_, one)| (one.at.as_millis(), is_stale(one.value))).collect();
        assert_eq!(values[..2], [(500, false), (1_000, true)]);
        assert_eq!(scraped.page(None), expected(&[], ["0", "0.25", "0", "0", "0"]));
    }

    #[test]
    fn a_target_that_vanishes_takes_everything_with_it() {
        let mut scraped = Scraped::new();
        scraped.page(Some("a 1\n"));
        let at = Timestamp::from_millis(99_000);
        let list = scraped.series.end(at).expect("small");
        assert_eq!(shown(&list, at), expected(&[("a", "stale")], ["stale"; 5]));
        assert_eq!(scraped.series.end(at).expect("small").count(), 0);
    }
}
