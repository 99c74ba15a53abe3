//! What reading a damaged capture makes of it: refused, damage named, or unharmed.

use std::fmt;
use std::path::Path;

use anyhow::{Result, ensure};
use operator::capture::{CaptureError, CaptureReader, Damage, verify};
use operator::report::{Called, Color, Diagnosed, replay_json, replay_text, report_of};
use operator::session::{Judgement, Session, View};
use operator::timeline::Evaluation;

use super::damage::Mutation;
use super::originals::{Content, Original};

/// What a reader makes of a damaged capture.
#[derive(Debug)]
pub(super) enum Verdict {
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
pub(super) fn judge(original: &Original, mutation: Mutation, path: &Path) -> Result<Verdict> {
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

/// Reads any file as `verify`, `show` and `replay` read a capture. Whatever it holds, this returns.
pub fn read(path: &Path) {
    // What comes of it is not asked: a refusal is as good as an answer.
    let _ = (verify(path), show(path), replay(path));
}

fn show(path: &Path) -> Result<(Content, Vec<Damage>), CaptureError> {
    let reader = CaptureReader::open(path)?;
    reader.inventory()?;
    let content = Content::of(&reader)?;
    Ok((content, reader.damage()))
}

pub(super) fn replay(path: &Path) -> Result<(String, Vec<Damage>), CaptureError> {
    let session = Session::open(path)?;
    let Judgement { verdict, recording, pd } = session.load(View::WHOLE)?.judge()?;
    let digest = session.reader().digest()?;
    let damage = session.reader().damage();
    let report = report_of(&recording, pd, &damage, &digest, Evaluation::Sequential);
    let report = Diagnosed::new(report, verdict, Default::default());
    replay_text(&report, Called::whole("mutant"), 80, Color::Plain);
    Ok((replay_json(&report), damage))
}
