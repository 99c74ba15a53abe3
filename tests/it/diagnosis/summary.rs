//! The summary of a replay: lines of eighty columns that leave nothing half said, and fit the first screen.

use std::process::Command;

/// The summary of a bundled run, up to the blank line after it.
fn summary(run: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_operator"))
        .args(["replay", run])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the program starts");
    let text = String::from_utf8(output.stdout).expect("it prints UTF-8");
    text.split("\n\n").next().expect("there is a summary").to_owned()
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn every_summary_is_short_says_what_to_do_and_cuts_nothing() {
    for number in 1..=10 {
        let text = summary(&format!("chaos-{number:02}"));
        assert!(text.lines().count() <= 18, "{text}");
        let has = |name: &str| text.lines().any(|line| line.starts_with(name));
        let is_over = text.starts_with("FAULT (over)");
        let remedy = if is_over { "  if it recurs: " } else { "  remedy: " };
        let has_advice = ["  check: ", remedy, "  risk: ", "  docs: "].into_iter().all(has);
        assert_eq!(text.starts_with("FAULT"), has_advice, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= 80 && !line.ends_with("..."), "{text}");
        }
        assert!(text.contains("FAULT"), "{text}");
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn long_headlines_and_reasons_go_on_in_the_next_line() {
    insta::assert_snapshot!(summary("chaos-07"), @"
    FAULT (over), 2026-11-25 UTC  store 1 (10.77.0.20:20160): the store ran and
      was cut off from PD and from its peers
      store_partition  03:10:01.765 -10.0s to 03:12:41.795 (2m40s),
        confidence 0.97
        no heartbeat reaches PD for 2m50s [F2]
        10 scrapes fail for 2m30s, given up after 10 s (median) [F4]
        store 4, store 5, store 6 cannot deliver raft messages to it [F3]
        then: the 15 regions that it led elect leaders elsewhere [F5], and 1 more
      clients: 559 requests a second before, as few as 216 during (586 on
        average), 559 after; p99 39.7 ms -> 37.2 ms -> 45 ms; no store counted a
        failure
      check: from another machine: nc -zv STORE 20160; from it: nc -zv PD 2379
      if it recurs: take back the rule, route or switch change that cut it (a
        change)
      risk: restarting TiKV mends no link; a second store cut breaks quorums
      docs: https://docs.pingcap.com/tidb/stable/tidb-troubleshooting-map (4.4)
      next: operator explain chaos-07 F2
    ");
    insta::assert_snapshot!(summary("chaos-05"), @"
    FAULT (over), 2026-11-24 UTC  workload: a few regions took most of the writes
      hot_region_write  16:59:36.660 ±15.0s to 17:03:05.358 (3m29s),
        confidence 0.95
        region 95 takes 98.1 % of the flow of writes, 5154 KB/s; the greatest
          before took 14 % [F4]
        requests rise from 561 to 2483 a second for 3m29s; store 1 314 -> 315,
          store 4 131 -> 2144, store 5 0 -> 4, store 6 110 -> 110 [F1]
      clients: 560 requests a second before, 2480 during (least 2028), 570 after;
        p99 5.91 ms -> 48.3 ms -> 9.89 ms; no store counted a failure; raw_get
        suffers (p99 1.6 ms -> 14.6 ms)
      check: pd-ctl hot write, then pd-ctl region ID for the keys of the first
      if it recurs: pd-ctl operator add split-region ID (a change); better: spread
        keys
      risk: a key that always grows heats the next region: change the schema
      docs: https://docs.pingcap.com/tidb/stable/troubleshoot-hot-spot-issues
      next: operator explain chaos-05 F1
    ");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_planned_change_is_shown_with_its_reasons_and_that_its_process_was_stopped() {
    let text = summary("chaos-06");
    assert!(text.starts_with("NO FAULT"), "{text}");
    assert!(text.contains("its process was stopped, and started"), "{text}");
    let planned = text.split_once("not a fault: planned_drain").expect("it is listed").1;
    assert!(planned.contains("[F"), "{text}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn of_what_is_over_no_command_shows_how_things_are_now() {
    let text = summary("chaos-03");
    assert!(
        text.starts_with("FAULT (over)") && text.contains("the store's disk was\n  slow\n"),
        "{text}"
    );
    assert!(!text.contains("next: ssh") && text.contains("next: operator explain"), "{text}");
}
