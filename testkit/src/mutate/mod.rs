//! Damages captures in many ways and watches what becomes of reading them.
//!
//! The captures are cut out of real ones, small enough that a hundred thousand are read in
//! minutes, in the two forms that files have: with a journal, as a recorder leaves them that was
//! killed, and compacted.

mod alter;
mod block;
pub mod bytes;
mod commands;
pub mod resealed;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use operator::capture::{
    CaptureError, CaptureReader, CaptureWriter, Damage, Tick, add_event, compact, copy, verify,
};
use operator::model::{
    EncodedLabels, Event, EventKind, Gap, GapReason, Labels, PdAnswer, RunMeta, Sample, Source,
    TimeRange,
};
use operator::report::report_of;
use operator::report::{Color, Diagnosed, replay_json, replay_text};
use operator::session::{Judgement, Session, View};
use operator::timeline::Evaluation;

use crate::capture_server::captures_in;
use crate::limits::{Memory, Watchdog};

/// How much of a capture is cut out.
#[derive(Clone, Copy)]
struct Extent {
    /// About how many series.
    series: usize,
    /// One PD answer in so many.
    every_answer: usize,
    /// The first ticks.
    ticks: usize,
}

/// Small captures with all that happened.
const WHOLE: Extent = Extent { series: 120, every_answer: 12, ticks: usize::MAX };
/// The scrape interval of the bundled runs.
const STEP_MS: i64 = 15_000;
/// The size of a capture's pages.
const PAGE: usize = 1024;
/// How much reading a damaged capture may add to the memory of the process.
const MOST_BYTES: u64 = 64 << 20;
/// How long one capture may take, even on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

/// What a campaign found.
#[derive(Debug, Default)]
pub struct Tally {
    /// By how they were damaged: refused as a whole; read, with the damage named; read as if
    /// nothing had happened, because nothing had: unused bytes were hit.
    pub mutants: BTreeMap<Mutation, [u32; 3]>,
    /// Samples in all captures that could be opened though damaged, and how many were read.
    pub samples_of_damaged: u64,
    /// See above.
    pub samples_read: u64,
    /// The most bytes that reading one capture added to the memory of the process.
    pub most_bytes: u64,
    /// The longest that reading one capture took.
    pub longest: Duration,
}

/// Damages the captures in `folder` `times` times in all.
pub fn run(folder: &Path, times: u32, seed: u64, memory: Memory) -> Result<Tally> {
    let scratch = tempfile::tempdir()?;
    let originals = originals(folder, scratch.path())?;
    memory.limit()?;
    let mut random = Rng::with_seed(seed);
    let mut tally = Tally::default();
    let watchdog = Watchdog::new("mutant", 3 * LONGEST);
    for number in 0..times {
        watchdog.begin(number);
        let original = &originals[random.usize(..originals.len())];
        let (name, mutation) = (&original.name, Mutation::draw(&mut random));
        let path = scratch.path().join("mutant.capture");
        let mut one = random.fork();
        mutate(original, mutation, &mut one, &path)?;
        let case = || format!("mutant {number} of seed {seed}: {mutation:?} of {name}");
        let before = memory.reset()?;
        let begun = now();
        let judged = catch_unwind(AssertUnwindSafe(|| judge(original, mutation, &path)));
        let (took, bytes) = (begun.elapsed(), memory.peak()?.saturating_sub(before));
        let verdict = match judged {
            Ok(verdict) => verdict.with_context(case),
            Err(_) => bail!("{}: a panic", case()),
        };
        let verdict = verdict.inspect_err(|_| keep(&path))?;
        ensure!(took <= LONGEST, "{}: took {took:?}", case());
        ensure!(bytes <= MOST_BYTES, "{}: allocated {bytes} bytes", case());
        tally.add(mutation, verdict, original, (bytes, took));
    }
    Ok(tally)
}

fn keep(path: &Path) {
    let kept = std::env::temp_dir().join("campaign-mutant.capture");
    if std::fs::copy(path, &kept).is_ok() {
        eprintln!("the capture is kept as {}", kept.display());
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a reader takes is what is asked")]
fn now() -> Instant {
    Instant::now()
}

impl Tally {
    fn add(
        &mut self,
        mutation: Mutation,
        verdict: Verdict,
        original: &Original,
        (bytes, took): (u64, Duration),
    ) {
        self.most_bytes = self.most_bytes.max(bytes);
        self.longest = self.longest.max(took);
        let counts = self.mutants.entry(mutation).or_default();
        match verdict {
            Verdict::Refused => counts[0] += 1,
            Verdict::Named { samples } => {
                counts[1] += 1;
                self.samples_of_damaged += original.content.samples();
                self.samples_read += samples;
            }
            Verdict::Unharmed => counts[2] += 1,
        }
    }
}

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
    fn draw(random: &mut Rng) -> Self {
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
fn mutate(original: &Original, mutation: Mutation, random: &mut Rng, to: &Path) -> Result<()> {
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

/// All that a capture says.
#[derive(Debug, PartialEq)]
struct Content {
    meta: RunMeta,
    series: BTreeMap<Labels, Vec<Sample>>,
    pd: Vec<PdAnswer>,
    gaps: Vec<Gap>,
    events: Vec<Event>,
}

impl Content {
    fn of(reader: &CaptureReader) -> Result<Self, CaptureError> {
        let series = reader.select(&[], TimeRange::ALL)?;
        Ok(Self {
            meta: reader.meta().clone(),
            series: series.into_iter().map(|series| (series.labels, series.samples)).collect(),
            pd: reader.pd_answers(TimeRange::ALL)?,
            gaps: reader.gaps()?,
            events: reader.events()?,
        })
    }

    fn samples(&self) -> u64 {
        self.series.values().map(Vec::len).sum::<usize>() as u64
    }

    /// Whether nothing stands here that does not stand in `whole`.
    fn is_part_of(&self, whole: &Self) -> bool {
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
struct Original {
    name: String,
    bytes: Vec<u8>,
    content: Content,
    replayed: String,
}

/// Small captures out of each one in `folder`, in both forms.
fn originals(folder: &Path, scratch: &Path) -> Result<Vec<Original>> {
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
fn cut(capture: &Path, to: &Path, extent: Extent) -> Result<()> {
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
    let answers: Vec<PdAnswer> =
        reader.pd_answers(TimeRange::ALL)?.into_iter().step_by(extent.every_answer).collect();
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

/// What a reader makes of a damaged capture.
#[derive(Debug)]
enum Verdict {
    Refused,
    Unharmed,
    Named { samples: u64 },
}

/// What must not be: damage that nobody names, or data that was never recorded.
#[derive(Debug)]
struct Accepted(&'static str);

impl fmt::Display for Accepted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} accepted damage in silence", self.0)
    }
}

impl std::error::Error for Accepted {}

/// Reads a damaged capture as `verify`, `show` and `replay` do.
fn judge(original: &Original, mutation: Mutation, path: &Path) -> Result<Verdict> {
    let verified = verify(path);
    let replayed = replay(path);
    // The content of JSON rows is not summed up elsewhere, so a forged one is believed.
    let is_forged = mutation == Mutation::Forge;
    if let Ok((text, damage)) = &replayed
        && !is_forged
    {
        ensure!(!damage.is_empty() || *text == original.replayed, Accepted("replay"));
    }
    let opened = show(path);
    let (content, damage) = match opened {
        Ok(shown) => shown,
        Err(_) => {
            let refused = !verified.is_ok_and(|report| report.damage.is_empty());
            ensure!(refused || is_forged, Accepted("verify"));
            return Ok(Verdict::Refused);
        }
    };
    let is_whole = content == original.content;
    let sound = verified.as_ref().is_ok_and(|report| report.damage.is_empty());
    if !is_forged {
        ensure!(is_whole || !sound, Accepted("verify"));
        ensure!(is_whole || !damage.is_empty(), Accepted("show"));
        ensure!(content.is_part_of(&original.content), "something was read that was never written");
    }
    if mutation == Mutation::BlockBit {
        only_that_block_is_lost(&original.content, &content, &damage)?;
    }
    Ok(match sound && is_whole {
        true => Verdict::Unharmed,
        false => Verdict::Named { samples: content.samples() },
    })
}

/// A flipped bit in one block costs samples of one target in the time that the damage names.
fn only_that_block_is_lost(whole: &Content, read: &Content, damage: &[Damage]) -> Result<()> {
    let mut targets = std::collections::BTreeSet::new();
    for (labels, samples) in &whole.series {
        let held = read.series.get(labels).map_or(&[][..], Vec::as_slice);
        for sample in samples.iter().filter(|sample| !held.contains(sample)) {
            let named =
                |damage: &Damage| damage.range.is_some_and(|range| range.contains(sample.at));
            ensure!(damage.iter().any(named), "{labels} at {} is lost, and not named", sample.at);
            targets.insert(labels.target());
        }
    }
    ensure!(targets.len() <= 1, "one bit cost samples of {targets:?}");
    ensure!(read.pd == whole.pd && read.gaps == whole.gaps, "one bit of a block cost other rows");
    Ok(())
}

fn show(path: &Path) -> Result<(Content, Vec<Damage>), CaptureError> {
    let reader = CaptureReader::open(path)?;
    reader.inventory()?;
    let content = Content::of(&reader)?;
    Ok((content, reader.damage()))
}

fn replay(path: &Path) -> Result<(String, Vec<Damage>), CaptureError> {
    let session = Session::open(path)?;
    let Judgement { verdict, recording, pd } = session.load(View::WHOLE)?.judge()?;
    let digest = session.reader().digest()?;
    let damage = session.reader().damage();
    let report = report_of(&recording, pd, &damage, &digest, Evaluation::Sequential);
    let report = Diagnosed::new(report, verdict);
    replay_text(&report, 80, Color::Plain);
    Ok((replay_json(&report), damage))
}
