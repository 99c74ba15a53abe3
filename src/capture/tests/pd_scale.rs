//! More PD answers than fit into a block, whoever wrote them.

use std::sync::Arc;

use super::super::codec::{Packing, PdBatch, encode_pd, put_varint};
use super::super::digest::pd_hash;
use super::super::file::{CaptureFile, Table};
use super::super::journal::PD_TARGET;
use super::super::sealing::put_block;
use super::*;

const MIB: usize = 1 << 20;

/// An answer with a body of a mebibyte that no other has.
fn large(sent: i64) -> PdAnswer {
    let mut body = vec![b'x'; MIB];
    let text = format!("{sent:>20}");
    body.splice(..text.len(), text.bytes());
    let outcome = PdOutcome::Answered { status: 200, body: body.into() };
    PdAnswer { outcome, ..ping(sent, "") }
}

fn read(path: &std::path::Path) -> Vec<PdAnswer> {
    assert_eq!(verify(path).expect("opens").damage, []);
    let reader = CaptureReader::open(path).expect("opens");
    let answers = reader.pd_answers(TimeRange::ALL).expect("reads");
    assert_eq!(reader.damage(), []);
    answers
}

fn pd_blocks(path: &std::path::Path) -> usize {
    let reader = CaptureReader::open(path).expect("opens");
    reader.blocks.iter().filter(|block| block.target == PD_TARGET).count()
}

/// All answers in one batch, as builds did that knew no bound.
fn in_one_batch(answers: &[PdAnswer]) -> PdBatch {
    let mut batch = PdBatch::default();
    for (number, answer) in (0..).zip(answers) {
        let mut answer = answer.clone();
        if let PdOutcome::Answered { body, .. } = &mut answer.outcome {
            batch.push_document(std::mem::take(body));
        }
        batch.push_answer(answer, Some(number));
    }
    batch
}

enum Row {
    Block,
    Journal,
}

/// A capture that holds the answers in one row.
fn write_whole(path: &std::path::Path, answers: &[PdAnswer], row: Row) {
    CaptureWriter::create(path, meta()).expect("creates").finish().expect("finishes");
    let file = CaptureFile::open_to_write(path).expect("opens");
    let mut state = file.state().expect("reads");
    let blob = encode_pd(&in_one_batch(answers), Packing::Journal);
    match row {
        Row::Block => {
            let times = answers.iter().map(|answer| answer.sent.as_millis());
            let bounds = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
            put_block(&file, &mut state, PD_TARGET, bounds, &blob).expect("writes");
        }
        Row::Journal => {
            let mut payload = Vec::new();
            put_varint(&mut payload, u64::from(PD_TARGET));
            payload.extend(blob);
            file.put_row(Table::Journal, state.journal_next, &payload).expect("writes");
            state.journal_next += 1;
        }
    }
    state.pd_answers = answers.len() as u64;
    state.documents = answers.len() as u64;
    let sum = answers.iter().fold(0_u128, |sum, answer| sum.wrapping_add(pd_hash(answer)));
    state.pd_sum = format!("{sum:032x}");
    file.set_state(&state).expect("writes");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_journal_is_sealed_by_the_bytes_of_pd_answers_into_blocks_of_bounded_size() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    let answers: Vec<PdAnswer> = (0..80).map(large).collect();
    let sealed: Vec<bool> = answers
        .chunks(10)
        .map(|answers| {
            let tick = Tick { pd: answers.to_vec(), ..Tick::default() };
            writer.commit(tick).expect("commits").sealed
        })
        .collect();
    assert_eq!(sealed, [false, false, false, true, false, false, false, true]);
    writer.finish().expect("finishes");
    assert!(read(&path) == answers);
    assert!(pd_blocks(&path) >= 3, "{}", pd_blocks(&path));
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn one_tick_of_any_size_is_cut_into_rows_and_blocks() {
    let scene = Scene::new();
    let (path, small) = (scene.path("run.capture"), scene.path("small.capture"));
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    let mut answers: Vec<PdAnswer> = (0..70).map(large).collect();
    // One that repeats a document of the first block stands in the last.
    answers.push(PdAnswer { sent: at(100), ..answers[0].clone() });
    let tick = Tick { pd: answers.clone(), ..Tick::default() };
    assert!(writer.commit(tick).expect("commits").sealed);
    assert!(read(&path) == answers);
    writer.finish().expect("finishes");
    assert!(pd_blocks(&path) >= 3, "{}", pd_blocks(&path));
    let late = TimeRange::new(at(100), at(101));
    let reader = CaptureReader::open(&path).expect("opens");
    assert!(reader.pd_answers(late).expect("reads") == answers[70..]);
    assert_eq!(reader.damage(), []);
    compact(&path, &small).expect("compacts");
    assert!(read(&small) == answers);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_block_of_any_size_is_read_document_by_document() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut answers: Vec<PdAnswer> = (0..60).map(large).collect();
    // In another order than that of writing, some are read before their turn.
    fastrand::Rng::with_seed(3).shuffle(&mut answers);
    write_whole(&path, &answers, Row::Block);
    answers.sort();
    assert!(read(&path) == answers);
    let mut writer = CaptureWriter::resume(&path).expect("resumes");
    let again = Tick { pd: answers.clone(), ..Tick::default() };
    assert_eq!(writer.commit(again).expect("commits").pd_answers, 0);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_row_of_the_journal_of_any_size_is_sealed_into_blocks() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let answers: Vec<PdAnswer> = (0..70).map(large).collect();
    write_whole(&path, &answers, Row::Journal);
    assert!(read(&path) == answers);
    CaptureWriter::resume(&path).expect("resumes").finish().expect("finishes");
    assert!(read(&path) == answers);
    assert!(pd_blocks(&path) >= 3, "{}", pd_blocks(&path));
}

#[test]
fn the_order_of_a_visit_does_not_depend_on_that_of_writing() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    let mut random = fastrand::Rng::with_seed(5);
    let mut answers: Vec<PdAnswer> = (0..400)
        .map(|_| PdAnswer {
            elapsed_us: random.u32(0..3) * 40_000,
            ..ping(random.i64(0..50), &random.u8(0..9).to_string())
        })
        .collect();
    for answers in answers.chunks(40) {
        writer.commit(Tick { pd: answers.to_vec(), ..Tick::default() }).expect("commits");
        writer.seal().expect("seals");
    }
    writer.finish().expect("finishes");
    answers.sort();
    answers.dedup();
    assert!(read(&path) == answers);
    answers.sort_by_key(|answer| (answer.observed(), answer.clone()));
    let reader = CaptureReader::open(&path).expect("opens");
    for shuffle_seed in [None, Some(1), Some(2)] {
        let mut visited = Vec::new();
        let visit = PdVisit { range: TimeRange::ALL, order: PdOrder::Observed, shuffle_seed };
        let each = |answer| {
            visited.push(answer);
            Ok(())
        };
        reader.visit_pd_answers(visit, each).expect("reads");
        assert!(visited == answers, "{shuffle_seed:?}");
    }
}

#[test]
fn a_body_that_no_reader_would_hold_is_recorded_as_a_failure() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let mut writer = CaptureWriter::create(&path, meta()).expect("creates");
    let body: Arc<[u8]> = vec![0; 64 * MIB + 1].into();
    let outcome = PdOutcome::Answered { status: 200, body };
    let tick = Tick { pd: vec![PdAnswer { outcome, ..ping(1, "") }], ..Tick::default() };
    writer.commit(tick).expect("commits");
    writer.finish().expect("finishes");
    let answers = read(&path);
    let [PdAnswer { outcome: PdOutcome::Failed { reason, .. }, .. }] = &answers[..] else {
        panic!("not one failure: {}", answers.len())
    };
    assert_eq!(*reason, GapReason::TooLarge);
}

#[test]
fn documents_that_are_too_long_are_damage() {
    let scene = Scene::new();
    let path = scene.path("run.capture");
    let outcome = PdOutcome::Answered { status: 200, body: vec![0; 64 * MIB + 1].into() };
    write_whole(&path, &[PdAnswer { outcome, ..ping(1, "") }], Row::Block);
    let reader = CaptureReader::open(&path).expect("opens");
    assert_eq!(reader.pd_answers(TimeRange::ALL).expect("reads"), []);
    let damage = reader.damage();
    assert_eq!(damage.len(), 1, "{damage:?}");
    assert!(damage[0].why.contains("longer than the format allows"), "{damage:?}");
}
