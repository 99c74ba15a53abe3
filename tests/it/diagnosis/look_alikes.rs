//! What verdicts on the bundled captures say a fault is not, and which flow a hot region is cited by.

use operator::diagnose::Verdict;
use operator::session::View;
use testkit::run::session;

fn verdict(name: &str) -> Verdict {
    let session = session(name);
    session.load(View::WHOLE).unwrap().verdict().unwrap()
}

fn lost(verdict: &Verdict, mode: &str) -> String {
    let found = verdict.alternatives.iter().find(|one| one.mode == mode);
    found.unwrap_or_else(|| panic!("{mode}: {:?}", verdict.alternatives)).lost.clone()
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_a_fault_is_not_is_told_with_what_tells_it_apart() {
    for (name, mode, apart) in [
        ("chaos-02", "store_pause", "its process started again"),
        ("chaos-03", "cpu_starved", "tikv_yatp_pool_schedule_wait_duration goes from 88.8 us to"),
        ("chaos-04", "pd_leader_transfer", "requests refused"),
        ("chaos-06", "store_crash", "leaders left it while it was well"),
        ("chaos-07", "store_crash", "its own counters went on"),
        ("chaos-08", "store_partition", "its own counters stood still"),
        ("chaos-09", "hot_region_write", "requests rise from 562 to 1068 a second"),
    ] {
        let lost = lost(&verdict(name), mode);
        assert!(lost.starts_with(apart) || lost.contains(apart), "{name}: {lost}");
        assert!(lost.contains("; if it were that, "), "{name}: {lost}");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_quiet_run_has_nothing_that_it_might_have_been() {
    assert_eq!(verdict("chaos-01").alternatives, []);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_claim_that_lost_says_what_spoke_against_it() {
    let lost = lost(&verdict("chaos-05"), "slow_disk");
    assert!(lost.contains("it began while the load was up"), "{lost}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_write_hotspot_cites_the_flow_of_writes() {
    let verdict = verdict("chaos-05");
    let citations = verdict.findings.iter().flat_map(|finding| &finding.citations);
    let flows: Vec<&str> = citations
        .map(|one| one.reference.as_str())
        .filter(|reference| reference.contains("flow") || reference.contains("/hotspot/"))
        .collect();
    assert_eq!(flows, ["PD /regions/writeflow"]);
}
