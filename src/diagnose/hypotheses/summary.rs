//! A verdict in one sentence.

use crate::diagnose::blind_spots::named;
use crate::diagnose::hypotheses::mode::Unchecked;
use crate::diagnose::observations::SilentNode;
use crate::diagnose::verdict::{Cause, Outcome};
use crate::model::Timestamp;

/// The time of day of an instant, UTC.
fn of_day(at: Timestamp) -> String {
    at.to_string().chars().skip(11).take(8).collect()
}

/// The nodes that a summary names, at most.
const NAMES: usize = 6;

/// Where the first of some causes or changes is and what it is, with all nodes of which the same is said; and how many
/// others there are.
fn leading(causes: &[Cause], first: &Cause) -> (String, usize) {
    let is_alike = |one: &&Cause| one.mode == first.mode && one.says == first.says;
    let alike: Vec<&str> =
        causes.iter().filter(is_alike).map(|one| one.target.name.as_str()).collect();
    let place = match alike.len() {
        0 | 1 => first.target.text(),
        2..=NAMES => alike.join(", "),
        many => format!("{} and {} more", alike[..NAMES].join(", "), many - NAMES),
    };
    (format!("{place}: {}", first.says), causes.len() - alike.len())
}

/// The verdict in one sentence: its first cause or change, and how many more there are. `unknown` says why nothing can
/// be told, where nothing can.
pub fn summary(
    outcome: Outcome,
    causes: &[Cause],
    changes: &[Cause],
    (unchecked, unknown): (&[Unchecked], &str),
    silent: &[SilentNode],
) -> String {
    let also = |others: usize, what: &str| match others {
        0 => String::new(),
        1 => format!("; one more {what}"),
        n => format!("; {n} more {what}s"),
    };
    match (outcome, causes.first(), changes.first()) {
        (Outcome::Fault, Some(cause), _) => {
            let (leading, others) = leading(causes, cause);
            format!("{leading}{}", also(others, "cause"))
        }
        (Outcome::CannotTell, _, _) if !silent.is_empty() => {
            let have = if silent.len() == 1 { "has" } else { "have" };
            let nodes: Vec<&str> = silent.iter().map(|one| one.name.as_str()).collect();
            let (nodes, since) = (nodes.join(", "), of_day(silent[0].since_ms));
            format!("cannot tell yet: {nodes} {have} not answered since {since}")
        }
        (Outcome::CannotTell, _, _) => format!("cannot tell: {unknown}"),
        (_, _, Some(change)) => {
            let (leading, others) = leading(changes, change);
            format!("no fault; planned or harmless: {leading}{}", also(others, "change"))
        }
        _ => {
            let normal = "no fault: nothing departs from what was normal before";
            let sources = unchecked.iter().filter_map(|one| one.source);
            let sources: Vec<&str> = sources.map(|source| named(source).0).collect();
            match sources.is_empty() {
                true => normal.to_owned(),
                false => format!("{normal}; not observed: {}", sources.join(", ")),
            }
        }
    }
}
