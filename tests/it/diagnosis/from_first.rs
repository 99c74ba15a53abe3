//! What is so from the first sample or answer on: it departs from no past, and partly from no peer.

use std::sync::LazyLock;

use operator::diagnose::{TargetKind, Verdict};
use operator::model::{Labels, TimeRange};
use serde_json::json;
use testkit::incidents::quiet;
use testkit::run::Run;

use super::{assert_cause, assert_no_fault};

static QUIET: LazyLock<Run> = LazyLock::new(quiet);

const PENDING: &str = "tikv_worker_pending_task_total";
const HANDLED: &str = "tikv_worker_handled_task_total";
const THREADS: &str = "tikv_thread_cpu_seconds_total";

/// The quiet run, with the metrics that failure modes name and some more.
fn lean(more: &[&str]) -> Run {
    let named = operator::diagnose::metrics();
    let mut run = QUIET.clone();
    run.series.retain(|one| {
        let metric = one.labels.metric();
        named.contains(&metric) || more.contains(&metric)
    });
    run
}

fn first_text(verdict: &Verdict) -> &str {
    verdict.causes[0].evidence[0].text.as_str()
}

/// Sets the queue of a worker at some of the stores.
fn queue(run: &mut Run, worker: &str, stores: &[usize], tasks: f64) {
    let whole = run.window;
    for index in stores {
        let (_, instance, _) = run.store(*index);
        run.set_where(PENDING, &instance, whole, tasks, |labels| {
            labels.get("name") == Some(worker)
        });
    }
}

/// Lets a counter of some of the stores rise by so much more a second all the while.
fn raise(
    run: &mut Run,
    metric: &str,
    stores: &[usize],
    per_second: f64,
    keep: fn(&Labels) -> bool,
) {
    let start = run.window.start;
    for index in stores {
        let (_, instance, _) = run.store(*index);
        run.each(metric, Some(&instance), |labels, samples| {
            for sample in samples.iter_mut().filter(|_| keep(labels)) {
                sample.value += per_second * (sample.at - start) as f64 / 1000.0;
            }
        });
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_queue_past_its_limit_at_all_stores_alike_is_told() {
    let mut run = lean(&[PENDING]);
    queue(&mut run, "cleanup-worker", &[0, 1, 2, 3], 5_000.0);
    let verdict = run.verdict();
    assert_cause(&verdict, "unexplained", "cluster");
    assert_eq!(verdict.causes[0].target.kind, TargetKind::Cluster);
    let text = first_text(&verdict);
    assert!(text.ends_with(" is 5000 from the beginning; at 4 nodes alike"), "{text}");
    let mut run = lean(&[PENDING]);
    queue(&mut run, "cleanup-worker", &[0, 1, 2, 3], 900.0);
    assert_no_fault(&run.verdict(), None);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn tasks_that_wait_by_littles_law_are_told() {
    let mut run = lean(&[PENDING, HANDLED]);
    let all = [0, 1, 2, 3];
    queue(&mut run, "region-worker", &all, 306.0);
    let of_worker = |labels: &Labels| labels.get("name") == Some("region-worker");
    raise(&mut run, HANDLED, &all[..1], 0.3, of_worker);
    raise(&mut run, HANDLED, &all[1..], 3.0, of_worker);
    let verdict = run.verdict();
    let (_, _, name) = run.store(0);
    assert_cause(&verdict, "unexplained", &name);
    let text = first_text(&verdict);
    assert!(text.contains(" makes each of 306 tasks wait for 15m"), "{text}");
    // Ten times as many are done.
    raise(&mut run, HANDLED, &all[..1], 2.7, of_worker);
    assert_no_fault(&run.verdict(), None);
}

/// Lets PD's leader count so many regions with a peer too many at each scrape, which are 15 s apart.
fn extra_peers(run: &mut Run, count: impl Fn(i64) -> f64) {
    let start = run.window.start;
    let leader = run.instance_of_member(&run.leader());
    run.each("pd_regions_status", Some(&leader), |labels, samples| {
        let is_meant = labels.get("type") == Some("extra-peer-region-count");
        for sample in samples.iter_mut().filter(|_| is_meant) {
            sample.value = count((sample.at - start) / 15_000);
        }
    });
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn regions_of_a_kind_that_never_become_fewer_are_told() {
    let mut run = lean(&[]);
    extra_peers(&mut run, |_| 300.0);
    let verdict = run.verdict();
    assert_cause(&verdict, "unexplained", "cluster");
    let text = first_text(&verdict);
    assert_eq!(text, "300 regions of the kind extra-peer, 300 at first, and never fewer");
    for counts in [|_: i64| 90.0, |scrape: i64| 1_000.0 - 5.0 * scrape as f64] {
        let mut run = lean(&[]);
        extra_peers(&mut run, counts);
        assert_no_fault(&run.verdict(), None);
    }
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_store_low_on_space_beside_plenty_is_told_while_pd_moves_nothing() {
    let mut run = lean(&[]);
    let whole = run.window;
    run.leave_free(0, whole, 0.15);
    (1..4).for_each(|index| run.leave_free(index, whole, 0.6));
    let (_, _, name) = run.store(0);
    assert_cause(&run.verdict(), "unexplained", &name);
    (1..4).for_each(|index| run.leave_free(index, whole, 0.3));
    assert_no_fault(&run.verdict(), None);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_thread_that_uses_a_whole_core_is_told() {
    let mut run = lean(&[]);
    let (_, _, name) = run.store(2);
    raise(&mut run, THREADS, &[2], 0.97, |labels| labels.get("name") == Some("cdc_0"));
    let verdict = run.verdict();
    assert_cause(&verdict, "unexplained", &name);
    assert!(first_text(&verdict).starts_with("thread cdc_0 uses a whole core"), "{verdict:?}");
    // These are meant to be busy.
    for keep in [
        |labels: &Labels| labels.get("name") == Some("rocksdb:low"),
        |labels: &Labels| labels.get("name") == Some("cleanup_worker_0"),
    ] {
        let mut run = lean(&[]);
        raise(&mut run, THREADS, &[2], 0.97, keep);
        assert_no_fault(&run.verdict(), None);
    }
}

/// Lets one region take all reads, with so many bytes a second, and PD move its leader every so many seconds.
fn heat(run: &mut Run, bytes: f64, moves_s: i64) {
    let whole = run.window;
    let stores: Vec<u64> = run.stores().into_iter().map(|(id, _)| id).collect();
    run.bodies("/hotspot/regions/read", whole, |at, body| {
        let turn = (at - whole.start) / (moves_s * 1_000);
        let store = stores[turn as usize % stores.len()];
        // What is the same as before is not an answer of its own.
        let bytes = bytes + ((at - whole.start) / 1_000) as f64;
        *body = json!({ "as_peer": {}, "as_leader": { store.to_string(): {
            "store_bytes": bytes, "store_keys": 20e3, "store_query": 4e3,
            "total_flow_bytes": bytes, "total_flow_keys": 20e3, "total_flow_query": 4e3,
            "regions_count": 1,
            "statistics": [{
                "store_id": store, "region_id": 2, "hot_degree": 60, "anti_count": 2,
                "flow_bytes": bytes, "flow_keys": 20e3, "flow_query": 4e3,
            }],
        }}});
    });
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_region_that_takes_most_of_the_flow_is_hot_where_it_is_much_or_where_moving_it_does_not_help() {
    let heated = |bytes, moves_s| {
        let mut run = lean(&[]);
        heat(&mut run, bytes, moves_s);
        run.verdict()
    };
    let (seldom_s, often_s) = (86_400, 120);
    assert_no_fault(&heated(20e6, seldom_s), None);
    assert_cause(&heated(20e6, often_s), "hot_region_read", "workload");
    assert_cause(&heated(40e6, seldom_s), "hot_region_read", "workload");
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn what_a_former_leader_of_pd_counted_is_no_trouble_now() {
    const STATUS: &str = "pd_regions_status";
    let counted_by = |member: &str| {
        let mut run = lean(&[]);
        let up = run
            .series
            .iter()
            .find(|one| one.labels.metric() == "up" && one.labels.get("instance") == Some(member));
        let mut one = up.expect("it is scraped").clone();
        let pairs = one.labels.iter().filter(|(name, _)| *name != "__name__");
        let pairs = pairs.chain([("__name__", STATUS), ("type", "down-peer-region-count")]);
        one.labels = Labels::from_pairs(&pairs.collect::<Vec<_>>());
        one.samples.iter_mut().for_each(|sample| sample.value = 3.0);
        run.series.push(one);
        run.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        run.verdict()
    };
    assert_cause(&counted_by("10.77.0.12:2379"), "unexplained", "pd2");
    assert_no_fault(&counted_by("10.77.0.10:2379"), None);
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn schedulers_that_were_paused_before_the_first_answer_are_told() {
    let mut run = lean(&[]);
    let whole = run.window;
    run.bodies("/schedulers?status=paused", whole, |_, body| {
        *body = json!(["balance-region-scheduler"]);
    });
    let verdict = run.verdict();
    assert_cause(&verdict, "scheduling_halted", "cluster");
    let text = first_text(&verdict);
    assert_eq!(text, "paused from the first answer on: balance-region-scheduler");
    // They are resumed at last.
    let late = TimeRange::new(run.at(1_200), run.window.end);
    run.bodies("/schedulers?status=paused", late, |_, body| *body = json!([]));
    assert!(run.verdict().causes.is_empty());
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn regions_without_a_leader_contradict_what_pd_counts() {
    let mut run = lean(&[]);
    let whole = run.window;
    run.bodies("/regions/count", whole, |_, body| *body = json!({ "count": 80, "regions": null }));
    let verdict = run.verdict();
    assert_cause(&verdict, "unexplained", "cluster");
    assert!(first_text(&verdict).starts_with("PD counts 80 regions, and stores lead "));
}
