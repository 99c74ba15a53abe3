//! PD in every state that a recorder meets, played by a fake over real sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use operator::capture::{CaptureReader, CaptureWriter};
use operator::model::{Gap, GapReason, PdAnswer, PdOutcome, Source, TimeRange, Timestamp};
use operator::pd::{Member, PdCadence, PdRequest, PdSchedule};
use operator::record::pd_sampler::PdSampler;
use operator::record::{self, Ending, Recording, Stop};
use operator::source::HttpOptions;
use operator::source::{Addresses, PdClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use testkit::clock::FasterClock;

const PING: &str = "/pd/api/v1/ping";
const MEMBERS: &str = "/pd/api/v1/members";
const STORES: &str = "/pd/api/v1/stores?state=0&state=1&state=2";

/// How a fake member behaves.
#[derive(Clone, Debug)]
enum Manner {
    /// Answers `/members` with this body, leader-scoped paths with an empty object.
    Serves(String),
    /// As `Serves`, and tells its name in its configuration.
    Named(&'static str, String),
    /// Answers `/members` with this body and leader-scoped paths with 503.
    Leaderless(String),
    /// Takes the request and says nothing.
    Silent,
    /// Redirects to itself.
    Circles,
    /// Answers 200 with a page.
    Html,
    /// Sends a body that does not end.
    Endless,
}

/// A member that listens until it is dropped, and the requests it has had.
struct FakePd {
    url: String,
    manner: Arc<Mutex<Manner>>,
    seen: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl FakePd {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let manner = Arc::new(Mutex::new(manner));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (current, log) = (manner.clone(), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, current.clone(), log.clone()));
            }
        });
        Self { url, manner, seen, task }
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().expect("not poisoned") = manner;
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("not poisoned").clone()
    }
}

impl Drop for FakePd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    manner: Arc<Mutex<Manner>>,
    seen: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    seen.lock().expect("not poisoned").push(head);
    let manner = manner.lock().expect("not poisoned").clone();
    let per_member = ["/ping", "/status", "/health", "/version", "/members"]
        .iter()
        .any(|end| path.ends_with(end));
    let (status, body) = match manner {
        Manner::Silent => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return None;
        }
        Manner::Circles => {
            let answer = format!(
                "HTTP/1.1 307 x\r\nlocation: {path}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.ok()?;
            return stream.shutdown().await.ok();
        }
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(&[b' '; 64 << 10]).await.ok()?;
            }
        }
        Manner::Html => (200, "<html>log in</html>".to_owned()),
        Manner::Serves(members) | Manner::Named(_, members) | Manner::Leaderless(members)
            if path.ends_with("/members") =>
        {
            (200, members)
        }
        Manner::Named(name, _) if path.ends_with("/config") => {
            (200, format!("{{\"name\": \"{name}\"}}"))
        }
        Manner::Serves(_) | Manner::Named(..) => (200, "{}".to_owned()),
        Manner::Leaderless(_) if per_member => (200, "{}".to_owned()),
        Manner::Leaderless(_) => (503, "\"no leader\"\n".to_owned()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

fn members_body(members: &[(&str, &str)], leader: Option<&str>) -> String {
    let listed: Vec<_> = members
        .iter()
        .map(|(name, url)| serde_json::json!({"name": name, "client_urls": [url]}))
        .collect();
    let leader = leader.map(|name| serde_json::json!({"name": name}));
    serde_json::json!({
        "header": {"cluster_id": 7_711_772_636_774_947_891_u64},
        "members": listed,
        "leader": leader,
    })
    .to_string()
}

/// Three members that list each other, led by `leader`.
async fn cluster(leader: Option<&str>) -> [FakePd; 3] {
    let fakes = [
        FakePd::start(Manner::Silent).await,
        FakePd::start(Manner::Silent).await,
        FakePd::start(Manner::Silent).await,
    ];
    lead(&fakes, leader);
    fakes
}

fn view_of(fakes: &[FakePd; 3], leader: Option<&str>) -> String {
    let [a, b, c] = fakes;
    members_body(&[("pd0", &a.url), ("pd1", &b.url), ("pd2", &c.url)], leader)
}

fn lead(fakes: &[FakePd; 3], leader: Option<&str>) {
    for fake in fakes {
        let view = view_of(fakes, leader);
        fake.behave(match leader {
            Some(_) => Manner::Serves(view),
            None => Manner::Leaderless(view),
        });
    }
}

fn client() -> PdClient {
    PdClient::new(&HttpOptions::default()).expect("the options are valid")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_537_000_000 + seconds * 1000)
}

async fn sampler(seed: &FakePd) -> PdSampler {
    let found = client().discover(std::slice::from_ref(&seed.url)).await.expect("a valid seed");
    PdSampler::new(client(), found, PdSchedule::new(PdCadence::default(), at(0)))
}

fn of<'a>(answers: &'a [PdAnswer], path: &str) -> Vec<&'a PdAnswer> {
    answers.iter().filter(|answer| answer.path == path).collect()
}

fn names(answers: &[&PdAnswer]) -> Vec<String> {
    let mut names: Vec<String> = answers.iter().map(|answer| answer.member.clone()).collect();
    names.sort();
    names
}

fn reason(answer: &PdAnswer) -> Option<GapReason> {
    match answer.outcome {
        PdOutcome::Failed { reason, .. } => Some(reason),
        PdOutcome::Answered { .. } => None,
    }
}

#[tokio::test]
async fn one_seed_tells_of_all_members_reachable_or_not() {
    let gone = "http://127.0.0.1:1";
    let fake = FakePd::start(Manner::Html).await;
    fake.behave(Manner::Serves(members_body(&[("pd1", gone), ("pd0", &fake.url)], Some("pd0"))));
    let seeds = ["127.0.0.1:1".to_owned(), fake.url.clone()];
    let members = client().discover(&seeds).await.expect("valid seeds").members;
    let members: Vec<_> = members.iter().map(|m| (m.name.as_str(), m.url.as_str())).collect();
    assert_eq!(members, [("pd0", fake.url.as_str()), ("pd1", gone)]);
}

#[tokio::test]
async fn behind_forwarded_ports_the_seeds_are_asked_under_their_own_names() {
    // Where the members say they are, nobody listens, or a proxy that knows no such host.
    let proxy = FakePd::start(Manner::Html).await;
    let listed = [("pd0", "http://127.0.0.1:1"), ("pd1", &*proxy.url)];
    let fakes = [FakePd::start(Manner::Silent).await, FakePd::start(Manner::Silent).await];
    for (fake, name) in fakes.iter().zip(["pd1", "pd0"]) {
        let members = members_body(&listed, Some("pd0"));
        fake.behave(Manner::Named(name, members));
    }
    let seeds: Vec<String> = fakes.iter().map(|fake| fake.url.clone()).collect();
    let found = client().discover(&seeds).await.expect("valid seeds");
    assert_eq!(found.addresses, Addresses::Seeds);
    let members: Vec<_> = found.members.iter().map(|m| (&*m.name, &m.url)).collect();
    assert_eq!(members, [("pd0", &seeds[1]), ("pd1", &seeds[0])]);

    let mut sampler = PdSampler::new(client(), found, PdSchedule::new(PdCadence::default(), at(0)));
    for tick in 0..3 {
        let answers = sampler.tick(at(tick * 10)).await;
        assert!(answers.iter().all(|answer| answer.success().is_some()), "{answers:?}");
        assert_eq!(names(&of(&answers, PING)), ["pd0", "pd1"]);
    }
    assert_eq!(sampler.leader(), Some("pd0"));
    assert_eq!(names(&of(&sampler.tick(at(30)).await, STORES)), ["pd0"]);
}

#[tokio::test]
async fn one_forwarded_port_that_gives_no_name_goes_by_its_address_or_by_the_only_name() {
    let gone = "http://127.0.0.1:1";
    let fake = FakePd::start(Manner::Silent).await;
    let seeds = [fake.url.clone()];
    let address = fake.url.trim_start_matches("http://");
    let two = [("pd0", gone), ("pd1", "http://127.0.0.1:2")];
    for (listed, name) in [(&two[..], address), (&[("pd7", gone)], "pd7")] {
        fake.behave(Manner::Serves(members_body(listed, Some(listed[0].0))));
        let found = client().discover(&seeds).await.expect("valid seeds");
        assert_eq!(found.addresses, Addresses::Seeds);
        let expected = Member { name: name.to_owned(), url: fake.url.clone() };
        assert_eq!(found.members, [expected]);
    }
}

#[tokio::test]
async fn where_no_seed_answers_the_seeds_are_the_members() {
    let html = FakePd::start(Manner::Html).await;
    let seeds = ["http://127.0.0.1:1/".to_owned(), html.url.clone()];
    let members = client().discover(&seeds).await.expect("valid seeds").members;
    assert_eq!(members.len(), 2);
    assert_eq!(members[0].name, "127.0.0.1:1");
    assert_eq!(members[0].url, "http://127.0.0.1:1");
    for refused in
        ["ftp://h", "http://ann:hunter2@127.0.0.1:1/", "http://127.0.0.1:1/?token=hunter2"]
    {
        let error = client().discover(&[refused.to_owned()]).await.expect_err(refused);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert!(client().discover(&[]).await.is_err());
}

#[tokio::test]
async fn every_member_speaks_for_itself_and_the_leader_for_the_cluster() {
    let fakes = cluster(Some("pd1")).await;
    let mut sampler = sampler(&fakes[0]).await;
    sampler.tick(at(0)).await;
    assert_eq!(sampler.leader(), Some("pd1"));
    let answers = sampler.tick(at(10)).await;
    assert_eq!(names(&of(&answers, PING)), ["pd0", "pd1", "pd2"]);
    assert_eq!(names(&of(&answers, STORES)), ["pd1"]);
    assert!(answers.iter().all(|answer| answer.success().is_some()));
    assert!(answers.iter().all(|answer| answer.sent >= at(10)));
    let header = "pd-allow-follower-handle: true";
    for head in fakes.iter().flat_map(FakePd::seen) {
        let is_own = head.contains("/ping ") || head.contains("/members ");
        let allows = head.to_lowercase().contains(header);
        assert!(allows || !is_own, "{head}");
        assert!(!allows || !head.contains("/stores"), "{head}");
        assert!(!head.contains("/regions "), "{head}");
    }
}

#[tokio::test]
async fn a_failover_moves_the_questions_to_the_new_leader() {
    let mut fakes = cluster(Some("pd1")).await;
    let mut sampler = sampler(&fakes[0]).await;
    sampler.tick(at(0)).await;
    // The old leader's process ends: its port refuses.
    let ended = std::mem::replace(&mut fakes[1], FakePd::start(Manner::Silent).await);
    let url = ended.url.clone();
    drop(ended);
    tokio::task::yield_now().await;
    let view =
        members_body(&[("pd0", &fakes[0].url), ("pd1", &url), ("pd2", &fakes[2].url)], Some("pd2"));
    fakes[0].behave(Manner::Serves(view.clone()));
    fakes[2].behave(Manner::Serves(view));
    let during = sampler.tick(at(10)).await;
    assert_eq!(sampler.leader(), Some("pd2"));
    for answer in during.iter().filter(|answer| answer.member == "pd1") {
        assert_eq!(reason(answer), Some(GapReason::Connect), "{answer:?}");
    }
    let after = sampler.tick(at(20)).await;
    assert_eq!(names(&of(&after, STORES)), ["pd2"]);
    assert!(of(&after, STORES)[0].success().is_some());
}

/// Records for a second, asking every 0.2 s. Returns the answers and the gaps of the capture.
async fn record_for_a_second(sampler: PdSampler) -> (Vec<PdAnswer>, Vec<Gap>) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("run.capture");
    let meta = serde_json::json!({"run": "test", "subject": "tikv", "created": 0});
    let meta = serde_json::from_value(meta).expect("a run's metadata");
    let writer = CaptureWriter::create(&path, meta).expect("the capture can be made");
    let clock = FasterClock::start(at(0), 1);
    let recording = Recording {
        copier: None,
        pd: Some(sampler),
        scraper: None,
        settings: None,
        answers: None,
        pd_interval: Duration::from_millis(200),
        prometheus_interval: Duration::from_secs(1),
        prometheus_offset_ms: 0,
        until: Some(at(1)),
        feed: None,
        succession: None,
    };
    let (_stop, stopped) = tokio::sync::watch::channel(Stop::No);
    let ending = record::run(recording, writer, clock, stopped, &mut |_| {}).await;
    assert_eq!(ending.expect("the capture can be written"), Ending::Sealed);
    let reader = CaptureReader::open(&path).expect("the capture opens");
    let answers = reader.pd_answers(TimeRange::ALL).expect("answers read");
    (answers, reader.gaps().expect("gaps read"))
}

#[tokio::test]
async fn a_member_that_refuses_leaves_a_gap_and_a_recording_of_the_others() {
    let mut fakes = cluster(Some("pd0")).await;
    let sampler = sampler(&fakes[0]).await;
    drop(std::mem::replace(&mut fakes[1], FakePd::start(Manner::Silent).await));
    let (answers, gaps) = record_for_a_second(sampler).await;
    assert!(of(&answers, PING).iter().any(|answer| answer.success().is_some()));
    let sources: Vec<_> = gaps.iter().map(|gap| (gap.source.clone(), gap.reason)).collect();
    assert!(!gaps.is_empty());
    let refusing = (Source::PdMember("pd1".to_owned()), GapReason::Connect);
    assert!(sources.iter().all(|source| *source == refusing), "{gaps:?}");
}

#[tokio::test]
async fn members_without_a_leader_leave_no_gap_but_their_refusals() {
    let fakes = cluster(None).await;
    let (answers, gaps) = record_for_a_second(sampler(&fakes[2]).await).await;
    assert!(matches!(of(&answers, STORES)[0].outcome, PdOutcome::Answered { status: 503, .. }));
    assert_eq!(gaps, []);
}

#[tokio::test]
async fn without_a_leader_the_refusal_is_recorded_every_time() {
    let fakes = cluster(None).await;
    let mut sampler = sampler(&fakes[2]).await;
    for tick in 0..3 {
        let answers = sampler.tick(at(tick * 10)).await;
        assert_eq!(sampler.leader(), None);
        let stores = of(&answers, STORES);
        assert_eq!(names(&stores), ["pd0"]);
        assert!(matches!(stores[0].outcome, PdOutcome::Answered { status: 503, .. }));
    }
}

#[tokio::test]
#[ignore = "slow: ./test.sh runs it"]
async fn a_silent_member_costs_its_own_time_and_its_followers_are_asked_instead() {
    let fakes = cluster(Some("pd1")).await;
    let mut sampler = sampler(&fakes[0]).await;
    sampler.tick(at(0)).await;
    fakes[1].behave(Manner::Silent);
    let answers = sampler.tick(at(10)).await;
    for answer in &answers {
        let expected = (answer.member == "pd1").then_some(GapReason::Timeout);
        assert_eq!(reason(answer), expected, "{answer:?}");
        let quick = answer.sent + i64::from(answer.elapsed_us / 1000) < at(14);
        assert!(quick || answer.member == "pd1", "{answer:?}");
    }
    assert_eq!(names(&of(&answers, STORES)), ["pd1"], "what was not asked is recorded as such");
    // The others still take it for their leader, but the recorder cannot reach it.
    let answers = sampler.tick(at(20)).await;
    assert_eq!(sampler.leader(), Some("pd1"));
    assert_eq!(names(&of(&answers, STORES)), ["pd0"]);
    assert!(of(&answers, STORES)[0].success().is_some());
}

#[tokio::test]
async fn a_member_that_joins_is_asked_from_the_next_tick_on() {
    let first = FakePd::start(Manner::Html).await;
    let second = FakePd::start(Manner::Html).await;
    first.behave(Manner::Serves(members_body(&[("pd0", &first.url)], Some("pd0"))));
    let mut sampler = sampler(&first).await;
    sampler.tick(at(0)).await;
    assert!(second.seen().is_empty());
    let both = members_body(&[("pd0", &first.url), ("pd1", &second.url)], Some("pd0"));
    first.behave(Manner::Serves(both.clone()));
    second.behave(Manner::Serves(both));
    sampler.tick(at(10)).await;
    let answers = sampler.tick(at(20)).await;
    assert_eq!(names(&of(&answers, PING)), ["pd0", "pd1"]);
}

#[tokio::test]
async fn what_is_no_answer_of_pd_is_an_outcome() {
    let fake = FakePd::start(Manner::Html).await;
    let member = Member::of_url(&fake.url).expect("an url");
    let client = client();
    let html = client.ask(&member, &PdRequest::get(MEMBERS), at(0)).await;
    assert_eq!(html.success(), Some(&b"<html>log in</html>"[..]));
    fake.behave(Manner::Circles);
    let circle = client.ask(&member, &PdRequest::get(PING), at(0)).await;
    assert_eq!(reason(&circle), Some(GapReason::Status), "{circle:?}");
    fake.behave(Manner::Endless);
    let endless = client.ask(&member, &PdRequest::get(STORES), at(0)).await;
    assert_eq!(reason(&endless), Some(GapReason::TooLarge), "{endless:?}");
}

#[tokio::test]
async fn a_page_in_place_of_members_changes_nothing() {
    let fakes = cluster(Some("pd1")).await;
    let mut sampler = sampler(&fakes[0]).await;
    sampler.tick(at(0)).await;
    let members = sampler.members().to_vec();
    fakes.iter().for_each(|fake| fake.behave(Manner::Html));
    let answers = sampler.tick(at(10)).await;
    assert_eq!(of(&answers, MEMBERS).len(), 3);
    assert_eq!(sampler.members(), members);
    assert_eq!(sampler.leader(), None);
}
