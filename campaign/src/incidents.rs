//! Verdicts on captures that were rebuilt from public incidents, beside what each thread established.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use operator::diagnose::{Outcome, Target, TargetKind, Verdict};
use operator::session::{Session, View};
use serde_json::Value;

/// Judges the capture of each folder in `folder`, whose `expected.json` says the mode and the place; fails where
/// none has a capture, or where one is called healthy.
pub fn run(folder: &Path) -> Result<()> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    let (mut judged, mut short, mut healthy) = (0, 0, Vec::new());
    for case in cases {
        let name = crate::name_of(&case);
        let capture = case.join(format!("{name}.capture"));
        if !capture.is_file() {
            continue;
        }
        let verdict = Session::open(&capture)?.load(View::WHOLE)?.verdict()?;
        let wanted = Wanted::read(&case)?;
        let ok = wanted.as_ref().map(|wanted| wanted.is_met(&verdict));
        judged += 1;
        short += usize::from(ok == Some(false));
        if verdict.outcome == Outcome::NoFault {
            healthy.push(name.clone());
        }
        print_case(&name, &verdict, wanted.as_ref(), ok);
    }
    ensure!(judged > 0, "{} holds no folder with a capture of its name", folder.display());
    println!("{judged} incidents, {short} fall short, {} called healthy", healthy.len());
    ensure!(healthy.is_empty(), "called healthy: {}", healthy.join(", "));
    Ok(())
}

/// What a thread established.
struct Wanted {
    mode: String,
    place: String,
}

impl Wanted {
    /// `None` where the case says nothing.
    fn read(case: &Path) -> Result<Option<Self>> {
        let path = case.join("expected.json");
        if !path.is_file() {
            return Ok(None);
        }
        let expected: Value = serde_json::from_slice(&std::fs::read(&path)?)
            .with_context(|| format!("{} is no JSON", path.display()))?;
        let text = |name: &str| expected[name].as_str().unwrap_or_default().to_owned();
        Ok(Some(Self { mode: text("expected_mode"), place: text("where") }))
    }

    /// Whether a cause of that mode and at that place is among those of the verdict, and none of another mode.
    fn is_met(&self, verdict: &Verdict) -> bool {
        verdict.causes.iter().all(|cause| cause.mode == self.mode)
            && verdict.causes.iter().any(|cause| names(&self.place, &cause.target))
    }
}

/// Whether a place, in the words of who established it, names a target: `tikv1 (store 4), region 133` does store 4.
/// What befell all stores is at each of them, and at the cluster.
fn names(place: &str, target: &Target) -> bool {
    let words = |text: &str| -> Vec<String> {
        let between = |letter: char| letter.is_whitespace() || "(),;".contains(letter);
        text.split(between).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
    };
    let (place, name) = (words(place), words(&target.name));
    let is_word = |word: &str| place.iter().any(|one| one == word);
    let of_all = is_word("all")
        && is_word("stores")
        && matches!(target.kind, TargetKind::Store | TargetKind::Cluster);
    let named = !name.is_empty() && place.windows(name.len()).any(|some| some == name);
    named || of_all || target.known_as.as_deref().is_some_and(is_word)
}

fn print_case(name: &str, verdict: &Verdict, wanted: Option<&Wanted>, ok: Option<bool>) {
    let word = match ok {
        Some(true) => "ok",
        Some(false) => "falls short",
        None => "nothing expected",
    };
    println!("{name:<10} {word}: {}", verdict.summary);
    for cause in &verdict.causes {
        let first = cause.evidence.first();
        let finding = first.and_then(|one| verdict.findings.iter().find(|f| f.id == one.finding));
        let series = finding.and_then(|finding| finding.citations.first());
        let series = series.map_or("-", |citation| citation.reference.as_str());
        println!("           {} at {}, by {series}", cause.mode, cause.target.text());
    }
    if let Some(wanted) = wanted {
        println!("           wanted {} at {}", wanted.mode, wanted.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(id: u64) -> Target {
        Target::named(TargetKind::Store, &format!("store {id}"))
    }

    #[test]
    fn a_place_names_a_target_by_whole_words() {
        assert!(names("tikv1 (store 4), region 133", &store(4)));
        assert!(!names("tikv1 (store 4), region 133", &store(1)));
        assert!(!names("store 41", &store(4)));
        assert!(names("pd2 (leads)", &Target::named(TargetKind::PdMember, "pd2")));
        assert!(names("cluster", &Target::cluster()));
        assert!(!names("pd2 (leads)", &Target::cluster()));
        let all = "all four stores";
        assert!(names(all, &store(4)) && names(all, &Target::cluster()));
        assert!(!names(all, &Target::named(TargetKind::PdMember, "pd2")));
    }

    #[test]
    fn another_place_does_not_meet_what_is_wanted() -> Result<()> {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
        let verdict = Session::open(&data.join("chaos-02.capture"))?.verdict()?;
        let cause = &verdict.causes[0];
        let wanted = |mode: &str, place: &str| Wanted { mode: mode.into(), place: place.into() };
        assert!(wanted(cause.mode, &cause.target.name).is_met(&verdict));
        assert!(!wanted(cause.mode, "elsewhere").is_met(&verdict));
        assert!(!wanted("flooded_room", &cause.target.name).is_met(&verdict));
        Ok(())
    }
}
