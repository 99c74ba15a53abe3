//! Changes of PD's answers.

use operator::model::{GapReason, PdAnswer, PdOutcome, TimeRange, Timestamp};
use serde_json::Value;

use super::Run;

impl Run {
    /// Changes the bodies of successful answers to a route that were sent in a stretch.
    pub fn bodies(
        &mut self,
        route: &str,
        range: TimeRange,
        mut change: impl FnMut(Timestamp, &mut Value),
    ) {
        let mut found = false;
        for answer in
            self.pd.iter_mut().filter(|a| a.path.contains(route) && range.contains(a.sent))
        {
            if let PdOutcome::Answered { status: 200, body } = &mut answer.outcome {
                let mut value: Value = serde_json::from_slice(body).expect("PD answers in JSON");
                change(answer.sent, &mut value);
                *body = value.to_string().into_bytes().into();
                found = true;
            }
        }
        assert!(found, "no answer to {route}");
    }

    /// Changes the bodies of one member's successful answers to a route.
    pub fn bodies_of(
        &mut self,
        member: &str,
        route: &str,
        range: TimeRange,
        change: impl Fn(&mut Value),
    ) {
        let others: Vec<PdAnswer> = self.pd.extract_if(.., |a| a.member != member).collect();
        self.bodies(route, range, |_, body| change(body));
        self.pd.extend(others);
    }

    /// Changes one store's entry in every listing of a stretch.
    pub fn store_entries(
        &mut self,
        id: u64,
        range: TimeRange,
        mut change: impl FnMut(Timestamp, &mut Value),
    ) {
        self.bodies("/stores?", range, |at, body| {
            let stores = body["stores"].as_array_mut().expect("stores are listed");
            for store in stores.iter_mut().filter(|store| store["store"]["id"] == id) {
                change(at, store);
            }
        });
    }

    /// Stops a store's heartbeats over a stretch, as PD reports it.
    pub fn stop_heartbeats(&mut self, id: u64, range: TimeRange) {
        let mut last = None;
        self.store_entries(id, range, |at, store| {
            let held =
                *last.get_or_insert(store["store"]["last_heartbeat"].as_i64().expect("a time"));
            store["store"]["last_heartbeat"] = held.into();
            if at.as_millis() - held / 1_000_000 > 20_000 {
                store["store"]["state_name"] = "Disconnected".into();
            }
        });
    }

    /// Takes away a member's answers over a stretch.
    pub fn silence_member(&mut self, name: &str, range: TimeRange, reason: GapReason) {
        for answer in self.pd.iter_mut().filter(|a| a.member == name && range.contains(a.sent)) {
            answer.outcome = PdOutcome::Failed { reason, detail: "no answer".to_owned() };
        }
    }

    /// Makes every member name another leader of PD from an instant on.
    pub fn move_pd_leader(&mut self, to: &str, from: Timestamp) {
        let range = TimeRange::new(from, Timestamp::MAX);
        self.bodies("/members", range, |_, body| {
            let members = body["members"].as_array().expect("members are listed");
            let member =
                members.iter().find(|member| member["name"] == to).expect("it is a member");
            let member = member.clone();
            body["leader"] = member.clone();
            body["etcd_leader"] = member;
        });
        // What only the leader is asked is asked of the new one.
        let leader_only = |path: &str| {
            !["ping", "health", "status", "members"].iter().any(|route| path.ends_with(route))
        };
        for answer in self.pd.iter_mut().filter(|a| a.sent >= from && leader_only(&a.path)) {
            answer.member = to.to_owned();
        }
    }

    /// All stores: id and instance, ascending.
    pub fn stores(&self) -> Vec<(u64, String)> {
        let listing = self.pd.iter().find(|a| a.path.contains("/stores?") && a.success().is_some());
        let body = listing.expect("stores are listed").success().expect("it is one");
        let body: Value = serde_json::from_slice(body).expect("it is JSON");
        let store = |store: &Value| {
            let id = store["store"]["id"].as_u64().expect("an id");
            let status = store["store"]["status_address"].as_str().expect("an address");
            (id, status.to_owned())
        };
        let mut found: Vec<_> =
            body["stores"].as_array().expect("a list").iter().map(store).collect();
        found.sort();
        found
    }

    /// The store at this index of [`stores`](Self::stores): id, instance and its name in verdicts.
    pub fn store(&self, index: usize) -> (u64, String, String) {
        let (id, instance) = self.stores()[index].clone();
        (id, instance, format!("store {id}"))
    }
}
