//! How diagnosis stands beside its baselines, class of runs by class of runs: what `score` prints of it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::diagnose::median;

/// How somebody did on one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MethodScore {
    /// Named the right cause, or on a run without a fault rightly none.
    pub cause: bool,
    /// Named the right component; what names none does not.
    pub component: bool,
    /// Said what was planned, where something was.
    pub change: bool,
    /// Causes that are none.
    pub false_causes: usize,
    /// From the injection to the right cause at the right component, seen live.
    pub named_after_ms: Option<i64>,
    /// Onset minus injection, of the right cause.
    pub onset_error_ms: Option<i64>,
}

impl MethodScore {
    /// Whether nothing is wrong in it.
    pub fn is_right(&self) -> bool {
        self.cause && self.component && self.false_causes == 0
    }

    /// Compares two on one run, better first: who is right; of two that are, who also says what was
    /// planned, then who names it earlier, then whose onset is nearer. Who does not tell a time or an
    /// onset comes after who does.
    fn against(&self, other: &Self) -> Ordering {
        let right = other.is_right().cmp(&self.is_right());
        if right.is_ne() || !self.is_right() {
            return right;
        }
        let last = |millis: Option<i64>| millis.map_or(i64::MAX, i64::abs);
        other
            .change
            .cmp(&self.change)
            .then(last(self.named_after_ms).cmp(&last(other.named_after_ms)))
            .then(last(self.onset_error_ms).cmp(&last(other.onset_error_ms)))
    }
}

/// What stands beside each other on one run.
pub struct RunComparison<'a> {
    /// The class of the run: its truth.
    pub class: &'a str,
    /// How diagnosis did.
    pub own: MethodScore,
    /// Each baseline, by name.
    pub baselines: &'a BTreeMap<&'static str, MethodScore>,
}

/// How much a comparison tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All runs together.
    All,
    /// Each kind of fault too.
    EachClass,
}

/// A row for each class, under it one for each other contender, and both over all classes. `chance` is the share
/// that a draw among the catalogue's faults would name.
pub fn rows(comparisons: &[RunComparison<'_>], chance: f64, detail: Detail) -> Vec<Vec<String>> {
    let mut classes: BTreeMap<&str, Vec<&RunComparison<'_>>> = BTreeMap::new();
    for comparisons in comparisons {
        classes.entry(comparisons.class).or_default().push(comparisons);
    }
    let header = ["truth", "runs", "cause", "place", "named", "onset", "false", "operator"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let classes = classes.into_iter().filter(|_| detail == Detail::EachClass);
    for (class, comparisons) in classes {
        of_class(class, &comparisons, chance, &mut rows);
    }
    of_class("all", &comparisons.iter().collect::<Vec<_>>(), chance, &mut rows);
    rows
}

fn of_class(
    class: &str,
    comparisons: &[&RunComparison<'_>],
    chance: f64,
    rows: &mut Vec<Vec<String>>,
) {
    let runs = comparisons.len();
    let own: Vec<MethodScore> = comparisons.iter().map(|one| one.own).collect();
    rows.push(row(class, &runs.to_string(), &own, ""));
    let names = comparisons.iter().flat_map(|one| one.baselines.keys().copied());
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let theirs: Vec<MethodScore> =
            comparisons.iter().filter_map(|one| one.baselines.get(name).copied()).collect();
        let word = verdict(own.iter().zip(&theirs).map(|(own, other)| own.against(other)));
        rows.push(row(&format!("  {name}"), "", &theirs, word));
    }
    let drawn = format!("{:.0} %", 100.0 * chance);
    let mut random = vec!["  random".to_owned(), String::new(), drawn];
    random.extend(["-", "-", "-"].map(str::to_owned));
    random.push(runs.to_string());
    let lost = own.iter().any(|one| !one.is_right());
    random.push(if lost { "no better" } else { "better" }.to_owned());
    rows.push(random);
}

/// Better where diagnosis is worse on no run and better on one; `mixed` where each is better on some.
fn verdict(each: impl Iterator<Item = Ordering>) -> &'static str {
    let each: Vec<Ordering> = each.collect();
    match (each.contains(&Ordering::Less), each.contains(&Ordering::Greater)) {
        (true, true) => "mixed",
        (true, false) => "better",
        (false, true) => "worse",
        (false, false) => "equal",
    }
}

fn row(who: &str, runs: &str, standings: &[MethodScore], word: &str) -> Vec<String> {
    let share = |is: fn(&MethodScore) -> bool| {
        let hits = standings.iter().filter(|one| is(one)).count();
        format!("{:.0} %", 100.0 * hits as f64 / standings.len().max(1) as f64)
    };
    let middle = |of: fn(&MethodScore) -> Option<i64>| {
        let known = standings.iter().filter_map(of).map(|millis| millis.abs() as f64);
        median(known).map_or_else(|| "-".to_owned(), |millis| format!("{:.0}s", millis / 1000.0))
    };
    let false_causes: usize = standings.iter().map(|one| one.false_causes).sum();
    vec![
        who.to_owned(),
        runs.to_owned(),
        share(|one| one.cause),
        share(|one| one.component),
        middle(|one| one.named_after_ms),
        middle(|one| one.onset_error_ms),
        false_causes.to_string(),
        word.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(named_s: i64, off_s: i64) -> MethodScore {
        MethodScore {
            cause: true,
            component: true,
            named_after_ms: Some(named_s * 1000),
            onset_error_ms: Some(off_s * 1000),
            ..MethodScore::default()
        }
    }

    #[test]
    fn the_right_beat_the_wrong_and_the_early_the_late() {
        let (early, late) = (right(30, 9), right(60, 1));
        assert_eq!(early.against(&late), Ordering::Less);
        assert_eq!(right(30, -9).against(&right(30, 5)), Ordering::Greater);
        assert_eq!(late.against(&MethodScore::default()), Ordering::Less);
        // Who names the cause of no component, or others beside it, is not right.
        let placeless = MethodScore { component: false, ..early };
        let noisy = MethodScore { false_causes: 1, ..early };
        assert_eq!(
            (late.against(&placeless), late.against(&noisy)),
            (Ordering::Less, Ordering::Less)
        );
        // Of two that are wrong neither is better.
        assert_eq!(placeless.against(&noisy), Ordering::Equal);
    }

    #[test]
    fn the_median_of_two_is_the_mean_of_both() {
        let none = BTreeMap::new();
        let of = |own| RunComparison { class: "a", own, baselines: &none };
        let comparisons = [of(right(30, -2)), of(right(60, 8))];
        let rows = rows(&comparisons, 0.03, Detail::All);
        assert_eq!((rows[1][4].as_str(), rows[1][5].as_str()), ("45s", "5s"));
    }

    #[test]
    fn a_class_is_won_where_no_run_is_lost() {
        let baselines = |standing: MethodScore| BTreeMap::from([("alert", standing)]);
        let (slow, fast) = (baselines(right(60, 0)), baselines(right(15, 0)));
        let comparisons = |baselines, class| RunComparison { class, own: right(30, 0), baselines };
        let comparisons =
            [comparisons(&slow, "a"), comparisons(&slow, "b"), comparisons(&fast, "b")];
        let rows = rows(&comparisons, 0.03, Detail::EachClass);
        let words: Vec<&str> =
            rows.iter().filter(|row| row[0] == "  alert").map(|row| row[7].as_str()).collect();
        assert_eq!(words, ["better", "mixed", "mixed"]);
    }
}
