//! Writes the exported capture: what is picked, with pseudonyms, in as much detail as the limit allows.

use std::collections::BTreeMap;
use std::path::Path;

use super::options::{Events, ExportOptions, Truths, goes_along};
use super::{Lost, RenderPage};
use crate::capture::{
    CaptureError, CaptureReader, CaptureWriter, FileMode, Rewrite, Tick, compact_as, rewrite_range,
    rewrite_truths,
};
use crate::diagnose::Verdict;
use crate::model::{Event, Export, Gap, Labels, PdAnswer, RunMeta};
use crate::session::Session;
use crate::share::ShareError;
use crate::share::pack::{Page, packed_bytes};
use crate::share::pseudonyms::{Mapping, content};
use crate::share::selection::{Detail, Selection};
use crate::share::walk::{Content, Walk};

/// What [`Export::left_out`] says where the reporter chose series.
pub const NOT_PICKED: &str = "series that the reporter's --match does not pick";

/// What is exported, before it is known how much of it fits.
pub(super) struct Source<'a> {
    pub(super) reader: &'a CaptureReader,
    pub(super) from: &'a Path,
    pub(super) options: &'a ExportOptions,
    pub(super) mapping: Option<&'a Mapping>,
    pub(super) lost: Option<Lost>,
    pub(super) render: Option<RenderPage<'a>>,
}

impl Source<'_> {
    /// Writes a capture to `compact` with as much detail as the limit allows, and returns its verdict and the
    /// page for it.
    pub(super) fn write_within(
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
    pub(super) fn verdict_on_whole(
        &self,
        given: &Verdict,
    ) -> Result<Option<Verdict>, CaptureError> {
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
        let walk = self.mapping.map(|mapping| Walk::through(content(mapping), self.reader));
        let events = self.options.events;
        let mut rewrite =
            Rewriting { walk, selection: Selection::new(detail), events, altered: None };
        let (mut meta, lost) = self.replaced_meta(rewrite.walk.as_mut());
        let before = self.reader.meta().export.clone().unwrap_or_default();
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
        let export = Export {
            build: env!("CARGO_PKG_VERSION").to_owned(),
            verdict: verdict.summary.clone(),
            verdict_digest: verdict.digest(),
            replaced: self.counts_with(before.replaced),
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

    /// The metadata that was recorded and what is lost, with what the walk replaces in both.
    fn replaced_meta(&self, walk: Option<&mut Walk<impl Content>>) -> (RunMeta, Option<Lost>) {
        let recorded = self.reader.meta();
        match walk {
            Some(walk) => {
                let lost = self.lost.clone().map(|Lost { loss, unreadable }| Lost {
                    loss: walk.loss(loss),
                    unreadable: walk.unreadable(unreadable),
                });
                (walk.meta(recorded), lost)
            }
            None => (recorded.clone(), self.lost.clone()),
        }
    }

    /// How many originals of each kind are replaced, where so many were `before`.
    fn counts_with(&self, before: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let mut replaced = before;
        for (kind, count) in self.mapping.into_iter().flat_map(Mapping::counts) {
            // What was redacted before is still replaced in what is handed on.
            let known = replaced.entry(kind.clone()).or_default();
            *known = (*known).max(*count);
        }
        replaced
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

impl<C: Content> Rewrite for Rewriting<C> {
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
