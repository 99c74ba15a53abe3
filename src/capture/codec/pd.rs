//! PD answers as a blob: columns of what was asked and how it ended, then the new documents.

use std::collections::HashMap;
use std::sync::Arc;

use super::bytes::{Cursor, DecodeError, pack, put_bytes, put_signed, put_varint, unpack};
use crate::model::{GapReason, PdAnswer, PdOutcome, Timestamp};

/// Bytes that a blob of PD answers may unpack to.
const MAX_UNPACKED: usize = 1 << 28;

/// PD answers and the documents that stand in this blob for the first time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PdBatch {
    /// Number of the first document here; documents are numbered through the whole capture.
    pub first_document: u64,
    /// Documents, each once in the whole capture.
    pub documents: Vec<Arc<[u8]>>,
    /// Answers whose bodies are left out, and the document that is the body.
    pub answers: Vec<(PdAnswer, Option<u64>)>,
}

/// Encodes a batch; `level` is zstd's.
pub fn encode_pd(batch: &PdBatch, level: i32) -> Vec<u8> {
    let mut strings: Vec<&str> = Vec::new();
    let mut ids: HashMap<&str, u64> = HashMap::new();
    let mut intern = |text| {
        *ids.entry(text).or_insert_with(|| {
            strings.push(text);
            strings.len() as u64 - 1
        })
    };
    let mut columns: [Vec<u8>; 7] = Default::default();
    let mut last = 0_i64;
    for (answer, document) in &batch.answers {
        let sent = answer.sent.as_millis();
        put_signed(&mut columns[0], sent.wrapping_sub(last));
        last = sent;
        put_varint(&mut columns[1], intern(&answer.member));
        put_varint(&mut columns[2], intern(&answer.url));
        put_varint(&mut columns[3], intern(&answer.path));
        put_varint(&mut columns[4], u64::from(answer.elapsed_us));
        match &answer.outcome {
            PdOutcome::Answered { status, .. } => {
                put_varint(&mut columns[5], u64::from(*status));
                let document = document.expect("an answer has a document");
                put_signed(&mut columns[6], document.wrapping_sub(batch.first_document) as i64);
            }
            PdOutcome::Failed { reason, detail } => {
                put_varint(&mut columns[5], 0);
                put_varint(&mut columns[6], intern(reason.name()));
                put_varint(&mut columns[6], intern(detail));
            }
        }
    }
    let mut plain = Vec::new();
    put_varint(&mut plain, batch.first_document);
    put_varint(&mut plain, batch.documents.len() as u64);
    for document in &batch.documents {
        put_bytes(&mut plain, document);
    }
    put_varint(&mut plain, strings.len() as u64);
    for text in strings {
        put_bytes(&mut plain, text.as_bytes());
    }
    put_varint(&mut plain, batch.answers.len() as u64);
    for column in columns {
        put_bytes(&mut plain, &column);
    }
    pack(&plain, level)
}

/// Decodes what [`encode_pd`] wrote; bodies of answers are empty.
///
/// # Errors
///
/// [`DecodeError`] where the bytes have another form.
pub fn decode_pd(blob: &[u8]) -> Result<PdBatch, DecodeError> {
    let plain = unpack(&mut Cursor::new(blob), MAX_UNPACKED)?;
    let mut cursor = Cursor::new(&plain);
    let first_document = cursor.varint()?;
    let mut documents = Vec::new();
    for _ in 0..cursor.count()? {
        documents.push(Arc::from(cursor.bytes()?));
    }
    let mut strings = Vec::new();
    for _ in 0..cursor.count()? {
        let text = std::str::from_utf8(cursor.bytes()?);
        strings.push(text.map_err(|_| DecodeError("a name is not UTF-8"))?);
    }
    let string = |cursor: &mut Cursor<'_>| {
        let id = usize::try_from(cursor.varint()?).unwrap_or(usize::MAX);
        strings.get(id).map(|text| (*text).to_owned()).ok_or(DecodeError("a string is missing"))
    };
    let count = cursor.count()?;
    let mut columns = [Cursor::new(&[]); 7];
    for column in &mut columns {
        *column = Cursor::new(cursor.bytes()?);
    }
    let [sent, member, url, path, elapsed, status, result] = &mut columns;
    let mut answers = Vec::with_capacity(count);
    let mut at = 0_i64;
    for _ in 0..count {
        at = at.wrapping_add(sent.signed()?);
        let (member, url, path) = (string(member)?, string(url)?, string(path)?);
        let elapsed_us = elapsed.u32()?;
        let (outcome, document) = match status.varint()? {
            0 => {
                let reason = GapReason::parse(&string(result)?);
                let reason = reason.ok_or(DecodeError("a failure has an unknown reason"))?;
                (PdOutcome::Failed { reason, detail: string(result)? }, None)
            }
            status => {
                let status = u16::try_from(status);
                let status = status.map_err(|_| DecodeError("a status exceeds 16 bits"))?;
                let document = first_document.wrapping_add(result.signed()? as u64);
                (PdOutcome::Answered { status, body: Arc::default() }, Some(document))
            }
        };
        let sent = Timestamp::from_millis(at);
        answers.push((PdAnswer { sent, member, url, path, elapsed_us, outcome }, document));
    }
    if columns.iter().all(Cursor::is_empty) && cursor.is_empty() {
        Ok(PdBatch { first_document, documents, answers })
    } else {
        Err(DecodeError("has bytes after its last answer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_failures_read_back() {
        let answer = |sent, outcome| PdAnswer {
            sent: Timestamp::from_millis(sent),
            member: "pd0".to_owned(),
            url: "http://10.77.0.10:2379".to_owned(),
            path: "/pd/api/v1/ping".to_owned(),
            elapsed_us: 1490,
            outcome,
        };
        let batch = PdBatch {
            first_document: 3,
            documents: vec![Arc::from(*b"[]\n")],
            answers: vec![
                (answer(10, PdOutcome::Answered { status: 200, body: Arc::default() }), Some(1)),
                (answer(9, PdOutcome::Answered { status: 500, body: Arc::default() }), Some(3)),
                (
                    answer(
                        12,
                        PdOutcome::Failed {
                            reason: GapReason::Connect,
                            detail: "refused".to_owned(),
                        },
                    ),
                    None,
                ),
            ],
        };
        assert_eq!(decode_pd(&encode_pd(&batch, 3)), Ok(batch));
    }
}
