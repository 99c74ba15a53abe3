//! Answers of PD that somebody pasted: the output of `pd-ctl`, or bodies of known routes one after the other,
//! among prompts and other text.
//!
//! Which route a body is of shows by its shape.

use serde_json::Value;

use super::endpoint::{CONFIG, HEALTH, MEMBERS, STORES};
use crate::model::Timestamp;

/// Bodies of PD found in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pasted {
    /// Path and body of each, in the order of the text.
    pub answers: Vec<(&'static str, Vec<u8>)>,
    /// The name of PD's leader, where one of them says it.
    pub leader: Option<String>,
    /// The newest heartbeat that one of them lists, by PD's clock: they were answered just after it.
    pub at: Option<Timestamp>,
}

/// Finds the bodies of known routes in a text; everything else is passed over.
///
/// # Examples
///
/// ```
/// let text = r#"» health
/// [{"name":"pd0","member_id":1,"client_urls":["http://h:2379"],"health":false}]"#;
/// let found = operator::pd::pasted(text);
/// assert_eq!(found.answers[0].0, "/pd/api/v1/health");
/// ```
pub fn pasted(text: &str) -> Pasted {
    let mut found = Pasted::default();
    let mut rest = text;
    // The last line before a body: the command that printed it.
    let mut command = "";
    while let Some(start) = rest.find(['{', '[']) {
        let before = rest[..start].trim_end();
        if let Some(line) = before.lines().last() {
            command = line;
        }
        rest = &rest[start..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(value)) = values.next() else {
            rest = &rest[1..];
            continue;
        };
        let end = values.byte_offset();
        found.take(&value, &rest[..end], command);
        rest = &rest[end..];
    }
    found
}

impl Pasted {
    fn take(&mut self, value: &Value, text: &str, command: &str) {
        let Some(path) = route_of(value, command) else { return };
        if let Some(leader) = value["leader"]["name"].as_str() {
            self.leader = Some(leader.to_owned());
        }
        let one = (!value["store"].is_null()).then(|| serde_json::json!({ "stores": [value] }));
        let listed = one.as_ref().unwrap_or(value);
        let stores = listed["stores"].as_array().map_or(&[][..], Vec::as_slice);
        let heard = stores.iter().filter_map(|store| store["store"]["last_heartbeat"].as_i64());
        let newest = heard.max().map(|nanos| Timestamp::from_millis(nanos / 1_000_000));
        self.at = self.at.max(newest);
        let body = one.map_or_else(|| text.as_bytes().to_vec(), |one| one.to_string().into_bytes());
        self.answers.push((path, body));
    }
}

/// The route of a body, by its shape and by the command before it.
fn route_of(value: &Value, command: &str) -> Option<&'static str> {
    let has = |key: &str| value.get(key).is_some();
    if let Some(list) = value.as_array() {
        let names =
            list.iter().all(|one| one.as_str().is_some_and(|name| name.ends_with("-scheduler")));
        return match list.first() {
            Some(first) if first.get("health").is_some() => Some(HEALTH),
            Some(_) if names => Some("/pd/api/v1/schedulers"),
            Some(first) if first.get("desc").is_some() => Some("/pd/api/v1/operators?object=true"),
            _ => None,
        };
    }
    let check = |name: &str| command.contains(name);
    match () {
        () if has("stores") || has("store") && has("status") => Some(STORES),
        () if has("members") && has("leader") => Some(MEMBERS),
        () if has("schedule") && has("replication") => Some(CONFIG),
        () if has("service_gc_safe_points") => Some("/pd/api/v1/gc/safepoint"),
        () if has("min_resolved_ts") => Some("/pd/api/v1/min-resolved-ts?scope=cluster"),
        () if has("count") && check("down-peer") => Some("/pd/api/v1/regions/check/down-peer"),
        () if has("count") && check("miss-peer") => Some("/pd/api/v1/regions/check/miss-peer"),
        () if has("count") && check("pending-peer") => {
            Some("/pd/api/v1/regions/check/pending-peer")
        }
        () if has("count") && check("offline-peer") => {
            Some("/pd/api/v1/regions/check/offline-peer")
        }
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_among_prompts_are_found_by_their_shape() {
        let text = r#"
$ pd-ctl -i
» store 4
{"store":{"id":4,"address":"h:20160","last_heartbeat":1795538171756874635,"state_name":"Down"},
 "status":{"region_count":12}}
» region check down-peer
{"count":3,"regions":[]}
» scheduler show
["balance-leader-scheduler"]
» member
{"members":[],"leader":{"name":"pd1"}}
Success! {not json [neither
"#;
        let found = pasted(text);
        let paths: Vec<&str> = found.answers.iter().map(|(path, _)| *path).collect();
        let check = "/pd/api/v1/regions/check/down-peer";
        assert_eq!(paths, [STORES, check, "/pd/api/v1/schedulers", MEMBERS]);
        assert_eq!(found.leader.as_deref(), Some("pd1"));
        assert_eq!(found.at, Some(Timestamp::from_millis(1_795_538_171_756)));
        assert!(found.answers[0].1.starts_with(br#"{"stores":[{"#));
    }

    #[test]
    fn a_log_of_answers_is_no_paste() {
        let log = r#"{"ts_ms":1,"url":"http://h:2379","path":"/p","status":200,"elapsed_ms":1}"#;
        assert_eq!(pasted(log), Pasted::default());
        assert_eq!(pasted(&"[".repeat(300)), Pasted::default());
    }
}
