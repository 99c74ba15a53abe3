//! The verdict on a window: every mode makes its claims, and what they explain is put together.
//!
//! Which claim explains which is left to `ranking`, and what was not observed to `blind_spots`.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use crate::diagnose::blind_spots::{
    blind_spots, in_short, load_without_baseline, missing_sources, unreadable_beside,
    unseen_requests,
};
use crate::diagnose::evidence::Evidence;
use crate::diagnose::failure_modes::ALL;
use crate::diagnose::findings::finding::{Citation, Finding, FindingRef, Findings};
use crate::diagnose::hypotheses::alternatives::alternatives;
use crate::diagnose::hypotheses::client_impact::client_impact;
use crate::diagnose::hypotheses::host_signs::cite_signs;
use crate::diagnose::hypotheses::log_lines::cite_lines;
use crate::diagnose::hypotheses::mode::{Depth, Mode, Nature, Unchecked};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::hypotheses::ranking::{Hypothesis, Role, rank, surroundings};
use crate::diagnose::hypotheses::summary::summary;
use crate::diagnose::observations::{
    CLIENT_METRICS, HOST_METRICS, SilentNode, is_latency, silent_just_now,
};
use crate::diagnose::survey::{Grid, Survey, can_stand_out, is_surveyed, usual_interval_ms};
use crate::diagnose::thresholds::CONFIDENT;
use crate::diagnose::verdict::{Cause, Consequence, Damaged, Outcome, Reason, SCHEMA, Verdict};
use crate::model::{Labels, Series, Stretches, TimeRange};

/// How much of what makes a claim more likely than not stays where a part of what was recorded
/// beside it is unreadable. What is missing could have shown a deeper cause or another place, so
/// nothing is as sure as 0.7; what is left still speaks for the claim, so it is not dropped.
const BESIDE_DAMAGE: f64 = 1.0 / 3.0;

/// Names of all metrics that diagnosis reads; only their series need be loaded, and those of
/// [`LATENCIES`](crate::diagnose::LATENCIES) of types that clients
/// [requested](crate::diagnose::requested_types). Ascending, each once.
pub fn metrics() -> Vec<&'static str> {
    let of_modes = ALL.iter().flat_map(|mode| mode.metrics.iter().copied());
    let of_hosts = HOST_METRICS.iter().flat_map(|metrics| metrics.iter().copied());
    let of_nodes = crate::nodes::METRICS.into_iter().chain(crate::nodes::BESIDE_METRICS);
    let metrics: BTreeSet<&'static str> =
        of_modes.chain(of_nodes).chain(CLIENT_METRICS).chain(of_hosts).collect();
    metrics.into_iter().collect()
}

/// Whether diagnosis reads a series: by the name of its metric, as part of how long requests took, or because it
/// [is surveyed](is_surveyed).
pub fn reads(series: &Labels) -> bool {
    is_looked_at(series) || is_surveyed(series)
}

/// Whether a series is of one of the [`metrics`].
pub fn is_named(series: &Labels) -> bool {
    METRICS.contains(series.metric())
}

/// The names that [`metrics`] returns.
static METRICS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| metrics().into_iter().collect());

/// Whether a series that diagnosis [`reads`] is looked at by name; the others are surveyed.
pub fn is_looked_at(series: &Labels) -> bool {
    is_named(series) || is_latency(series)
}

/// Those of the series that are [looked at](is_looked_at) by name.
pub fn named(series: &[Series]) -> Vec<Series> {
    series.iter().filter(|one| is_looked_at(&one.labels)).cloned().collect()
}

/// Judges a window by every mode, and surveys it where that could add to the verdict: where the window is
/// long enough for anything to stand out, and a part of it is far from every cause and change.
///
/// # Errors
///
/// What `survey` returns.
pub fn diagnose_surveyed<E>(
    evidence: &Evidence,
    survey: impl FnOnce() -> Result<Survey, E>,
) -> Result<Verdict, E> {
    let observed = ObservedWindow::new(evidence);
    let verdict = judge(observed.clone(), ALL);
    let up = usual_interval_ms(evidence.series.metric("up").iter());
    if !can_stand_out(Grid::over(evidence.window, up)) || accounts_for(&verdict, evidence.window) {
        return Ok(verdict);
    }
    evidence.add_survey(&survey()?);
    Ok(judge(observed.surveyed(), ALL))
}

/// Whether causes and changes explain whatever departs in a window. A state of the cluster may itself follow from
/// what one node shows, some changes explain nothing, and of what nobody knows the survey may say more.
fn accounts_for(verdict: &Verdict, window: TimeRange) -> bool {
    let leaves_open = |mode: &Mode| {
        mode.depth >= Depth::Consequence || mode.never_explains.contains(&Depth::Unexplained)
    };
    let is_state = |one: &Cause| ALL.iter().any(|mode| mode.name == one.mode && leaves_open(mode));
    let about = |nature: Nature, causes: &[Cause]| -> Vec<TimeRange> {
        let around = |one: &Cause| surroundings(nature, one.onset_ms, one.end_ms, window.end);
        causes.iter().filter(|one| !is_state(one)).map(around).collect()
    };
    let causes = about(Nature::Fault, &verdict.causes);
    let changes = about(Nature::Change, &verdict.changes);
    let explained: Stretches = causes.into_iter().chain(changes).collect();
    explained.contain(window)
}

/// Judges a window by every mode of [`MODES`](crate::diagnose::MODES): what broke, what followed from
/// it, what was planned, and what could not be decided.
pub fn diagnose(evidence: &Evidence) -> Verdict {
    judge(ObservedWindow::new(evidence), ALL)
}

/// Judges a window by some modes.
fn judge(mut observed: ObservedWindow<'_>, modes: &[Mode]) -> Verdict {
    let hypotheses = hypotheses(&mut observed, modes);
    verdict(observed, &hypotheses, modes)
}

/// The claims of some modes about a window, each with its role; what they read becomes findings of it.
pub fn hypotheses<'m>(observed: &mut ObservedWindow<'_>, modes: &'m [Mode]) -> Vec<Hypothesis<'m>> {
    let mut hypotheses = Vec::new();
    for mode in modes {
        for claim in (mode.judge)(observed) {
            hypotheses.push(Hypothesis { mode, claim, role: Role::Stands });
        }
    }
    for hypothesis in &mut hypotheses {
        cite_lines(&mut hypothesis.claim, observed);
        cite_signs(&mut hypothesis.claim, observed);
    }
    // What nobody knows is a finding only where nothing explains it.
    let is_known = |one: &Hypothesis<'_>| one.mode.depth != Depth::Unexplained;
    add_readings(&mut hypotheses, &mut observed.findings, is_known);
    let confident = observed.evidence.thresholds.at("confident", CONFIDENT);
    rank(&mut hypotheses, observed.open(), confident);
    add_readings(&mut hypotheses, &mut observed.findings, |one| one.stands());
    hypotheses.retain(|one| is_known(one) || one.stands());
    hypotheses
}

/// Makes findings of the readings of some claims. What a mode read itself says more of its claim than
/// what it shares with others.
fn add_readings(
    hypotheses: &mut [Hypothesis<'_>],
    findings: &mut Findings,
    meant: impl Fn(&Hypothesis<'_>) -> bool,
) {
    for hypothesis in hypotheses.iter_mut().filter(|one| meant(one)) {
        let readings = std::mem::take(&mut hypothesis.claim.readings).into_iter();
        let own: Vec<FindingRef> = readings.map(|one| findings.add(one)).collect();
        hypothesis.claim.evidence.splice(0..0, own);
    }
}

/// Findings with their ids, so that a cause can refer to them.
struct NumberedFindings {
    findings: Vec<Finding>,
    ids: Vec<String>,
}

impl NumberedFindings {
    fn new(findings: Findings) -> Self {
        let (findings, ids) = findings.number();
        Self { findings, ids }
    }

    fn reason(&self, reference: FindingRef) -> Reason {
        let id = &self.ids[reference.0];
        let finding = self.findings.iter().find(|finding| finding.id == *id);
        let text = finding.map_or_else(String::new, |finding| finding.text.clone());
        Reason { finding: id.clone(), text }
    }
}

fn verdict(
    mut observed: ObservedWindow<'_>,
    hypotheses: &[Hypothesis<'_>],
    modes: &[Mode],
) -> Verdict {
    let evidence = observed.evidence;
    let mut unchecked = open_questions(&observed, hypotheses, modes);
    let sees_enough = unchecked.is_empty();
    for missing in missing_sources(evidence, modes) {
        if !unchecked.contains(&missing) {
            unchecked.push(missing);
        }
    }
    let numbered = NumberedFindings::new(std::mem::take(&mut observed.findings));
    let mut causes = standing(Nature::Fault, hypotheses, evidence, &numbered);
    causes.sort_by(|a, b| {
        let confidence = b.confidence.total_cmp(&a.confidence);
        confidence.then_with(|| (a.onset_ms, &a.target).cmp(&(b.onset_ms, &b.target)))
    });
    let mut changes = standing(Nature::Change, hypotheses, evidence, &numbered);
    changes.sort_by(|a, b| (a.onset_ms, &a.target, a.mode).cmp(&(b.onset_ms, &b.target, b.mode)));
    let mut findings = numbered.findings;
    date_by_clocks(evidence, &mut causes, &mut changes, &mut findings);
    add_consequences(&mut causes, &findings);
    let silent = match causes.is_empty() && sees_enough {
        true => silent_for_no_reason(evidence, &changes),
        false => Vec::new(),
    };
    let outcome = match (causes.is_empty(), sees_enough && silent.is_empty()) {
        (false, _) => Outcome::Fault,
        (true, true) => Outcome::NoFault,
        (true, false) => Outcome::CannotTell,
    };
    let first = causes.first().or(changes.first());
    let alternatives = alternatives(&observed, hypotheses, first, &findings);
    let (unknown, silent) = (in_short(evidence, &unchecked, modes), silent_just_now(evidence));
    Verdict {
        schema: SCHEMA,
        outcome,
        as_of_ms: evidence.as_of,
        summary: summary(outcome, &causes, &changes, (&unchecked, &unknown), &silent),
        damage: evidence.loss.as_ref().map(Damaged::new),
        clocks: evidence.clocks.text(),
        other_clusters: evidence.nodes.other_clusters.iter().map(Labels::to_string).collect(),
        clients: client_impact(&observed, &causes, &changes),
        causes,
        changes,
        alternatives,
        unchecked,
        silent,
        findings,
    }
}

/// The nodes that do not answer just now, but for those that a change is about.
fn silent_for_no_reason(evidence: &Evidence, changes: &[Cause]) -> Vec<SilentNode> {
    let mut silent = silent_just_now(evidence);
    silent.retain(|node| changes.iter().all(|change| change.target.name != node.name));
    silent
}

/// Where Prometheus's clock is not the recorder's, cites PD's answers at the instant under which they were
/// recorded, and widens what is said of onsets.
fn date_by_clocks(
    evidence: &Evidence,
    causes: &mut [Cause],
    changes: &mut [Cause],
    findings: &mut [Finding],
) {
    let clocks = &evidence.clocks;
    if clocks.agree() {
        return;
    }
    for cause in causes.iter_mut().chain(changes) {
        let more = clocks.uncertainty_at(cause.onset_ms);
        cause.began_by_onset &= more == 0;
        cause.onset_uncertainty_ms = cause.onset_uncertainty_ms.saturating_add(more);
    }
    for finding in findings {
        let more = clocks.uncertainty_at(finding.onset_ms);
        finding.onset_uncertainty_ms = finding.onset_uncertainty_ms.saturating_add(more);
        let by_recorder =
            |one: &&mut Citation| RECORDED.iter().any(|start| one.reference.starts_with(start));
        let recorded = finding.citations.iter_mut().filter(by_recorder);
        recorded.for_each(|one| one.at_ms = clocks.by_recorder(one.at_ms));
    }
}

/// What references to PD's answers, and to settings of stores, begin with: both are dated by the recorder.
const RECORDED: [&str; 2] = ["PD ", "settings "];

/// What would have to be observed before anybody can conclude that nothing is wrong.
fn open_questions(
    observed: &ObservedWindow<'_>,
    hypotheses: &[Hypothesis<'_>],
    modes: &[Mode],
) -> Vec<Unchecked> {
    let unexplained = hypotheses.iter().filter(|one| !matches!(one.role, Role::Follows(_)));
    let mut open: Vec<Unchecked> =
        unexplained.filter_map(|one| one.claim.depends_on.clone()).collect();
    open.extend(unseen_requests(observed.evidence, &observed.rises));
    open.extend(load_without_baseline(observed));
    open.extend(blind_spots(observed.evidence, modes));
    open
}

/// The hypotheses of one nature that stand, in their order.
fn standing(
    nature: Nature,
    hypotheses: &[Hypothesis<'_>],
    evidence: &Evidence,
    numbered: &NumberedFindings,
) -> Vec<Cause> {
    let all = hypotheses.iter().enumerate();
    let of_nature = all.filter(|(_, one)| one.stands() && one.mode.nature == nature);
    let with_consequences = of_nature.map(|(index, one)| {
        let following = hypotheses.iter().filter(|other| other.follows(index));
        Cause { explains: following.map(consequence).collect(), ..cause(one, evidence, numbered) }
    });
    with_consequences.collect()
}

/// A hypothesis as a cause or a change, without its consequences. Beside damage it is less sure.
fn cause(hypothesis: &Hypothesis<'_>, evidence: &Evidence, numbered: &NumberedFindings) -> Cause {
    let Hypothesis { mode, claim, .. } = hypothesis;
    let from = claim.onset.saturating_add_millis(-claim.onset_uncertainty_ms);
    let range = TimeRange::new(from, hypothesis.end(evidence.as_of));
    let damaged = unreadable_beside(evidence, range);
    let confidence = match damaged {
        Some(_) => CONFIDENT + (claim.confidence - CONFIDENT) * BESIDE_DAMAGE,
        None => claim.confidence,
    };
    let says = claim.says.clone().map_or(Cow::Borrowed(mode.meaning(claim.end)), Cow::Owned);
    Cause {
        mode: mode.name,
        says: match &claim.detail {
            Some(detail) => Cow::Owned(format!("{says}: {detail}")),
            None => says,
        },
        target: claim.target.clone(),
        onset_ms: claim.onset,
        onset_uncertainty_ms: claim.onset_uncertainty_ms,
        began_by_onset: claim.began_by_onset,
        end_ms: claim.end,
        confidence: in_hundredths(confidence),
        evidence: claim.evidence.iter().map(|reference| numbered.reason(*reference)).collect(),
        against: claim.against.clone(),
        unchecked: claim.unchecked.iter().cloned().chain(damaged).collect(),
        explains: Vec::new(),
        advice: Some(claim.advice.unwrap_or(mode.advice)),
    }
}

/// Confidences are printed with two digits.
fn in_hundredths(confidence: f64) -> f64 {
    (confidence * 100.0).round() / 100.0
}

fn consequence(hypothesis: &Hypothesis<'_>) -> Consequence {
    Consequence {
        what: hypothesis.mode.name.to_owned(),
        target: hypothesis.claim.target.clone(),
        onset_ms: hypothesis.claim.onset,
        text: hypothesis.mode.meaning(hypothesis.claim.end).to_owned(),
        finding: None,
    }
}

/// Lists beneath the first cause the findings that are no evidence of any cause and begin with or
/// after it, so that every common consequence of a fault has its place in the verdict.
fn add_consequences(causes: &mut [Cause], findings: &[Finding]) {
    let used: BTreeSet<String> =
        causes.iter().flat_map(|cause| cause.evidence.iter().map(|r| r.finding.clone())).collect();
    let Some(first) = causes.first_mut() else { return };
    for finding in findings.iter().filter(|finding| !used.contains(&finding.id)) {
        let slack = first.onset_uncertainty_ms + finding.onset_uncertainty_ms;
        let after = finding.onset_ms >= first.onset_ms.saturating_add_millis(-slack);
        let listed = first
            .explains
            .iter()
            .any(|one| one.onset_ms == finding.onset_ms && one.target == finding.target);
        if finding.kind.is_common_consequence() && after && !listed {
            first.explains.push(Consequence {
                what: finding.id.clone(),
                target: finding.target.clone(),
                onset_ms: finding.onset_ms,
                text: finding.text.clone(),
                finding: Some(finding.id.clone()),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Parts;
    use crate::diagnose::findings::finding::{FindingKind, Target};
    use crate::diagnose::findings::{Crossing, crossing};
    use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Need};
    use crate::diagnose::observations::series_table::tests::series;
    use crate::model::Timestamp;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// Ten minutes of one store that counts critical errors from the fifth minute on.
    fn damaged_store() -> Evidence {
        let steps = || (0..40).map(|step| step * 15);
        let up: Vec<(i64, f64)> = steps().map(|second| (second, 1.0)).collect();
        let errors = |second: i64| if second < 300 { 0.0 } else { second as f64 };
        let errors: Vec<(i64, f64)> = steps().map(|second| (second, errors(second))).collect();
        let labels =
            |name: &'static str| [("__name__", name), ("job", "tikv"), ("instance", "a:1")];
        let recorded =
            vec![series(&labels("up"), &up), series(&labels("tikv_critical_error_total"), &errors)];
        let window = TimeRange::new(at(0), at(600));
        Evidence::new(window, at(600), Parts { series: recorded, ..Parts::default() })
    }

    /// A mode that no other file knows of.
    const FLOODED_ROOM: Mode = Mode {
        name: "flooded_room",
        nature: Nature::Fault,
        depth: Depth::Presence,
        says: "the machine room is under water",
        said: Some("the machine room was under water"),
        subsumes: &[],
        never_explains: &[],
        needs: &[Need::PdMetrics],
        metrics: &["water_level_metres"],
        surest: 0.97,
        advice: Advice {
            check: "is the floor wet?",
            remedy: "pump (a change)",
            risk: "the pump stops",
            documentation: "https://example.org/",
            section: None,
        },
        judge: |_| {
            let mut claim = Claim::new(Target::cluster(), at(240), 15_000, 0.97);
            claim.readings.push(crossing(Crossing {
                kind: FindingKind::SilentToPd,
                target: Target::cluster(),
                range: TimeRange::new(at(240), at(600)),
                uncertainty_ms: 15_000,
                lasts: true,
                text: "water stands a metre high".to_owned(),
                read: ("water_level_metres", "1".to_owned()),
                plot: Vec::new(),
            }));
            vec![claim]
        },
    };

    fn judge_beside_the_catalogue(mode: Mode) -> Verdict {
        let modes: Vec<Mode> = ALL.iter().copied().chain([mode]).collect();
        judged(&damaged_store(), &modes)
    }

    fn modes_of(verdict: &Verdict) -> Vec<&str> {
        verdict.causes.iter().map(|cause| cause.mode).collect()
    }

    #[test]
    fn a_new_mode_is_claimed_ranked_and_shown_by_its_declaration_alone() {
        assert_eq!(modes_of(&diagnose(&damaged_store())), ["data_corruption"]);
        let verdict = judge_beside_the_catalogue(FLOODED_ROOM);
        assert_eq!(modes_of(&verdict), ["flooded_room", "data_corruption"]);
        assert_eq!(verdict.summary, "cluster: the machine room is under water; one more cause");
        assert_eq!(verdict.causes[0].evidence[0].text, "water stands a metre high");
        assert!(verdict.findings.iter().any(|one| one.id == verdict.causes[0].evidence[0].finding));
        let missing = verdict.unchecked.iter().find(|one| one.what.starts_with("PD's metrics"));
        assert!(missing.is_some_and(|one| one.what.ends_with(", flooded_room")), "{missing:?}");
    }

    #[test]
    fn what_is_said_of_several_nodes_is_summed_up_once() {
        let in_all_rooms = Mode {
            judge: |_| {
                let member = |name: &&str| Target::member(name, format!("{name}:2379"));
                let members = ["pd0", "pd1"].iter().map(member);
                members.map(|target| Claim::new(target, at(240), 15_000, 0.97)).collect()
            },
            ..FLOODED_ROOM
        };
        let verdict = judge_beside_the_catalogue(in_all_rooms);
        assert_eq!(modes_of(&verdict), ["flooded_room", "flooded_room", "data_corruption"]);
        let expected = "pd0, pd1: the machine room is under water; one more cause";
        assert_eq!(verdict.summary, expected);
    }

    #[test]
    fn a_new_mode_takes_its_place_among_the_others_by_its_properties() {
        let consequence = Mode { depth: Depth::Consequence, ..FLOODED_ROOM };
        let late = Mode {
            judge: |_| vec![Claim::new(Target::cluster(), at(330), 15_000, 0.97)],
            ..consequence
        };
        let verdict = judge_beside_the_catalogue(late);
        assert_eq!(modes_of(&verdict), ["data_corruption"]);
        assert_eq!(verdict.causes[0].explains[0].what, "flooded_room");

        let catalogued = ALL.iter().find(|mode| mode.name == "data_corruption").unwrap();
        let subsumes: &'static [&'static Mode] = Box::leak(Box::new([catalogued]));
        let greater = Mode {
            subsumes,
            judge: |observed| {
                let target = Target::store(&observed.evidence.nodes.stores[0]);
                vec![Claim::new(target, at(290), 15_000, 0.6)]
            },
            ..FLOODED_ROOM
        };
        let verdict = judge_beside_the_catalogue(greater);
        assert_eq!(modes_of(&verdict), ["flooded_room"]);
        assert_eq!(verdict.alternatives[0].mode, "data_corruption");
        assert_eq!(verdict.alternatives[0].lost, "flooded_room explains the same and more");

        let change = Mode { nature: Nature::Change, ..FLOODED_ROOM };
        let verdict = judge_beside_the_catalogue(change);
        assert_eq!(modes_of(&verdict), ["data_corruption"]);
        assert_eq!(verdict.changes[0].mode, "flooded_room");
    }

    #[test]
    fn a_mode_explains_no_depth_that_it_never_explains() {
        let harmless =
            Mode { nature: Nature::Change, never_explains: &[Depth::Consequence], ..FLOODED_ROOM };
        let late = Mode {
            name: "wet_cables",
            depth: Depth::Consequence,
            judge: |_| vec![Claim::new(Target::cluster(), at(330), 15_000, 0.97)],
            ..FLOODED_ROOM
        };
        let evidence = damaged_store();
        assert_eq!(modes_of(&judged(&evidence, &[harmless, late])), ["wet_cables"]);
        let harmful = Mode { never_explains: &[], ..harmless };
        assert_eq!(modes_of(&judged(&evidence, &[harmful, late])), Vec::<&str>::new());
    }

    fn judged(evidence: &Evidence, modes: &[Mode]) -> Verdict {
        judge(ObservedWindow::new(evidence), modes)
    }

    #[test]
    fn a_change_that_lasts_explains_what_begins_about_it_and_no_more() {
        let late = |judge: fn(&ObservedWindow<'_>) -> Vec<Claim>| Mode {
            name: "wet_cables",
            depth: Depth::Saturation,
            judge,
            ..FLOODED_ROOM
        };
        let decided = |judge: fn(&ObservedWindow<'_>) -> Vec<Claim>| Mode {
            nature: Nature::Change,
            judge,
            ..FLOODED_ROOM
        };
        let wet = late(|_| vec![Claim::new(Target::cluster(), at(330), 15_000, 0.97)]);
        let long_ago = decided(|_| vec![Claim::new(Target::cluster(), at(-400), 15_000, 0.97)]);
        let lately = decided(|_| vec![Claim::new(Target::cluster(), at(-200), 15_000, 0.97)]);
        let acting = decided(|_| {
            let mut claim = Claim::new(Target::cluster(), at(-400), 15_000, 0.97);
            claim.acted = Some(at(100));
            vec![claim]
        });
        let evidence = damaged_store();
        assert_eq!(modes_of(&judged(&evidence, &[long_ago, wet])), ["wet_cables"]);
        assert_eq!(modes_of(&judged(&evidence, &[lately, wet])), Vec::<&str>::new());
        assert_eq!(modes_of(&judged(&evidence, &[acting, wet])), Vec::<&str>::new());
    }

    #[test]
    fn every_mode_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = ALL.iter().map(|mode| mode.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
