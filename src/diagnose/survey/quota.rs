//! Limits that are nearly used up: a quota of memory, the file descriptors of a process.
//!
//! What waits for room in a quota shows nowhere else, and a value says nothing without its limit. Caches are not
//! among them: a cache that is full does its work.

use super::beyond::SERIOUS;
use super::quantity::{Quantity, Reading};
use super::standing_out::{StandingOut, length_of};
use crate::diagnose::observations::departures::median;
use crate::diagnose::observations::tracks::{Point, Track};
use crate::model::Timestamp;

/// The series that a quantity consists of: a metric, with a label and its value where only those are meant.
type Part = (&'static str, Option<(&'static str, &'static str)>);

/// What is used, and its limit.
struct Quota {
    used: Part,
    limit: Part,
    /// The limit where it was not recorded, as the program has it by default.
    default: Option<f64>,
}

const fn of_types(metric: &'static str) -> Quota {
    let limit = (metric, Some(("type", "capacity")));
    Quota { used: (metric, Some(("type", "in_use"))), limit, default: None }
}

const fn of_two(used: &'static str, limit: &'static str, default: Option<f64>) -> Quota {
    Quota { used: (used, None), limit: (limit, None), default }
}

/// `cdc.sink-memory-quota` of TiKV by default, in bytes.
const SINK: f64 = 512.0 * 1024.0 * 1024.0;

/// The quotas that TiKV and PD export: `components/cdc/src/metrics.rs`, `src/storage/metrics.rs` and
/// `src/coprocessor/metrics.rs` of TiKV, etcd's `server/etcdserver/metrics.go`, Prometheus's client libraries.
const QUOTAS: [Quota; 7] = [
    of_two("tikv_cdc_sink_memory_bytes", "tikv_cdc_sink_memory_capacity", Some(SINK)),
    of_types("tikv_scheduler_memory_quota_size"),
    of_types("tikv_coprocessor_memory_quota"),
    of_two("etcd_mvcc_db_total_size_in_bytes", "etcd_server_quota_backend_bytes", None),
    of_two("process_resident_memory_bytes", "pd_service_memory_quota_bytes", None),
    of_two("process_open_fds", "process_max_fds", None),
    of_two("os_fd_used", "os_fd_limit", None),
];

/// The metrics of quotas and their limits.
pub fn is_of_quota(metric: &str) -> bool {
    QUOTAS.iter().any(|one| one.used.0 == metric || one.limit.0 == metric)
}

/// The limit of a quantity.
pub enum Limit<'a> {
    /// Among the quantities of the same target.
    Recorded(&'a Quantity),
    /// The program's default, where it was not recorded.
    Default(f64),
}

/// The limit of a quantity, whose target has the quantities `of_target`.
pub fn limit_of<'a>(quantity: &Quantity, of_target: &'a [Quantity]) -> Option<Limit<'a>> {
    let quota = QUOTAS.iter().find(|one| is(quantity, &one.used))?;
    let recorded = of_target.iter().find(|one| is(one, &quota.limit)).map(Limit::Recorded);
    recorded.or(quota.default.map(Limit::Default))
}

fn is(one: &Quantity, part: &Part) -> bool {
    let label = one.label.as_ref().map(|(name, value)| (name.as_str(), value.as_str()));
    one.metric == part.0 && label == part.1 && one.reading == Reading::Level
}

/// The expression of PromQL for the share of its limit that a quantity uses at one target.
pub fn share_expression(
    quantity: &Quantity,
    of_target: &[Quantity],
    (instance, step_ms): (&str, i64),
) -> Option<String> {
    let used = quantity.expression(instance, step_ms);
    Some(match limit_of(quantity, of_target)? {
        Limit::Recorded(limit) => format!("{used} / {}", limit.expression(instance, step_ms)),
        Limit::Default(limit) => format!("{used} / {limit}"),
    })
}

/// From which share on a quota is used up.
const FULL: f64 = 0.95;
/// The fewest values of a stretch: five minutes at a step of 30 s.
const HOLD: usize = 10;

/// The last stretch in which a quota is used up, with shares of its limit as values; `limit` says what that was.
pub fn used_up(used: &Track, limit: impl Fn(Timestamp) -> Option<f64>) -> Option<StandingOut> {
    let share = |point: &Point| {
        let limit = limit(point.at).filter(|limit| *limit > 0.0)?;
        Some(Point { value: point.value / limit, ..*point })
    };
    let points: Vec<Point> = used.0.iter().filter_map(share).collect();
    let is_full = |value: f64| value >= FULL;
    let mut found = None;
    let mut next = 0;
    while next < points.len() {
        let length = length_of(&points[next..], is_full);
        if length >= HOLD {
            found = Some((next, length));
        }
        next += length.max(1);
    }
    let (from, length) = found?;
    let own = &points[from..from + length];
    let values = || own.iter().map(|point| point.value);
    let before = median(points[..from].iter().map(|point| point.value)).unwrap_or(0.0);
    let on_the_way = points[..from].iter().rev().take_while(|point| point.value > before);
    Some(StandingOut {
        onset: on_the_way.last().unwrap_or(&own[0]).since,
        first: own[0].at,
        end: (from + length < points.len()).then(|| own[length - 1].at),
        baseline: before,
        typical: median(values())?,
        peak: values().fold(0.0, f64::max),
        times: SERIOUS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(values: &[f64]) -> Track {
        Track::every(30_000, values.iter().copied())
    }

    #[test]
    fn a_quota_is_used_up_where_nearly_all_of_it_is_for_minutes() {
        let values = [vec![0.0; 6], vec![200.0, 400.0], vec![510.0; 12]].concat();
        let limit = |_| Some(512.0);
        let found = used_up(&track(&values), limit).expect("it is used up");
        assert_eq!((found.onset.as_millis(), found.first.as_millis()), (180_000, 270_000));
        assert_eq!(found.end, None);
        assert_eq!(used_up(&track(&values[..17]), limit), None, "not for long enough");
        assert_eq!(used_up(&track(&[480.0; 20]), limit), None);
        assert_eq!(used_up(&track(&[480.0; 20]), |_| Some(0.0)), None, "no limit");
        assert_eq!(used_up(&track(&[480.0; 20]), |_| None), None, "no limit is known");
    }

    fn quantity(metric: &str, label: Option<(&str, &str)>) -> Quantity {
        Quantity {
            metric: metric.to_owned(),
            reading: Reading::Level,
            label: label.map(|(name, value)| (name.to_owned(), value.to_owned())),
            bound: String::new(),
            values: Vec::new(),
        }
    }

    #[test]
    fn a_quantity_finds_the_limit_of_its_own_target() {
        let metric = "tikv_scheduler_memory_quota_size";
        let used = quantity(metric, Some(("type", "in_use")));
        let limit = quantity(metric, Some(("type", "capacity")));
        let all = [used.clone(), limit.clone(), quantity(metric, None)];
        assert!(matches!(limit_of(&used, &all), Some(Limit::Recorded(one)) if *one == limit));
        assert!(limit_of(&limit, &all).is_none());
        assert!(limit_of(&used, &all[..1]).is_none());
        let shown = share_expression(&used, &all, ("a", 30_000)).expect("it has a limit");
        let part = |kind| format!("sum({metric}{{type={kind:?},instance=\"a\"}})");
        assert_eq!(shown, format!("{} / {}", part("in_use"), part("capacity")));
        let feeds = quantity("tikv_cdc_sink_memory_bytes", None);
        let shown = share_expression(&feeds, &[], ("a", 30_000)).expect("it has a default");
        assert_eq!(shown, "sum(tikv_cdc_sink_memory_bytes{instance=\"a\"}) / 536870912");
    }
}
