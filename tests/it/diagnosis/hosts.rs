//! Machines, Kubernetes and probes beside the bundled runs: what they say is evidence, and what is quiet changes
//! nothing.

use operator::diagnose::{Citation, Verdict};
use operator::model::is_stale;
use testkit::run::Run;
use testkit::worlds::WORLDS;

use super::told;

/// A run in a world, and its verdict.
fn judged(world: &str, run: &str) -> (Run, Verdict) {
    let world = WORLDS.iter().find(|one| one.name == world).expect("the world is listed");
    let mut run = Run::load(run);
    (world.change)(&mut run);
    let verdict = run.verdict();
    (run, verdict)
}

/// The names and values of a selector of equal labels; `None` for any other expression.
fn pairs(selector: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let (metric, rest) = selector.split_once('{')?;
    if metric.contains([' ', '(']) {
        return None;
    }
    let pairs = rest.strip_suffix("\"}")?.split("\",");
    Some((metric, pairs.filter_map(|pair| pair.split_once("=\"")).collect()))
}

/// Whether a sample of the run is what is cited; `None` where it was computed of several.
fn is_held(run: &Run, citation: &Citation) -> Option<bool> {
    let (metric, pairs) = pairs(&citation.reference)?;
    let series = run.series.iter().filter(|one| {
        one.labels.metric() == metric
            && pairs.iter().all(|(name, value)| one.labels.get(name) == Some(value))
    });
    let mut samples = series.flat_map(|one| &one.samples);
    Some(samples.any(|sample| sample.at == citation.at_ms && !is_stale(sample.value)))
}

/// What worlds say beyond the lab: the world, the end of what the cause says, and a part of its evidence.
const TOLD: [(&str, &str, &str); 10] = [
    ("pod-oom-killed", "killed for its memory", "its container ended: OOMKilled, exit code 137"),
    (
        "pod-exited",
        "it ended by itself, with exit code 1",
        "its container ended: Error, exit code 1",
    ),
    (
        "machine-oom-killed",
        "killed for its memory",
        "killed a process for want of memory; 2003 MiB were available before",
    ),
    ("machine-rebooted", "its machine started anew", "its machine started anew at "),
    ("machine-unreachable", "cut off from PD and from its peers", "its host does not answer: "),
    ("machine-disk-slow", "the store's disk was slow", "its machine's disk takes 4"),
    (
        "machine-read-only",
        "a file system of its machine became read-only",
        "the file system at /data became read-only",
    ),
    ("machine-clock-off", "with the others'", "its machine's clock is off by 1.7 s"),
    (
        "pod-throttled",
        "the CPU that it asked for",
        " of the CPU periods of its container are throttled, ",
    ),
    ("probes-slow", "slow or lost packets", "a probe of it takes 41"),
];

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_a_machine_or_kubernetes_says_is_told_and_cited() {
    for (name, says, evidence) in TOLD {
        let world = WORLDS.iter().find(|one| one.name == name).expect("the world is listed");
        let (of, wanted) = world.told.expect("it says more than the lab");
        let (run, verdict) = judged(name, of);
        let causes: Vec<&str> = verdict.causes.iter().map(|cause| cause.mode).collect();
        assert_eq!(causes.len(), 1, "{name}: {}", told(&verdict));
        assert!(wanted.contains(causes[0]), "{name}: {}", told(&verdict));
        let cause = &verdict.causes[0];
        assert!(cause.says.ends_with(says), "{name}: {}", cause.says);
        let reason = cause.evidence.iter().find(|one| one.text.contains(evidence));
        let reason = reason.unwrap_or_else(|| panic!("{name}: {:?}", cause.evidence));
        let finding = verdict.findings.iter().find(|one| one.id == reason.finding);
        let finding = finding.expect("evidence is a finding");
        assert!(!finding.citations.is_empty(), "{name}");
        for citation in &finding.citations {
            assert_ne!(is_held(&run, citation), Some(false), "{name}: {citation:?}");
        }
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn exporters_that_say_nothing_change_nothing() {
    for (quiet, same) in [("kubernetes-quiet", "service-monitor"), ("machines-quiet", "tiup")] {
        for run in ["chaos-01", "chaos-02", "chaos-03", "chaos-08"] {
            let text = |world: &str| serde_json::to_string_pretty(&judged(world, run).1);
            assert_eq!(text(quiet).ok(), text(same).ok(), "{run} in {quiet}");
        }
    }
}

#[test]
fn a_container_that_ended_by_itself_was_not_killed_for_memory() {
    let verdict = |code: Option<f64>| {
        let mut run = Run::load("chaos-02");
        let (id, instance, _) = run.store(store_4(&run));
        let died = died(&run, &instance);
        // Memory that multiplied in the minute before looks like a kill at a limit.
        run.each("process_resident_memory_bytes", Some(&instance), |_, samples| {
            for sample in samples.iter_mut().filter(|sample| sample.at < died) {
                let left = (died - sample.at) as f64 / 1000.0;
                sample.value *= if left < 60.0 { 1.0 + 4.0 * (60.0 - left) / 60.0 } else { 1.0 };
            }
        });
        if let Some(code) = code {
            testkit::worlds::pod_ended(&mut run, id, "Error", code);
        }
        run.verdict()
    };
    assert_eq!(verdict(None).causes[0].mode, "oom_kill", "{}", told(&verdict(None)));
    let exited = verdict(Some(1.0));
    assert_eq!(exited.causes[0].mode, "store_crash", "{}", told(&exited));
}

fn store_4(run: &Run) -> usize {
    run.stores().iter().position(|(id, _)| *id == 4).expect("it is listed")
}

/// The first scrape of a target that failed.
fn died(run: &Run, instance: &str) -> operator::model::Timestamp {
    let own = |one: &&operator::model::Series| {
        one.labels.metric() == "up" && one.labels.get("instance") == Some(instance)
    };
    let up = run.series.iter().find(own).expect("it is scraped");
    up.samples.iter().find(|sample| sample.value == 0.0).expect("a scrape fails").at
}
