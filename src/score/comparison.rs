//! How diagnosis stands beside its rivals, class of runs by class of runs: what `score` prints of it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

/// How somebody did on one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
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

impl Standing {
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
pub struct Contest<'a> {
    /// The class of the run: its truth.
    pub class: &'a str,
    /// Diagnosis.
    pub own: Standing,
    /// Each rival, by name.
    pub rivals: &'a BTreeMap<&'static str, Standing>,
}

/// A row for each class and contender, and for each contender over all classes. `chance` is the share
/// that a draw among the catalogue's faults would name.
pub fn rows(contests: &[Contest<'_>], chance: f64) -> Vec<Vec<String>> {
    let mut classes: BTreeMap<&str, Vec<&Contest<'_>>> = BTreeMap::new();
    for contest in contests {
        classes.entry(contest.class).or_default().push(contest);
    }
    let header = [
        "truth",
        "runs",
        "who",
        "cause",
        "component",
        "named",
        "onset off",
        "false causes",
        "operator is",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (class, contests) in classes {
        of_class(class, &contests, chance, &mut rows);
    }
    of_class("all", &contests.iter().collect::<Vec<_>>(), chance, &mut rows);
    rows
}

fn of_class(class: &str, contests: &[&Contest<'_>], chance: f64, rows: &mut Vec<Vec<String>>) {
    let runs = contests.len();
    let own: Vec<Standing> = contests.iter().map(|one| one.own).collect();
    rows.push(row(class, &runs.to_string(), "operator", &own, ""));
    let names = contests.iter().flat_map(|one| one.rivals.keys().copied());
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let theirs: Vec<Standing> =
            contests.iter().filter_map(|one| one.rivals.get(name).copied()).collect();
        let word = verdict(own.iter().zip(&theirs).map(|(own, other)| own.against(other)));
        rows.push(row("", "", name, &theirs, word));
    }
    let drawn = format!("{:.0} %", 100.0 * chance);
    let mut random = vec![String::new(), String::new(), "random".to_owned(), drawn];
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

fn row(class: &str, runs: &str, who: &str, standings: &[Standing], word: &str) -> Vec<String> {
    let share = |is: fn(&Standing) -> bool| {
        let hits = standings.iter().filter(|one| is(one)).count();
        format!("{:.0} %", 100.0 * hits as f64 / standings.len().max(1) as f64)
    };
    let middle = |of: fn(&Standing) -> Option<i64>| {
        let mut known: Vec<i64> = standings.iter().filter_map(of).map(i64::abs).collect();
        known.sort_unstable();
        let middle = known.get(known.len() / 2);
        middle.map_or_else(|| "-".to_owned(), |millis| format!("{:.0}s", *millis as f64 / 1000.0))
    };
    let false_causes: usize = standings.iter().map(|one| one.false_causes).sum();
    vec![
        class.to_owned(),
        runs.to_owned(),
        who.to_owned(),
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

    fn right(named_s: i64, off_s: i64) -> Standing {
        Standing {
            cause: true,
            component: true,
            named_after_ms: Some(named_s * 1000),
            onset_error_ms: Some(off_s * 1000),
            ..Standing::default()
        }
    }

    #[test]
    fn the_right_beat_the_wrong_and_the_early_the_late() {
        let (early, late) = (right(30, 9), right(60, 1));
        assert_eq!(early.against(&late), Ordering::Less);
        assert_eq!(right(30, -9).against(&right(30, 5)), Ordering::Greater);
        assert_eq!(late.against(&Standing::default()), Ordering::Less);
        // Who names the cause of no component, or others beside it, is not right.
        let placeless = Standing { component: false, ..early };
        let noisy = Standing { false_causes: 1, ..early };
        assert_eq!(
            (late.against(&placeless), late.against(&noisy)),
            (Ordering::Less, Ordering::Less)
        );
        // Of two that are wrong neither is better.
        assert_eq!(placeless.against(&noisy), Ordering::Equal);
    }

    #[test]
    fn a_class_is_won_where_no_run_is_lost() {
        let rivals = |standing: Standing| BTreeMap::from([("alert", standing)]);
        let (slow, fast) = (rivals(right(60, 0)), rivals(right(15, 0)));
        let contest = |rivals, class| Contest { class, own: right(30, 0), rivals };
        let contests = [contest(&slow, "a"), contest(&slow, "b"), contest(&fast, "b")];
        let rows = rows(&contests, 0.03);
        let words: Vec<&str> =
            rows.iter().filter(|row| row[2] == "alert").map(|row| row[8].as_str()).collect();
        assert_eq!(words, ["better", "mixed", "mixed"]);
    }
}
