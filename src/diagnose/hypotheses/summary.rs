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
            format!("{}: {}{}", cause.target.text(), cause.says, also(causes.len() - 1, "cause"))
        }
        (Outcome::CannotTell, _, _) if !silent.is_empty() => {
            let have = if silent.len() == 1 { "has" } else { "have" };
            let nodes: Vec<&str> = silent.iter().map(|one| one.name.as_str()).collect();
            let (nodes, since) = (nodes.join(", "), of_day(silent[0].since_ms));
            format!("cannot tell yet: {nodes} {have} not answered since {since}")
        }
        (Outcome::CannotTell, _, _) => format!("cannot tell: {unknown}"),
        (_, _, Some(change)) => {
            let others = also(changes.len() - 1, "change");
            format!(
                "no fault; planned or harmless: {}: {}{others}",
                change.target.text(),
                change.says
            )
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
