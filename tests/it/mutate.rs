//! Damaged captures: seconds of the campaign `mutate`, and files that end early.

use std::path::Path;

use operator::capture::{CaptureReader, verify};

use testkit::limits::Memory;
use testkit::mutate::{self, resealed};

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn damaged_captures_neither_crash_a_reader_nor_pass_in_silence() {
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    std::fs::copy(data.join("chaos-10.capture"), scratch.path().join("chaos-10.capture"))
        .expect("a bundled capture can be copied");
    let tally = mutate::run(scratch.path(), 300, 3, Memory::Unwatched)
        .expect("no damage passes in silence");
    let counts: Vec<u32> = tally.mutants.values().flatten().copied().collect();
    assert_eq!(counts.iter().sum::<u32>(), 300);
    assert!(tally.samples_read > tally.samples_of_damaged / 2, "{tally:?}");
}

/// A folder with one of the bundled captures.
fn one_capture() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    std::fs::copy(data.join("chaos-10.capture"), folder.path().join("chaos-10.capture"))
        .expect("a bundled capture can be copied");
    folder
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn captures_that_were_altered_and_sealed_again_neither_crash_nor_hang_a_command() {
    let tally = resealed::run(one_capture().path(), 60, 3, Memory::Unwatched)
        .expect("every command ends in bounds");
    for (command, [taken, refused]) in &tally.commands {
        assert_eq!(taken + refused, 60, "{command}");
    }
    let [read, refused] = tally.commands["show"];
    assert!(read > refused, "decoders are reached: {tally:?}");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn the_program_ends_with_a_documented_code_whatever_a_capture_says() {
    let program = Path::new(env!("CARGO_BIN_EXE_operator"));
    let exits = resealed::run_processes(one_capture().path(), program, 32, 3)
        .expect("every process ends with a documented code");
    assert_eq!(exits.values().flat_map(|codes| codes.values()).sum::<u32>(), 32);
}

#[test]
fn a_capture_that_ends_early_is_read_up_to_there() {
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let path = scratch.path().join("cut.capture");
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chaos-10.capture");
    let bytes = std::fs::read(&whole).expect("a bundled capture can be read");
    std::fs::write(&path, &bytes[..bytes.len() * 4 / 5]).expect("writes");
    assert_ne!(verify(&path).expect("the capture opens").damage, []);
    let reader = CaptureReader::open(&path).expect("opens");
    let held = reader.inventory().expect("what is inside can be told").targets;
    assert!(held.iter().any(|(_, _, samples)| *samples > 0), "{held:?}");
    assert_ne!(reader.damage(), []);
}
