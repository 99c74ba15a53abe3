//! The bundled runs as other deployments would have named and scraped them. The campaign `worlds` judges
//! every run in every world; here each world has one.

use operator::diagnose::{Outcome, Verdict};
use operator::model::StoreId;
use testkit::run::Run;
use testkit::worlds::{WORLDS, World};

use super::told;

const RUNS: [&str; 6] = ["chaos-02", "chaos-06", "chaos-03", "chaos-09", "chaos-08", "chaos-10"];

/// Outcome, modes and stores; a member of PD has another name in each world.
fn gist(verdict: &Verdict) -> (Outcome, Vec<(&str, Option<u64>)>) {
    let causes = verdict.causes.iter().map(|cause| (cause.mode, cause.target.store_id));
    (verdict.outcome, causes.collect())
}

fn judge(world: &World, name: &str) -> Verdict {
    let mut run = Run::load(name);
    (world.change)(&mut run);
    run.verdict()
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_run_has_the_verdict_of_the_lab_in_every_world() {
    let lab = RUNS.map(|name| (name, Run::load(name).verdict()));
    let alike = WORLDS.iter().filter(|world| world.lacks.is_none() && world.told.is_none());
    for (world, (name, lab)) in alike.zip(lab.iter().cycle()) {
        let now = judge(world, name);
        assert_eq!(gist(&now), gist(lab), "{name} in {}: {}", world.name, told(&now));
    }
}

#[test]
fn where_a_world_lacks_something_no_other_cause_is_named() {
    for world in WORLDS.iter().filter(|world| world.lacks.is_some()) {
        let verdict = judge(world, "chaos-09");
        let wrong = verdict.causes.iter().find(|cause| cause.mode != "traffic_surge");
        assert!(wrong.is_none(), "{}: {}", world.name, told(&verdict));
        assert_ne!(verdict.outcome, Outcome::NoFault, "{}: {}", world.name, told(&verdict));
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_store_and_the_one_that_replaced_it_keep_targets_of_their_own() {
    let worlds = WORLDS.iter().filter(|world| world.name.starts_with("node-replaced"));
    // In chaos-10 another store has a second target.
    for (world, name) in worlds.flat_map(|world| ["chaos-02", "chaos-10"].map(|name| (world, name)))
    {
        let mut run = Run::load(name);
        (world.change)(&mut run);
        let (evidence, verdict) = run.judged_at(run.window.end);
        let target = |id: u64| {
            let place = evidence.nodes.store(StoreId(id)).expect("it is listed");
            evidence.nodes.stores[place].instance.clone()
        };
        let own = [Some("10.77.9.1:20180".to_owned()), Some("10.77.9.2:20180".to_owned())];
        assert_eq!([target(9001), target(9002)], own, "{name} in {}", world.name);
        let lab = Run::load(name).verdict();
        assert_eq!(gist(&verdict), gist(&lab), "{name} in {}: {}", world.name, told(&verdict));
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn commands_reach_a_node_by_what_deployed_it() {
    let advised = |world: &str| {
        let world = WORLDS.iter().find(|one| one.name == world).expect("there is such a world");
        let verdict = judge(world, "chaos-03");
        let unchecked = verdict.causes.iter().flat_map(|cause| cause.unchecked.clone());
        unchecked.filter_map(|one| one.command).collect::<Vec<String>>()
    };
    assert_eq!(advised("lab"), ["ssh 10.77.0.23 'iostat -x 1 3'"]);
    let tiup = "tiup cluster exec prod -N 10.0.1.1 --command 'iostat -x 1 3'";
    assert_eq!(advised("tiup"), [tiup]);
    assert_eq!(advised("tiup-template"), [tiup]);
    assert_eq!(advised("compose"), ["iostat -x 1 3"], "containers share the machine's disk");
    let pod = "kubectl exec -n tidb basic-tikv-0 -- sh -c 'iostat -x 1 3'";
    assert_eq!(advised("operator-v1"), [pod]);
    assert_eq!(advised("agent-to-mimir"), ["ssh 10.0.1.23 'iostat -x 1 3'"]);
}

#[test]
fn after_a_step_back_every_citation_of_pd_is_an_answer() {
    for world in WORLDS.iter().filter(|world| world.name.starts_with("prometheus-steps-back")) {
        let mut run = Run::load("chaos-02");
        (world.change)(&mut run);
        let verdict = run.verdict();
        let cited = verdict.findings.iter().flat_map(|finding| &finding.citations);
        for citation in cited.filter(|one| one.reference.starts_with("PD ")) {
            let is_answer = |at| run.pd.iter().any(|one| one.observed() == at || one.sent == at);
            assert!(is_answer(citation.at_ms), "{}: {citation:?}", world.name);
        }
    }
}
