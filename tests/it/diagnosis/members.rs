//! Faults of PD's members, derived from the samples of a quiet run as those in `derived`.

use operator::diagnose::{Evidence, Outcome, Parts, diagnose};
use operator::model::{GapReason, PdAnswer, PdOutcome, TimeRange, Timestamp};

use super::derived::{FROM, TO, quiet};
use super::{assert_cause, assert_no_fault};
use testkit::run::Run;

/// A member that gives no answer to anybody.
fn silence(run: &mut Run, member: &str, from: i64, to: i64, refused: bool) {
    let instance = format!("10.77.0.1{}:2379", &member[2..]);
    let reason = if refused { GapReason::Connect } else { GapReason::Timeout };
    run.silence_member(member, run.range(from, to), reason);
    run.fail_scrapes(&instance, run.range(from, to), if refused { 0.001 } else { 10.0 });
}

#[test]
fn a_member_that_does_not_lead_is_a_follower() {
    for member in ["pd0", "pd1"] {
        let mut run = quiet();
        silence(&mut run, member, FROM, TO, true);
        assert_cause(&run.verdict(), "pd_follower_crash", member);
    }
}

/// The leader leaves requests unanswered, others take over, and it comes back unchanged.
#[test]
fn a_leader_that_is_silent_and_not_refused_is_paused() {
    let mut run = quiet();
    run.move_pd_leader("pd0", run.at(FROM + 15));
    silence(&mut run, "pd2", FROM, TO, false);
    assert_cause(&run.verdict(), "pd_leader_pause", "pd2");
}

/// A follower hands requests on to the leader, and is not what is lost while there is none.
#[test]
fn a_follower_that_waits_for_a_leader_is_not_told() {
    let mut run = quiet();
    run.move_pd_leader("pd0", run.at(FROM + 15));
    silence(&mut run, "pd2", FROM, TO, false);
    run.silence_member("pd1", run.range(FROM, FROM + 15), GapReason::Timeout);
    let verdict = run.verdict();
    assert_cause(&verdict, "pd_leader_pause", "pd2");
    assert!(verdict.changes.is_empty(), "{:?}", verdict.changes);
}

#[test]
fn a_leader_that_refuses_connections_crashed() {
    let mut run = quiet();
    run.move_pd_leader("pd0", run.at(FROM + 15));
    silence(&mut run, "pd2", FROM, TO, true);
    assert_cause(&run.verdict(), "pd_leader_crash", "pd2");
}

#[test]
fn without_a_majority_pd_has_no_quorum() {
    for refused in [true, false] {
        let mut run = quiet();
        silence(&mut run, "pd2", FROM, TO, refused);
        silence(&mut run, "pd1", FROM, TO, refused);
        let verdict = run.verdict();
        assert_cause(&verdict, "pd_quorum_loss", "pd");
        assert_eq!(verdict.causes[0].target.concerns, ["pd1", "pd2"]);
    }
}

#[test]
fn a_leader_that_goes_on_answering_handed_over() {
    let mut run = quiet();
    run.move_pd_leader("pd0", run.at(FROM));
    assert_no_fault(&run.verdict(), Some(("pd_leader_transfer", "pd2")));
}

/// A member whose log is synced slowly.
#[test]
fn a_member_with_a_slow_log_is_overloaded() {
    let mut run = quiet();
    let range = run.range(FROM, TO);
    for histogram in
        ["etcd_disk_wal_fsync_duration_seconds", "etcd_disk_backend_commit_duration_seconds"]
    {
        run.slow_down(histogram, "10.77.0.12:2379", range, 0.1);
    }
    assert_cause(&run.verdict(), "pd_overloaded", "pd2");
}

/// Probes between the member and each other take longer, both ways.
#[test]
fn a_member_behind_a_slow_link_is_named_and_not_its_peers() {
    let mut run = quiet();
    let range = run.range(FROM, TO);
    let histogram = "etcd_network_peer_round_trip_time_seconds";
    let of = |instance: &str| {
        let mut to: Vec<String> = run
            .series
            .iter()
            .filter(|one| one.labels.metric() == format!("{histogram}_count"))
            .filter(|one| one.labels.get("instance") == Some(instance))
            .filter_map(|one| one.labels.get("To").map(str::to_owned))
            .collect();
        to.sort();
        to
    };
    // The member that both others probe and that does not probe itself.
    let (a, b, c) = (of("10.77.0.10:2379"), of("10.77.0.11:2379"), of("10.77.0.12:2379"));
    let own = a.iter().find(|to| b.contains(to) && !c.contains(to)).expect("pd2's id").clone();
    let slow: Vec<(String, String)> = ["10.77.0.10:2379", "10.77.0.11:2379"]
        .iter()
        .map(|i| ((*i).to_owned(), own.clone()))
        .chain(c.iter().map(|to| ("10.77.0.12:2379".to_owned(), to.clone())))
        .collect();
    for (instance, to) in slow {
        let counts: Vec<(Timestamp, f64)> = run
            .series
            .iter()
            .find(|one| {
                one.labels.metric() == format!("{histogram}_count")
                    && one.labels.get("instance") == Some(&instance)
                    && one.labels.get("To") == Some(&to)
            })
            .map(|one| one.samples.iter().map(|s| (s.at, s.value)).collect())
            .expect("it is probed");
        run.each(&format!("{histogram}_sum"), Some(&instance), |labels, samples| {
            if labels.get("To") != Some(&to) {
                return;
            }
            let mut added = 0.0;
            for (index, sample) in samples.iter_mut().enumerate() {
                if index > 0 && range.contains(sample.at) {
                    added += (counts[index].1 - counts[index - 1].1) * 0.15;
                }
                sample.value += added;
            }
        });
    }
    assert_cause(&run.verdict(), "slow_network", "pd2");
}

/// A wrong URL of PD is nobody's death: nothing was ever heard of such a member.
#[test]
fn a_pd_that_never_answered_is_no_fault_and_cannot_be_told() {
    let at = |seconds: i64| Timestamp::from_millis(1_795_538_200_000 + seconds * 1_000);
    let refused = |seconds| PdAnswer {
        sent: at(seconds),
        member: "127.0.0.1:1".to_owned(),
        url: "http://127.0.0.1:1".to_owned(),
        path: "/pd/api/v1/health".to_owned(),
        elapsed_us: 300,
        outcome: PdOutcome::Failed {
            reason: GapReason::Connect,
            detail: "connection refused".to_owned(),
        },
    };
    let pd: Vec<PdAnswer> = (0..300).step_by(5).map(refused).collect();
    let window = TimeRange::new(at(0), at(300));
    let parts = Parts { pd: &pd, ..Parts::default() };
    let verdict = diagnose(&Evidence::new(window, window.end, parts));
    assert_eq!(verdict.outcome, Outcome::CannotTell, "{}", verdict.summary);
    let unchecked = verdict.unchecked.iter().map(|one| one.what.as_str());
    assert!(unchecked.into_iter().any(|what| what.starts_with("answers of PD's members")));
}
