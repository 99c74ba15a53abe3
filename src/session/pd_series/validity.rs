//! How long what PD said holds, and the samples of that.

use std::collections::HashSet;

use super::Elements;
use crate::model::{Sample, Timestamp, stale_marker};

/// How long an answer counts where only one came, so that its cadence is not known: the lookback
/// of PromQL.
const LONE_MS: i64 = 300_000;
/// What is asked less often than this is repeated in between, since a state that is asked for
/// every five minutes would fall out of PromQL's lookback of five minutes.
const REPEAT_MS: i64 = 60_000;
/// Answers further apart than this are no cadence: what the last one said is not known for longer.
const LONGEST_CADENCE_MS: i64 = 3_600_000;

/// Lays what one source said along time.
pub(super) fn lay(
    observations: &[(Timestamp, Elements)],
    end: Timestamp,
    series: &mut [Vec<Sample>],
) {
    let cadence = cadence_ms(observations);
    let valid_ms = cadence.map_or(LONE_MS, |cadence| cadence.min(LONGEST_CADENCE_MS) * 3);
    let repeats = cadence.is_some_and(|cadence| cadence > REPEAT_MS);
    let mut current: &[(u32, f64)] = &[];
    for (position, (at, elements)) in observations.iter().enumerate() {
        let now = elements.as_deref().unwrap_or_default();
        let kept: HashSet<u32> = now.iter().map(|(labels, _)| *labels).collect();
        for (labels, _) in current.iter().filter(|(labels, _)| !kept.contains(labels)) {
            push(&mut series[*labels as usize], *at, stale_marker());
        }
        for (labels, value) in now {
            push(&mut series[*labels as usize], *at, *value);
        }
        current = now;
        let next = observations.get(position + 1).map_or(end, |(at, _)| *at);
        let expires = at.saturating_add_millis(valid_ms);
        let mut again = at.saturating_add_millis(REPEAT_MS);
        while repeats && again < next.min(expires) {
            for (labels, value) in current {
                push(&mut series[*labels as usize], again, *value);
            }
            again = again.saturating_add_millis(REPEAT_MS);
        }
        if expires < next {
            for (labels, _) in current {
                push(&mut series[*labels as usize], expires, stale_marker());
            }
            current = &[];
        }
    }
}

/// The median time between two answers in a row.
fn cadence_ms(observations: &[(Timestamp, Elements)]) -> Option<i64> {
    let mut between: Vec<i64> =
        observations.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|ms| *ms > 0).collect();
    between.sort_unstable();
    between.get(between.len() / 2).copied()
}

fn push(samples: &mut Vec<Sample>, at: Timestamp, value: f64) {
    match samples.last_mut() {
        // Of two answers in one millisecond, the later one holds.
        Some(last) if last.at >= at => last.value = value,
        _ => samples.push(Sample { at, value }),
    }
}
