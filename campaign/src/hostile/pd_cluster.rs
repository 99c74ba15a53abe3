//! A synthetic cluster of many stores, as PD reports it: what changes in PD's answers changes here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use fastrand::Rng;
use operator::model::{PdAnswer, PdOutcome, Timestamp};
use operator::pd::{PdCadence, PdSchedule, Scope};

/// PD's members; the first one leads.
pub const MEMBERS: [&str; 3] = ["pd-0", "pd-1", "pd-2"];

/// How often PD is asked.
pub const STEP_MS: i64 = 10_000;

const LEADERS: u64 = 3_000;
const REGIONS: u64 = 9_000;

/// Where a store's numbers stand in the body, each with as many digits as it always has.
struct Places {
    heartbeat_ns: usize,
    heartbeat_text: usize,
    available: usize,
    leaders: [usize; 2],
    regions: [usize; 2],
    region_score: usize,
    uptime_s: usize,
}

/// The cluster, as of the last answer.
pub struct Cluster {
    stores: Vec<u8>,
    places: Vec<Places>,
    counts: Vec<[u64; 2]>,
    /// Bodies that do not change, by path.
    others: BTreeMap<String, Arc<[u8]>>,
    random: Rng,
}

impl Cluster {
    /// A cluster of so many stores.
    pub fn new(stores: usize, seed: u64) -> Self {
        let mut cluster = Self {
            stores: b"{\n  \"count\": 1000,\n  \"stores\": [\n".to_vec(),
            places: Vec::new(),
            counts: vec![[LEADERS, REGIONS]; stores],
            others: BTreeMap::new(),
            random: Rng::with_seed(seed),
        };
        for number in 0..stores {
            cluster.add_store(number, number + 1 == stores);
        }
        cluster.stores.extend(b"  ]\n}\n");
        cluster
    }

    fn add_store(&mut self, number: usize, last: bool) {
        let mut text = String::new();
        let begun = self.stores.len();
        let id = number + 1;
        let _ = write!(
            text,
            "    {{\n      \"store\": {{\n        \"id\": {id},\n        \"address\": \
             \"tikv-{number}.tikv-peer.prod.svc:20160\",\n        \"labels\": [\n          {{\n            \
             \"key\": \"zone\",\n            \"value\": \"zone-{}\"\n          }},\n          {{\n            \
             \"key\": \"host\",\n            \"value\": \"host-{number:04}\"\n          }}\n        ],\n        \
             \"version\": \"8.5.0\",\n        \"peer_address\": \
             \"tikv-{number}.tikv-peer.prod.svc:20160\",\n        \"status_address\": \
             \"tikv-{number}.tikv-peer.prod.svc:20180\",\n        \"git_hash\": \
             \"f19d1b6ce3b0c1ac17ae4f5c5bd7ac3b3cd2f6d0\",\n        \"start_timestamp\": {},\n        \
             \"deploy_path\": \"/tikv\",\n        \"last_heartbeat\": ",
            number % 3,
            1_795_000_000 + number,
        );
        let heartbeat_ns = begun + text.len();
        text.push_str(
            "0000000000000000000,\n        \"node_state\": 1,\n        \"state_name\": \"Up\"\n      },\n      \
             \"status\": {\n        \"capacity\": \"1.751TiB\",\n        \"available\": \"1.",
        );
        let available = begun + text.len();
        text.push_str(
            "000TiB\",\n        \"used_size\": \"412.8GiB\",\n        \"leader_count\": ",
        );
        let leader_count = begun + text.len();
        text.push_str("00000,\n        \"leader_weight\": 1,\n        \"leader_score\": ");
        let leader_score = begun + text.len();
        text.push_str("00000,\n        \"leader_size\": 288012,\n        \"region_count\": ");
        let region_count = begun + text.len();
        text.push_str("00000,\n        \"region_weight\": 1,\n        \"region_score\": 12");
        let region_score = begun + text.len();
        text.push_str("00000.5,\n        \"region_size\": 8");
        let region_size = begun + text.len();
        text.push_str(
            "00000,\n        \"slow_score\": 1,\n        \"slow_trend\": {\n          \"cause_value\": \
             250137.25,\n          \"cause_rate\": 0,\n          \"result_value\": 11.5,\n          \
             \"result_rate\": 0\n        },\n        \"start_ts\": \"2026-11-18T10:06:40Z\",\n        \
             \"last_heartbeat_ts\": \"2026-11-25T10:06:40.",
        );
        let heartbeat_text = begun + text.len();
        text.push_str("000000000Z\",\n        \"uptime\": \"4");
        let uptime_s = begun + text.len();
        text.push_str("000000s\"\n      }\n    }");
        text.push_str(if last { "\n" } else { ",\n" });
        self.stores.extend(text.bytes());
        self.places.push(Places {
            heartbeat_ns,
            heartbeat_text,
            available,
            leaders: [leader_count, leader_score],
            regions: [region_count, region_size],
            region_score,
            uptime_s,
        });
    }

    /// The answers that are due at an instant.
    pub fn answers(&mut self, last: Option<Timestamp>, at: Timestamp) -> Vec<PdAnswer> {
        let schedule = PdSchedule::new(PdCadence::default(), Timestamp::from_millis(0));
        let mut answers = Vec::new();
        for (number, request) in schedule.due(last, at).into_iter().enumerate() {
            let asked = match request.scope {
                Scope::EveryMember => &MEMBERS[..],
                Scope::Leader => &MEMBERS[..1],
            };
            for member in asked {
                answers.push(PdAnswer {
                    sent: at.saturating_add_millis(number as i64),
                    member: (*member).to_owned(),
                    url: format!("http://{member}:2379"),
                    path: request.path.clone(),
                    elapsed_us: self.random.u32(900..20_000),
                    outcome: PdOutcome::Answered {
                        status: 200,
                        body: self.body(&request.path, at),
                    },
                });
            }
        }
        answers
    }

    /// What is answered to a path at an instant.
    pub fn body(&mut self, path: &str, at: Timestamp) -> Arc<[u8]> {
        let route = path.trim_start_matches("/pd/api/v1/");
        let route = route.split('?').next().unwrap_or(route);
        let changing = match route {
            "stores" => return self.stores_at(at),
            "hotspot/stores" => self.hot_stores(),
            "hotspot/regions/read" | "hotspot/regions/write" => self.hot_regions(),
            "regions/count" => format!("{{\"count\": {}}}", 3_000_000 + self.random.u32(..500)),
            "min-resolved-ts" => {
                let tso = (at.as_millis() as u64) << 18;
                format!("{{\"min_resolved_ts\": {tso}, \"is_real_time\": true}}")
            }
            _ => return self.constant(route, path),
        };
        changing.into_bytes().into()
    }

    fn constant(&mut self, route: &str, path: &str) -> Arc<[u8]> {
        if let Some(known) = self.others.get(path) {
            return Arc::clone(known);
        }
        let body = match route {
            "ping" => String::new(),
            "members" | "health" => members(route),
            "status" => r#"{"version": "v8.5.0", "start_timestamp": 1795000000}"#.to_owned(),
            "version" => r#"{"version": "v8.5.0"}"#.to_owned(),
            "operators" | "schedulers" => "[]".to_owned(),
            "config" => {
                r#"{"schedule": {"leader-schedule-limit": 4}, "replication": {}}"#.to_owned()
            }
            _ if route.starts_with("regions/check/") => r#"{"count": 0, "regions": []}"#.to_owned(),
            _ => "{}".to_owned(),
        };
        let body: Arc<[u8]> = body.into_bytes().into();
        self.others.insert(path.to_owned(), Arc::clone(&body));
        body
    }

    fn stores_at(&mut self, at: Timestamp) -> Arc<[u8]> {
        let Self { stores, places, counts, random, .. } = self;
        let now_ns = at.as_millis() as u64 * 1_000_000;
        for (places, counts) in places.iter().zip(counts) {
            let heard_ns = now_ns - random.u64(..10_000_000_000);
            put(stores, places.heartbeat_ns, 19, heard_ns);
            put(stores, places.heartbeat_text, 9, heard_ns % 1_000_000_000);
            put(stores, places.uptime_s, 6, heard_ns / 1_000_000_000 % 1_000_000);
            put(stores, places.available, 3, random.u64(..1_000));
            // Balancing moves a few; a third of the stores at a time.
            for count in counts.iter_mut() {
                match random.u8(..6) {
                    0 => *count -= 1,
                    1 => *count += 1,
                    _ => {}
                }
            }
            let [leaders, regions] = *counts;
            places.leaders.iter().for_each(|place| put(stores, *place, 5, 10_000 + leaders));
            places.regions.iter().for_each(|place| put(stores, *place, 5, 20_000 + regions));
            put(stores, places.region_score, 5, random.u64(..100_000));
        }
        stores.as_slice().into()
    }

    fn hot_stores(&mut self) -> String {
        let mut text = String::from("{\n  \"bytes-write-rate\": {\n");
        for id in 1..=self.counts.len() {
            let _ = writeln!(text, "    \"{id}\": {},", self.random.u32(..90_000_000));
        }
        text.push_str("    \"0\": 0\n  }\n}\n");
        text
    }

    fn hot_regions(&mut self) -> String {
        let mut text = String::from("{\"as_leader\": {");
        for store in 1..=20 {
            let region = self.random.u32(..3_000_000);
            let bytes = self.random.u32(..90_000);
            let _ = write!(
                text,
                "\"{store}\": {{\"store_bytes\": {}, \"statistics\": [{{\"store_id\": {store}, \
                 \"region_id\": {region}, \"flow_bytes\": {bytes}}}]}},",
                bytes + 100_000_000,
            );
        }
        text.push_str("\"0\": {}}}");
        text
    }
}

fn members(route: &str) -> String {
    let member = |(number, name): (usize, &&str)| {
        serde_json::json!({"name": name, "member_id": number + 1, "health": true,
            "client_urls": [format!("http://{name}:2379")]})
    };
    let all: Vec<_> = MEMBERS.iter().enumerate().map(member).collect();
    match route {
        "health" => serde_json::json!(all).to_string(),
        _ => serde_json::json!({"header": {"cluster_id": 77}, "members": all, "leader": all[0],
            "etcd_leader": all[0]})
        .to_string(),
    }
}

/// Writes a number over as many digits.
fn put(text: &mut [u8], place: usize, digits: usize, mut number: u64) {
    for digit in text[place..place + digits].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}
