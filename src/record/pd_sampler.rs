//! Samples every PD member in each round, and follows the list of members and the leader.
//!
//! A failover, a missing leader and a lost quorum are observations, never errors. Writing is the
//! caller's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, stream};

use crate::model::{GapReason, PdAnswer, PdOutcome, Timestamp};
use crate::pd::{
    MEMBERS, Member, MembersView, PING, PdRequest, PdSchedule, Scope, is_pd, members_view,
};
use crate::record::Cause;
use crate::source::{Addresses, Discovered, MOST_MEMBERS, PdClient};

/// The number of concurrent requests to one member.
const REQUESTS_AT_ONCE: usize = 4;
/// No request is sent later than this after the start of a round. A leader that answers `/ping` and
/// nothing else would otherwise delay a round by a minute and a half.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// Sends the requests that are due to all members, and follows the member list and the leader.
pub struct PdSampler {
    client: PdClient,
    members: Vec<Member>,
    /// How many members the longest list named.
    listed: usize,
    addresses: Addresses,
    schedule: PdSchedule,
    leader: Option<String>,
    silent: BTreeSet<String>,
    /// The names of members at whose URL another server answers.
    foreign: BTreeSet<String>,
    /// Why members did not answer before, by their names.
    failures: BTreeMap<String, Cause>,
    last: Option<Timestamp>,
}

impl PdSampler {
    /// A sampler that begins with the discovered members and learns of others from their answers. Where
    /// the members are reached by the addresses of seeds, the list stays as it is.
    pub fn new(client: PdClient, found: Discovered, schedule: PdSchedule) -> Self {
        let Discovered { mut members, addresses } = found;
        members.sort();
        members.dedup();
        let (silent, foreign) = (BTreeSet::new(), BTreeSet::new());
        let (leader, failures, last) = (None, BTreeMap::new(), None);
        let listed = members.len();
        Self {
            client,
            members,
            listed,
            addresses,
            schedule,
            leader,
            silent,
            foreign,
            failures,
            last,
        }
    }

    /// The same sampler, which knows why members did not answer before it began, by their names.
    pub fn knowing(self, failures: BTreeMap<String, Cause>) -> Self {
        Self { failures, ..self }
    }

    /// Why members did not answer before, by their names.
    pub fn failures(&self) -> &BTreeMap<String, Cause> {
        &self.failures
    }

    /// The members as known now, ascending by name.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How many members the longest list named that a member has answered with; more than are asked where these are
    /// too many.
    pub fn listed(&self) -> usize {
        self.listed
    }

    /// The name of the member that led when the members were last asked.
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// The interval between two requests of `/ping` to the same member.
    pub fn member_cadence(&self) -> Duration {
        self.schedule.cadence().member
    }

    /// Sends the requests that are due at `now`, and returns the answers in the order of sending, member
    /// and path. Answers are stamped with `now` plus the time that passed since the call.
    ///
    /// Members are asked in parallel, each with at most four requests at a time. The first is `/ping`; a
    /// member that lets it time out is sent no other request in this round, so that it costs its own
    /// 5 s and no more. Nothing is sent later than 30 s into the round. A request that was not sent is a
    /// failure whose detail says so.
    ///
    /// What another server than PD says at a member's URL is a failure: its bodies are none of PD's.
    ///
    /// Requests for what only the leader knows go to the leader. Where it did not answer the last
    /// `/ping`, or there is no leader, they go to the first member that did: it forwards them, and a
    /// refusal is recorded.
    pub async fn tick(&mut self, now: Timestamp) -> Vec<PdAnswer> {
        let mut answers = Vec::new();
        self.tick_each(now, |mut of_member| answers.append(&mut of_member)).await;
        answers.sort_by(|a, b| (a.sent, &a.member, &a.path).cmp(&(b.sent, &b.member, &b.path)));
        answers
    }

    /// As [`tick`](Self::tick), but passes each member's answers to `answered` as soon as the member has
    /// no request left: a member that hangs delays no other.
    pub async fn tick_each(&mut self, now: Timestamp, mut answered: impl FnMut(Vec<PdAnswer>)) {
        let due = self.schedule.due(self.last, now);
        self.last = Some(now);
        let clock = TickClock { now, started: tokio::time::Instant::now() };
        let leader_scoped = self.target_of_leader_requests();
        let members = self.members.iter().map(|member| {
            let requests = due
                .iter()
                .filter(|request| match request.scope {
                    Scope::EveryMember => true,
                    Scope::Leader => leader_scoped.as_ref() == Some(&member.name),
                })
                .cloned()
                .collect();
            ask_member(&self.client, member, requests, clock)
        });
        let mut members: FuturesUnordered<_> = members.collect();
        let mut of_members: Vec<PdAnswer> = Vec::new();
        while let Some(mut of_member) = members.next().await {
            refuse_foreign(&mut of_member, &mut self.foreign);
            let tells = |answer: &&PdAnswer| answer.path == PING || answer.path == MEMBERS;
            of_members.extend(of_member.iter().filter(tells).cloned());
            answered(of_member);
        }
        drop(members);
        of_members.sort_by(|a, b| (a.sent, &a.member, &a.path).cmp(&(b.sent, &b.member, &b.path)));
        self.follow(&of_members);
    }

    fn target_of_leader_requests(&self) -> Option<String> {
        let names = || self.members.iter().map(|member| &member.name);
        let led = self.leader.as_ref().filter(|leader| names().any(|name| name == *leader));
        led.filter(|leader| !self.silent.contains(*leader))
            .or_else(|| names().find(|name| !self.silent.contains(*name)))
            .or(led)
            .or_else(|| names().next())
            .cloned()
    }

    /// Updates the member list, the leader and the silent members from the answers.
    fn follow(&mut self, answers: &[PdAnswer]) {
        for answer in answers.iter().filter(|answer| answer.path == PING) {
            if answer.success().is_some() {
                self.silent.remove(&answer.member);
            } else {
                self.silent.insert(answer.member.clone());
            }
        }
        let asked = answers.iter().filter(|answer| answer.path == MEMBERS);
        if asked.clone().next().is_none() {
            return;
        }
        let views: Vec<(&PdAnswer, MembersView)> = asked
            .filter_map(|answer| Some((answer, members_view(answer.success()?)?)))
            .filter(|(_, view)| !view.members.is_empty())
            .collect();
        let most = views.iter().map(|(_, view)| view.members.len()).max();
        self.listed = self.listed.max(most.unwrap_or(0));
        let followed = if self.addresses != Addresses::Seeds { &views[..] } else { &[] };
        for (answer, view) in followed {
            let asked = Member { name: answer.member.clone(), url: answer.url.clone() };
            let listed = PdClient::members_of(answer.success().unwrap_or_default(), &asked);
            // Only the list of a member that names itself the leader shows that a member has left.
            let leads = view.leader.as_ref() == Some(&answer.member);
            merge(&mut self.members, listed, if leads { Missing::Drop } else { Missing::Keep });
        }
        self.silent.retain(|name| self.members.iter().any(|member| member.name == *name));
        self.leader = elect(&views);
    }
}

/// Makes failures of the successes of a server that is not PD, which is known from this round or an earlier one.
fn refuse_foreign(of_member: &mut [PdAnswer], foreign: &mut BTreeSet<String>) {
    let Some(member) = of_member.first().map(|answer| answer.member.clone()) else { return };
    match is_pd(of_member.iter()) {
        Some(true) => {
            foreign.remove(&member);
        }
        Some(false) => {
            foreign.insert(member.clone());
        }
        None => {}
    }
    if !foreign.contains(&member) {
        return;
    }
    for answer in of_member.iter_mut().filter(|answer| answer.success().is_some()) {
        let detail = format!("{} answers, and is not PD", answer.url);
        answer.outcome = PdOutcome::Failed { reason: GapReason::Malformed, detail };
    }
}

/// The leader that most views name; among equals the one that names itself, then the first by name.
fn elect(views: &[(&PdAnswer, MembersView)]) -> Option<String> {
    let mut votes: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    for (answer, view) in views {
        if let Some(leader) = &view.leader {
            let (count, names_itself) = votes.entry(leader).or_default();
            *count += 1;
            *names_itself |= answer.member == *leader;
        }
    }
    // `max_by_key` returns the last of equals, hence the reversed order.
    votes.into_iter().rev().max_by_key(|(_, vote)| *vote).map(|(name, _)| name.to_owned())
}

/// What happens to known members that a list does not name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Keep,
    Drop,
}

/// Merges `listed` into `members`. A member known by its URL gets the listed name, and one whose URL
/// changed gets the listed URL.
fn merge(members: &mut Vec<Member>, listed: Vec<Member>, missing: Missing) {
    if missing == Missing::Drop {
        // Where no known URL is listed, the members are reached by addresses that they do not
        // advertise, such as forwarded ports. The list would then replace every address that works.
        let any_known = members.iter().any(|member| {
            listed.iter().any(|other| other.url == member.url || other.name == member.name)
        });
        if any_known {
            members.retain(|member| {
                listed.iter().any(|other| other.url == member.url || other.name == member.name)
            });
        }
    }
    for member in listed {
        members.retain(|known| known.url != member.url && known.name != member.name);
        if members.len() < MOST_MEMBERS {
            members.push(member);
        }
    }
    members.sort();
}

/// Instants within a round, derived from its start and the time that passed.
#[derive(Clone, Copy)]
struct TickClock {
    now: Timestamp,
    started: tokio::time::Instant,
}

impl TickClock {
    fn read(self) -> Timestamp {
        let millis = self.started.elapsed().as_millis();
        self.now.saturating_add_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

async fn ask_member(
    client: &PdClient,
    member: &Member,
    mut requests: Vec<PdRequest>,
    clock: TickClock,
) -> Vec<PdAnswer> {
    let mut answers = Vec::with_capacity(requests.len());
    if let Some(position) = requests.iter().position(|request| request.path == PING) {
        let ping = client.ask(member, &requests.remove(position), clock.read()).await;
        let is_silent =
            matches!(ping.outcome, PdOutcome::Failed { reason: GapReason::Timeout, .. });
        answers.push(ping);
        if is_silent {
            let why = "not asked, since /pd/api/v1/ping was not answered in time";
            let sent = clock.read();
            let rest = requests.into_iter().map(|request| not_asked(member, request, sent, why));
            answers.extend(rest);
            return answers;
        }
    }
    let rest = stream::iter(requests)
        .map(|request| async move {
            if clock.started.elapsed() > SEND_WITHIN {
                let why = "not asked, since earlier requests of this tick took too long";
                return not_asked(member, request, clock.read(), why);
            }
            client.ask(member, &request, clock.read()).await
        })
        .buffer_unordered(REQUESTS_AT_ONCE);
    answers.extend(rest.collect::<Vec<_>>().await);
    answers
}

fn not_asked(member: &Member, request: PdRequest, sent: Timestamp, why: &str) -> PdAnswer {
    PdAnswer {
        sent,
        member: member.name.clone(),
        url: member.public_url(),
        path: request.path,
        elapsed_us: 0,
        outcome: PdOutcome::Failed { reason: GapReason::Timeout, detail: why.to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(millis: i64, member: &str, path: &str, outcome: PdOutcome) -> PdAnswer {
        PdAnswer {
            sent: Timestamp::from_millis(millis),
            member: member.to_owned(),
            url: format!("http://{member}:2379"),
            path: path.to_owned(),
            elapsed_us: 1500,
            outcome,
        }
    }

    fn ok() -> PdOutcome {
        PdOutcome::Answered { status: 200, body: [].into() }
    }

    fn view(of: &str, leader: Option<&str>) -> (PdAnswer, MembersView) {
        let leader = leader.map(str::to_owned);
        (answer(0, of, MEMBERS, ok()), MembersView { leader, ..MembersView::default() })
    }

    #[test]
    fn the_leader_is_whom_most_name_then_who_names_itself() {
        let elected = |views: &[(PdAnswer, MembersView)]| {
            elect(&views.iter().map(|(a, v)| (a, v.clone())).collect::<Vec<_>>())
        };
        let most = [view("pd0", Some("pd0")), view("pd1", Some("pd2")), view("pd2", Some("pd2"))];
        assert_eq!(elected(&most).as_deref(), Some("pd2"));
        let tie = [view("pd0", Some("pd1")), view("pd2", Some("pd2"))];
        assert_eq!(elected(&tie).as_deref(), Some("pd2"));
        assert_eq!(elected(&[view("pd0", None)]), None);
    }

    #[test]
    fn what_another_server_says_is_a_failure_until_pd_answers() {
        let body = |text: &str| PdOutcome::Answered { status: 200, body: text.as_bytes().into() };
        let members = r#"{"members": [{"name": "pd0", "client_urls": ["http://pd0:2379"]}]}"#;
        let mut foreign = BTreeSet::new();
        let mut round = |path: &str, text: &str| {
            let mut answers = [answer(0, "pd0", path, body(text))];
            refuse_foreign(&mut answers, &mut foreign);
            answers[0].success().is_some()
        };
        assert!(!round(MEMBERS, "{}"));
        assert!(!round("/pd/api/v1/stores", "{}"), "it is still that server");
        assert!(round(MEMBERS, members));
        assert!(round("/pd/api/v1/stores", "{}"));
    }

    #[test]
    fn a_listed_member_takes_its_name_and_one_that_left_is_dropped_by_the_leader_alone() {
        let member = |name: &str, host: &str| Member {
            name: name.to_owned(),
            url: format!("http://{host}:2379"),
        };
        let mut members = vec![member("h0:2379", "h0"), member("pd9", "h9")];
        let listed = vec![member("pd0", "h0"), member("pd1", "h1")];
        merge(&mut members, listed.clone(), Missing::Keep);
        assert_eq!(members, [member("pd0", "h0"), member("pd1", "h1"), member("pd9", "h9")]);
        merge(&mut members, listed.clone(), Missing::Drop);
        assert_eq!(members, listed);
    }
}
