//! Samples every PD member each tick, and derives from the probes when a member was not seen.
//!
//! Writing is the caller's. Failover, no leader, no quorum are observations, never errors.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, future, stream};

use crate::model::{Gap, GapReason, PdAnswer, PdOutcome, Source, TimeRange, Timestamp};
use crate::source::pd::{
    MEMBERS, Member, MembersView, PING, PdClient, PdRequest, PdSchedule, STATUS, Scope,
    members_view,
};

/// How many requests one member has to answer at once.
const REQUESTS_AT_ONCE: usize = 4;
/// How long after the start of a tick a member is still sent requests. A leader that answers
/// `/ping` and nothing else would otherwise hold up a tick for a minute and a half.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// Asks all members what is due, and follows who they are and who leads.
pub struct PdSampler {
    client: PdClient,
    members: Vec<Member>,
    schedule: PdSchedule,
    leader: Option<String>,
    silent: BTreeSet<String>,
    last: Option<Timestamp>,
}

impl PdSampler {
    /// A sampler that begins with `members` and learns of others from their answers.
    pub fn new(client: PdClient, mut members: Vec<Member>, schedule: PdSchedule) -> Self {
        members.sort();
        members.dedup();
        Self { client, members, schedule, leader: None, silent: BTreeSet::new(), last: None }
    }

    /// The members as known now, ascending by name.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The name of the member that led when the members were last asked.
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// When something is due next.
    pub fn next_due(&self, now: Timestamp) -> Timestamp {
        if self.last.is_none() { now } else { self.schedule.next_due(now) }
    }

    /// Asks whatever is due at `now` and returns the answers in order of sending, member and
    /// path. Answers are stamped with `now` plus the time that passed since the call.
    ///
    /// Members are asked in parallel, each at most four requests at a time. The first is
    /// `/ping`; a member that lets it time out is asked nothing more in this tick, so that it
    /// costs its own 5 s and no more. Nothing is sent later than 30 s into the tick. What was
    /// not asked is a failure that says so.
    ///
    /// What only the leader knows is asked of the leader, or, where that did not answer the
    /// last `/ping` or nobody leads, of the first member that did: it passes the request on,
    /// and its refusal is recorded.
    pub async fn tick(&mut self, now: Timestamp) -> Vec<PdAnswer> {
        let due = self.schedule.due(self.last, now);
        self.last = Some(now);
        let clock = Clock { now, started: tokio::time::Instant::now() };
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
        let mut answers: Vec<PdAnswer> =
            future::join_all(members).await.into_iter().flatten().collect();
        self.follow(&answers);
        answers.sort_by(|a, b| (a.sent, &a.member, &a.path).cmp(&(b.sent, &b.member, &b.path)));
        answers
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

    /// Takes over what the answers say about members, leader and silence.
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
        for (answer, view) in &views {
            let asked = Member { name: answer.member.clone(), url: answer.url.clone() };
            let listed = PdClient::members_of(answer.success().unwrap_or_default(), &asked);
            // Only a member that leads by its own account knows who has left.
            let leads = view.leader.as_ref() == Some(&answer.member);
            merge(&mut self.members, listed, if leads { Missing::Drop } else { Missing::Keep });
        }
        self.silent.retain(|name| self.members.iter().any(|member| member.name == *name));
        self.leader = elect(&views);
    }
}

/// Who leads by most accounts; of two with as many, the one that says so of itself, then the
/// first by name.
fn elect(views: &[(&PdAnswer, MembersView)]) -> Option<String> {
    let mut votes: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    for (answer, view) in views {
        if let Some(leader) = &view.leader {
            let (count, itself) = votes.entry(leader).or_default();
            *count += 1;
            *itself |= answer.member == *leader;
        }
    }
    // `max_by` would take the last of equals.
    votes.into_iter().rev().max_by_key(|(_, vote)| *vote).map(|(name, _)| name.to_owned())
}

/// What becomes of members that a list does not name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Keep,
    Drop,
}

/// Takes `listed` into `members`. A member known by its URL gets the listed name, and one whose
/// URL changed gets the listed URL.
fn merge(members: &mut Vec<Member>, listed: Vec<Member>, missing: Missing) {
    if missing == Missing::Drop {
        // Where no known URL is listed, the members are reached by other addresses than they
        // advertise, through forwarded ports say. Then the list would replace all that works.
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
        members.push(member);
    }
    members.sort();
}

/// Instants within a tick, without the system's clock.
#[derive(Clone, Copy)]
struct Clock {
    now: Timestamp,
    started: tokio::time::Instant,
}

impl Clock {
    fn read(self) -> Timestamp {
        let millis = self.started.elapsed().as_millis();
        self.now.saturating_add_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }
}

async fn ask_member(
    client: &PdClient,
    member: &Member,
    mut requests: Vec<PdRequest>,
    clock: Clock,
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
        url: member.url.clone(),
        path: request.path,
        elapsed_us: 0,
        outcome: PdOutcome::Failed { reason: GapReason::Timeout, detail: why.to_owned() },
    }
}

/// Turns consecutive failed probes of a member into one gap.
///
/// The probe is `/ping`, or `/status` for a member that was never asked for `/ping`. Only a
/// success status passes. A gap reaches from the first failed probe to the next that passes,
/// and carries the first one's reason. Members are told apart by URL, since a name can be
/// learnt in the middle of a gap; the gap carries the latest.
///
/// # Examples
///
/// ```
/// use operator::model::{GapReason, PdAnswer, PdOutcome, Timestamp};
/// use operator::record::pd_sampler::GapTracker;
/// let ping = |millis, outcome| PdAnswer {
///     sent: Timestamp::from_millis(millis),
///     member: "pd0".to_owned(),
///     url: "http://pd0:2379".to_owned(),
///     path: "/pd/api/v1/ping".to_owned(),
///     elapsed_us: 700,
///     outcome,
/// };
/// let failed = PdOutcome::Failed { reason: GapReason::Connect, detail: "refused".to_owned() };
/// let mut tracker = GapTracker::default();
/// assert_eq!(tracker.observe(&ping(10_000, failed)), None);
/// let gap = tracker.observe(&ping(20_000, PdOutcome::Answered { status: 200, body: vec![] }));
/// assert_eq!(gap.map(|gap| gap.range.millis()), Some(10_000));
/// ```
#[derive(Clone, Debug, Default)]
pub struct GapTracker {
    by_url: BTreeMap<String, Probes>,
}

#[derive(Clone, Debug, Default)]
struct Probes {
    member: String,
    pinged: bool,
    open: Option<OpenGap>,
}

#[derive(Clone, Debug)]
struct OpenGap {
    since: Timestamp,
    reason: GapReason,
    detail: String,
    failures: u64,
}

impl GapTracker {
    /// Takes note of an answer; answers of one member come in order of sending. Returns the
    /// gap that this answer ends.
    pub fn observe(&mut self, answer: &PdAnswer) -> Option<Gap> {
        if answer.path != PING && answer.path != STATUS {
            return None;
        }
        let probes = self.by_url.entry(answer.url.clone()).or_default();
        probes.member.clone_from(&answer.member);
        if answer.path == PING {
            probes.pinged = true;
        } else if probes.pinged {
            return None;
        }
        match failure_of(answer) {
            None => probes.end(answer.sent),
            Some((reason, detail)) => {
                let since = answer.sent;
                let first = || OpenGap { since, reason, detail, failures: 0 };
                probes.open.get_or_insert_with(first).failures += 1;
                None
            }
        }
    }

    /// Ends the gaps of members that have left the cluster, `members` being those that remain:
    /// from `at` on there is nothing to be seen of them. Sorted.
    pub fn retain(&mut self, members: &[Member], at: Timestamp) -> Vec<Gap> {
        let mut gaps = Vec::new();
        self.by_url.retain(|url, probes| {
            let remains = members.iter().any(|member| member.url == *url);
            if !remains {
                gaps.extend(probes.end(at));
            }
            remains
        });
        gaps.sort();
        gaps
    }

    /// The members that are not seen at present, and since when, ascending by URL.
    pub fn open(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.by_url
            .values()
            .filter_map(|probes| Some((probes.member.as_str(), probes.open.as_ref()?.since)))
    }

    /// Ends every open gap at `end`, the end of the recording. Sorted.
    pub fn finish(mut self, end: Timestamp) -> Vec<Gap> {
        self.retain(&[], end)
    }
}

impl Probes {
    fn end(&mut self, end: Timestamp) -> Option<Gap> {
        let open = self.open.take()?;
        Some(open.until(end, self.member.clone()))
    }
}

impl OpenGap {
    fn until(self, end: Timestamp, member: String) -> Gap {
        let detail = match self.failures {
            1 => self.detail,
            failures => format!("{}; {failures} probes failed", self.detail),
        };
        // A probe's own instant belongs to the gap even if nothing was observed after it.
        let end = end.max(self.since + 1);
        Gap {
            range: TimeRange::new(self.since, end),
            source: Source::PdMember(member),
            reason: self.reason,
            detail,
            healed_at: None,
        }
    }
}

fn failure_of(answer: &PdAnswer) -> Option<(GapReason, String)> {
    match &answer.outcome {
        PdOutcome::Answered { status: 200..=299, .. } => None,
        PdOutcome::Answered { status: status @ (401 | 403), .. } => {
            Some((GapReason::Unauthorized, format!("{}: status {status}", answer.path)))
        }
        PdOutcome::Answered { status, .. } => {
            Some((GapReason::Status, format!("{}: status {status}", answer.path)))
        }
        PdOutcome::Failed { reason, detail } => {
            Some((*reason, format!("{}: {detail}", answer.path)))
        }
    }
}

/// The gaps that a whole recording's answers leave, sorted; those still open end when the last
/// answer was observed. Answers may come in any order.
pub fn gaps_of(answers: &[PdAnswer]) -> Vec<Gap> {
    let mut probes: Vec<&PdAnswer> =
        answers.iter().filter(|answer| answer.path == PING || answer.path == STATUS).collect();
    probes.sort_by_key(|answer| (answer.sent, &answer.member, &answer.path));
    let mut tracker = GapTracker::default();
    let mut gaps: Vec<Gap> =
        probes.into_iter().filter_map(|probe| tracker.observe(probe)).collect();
    if let Some(end) = answers.iter().map(PdAnswer::observed).max() {
        gaps.extend(tracker.finish(end));
    }
    gaps.sort();
    gaps
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
        PdOutcome::Answered { status: 200, body: Vec::new() }
    }

    fn failed(reason: GapReason) -> PdOutcome {
        PdOutcome::Failed { reason, detail: "no answer".to_owned() }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn consecutive_failures_of_a_member_are_one_gap() {
        let gaps = gaps_of(&[
            answer(0, "pd0", PING, ok()),
            answer(10, "pd0", PING, failed(GapReason::Connect)),
            answer(20, "pd0", PING, failed(GapReason::Timeout)),
            answer(20, "pd1", PING, ok()),
            answer(30, "pd0", PING, ok()),
            answer(40, "pd0", PING, failed(GapReason::Timeout)),
        ]);
        assert_eq!(gaps.len(), 2);
        assert_eq!(gaps[0].range, TimeRange::new(at(10), at(30)));
        assert_eq!(gaps[0].reason, GapReason::Connect);
        assert_eq!(gaps[0].detail, "/pd/api/v1/ping: no answer; 2 probes failed");
        assert_eq!(gaps[1].range, TimeRange::new(at(40), at(42)));
    }

    #[test]
    fn a_status_counts_only_where_there_is_no_ping() {
        let refused = PdOutcome::Answered { status: 503, body: Vec::new() };
        let pinged = [
            answer(0, "pd0", PING, ok()),
            answer(1, "pd0", STATUS, refused.clone()),
            answer(2, "pd0", PING, ok()),
        ];
        assert!(gaps_of(&pinged).is_empty());
        let never_pinged = [answer(1, "pd0", STATUS, refused), answer(9, "pd0", STATUS, ok())];
        assert_eq!(gaps_of(&never_pinged)[0].reason, GapReason::Status);
    }

    #[test]
    fn the_order_of_answers_does_not_change_the_gaps() {
        let mut answers = vec![
            answer(10, "pd0", PING, failed(GapReason::Connect)),
            answer(20, "pd0", PING, ok()),
            answer(10, "pd1", PING, failed(GapReason::Connect)),
        ];
        let gaps = gaps_of(&answers);
        answers.reverse();
        assert_eq!(gaps_of(&answers), gaps);
    }

    #[test]
    fn a_name_learnt_within_a_gap_does_not_end_it() {
        let unnamed = PdAnswer {
            url: "http://pd0:2379".to_owned(),
            ..answer(10, "pd0:2379", PING, failed(GapReason::Connect))
        };
        let gaps = gaps_of(&[unnamed, answer(30, "pd0", PING, ok())]);
        assert_eq!(gaps.len(), 1);
        assert_eq!(gaps[0].source, Source::PdMember("pd0".to_owned()));
        assert_eq!(gaps[0].range, TimeRange::new(at(10), at(30)));
    }

    #[test]
    fn a_member_that_left_is_no_longer_missing() {
        let mut tracker = GapTracker::default();
        tracker.observe(&answer(10, "pd0", PING, failed(GapReason::Connect)));
        assert_eq!(tracker.open().collect::<Vec<_>>(), [("pd0", at(10))]);
        let gaps = tracker.retain(&[], at(25));
        assert_eq!(gaps[0].range, TimeRange::new(at(10), at(25)));
        assert!(tracker.finish(at(99)).is_empty());
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
