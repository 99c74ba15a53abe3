//! Faults that do not come alone: two at different nodes, the same at two stores, beside something
//! that was planned, too short or too early for a baseline, and PD without a majority.

use operator::model::{GapReason, TimeRange};

use testkit::run::Run;

use super::faults::{Fault, MEMBERS, load_faults, member_faults, store_faults};
use super::{Case, Tally, Truth};

/// Past the end of every run.
const END: i64 = 10_000;

/// A fault at a node.
struct Placed<'a> {
    fault: &'a Fault,
    node: usize,
    target: String,
    from: i64,
    to: i64,
}

impl Placed<'_> {
    fn lay(&self, run: &mut Run) {
        (self.fault.lay)(run, self.node, self.from, self.to);
    }

    fn truth(&self) -> Truth {
        Truth {
            modes: self.fault.modes,
            broader: self.fault.broader,
            target: self.target.clone(),
            // Nobody sees what was before the window.
            from: self.from.max(0),
        }
    }
}

/// Those of a kind with these names.
fn named(faults: Vec<Fault>, names: &[&str]) -> Vec<Fault> {
    faults.into_iter().filter(|fault| names.contains(&fault.name)).collect()
}

const INSIDE: [&str; 4] = ["disk 200 ms", "link 60 ms", "cpu 50 ms", "disk full 1 %"];
const AWAY: [&str; 4] = ["crash", "pause", "partition", "pd partition"];

/// Lays all of them over a quiet run.
pub fn lay_over(tally: &mut Tally, base: &str, run: &Run, only: &str) {
    for (group, lay) in [
        ("two at once", two as fn(&mut Tally, &str, &str, &Run)),
        ("the same twice", same_twice),
        ("beside a plan", beside_a_plan),
        ("short", short),
        ("too early", too_early),
        ("no majority of pd", no_majority),
    ] {
        if group.contains(only) {
            lay(tally, group, base, run);
        }
    }
}

/// Two faults at different nodes, the second with the first or some time after.
fn two(tally: &mut Tally, group: &str, base: &str, run: &Run) {
    let inside = named(store_faults(), &INSIDE);
    let away = named(store_faults(), &AWAY);
    let of_members =
        named(member_faults(), &["member refused", "member log 20 ms", "member link 200 ms"]);
    let leader = run.leader();
    let follower = MEMBERS.iter().position(|name| *name != leader).expect("there are three");
    let firsts = inside.iter().chain(&away);
    for first in firsts {
        for (offset, first_node) in [(0, 0), (20, 2), (100, 1)] {
            let second_node = (first_node + 1) % run.stores().len();
            let others = inside.iter().chain(&away).filter(|other| other.name != first.name);
            let mut seconds: Vec<(&Fault, usize, String)> =
                others.map(|other| (other, second_node, run.store(second_node).2)).collect();
            seconds.extend(of_members.iter().map(|f| (f, follower, MEMBERS[follower].to_owned())));
            for (second, node, target) in seconds {
                let (from, to) = (200, 330);
                let target_a = run.store(first_node).2;
                let a = Placed { fault: first, node: first_node, target: target_a, from, to };
                let b =
                    Placed { fault: second, node, target, from: from + offset, to: to + offset };
                let mut run = run.clone();
                a.lay(&mut run);
                b.lay(&mut run);
                let name = format!(
                    "{base} {} node {first_node}, {} {offset} s later",
                    first.name, second.name
                );
                tally.take(group, &Case { name, run, truths: vec![a.truth(), b.truth()] });
            }
        }
    }
}

/// Two stores that something befalls at once.
fn same_twice(tally: &mut Tally, group: &str, base: &str, run: &Run) {
    for fault in named(store_faults(), &INSIDE).iter().chain(&named(store_faults(), &AWAY)) {
        for nodes in [[0, 1], [1, 2], [0, 3]] {
            if nodes[1] >= run.stores().len() {
                continue;
            }
            let placed = nodes.map(|node| {
                let target = run.store(node).2;
                Placed { fault, node, target, from: 200, to: 330 }
            });
            let mut run = run.clone();
            placed.iter().for_each(|one| one.lay(&mut run));
            let mut truths: Vec<Truth> = placed.iter().map(Placed::truth).collect();
            // Where they hold most peers of a region, that says both.
            if let [cause] = run.verdict().causes.as_slice()
                && cause.mode == "region_unavailable"
            {
                let target = "cluster".to_owned();
                let modes: &[&str] = &["region_unavailable"];
                truths = vec![Truth { modes, broader: &[], target, from: 200 }];
            }
            let name = format!("{base} {} nodes {nodes:?}", fault.name);
            tally.take(group, &Case { name, run, truths });
        }
    }
}

/// Something that was decided around the time of a fault elsewhere.
fn beside_a_plan(tally: &mut Tally, group: &str, base: &str, run: &Run) {
    type Plan = fn(&mut Run, usize, i64);
    let plans: [(&str, Plan); 5] = [
        ("drain", drain),
        ("removal", remove),
        ("transfer", |run, _, from| {
            let leader = run.leader();
            let next = MEMBERS.iter().find(|name| **name != leader).expect("there are three");
            run.move_pd_leader(next, run.at(from));
        }),
        ("config", |run, _, from| {
            run.bodies("/v1/config", run.range(from, END), |_, body| {
                if body["schedule"].is_object() {
                    body["schedule"]["leader-schedule-limit"] = 8.into();
                }
            });
        }),
        ("scrape loss", |run, index, from| {
            let (_, instance, _) = run.store(index);
            run.fail_scrapes(&instance, run.range(from, from + 60), 10.0);
        }),
    ];
    let faults: Vec<Fault> = store_faults()
        .into_iter()
        .filter(|fault| {
            INSIDE.contains(&fault.name) || AWAY.contains(&fault.name) || fault.name == "restart 20"
        })
        .collect();
    for fault in &faults {
        for (what, plan) in plans {
            for at in [130, 200, 230] {
                let target = run.store(0).2;
                let placed = Placed { fault, node: 0, target, from: 200, to: 330 };
                let mut run = run.clone();
                plan(&mut run, 2, at);
                placed.lay(&mut run);
                let name = format!("{base} {} with {what} at {at}", fault.name);
                tally.take(group, &Case { name, run, truths: vec![placed.truth()] });
            }
        }
    }
    for fault in &named(load_faults(), &["surge 2.5"]) {
        for (what, plan) in plans.into_iter().filter(|(what, _)| *what != "removal") {
            let target = "workload".to_owned();
            let placed = Placed { fault, node: 0, target, from: 200, to: 330 };
            let mut run = run.clone();
            plan(&mut run, 2, 130);
            placed.lay(&mut run);
            let name = format!("{base} {} with {what}", fault.name);
            tally.take(group, &Case { name, run, truths: vec![placed.truth()] });
        }
    }
}

/// A store's leaders are led away, by a scheduler.
fn drain(run: &mut Run, index: usize, from: i64) {
    run.bodies("/schedulers", run.range(from, END), |_, body| {
        if let Some(names) = body.as_array_mut().filter(|names| !names.is_empty()) {
            names.push("evict-leader-scheduler".into());
        }
    });
    let (id, ..) = run.store(index);
    run.store_entries(id, run.range(from + 10, END), |_, store| {
        store["status"]["leader_count"] = 0.into();
    });
}

/// A store is being removed.
fn remove(run: &mut Run, index: usize, from: i64) {
    let (id, ..) = run.store(index);
    run.store_entries(id, run.range(from, END), |_, store| {
        store["store"]["state_name"] = "Offline".into();
        store["store"]["node_state"] = 2.into();
    });
}

/// What is strong shows in half a minute to a minute.
fn short(tally: &mut Tally, group: &str, base: &str, run: &Run) {
    let names = ["disk 200 ms", "disk 1 s", "link 300 ms", "cpu 300 ms"];
    for fault in &named(store_faults(), &names) {
        for node in 0..run.stores().len() {
            for (from, to) in [(200, 232), (205, 250), (211, 256)] {
                let placed = Placed { fault, node, target: run.store(node).2, from, to };
                let mut run = run.clone();
                placed.lay(&mut run);
                let name = format!("{base} {} node {node} {from}-{to}", fault.name);
                tally.take(group, &Case { name, run, truths: vec![placed.truth()] });
            }
        }
    }
}

/// Begun before anything was normal: it may be missed, and nobody else may be blamed.
fn too_early(tally: &mut Tally, group: &str, base: &str, run: &Run) {
    let faults = named(store_faults(), &INSIDE);
    let away = named(store_faults(), &AWAY);
    for fault in faults.iter().chain(&away) {
        for node in 0..run.stores().len() {
            for (from, to) in [(-60, 60), (-60, 200), (20, 120), (35, 100)] {
                let placed = Placed { fault, node, target: run.store(node).2, from, to };
                let mut run = run.clone();
                placed.lay(&mut run);
                let name = format!("{base} {} node {node} {from}-{to}", fault.name);
                let mut truth = placed.truth();
                if fault.name == "crash" && (from < 0 || to - from < 80) {
                    // For how long it had been away cannot be seen, or it was no longer than a restart.
                    truth.broader = &["store_restart"];
                }
                tally.take(group, &Case { name, run, truths: vec![truth] });
            }
        }
    }
}

/// Two members of three, dead or silent, whichever leads.
fn no_majority(tally: &mut Tally, group: &str, base: &str, run: &Run) {
    for missing in [[0, 1], [0, 2], [1, 2]] {
        for reason in [GapReason::Connect, GapReason::Timeout] {
            for (from, to) in [(65, 125), (200, 240), (300, END)] {
                let mut run = run.clone();
                let range: TimeRange = run.range(from, to);
                for member in missing {
                    let instance = run.instance_of_member(MEMBERS[member]);
                    run.silence_member(MEMBERS[member], range, reason);
                    let took = if reason == GapReason::Connect { 0.001 } else { 10.0 };
                    run.fail_scrapes(&instance, range, took);
                }
                let target = "pd".to_owned();
                let truth = Truth { modes: &["pd_quorum_loss"], broader: &[], target, from };
                let name = format!("{base} {missing:?} {reason:?} {from}-{to}");
                tally.take(group, &Case { name, run, truths: vec![truth] });
            }
        }
    }
}
