//! `operator watch --profiles`: PD's leader dies, and that member alone is asked what its memory holds and what its
//! goroutines do, while the recording goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use operator::capture::{CaptureReader, verify};
use operator::model::{ProfileEvent, ProfileKind, TimeRange};
use testkit::clock::{ServerClock, wall_clock};
use testkit::process::interrupt;
use testkit::run::Run;

use super::playback::Playback;
use super::program::start;

/// When the watch begins in the run, in seconds: PD's leader dies at 226.
const BEGINS: i64 = 200;

/// The only capture in a folder.
fn capture(dir: &Path) -> Option<PathBuf> {
    let all = std::fs::read_dir(dir).expect("it is there");
    let mut all = all.filter_map(|entry| Some(entry.ok()?.path()));
    all.find(|path| path.extension().is_some_and(|one| one == "capture"))
}

fn profiles(dir: &Path) -> Vec<ProfileEvent> {
    let reader = capture(dir).and_then(|path| CaptureReader::open(&path).ok());
    let events = reader.and_then(|reader| reader.events().ok()).unwrap_or_default();
    events.iter().filter_map(ProfileEvent::of_event).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_fault_of_pd_takes_the_profiles_of_its_member_into_the_capture() {
    let mut run = Run::load("chaos-04");
    run.shift(wall_clock() - run.at(BEGINS));
    let never = TimeRange::new(run.window.start, run.window.start);
    let playback = Playback::start(run, ServerClock::Real, never).await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    // A member that lives on.
    let pd = playback.members.last().expect("there are three").url.clone();
    let mut watch = start(dir.path(), &playback.prometheus, &["--pd", &pd, "--profiles"]);
    let begun = wall_clock();
    while profiles(dir.path()).len() < 2 {
        assert!(wall_clock() - begun < 180_000, "no profile within three minutes");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    interrupt(&watch.0).expect("the program runs");
    assert!(watch.0.wait().expect("it ends").success());
    let path = capture(dir.path()).expect("it was recorded");
    assert_eq!(verify(&path).expect("it opens").damage, []);
    let held = profiles(dir.path());
    // Both may be of one instant, and are in no order then.
    for what in [ProfileKind::Heap, ProfileKind::Goroutines] {
        assert!(held.iter().any(|one| one.node == "pd0" && one.what == what), "{held:?}");
    }
    assert_eq!(held.len(), 2, "{held:?}");
    assert!(held.iter().all(|one| one.total > 0 && !one.stacks.is_empty()), "{held:?}");
}
