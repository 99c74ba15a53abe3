//! Imports a PD log into a capture: its answers as PD answers, and its broken lines as gaps. Bodies that
//! somebody pasted are imported likewise, as answers of one instant.
//!
//! The format of the log is in `pd_log`.

use std::io::Read;

use super::pd_log::{PdLogError, read_pd_log};
use crate::capture::{CaptureError, CaptureWriter, Tick};
use crate::model::{Gap, GapReason, PdAnswer, PdOutcome, Source, TimeRange, Timestamp};
use crate::pd::Pasted;

/// The most answers of one transaction, and the most bytes of their bodies.
const ANSWERS_PER_COMMIT: usize = 1_000;
const BYTES_PER_COMMIT: usize = 16 << 20;
/// The member of a broken line that names none.
const UNKNOWN_MEMBER: &str = "unknown";

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PdImport {
    /// The number of lines that are answers.
    pub read: u64,
    /// The number of these answers that the capture did not hold before.
    pub written: u64,
    /// The number of lines that are no answers; the end of a damaged log counts as one.
    pub broken: u64,
}

/// Imports a log, in transactions of bounded size.
///
/// Consecutive broken lines become one gap, of the member that the first of them names, or of a member
/// `unknown`. It lasts from the answer before them to the one after, since lines are mostly in order of
/// time. The same log may be imported again; nothing of it is written twice.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be written. A broken log is no error.
pub fn import_pd_log(writer: &mut CaptureWriter, log: impl Read) -> Result<PdImport, CaptureError> {
    let (mut tick, mut done) = (Tick::default(), PdImport::default());
    let mut broken: Option<BrokenLines> = None;
    let mut last = None;
    let mut bytes = 0;
    for answer in read_pd_log(log) {
        match answer {
            Ok(answer) => {
                done.read += 1;
                if let Some(lines) = broken.take() {
                    add_gap(writer, &mut tick, lines.gap(last, Some(answer.sent)));
                }
                last = Some(answer.sent);
                bytes += answer.success().map_or(0, <[u8]>::len);
                tick.pd.push(answer);
            }
            Err(error) => {
                done.broken += 1;
                tracing::warn!(%error, "a line of the PD log is left out");
                broken =
                    Some(broken.map_or_else(|| BrokenLines::new(&error), BrokenLines::and_another));
            }
        }
        if tick.pd.len() >= ANSWERS_PER_COMMIT || bytes >= BYTES_PER_COMMIT {
            bytes = 0;
            done.written += writer.commit(std::mem::take(&mut tick))?.pd_answers as u64;
        }
    }
    if let Some(lines) = broken {
        add_gap(writer, &mut tick, lines.gap(last, None));
    }
    done.written += writer.commit(tick)?.pd_answers as u64;
    Ok(done)
}

/// Imports bodies of PD that somebody pasted, as answers of one instant: just after the newest heartbeat that
/// they list, or `now` where they list none. They are taken for those of PD's leader, or of a member `pd`.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be written.
pub fn import_pasted(
    writer: &mut CaptureWriter,
    pasted: Pasted,
    now: Timestamp,
) -> Result<PdImport, CaptureError> {
    let read = pasted.answers.len() as u64;
    let member = pasted.leader.unwrap_or_else(|| PASTED_MEMBER.to_owned());
    let sent = pasted.at.unwrap_or(now);
    let answers = pasted.answers.into_iter().map(|(path, body)| PdAnswer {
        sent,
        member: member.clone(),
        url: format!("http://{PASTED_MEMBER}"),
        path: path.to_owned(),
        elapsed_us: 0,
        outcome: PdOutcome::Answered { status: 200, body: body.into() },
    });
    let tick = Tick { pd: answers.collect(), ..Tick::default() };
    let written = writer.commit(tick)?.pd_answers as u64;
    Ok(PdImport { read, written, broken: 0 })
}

/// The member whose answers somebody pasted, where they do not say who leads.
const PASTED_MEMBER: &str = "pd";

/// Consecutive broken lines.
struct BrokenLines {
    first: String,
    member: Option<String>,
    sent: Option<Timestamp>,
    lines: u64,
}

impl BrokenLines {
    fn new(error: &PdLogError) -> Self {
        let (member, sent) = error.origin();
        Self { first: error.to_string(), member, sent, lines: 1 }
    }

    fn and_another(self) -> Self {
        Self { lines: self.lines + 1, ..self }
    }

    /// The gap of these lines; `None` where neither they nor their neighbours have a time.
    fn gap(self, before: Option<Timestamp>, after: Option<Timestamp>) -> Option<Gap> {
        let start = before.or(self.sent).or(after)?;
        let end = after.or(self.sent).unwrap_or(start).max(start.saturating_add_millis(1));
        let detail = match self.lines {
            1 => self.first,
            lines => format!("{}, and {} more lines after it", self.first, lines - 1),
        };
        Some(Gap {
            range: TimeRange::new(start, end),
            source: Source::PdMember(self.member.unwrap_or_else(|| UNKNOWN_MEMBER.to_owned())),
            reason: GapReason::Malformed,
            detail,
            healed_at: None,
        })
    }
}

fn add_gap(writer: &CaptureWriter, tick: &mut Tick, gap: Option<Gap>) {
    tick.gaps.extend(gap.filter(|gap| !writer.open_gaps().any(|open| open == gap)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::{CaptureReader, verify};

    fn line(millis: i64) -> String {
        format!(
            r#"{{"ts_ms": {millis}, "member": "pd1", "url": "http://h:2379", "path": "/p", "status": 200, "elapsed_ms": 1, "body": "{millis}"}}"#
        )
    }

    /// Imports logs one after the other into one capture.
    fn import(logs: &[&[u8]]) -> (Vec<PdImport>, Vec<Gap>, usize) {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().join("run.capture");
        let meta = serde_json::json!({"run": "test", "subject": "tikv", "created": 0});
        let meta = serde_json::from_value(meta).expect("a run's metadata");
        let mut writer = CaptureWriter::create(&path, meta).expect("creates");
        let import = |log: &&[u8]| import_pd_log(&mut writer, *log).expect("the disk takes it");
        let done = logs.iter().map(import).collect();
        writer.finish().expect("finishes");
        assert_eq!(verify(&path).expect("opens").damage, []);
        let reader = CaptureReader::open(&path).expect("opens");
        let answers = reader.pd_answers(TimeRange::ALL).expect("reads").len();
        (done, reader.gaps().expect("reads"), answers)
    }

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(end))
    }

    #[test]
    fn broken_lines_are_gaps_between_their_neighbours_and_are_imported_once() {
        let log = format!("{}\nhalf a {{\n\n[]\n{}\n", line(1_000), line(9_000));
        let (done, gaps, answers) = import(&[log.as_bytes(), log.as_bytes()]);
        assert_eq!(done[0], PdImport { read: 2, written: 2, broken: 2 });
        assert_eq!(done[1], PdImport { read: 2, written: 0, broken: 2 });
        assert_eq!(answers, 2);
        let [gap] = &gaps[..] else { panic!("not one gap: {gaps:?}") };
        assert_eq!(gap.range, range(1_000, 9_000));
        assert_eq!(gap.source, Source::PdMember("unknown".to_owned()));
        assert!(gap.detail.contains("line 2") && gap.detail.contains("1 more"), "{}", gap.detail);
    }

    #[test]
    fn a_broken_line_that_names_its_member_and_time_is_that_members_gap() {
        let broken = line(5_000).replace("200", "7").replace("pd1", "pd2");
        for (log, expected) in [
            (format!("{broken}\n"), range(5_000, 5_001)),
            (format!("{}\n{broken}\n", line(1_000)), range(1_000, 5_000)),
            (format!("{broken}\n{}\n", line(9_000)), range(5_000, 9_000)),
        ] {
            let (_, gaps, _) = import(&[log.as_bytes()]);
            assert_eq!(gaps.len(), 1, "{log}");
            assert_eq!(gaps[0].source, Source::PdMember("pd2".to_owned()));
            assert_eq!(gaps[0].range, expected, "{log}");
        }
    }

    #[test]
    fn a_compressed_log_that_is_cut_short_ends_in_a_gap() {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        for millis in 0..2_000 {
            writeln!(encoder, "{}", line(millis * 7_919 % 100_003)).expect("memory takes it");
        }
        let log = encoder.finish().expect("memory takes it");
        let (done, gaps, answers) = import(&[&log[..log.len() / 2]]);
        assert_eq!((done[0].broken, gaps.len()), (1, 1), "{gaps:?}");
        assert_eq!(done[0].read, answers as u64);
        assert!(answers > 100, "{answers}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn whatever_a_log_holds_its_answers_are_kept_and_the_rest_is_a_gap(
            lines in prop::collection::vec((0_u8..3, 0_i64..100_000, any::<Vec<u8>>()), 1..30),
        ) {
            let mut log = Vec::new();
            let (mut good, mut stretches, mut in_stretch) = (0, 0, false);
            for (kind, millis, mut garbage) in lines {
                garbage.retain(|byte| *byte != b'\n');
                // Two bytes of gzip would make another log of it.
                let garbage = [b"x", &garbage[..]].concat();
                match kind {
                    0 => log.extend_from_slice(line(millis).as_bytes()),
                    1 => log.extend_from_slice(&line(millis).as_bytes()[..40]),
                    _ => log.extend_from_slice(&garbage),
                }
                log.push(b'\n');
                good += u64::from(kind == 0);
                stretches += usize::from(kind != 0 && !in_stretch);
                in_stretch = kind != 0;
            }
            let (done, gaps, _) = import(&[&log]);
            prop_assert_eq!(done[0].read, good);
            prop_assert_eq!(gaps.len(), if good == 0 { 0 } else { stretches });
        }
    }
}
