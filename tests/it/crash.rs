//! A recorder that is killed, and a disk whose power fails: seconds of the campaigns `crash` and
//! `power`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use operator::model::Timestamp;

use crate::{crash_campaign, power_campaign};

fn capture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-10.capture")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the recorder that is killed records what happens now"
)]
pub fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_is_killed_loses_nothing_it_has_committed() {
    let campaign = crash_campaign::Campaign {
        operator: env!("CARGO_BIN_EXE_operator").into(),
        capture: capture(),
        times: 12,
        seed: 5,
    };
    let tally = crash_campaign::run(&campaign, wall_clock).await.expect("nothing is lost");
    assert_eq!(tally.kills.iter().sum::<u32>(), 12);
    assert!(tally.commits > 0 && tally.samples > 0, "{tally:?}");
}

#[test]
fn a_disk_whose_power_fails_holds_whole_ticks() {
    let tally = power_campaign::run(&capture(), 20, 5).expect("every image opens");
    assert!(tally.with_the_last_tick < tally.torn_logs, "{tally:?}");
}
