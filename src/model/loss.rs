//! What was recorded and cannot be read any more.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::labels::TargetKey;
use super::time::TimeRange;

/// Whose observations a damaged part held. Ordered so that what is known stands first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Observed {
    /// Samples of one scrape target.
    Target(TargetKey),
    /// Answers of PD.
    Pd,
    /// The part does not say: it may be anybody's.
    Anything,
}

/// Observations of a stretch of time that were recorded and cannot be read. Like those of a
/// [`Gap`](super::Gap), they are unknown: nothing in them may be read as zero or as absence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unreadable {
    /// Whose observations they were.
    pub of: Observed,
    /// From when to when; [`TimeRange::ALL`] where the part does not say.
    pub range: TimeRange,
}

/// How many observations were recorded, and how many of them can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readable {
    /// Those that were committed.
    pub recorded: u64,
    /// Those that are still there.
    pub read: u64,
}

/// What a damaged capture has lost, all in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Samples that can still be read, of those recorded.
    pub samples: Readable,
    /// Answers of PD.
    pub pd_answers: Readable,
    /// What is unreadable, ascending; stretches of one source that meet are one.
    pub parts: Vec<Unreadable>,
}

impl Loss {
    /// What of it lies in `range`; `None` where nothing does. Counts stay those of the whole.
    pub fn within(&self, range: TimeRange) -> Option<Self> {
        let parts = unreadable_within(&self.parts, range);
        let is_outside = parts.is_empty() && !self.parts.is_empty();
        (!is_outside).then(|| Self { parts, ..self.clone() })
    }
}

impl Readable {
    /// The missing share, from 0 to 1; 0 where nothing was recorded.
    pub fn missing(&self) -> f64 {
        match self.recorded {
            0 => 0.0,
            recorded => recorded.saturating_sub(self.read) as f64 / recorded as f64,
        }
    }
}

/// Sources that are named; of more only their number is told.
const NAMED: usize = 3;
/// Characters of a source's name.
const NAME_LENGTH: usize = 60;

impl fmt::Display for Observed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(key) => {
                let name: String = key.to_string().chars().take(NAME_LENGTH).collect();
                formatter.write_str(&name)
            }
            Self::Pd => formatter.write_str("PD"),
            Self::Anything => formatter.write_str("unknown sources"),
        }
    }
}

impl fmt::Display for Loss {
    /// `43 % of the samples are missing, from … to …, at tikv/a:20180`: in one sentence of bounded
    /// length, for a person.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares = [(&self.samples, "the samples"), (&self.pd_answers, "PD's answers")];
        let shares = shares.iter().filter(|(readable, _)| readable.missing() > 0.0);
        let shares: Vec<String> = shares
            .map(|(readable, of)| format!("{} of {of}", percent(readable.missing())))
            .collect();
        match shares.as_slice() {
            [] => formatter.write_str("parts of the capture are unreadable")?,
            shares => write!(formatter, "{} are missing", shares.join(" and "))?,
        }
        if let Some(range) = known_stretch(&self.parts) {
            write!(formatter, ", from {} to {}", range.start, range.end)?;
        }
        let mut sources: Vec<&Observed> = self.parts.iter().map(|part| &part.of).collect();
        sources.dedup();
        let named: Vec<String> = sources.iter().take(NAMED).map(ToString::to_string).collect();
        if !named.is_empty() {
            write!(formatter, ", at {}", named.join(", "))?;
        }
        match sources.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}

/// A share above 0: whole per cents, and never 100 where something is left.
fn percent(share: f64) -> String {
    match 100.0 * share {
        all if all >= 100.0 => "100 %".to_owned(),
        few if few < 1.0 => "less than 1 %".to_owned(),
        some => format!("{:.0} %", some.min(99.0)),
    }
}

/// The parts that lie in `range`, cut to it; those that do not say when they were observed stay whole.
pub fn unreadable_within(parts: &[Unreadable], range: TimeRange) -> Vec<Unreadable> {
    let cut = |part: &Unreadable| match part.range == TimeRange::ALL {
        true => part.clone(),
        false => Unreadable { of: part.of.clone(), range: part.range.intersection(&range) },
    };
    parts.iter().map(cut).filter(|part| !part.range.is_empty()).collect()
}

/// Joins stretches of one source that overlap or meet; ascending.
pub fn joined_unreadable(parts: impl IntoIterator<Item = Unreadable>) -> Vec<Unreadable> {
    let mut parts: Vec<Unreadable> = parts.into_iter().collect();
    parts.sort_unstable();
    parts.dedup_by(|next, held| {
        let meets = held.of == next.of && next.range.start <= held.range.end;
        if meets {
            held.range.end = held.range.end.max(next.range.end);
        }
        meets
    });
    parts
}

/// The stretch from the first of `parts` to the last, by those that say when they were observed;
/// `None` where none does.
pub fn known_stretch(parts: &[Unreadable]) -> Option<TimeRange> {
    let known = parts.iter().map(|part| part.range).filter(|range| *range != TimeRange::ALL);
    known.filter(|range| !range.is_empty()).reduce(|a, b| a.hull(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn a_loss_is_told_in_a_sentence_of_bounded_length() {
        let target = |number: u32| {
            let instance = format!("10.0.0.{number}:20180");
            Observed::Target(TargetKey { job: "tikv".to_owned(), instance })
        };
        let minute = TimeRange::new(Timestamp::from_millis(0), Timestamp::from_millis(60_000));
        let part = |of| Unreadable { of, range: minute };
        let mut loss = Loss {
            samples: Readable { recorded: 1000, read: 571 },
            pd_answers: Readable { recorded: 10, read: 10 },
            parts: vec![part(target(1))],
        };
        let from = "from 1970-01-01T00:00:00.000Z to 1970-01-01T00:01:00.000Z";
        assert_eq!(
            loss.to_string(),
            format!("43 % of the samples are missing, {from}, at tikv/10.0.0.1:20180")
        );
        loss.pd_answers.read = 0;
        loss.samples.read = 999;
        loss.parts = (1..=5).map(|number| part(target(number))).collect();
        loss.parts.push(part(Observed::Pd));
        let at = "tikv/10.0.0.1:20180, tikv/10.0.0.2:20180, tikv/10.0.0.3:20180 and 3 more";
        assert_eq!(
            loss.to_string(),
            format!(
                "less than 1 % of the samples and 100 % of PD's answers are missing, {from}, at {at}"
            )
        );
        loss.parts = vec![part(Observed::Target(TargetKey {
            job: "j".repeat(1 << 20),
            ..TargetKey::default()
        }))];
        assert!(loss.to_string().len() < 300);
    }

    #[test]
    fn stretches_of_one_source_that_meet_are_one() {
        let part = |of: Observed, start, end| Unreadable {
            of,
            range: TimeRange::new(Timestamp::from_millis(start), Timestamp::from_millis(end)),
        };
        let target = || {
            Observed::Target(TargetKey { job: "tikv".to_owned(), instance: "a:20180".to_owned() })
        };
        let parts = [
            part(Observed::Pd, 10, 20),
            part(target(), 10, 20),
            part(target(), 0, 10),
            part(target(), 30, 40),
        ];
        let expected = [part(target(), 0, 20), part(target(), 30, 40), part(Observed::Pd, 10, 20)];
        assert_eq!(joined_unreadable(parts.clone()), expected);
        assert_eq!(known_stretch(&parts).map(|range| range.millis()), Some(40));
    }
}
