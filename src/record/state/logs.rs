//! Logs of nodes in a running recording.

use super::RecordingState;
use crate::record::copier::{OpenTick, lock};
use crate::record::log_attach::{AskedLog, put_log};

impl RecordingState<'_> {
    /// Takes in what a node that was asked for its log has said. While the disk is full, its lines are dropped:
    /// who asks when an incident is over gets them still.
    pub fn add_log(&mut self, asked: &AskedLog) {
        self.check_clocks();
        if self.committer.is_short_of_space() {
            tracing::info!("the disk is full: the log of a node is not kept");
            return;
        }
        let mut open_tick = lock(self.open_tick);
        let OpenTick { writer, tick, .. } = &mut *open_tick;
        match asked {
            AskedLog::Read(extract) => {
                put_log(writer, tick, extract);
            }
            AskedLog::Unread(line) => tick.events.push(line.to_event()),
        }
    }
}
