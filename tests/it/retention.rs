//! Hours of a recording in segments: seconds of the campaign `hostile retention`.

use std::path::Path;

use testkit::clock::wall_clock;
use testkit::retention::{LongRecording, run};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn hours_in_segments_lose_no_sample_and_hold_no_more_and_more() {
    let retained = LongRecording {
        capture: Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-10.capture"),
        series: 60,
        hours: 10,
        speed: 2_400,
        keep_hours: 2,
    };
    let tally = run(&retained, wall_clock()).await.expect("it can be recorded");
    assert!(tally.sealed >= 6 && tally.dropped >= 3, "{tally:?}");
    assert!(tally.samples > 50_000, "{tally:?}");
    assert_eq!(tally.found, tally.samples, "{tally:?}");
    assert!(tally.apart_ms < 0, "{tally:?}");
    assert!(tally.held.iter().all(|held| held.captures <= 5), "{tally:?}");
}
