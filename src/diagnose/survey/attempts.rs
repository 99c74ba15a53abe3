//! Attempts that come to nothing, where a metric counts all of them and those that succeeded: no word has to say what
//! became of the others.

use std::collections::BTreeMap;

use super::quantity::{Quantity, Reading};
use super::sums::{Key, Sums};

/// The label that tells attempts apart by their outcome, and its values for all of them and for those that succeeded, as
/// TiKV has them: `tikv_raftstore_snapshot_total{status="all"}`.
const OUTCOME: &str = "status";
const ALL: &str = "all";
const SUCCEEDED: &str = "success";

/// What part of the attempts in a step must come to nothing for those to count. In eight minutes of each bundled run
/// only once was it as many: three of ten snapshots.
const PART: f64 = 0.25;

/// Whether a label tells attempts from those that succeeded.
pub fn is_outcome(name: &str, value: &str) -> bool {
    name == OUTCOME && [ALL, SUCCEEDED].contains(&value)
}

/// The attempts a second of each metric that did not succeed, in steps in which many did not. `rates` makes rates of
/// increases.
pub(super) fn unsuccessful(
    sums: &BTreeMap<&Key, &Sums>,
    rates: &dyn Fn(&[f64]) -> Vec<f64>,
) -> Vec<Quantity> {
    let of = |metric: &String, value: &str| {
        let label = (OUTCOME.to_owned(), value.to_owned());
        sums.get(&(metric.clone(), Some(label)))
    };
    let of_all = |((metric, label), all): (&&Key, &&Sums)| {
        let label = label.as_ref().filter(|(name, value)| name == OUTCOME && value == ALL)?;
        let succeeded = of(metric, SUCCEEDED).filter(|succeeded| succeeded.series == all.series)?;
        let all = &all.steps.as_ref()?.increase;
        let succeeded = succeeded.steps.as_ref().map_or(&[][..], |steps| &steps.increase);
        let succeeded = succeeded.iter().copied().chain(std::iter::repeat(0.0));
        let lost = all.iter().zip(succeeded).map(|(all, succeeded)| {
            let lost = all - succeeded;
            if lost >= PART * all { lost } else { 0.0 }
        });
        Some(Quantity {
            metric: metric.clone(),
            reading: Reading::Unsuccessful,
            label: Some(label.clone()),
            bound: String::new(),
            values: rates(&lost.collect::<Vec<f64>>()),
        })
    };
    sums.iter().filter_map(of_all).collect()
}
