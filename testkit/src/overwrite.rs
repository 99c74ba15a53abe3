//! Overwrites single rows of captures, and compares the verdict on the damaged capture with the verdict on
//! the whole one.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use fastrand::Rng;
use operator::diagnose::{Cause, Outcome, Verdict};
use operator::session::Session;

/// From this confidence on a verdict is believed.
const BELIEVED: f64 = 0.7;
/// Bytes that are overwritten.
const OVERWRITTEN: usize = 48;

/// Which part of a row's body is overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The checksum and what follows: of a block of samples, its header.
    First,
    /// The middle: of a block of samples, one group of series.
    Middle,
    /// The end: of a block of samples, its last group.
    Last,
}

/// What is overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the table.
    pub table: &'static str,
    /// The id of the row.
    pub id: i64,
    /// Which part of its body.
    pub part: Part,
}

/// Rows of a capture that can be overwritten, by what they hold.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Ids of blocks of samples, ascending.
    pub samples: Vec<i64>,
    /// Ids of blocks of PD's answers, ascending.
    pub pd: Vec<i64>,
    /// Table and id of rows of other tables.
    pub others: Vec<(&'static str, i64)>,
}

impl Rows {
    /// Lists the rows of the capture at `path`.
    pub fn of(path: &Path) -> Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        let ids = |from: &str| -> Result<Vec<i64>> {
            let mut statement =
                connection.prepare(&format!("SELECT id FROM {from} ORDER BY id"))?;
            let ids = statement.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<Result<_, _>>()?)
        };
        let mut others = Vec::new();
        for table in ["journal", "series", "gap", "event"] {
            others.extend(ids(table)?.into_iter().map(|id| (table, id)));
        }
        Ok(Self {
            samples: ids("block WHERE target > 0")?,
            pd: ids("block WHERE target = 0")?,
            others,
        })
    }

    /// Draws a place: of ten, six in blocks of samples, three in blocks of PD's answers.
    pub fn draw(&self, random: &mut Rng) -> Option<Place> {
        let part = [Part::First, Part::Middle, Part::Last][random.usize(..3)];
        let one = |ids: &[i64], random: &mut Rng| random.choice(ids).copied();
        let other = |random: &mut Rng| random.choice(&self.others).copied();
        let block = |ids: &[i64], random: &mut Rng| one(ids, random).map(|id| ("block", id));
        let drawn = match random.u8(..10) {
            0..6 => block(&self.samples, random),
            6..9 => block(&self.pd, random),
            _ => other(random),
        };
        let (table, id) = drawn.or_else(|| block(&self.samples, random))?;
        Some(Place { table, id, part })
    }
}

/// Overwrites a place of the capture at `path`.
pub fn overwrite(path: &Path, place: Place) -> Result<()> {
    let connection = rusqlite::Connection::open(path)?;
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;")?;
    let Place { table, id, part } = place;
    let select = format!("SELECT body FROM {table} WHERE id = ?1");
    let mut body: Vec<u8> = connection.query_row(&select, [id], |row| row.get(0))?;
    let length = OVERWRITTEN.min(body.len());
    let start = match part {
        Part::First => 0,
        Part::Middle => (body.len() - length) / 2,
        Part::Last => body.len() - length,
    };
    for byte in &mut body[start..start + length] {
        *byte = !*byte;
    }
    connection.execute(&format!("UPDATE {table} SET body = ?1 WHERE id = ?2"), (body, id))?;
    Ok(())
}

/// How a capture is judged.
#[derive(Debug)]
pub struct Judged {
    /// The verdict on everything that can be read.
    pub verdict: Verdict,
    /// The digest of the content that was read.
    pub digest: String,
    /// Whether something of the capture is named as damaged, also where no observation is lost.
    pub is_damaged: bool,
}

/// Judges a capture as `replay` does.
pub fn judge(path: &Path) -> Result<Judged> {
    let session = Session::open(path)?;
    let verdict = session.verdict()?;
    let reader = session.reader();
    Ok(Judged { verdict, digest: reader.digest()?, is_damaged: !reader.damage().is_empty() })
}

/// What damage made of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing was lost that diagnosis reads: it says the same.
    Same,
    /// The same cause is named first, and is less sure.
    LessSure,
    /// Another cause is named first, and not believed.
    Doubtful,
    /// No cause is named, and that nothing is wrong is not claimed either.
    CannotTell,
    /// What is said is wrong: another cause is believed, a fault goes unnoticed, or the loss does.
    Misled,
}

/// How a cause is told from another one: a store that PD no longer lists is known by its address.
fn name(cause: &Cause) -> (&str, &str) {
    let target = &cause.target;
    (cause.mode, target.address.as_deref().unwrap_or(&target.name))
}

/// Compares the verdict on a damaged capture with that on the whole.
pub fn effect(whole: &Judged, damaged: &Judged) -> Effect {
    let known: BTreeSet<_> = whole.verdict.causes.iter().map(name).collect();
    let lists = |verdict: &Verdict| [verdict.causes.clone(), verdict.changes.clone()].concat();
    let all: Vec<Cause> = lists(&whole.verdict);
    let all: BTreeSet<_> = all.iter().map(name).collect();
    let believed = lists(&damaged.verdict);
    let mut believed = believed.iter().filter(|cause| cause.confidence >= BELIEVED);
    let unnoticed = !damaged.is_damaged && whole.digest != damaged.digest;
    if believed.any(|cause| !all.contains(&name(cause))) || unnoticed {
        return Effect::Misled;
    }
    let (first, outcome) = (damaged.verdict.causes.first(), damaged.verdict.outcome);
    match first {
        Some(cause) if whole.verdict.causes.first().map(name) == Some(name(cause)) => {
            let sure = whole.verdict.causes[0].confidence;
            if cause.confidence < sure { Effect::LessSure } else { Effect::Same }
        }
        Some(cause) if known.contains(&name(cause)) => Effect::LessSure,
        Some(_) => Effect::Doubtful,
        None if outcome == whole.verdict.outcome && damaged.verdict.damage.is_none() => {
            Effect::Same
        }
        None if outcome == Outcome::CannotTell => Effect::CannotTell,
        // Lost and not needed: what diagnosis reads is whole.
        None if outcome == whole.verdict.outcome => Effect::Same,
        None => Effect::Misled,
    }
}

/// Damages a copy of a capture at one place and compares the verdicts.
pub fn try_place(original: &Path, whole: &Judged, place: Place, scratch: &Path) -> Result<Effect> {
    let path = scratch.join("overwritten.capture");
    std::fs::copy(original, &path)?;
    overwrite(&path, place).with_context(|| format!("cannot overwrite {place:?}"))?;
    let damaged = judge(&path).with_context(|| format!("cannot judge beside {place:?}"))?;
    Ok(effect(whole, &damaged))
}
