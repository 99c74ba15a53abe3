//! Overwritten blocks, journals, series, gaps and events: what is lost is named in the verdict, and no wrong
//! cause is given.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use fastrand::Rng;

use super::{Row, Scene};
use testkit::capture_server::captures_in;
use testkit::overwrite::{Effect, Part, Place, Rows, judge, try_place};

/// Places that are overwritten, one at a time.
const PLACES: usize = 200;

/// Overwrites one place of a bundled capture after the other and judges each time.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let mut captures: Vec<PathBuf> = captures_in(&scene.data)?;
    captures.extend(captures_in(&scene.data.join("pd"))?);
    let mut random = Rng::with_seed(scene.seed);
    let mut effects: BTreeMap<String, BTreeMap<Effect, usize>> = BTreeMap::new();
    let mut misled = Vec::new();
    for (number, capture) in captures.iter().enumerate() {
        let whole = judge(capture)?;
        let rows = Rows::of(capture)?;
        let share = PLACES * (number + 1) / captures.len() - PLACES * number / captures.len();
        for _ in 0..share {
            let Some(place) = rows.draw(&mut random) else { continue };
            let effect = try_place(capture, &whole, place, scene.scratch.path())?;
            *effects.entry(kind(&rows, place)).or_default().entry(effect).or_default() += 1;
            if effect == Effect::Misled {
                misled.push(format!("{} {place:?}", capture.display()));
            }
        }
    }
    let mut found: Vec<Row> = effects.iter().map(|(kind, effects)| row(kind, effects)).collect();
    let places: usize = effects.values().flat_map(BTreeMap::values).sum();
    found.push(Row {
        tried: format!("{places} places over {} captures", captures.len()),
        seen: match misled.as_slice() {
            [] => "never another cause at confidence 0.7 or more".to_owned(),
            places => format!("misled by {}", places.join("; ")),
        },
        holds: places == PLACES && misled.is_empty(),
    });
    Ok(found)
}

/// What a place holds.
fn kind(rows: &Rows, place: Place) -> String {
    let of = match place.table {
        "block" if rows.pd.contains(&place.id) => "block of PD answers",
        "block" => "block of samples",
        table => table,
    };
    let part = match place.part {
        Part::First => "first",
        Part::Middle => "middle",
        Part::Last => "last",
    };
    format!("{of}, {part} bytes")
}

fn row(kind: &str, effects: &BTreeMap<Effect, usize>) -> Row {
    let count = |effect| effects.get(&effect).copied().unwrap_or_default();
    Row {
        tried: kind.to_owned(),
        seen: format!(
            "{} tried: {} say the same, {} the same less surely, {} another cause in doubt, {} cannot tell, {} misled",
            effects.values().sum::<usize>(),
            count(Effect::Same),
            count(Effect::LessSure),
            count(Effect::Doubtful),
            count(Effect::CannotTell),
            count(Effect::Misled)
        ),
        holds: count(Effect::Misled) == 0,
    }
}
