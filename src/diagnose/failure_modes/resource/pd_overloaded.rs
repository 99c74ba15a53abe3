//! A PD member cannot keep up: its etcd log is slow, or it lacks CPU.

use crate::diagnose::failure_modes::resource::node_stage::{claim, member_stage};
use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::mode::{Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::Stage;

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "pd_overloaded",
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the PD member cannot keep up: its log or its threads wait",
    subsumes: &[],
    never_explains: &[],
    needs: &[Need::PdMetrics],
    metrics: &[
        "etcd_disk_wal_fsync_duration_seconds_sum",
        "etcd_disk_wal_fsync_duration_seconds_count",
        "etcd_disk_backend_commit_duration_seconds_sum",
        "etcd_disk_backend_commit_duration_seconds_count",
        "go_sched_latencies_seconds_sum",
        "go_sched_latencies_seconds_count",
    ],
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let slow = observed.slow_members.iter().filter(|node| member_stage(node) != Stage::Network);
    slow.map(|node| {
        let name = &observed.member_names[node.node];
        let target = Target::member(name, observed.evidence.nodes.member_address(name));
        claim(observed, node, target, member_stage(node))
            .unchecked("the member's disk and CPU", "iostat -x 5 3; top -b -n 1 | head -20")
    })
    .collect()
}
