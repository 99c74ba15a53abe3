//! How the incidents of PD show.

use operator::model::Labels;
use serde_json::json;

use crate::incidents::LEADERS_TARGET;
use crate::incidents::changes::{At, add, add_gauge, set};
use crate::run::Run;

/// An hour is ours.
pub fn timestamps_ahead(run: &mut Run) {
    let ahead_ms = 3_600_000.0;
    let timestamp = At {
        keep: |labels| labels.get("type") == Some("tso"),
        ..At::one("pd_cluster_tso", LEADERS_TARGET)
    };
    add(run, timestamp, |_| ahead_ms);
    add(run, At::one("pd_cluster_tso_gap_millionseconds", LEADERS_TARGET), |_| -ahead_ms);
}

/// Gives stores so many regions, and so many leaders among them.
fn hold(run: &mut Run, counts: [(u64, u64); 4]) {
    let whole = run.window;
    for (index, (regions, leaders)) in counts.into_iter().enumerate() {
        let (id, instance, _) = run.store(index);
        run.store_entries(id, whole, |_, store| {
            store["status"]["region_count"] = regions.into();
            store["status"]["leader_count"] = leaders.into();
        });
        for (kind, count) in [("region", regions), ("leader", leaders)] {
            let is_kind = |labels: &Labels| labels.get("type") == Some(kind);
            let metric = "tikv_raftstore_region_count";
            run.set_where(metric, &instance, whole, count as f64, is_kind);
        }
    }
    let led: u64 = counts.iter().map(|(_, leaders)| leaders).sum();
    run.bodies("/regions/count", whole, |_, body| *body = json!({ "count": led }));
}

/// Four of the five stores of the thread.
pub fn leads_next_to_nothing(run: &mut Run) {
    hold(run, [(61_517, 22_199), (66_421, 24_980), (63_156, 22_650), (60_912, 1_278)]);
}

/// Six thousand regions, of which some are of a kind that PD counts.
fn kind_of_regions(run: &mut Run, kind: &'static str, count: f64) {
    hold(run, [(4_500, 1_500); 4]);
    let whole = run.window;
    run.set_where("pd_regions_status", LEADERS_TARGET, whole, count, |labels| {
        labels.get("type") == Some(kind)
    });
}

/// That there are four thousand is ours.
pub fn empty_regions_stay(run: &mut Run) {
    kind_of_regions(run, "empty-region-count", 4_000.0);
}

/// That there are three hundred is ours.
pub fn too_large_regions_stay(run: &mut Run) {
    kind_of_regions(run, "oversized-region-count", 300.0);
}

/// That there are three hundred is ours; that an operator times out after 17 minutes is the thread's.
pub fn orphan_peers_stay(run: &mut Run) {
    kind_of_regions(run, "extra-peer-region-count", 300.0);
    let whole = run.window;
    let pairs = [
        ("__name__", "pd_schedule_operators_count"),
        ("event", "timeout"),
        ("instance", LEADERS_TARGET),
        ("job", "pd"),
        ("type", "replace-rule-down-peer"),
    ];
    add_gauge(run, &pairs, |at| 20.0 * ((at - whole.start) / 1_020_000) as f64);
}

/// A third of the stores is low on space in the thread; that 15 % and 60 % are free is ours.
pub fn little_space_beside_plenty(run: &mut Run) {
    let whole = run.window;
    run.leave_free(0, whole, 0.15);
    (1..4).for_each(|index| run.leave_free(index, whole, 0.6));
    let low = At {
        keep: |labels| {
            labels.get("type") == Some("store_low_space_count") && labels.get("store") == Some("1")
        },
        ..At::one("pd_cluster_status", LEADERS_TARGET)
    };
    set(run, low, whole, 1.0);
}
