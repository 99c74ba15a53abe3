//! Names of findings that are the same as of every instant of a run.
//!
//! An id such as `F2` counts the findings that are known as of one instant. A name says what a finding is about: its
//! kind, its target and the first quantity that shows it. Nothing of it comes from a later instant.

use std::collections::BTreeMap;

use crate::diagnose::findings::finding::{Finding, Plot, PlotHow, Target};

/// The names of findings, in their order: `slow_device/store-1/raft_engine_sync_log_duration_seconds`. Of several
/// that would have the same name, those after the first by onset end in `-2`, `-3` and so on.
pub fn finding_names(findings: &[Finding]) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut numbered = |finding: &Finding| {
        let name = plain_name(finding);
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}-{count}") }
    };
    findings.iter().map(&mut numbered).collect()
}

/// The findings that somebody means by an id such as `F2`, in any case, a name, or the first parts of a name such as
/// `slow_device/store-1`; each with its name. There is more than one only where such parts are ambiguous.
pub fn findings_called<'a>(findings: &'a [Finding], asked: &str) -> Vec<(&'a Finding, String)> {
    let named = || findings.iter().zip(finding_names(findings));
    let exact = |(finding, name): &(&Finding, String)| {
        finding.id.eq_ignore_ascii_case(asked) || name == asked
    };
    if let Some(one) = named().find(exact) {
        return vec![one];
    }
    let begins = |name: &str| name.strip_prefix(asked).is_some_and(|rest| rest.starts_with('/'));
    named().filter(|(_, name)| begins(name)).collect()
}

fn plain_name(finding: &Finding) -> String {
    let quantity = finding.plot.first().map(|plot| quantity(plot, &finding.target));
    let parts = [Some(finding.kind.name()), Some(word(&finding.target.name)), quantity];
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// The metric; of PD's answers also what it is of, where that is not the target.
fn quantity(plot: &Plot, target: &Target) -> String {
    let is_target = || {
        target.name == plot.instance
            || target.store_id.is_some_and(|id| id.to_string() == plot.instance)
    };
    match plot.how {
        PlotHow::Pd if !is_target() => word(&format!("{} {}", plot.metric, plot.instance)),
        _ => word(&plot.metric),
    }
}

/// A text with a hyphen for each run of characters that a shell or a reader could stumble over.
fn word(text: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || c == '_';
    text.split(|c| !kept(c)).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::findings::finding::{FindingKind, TargetKind};
    use crate::model::Timestamp;

    fn finding(
        id: &str,
        kind: FindingKind,
        target: &str,
        plot: Option<(&str, PlotHow)>,
    ) -> Finding {
        let plot = plot.map(|(metric, how)| Plot {
            metric: metric.to_owned(),
            how,
            instance: "pending-peer".to_owned(),
            label: None,
        });
        Finding {
            id: id.to_owned(),
            kind,
            target: Target::named(TargetKind::Store, target),
            onset_ms: Timestamp::default(),
            onset_uncertainty_ms: 0,
            end_ms: None,
            text: String::new(),
            magnitude: None,
            citations: Vec::new(),
            plot: plot.into_iter().collect(),
        }
    }

    fn some() -> Vec<Finding> {
        let sync = Some(("raft_engine_sync", PlotHow::Mean));
        let probe = Some(("disk_probe", PlotHow::Mean));
        vec![
            finding("F1", FindingKind::SlowDevice, "store 1", sync),
            finding("F2", FindingKind::SlowDevice, "store 1", probe),
            finding("F3", FindingKind::Restarted, "store 1", None),
            finding("F4", FindingKind::SlowDevice, "store 1", sync),
            finding("F5", FindingKind::RegionsAbnormal, "cluster", Some(("/check n", PlotHow::Pd))),
        ]
    }

    #[test]
    fn a_name_says_kind_target_and_quantity_and_counts_repetitions() {
        assert_eq!(
            finding_names(&some()),
            [
                "slow_device/store-1/raft_engine_sync",
                "slow_device/store-1/disk_probe",
                "restarted/store-1",
                "slow_device/store-1/raft_engine_sync-2",
                "regions_abnormal/cluster/check-n-pending-peer",
            ]
        );
    }

    #[test]
    fn a_name_does_not_change_with_what_is_found_beside_it() {
        let (all, later) = (some(), some().split_off(2));
        assert_eq!(finding_names(&all)[2], finding_names(&later)[0]);
    }

    #[test]
    fn findings_are_called_by_id_name_or_the_first_parts_of_a_name() {
        let findings = some();
        let ids = |asked| -> Vec<String> {
            let called = findings_called(&findings, asked);
            called.into_iter().map(|(finding, _)| finding.id.clone()).collect()
        };
        assert_eq!(ids("f2"), ["F2"]);
        assert_eq!(ids("restarted/store-1"), ["F3"]);
        assert_eq!(ids("slow_device/store-1"), ["F1", "F2", "F4"]);
        assert_eq!(ids("slow_device/store-1/disk_probe"), ["F2"]);
        assert_eq!(ids("slow"), [""; 0]);
    }
}
