//! Any bytes as a capture, read as `verify`, `show` and `replay` do.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("fuzz.capture");
    std::fs::write(&path, bytes).expect("the directory is writable");
    testkit::mutate::read(&path);
});
