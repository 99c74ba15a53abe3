//! The clock of those checks that record what happens now.

use std::time::SystemTime;

use operator::model::Timestamp;

/// The instant at which it is called, by the clock of this machine.
#[expect(clippy::disallowed_methods, reason = "what is recorded happens now")]
pub fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}
