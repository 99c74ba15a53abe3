//! A client of PD's members, and the discovery of which members there are.
//!
//! A failure is an answer too: PD without a leader, a member that is gone, the HTML of a proxy. What the
//! bodies mean is in `pd`.

use std::sync::Once;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use crate::model::{PdAnswer, PdOutcome, Timestamp};
use crate::pd::{
    CONFIG, MEMBERS, Member, PdRequest, Scope, member_name, members_view, without_userinfo,
};
use crate::source::{Http, HttpAnswer, HttpOptions, Redactor, SourceError, names_user, public_url};

/// The number of members that are asked concurrently during discovery.
pub(crate) const MEMBERS_AT_ONCE: usize = 8;
/// The most members that are accepted from a list. Real clusters have three to seven; a list of
/// thousands would make the recorder send requests to each of them every few seconds.
pub(crate) const MOST_MEMBERS: usize = 64;
/// How long discovery waits until any of the members has answered.
const ANY_WITHIN: Duration = Duration::from_secs(15);
/// The header that prevents a follower from forwarding the request to the leader.
const ANSWER_YOURSELF: (&str, &str) = ("PD-Allow-follower-handle", "true");

impl Member {
    /// The member's URL without secrets and without a final slash, as it may be stored.
    pub fn public_url(&self) -> String {
        public_url(&self.url).trim_end_matches('/').to_owned()
    }
}

/// The kind of addresses by which PD's members are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// The addresses that the members advertise.
    Advertised,
    /// The addresses that the user gave, since no member answers at its advertised address: the members
    /// are behind a forwarded port or a proxy.
    Seeds,
    /// The addresses that the user gave, since none of them lists members so far.
    Unlisted,
}

/// The cluster's members, and how they are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovered {
    /// The members, ascending by name.
    pub members: Vec<Member>,
    /// The kind of URL that the members have.
    pub addresses: Addresses,
}

/// A client for PD's members, all reached with the same options.
#[derive(Clone, Debug)]
pub struct PdClient {
    http: Http,
}

impl PdClient {
    /// A client with these options. Their timeout and size limit do not apply: each request has its own
    /// ([`PdRequest::timeout`], [`PdRequest::max_body_bytes`]).
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where no client can be made of them.
    pub fn new(options: &HttpOptions) -> Result<Self, SourceError> {
        Ok(Self { http: Http::new(options)? })
    }

    /// The same client, which also removes the secrets in these URLs from what it reports.
    pub fn hiding(self, seeds: &[String]) -> Self {
        Self { http: seeds.iter().fold(self.http, |http, seed| http.hiding(seed)) }
    }

    /// The secrets of this client, to be removed from texts.
    pub fn redactor(&self) -> &Redactor {
        self.http.redactor()
    }

    /// Sends one request to one member. It never fails: a missing answer is an outcome, and so is an
    /// answer with any status. The answer is stamped with `sent`.
    ///
    /// In the body of `/pd/api/v1/config` and of its parts, user and password are removed from URLs; every
    /// other body of a success is kept unchanged. The body of an error is often that of a proxy, which
    /// may repeat what it received, so the client's own secrets are removed from it.
    pub async fn ask(&self, member: &Member, request: &PdRequest, sent: Timestamp) -> PdAnswer {
        let started = tokio::time::Instant::now();
        let outcome = match self.exchange(member, request).await {
            Ok(answer) => PdOutcome::Answered {
                status: answer.status,
                body: {
                    let body = without_secrets(&request.path, answer.body);
                    let is_success = (200..300).contains(&answer.status);
                    if is_success { body } else { self.redactor().redact_body(body) }.into()
                },
            },
            Err(error) => PdOutcome::Failed {
                reason: error.gap_reason(),
                detail: without_userinfo(&error.to_string()),
            },
        };
        PdAnswer {
            sent,
            member: member.name.clone(),
            url: member.public_url(),
            path: request.path.clone(),
            elapsed_us: micros(started.elapsed()),
            outcome,
        }
    }

    /// Sends one request to one member and returns the answer, whatever its status is.
    ///
    /// # Errors
    ///
    /// [`SourceError`] where no complete answer arrived.
    pub async fn exchange(
        &self,
        member: &Member,
        request: &PdRequest,
    ) -> Result<HttpAnswer, SourceError> {
        let url = format!("{}{}", member.url, request.path);
        let headers: &[_] = match request.scope {
            Scope::EveryMember => &[ANSWER_YOURSELF],
            Scope::Leader => &[],
        };
        let (timeout, max_body) = (request.timeout(), request.max_body_bytes());
        self.http.get_bounded(&url, headers, request.body.clone(), timeout, max_body).await
    }

    /// Discovers the cluster's members, ascending by name, as listed by the first of `seeds` that lists
    /// any; their URLs get that seed's scheme. Members that cannot be reached are included. Where no seed
    /// answers, the seeds are the members, named by host and port: the recording then shows a cluster
    /// that is down.
    ///
    /// Where a seed answers and no member answers at its advertised URL, the seeds are the members too,
    /// under the names in their own configuration: this records what is reached through a forwarded port,
    /// rather than an outage that does not exist.
    ///
    /// # Errors
    ///
    /// [`SourceError::Options`] where a seed is not an HTTP URL, names a user or has a query, or there
    /// is none.
    pub async fn discover(&self, seeds: &[String]) -> Result<Discovered, SourceError> {
        let mut known = Vec::with_capacity(seeds.len());
        for seed in seeds {
            if names_user(seed) || seed.contains(['?', '#']) {
                let seed = public_url(seed);
                return Err(SourceError::Options(format!(
                    "the URL of PD at {seed} has a user, a password or a query, which PD does not take"
                )));
            }
            known.push(Member::of_url(seed).ok_or_else(|| {
                SourceError::Options(format!("{:?} is not an HTTP URL", without_userinfo(seed)))
            })?);
        }
        if known.is_empty() {
            return Err(SourceError::Options("no PD URL is given".to_owned()));
        }
        let Some(listed) = self.listed_by(&known).await else {
            known.sort();
            known.dedup();
            return Ok(Discovered { members: known, addresses: Addresses::Unlisted });
        };
        if self.any_answers(&listed).await {
            return Ok(Discovered { members: listed, addresses: Addresses::Advertised });
        }
        let members = self.named(known, &listed).await;
        tracing::warn!(
            advertised = ?listed.iter().map(|member| &member.url).collect::<Vec<_>>(),
            "none of PD's advertised addresses answers, so only the given ones are asked"
        );
        Ok(Discovered { members, addresses: Addresses::Seeds })
    }

    /// The list of the first seed that lists members. All seeds are asked concurrently, so that one that
    /// never answers does not delay the next; the answers are taken in order, so that the same cluster
    /// gives the same members.
    async fn listed_by(&self, seeds: &[Member]) -> Option<Vec<Member>> {
        let request = PdRequest::get(MEMBERS);
        let mut views = stream::iter(seeds)
            .map(|seed| async {
                let answer = self.ask(seed, &request, Timestamp::default()).await;
                Some(Self::members_of(answer.success()?, seed))
            })
            .buffered(MEMBERS_AT_ONCE);
        while let Some(view) = views.next().await {
            if let Some(members) = view.filter(|members| !members.is_empty()) {
                return Some(members);
            }
        }
        None
    }

    /// Whether PD answers at any of these URLs. The body is checked, since a proxy that does not know the
    /// host answers as well.
    async fn any_answers(&self, members: &[Member]) -> bool {
        let request = PdRequest { scope: Scope::EveryMember, ..PdRequest::get(MEMBERS) };
        let mut answers = stream::iter(members)
            .map(|member| async {
                let answer = self.ask(member, &request, Timestamp::default()).await;
                answer.success().is_some_and(|body| !Self::members_of(body, member).is_empty())
            })
            .buffer_unordered(MEMBERS_AT_ONCE);
        let any = async {
            while let Some(answers) = answers.next().await {
                if answers {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(ANY_WITHIN, any).await.unwrap_or(false)
    }

    /// The seeds under the names in their own configuration, each listed name once. A seed without such a
    /// name keeps host and port, unless only one member is listed.
    async fn named(&self, seeds: Vec<Member>, listed: &[Member]) -> Vec<Member> {
        let own = PdRequest { scope: Scope::EveryMember, ..PdRequest::get(CONFIG) };
        let mut members: Vec<Member> = Vec::new();
        for seed in seeds {
            let answer = self.ask(&seed, &own, Timestamp::default()).await;
            let told = answer.success().and_then(member_name);
            let name = match (told, listed) {
                (Some(name), _) if listed.iter().any(|member| member.name == name) => name,
                (_, [only]) => only.name.clone(),
                _ => seed.name,
            };
            if members.iter().all(|member| member.name != name) {
                members.push(Member { name, url: seed.url });
            }
        }
        members.sort();
        members
    }

    /// The members that `body` lists, an answer of `/pd/api/v1/members`, with the scheme of the member
    /// that was asked. Of more than 64, that member and the first others are returned, with a warning for the first.
    /// Empty where `body` is no such answer.
    pub fn members_of(body: &[u8], asked: &Member) -> Vec<Member> {
        let members = members_view(body).unwrap_or_default().members.into_iter();
        let mut members: Vec<Member> = members.map(|member| member.with_scheme_of(asked)).collect();
        if members.len() > MOST_MEMBERS {
            // It is read again and again, and of every member.
            static TOLD: Once = Once::new();
            let (listed, url) = (members.len(), &asked.url);
            TOLD.call_once(|| {
                tracing::warn!(
                    listed,
                    "{url} lists more than {MOST_MEMBERS} members, of which that many are asked"
                );
            });
            members.sort_by_key(|member| member.url != asked.url);
            members.truncate(MOST_MEMBERS);
        }
        members
    }
}

/// The body without user and password in URLs, where it is PD's configuration: the settings
/// `pd-server.metric-storage` and those of `dashboard` are URLs that may hold a password.
fn without_secrets(path: &str, body: Vec<u8>) -> Vec<u8> {
    if !path.starts_with(CONFIG) {
        return body;
    }
    match String::from_utf8(body) {
        Ok(text) => without_userinfo(&text).into_bytes(),
        Err(binary) => binary.into_bytes(),
    }
}

fn micros(elapsed: Duration) -> u32 {
    u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_list_of_thousands_a_few_are_believed_whoever_was_asked_among_them() {
        let member = |number| serde_json::json!({"name": format!("m{number}"), "client_urls": [format!("http://h{number}:2379")]});
        let members: Vec<_> = (0..5_000).map(member).collect();
        let body = serde_json::json!({"members": members}).to_string();
        let asked = Member::of_url("h4000:2379").expect("an url");
        let listed = PdClient::members_of(body.as_bytes(), &asked);
        assert_eq!(listed.len(), MOST_MEMBERS);
        assert_eq!(listed[0].name, "m4000");
    }

    #[test]
    fn a_configuration_is_kept_without_passwords_and_other_bodies_as_they_came() {
        let body = br#"{"metric-storage": "http://u:p@h:9090"}"#;
        let kept = without_secrets("/pd/api/v1/config", body.to_vec());
        assert_eq!(kept, br#"{"metric-storage": "http://h:9090"}"#);
        assert_eq!(without_secrets("/pd/api/v1/stores", body.to_vec()), body);
    }
}
