//! PD's members: reachability, membership, leadership, health.

use std::collections::BTreeMap;

use crate::model::{PdAnswer, PdOutcome, duration_text};
use crate::pd::MembersDocument;
use crate::timeline::entry::EntryKind;
use crate::timeline::pd_changes::{Failures, PdChanges, SETTLE_MS, list, made};

impl PdChanges {
    /// A member is unreachable once two requests to it in a row got no answer of any status; the
    /// entry stands at the first. A single lost request is not told here.
    pub(super) fn reachability(&mut self, answer: &PdAnswer) {
        let member = &answer.member;
        match &answer.outcome {
            PdOutcome::Failed { reason, detail } => {
                let failures = self.failures.entry(member.clone()).or_insert(Failures {
                    since: answer.observed(),
                    count: 0,
                    announced: false,
                });
                failures.count += 1;
                if failures.count < 2 || failures.announced {
                    return;
                }
                failures.announced = true;
                let since = failures.since;
                let text = format!("does not answer ({reason}: {detail})");
                let mut entry = made(
                    answer,
                    EntryKind::PdMemberUnreachable,
                    member.clone(),
                    text,
                    reason.name(),
                );
                entry.at = since;
                // The recorder saw this, not the member.
                entry.source = "recorder".to_owned();
                self.entries.push(entry);
            }
            PdOutcome::Answered { status, .. } => {
                let Some(failures) = self.failures.remove(member) else { return };
                if failures.announced {
                    let silent = duration_text(answer.observed() - failures.since);
                    let count = failures.count;
                    let text = format!("answers again after {silent} ({count} requests lost)");
                    let value = format!("HTTP {status}");
                    self.push(answer, EntryKind::PdMemberReachable, member.clone(), text, &value);
                }
            }
        }
    }

    pub(super) fn members(&mut self, answer: &PdAnswer, members: &MembersDocument) {
        let known = std::mem::replace(&mut self.members_known, true);
        if !known {
            return;
        }
        let before = self.topology.members.clone();
        for (id, member) in &members.members {
            if !before.contains_key(id) {
                let urls = member.client_urls.join(", ");
                let text = format!("joined, at {urls}");
                let value = format!("member_id {id}");
                self.push(answer, EntryKind::PdMemberJoined, member.name.clone(), text, &value);
            }
        }
        for (id, member) in &before {
            if !members.members.contains_key(id) {
                let value = format!("member_id {id} is not listed");
                let text = "left".to_owned();
                self.push(answer, EntryKind::PdMemberLeft, member.name.clone(), text, &value);
            }
        }
    }

    /// Compares PD's leader after an answer with the one before; see [`Topology::leader`].
    pub(super) fn leader(&mut self, answer: &PdAnswer) {
        let at = answer.observed();
        let leader = self.topology.leader.clone();
        match (self.last_leader.clone(), leader) {
            (Some(before), None) if self.leader_lost.is_none() => {
                self.leader_lost = Some(at);
                let text = format!("no member names a leader (was {before})");
                let kind = EntryKind::PdLeaderLost;
                self.push(answer, kind, "pd leader".to_owned(), text, "no leader");
            }
            (before, Some(leader)) => {
                let lost = self.leader_lost.take();
                let without = lost.map_or_else(String::new, |lost| {
                    format!(", {} without one", duration_text(at - lost))
                });
                let text = match &before {
                    Some(before) if *before != leader => {
                        Some(format!("{before} -> {leader}{without}"))
                    }
                    Some(_) if lost.is_some() => Some(format!("{leader} again{without}")),
                    _ => None,
                };
                if let Some(text) = text {
                    self.leader_changed = Some(at);
                    let value = format!("leader {leader}");
                    let kind = EntryKind::PdLeaderChanged;
                    self.push(answer, kind, "pd leader".to_owned(), text, &value);
                }
                self.last_leader = Some(leader);
            }
            _ => {}
        }
    }

    /// One entry per change of the set of members that find a member unhealthy; changes in the
    /// same direction within [`SETTLE_MS`] extend the entry.
    pub(super) fn health(&mut self, answer: &PdAnswer, row: &BTreeMap<String, bool>) {
        let at = answer.observed();
        for (name, healthy) in row {
            let health = self.health.entry(name.clone()).or_default();
            let observer = answer.member.clone();
            let changed = if *healthy {
                health.healthy_by.insert(observer.clone());
                health.unhealthy_by.remove(&observer)
            } else {
                health.healthy_by.remove(&observer);
                health.unhealthy_by.insert(observer)
            };
            if !changed {
                continue;
            }
            let since = *health.since.get_or_insert(at);
            let (kind, text) = if !*healthy {
                let text = format!("unhealthy, says {}", list(&health.unhealthy_by));
                (EntryKind::PdMemberUnhealthy, text)
            } else if health.unhealthy_by.is_empty() {
                health.since = None;
                let text = format!("healthy again after {}", duration_text(at - since));
                (EntryKind::PdMemberHealthy, text)
            } else {
                let by = list(&health.healthy_by);
                let text = format!("healthy, says {by}; not {}", list(&health.unhealthy_by));
                (EntryKind::PdMemberHealthy, text)
            };
            let last = health.last.filter(|(index, last)| {
                self.entries[*index].kind == kind && at - *last <= SETTLE_MS
            });
            let index = match last {
                Some((index, _)) => {
                    self.entries[index].text = text;
                    index
                }
                None => {
                    let value = format!("{name} health {healthy}");
                    self.entries.push(made(answer, kind, name.clone(), text, &value));
                    self.entries.len() - 1
                }
            };
            health.last = Some((index, at));
        }
    }
}
