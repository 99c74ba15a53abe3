//! What `kubectl get pods -o json` and `kubectl get events -o json` say of a cluster's pods and their machines: how
//! containers ended, evictions, failing probes. Both forget within hours, so they are worth keeping.
//!
//! Of everything in these lists, only that is kept; nothing of a pod's specification but the name of its machine is.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::address::NodeNames;
use super::counts::Counts;
use super::extract::{Extract, Losses};
use super::redact::redact;
use crate::model::{LogEvent, LogKind, TimeRange, Timestamp};

/// What the extract of all files is called, since it is no node's.
pub const KUBERNETES: &str = "kubernetes";

/// The components whose pods are looked at, as words of a pod's name or names of containers.
const COMPONENTS: [&str; 6] = ["tikv", "pd", "tidb", "tiflash", "ticdc", "tiproxy"];
/// What Kubernetes calls an end by the kernel for want of memory.
const OOM_KILLED: &str = "OOMKilled";
/// The longest message that is kept, in characters.
const LONGEST: usize = 400;

/// Text that is no list of pods or events.
#[derive(Debug, thiserror::Error)]
pub enum KubectlError {
    /// It is not JSON, or not of that form.
    #[error("not what `kubectl get pods,events -o json` prints")]
    Json(#[from] serde_json::Error),
    /// It holds neither pods nor events.
    #[error("no pod and no event in it: take it with `kubectl get pods,events -o json`")]
    Nothing,
}

/// Reads lists of pods and events, one file after the other.
pub struct KubectlReader {
    window: TimeRange,
    names: NodeNames,
    files: Vec<String>,
    objects: Vec<(String, Object)>,
    /// The names of nodes by the names of their pods, where the address of a pod is a node's.
    nodes: BTreeMap<String, String>,
    losses: Losses,
}

/// A list, or a single object of it.
#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Option<Vec<Object>>,
    #[serde(flatten)]
    own: Object,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object {
    kind: String,
    metadata: Metadata,
    spec: Spec,
    status: Status,
    #[serde(alias = "regarding")]
    involved_object: Involved,
    reason: String,
    #[serde(alias = "note")]
    message: String,
    count: Option<u64>,
    #[serde(alias = "deprecatedFirstTimestamp")]
    first_timestamp: Option<String>,
    #[serde(alias = "deprecatedLastTimestamp")]
    last_timestamp: Option<String>,
    event_time: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    reason: String,
    message: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    container_statuses: Vec<ContainerStatus>,
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    last_transition_time: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    restart_count: u64,
    state: State,
    last_state: State,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct State {
    terminated: Option<Terminated>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Terminated {
    exit_code: i64,
    reason: String,
    started_at: Option<String>,
    finished_at: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Involved {
    kind: String,
    name: String,
}

impl KubectlReader {
    /// A reader that keeps what happened in `window`, and gives the cluster's addresses the nodes' names.
    pub fn new(window: TimeRange, names: NodeNames) -> Self {
        Self {
            window,
            names,
            files: Vec::new(),
            objects: Vec::new(),
            nodes: BTreeMap::new(),
            losses: Losses::default(),
        }
    }

    /// Reads a file that is called `name` in citations.
    ///
    /// # Errors
    ///
    /// [`KubectlError`] where the text is no JSON of that form, or holds neither pods nor events.
    pub fn read(&mut self, name: &str, text: &[u8]) -> Result<(), KubectlError> {
        let list: List = serde_json::from_slice(text)?;
        let objects = list.items.unwrap_or_else(|| vec![list.own]);
        let known = objects.into_iter().enumerate();
        let known = known.filter(|(_, object)| ["Pod", "Event"].contains(&&*object.kind));
        let known: Vec<(String, Object)> =
            known.map(|(place, object)| (format!("{name}:{}", place + 1), object)).collect();
        if known.is_empty() {
            return Err(KubectlError::Nothing);
        }
        self.files.push(name.to_owned());
        self.losses.lines += known.len() as u64;
        self.losses.bytes += text.len() as u64;
        self.objects.extend(known);
        Ok(())
    }

    /// Ends reading: what happened in the window, with a record of what was read. Covered is the whole window where
    /// anything lies in it.
    pub fn finish(mut self) -> Extract {
        let objects = std::mem::take(&mut self.objects);
        let of_cluster = |(_, object): &&(String, Object)| {
            object.kind == "Pod" && is_of_cluster(&object.metadata.name)
        };
        let pods: Vec<&(String, Object)> = objects.iter().filter(of_cluster).collect();
        let mut machines: BTreeMap<&str, &str> = BTreeMap::new();
        for (_, pod) in &pods {
            let name = &pod.metadata.name;
            machines.insert(name, &pod.spec.node_name);
            if let Some(node) = self.names.of(&pod.status.pod_ip) {
                self.nodes.insert(name.clone(), node.to_owned());
            }
        }
        let mut events: Vec<LogEvent> = Vec::new();
        for (place, pod) in pods {
            events.extend(self.ends(place, pod));
            events.extend(self.eviction(place, pod));
        }
        for (place, event) in objects.iter().filter(|(_, object)| object.kind == "Event") {
            events.extend(self.happened(place, event, &machines));
        }
        let all = events.len();
        events.retain(|event| self.window.contains(event.at));
        self.losses.outside = (all - events.len()) as u64;
        let covered = match events.is_empty() {
            true => TimeRange::new(self.window.start, self.window.start),
            false => self.window,
        };
        events.push(self.coverage());
        events.sort();
        events.dedup();
        Extract {
            node: KUBERNETES.to_owned(),
            component: KUBERNETES.to_owned(),
            covered,
            window: self.window,
            interval_ms: 60_000,
            counts: Counts::default(),
            events,
            losses: self.losses,
        }
    }

    /// How the containers of a pod ended the last time, and before that.
    fn ends(&self, place: &str, pod: &Object) -> Vec<LogEvent> {
        let name = &pod.metadata.name;
        let mut found = Vec::new();
        for container in &pod.status.container_statuses {
            let states = [&container.last_state, &container.state];
            for ended in states.into_iter().filter_map(|state| state.terminated.as_ref()) {
                let Some(at) = ended.finished_at.as_deref().and_then(instant) else { continue };
                let kind = match ended.reason.as_str() {
                    OOM_KILLED => LogKind::OutOfMemory,
                    "Completed" => continue,
                    _ => LogKind::ProcessExit,
                };
                let since = ended.started_at.as_deref().and_then(instant);
                let ran = since.map_or_else(String::new, |since| {
                    format!(", after it had run for {} s", (at - since).max(0) / 1_000)
                });
                let text = format!(
                    "container {} ended: {}, exit code {}{ran}; started again {} times in all",
                    container.name, ended.reason, ended.exit_code, container.restart_count
                );
                let values = [
                    ("exit_code", ended.exit_code.to_string()),
                    ("restarts", container.restart_count.to_string()),
                ];
                found.push(self.event(kind, at, (name, place), &text, &values));
            }
        }
        found
    }

    /// That a pod was evicted, dated by the last change of its conditions.
    fn eviction(&self, place: &str, pod: &Object) -> Option<LogEvent> {
        let changes = pod.status.conditions.iter();
        let times = changes.filter_map(|one| instant(one.last_transition_time.as_deref()?));
        let at = times.max().filter(|_| pod.status.reason == "Evicted")?;
        let text = format!("the pod was evicted: {}", pod.status.message);
        Some(self.event(LogKind::PodEvicted, at, (&pod.metadata.name, place), &text, &[]))
    }

    /// What an event says: of a pod, or of a machine and so of every pod on it.
    fn happened(
        &self,
        place: &str,
        event: &Object,
        machines: &BTreeMap<&str, &str>,
    ) -> Vec<LogEvent> {
        let Some(kind) = kind_of(event) else { return Vec::new() };
        let involved = &event.involved_object;
        let whose: Vec<&str> = match involved.kind.as_str() {
            "Pod" if is_of_cluster(&involved.name) => vec![involved.name.as_str()],
            "Node" => {
                let there = machines.iter().filter(|(_, machine)| **machine == involved.name);
                there.map(|(pod, _)| *pod).collect()
            }
            _ => Vec::new(),
        };
        let times = [&event.first_timestamp, &event.event_time, &event.last_timestamp];
        let mut times: Vec<Timestamp> =
            times.into_iter().flatten().filter_map(|text| instant(text)).collect();
        times.sort();
        times.dedup();
        // The first and the last time: those between are only counted.
        if times.len() > 2 {
            times.drain(1..times.len() - 1);
        }
        let count = event.count.filter(|count| *count > 1);
        let count = count.map_or_else(String::new, |count| format!(" ({count} times)"));
        let of = if involved.kind == "Node" { "its machine: " } else { "" };
        let text = format!("{of}{}{count}: {}", event.reason, event.message);
        let values: Vec<(&str, String)> = match kind {
            LogKind::StopSignal => vec![("signal", "SIGTERM".to_owned())],
            _ => Vec::new(),
        };
        let told = |at: &Timestamp| {
            let whose = whose.iter();
            let told = whose.map(|name| self.event(kind, *at, (name, place), &text, &values));
            told.collect::<Vec<_>>()
        };
        times.iter().flat_map(told).collect()
    }

    fn event(
        &self,
        kind: LogKind,
        at: Timestamp,
        (pod, place): (&str, &str),
        text: &str,
        values: &[(&str, String)],
    ) -> LogEvent {
        let text: String = text.chars().take(LONGEST).collect();
        LogEvent {
            at,
            kind,
            node: self.nodes.get(pod).map_or(pod, String::as_str).to_owned(),
            component: component_of(pod).unwrap_or_default().to_owned(),
            level: String::new(),
            file: String::new(),
            place: place.to_owned(),
            text: redact(&text, &self.names),
            values: values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        }
    }

    fn coverage(&self) -> LogEvent {
        let counted = [
            ("lines", self.losses.lines),
            ("bytes", self.losses.bytes),
            ("outside", self.losses.outside),
        ];
        let told = counted.into_iter().filter(|(_, count)| *count > 0);
        LogEvent {
            at: self.window.start,
            kind: LogKind::Coverage,
            node: KUBERNETES.to_owned(),
            component: KUBERNETES.to_owned(),
            level: String::new(),
            file: String::new(),
            place: self.files.join(","),
            text: "pods and events read".to_owned(),
            values: told.map(|(name, count)| (name.to_owned(), count.to_string())).collect(),
        }
    }
}

/// What an event is, by the reason that Kubernetes gives; `None` where it is no news.
fn kind_of(event: &Object) -> Option<LogKind> {
    Some(match event.reason.as_str() {
        "OOMKilling" | "SystemOOM" => {
            let is_ours = COMPONENTS.iter().any(|name| event.message.contains(name));
            return is_ours.then_some(LogKind::OutOfMemory);
        }
        "Evicted" | "Preempted" | "TaintManagerEviction" => LogKind::PodEvicted,
        "Killing" => LogKind::StopSignal,
        "Unhealthy" | "BackOff" | "FailedScheduling" | "FailedMount" | "FailedAttachVolume" => {
            LogKind::PodTrouble
        }
        "NodeNotReady"
        | "NodeNotSchedulable"
        | "Rebooted"
        | "KernelDeadlock"
        | "NodeHasDiskPressure"
        | "NodeHasInsufficientMemory" => LogKind::MachineTrouble,
        _ => return None,
    })
}

/// The component in the name of a pod: its last word that names one.
fn component_of(pod: &str) -> Option<&'static str> {
    let words = pod.rsplit(|c: char| !c.is_ascii_alphanumeric());
    words.into_iter().find_map(|word| COMPONENTS.into_iter().find(|name| *name == word))
}

fn is_of_cluster(pod: &str) -> bool {
    component_of(pod).is_some()
}

/// An instant as Kubernetes writes it: RFC 3339, in seconds or microseconds.
fn instant(text: &str) -> Option<Timestamp> {
    let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(Timestamp::from_millis(at.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn window() -> TimeRange {
        let at = |text| instant(text).expect("an instant");
        TimeRange::new(at("2026-11-24T16:00:00Z"), at("2026-11-24T17:00:00Z"))
    }

    fn told(text: &serde_json::Value) -> Vec<(LogKind, String, String)> {
        let mut reader = KubectlReader::new(window(), NodeNames::default());
        reader.read("all.json", text.to_string().as_bytes()).expect("it is a list");
        let events = reader.finish().events.into_iter();
        let told = events.filter(|event| event.kind != LogKind::Coverage);
        told.map(|event| (event.kind, event.node, event.text)).collect()
    }

    fn pod(name: &str, reason: &str, code: i64, finished: &str) -> serde_json::Value {
        json!({
            "kind": "Pod", "metadata": {"name": name, "namespace": "tidb"},
            "spec": {"nodeName": "worker-1", "containers": [{"env": [{"value": "s3cret"}]}]},
            "status": {"containerStatuses": [{
                "name": "tikv", "restartCount": 3, "state": {"running": {}},
                "lastState": {"terminated": {"exitCode": code, "reason": reason,
                    "startedAt": "2026-11-24T16:10:00Z", "finishedAt": finished}},
            }]},
        })
    }

    fn event(kind: &str, name: &str, reason: &str, message: &str) -> serde_json::Value {
        json!({
            "kind": "Event", "type": "Warning", "reason": reason, "message": message, "count": 4,
            "involvedObject": {"kind": kind, "name": name},
            "firstTimestamp": "2026-11-24T16:30:00Z", "lastTimestamp": "2026-11-24T16:40:00Z",
            "eventTime": null,
        })
    }

    #[test]
    fn the_last_end_of_a_container_is_told_with_its_exit_code() {
        let finished = "2026-11-24T16:30:50Z";
        let killed = pod("basic-tikv-0", "OOMKilled", 137, finished);
        let exited = pod("basic-tikv-1", "Error", 1, finished);
        let other = pod("web-0", "Error", 1, finished);
        let earlier = pod("basic-tikv-2", "Error", 1, "2026-11-23T16:30:50Z");
        let found = told(&json!({"kind": "List", "items": [killed, exited, other, earlier]}));
        let ended = |reason: &str, code: i64| {
            format!(
                "container tikv ended: {reason}, exit code {code}, after it had run for 1250 s; \
                 started again 3 times in all"
            )
        };
        assert_eq!(
            found,
            [
                (LogKind::OutOfMemory, "basic-tikv-0".to_owned(), ended("OOMKilled", 137)),
                (LogKind::ProcessExit, "basic-tikv-1".to_owned(), ended("Error", 1)),
            ]
        );
    }

    #[test]
    fn an_event_is_told_at_its_first_and_last_time_and_one_of_a_machine_of_its_pods() {
        let pod = pod("basic-tikv-0", "Completed", 0, "2026-11-24T16:20:00Z");
        let items = json!({"kind": "List", "items": [
            pod,
            event("Pod", "basic-tikv-0", "Unhealthy", "Readiness probe failed"),
            event("Node", "worker-1", "NodeNotReady", "Node worker-1 status is now: NodeNotReady"),
            event("Node", "worker-2", "NodeNotReady", "Node worker-2 status is now: NodeNotReady"),
            event("Pod", "basic-tikv-0", "Pulled", "already present"),
        ]});
        let found = told(&items);
        let kinds: Vec<LogKind> = found.iter().map(|(kind, ..)| *kind).collect();
        let (pod, machine) = (LogKind::PodTrouble, LogKind::MachineTrouble);
        assert_eq!(kinds, [pod, machine, pod, machine]);
        assert_eq!(found[0].2, "Unhealthy (4 times): Readiness probe failed");
        assert!(found.iter().all(|(_, node, _)| node == "basic-tikv-0"), "{found:?}");
    }

    #[test]
    fn what_is_no_list_of_pods_or_events_is_refused() {
        let mut reader = KubectlReader::new(window(), NodeNames::default());
        let read = |reader: &mut KubectlReader, text: &str| reader.read("a", text.as_bytes());
        assert!(matches!(read(&mut reader, "NAME READY"), Err(KubectlError::Json(_))));
        let services = r#"{"kind": "List", "items": [{"kind": "Service"}]}"#;
        assert!(matches!(read(&mut reader, services), Err(KubectlError::Nothing)));
        for odd in [r#"{"kind": "Pod"}"#, r#"{"kind": "Event", "count": null}"#] {
            read(&mut reader, odd).expect("fields may be missing");
        }
        assert_eq!(reader.finish().losses.lines, 2);
    }
}
