//! A recorder that is killed, and a disk whose power fails: seconds of the campaigns `crash` and
//! `power`.

use std::path::{Path, PathBuf};

use testkit::clock::wall_clock;
use testkit::{crash, power_loss};

fn capture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-10.capture")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_recorder_that_is_killed_loses_nothing_it_has_committed() {
    let campaign = crash::Campaign {
        operator: env!("CARGO_BIN_EXE_operator").into(),
        capture: capture(),
        times: 12,
        seed: 5,
    };
    let tally = crash::run(&campaign, wall_clock).await.expect("nothing is lost");
    assert_eq!(tally.kills.iter().sum::<u32>(), 12);
    assert!(tally.commits > 0 && tally.samples > 0, "{tally:?}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_disk_whose_power_fails_holds_whole_ticks() {
    let tally = power_loss::run(&capture(), 20, 5).expect("every image opens");
    assert!(tally.with_the_last_tick < tally.torn_logs, "{tally:?}");
}
