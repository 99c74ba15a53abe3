//! The samples of one page, with the labels that Prometheus would give them.

use std::borrow::Cow;

use super::target::ScrapeTarget;
use crate::model::{EncodedLabels, GapReason, LabelsError, Sample, Timestamp, encode_labels};
use crate::record::coverage::Cause;
use crate::source::TextFormat;

/// The most samples of one page; the stores of the bundled runs have 19,000.
const MOST_SAMPLES: usize = 250_000;
/// What Prometheus puts before a label of a page that the target has too (`model.ExportedLabelPrefix`).
const EXPORTED: &str = "exported_";

/// Samples in the order of a page, each with the labels of its series.
#[derive(Clone, Debug, Default)]
pub struct SampleList {
    /// The encoded labels of all samples, one after the other.
    labels: Vec<u8>,
    /// Where the labels of each sample end.
    ends: Vec<u32>,
    samples: Vec<Sample>,
}

impl SampleList {
    /// Adds a sample of the series with these labels.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where a label stands twice, or the list takes 4 GiB.
    pub fn push(&mut self, pairs: &mut [(&str, &str)], sample: Sample) -> Result<(), LabelsError> {
        let start = self.labels.len();
        encode_labels(pairs, &mut self.labels)?;
        self.end_series(start, sample)
    }

    /// Adds a sample of a series whose labels are encoded.
    ///
    /// # Errors
    ///
    /// [`LabelsError`] where the list takes 4 GiB.
    pub fn push_encoded(&mut self, labels: &[u8], sample: Sample) -> Result<(), LabelsError> {
        let start = self.labels.len();
        self.labels.extend_from_slice(labels);
        self.end_series(start, sample)
    }

    fn end_series(&mut self, start: usize, sample: Sample) -> Result<(), LabelsError> {
        let Ok(end) = u32::try_from(self.labels.len()) else {
            self.labels.truncate(start);
            return Err(LabelsError::TooLong);
        };
        self.ends.push(end);
        self.samples.push(sample);
        Ok(())
    }

    /// Every sample with the labels of its series, in order.
    pub fn iter(&self) -> impl Iterator<Item = (EncodedLabels<'_>, Sample)> {
        series(&self.labels, &self.ends).map(EncodedLabels).zip(self.samples.iter().copied())
    }

    /// The instant of the last sample: that of the scrape, since what is reported about it comes last.
    pub fn at(&self) -> Option<Timestamp> {
        self.samples.last().map(|sample| sample.at)
    }

    /// The number of samples.
    pub fn count(&self) -> usize {
        self.samples.len()
    }

    /// The encoded labels, one after the other, and where each ends.
    pub fn encoded(&self) -> (&[u8], &[u32]) {
        (&self.labels, &self.ends)
    }
}

/// The encoded labels of each series, out of those of all.
pub fn series<'a>(labels: &'a [u8], ends: &'a [u32]) -> impl Iterator<Item = &'a [u8]> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(start, &end)| &labels[start as usize..end as usize])
}

/// The samples of a page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Samples that the scrape stamps. Their series end when a later page lacks them.
    pub stamped: SampleList,
    /// Samples that the page itself stamps.
    pub timed: SampleList,
}

impl Page {
    /// Reads a page of `target` that was scraped at `at`.
    ///
    /// # Errors
    ///
    /// [`BadPage`] where the page is not in the format, names a label twice or has too many samples. As in
    /// Prometheus, no sample of such a page counts.
    pub fn read(page: &[u8], target: &ScrapeTarget, at: Timestamp) -> Result<Self, BadPage> {
        let mut read = Self::default();
        match read.read_all(page, target, at) {
            Ok(()) => Ok(read),
            Err(cause) => Err(BadPage { cause, samples: read.count() }),
        }
    }

    /// The number of samples.
    pub fn count(&self) -> usize {
        self.stamped.count() + self.timed.count()
    }

    fn read_all(&mut self, page: &[u8], target: &ScrapeTarget, at: Timestamp) -> Result<(), Cause> {
        let malformed = |why: String| (GapReason::Malformed, format!("{target}: {why}"));
        let mut format = TextFormat::new(page).map_err(|error| malformed(error.to_string()))?;
        while let Some(sample) =
            format.next_sample().map_err(|error| malformed(error.to_string()))?
        {
            if self.count() == MOST_SAMPLES {
                let detail = format!("{target}: more than {MOST_SAMPLES} samples");
                return Err((GapReason::TooLarge, detail));
            }
            let (list, stamp) = match sample.at {
                Some(at) => (&mut self.timed, at),
                None => (&mut self.stamped, at),
            };
            let one = Sample { at: stamp, value: sample.value };
            push_sample(list, sample.metric, sample.labels, target, one)
                .map_err(|error| malformed(format!("{}: {error}", sample.metric)))?;
        }
        Ok(())
    }
}

/// A page of which no sample counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPage {
    /// What is wrong with it.
    pub cause: Cause,
    /// The number of samples before that, which Prometheus reports nevertheless.
    pub samples: usize,
}

/// Adds a sample of a page under the labels of the page and the target. A label of the page that the target
/// has too is renamed, as without `honor_labels`.
fn push_sample(
    list: &mut SampleList,
    metric: &str,
    labels: &[(&str, Cow<'_, str>)],
    target: &ScrapeTarget,
    sample: Sample,
) -> Result<(), LabelsError> {
    let own = || target.labels.iter();
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(labels.len() + 1 + own().len());
    pairs.push(("__name__", metric));
    pairs.extend(labels.iter().map(|(name, value)| (*name, &**value)));
    let conflicts = |pairs: &[(&str, &str)], name: &str| {
        pairs.iter().position(|(known, value)| *known == name && !value.is_empty())
    };
    if own().all(|(name, _)| conflicts(&pairs, name).is_none()) {
        pairs.retain(|(name, _)| own().all(|(own, _)| own != *name));
        pairs.extend(own());
        return list.push(&mut pairs, sample);
    }
    let mut renamed: Vec<(String, &str)> = Vec::new();
    // Prometheus begins with the shortest name.
    let mut names: Vec<&str> = own().map(|(name, _)| name).collect();
    names.sort_by_key(|name| name.len());
    for name in names {
        let Some(place) = conflicts(&pairs, name) else { continue };
        let value = pairs.remove(place).1;
        let mut name = format!("{EXPORTED}{name}");
        while conflicts(&pairs, &name).is_some() {
            name.insert_str(0, EXPORTED);
        }
        pairs.retain(|(known, _)| *known != name);
        renamed.push((name, value));
    }
    pairs.retain(|(name, _)| own().all(|(own, _)| own != *name));
    pairs.extend(renamed.iter().map(|(name, value)| (name.as_str(), *value)));
    pairs.extend(own());
    list.push(&mut pairs, sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> ScrapeTarget {
        ScrapeTarget::new("tikv", "h:20180".to_owned(), String::new())
    }

    fn read(page: &str) -> Result<Page, BadPage> {
        Page::read(page.as_bytes(), &target(), Timestamp::from_millis(7_000))
    }

    fn series_of(list: &SampleList) -> Vec<String> {
        let text = |(labels, sample): (EncodedLabels<'_>, Sample)| {
            let labels = labels.decode().expect("what is written here reads");
            format!("{labels} {} @{}", sample.value, sample.at.as_millis())
        };
        list.iter().map(text).collect()
    }

    #[test]
    fn series_get_the_labels_of_the_target_and_the_time_of_the_scrape() {
        let page = read("# HELP a b\na{type=\"kv\",empty=\"\"} 1.5\nb 2 3000\n").expect("a page");
        let stamped = ["a{instance=\"h:20180\",job=\"tikv\",type=\"kv\"} 1.5 @7000"];
        assert_eq!(series_of(&page.stamped), stamped);
        assert_eq!(series_of(&page.timed), ["b{instance=\"h:20180\",job=\"tikv\"} 2 @3000"]);
    }

    #[test]
    fn labels_of_a_page_that_the_target_has_too_are_exported() {
        let page = read("a{job=\"x\",instance=\"\"} 1\nb{job=\"x\",exported_job=\"y\"} 2\n");
        let expected = [
            "a{exported_job=\"x\",instance=\"h:20180\",job=\"tikv\"} 1 @7000",
            "b{exported_exported_job=\"x\",exported_job=\"y\",instance=\"h:20180\",job=\"tikv\"} 2 @7000",
        ];
        assert_eq!(series_of(&page.expect("a page").stamped), expected);
    }

    #[test]
    fn of_a_page_that_is_wrong_anywhere_nothing_counts() {
        let bad = read("a 1\nb{x=\"1\",x=\"2\"} 1\n").expect_err("a label twice");
        let (reason, detail) = bad.cause;
        assert_eq!((reason, bad.samples), (GapReason::Malformed, 1));
        assert!(detail.contains("\"x\" stands twice") && detail.contains("h:20180"), "{detail}");
        let (reason, detail) = read("a 1\n<html>").expect_err("no page").cause;
        assert!(reason == GapReason::Malformed && detail.contains("line 2"), "{detail}");
        let long: String = (0..=MOST_SAMPLES).map(|number| format!("a{number} 1\n")).collect();
        assert_eq!(read(&long).expect_err("too long").cause.0, GapReason::TooLarge);
    }
}
