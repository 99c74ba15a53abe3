//! The faults that last, as metrics in Prometheus's text format 0.0.4.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::diagnose::{Cause, Verdict};
use crate::model::cut;
use crate::record::escaped_label_value;

/// The most faults that are exposed, the first of the verdict: each makes three series.
const MOST_FAULTS: usize = 32;
/// The longest name of a target, in characters.
const LONGEST_TARGET: usize = 128;

/// A metric of a fault: its name, its help and its value.
type Metric = (&'static str, &'static str, fn(&Cause) -> f64);

const METRICS: [Metric; 3] = [
    ("operator_fault", "Is 1 while this fault lasts.", |_| 1.0),
    ("operator_fault_onset_timestamp_seconds", "When a fault that lasts began.", |cause| {
        cause.onset_ms.as_millis() as f64 / 1000.0
    }),
    ("operator_fault_confidence", "How sure a fault that lasts is, from 0 to 1.", |cause| {
        cause.confidence
    }),
];

/// The causes of a verdict that last, as text: at most 32, each mode and target once. A fault that is over
/// has no series any more.
pub fn fault_exposition(verdict: &Verdict) -> String {
    let mut known = BTreeSet::new();
    let mut lasting: Vec<(String, &Cause)> = Vec::new();
    for cause in verdict.causes.iter().filter(|cause| cause.end_ms.is_none()) {
        let labels = labels(cause);
        if known.len() < MOST_FAULTS && known.insert(labels.clone()) {
            lasting.push((labels, cause));
        }
    }
    let mut text = String::new();
    for (name, help, value) in METRICS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, cause) in &lasting {
            let _ = writeln!(text, "{name}{labels} {}", value(cause));
        }
    }
    text
}

fn labels(cause: &Cause) -> String {
    let target = escaped_label_value(&cut(&cause.target.name, LONGEST_TARGET));
    format!("{{mode=\"{}\",target=\"{target}\"}}", cause.mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Target, TargetKind};
    use crate::model::Timestamp;

    fn cause(target: &str, end_ms: Option<Timestamp>) -> Cause {
        let target = Target::named(TargetKind::Store, target);
        let onset_ms = Timestamp::from_millis(1_500);
        Cause { confidence: 0.97, ..Cause::bare("store_crash", target, onset_ms, end_ms) }
    }

    fn verdict(causes: Vec<Cause>) -> Verdict {
        Verdict::bare(Timestamp::default(), causes)
    }

    #[test]
    fn a_fault_has_series_while_it_lasts() {
        let over = cause("store 5", Some(Timestamp::from_millis(2_000)));
        let text = fault_exposition(&verdict(vec![cause("store \"4\"", None), over]));
        let labels = r#"{mode="store_crash",target="store \"4\""}"#;
        for line in [
            format!("operator_fault{labels} 1\n"),
            format!("operator_fault_onset_timestamp_seconds{labels} 1.5\n"),
            format!("operator_fault_confidence{labels} 0.97\n"),
        ] {
            assert!(text.contains(&line), "{text}");
        }
        assert!(!text.contains("store 5"), "{text}");
    }

    #[test]
    fn the_number_of_series_and_the_length_of_names_are_bounded() {
        let mut causes: Vec<Cause> =
            (0..100).map(|number| cause(&format!("{number}{}", "x".repeat(999)), None)).collect();
        causes.push(causes[0].clone());
        let text = fault_exposition(&verdict(causes));
        assert_eq!(text.lines().filter(|line| line.starts_with("operator_fault{")).count(), 32);
        assert!(text.lines().all(|line| line.chars().count() < 300), "{text}");
    }
}
