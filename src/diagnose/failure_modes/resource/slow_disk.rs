//! A store's disk is slow without more load.

use crate::diagnose::failure_modes::presence::store_pd_partition;
use crate::diagnose::failure_modes::resource::node_stage::{
    claim, slow_stores, weigh_load, without_unmeasured_stages,
};
use crate::diagnose::failure_modes::resource::pressure::{of_stage, shown_by};
use crate::diagnose::findings::finding::Target;
use crate::diagnose::hypotheses::mode::{Advice, Claim, Depth, Mode, Nature, Need};
use crate::diagnose::hypotheses::observed::ObservedWindow;
use crate::diagnose::observations::{Slow, Stage};

/// The declaration of this failure mode.
pub const MODE: Mode = Mode {
    name: "slow_disk",
    nature: Nature::Fault,
    depth: Depth::Resource,
    says: "the store's disk is slow",
    said: Some("the store's disk was slow"),
    // A store that writes for seconds misses heartbeats.
    subsumes: &[&store_pd_partition::MODE],
    never_explains: &[],
    needs: &[Need::TikvMetrics],
    metrics: &[
        "tikv_raftstore_disk_probe_duration_seconds_sum",
        "tikv_raftstore_disk_probe_duration_seconds_count",
        "raft_engine_sync_log_duration_seconds_sum",
        "raft_engine_sync_log_duration_seconds_count",
        "tikv_raftstore_store_write_raftdb_duration_seconds_sum",
        "tikv_raftstore_store_write_raftdb_duration_seconds_count",
        "tikv_raftstore_append_log_duration_seconds_sum",
        "tikv_raftstore_append_log_duration_seconds_count",
        "tikv_raftstore_slow_score",
        "tikv_grpc_msg_duration_seconds_count",
    ],
    surest: 0.95,
    advice: Advice {
        check: "on its machine: iostat -x 1 3, iotop -o: who else uses this disk?",
        remedy: "end the other user, or evict its leaders by pd-ctl (a change)",
        risk: "other stores take its load; the scheduler stays until removed",
        documentation: "https://docs.pingcap.com/tidb/stable/troubleshoot-high-disk-io",
        section: None,
    },
    judge,
};

fn judge(observed: &ObservedWindow<'_>) -> Vec<Claim> {
    let slow = slow_stores(observed, Stage::Device).map(|node| {
        let known = &observed.evidence.nodes.stores[node.node];
        let claim = claim(observed, node, Target::store(known), Stage::Device);
        let claim = without_unmeasured_stages(observed, node, Stage::Device, claim);
        let mut claim = weigh_load(observed, node, claim);
        claim.stores = vec![node.node];
        let shown = of_stage(observed, node, Stage::Device);
        claim = shown_by(observed, node, &shown, claim);
        // The times that the store measures around its writes include waiting for a thread.
        let device = ["disk_probe", "sync_log"];
        let measured = |slow: &Slow| device.iter().any(|name| slow.quantity.metric.contains(name));
        if shown.is_empty() && !node.slow.iter().any(measured) {
            claim.confidence -= 0.3;
            claim = claim.but("neither probes nor synced writes of the disk take longer");
        }
        if node.has(Stage::Threads) {
            claim = claim.but("its threads wait too: they could be what is slow, and the disk not");
        }
        if !shown.is_empty() {
            return claim;
        }
        let way = observed.evidence.nodes.way_to_store(node.node);
        claim.unchecked_now("the device itself", &way.run_on_machine("iostat -x 1 3"))
    });
    slow.collect()
}
