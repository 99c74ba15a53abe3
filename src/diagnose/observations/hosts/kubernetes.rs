//! What Kubernetes says of a node's pod: how its container ended, kills for memory, evictions.

use super::{HostSign, HostSignKind};
use crate::diagnose::evidence::Evidence;
use crate::model::{Component, Series, Timestamp, is_stale};
use crate::nodes::{Beside, NodeIndex, PodName};

/// Why a container ended the last time, as a label `reason` of a series that is 1.
const LAST_REASON: &str = "kube_pod_container_status_last_terminated_reason";
/// The same while it has not started again.
const REASON: &str = "kube_pod_container_status_terminated_reason";
/// Its exit code; since kube-state-metrics 2.6.
const EXIT_CODE: &str = "kube_pod_container_status_last_terminated_exitcode";
/// When that was, in Unix seconds; since kube-state-metrics 2.11.
const FINISHED: &str = "kube_pod_container_status_last_terminated_timestamp";
/// How often a container was started again.
const RESTARTS: &str = "kube_pod_container_status_restarts_total";
/// Why a pod as a whole ended, as a label `reason`; 1 where it holds.
const POD_REASON: &str = "kube_pod_status_reason";
/// Kills for memory inside a container, by the kubelet's cAdvisor.
const OOM_EVENTS: &str = "container_oom_events_total";

/// What a container may use at most, by `resource`: memory in bytes.
const LIMITS: &str = "kube_pod_container_resource_limits";

/// The metrics that are read here.
pub(super) const METRICS: [&str; 8] =
    [LAST_REASON, REASON, EXIT_CODE, FINISHED, RESTARTS, POD_REASON, OOM_EVENTS, LIMITS];

/// What Kubernetes calls an end by the kernel for want of memory.
const OOM_KILLED: &str = "OOMKilled";
const EVICTED: &str = "Evicted";

/// What is said of the pod of a node.
pub(super) fn signs(evidence: &Evidence, node: NodeIndex, beside: &Beside) -> Vec<HostSign> {
    let Some(pod) = &beside.pod else { return Vec::new() };
    let own = Container::new(evidence, node, pod);
    let mut found = own.ends();
    found.extend(own.kills());
    found.extend(own.evictions());
    found
}

/// The limit of the memory of a node's container in bytes; `None` where Kubernetes was not recorded or sets none.
pub fn memory_limit(evidence: &Evidence, node: NodeIndex) -> Option<f64> {
    let pod = evidence.nodes.beside(node)?.pod.as_ref()?;
    let own = Container::new(evidence, node, pod);
    let mut limits = own.series(LIMITS).filter(|one| one.labels.get("resource") == Some("memory"));
    let samples = limits.next()?.samples.iter();
    samples.map(|sample| sample.value).filter(|limit| *limit > 0.0).reduce(f64::min)
}

/// The series of one container of a pod.
struct Container<'a> {
    evidence: &'a Evidence,
    node: NodeIndex,
    pod: &'a PodName,
    name: Option<&'a str>,
}

/// Something that changed between two samples.
#[derive(Clone, Copy)]
struct Change<'a> {
    since: Timestamp,
    at: Timestamp,
    series: &'a Series,
    value: f64,
}

impl<'a> Container<'a> {
    /// The container that is named after the node's component, else the only one of the pod.
    fn new(evidence: &'a Evidence, node: NodeIndex, pod: &'a PodName) -> Self {
        let component = match node {
            NodeIndex::Member(_) => "pd",
            NodeIndex::Store(index) => match evidence.nodes.stores[index].component {
                Component::TiFlash => "tiflash",
                _ => "tikv",
            },
        };
        let mut own = Self { evidence, node, pod, name: None };
        let all = METRICS.iter().flat_map(|metric| own.series(metric));
        let mut names: Vec<&str> =
            all.filter_map(|one| PodName::container_of(&one.labels)).collect();
        names.sort_unstable();
        names.dedup();
        own.name = match names.as_slice() {
            [only] => Some(*only),
            several => several.iter().copied().find(|name| *name == component),
        };
        own
    }

    /// The series of a metric that are about the pod, and about the container where one is known.
    fn series(&self, metric: &str) -> impl Iterator<Item = &'a Series> + use<'a> {
        let (pod, name) = (self.pod, self.name);
        self.evidence.series.metric(metric).iter().filter(move |one| {
            let container = PodName::container_of(&one.labels);
            pod.is_of(&one.labels) && (name.is_none() || container.is_none() || container == name)
        })
    }

    /// Rises of the series of a metric, one after the other: of a counter, and of a series of 1 that began while
    /// Kubernetes was observed.
    fn rises(&self, metric: &str) -> Vec<Change<'a>> {
        let table = &self.evidence.series;
        let of = |series: &'a Series| {
            let rose = table.increments(series).into_iter().filter(|one| one.by > 0.0);
            let change =
                move |one: crate::diagnose::observations::series_table::Increment| Change {
                    since: one.since,
                    at: one.at,
                    series,
                    value: series
                        .samples
                        .iter()
                        .find(|s| s.at == one.at)
                        .map_or(one.by, |s| s.value),
                };
            rose.map(change).collect::<Vec<_>>()
        };
        self.series(metric).flat_map(of).collect()
    }

    /// Whether Kubernetes dates the ends of this container.
    fn dates_ends(&self) -> bool {
        self.series(FINISHED).next().is_some()
    }

    fn ends(&self) -> Vec<HostSign> {
        let dated = self.dates_ends();
        let mut changes = if dated { self.rises(FINISHED) } else { self.rises(LAST_REASON) };
        changes.extend(self.rises(REASON));
        if !dated {
            changes.extend(self.rises(RESTARTS));
        }
        changes.sort_by_key(|change| (change.at, change.since));
        changes.into_iter().map(|change| self.end(change)).collect()
    }

    fn end(&self, change: Change<'a>) -> HostSign {
        let reason = [REASON, LAST_REASON].iter().find_map(|metric| {
            let mut set = self.series(metric).filter(|one| value_at(one, change.at) == Some(1.0));
            Some((set.next()?, *metric))
        });
        let code = self.series(EXIT_CODE).find_map(|one| Some((value_at(one, change.at)?, one)));
        let word = reason.as_ref().and_then(|(one, _)| one.labels.get("reason")).unwrap_or("");
        let kind = match word {
            OOM_KILLED => HostSignKind::OutOfMemory { is_own: true },
            _ => HostSignKind::Ended {
                reason: word.to_owned(),
                code: code.map(|(code, _)| code as i64),
            },
        };
        let exit = code.map_or_else(String::new, |(code, _)| format!(", exit code {code}"));
        let text = match word {
            "" => format!("Kubernetes started its container again{exit}"),
            word => format!("Kubernetes says that its container ended: {word}{exit}"),
        };
        // A date is exact to a second; the sample that shows it comes later.
        let finished = Timestamp::from_millis((change.value * 1000.0) as i64);
        let is_date = change.series.labels.metric() == FINISHED && finished <= change.at;
        let shown = reason.map_or((change.series, change.value), |(one, _)| (one, 1.0));
        HostSign {
            since: if is_date { finished.saturating_add_millis(-1_000) } else { change.since },
            ..self.sign(kind, change, text, shown)
        }
    }

    /// Kills for memory that cAdvisor counted.
    fn kills(&self) -> Vec<HostSign> {
        let kind = HostSignKind::OutOfMemory { is_own: true };
        let sign = |change: Change<'a>| {
            let text = "the kernel killed a process of its container for want of memory".to_owned();
            self.sign(kind.clone(), change, text, (change.series, change.value))
        };
        self.rises(OOM_EVENTS).into_iter().map(sign).collect()
    }

    fn evictions(&self) -> Vec<HostSign> {
        let rises = self.rises(POD_REASON).into_iter();
        let evicted = rises.filter(|one| one.series.labels.get("reason") == Some(EVICTED));
        let sign = |change: Change<'a>| {
            let text = "Kubernetes evicted its pod".to_owned();
            self.sign(HostSignKind::Evicted, change, text, (change.series, change.value))
        };
        evicted.map(sign).collect()
    }

    fn sign(
        &self,
        kind: HostSignKind,
        change: Change<'a>,
        text: String,
        (shown, value): (&Series, f64),
    ) -> HostSign {
        HostSign {
            node: self.node,
            kind,
            since: change.since,
            at: change.at,
            end: None,
            text,
            read: (selector(shown), value),
            plot: None,
        }
    }
}

/// A selector of a series by what it is about, whoever passed it on.
pub(super) fn selector(series: &Series) -> String {
    const ABOUT: [&str; 7] = [
        "exported_namespace",
        "namespace",
        "exported_pod",
        "pod",
        "container",
        "exported_container",
        "reason",
    ];
    let labels = ABOUT.iter().filter_map(|name| Some((*name, series.labels.get(name)?)));
    let pairs: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}{{{}}}", series.labels.metric(), pairs.join(","))
}

/// The value of a series in the scrape of an instant.
fn value_at(series: &Series, at: Timestamp) -> Option<f64> {
    let place = series.samples.binary_search_by_key(&at, |sample| sample.at).ok()?;
    let value = series.samples[place].value;
    (!is_stale(value)).then_some(value)
}
