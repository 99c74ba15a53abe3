//! What was observed before a command that is to break something: where that is nothing, the command is not run.

use std::path::Path;
use std::time::Duration;

use crate::capture::CaptureReader;
use crate::cli::observed::{Observed, none_succeeded};
use crate::model::Source;

/// After how long each source must have been observed: they are asked at once, and Prometheus scrapes every quarter
/// of a minute in most places.
pub const LEAST: Duration = Duration::from_secs(30);

/// What is to be observed before a command runs.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Whether PD is asked.
    pub pd: bool,
    /// Where samples come from, in words; `None` where only PD is asked.
    pub samples: Option<String>,
    /// Whether any source answered when the recording began.
    pub has_answered: bool,
}

/// What was observed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Before {
    /// All, as far as that can be known.
    Observed,
    /// A part: what is missing, in words.
    InPart(String),
    /// Nothing: why, in words.
    Nothing(String),
}

impl Expected {
    /// What was observed in the capture at `path` within `before`. One that cannot be read is left to its writer.
    pub fn seen_in(&self, path: &Path, before: Duration) -> Before {
        match CaptureReader::open(path).map_err(Into::into).and_then(|one| Observed::of(&one)) {
            Ok(observed) => self.seen(&observed, before),
            Err(error) => {
                tracing::warn!(%error, "it is not known what was observed before the command");
                Before::Observed
            }
        }
    }

    /// Within less than [`LEAST`], a source that answered at the beginning counts unless a failure is known.
    fn seen(&self, observed: &Observed, before: Duration) -> Before {
        let is_due = before >= LEAST || !self.has_answered;
        let has_gap = |of: fn(&Source) -> bool| observed.gaps.iter().any(of);
        let pd_failed = observed.asked > 0 || has_gap(|one| matches!(one, Source::PdMember(_)));
        let is_pd_missing = self.pd && !observed.pd_answered && (is_due || pd_failed);
        let pd = is_pd_missing.then(|| match observed.asked {
            0 => "PD has not answered".to_owned(),
            asked => none_succeeded(asked),
        });
        let samples_failed = has_gap(|one| *one == Source::Prometheus);
        let are_missing = !observed.has_samples && (is_due || samples_failed);
        let samples = self.samples.as_ref().filter(|_| are_missing);
        let samples = samples.map(|from| format!("no sample came from {from}"));
        let expected = usize::from(self.pd) + usize::from(self.samples.is_some());
        let missing: Vec<String> = pd.into_iter().chain(samples).collect();
        let text = missing.join(", and ");
        match missing.len() {
            0 => Before::Observed,
            all if all == expected => Before::Nothing(text),
            _ => Before::InPart(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(has_answered: bool) -> Expected {
        Expected { pd: true, samples: Some("Prometheus".to_owned()), has_answered }
    }

    #[test]
    fn a_source_that_fails_is_named_and_where_all_fail_there_is_nothing() {
        let dead = Observed { asked: 47, ..Observed::default() };
        let none = "none of 47 requests to PD succeeded";
        let long = both(true).seen(&dead, LEAST);
        assert_eq!(long, Before::Nothing(format!("{none}, and no sample came from Prometheus")));
        let sampled = Observed { has_samples: true, ..dead.clone() };
        assert_eq!(both(true).seen(&sampled, LEAST), Before::InPart(none.to_owned()));
        let alone = Expected { samples: None, ..both(false) };
        assert_eq!(alone.seen(&dead, Duration::ZERO), Before::Nothing(none.to_owned()));
    }

    #[test]
    fn what_answered_at_the_beginning_has_some_time_to_be_observed() {
        let nothing = Observed::default();
        let short = LEAST - Duration::from_millis(1);
        assert_eq!(both(true).seen(&nothing, short), Before::Observed);
        assert!(matches!(both(false).seen(&nothing, short), Before::Nothing(_)));
        assert!(matches!(both(true).seen(&nothing, LEAST), Before::Nothing(_)));
        let failed = Observed { gaps: [Source::Prometheus].into(), ..nothing };
        let missing = "no sample came from Prometheus".to_owned();
        assert_eq!(both(true).seen(&failed, short), Before::InPart(missing));
    }
}
