//! Small sound captures, cut out of real ones, and what they say.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use operator::capture::{
    CaptureError, CaptureReader, CaptureWriter, Tick, add_event, compact, copy,
};
use operator::model::{
    EncodedLabels, Event, EventKind, Gap, GapReason, Labels, PdAnswer, RunMeta, Sample, Source,
    TimeRange,
};

use super::judge::replay;
use crate::capture_server::captures_in;

/// How much of a capture is cut out.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    /// About how many series.
    pub(super) series: usize,
    /// One PD answer in so many.
    pub(super) every_answer: usize,
    /// The longest body of an answer.
    pub(super) longest_body: usize,
    /// The first ticks.
    pub(super) ticks: usize,
}

/// Small captures with all that happened.
const WHOLE: Extent =
    Extent { series: 120, every_answer: 12, longest_body: usize::MAX, ticks: usize::MAX };
/// The scrape interval of the bundled runs.
const STEP_MS: i64 = 15_000;

/// All that a capture says.
#[derive(Debug, PartialEq)]
pub(super) struct Content {
    pub(super) meta: RunMeta,
    pub(super) series: BTreeMap<Labels, Vec<Sample>>,
    pub(super) pd: Vec<PdAnswer>,
    pub(super) gaps: Vec<Gap>,
    pub(super) events: Vec<Event>,
}

impl Content {
    pub(super) fn of(reader: &CaptureReader) -> Result<Self, CaptureError> {
        let series = reader.select(&[], TimeRange::ALL)?;
        Ok(Self {
            meta: reader.meta().clone(),
            series: series.into_iter().map(|series| (series.labels, series.samples)).collect(),
            pd: reader.pd_answers(TimeRange::ALL)?,
            gaps: reader.gaps()?,
            events: reader.events()?,
        })
    }

    pub(super) fn samples(&self) -> u64 {
        self.series.values().map(Vec::len).sum::<usize>() as u64
    }

    /// Whether nothing stands here that does not stand in `whole`.
    pub(super) fn is_part_of(&self, whole: &Self) -> bool {
        fn within<T: PartialEq>(part: &[T], whole: &[T]) -> bool {
            let mut rest = whole.iter();
            part.iter().all(|item| rest.any(|other| other == item))
        }
        let series = self.series.iter().all(|(labels, samples)| {
            whole.series.get(labels).is_some_and(|whole| within(samples, whole))
        });
        series
            && self.meta == whole.meta
            && within(&self.pd, &whole.pd)
            && within(&self.gaps, &whole.gaps)
            && within(&self.events, &whole.events)
    }
}

/// A sound capture, and what it says.
pub(super) struct Original {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) content: Content,
    pub(super) replayed: String,
}

/// Small captures out of each one in `folder`, in both forms.
pub(super) fn originals(folder: &Path, scratch: &Path) -> Result<Vec<Original>> {
    let mut originals = Vec::new();
    for path in captures_in(folder)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let recorded = scratch.join("recorded.capture");
        let (journal, compacted) = (scratch.join("journal"), scratch.join("compacted"));
        cut(&path, &recorded, WHOLE).with_context(|| format!("cannot cut {}", path.display()))?;
        copy(&recorded, &journal)?;
        compact(&recorded, &compacted)?;
        for (form, path) in [("with journal", journal), ("compacted", compacted)] {
            originals.push(Original {
                name: format!("{file} {form}"),
                bytes: std::fs::read(&path)?,
                content: Content::of(&CaptureReader::open(&path)?)?,
                replayed: replay(&path)?.0,
            });
            std::fs::remove_file(path)?;
        }
        for suffix in ["", "-wal", "-shm", ".lock"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", recorded.display()));
        }
    }
    Ok(originals)
}

/// Records a part of a capture anew, and leaves it as a recorder that is killed: half sealed.
pub(super) fn cut(capture: &Path, to: &Path, extent: Extent) -> Result<()> {
    let reader = CaptureReader::open(capture)?;
    let all = reader.select(&[], TimeRange::ALL)?;
    let every = (all.len() / extent.series).max(1);
    let of_timeline = |metric: &str| matches!(metric, "up" | "process_start_time_seconds");
    let kept = all
        .iter()
        .enumerate()
        .filter(|(number, series)| number % every == 0 || of_timeline(series.labels.metric()));
    let mut ticks: BTreeMap<i64, Vec<(&Labels, Sample)>> = BTreeMap::new();
    for (_, series) in kept {
        for sample in &series.samples {
            let tick = sample.at.as_millis() / STEP_MS;
            ticks.entry(tick).or_default().push((&series.labels, *sample));
        }
    }
    let short = |answer: &PdAnswer| answer.success().map_or(0, <[u8]>::len) <= extent.longest_body;
    let answers = reader.pd_answers(TimeRange::ALL)?.into_iter().step_by(extent.every_answer);
    let answers: Vec<PdAnswer> = answers.filter(short).collect();
    let mut answers = answers.chunks(answers.len().div_ceil(ticks.len().max(1)).max(1));
    let mut writer = CaptureWriter::create(to, reader.meta().clone())?;
    let half = ticks.len().min(extent.ticks) / 2;
    for (number, samples) in ticks.into_values().take(extent.ticks).enumerate() {
        let mut tick = Tick { pd: answers.next().unwrap_or_default().to_vec(), ..Tick::default() };
        let at = samples.first().map(|(_, sample)| sample.at).unwrap_or_default();
        for (labels, sample) in samples {
            let mut encoded = Vec::new();
            labels.encode(&mut encoded);
            tick.samples.push(writer.index(), EncodedLabels(&encoded), &[sample])?;
        }
        if number % 10 == 0 {
            tick.gaps.push(Gap {
                range: TimeRange::new(at, at + STEP_MS),
                source: Source::PdMember("pd1".to_owned()),
                reason: GapReason::Timeout,
                detail: format!("tick {number}"),
                healed_at: None,
            });
        }
        writer.commit(tick)?;
        if number == half {
            writer.seal()?;
        }
    }
    for text in ["load doubled", "load halved"] {
        let kind = EventKind("note".to_owned());
        let event = Event {
            at: reader.window().start,
            kind,
            text: text.to_owned(),
            fields: BTreeMap::new(),
        };
        add_event(to, event)?;
    }
    Ok(())
}
