//! PD's answers as series, so that PromQL can join them with what Prometheus scraped.
//!
//! A sample stands where its answer was observed. A series ends, by a staleness marker, where its
//! request fails, where a later answer does not have it any more, and where answers stay away:
//! what was not observed is never zero.

mod elements;
mod metrics;
mod validity;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use elements::{element, of_member, of_store};
use validity::lay;

use crate::capture::CaptureError;
use crate::model::{Labels, PdAnswer, PdOutcome, Sample, Series, Timestamp};
use crate::pd::{Endpoint, PdDocument, Topology, short_path};
use crate::promql::MemoryStorage;
use crate::session::pd_bodies::PdSource;
use crate::timeline::Evaluation;

pub use metrics::{PD_METRICS, PdMetric};

/// The series of all answers of a run that ends at `end`.
pub fn pd_series(answers: &[PdAnswer], end: Timestamp) -> MemoryStorage {
    let made = series_of(PdSource::Held(answers), end, None);
    made.expect("answers in memory are read from no capture")
}

/// The series of a source's answers; those of one metric where `only` names it. All series of a
/// day of a large cluster do not fit into memory, those of a metric do.
///
/// # Errors
///
/// [`CaptureError`] where the capture cannot be read.
pub(crate) fn series_of(
    source: PdSource<'_>,
    end: Timestamp,
    only: Option<&'static str>,
) -> Result<MemoryStorage, CaptureError> {
    let mut reader = Reader { only, ..Reader::default() };
    source.for_each(Evaluation::Sequential, |answer, body| {
        reader.observe(answer, body.as_ref().ok().and_then(Option::as_ref));
    })?;
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); reader.labels.len()];
    for observations in std::mem::take(&mut reader.sources).into_values() {
        lay(&observations, end, &mut samples);
    }
    let series = reader.labels.into_iter().filter_map(|(labels, id)| {
        let samples = std::mem::take(&mut samples[id as usize]);
        (!samples.is_empty()).then(|| Arc::new(Series { labels, samples }))
    });
    Ok(MemoryStorage::new(series))
}

/// Elements of one answer by the number of their labels; `None` where there was no answer.
type Elements = Option<Box<[(u32, f64)]>>;

#[derive(Default)]
struct Reader {
    topology: Topology,
    paused: BTreeSet<String>,
    only: Option<&'static str>,
    /// Numbers of label sets, in the order in which they first occurred.
    labels: HashMap<Labels, u32>,
    /// By what was asked of whom, what came when.
    sources: BTreeMap<String, Vec<(Timestamp, Elements)>>,
}

impl Reader {
    fn observe(&mut self, answer: &PdAnswer, document: Option<&PdDocument>) {
        let at = answer.observed();
        // Elements of stores are made of the document alone, and the stores are most of a topology.
        let told = document.filter(|document| !matches!(document, PdDocument::Stores(_)));
        self.topology.apply_parsed(answer, told);
        let member = answer.member.as_str();
        let answering = matches!(answer.outcome, PdOutcome::Answered { .. });
        let answering =
            element("operator_pd_member_answering", &[("member", member)], f64::from(answering));
        self.push(format!("answering {member}"), at, Some(vec![answering]));
        let route = short_path(&answer.path);
        let route = route.split_once('?').map_or(route, |(route, _)| route);
        match Endpoint::of(&answer.path) {
            // One member's silence takes nothing from what the others say.
            Endpoint::Members => {
                let elements = self.members();
                if document.is_some() || self.topology.leader.is_none() {
                    self.push(route.to_owned(), at, Some(elements).filter(|_| document.is_some()));
                }
            }
            Endpoint::Status | Endpoint::Health => {
                let elements = document.map(|document| of_member(document, member));
                self.push(format!("{route} {member}"), at, elements);
            }
            // Needs the list of all schedulers, which is asked for in the same round.
            Endpoint::PausedSchedulers => {
                self.paused = self.topology.paused_schedulers.clone().unwrap_or_default();
            }
            Endpoint::Version
            | Endpoint::Config
            | Endpoint::Stores
            | Endpoint::Operators
            | Endpoint::Schedulers
            | Endpoint::RegionCount
            | Endpoint::RegionCheck(_) => {
                let elements = document.map(|document| self.of_cluster(document, member));
                self.push(route.to_owned(), at, elements);
            }
            Endpoint::Ping
            | Endpoint::Cluster
            | Endpoint::SafePoint
            | Endpoint::MinResolvedTs
            | Endpoint::HotRegions(_)
            | Endpoint::BusyRegions(_)
            | Endpoint::Unread => self.push(route.to_owned(), at, None),
        }
    }

    fn push(&mut self, source: String, at: Timestamp, elements: Option<Vec<(Labels, f64)>>) {
        let wanted =
            |(labels, _): &(Labels, f64)| self.only.is_none_or(|only| labels.metric() == only);
        let mut number = |labels| {
            let next = self.labels.len() as u32;
            *self.labels.entry(labels).or_insert(next)
        };
        let numbered = elements.map(|elements| {
            let wanted = elements.into_iter().filter(wanted);
            wanted.map(|(labels, value)| (number(labels), value)).collect()
        });
        self.sources.entry(source).or_default().push((at, numbered));
    }

    fn members(&self) -> Vec<(Labels, f64)> {
        let one = |name, member: &String| element(name, &[("member", member)], 1.0);
        let leader = self.topology.leader.iter().map(|m| one("operator_pd_leader", m));
        let etcd = self.topology.etcd_leader.iter().map(|m| one("operator_pd_etcd_leader", m));
        let listed = self.topology.members.values();
        let listed = listed.map(|member| one("operator_pd_member", &member.name));
        leader.chain(etcd).chain(listed).collect()
    }

    fn of_cluster(&self, document: &PdDocument, member: &str) -> Vec<(Labels, f64)> {
        match document {
            PdDocument::Stores(stores) => {
                stores.values().flat_map(|store| of_store(store, self.only)).collect()
            }
            PdDocument::RegionCount(count) => {
                vec![element("operator_pd_region_count", &[], *count as f64)]
            }
            PdDocument::RegionCheck { name, count } => {
                vec![element("operator_pd_region_check", &[("check", name)], *count as f64)]
            }
            PdDocument::Operators(operators) => {
                let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
                for operator in operators {
                    *counts.entry(&operator.desc).or_default() += 1;
                }
                let counts = counts.into_iter();
                counts
                    .map(|(desc, n)| element("operator_pd_operators", &[("desc", desc)], n as f64))
                    .collect()
            }
            PdDocument::Schedulers(names) => {
                let runs = |name: &String| f64::from(!self.paused.contains(name));
                let one = |name: &String| {
                    element("operator_pd_scheduler", &[("scheduler", name)], runs(name))
                };
                names.iter().map(one).collect()
            }
            PdDocument::Config(config) => config
                .iter()
                .filter_map(|(key, value)| {
                    let number = match value.as_str() {
                        "true" => 1.0,
                        "false" => 0.0,
                        text => text.parse().ok()?,
                    };
                    let labels = [("key", key.as_str()), ("member", member)];
                    Some(element("operator_pd_config", &labels, number))
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GapReason, is_stale};

    fn answer(at_s: i64, member: &str, path: &str, body: &str) -> PdAnswer {
        PdAnswer {
            sent: Timestamp::from_millis(at_s * 1000),
            member: member.to_owned(),
            url: String::new(),
            path: format!("/pd/api/v1/{path}"),
            elapsed_us: 0,
            outcome: PdOutcome::Answered { status: 200, body: body.as_bytes().into() },
        }
    }

    fn failed(at_s: i64, member: &str, path: &str) -> PdAnswer {
        let detail = "refused".to_owned();
        let outcome = PdOutcome::Failed { reason: GapReason::Connect, detail };
        PdAnswer { outcome, ..answer(at_s, member, path, "") }
    }

    /// `second:value` of every sample of a series; a staleness marker is `-`.
    fn told(answers: &[PdAnswer], end_s: i64, labels: &str) -> String {
        let storage = pd_series(answers, Timestamp::from_millis(end_s * 1000));
        let found = storage.series().iter().find(|series| series.labels.to_string() == labels);
        let known: Vec<_> = storage.series().iter().map(|s| s.labels.to_string()).collect();
        let samples = &found.unwrap_or_else(|| panic!("{labels} in {known:#?}")).samples;
        let told = samples.iter().map(|sample| {
            let value =
                if is_stale(sample.value) { "-".to_owned() } else { sample.value.to_string() };
            format!("{}:{value}", sample.at.as_millis() / 1000)
        });
        told.collect::<Vec<_>>().join(" ")
    }

    fn stores(at_s: i64, state: &str) -> PdAnswer {
        let body = format!(
            r#"{{"stores":[{{"store":{{"id":4,"address":"kv0:20160","state_name":"{state}"}},
            "status":{{"leader_count":7}}}}]}}"#
        );
        answer(at_s, "pd0", "stores?state=0", &body)
    }

    #[test]
    fn a_state_that_is_left_becomes_stale_and_never_zero() {
        let answers = [stores(10, "Up"), stores(20, "Up"), stores(30, "Down"), stores(40, "Up")];
        let state = |name: &str| {
            let labels = format!(
                "operator_pd_store_state{{address=\"kv0:20160\",state=\"{name}\",store=\"4\"}}"
            );
            told(&answers, 45, &labels)
        };
        assert_eq!(state("Up"), "10:1 20:1 30:- 40:1");
        assert_eq!(state("Down"), "30:1 40:-");
    }

    #[test]
    fn a_failed_request_and_silence_make_series_stale() {
        let path = "stores?state=0";
        let answers = [
            stores(10, "Up"),
            stores(20, "Up"),
            failed(30, "pd0", path),
            stores(40, "Up"),
            stores(100, "Up"),
        ];
        let labels = "operator_pd_store_leader_count{address=\"kv0:20160\",store=\"4\"}";
        assert_eq!(told(&answers, 101, labels), "10:7 20:7 30:- 40:7 70:- 100:7");
        assert_eq!(told(&answers, 200, labels), "10:7 20:7 30:- 40:7 70:- 100:7 130:-");
    }

    #[test]
    fn what_is_asked_seldom_is_repeated_until_it_expires() {
        let config = |at_s| answer(at_s, "pd0", "config", r#"{"schedule":{"limit":4,"on":true}}"#);
        let labels = "operator_pd_config{key=\"schedule.limit\",member=\"pd0\"}";
        let answers = [config(0), config(200), config(400)];
        let repeated = "0:4 60:4 120:4 180:4 200:4 260:4 320:4 380:4 400:4 460:4 520:4 580:4";
        assert_eq!(told(&answers, 600, labels), repeated);
        let to_the_end = told(&answers, 2_000, labels);
        assert!(to_the_end.ends_with(" 940:4 1000:-"), "{to_the_end}");
    }

    #[test]
    fn the_health_matrix_and_the_leader_are_kept_by_who_said_so() {
        let health = r#"[{"name":"pd0","health":true},{"name":"pd1","health":false}]"#;
        let members = |leader: &str| {
            format!(
                r#"{{"members":[{{"name":"pd0","member_id":1}}],"leader":{{"name":"{leader}"}}}}"#
            )
        };
        let answers = [
            answer(1, "pd0", "health", health),
            answer(2, "pd0", "members", &members("pd0")),
            answer(12, "pd0", "members", &members("pd1")),
            failed(22, "pd0", "members"),
        ];
        assert_eq!(
            told(&answers, 23, "operator_pd_member_health{by=\"pd0\",member=\"pd1\"}"),
            "1:0"
        );
        assert_eq!(told(&answers, 23, "operator_pd_leader{member=\"pd0\"}"), "2:1 12:-");
        assert_eq!(told(&answers, 23, "operator_pd_leader{member=\"pd1\"}"), "12:1 22:-");
        assert_eq!(
            told(&answers, 23, "operator_pd_member_answering{member=\"pd0\"}"),
            "1:1 2:1 12:1 22:0"
        );
    }

    #[test]
    fn every_series_is_one_of_the_documented_metrics() {
        let answers = [
            stores(1, "Up"),
            answer(2, "pd0", "operators?object=true", r#"[{"desc":"balance-region"}]"#),
            answer(2, "pd0", "schedulers", r#"["balance-leader-scheduler"]"#),
            answer(3, "pd0", "regions/count", r#"{"count":3}"#),
            answer(3, "pd0", "regions/check/down-peer", r#"{"count":0}"#),
            answer(4, "pd0", "status", r#"{"start_timestamp":5}"#),
        ];
        let storage = pd_series(&answers, Timestamp::from_millis(10_000));
        assert!(storage.series().len() >= 11, "{:#?}", storage.series());
        for series in storage.series() {
            let name = series.labels.metric();
            let known = PD_METRICS.iter().find(|metric| metric.name == name);
            let known = known.unwrap_or_else(|| panic!("{name} is not documented"));
            let mut labels: Vec<_> = series.labels.iter().map(|(name, _)| name).collect();
            labels.retain(|name| *name != "__name__");
            let mut documented = known.labels.to_vec();
            documented.sort_unstable();
            assert_eq!(labels, documented, "{name}");
        }
    }
}
