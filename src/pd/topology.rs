//! PD's state at an instant, put together from the answers of its members.
//!
//! One member's view is not the cluster's: health and leadership are kept by who said so.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Member, MemberId, MemberStatus, PdAnswer, PdOperator, PdOutcome, Store, StoreId, Timestamp,
};
use crate::pd::documents::{PdDocument, PdDocumentError};

/// One member as the recorder and the member itself see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberView {
    /// Whether the last request to it was answered, whatever the status.
    pub answering: bool,
    /// What it last said of itself.
    pub status: Option<MemberStatus>,
    /// Which members it reaches, by name: one row of the health matrix. Empty while it is silent.
    pub health: BTreeMap<String, bool>,
    /// Whom it names as PD's leader; `None` while it names nobody or is silent.
    pub leader: Option<String>,
}

/// PD's state as known at an instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// The cluster's id.
    pub cluster_id: Option<u64>,
    /// Members as last listed by any of them.
    pub members: BTreeMap<MemberId, Member>,
    /// Name of PD's leader; `None` while no answering member names one.
    pub leader: Option<String>,
    /// Name of etcd's leader.
    pub etcd_leader: Option<String>,
    /// What each member says, by name.
    pub views: BTreeMap<String, MemberView>,
    /// Stores as last listed.
    pub stores: BTreeMap<StoreId, Store>,
    /// When the stores were last listed.
    pub stores_seen: Option<Timestamp>,
    /// Scheduling steps under way, as last listed.
    pub operators: Vec<PdOperator>,
    /// Schedulers, as last listed; `None` until then.
    pub schedulers: Option<BTreeSet<String>>,
    /// Paused schedulers, as last listed; `None` until then.
    pub paused_schedulers: Option<BTreeSet<String>>,
    /// Configuration by dotted key, by the member that was asked.
    pub config: BTreeMap<String, BTreeMap<String, String>>,
    /// How many regions there are.
    pub region_count: Option<u64>,
    /// How many regions each check names, by check.
    pub region_checks: BTreeMap<String, u64>,
    /// The version of PD, such as `v8.5.8`.
    pub version: Option<String>,
}

impl Topology {
    /// The versions of the stores that are TiKV, without those that list none.
    pub fn tikv_versions(&self) -> BTreeSet<String> {
        let tikv = self.stores.values().filter(|store| !store.is_tiflash());
        tikv.map(|store| store.version.clone()).filter(|version| !version.is_empty()).collect()
    }

    /// Takes in one answer; answers go in in the order of [`PdAnswer::observed`].
    ///
    /// # Errors
    ///
    /// [`PdDocumentError`] where a success has an unreadable body; the state then only learns
    /// that the member answers.
    pub fn apply(&mut self, answer: &PdAnswer) -> Result<(), PdDocumentError> {
        let parsed = match answer.success() {
            Some(body) => PdDocument::parse(&answer.path, body),
            None => Ok(None),
        };
        self.apply_parsed(answer, parsed.as_ref().ok().and_then(Option::as_ref));
        parsed.map(|_| ())
    }

    /// Takes in one answer whose body has been parsed already.
    pub fn apply_parsed(&mut self, answer: &PdAnswer, document: Option<&PdDocument>) {
        let is_members = answer.path.starts_with("/pd/api/v1/members");
        let view = self.views.entry(answer.member.clone()).or_default();
        view.answering = matches!(answer.outcome, PdOutcome::Answered { .. });
        if !view.answering {
            view.health.clear();
        }
        if is_members && document.is_none() {
            self.set_leader_view(&answer.member, None);
        }
        if let Some(document) = document {
            self.apply_document(&answer.member, answer.observed(), document);
        }
    }

    fn apply_document(&mut self, member: &str, at: Timestamp, document: &PdDocument) {
        match document {
            PdDocument::Members(members) => {
                self.cluster_id = members.cluster_id.or(self.cluster_id);
                self.members.clone_from(&members.members);
                self.etcd_leader.clone_from(&members.etcd_leader);
                self.set_leader_view(member, members.leader.clone());
            }
            PdDocument::Health(row) => self.view(member).health.clone_from(row),
            PdDocument::Status(status) => self.view(member).status = Some(status.clone()),
            PdDocument::Stores(stores) => {
                self.stores.clone_from(stores);
                self.stores_seen = Some(at);
            }
            PdDocument::Operators(operators) => self.operators.clone_from(operators),
            PdDocument::Schedulers(names) => self.schedulers = Some(names.clone()),
            PdDocument::PausedSchedulers(names) => self.paused_schedulers = Some(names.clone()),
            PdDocument::Config(config) => {
                self.config.insert(member.to_owned(), config.clone());
            }
            PdDocument::RegionCount(count) => self.region_count = Some(*count),
            PdDocument::RegionCheck { name, count } => {
                self.region_checks.insert(name.clone(), *count);
            }
            PdDocument::Version(version) => self.version = Some(version.clone()),
            PdDocument::HotRegions { .. }
            | PdDocument::BusyRegions { .. }
            | PdDocument::SafePoint(_)
            | PdDocument::MinResolvedTs(_) => {}
        }
    }

    fn view(&mut self, member: &str) -> &mut MemberView {
        self.views.entry(member.to_owned()).or_default()
    }

    /// A member that still names the old leader must not undo what another said since, so only a
    /// *change* of a member's own view moves the cluster's leader.
    fn set_leader_view(&mut self, member: &str, leader: Option<String>) {
        let view = self.view(member);
        let changed = view.leader != leader;
        view.leader.clone_from(&leader);
        if changed && leader.is_some() {
            self.leader = leader;
        } else if self.views.values().all(|view| view.leader.is_none()) {
            self.leader = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GapReason;

    fn members(member: &str, at: i64, outcome: PdOutcome) -> PdAnswer {
        PdAnswer {
            sent: Timestamp::from_millis(at),
            member: member.to_owned(),
            url: String::new(),
            path: "/pd/api/v1/members".to_owned(),
            elapsed_us: 0,
            outcome,
        }
    }

    fn names(leader: &str) -> PdOutcome {
        let body = format!(r#"{{"members":[],"leader":{{"name":"{leader}","member_id":1}}}}"#);
        PdOutcome::Answered { status: 200, body: body.into_bytes().into() }
    }

    #[test]
    fn a_member_that_lags_does_not_undo_a_leader_change() {
        let mut topology = Topology::default();
        for (member, leader) in
            [("pd1", "pd0"), ("pd2", "pd0"), ("pd1", "pd1"), ("pd2", "pd0"), ("pd2", "pd0")]
        {
            topology.apply(&members(member, 0, names(leader))).unwrap();
        }
        assert_eq!(topology.leader.as_deref(), Some("pd1"));
    }

    #[test]
    fn there_is_no_leader_once_nobody_names_one() {
        let mut topology = Topology::default();
        topology.apply(&members("pd0", 0, names("pd0"))).unwrap();
        topology.apply(&members("pd1", 0, names("pd0"))).unwrap();
        let refused =
            PdOutcome::Failed { reason: GapReason::Connect, detail: "refused".to_owned() };
        topology.apply(&members("pd0", 1, refused)).unwrap();
        assert_eq!(topology.leader.as_deref(), Some("pd0"));
        let error = PdOutcome::Answered { status: 500, body: (*b"redirect failed").into() };
        topology.apply(&members("pd1", 1, error)).unwrap();
        assert_eq!(topology.leader, None);
    }
}
