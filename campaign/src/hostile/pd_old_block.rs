//! Writes PD's answers as one block, by the page on the format: builds before the bound did, however
//! much it was.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use operator::model::{PdAnswer, PdOutcome};
use xxhash_rust::xxh3::xxh3_128;

/// Seals all answers, which have succeeded, in one block of an empty capture. Returns the bytes that
/// it unpacks to.
pub fn write(path: &Path, answers: &[PdAnswer]) -> Result<usize> {
    let (plain, documents) = plain(answers)?;
    let mut payload = Vec::new();
    varint(&mut payload, plain.len() as u64);
    let mut compressor = zstd::bulk::Compressor::new(1)?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::WindowLog(27))?;
    compressor.set_parameter(zstd::zstd_safe::CParameter::EnableLongDistanceMatching(true))?;
    payload.extend(compressor.compress(&plain)?);
    let times = || answers.iter().map(|answer| answer.sent.as_millis());
    let (first, last) = (times().min().context("no answer")?, times().max().context("no answer")?);
    let context = format!("block 1 0 {first} {last}");
    let connection = rusqlite::Connection::open(path)?;
    connection.execute(
        "INSERT INTO block (id, target, first_ms, last_ms, body) VALUES (1, 0, ?1, ?2, ?3)",
        (first, last, envelope(&context, &payload)),
    )?;
    let head: Vec<u8> =
        connection.query_row("SELECT body FROM head WHERE id = 2", [], |row| row.get(0))?;
    let mut state: serde_json::Value = serde_json::from_slice(&head[4..])?;
    let sum = answers.iter().fold(0_u128, |sum, answer| sum.wrapping_add(hash(answer)));
    state["blocks"] = 1.into();
    state["bounds_sum"] = format!("{:032x}", xxh3_128(context.as_bytes())).into();
    state["documents"] = documents.into();
    state["pd_answers"] = answers.len().into();
    state["pd_sum"] = format!("{sum:032x}").into();
    let head = envelope("head 2", &serde_json::to_vec(&state)?);
    connection.execute("UPDATE head SET body = ?1 WHERE id = 2", [head])?;
    Ok(plain.len())
}

fn envelope(context: &str, payload: &[u8]) -> Vec<u8> {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(context.as_bytes()), payload);
    [&checksum.to_le_bytes(), payload].concat()
}

fn plain(answers: &[PdAnswer]) -> Result<(Vec<u8>, u64)> {
    let mut numbers: HashMap<&[u8], u64> = HashMap::new();
    let mut strings: Vec<&str> = Vec::new();
    let mut documents: Vec<&[u8]> = Vec::new();
    let mut columns: [Vec<u8>; 7] = Default::default();
    let mut before = 0;
    for answer in answers {
        let PdOutcome::Answered { status, body } = &answer.outcome else { continue };
        let sent = answer.sent.as_millis();
        signed(&mut columns[0], sent - before);
        before = sent;
        for (column, text) in [&answer.member, &answer.url, &answer.path].into_iter().enumerate() {
            let known = strings.iter().position(|string| string == text);
            let number = known.unwrap_or_else(|| {
                strings.push(text);
                strings.len() - 1
            });
            varint(&mut columns[column + 1], number as u64);
        }
        varint(&mut columns[4], answer.elapsed_us.into());
        varint(&mut columns[5], (*status).into());
        let next = documents.len() as u64;
        let number = *numbers.entry(body).or_insert(next);
        if number == next {
            documents.push(body);
        }
        signed(&mut columns[6], number as i64);
    }
    let mut plain = vec![0];
    varint(&mut plain, documents.len() as u64);
    documents.iter().for_each(|document| bytes(&mut plain, document));
    varint(&mut plain, strings.len() as u64);
    strings.iter().for_each(|text| bytes(&mut plain, text.as_bytes()));
    varint(&mut plain, answers.len() as u64);
    columns.iter().for_each(|column| bytes(&mut plain, column));
    Ok((plain, documents.len() as u64))
}

/// What an answer adds to the sum in `head` 2.
fn hash(answer: &PdAnswer) -> u128 {
    let mut text = Vec::new();
    varint(&mut text, answer.sent.as_millis() as u64);
    varint(&mut text, answer.elapsed_us.into());
    for name in [&answer.member, &answer.url, &answer.path] {
        bytes(&mut text, name.as_bytes());
    }
    if let PdOutcome::Answered { status, body } = &answer.outcome {
        varint(&mut text, (*status).into());
        bytes(&mut text, body);
    }
    xxh3_128(&text)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn signed(out: &mut Vec<u8>, value: i64) {
    varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}
