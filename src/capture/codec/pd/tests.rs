use super::*;
use crate::model::{GapReason, Timestamp};

fn answer(sent: i64, outcome: PdOutcome) -> PdAnswer {
    PdAnswer {
        sent: Timestamp::from_millis(sent),
        member: "pd0".to_owned(),
        url: "http://10.77.0.10:2379".to_owned(),
        path: "/pd/api/v1/ping".to_owned(),
        elapsed_us: 1490,
        outcome,
    }
}

fn answered(sent: i64, status: u16) -> PdAnswer {
    answer(sent, PdOutcome::Answered { status, body: Arc::default() })
}

fn failed(sent: i64) -> PdAnswer {
    let detail = "refused".to_owned();
    answer(sent, PdOutcome::Failed { reason: GapReason::Connect, detail })
}

/// Documents and, where they can be read too, answers.
fn read(blob: &[u8], limits: PdLimits) -> Result<PdBatch, DecodeError> {
    let mut reader = PdReader::new(blob, limits)?;
    let mut batch = PdBatch::new(reader.next_number());
    while let Some(document) = reader.next_document()? {
        batch.push_document(document);
    }
    let rows = reader.answers()?;
    for row in 0..rows.len() {
        batch.push_answer(rows.answer(row, Arc::default()), rows.document(row));
    }
    Ok(batch)
}

fn many(documents: usize, length: usize) -> PdBatch {
    let mut batch = PdBatch::new(7);
    for number in 0..documents {
        let text = format!("{number:>length$}");
        batch.push_document(text.into_bytes().into());
        batch.push_answer(answered(number as i64, 200), Some(7 + number as u64));
    }
    batch
}

#[test]
fn answers_and_failures_read_back() {
    let mut batch = PdBatch::new(3);
    batch.push_document(Arc::from(*b"[]\n"));
    batch.push_answer(answered(10, 200), Some(1));
    batch.push_answer(answered(9, 500), Some(3));
    batch.push_answer(failed(12), None);
    for packing in [Packing::Journal, Packing::Sealed, Packing::Compacted] {
        assert_eq!(read(&encode_pd(&batch, packing), PdLimits::default()), Ok(batch.clone()));
    }
}

#[test]
fn documents_are_read_one_by_one_however_many_and_passed_over_for_the_answers() {
    let limits = PdLimits { document: 1_000, ..PdLimits::default() };
    let batch = many(500, 1_000);
    let blob = encode_pd(&batch, Packing::Sealed);
    assert_eq!(read(&blob, limits), Ok(batch.clone()));
    let mut reader = PdReader::new(&blob, limits).expect("begins");
    assert_eq!(reader.numbers(), 7..507);
    assert_eq!(reader.next_document().expect("reads").as_ref(), Some(&batch.documents[0]));
    assert!(reader.skip_document().expect("reads"));
    assert_eq!(reader.next_document().expect("reads").as_ref(), Some(&batch.documents[2]));
    let rows = reader.answers().expect("answers read");
    assert_eq!((rows.len(), rows.document(499), rows.sent(499)), (500, Some(506), 499));
}

#[test]
fn what_exceeds_a_limit_is_refused_before_it_is_held() {
    let blob = encode_pd(&many(3, 1_001), Packing::Sealed);
    let refused = |limits| read(&blob, limits).expect_err("is refused").0;
    let limits = PdLimits { document: 1_000, ..PdLimits::default() };
    assert_eq!(refused(limits), "a document is longer than the format allows");
    let limits = PdLimits { answers: 2, ..PdLimits::default() };
    assert_eq!(refused(limits), "has more answers than the format allows");
    let limits = PdLimits { columns: 100, ..PdLimits::default() };
    assert_eq!(refused(limits), "has more text than the format allows");
}

#[test]
fn a_blob_that_claims_another_length_is_refused() {
    let blob = encode_pd(&many(3, 100), Packing::Journal);
    let length = Cursor::new(&blob).varint().expect("begins with its length");
    for claimed in [0, 1, length - 1, length + 1, u64::MAX] {
        let mut other = Vec::new();
        put_varint(&mut other, claimed);
        let mut frame = Cursor::new(&blob);
        frame.varint().expect("begins with its length");
        other.extend_from_slice(frame.take(frame.remaining()).expect("takes the rest"));
        assert!(read(&other, PdLimits::default()).is_err(), "{claimed}");
    }
}

#[test]
fn rows_are_ordered_as_their_answers() {
    let mut batch = PdBatch::new(0);
    batch.push_document(Arc::from(*b"x"));
    for sent in [5, 3] {
        batch.push_answer(failed(sent), None);
        batch.push_answer(answered(sent, 500), Some(0));
        batch.push_answer(answered(sent, 200), Some(0));
    }
    let blob = encode_pd(&batch, Packing::Journal);
    let rows = PdReader::new(&blob, PdLimits::default()).and_then(|mut one| one.answers());
    let rows = rows.expect("answers read");
    let all = || 0..rows.len();
    for (a, b) in all().flat_map(|a| all().map(move |b| (a, b))) {
        let (whole_a, whole_b) = (&batch.answers[a].0, &batch.answers[b].0);
        assert_eq!(rows.cmp(a, &rows, b), whole_a.cmp(whole_b), "{whole_a:?} {whole_b:?}");
        assert_eq!(rows.observed(a), whole_a.observed().as_millis());
    }
}
