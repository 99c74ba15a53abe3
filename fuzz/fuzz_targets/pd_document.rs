//! Any answer of PD to any path.

#![no_main]

use libfuzzer_sys::fuzz_target;
use operator::pd::PdDocument;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |&byte| byte == b'\n');
    let route = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let path = format!("/pd/api/v1/{route}");
    // A body that is not what its path promises is an error, never a panic.
    let _ = PdDocument::parse(&path, parts.next().unwrap_or_default());
});
