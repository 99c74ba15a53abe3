//! Ways to damage a file, from single bits to rows with checksums made right again.

use std::path::Path;

use anyhow::Result;
use fastrand::Rng;

use super::originals::Original;

/// The size of a capture's pages.
const PAGE: usize = 1024;

/// A way to damage a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutation {
    /// One to three bits anywhere.
    Bits,
    /// The file ends early.
    Truncate,
    /// Two pages change places.
    SwapPages,
    /// A page is written over another.
    RepeatPage,
    /// A run of up to 2,000 bytes is random.
    RandomBytes,
    /// A page reads as zeros.
    ZeroPage,
    /// The same in the first hundred bytes, SQLite's header.
    Header,
    /// One bit of one block of samples.
    BlockBit,
    /// A row's payload is altered and its checksum made right again.
    Forge,
}

impl Mutation {
    pub(super) fn draw(random: &mut Rng) -> Self {
        const ALL: [Mutation; 9] = [
            Mutation::Bits,
            Mutation::Truncate,
            Mutation::SwapPages,
            Mutation::RepeatPage,
            Mutation::RandomBytes,
            Mutation::ZeroPage,
            Mutation::Header,
            Mutation::BlockBit,
            Mutation::Forge,
        ];
        ALL[random.usize(..ALL.len())]
    }
}

/// Writes a damaged copy to `to`.
pub(super) fn mutate(
    original: &Original,
    mutation: Mutation,
    random: &mut Rng,
    to: &Path,
) -> Result<()> {
    let mut bytes = original.bytes.clone();
    let page = |random: &mut Rng| random.usize(..original.bytes.len() / PAGE) * PAGE;
    match mutation {
        Mutation::Bits => {
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] ^= 1 << random.u8(..8);
            }
        }
        Mutation::Truncate => bytes.truncate(random.usize(..bytes.len())),
        Mutation::SwapPages => {
            let (first, second) = (page(random), page(random));
            for offset in 0..PAGE {
                bytes.swap(first + offset, second + offset);
            }
        }
        Mutation::RepeatPage => {
            let (from, to) = (page(random), page(random));
            bytes.copy_within(from..from + PAGE, to);
        }
        Mutation::RandomBytes => {
            let start = random.usize(..bytes.len());
            let end = (start + random.usize(1..2_000)).min(bytes.len());
            random.fill(&mut bytes[start..end]);
        }
        Mutation::ZeroPage => {
            let start = page(random);
            bytes[start..start + PAGE].fill(0);
        }
        Mutation::Header => {
            for _ in 0..random.usize(1..4) {
                bytes[random.usize(..100)] = random.u8(..);
            }
        }
        Mutation::BlockBit | Mutation::Forge => {
            std::fs::write(to, &bytes)?;
            return alter_row(to, mutation, random);
        }
    }
    Ok(std::fs::write(to, bytes)?)
}

/// Alters one row through SQLite.
fn alter_row(path: &Path, mutation: Mutation, random: &mut Rng) -> Result<()> {
    let connection = rusqlite::Connection::open(path)?;
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;")?;
    let table = match mutation {
        Mutation::BlockBit => "block WHERE target > 0",
        _ => ["head", "series", "journal", "block", "gap", "event"][random.usize(..6)],
    };
    let ids: Vec<i64> = connection
        .prepare(&format!("SELECT id FROM {table} ORDER BY id"))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    // A compacted capture has no journal.
    if ids.is_empty() {
        return Ok(());
    }
    let id = ids[random.usize(..ids.len())];
    let table = table.split(' ').next().unwrap_or(table);
    let select = format!("SELECT body FROM {table} WHERE id = ?1");
    let mut body: Vec<u8> = connection.query_row(&select, [id], |row| row.get(0))?;
    if mutation == Mutation::BlockBit {
        let at = random.usize(..body.len());
        body[at] ^= 1 << random.u8(..8);
    } else {
        alter_payload(&mut body, random);
        forge(&connection, table, id, &mut body)?;
    }
    connection.execute(&format!("UPDATE {table} SET body = ?1 WHERE id = ?2"), (body, id))?;
    Ok(())
}

fn alter_payload(body: &mut Vec<u8>, random: &mut Rng) {
    for _ in 0..random.usize(1..5) {
        let length = body.len();
        if length <= 4 {
            return;
        }
        let at = random.usize(4..length);
        match random.u8(..5) {
            0 => body[at] ^= 1 << random.u8(..8),
            1 => body[at] = random.u8(..),
            2 => body.truncate(at),
            3 => body.insert(at, [0x00, 0x7f, 0xff][random.usize(..3)]),
            // A length that claims far more than is there.
            _ => body[at..(at + 5).min(length)].fill(0xff),
        }
    }
}

/// Makes the envelope's checksum right, and that of a block's header.
fn forge(connection: &rusqlite::Connection, table: &str, id: i64, body: &mut [u8]) -> Result<()> {
    let mut context = format!("{table} {id}");
    if table == "block" {
        let columns = "SELECT target, first_ms, last_ms FROM block WHERE id = ?1";
        let (target, first, last) = connection.query_row(columns, [id], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        context = format!("block {id} {target} {first} {last}");
        if target > 0 {
            forge_header(&mut body[4..]);
        }
    }
    if body.len() >= 4 {
        let checksum = crc32c::crc32c_append(crc32c::crc32c(context.as_bytes()), &body[4..]);
        body[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    Ok(())
}

fn forge_header(block: &mut [u8]) {
    let Some((checksum, rest)) = block.split_first_chunk_mut::<4>() else { return };
    let (mut length, mut shift, mut start) = (0_usize, 0, 0_usize);
    for byte in rest.iter().take(4) {
        length |= usize::from(byte & 0x7f) << shift;
        (shift, start) = (shift + 7, start + 1);
        if *byte < 0x80 {
            break;
        }
    }
    if let Some(header) = rest.get(start..start.saturating_add(length)) {
        *checksum = crc32c::crc32c(header).to_le_bytes();
    }
}
