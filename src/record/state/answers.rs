//! What nodes say that are asked something while a recording runs.

use super::RecordingState;
use crate::record::copier::{OpenTick, lock};
use crate::record::log_attach::{AskedLog, put_log};
use crate::record::node_answer::NodeAnswer;

impl RecordingState<'_> {
    /// Takes in what a node has said. While the disk is full, that is dropped: who asks when an incident is over gets
    /// the lines of logs still.
    pub fn add_answer(&mut self, answer: &NodeAnswer) {
        self.check_clocks();
        if self.committer.is_short_of_space() {
            tracing::info!("the disk is full: what a node says is not kept");
            return;
        }
        let mut open_tick = lock(self.open_tick);
        let OpenTick { writer, tick, .. } = &mut *open_tick;
        match answer {
            NodeAnswer::Log(AskedLog::Read(extract)) => {
                put_log(writer, tick, extract);
            }
            NodeAnswer::Log(AskedLog::Unread(line)) => tick.events.push(line.to_event()),
            NodeAnswer::Profile(profile) => tick.events.push(profile.to_event()),
        }
    }
}
