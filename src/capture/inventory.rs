//! Counts what a capture contains, for display.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{FORMAT, Table};
use super::reader::EVERY_ANSWER;
use super::{CaptureError, CaptureReader};
use crate::model::{Labels, TargetKey, TimeRange, Timestamp};

/// Counts of the content of a capture.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Inventory {
    /// Number of samples, including staleness markers.
    pub samples: u64,
    /// Number of series.
    pub series: u64,
    /// Targets, each with its number of series and of samples.
    pub targets: Vec<(TargetKey, u64, u64)>,
    /// Metrics with their number of series, ascending by name.
    pub metrics: Vec<(String, u64)>,
    /// Number of PD answers, including requests that failed.
    pub pd_answers: u64,
    /// Number of distinct PD documents.
    pub pd_documents: u64,
    /// Bytes by part of the file; damaged parts are left out.
    pub bytes: Vec<(String, u64)>,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Format number of the capture.
    pub format: u32,
    /// Whether the capture contains a sealed ground truth.
    pub truth_sealed: bool,
}

impl CaptureReader {
    /// The names of all metrics, ascending, without reading a sample.
    pub fn metrics(&self) -> Vec<String> {
        let targets = (1..=self.target_count()).flat_map(|number| &self.target(number).sets);
        let names: BTreeSet<&str> = targets.map(Labels::metric).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// The range of time with the most observations, where ranges are separated by more than
    /// `apart_ms` milliseconds. It excludes the samples of an exporter whose clock is wrong by
    /// years. The latest of several equal ranges; empty where nothing was observed.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn busiest_stretch(&self, apart_ms: i64) -> Result<TimeRange, CaptureError> {
        let mut instants: Vec<i64> = Vec::new();
        for number in 1..=self.target_count() {
            instants.extend(self.times_of(number)?);
        }
        self.visit_pd_answers(EVERY_ANSWER, |answer| {
            instants.push(answer.sent.as_millis());
            Ok(())
        })?;
        instants.sort_unstable();
        let stretches = instants.chunk_by(|a, b| b.saturating_sub(*a) <= apart_ms);
        let busiest = stretches.max_by_key(|stretch| stretch.len());
        let at = Timestamp::from_millis;
        Ok(match busiest.and_then(|stretch| stretch.first().zip(stretch.last())) {
            Some((first, last)) => TimeRange::new(at(*first), at(*last).saturating_add_millis(1)),
            None => TimeRange::new(at(0), at(0)),
        })
    }

    /// Counts the content of the capture; reads all samples, and checks the sealed truths.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] where the file cannot be read.
    pub fn inventory(&self) -> Result<Inventory, CaptureError> {
        let mut metrics: BTreeMap<&str, u64> = BTreeMap::new();
        let mut targets = Vec::new();
        for number in 1..=self.target_count() {
            let mut series = 0;
            for metric in self.target(number).sets.iter().map(Labels::metric) {
                *metrics.entry(metric).or_default() += 1;
                series += 1;
            }
            let mut samples = 0;
            self.scan_target(number, TimeRange::ALL, &vec![true; series], |columns| {
                samples += columns.sample_count();
            })?;
            targets.push((self.target(number).key.clone(), series as u64, samples));
        }
        targets.sort();
        self.check_truths()?;
        Ok(Inventory {
            samples: self.state().samples,
            series: targets.iter().map(|(_, series, _)| series).sum(),
            targets,
            metrics: metrics.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            pd_answers: self.state().pd_answers,
            pd_documents: self.state().documents,
            bytes: self.bytes_by_part()?,
            file_bytes: std::fs::metadata(&self.file().path).map_or(0, |data| data.len()),
            format: FORMAT,
            truth_sealed: self.has_truth(),
        })
    }

    /// Whether a ground truth is sealed inside.
    pub fn has_truth(&self) -> bool {
        self.file().marks().is_ok_and(|marks| marks.truths > 0)
    }

    /// Notes which sealed truths are damaged or missing, and does not look at what they say.
    pub(super) fn check_truths(&self) -> Result<(), CaptureError> {
        let truths = match self.file().marks() {
            Ok(marks) => marks.truths,
            // Whoever reads the events notes it.
            Err(CaptureError::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.file().rows(Table::Truth, 1..truths.saturating_add(1), |id, payload| {
            if let Err(why) = payload {
                self.note_lost(format!("truth {id}"), why, None, None);
            }
        })
    }

    fn bytes_by_part(&self) -> Result<Vec<(String, u64)>, CaptureError> {
        let parts = [
            ("samples", "SELECT total(length(body)) FROM block WHERE target > 0"),
            ("pd", "SELECT total(length(body)) FROM block WHERE target = 0"),
            ("labels", "SELECT total(length(body)) FROM series"),
            ("journal", "SELECT total(length(body)) FROM journal"),
            ("gaps", "SELECT total(length(body)) FROM gap"),
            ("events", "SELECT total(length(body)) FROM event"),
        ];
        let mut bytes = Vec::new();
        for (part, sql) in parts {
            let total = self.file().connection.query_row(sql, [], |row| row.get::<_, f64>(0));
            match total.map_err(|source| self.file().sqlite(source)) {
                Ok(total) => bytes.push((part.to_owned(), total as u64)),
                // Damage is noted when the rows of the part are read.
                Err(CaptureError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    }
}
