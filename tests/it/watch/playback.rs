//! A bundled run served back at speed: its samples as Prometheus would, each some time after its
//! instant, and PD's answers member by member, both by a clock of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use operator::diagnose::reads;
use operator::model::{Labels, PdAnswer, PdOutcome, Sample, Series, TimeRange, Timestamp};
use operator::pd::Member;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use testkit::capture_server::{Answer, accept, put_series, read_response, read_window};
use testkit::clock::ServerClock;
use testkit::run::Run;

/// How late a scrape shows at most, in the run's time.
const LATEST_MS: i64 = 9_000;

/// What members answer that are asked for a profile, whatever became of them in the run.
const HEAP: &[u8] = include_bytes!("../../../data/profiles/heap-1.pb.gz");
const GOROUTINES: &[u8] = include_bytes!("../../../data/profiles/goroutine.pb.gz");

fn profile(body: &[u8]) -> Option<Answer> {
    Some((200, "application/octet-stream", body.to_vec()))
}

/// Both servers, until dropped.
pub struct Playback {
    /// Base URL of Prometheus.
    pub prometheus: String,
    /// PD's members.
    pub members: Vec<Member>,
    tasks: Vec<JoinHandle<()>>,
}

impl Playback {
    /// Serves `run` by a clock. While `outage` lasts, Prometheus breaks every connection.
    pub async fn start(run: Run, clock: ServerClock, outage: TimeRange) -> Self {
        Self::start_moved(run, clock, outage, Vec::new()).await
    }

    /// As [`start`](Self::start), with the first address of each pair replaced by the second wherever it stands.
    pub async fn start_moved(
        run: Run,
        clock: ServerClock,
        outage: TimeRange,
        mut moved: Vec<(String, String)>,
    ) -> Self {
        let names: BTreeMap<String, String> =
            run.pd.iter().map(|answer| (answer.member.clone(), answer.url.clone())).collect();
        let mut tasks = Vec::new();
        let (mut members, mut listeners) = (Vec::new(), Vec::new());
        for (name, url) in names {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            let address = listener.local_addr().expect("it is bound").to_string();
            members.push(Member { name: name.clone(), url: format!("http://{address}") });
            moved.push((url.trim_start_matches("http://").to_owned(), address));
            listeners.push((name, listener));
        }
        let shelf = Arc::new(Shelf::new(run, &moved));
        for (name, listener) in listeners {
            let shelf = shelf.clone();
            let answer = move |path: &str, _: &[u8]| clock.answer(|now| shelf.pd(&name, path, now));
            tasks.push(tokio::spawn(accept(listener, answer)));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let answer = move |path: &str, body: &[u8]| {
            clock.answer(|now| {
                if outage.contains(now) { None } else { shelf.prometheus(path, body, now) }
            })
        };
        tasks.push(tokio::spawn(accept(listener, answer)));
        Self { prometheus: format!("http://{address}"), members, tasks }
    }
}

impl Drop for Playback {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The run's content, with PD's addresses replaced by those under which it is served.
struct Shelf {
    series: Vec<(Vec<u8>, i64, Vec<Sample>)>,
    /// By member and path, in order of arrival.
    pd: BTreeMap<(String, String), Vec<PdAnswer>>,
}

impl Shelf {
    fn new(run: Run, moved: &[(String, String)]) -> Self {
        let replaced = |text: &str| {
            let each = moved.iter();
            each.fold(text.to_owned(), |text, (from, to)| text.replace(from.as_str(), to))
        };
        let followed = |one: &Series| reads(&one.labels);
        let series = run.series.into_iter().filter(followed).map(|one| {
            let pairs = one.labels.iter().map(|(name, value)| (name.to_owned(), replaced(value)));
            let labels = Labels::new(pairs.collect()).expect("names stay distinct");
            let instance = labels.get("instance").unwrap_or_default();
            let late = instance.bytes().map(i64::from).sum::<i64>() * 7 % LATEST_MS;
            let mut encoded = Vec::new();
            labels.encode(&mut encoded);
            (encoded, late, one.samples)
        });
        let mut pd: BTreeMap<(String, String), Vec<PdAnswer>> = BTreeMap::new();
        for mut answer in run.pd {
            if let PdOutcome::Answered { body, .. } = &mut answer.outcome {
                *body = replaced(&String::from_utf8_lossy(body)).into_bytes().into();
            }
            let key = (answer.member.clone(), answer.path.clone());
            pd.entry(key).or_default().push(answer);
        }
        Self { series: series.collect(), pd }
    }

    fn prometheus(&self, path: &str, body: &[u8], now: Timestamp) -> Option<Answer> {
        let seconds = now.as_millis() as f64 / 1000.0;
        let data = match path {
            "/api/v1/read" => return self.samples(body, now),
            "/api/v1/query" => {
                format!("{{\"resultType\":\"scalar\",\"result\":[{seconds},\"{seconds}\"]}}")
            }
            "/api/v1/status/buildinfo" => r#"{"version":"2.42.0"}"#.to_owned(),
            _ => return Some((404, "text/plain", b"not served here".to_vec())),
        };
        let body = format!("{{\"status\":\"success\",\"data\":{data}}}");
        Some((200, "application/json", body.into_bytes()))
    }

    fn samples(&self, body: &[u8], now: Timestamp) -> Option<Answer> {
        let range = read_window(body).expect("the recorder reads remotely");
        let mut result = Vec::new();
        for (labels, late, samples) in &self.series {
            let shown = range.end.min(now.saturating_add_millis(1 - late));
            let from = samples.partition_point(|sample| sample.at < range.start);
            let to = samples.partition_point(|sample| sample.at < shown);
            if from < to {
                put_series(&mut result, labels, &samples[from..to]);
            }
        }
        let message = read_response(&result);
        let body = snap::raw::Encoder::new().compress_vec(&message).expect("it is below 4 GiB");
        Some((200, "application/x-protobuf", body))
    }

    /// A profile, or the last answer to the path, of the member itself or, of what only the leader is asked, of
    /// whoever was asked.
    fn pd(&self, member: &str, path: &str, now: Timestamp) -> Option<Answer> {
        match path {
            "/pd/api/v1/debug/pprof/heap" => return profile(HEAP),
            "/pd/api/v1/debug/pprof/goroutine" => return profile(GOROUTINES),
            _ => {}
        }
        let own = self.pd.get(&(member.to_owned(), path.to_owned()));
        let lists = own.map_or_else(
            || self.pd.iter().filter(|((_, of), _)| of == path).map(|(_, list)| list).collect(),
            |list| vec![list],
        );
        let known = lists.into_iter().flatten().filter(|answer| answer.observed() <= now);
        match known.max_by_key(|answer| answer.observed()).map(|answer| &answer.outcome) {
            Some(PdOutcome::Answered { status, body }) => {
                Some((*status, "application/json", body.to_vec()))
            }
            Some(PdOutcome::Failed { .. }) => None,
            None => Some((404, "text/plain", b"404 page not found\n".to_vec())),
        }
    }
}
