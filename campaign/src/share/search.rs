//! Searches an exported file for secrets, with nothing of the program that made it: it unpacks gzip, reads the tables
//! of SQLite and unpacks every frame of zstd in them by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use flate2::read::GzDecoder;
use regex::bytes::{Regex, RegexBuilder};
use rusqlite::{Connection, OpenFlags};

/// What a frame of zstd begins with.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The most bytes that a frame is unpacked to.
const MOST_BYTES: u64 = 1 << 28;
/// The tables of a capture.
const TABLES: [&str; 7] = ["head", "series", "journal", "block", "gap", "event", "truth"];

/// Looks for secrets in every form in which text is written inside other text.
pub struct Search {
    pattern: Regex,
    /// The secret that a form, in lower case, stands for.
    secrets: BTreeMap<Vec<u8>, String>,
    found: BTreeSet<(String, String)>,
}

impl Search {
    /// A search for these secrets, none of which is a part of an ordinary word.
    pub fn new(secrets: &[Vec<u8>]) -> Result<Self> {
        let mut forms = BTreeMap::new();
        for secret in secrets {
            let shown = String::from_utf8_lossy(secret).into_owned();
            forms.extend(forms_of(secret).into_iter().map(|form| (form, shown.clone())));
        }
        let escaped = |form: &Vec<u8>| -> String {
            form.iter().map(|byte| format!(r"\x{byte:02x}")).collect()
        };
        let alternatives: Vec<String> = forms.keys().map(escaped).collect();
        let pattern = RegexBuilder::new(&format!("(?i-u:{})", alternatives.join("|")))
            .size_limit(1 << 30)
            .build()?;
        Ok(Self { pattern, secrets: forms, found: BTreeSet::new() })
    }

    /// Looks into bytes as they are.
    pub fn bytes(&mut self, place: &str, bytes: &[u8]) {
        for found in self.pattern.find_iter(bytes) {
            let form = found.as_bytes().to_ascii_lowercase();
            let secret = self.secrets.get(&form).cloned().unwrap_or_default();
            self.found.insert((place.to_owned(), secret));
        }
    }

    /// Looks into a packed capture: into its bytes, those of the database, its rows, and what is packed in these.
    pub fn packed(&mut self, path: &Path, scratch: &Path) -> Result<()> {
        let packed = std::fs::read(path)?;
        self.bytes("the packed bytes", &packed);
        let mut plain = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut plain)?;
        self.bytes("the bytes", &plain);
        let database = scratch.join("searched.sqlite");
        std::fs::write(&database, &plain)?;
        let opened = Connection::open_with_flags(&database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut frames = 0;
        for table in TABLES {
            let mut rows = opened.prepare(&format!("SELECT body FROM {table}"))?;
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                let body: Vec<u8> = row.get(0)?;
                self.bytes(table, &body);
                frames += self.frames(table, &body)?;
            }
        }
        anyhow::ensure!(frames > 1, "labels and answers of PD lie in packed frames");
        Ok(())
    }

    /// Looks into every frame of zstd in a row, and returns how many there are.
    fn frames(&mut self, table: &str, body: &[u8]) -> Result<usize> {
        let mut frames = 0;
        for at in 0..body.len().saturating_sub(ZSTD.len()) {
            if body[at..].starts_with(&ZSTD) {
                let mut unpacked = Vec::new();
                let frame = zstd::stream::read::Decoder::new(&body[at..])?.single_frame();
                let read = frame.take(MOST_BYTES).read_to_end(&mut unpacked);
                read.with_context(|| format!("a frame in {table} does not unpack"))?;
                self.bytes(&format!("what is packed in {table}"), &unpacked);
                frames += 1;
            }
        }
        Ok(frames)
    }

    /// Every secret that was found, with the place.
    pub fn into_found(self) -> BTreeSet<(String, String)> {
        self.found
    }
}

/// A secret as it is, and as it stands in keys, URLs, JSON, Go's and Rust's strings and base64, in lower case.
fn forms_of(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let each = |form: &dyn Fn(u8) -> String| -> Vec<u8> {
        secret.iter().map(|byte| form(*byte)).collect::<String>().into_bytes()
    };
    let plain_or = |byte: u8, other: String| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => other,
    };
    let mut forms = vec![
        secret.to_vec(),
        each(&|byte| format!("{byte:02x}")),
        each(&|byte| format!("%{byte:02x}")),
        each(&|byte| plain_or(byte, format!("%{byte:02x}"))),
        each(&|byte| format!(r"\u{byte:04x}")),
        each(&|byte| plain_or(byte, format!(r"\u{byte:04x}"))),
        each(&|byte| format!(r"\x{byte:02x}")),
        each(&|byte| plain_or(byte, format!(r"\x{byte:02x}"))),
        each(&|byte| plain_or(byte, format!(r"\{byte:03o}"))),
        each(&|byte| plain_or(byte, format!("&#{byte};"))),
        each(&|byte| plain_or(byte, format!("&#x{byte:x};"))),
    ];
    for before in 0..3 {
        // What surrounds a secret decides the first and the last of its digits.
        let encoded = BASE64_STANDARD_NO_PAD.encode([vec![b'a'; before], secret.to_vec()].concat());
        let (from, to) = ([0, 2, 3][before], (before + secret.len()) * 4 / 3);
        forms.push(encoded.as_bytes()[from..to].to_vec());
    }
    forms.into_iter().map(|form| form.to_ascii_lowercase()).collect()
}
