//! Synthetic captures with distant times, many rows and long texts, and the program under limits of memory
//! and CPU time.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use operator::capture::{CaptureWriter, Tick};
use operator::model::{
    EncodedLabels, Event, EventKind, Gap, GapReason, Labels, Sample, Source, TimeRange, Timestamp,
};

/// When synthetic runs begin, in milliseconds since 1970: in November 2026.
pub const BEGIN_MS: i64 = 1_795_537_620_000;
/// Address space that one command may take, in KiB.
const MOST_KIB: u64 = 2 << 20;

/// What a synthetic capture holds, before it is written.
#[derive(Clone, Debug, Default)]
pub struct SyntheticCapture {
    /// Series, each with its samples: milliseconds since 1970, value.
    pub series: Vec<(Labels, Vec<(i64, f64)>)>,
    /// Gaps, in any order.
    pub gaps: Vec<Gap>,
    /// Events, in any order.
    pub events: Vec<Event>,
}

impl SyntheticCapture {
    /// `up` of one target over ten minutes, beside nothing else.
    pub fn ten_minutes() -> Self {
        let samples = (0..40).map(|scrape| (BEGIN_MS + scrape * 15_000, 1.0)).collect();
        Self { series: vec![(up("tikv"), samples)], ..Self::default() }
    }

    /// So many gaps of Prometheus that do not adjoin, inside those ten minutes where there is room.
    #[must_use]
    pub fn gaps(mut self, count: i64) -> Self {
        let gap = |number: i64| {
            let start = Timestamp::from_millis(BEGIN_MS + number * 10);
            Gap {
                range: TimeRange::new(start, start.saturating_add_millis(3)),
                source: Source::Prometheus,
                reason: GapReason::Connect,
                detail: format!("attempt {number}"),
                healed_at: None,
            }
        };
        self.gaps.extend((0..count).map(gap));
        self
    }

    /// So many events, and one with a text of `longest` bytes before them.
    #[must_use]
    pub fn events(mut self, count: i64, longest: usize) -> Self {
        let event = |at: i64, text: String| Event {
            at: Timestamp::from_millis(BEGIN_MS + at),
            kind: EventKind(EventKind::NOTE.to_owned()),
            text,
            fields: [("node".to_owned(), "tikv1".to_owned())].into(),
        };
        self.events.push(event(0, "x".repeat(longest)));
        self.events.extend((1..=count).map(|number| event(number % 600_000, number.to_string())));
        self
    }

    /// Writes it to a new file and seals it.
    pub fn write(self, path: &Path) -> Result<()> {
        let meta = serde_json::json!({"run": "made", "subject": "tikv", "created": BEGIN_MS});
        let mut writer = CaptureWriter::create(path, serde_json::from_value(meta)?)?;
        let mut tick = Tick { gaps: self.gaps, events: self.events, ..Tick::default() };
        for (labels, samples) in &self.series {
            let mut encoded = Vec::new();
            labels.encode(&mut encoded);
            let sample =
                |&(at, value): &(i64, f64)| Sample { at: Timestamp::from_millis(at), value };
            let samples: Vec<Sample> = samples.iter().map(sample).collect();
            tick.samples.push(writer.index(), EncodedLabels(&encoded), &samples)?;
        }
        writer.commit(tick)?;
        Ok(writer.finish()?)
    }
}

/// The labels of `up` of a job.
pub fn up(job: &str) -> Labels {
    Labels::from_pairs(&[("__name__", "up"), ("instance", "10.0.0.1:20180"), ("job", job)])
}

/// Runs the program under limits of memory and of CPU time in seconds.
pub fn limited(program: &Path, args: &[&str], cpu_s: u32) -> Result<Output> {
    limited_to(program, args, (MOST_KIB, cpu_s))
}

/// As [`limited`], with the address space that it may take in KiB.
pub fn limited_to(program: &Path, args: &[&str], (kib, cpu_s): (u64, u32)) -> Result<Output> {
    let limits = format!("ulimit -v {kib}; ulimit -t {cpu_s}; exec \"$0\" \"$@\"");
    Ok(Command::new("sh").arg("-c").arg(limits).arg(program).args(args).output()?)
}
