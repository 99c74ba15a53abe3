//! Writes a part of a capture into one file for somebody else.
//!
//! The file is made anew, never edited: SQLite leaves what was overwritten in free pages.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ShareError;
use super::key::{Key, to_hex};
use super::pack::{Page, pack, packed_bytes};
use super::pseudonyms::{Mapping, Originals, content};
use super::scan::{Scanner, Secrets};
use super::selection::{Detail, Selection};
use super::walk::{Walk, is_free_text};
use crate::capture::{
    CaptureError, CaptureReader, CaptureWriter, FileMode, PdOrder, PdVisit, Rewrite, Tick,
    compact_as, rewrite_range, rewrite_truths,
};
use crate::diagnose::Verdict;
use crate::model::{
    AsOf, Event, EventKind, Export, Gap, LabelMatcher, Labels, Loss, PdAnswer, RunMeta, RunName,
    TimeRange, Unreadable, canonical_json, unreadable_within,
};
use crate::pd::{MEMBERS, STATUS, VERSION, version};
use crate::session::{Session, View};

/// Whether originals are replaced.
#[derive(Clone, Debug)]
pub enum Redaction {
    /// Originals get pseudonyms in the order that this key gives.
    Pseudonyms(Key),
    /// Everything is exported as it was recorded.
    Off,
}

/// Whether sealed ground truths go along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truths {
    /// They stay sealed inside.
    Included,
    /// They are left out.
    LeftOut,
}

/// Whether what is on the timeline goes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// All of it.
    Included,
    /// Only what the recorder says of itself: no notes, marks, output of commands and lines of logs.
    LeftOut,
}

/// What is done with a capture of which parts are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamagedParts {
    /// It is not exported.
    Refused,
    /// The rest is exported, and says what is lost.
    LeftOut,
}

/// What is exported, and how.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The part of the run.
    pub range: TimeRange,
    /// Only series that match all of these.
    pub matchers: Vec<LabelMatcher>,
    /// Whether originals are replaced.
    pub redaction: Redaction,
    /// Whether sealed ground truths go along.
    pub truths: Truths,
    /// Whether what is on the timeline goes along.
    pub events: Events,
    /// What is done with a capture of which parts are damaged.
    pub damaged: DamagedParts,
    /// The most bytes that the file may take.
    pub most_bytes: u64,
    /// Who may read it.
    pub mode: FileMode,
}

/// Where the exported file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A new file at this path.
    File(&'a Path),
    /// A new file in this directory, called after the run as the exported capture names it.
    Folder(&'a Path),
}

impl Destination<'_> {
    fn path(self, run: &RunName, suffix: &str) -> PathBuf {
        match self {
            Self::File(path) => path.to_owned(),
            Self::Folder(folder) => folder.join(format!("{run}{suffix}")),
        }
    }
}

/// What was exported.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The file that was written.
    pub path: PathBuf,
    /// The metadata of the exported capture, with [`RunMeta::export`].
    pub meta: RunMeta,
    /// The part of the run that it holds.
    pub window: TimeRange,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub file_sha256: String,
    /// The digest of the exported capture's content.
    pub capture_digest: String,
    /// The version of PD that was noted at the recording, or that PD answered; `None` where nothing says.
    pub pd_version: Option<String>,
    /// What the reporter's build found in it.
    pub verdict: Verdict,
    /// What that build finds in the whole run, with its own names, where the file holds a part of it in which it
    /// found something else.
    pub whole: Option<Verdict>,
    /// How many texts of persons and lines of commands' output it holds, whose plain words stay.
    pub free_texts: u64,
    /// The private table of pseudonyms; empty where nothing was redacted.
    pub mapping: Mapping,
}

/// The pseudonyms of everything in a capture, by this key.
///
/// # Errors
///
/// [`ShareError::Capture`] where it cannot be read.
pub fn mapping_of(from: &Path, key: &Key) -> Result<Mapping, ShareError> {
    Ok(mapping(&CaptureReader::open(from)?, from, key, Events::Included)?)
}

fn mapping(
    reader: &CaptureReader,
    from: &Path,
    key: &Key,
    events: Events,
) -> Result<Mapping, CaptureError> {
    let mut walk = Walk::new(Originals::default());
    walk.meta(reader.meta());
    reader.visit_series(|labels| drop(walk.labels(labels)));
    reader.gaps()?.into_iter().for_each(|gap| drop(walk.gap(gap)));
    let told = reader.events()?.into_iter().filter(|event| goes_along(event, events));
    told.for_each(|event| drop(walk.event(event)));
    let visit = PdVisit { range: TimeRange::ALL, order: PdOrder::Sent, shuffle_seed: None };
    reader.visit_pd_answers(visit, |answer| {
        walk.answer(answer);
        Ok(())
    })?;
    // Truths are written nowhere here: this only collects what they name.
    crate::capture::visit_truths(from, &mut |truth| drop(walk.truth(truth)))?;
    Ok(walk.into_content().mapping(key))
}

/// Whether an event is exported.
fn goes_along(event: &Event, events: Events) -> bool {
    events == Events::Included || event.kind.0 == EventKind::RECORDER
}

/// Makes the page around an exported capture.
pub type RenderPage<'a> = &'a dyn Fn(&Session) -> Result<Page, CaptureError>;

/// Exports the capture at `from` into a new file, as gzip.
///
/// # Errors
///
/// [`ShareError`] where a file cannot be accessed, an original was found in the result, or it is larger than
/// allowed. No file remains then.
pub fn export(
    from: &Path,
    to: Destination<'_>,
    options: &ExportOptions,
) -> Result<Exported, ShareError> {
    export_as(from, to, options, None)
}

/// As [`export`], inside a page that `render` makes of the exported capture.
///
/// # Errors
///
/// As [`export`].
pub fn export_page(
    from: &Path,
    to: Destination<'_>,
    options: &ExportOptions,
    render: RenderPage<'_>,
) -> Result<Exported, ShareError> {
    export_as(from, to, options, Some(render))
}

fn export_as(
    from: &Path,
    to: Destination<'_>,
    options: &ExportOptions,
    render: Option<RenderPage<'_>>,
) -> Result<Exported, ShareError> {
    let reader = CaptureReader::open(from)?;
    let lost = lost(&reader, from, options)?;
    let mapping = match &options.redaction {
        Redaction::Pseudonyms(key) => Some(mapping(&reader, from, key, options.events)?),
        Redaction::Off => None,
    };
    let scratch = tempfile::tempdir().map_err(ShareError::io(&std::env::temp_dir()))?;
    let compact = scratch.path().join("compact.capture");
    let mapped = mapping.as_ref();
    let source = Source { reader: &reader, from, options, mapping: mapped, lost, render };
    let (verdict, page) = source.write_within(scratch.path(), &compact)?;
    let written = CaptureReader::open(&compact)?;
    if let Some(mapping) = &mapping {
        check(&reader, mapping, &written, (&compact, page.as_ref()))?;
    }
    let suffix = if page.is_some() { ".html" } else { ".capture.gz" };
    let path = to.path(&written.meta().run, suffix);
    pack(&compact, &path, page.as_ref(), options.mode)?;
    let (bytes, file_sha256) = size_and_digest(&path)?;
    let free_texts = written.events()?.iter().filter(|event| is_free_text(event)).count();
    Ok(Exported {
        path,
        meta: written.meta().clone(),
        window: written.window(),
        pd_version: pd_version(&written)?,
        bytes,
        file_sha256,
        capture_digest: written.digest()?,
        whole: source.verdict_on_whole(&verdict)?,
        verdict,
        free_texts: free_texts as u64,
        mapping: mapping.unwrap_or_default(),
    })
}

/// What is lost of a capture in the range that is exported, in this file or before, and which parts of that held
/// what a verdict reads.
fn lost(
    reader: &CaptureReader,
    from: &Path,
    options: &ExportOptions,
) -> Result<Option<Lost>, ShareError> {
    let own = reader.own_loss()?;
    reader.gaps()?;
    reader.events()?;
    let parts = reader.damaged_rows();
    if (own.is_some() || parts > 0) && options.damaged == DamagedParts::Refused {
        return Err(ShareError::DamagedParts { path: from.to_owned(), parts: parts.max(1) });
    }
    let range = options.range;
    let Some(loss) = reader.loss()?.and_then(|loss| loss.within(range)) else { return Ok(None) };
    // Of another reader, which has read nothing but what a verdict needs.
    let session = Session::open(from)?;
    let window = session.load(View { range, as_of: AsOf::END })?;
    let unreadable = unreadable_within(&window.recording().unreadable, range);
    Ok(Some(Lost { loss, unreadable }))
}

/// What an export lacks because it was damaged.
#[derive(Clone)]
struct Lost {
    loss: Loss,
    /// The parts of it that held what a verdict reads.
    unreadable: Vec<Unreadable>,
}

/// The version of PD in the metadata of a capture, else the first that an answer of PD states.
fn pd_version(reader: &CaptureReader) -> Result<Option<String>, CaptureError> {
    let mut found = reader.meta().versions.pd.clone();
    if found.is_none() {
        let visit = PdVisit { range: TimeRange::ALL, order: PdOrder::Sent, shuffle_seed: None };
        reader.visit_pd_answers(visit, |answer| {
            if found.is_none() && [VERSION, STATUS, MEMBERS].contains(&answer.path.as_str()) {
                found = answer.success().and_then(version);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// What [`Export::left_out`] says where the reporter chose series.
pub const NOT_PICKED: &str = "series that the reporter's --match does not pick";

/// What is exported, before it is known how much of it fits.
struct Source<'a> {
    reader: &'a CaptureReader,
    from: &'a Path,
    options: &'a ExportOptions,
    mapping: Option<&'a Mapping>,
    lost: Option<Lost>,
    render: Option<RenderPage<'a>>,
}

impl Source<'_> {
    /// Writes a capture to `compact` with as much detail as the limit allows, and returns its verdict and the
    /// page for it.
    fn write_within(
        &self,
        scratch: &Path,
        compact: &Path,
    ) -> Result<(Verdict, Option<Page>), ShareError> {
        let (mut left_out, mut bytes) = (self.chosen(), 0);
        let most = self.options.most_bytes;
        for detail in Detail::ALL {
            left_out.extend(detail.left_out().map(str::to_owned));
            let verdict = self.write(detail, &left_out, scratch, compact)?;
            let render = |render: RenderPage<'_>| render(&Session::open(compact)?);
            let page = self.render.map(render).transpose()?;
            bytes = packed_bytes(compact, page.as_ref())?;
            if bytes <= most {
                return Ok((verdict, page));
            }
            std::fs::remove_file(compact).map_err(ShareError::io(compact))?;
        }
        Err(ShareError::TooLarge { bytes, most })
    }

    /// The verdict on the whole run, if a part of it is exported of which another verdict is given.
    fn verdict_on_whole(&self, given: &Verdict) -> Result<Option<Verdict>, CaptureError> {
        let (whole, range) = (self.reader.window(), self.options.range);
        let is_part = range.start > whole.start || range.end < whole.end;
        if !is_part && self.options.matchers.is_empty() {
            return Ok(None);
        }
        let whole = Session::open(self.from)?.verdict()?;
        Ok((!say_the_same(given, &whole)).then_some(whole))
    }

    /// What the reporter chose to leave out, in sentences without a full stop.
    fn chosen(&self) -> Vec<String> {
        let (whole, range) = (self.reader.window(), self.options.range);
        let mut left_out = Vec::new();
        if range.start > whole.start {
            left_out.push(format!("everything before {}", range.start));
        }
        if range.end < whole.end {
            left_out.push(format!("everything from {} on", range.end));
        }
        if !self.options.matchers.is_empty() {
            left_out.push(NOT_PICKED.to_owned());
        }
        if self.options.events == Events::LeftOut {
            left_out.push("notes, marks, output of commands and lines of logs".to_owned());
        }
        left_out
    }

    /// Writes a capture of this detail to `compact` and returns its verdict.
    fn write(
        &self,
        detail: Detail,
        left_out: &[String],
        scratch: &Path,
        compact: &Path,
    ) -> Result<Verdict, ShareError> {
        let loose = scratch.join(format!("loose-{}.capture", left_out.len()));
        let walk = self.mapping.map(|mapping| Walk::new(content(mapping)));
        let events = self.options.events;
        let mut rewrite =
            Rewriting { walk, selection: Selection::new(detail), events, altered: None };
        let recorded = self.reader.meta();
        let (mut meta, lost) = match &mut rewrite.walk {
            Some(walk) => {
                let lost = self.lost.clone().map(|Lost { loss, unreadable }| Lost {
                    loss: walk.loss(loss),
                    unreadable: walk.unreadable(unreadable),
                });
                (walk.meta(recorded), lost)
            }
            None => (recorded.clone(), self.lost.clone()),
        };
        let before = recorded.export.clone().unwrap_or_default();
        // The verdict on the export knows of what is lost.
        let (lost, unreadable) = match lost {
            Some(Lost { loss, unreadable }) => (Some(loss), Some(unreadable)),
            None => (None, None),
        };
        meta.lost = None;
        meta.export = lost.is_some().then(|| Export {
            lost: lost.clone(),
            unreadable: unreadable.clone(),
            ..before.clone()
        });
        let mut writer = CaptureWriter::create(&loose, meta.clone())?;
        let part = (self.options.range, self.options.matchers.as_slice());
        rewrite_range(self.reader, part, &mut rewrite, &mut writer)?;
        if let Some(altered) = rewrite.altered.take() {
            return Err(ShareError::Altered(altered));
        }
        if self.options.truths == Truths::Included {
            rewrite_truths(self.from, &mut rewrite, &loose)?;
        }
        let verdict = Session::open(&loose)?.verdict()?;
        let mut replaced = before.replaced;
        for (kind, count) in self.mapping.into_iter().flat_map(Mapping::counts) {
            // What was redacted before is still replaced in what is handed on.
            let known = replaced.entry(kind.clone()).or_default();
            *known = (*known).max(*count);
        }
        let export = Export {
            build: env!("CARGO_PKG_VERSION").to_owned(),
            verdict: verdict.summary.clone(),
            verdict_digest: verdict_digest(&verdict),
            replaced,
            left_out: before.left_out.into_iter().chain(left_out.iter().cloned()).collect(),
            lost,
            unreadable,
        };
        writer.set_meta(RunMeta { export: Some(export), ..meta });
        writer.commit(Tick::default())?;
        writer.finish()?;
        compact_as(&loose, compact, FileMode::default())?;
        std::fs::remove_file(&loose).map_err(ShareError::io(&loose))?;
        Ok(verdict)
    }
}

/// Whether two verdicts name the same causes, wherever and whenever: names and baselines differ.
fn say_the_same(a: &Verdict, b: &Verdict) -> bool {
    let modes = |verdict: &Verdict| {
        let mut modes: Vec<&str> = verdict.causes.iter().map(|cause| cause.mode).collect();
        modes.sort_unstable();
        modes.join(" ")
    };
    a.outcome == b.outcome && modes(a) == modes(b)
}

/// SHA-256 of a verdict's canonical JSON without advice, which is no result of judging, in hexadecimal.
pub fn verdict_digest(verdict: &Verdict) -> String {
    let mut verdict = verdict.clone();
    for cause in verdict.causes.iter_mut().chain(&mut verdict.changes) {
        cause.advice = None;
    }
    to_hex(&Sha256::digest(canonical_json(&verdict).as_bytes()))
}

/// Replaces what the walk replaces, and leaves out what the selection does not accept.
struct Rewriting<C> {
    walk: Option<Walk<C>>,
    selection: Selection,
    events: Events,
    /// The first series whose boundary is not what was recorded.
    altered: Option<String>,
}

/// Whether both label sets have the same boundaries, without which quantiles would be others.
fn have_same_boundaries(recorded: &Labels, written: &Labels) -> bool {
    ["le", "quantile"].into_iter().all(|name| match recorded.get(name) {
        Some(value) => value.parse::<f64>().is_err() || written.get(name) == Some(value),
        None => written.get(name).is_none(),
    })
}

impl<C: super::walk::Content> Rewrite for Rewriting<C> {
    fn labels(&mut self, labels: &Labels) -> Option<Labels> {
        if !self.selection.accepts(labels) {
            return None;
        }
        let written = match &mut self.walk {
            Some(walk) => walk.labels(labels)?,
            None => labels.clone(),
        };
        if !have_same_boundaries(labels, &written) && self.altered.is_none() {
            self.altered = Some(written.to_string());
        }
        Some(written)
    }

    fn answer(&mut self, answer: PdAnswer) -> PdAnswer {
        match &mut self.walk {
            Some(walk) => walk.answer(answer),
            None => answer,
        }
    }

    fn gap(&mut self, gap: Gap) -> Gap {
        match &mut self.walk {
            Some(walk) => walk.gap(gap),
            None => gap,
        }
    }

    fn event(&mut self, event: Event) -> Option<Event> {
        match &mut self.walk {
            _ if !goes_along(&event, self.events) => None,
            Some(walk) => walk.event(event),
            None => Some(event),
        }
    }

    fn truth(&mut self, truth: Vec<u8>) -> Vec<u8> {
        match &mut self.walk {
            Some(walk) => walk.truth(truth),
            None => truth,
        }
    }
}

/// Looks for every original in the redacted capture at `compact`, and in the page for it.
fn check(
    recorded: &CaptureReader,
    mapping: &Mapping,
    written: &CaptureReader,
    (compact, page): (&Path, Option<&Page>),
) -> Result<(), ShareError> {
    let mut secrets = Secrets::default();
    mapping.originals().for_each(|original| secrets.add(original.as_bytes()));
    mapping.keys().for_each(|key| secrets.add_key(&key));
    secrets.add_addresses_of(recorded)?;
    let mut scanner = Scanner::new(&secrets)?;
    scanner.capture(written)?;
    crate::capture::visit_truths(compact, &mut |truth| scanner.text("a sealed truth", &truth))?;
    let bytes = std::fs::read(compact).map_err(ShareError::io(compact))?;
    scanner.raw("the bytes of the file", &bytes);
    let mut leaks = scanner.into_leaks();
    if let Some(page) = page {
        // All that a page says of the run stands in the capture. Its own words are ordinary ones, and a host
        // may be called like one of them.
        let mut scanner = Scanner::new(&secrets.without_words())?;
        scanner.text("the page", page.before.as_bytes());
        scanner.text("the page", page.after.as_bytes());
        leaks.extend(scanner.into_leaks());
    }
    match leaks {
        leaks if leaks.is_empty() => Ok(()),
        leaks => Err(ShareError::Leaked(leaks)),
    }
}

/// SHA-256 of a file, in hexadecimal, as an export's Markdown names it.
///
/// # Errors
///
/// [`ShareError::Io`] where it cannot be read.
pub fn file_sha256(path: &Path) -> Result<String, ShareError> {
    Ok(size_and_digest(path)?.1)
}

fn size_and_digest(path: &Path) -> Result<(u64, String), ShareError> {
    let mut file = File::open(path).map_err(ShareError::io(path))?;
    let (mut hasher, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece).map_err(ShareError::io(path))? {
            0 => return Ok((bytes, to_hex(&hasher.finalize()))),
            count => {
                hasher.update(&piece[..count]);
                bytes += count as u64;
            }
        }
    }
}
