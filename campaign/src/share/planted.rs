//! Captures in which secrets of every kind are planted, at places that are drawn.

use std::path::Path;

use anyhow::Result;
use fastrand::Rng;
use operator::capture::{CaptureWriter, Tick, seal_truth};
use operator::model::{
    EncodedLabels, Endpoints, Event, EventKind, Gap, GapReason, Labels, LogEvent, LogKind,
    PdAnswer, PdOutcome, RunMeta, RunName, Sample, Source, TimeRange, Timestamp, Versions,
};
use serde_json::json;

const START: i64 = 1_795_537_000_000;

/// How a deployment calls its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Addresses and ports.
    Addresses,
    /// Pods of a StatefulSet.
    Pods,
    /// Machines with names of their own.
    Machines,
}

impl Naming {
    /// Every naming.
    pub const ALL: [Self; 3] = [Self::Addresses, Self::Pods, Self::Machines];
}

/// Draws secrets and remembers them.
struct Draw<'r> {
    rng: &'r mut Rng,
    secrets: Vec<Vec<u8>>,
}

impl Draw<'_> {
    /// A word of letters, as a name has.
    fn word(&mut self) -> String {
        let length = self.rng.usize(8..14);
        let word: String = (0..length).map(|_| self.rng.char('a'..='z')).collect();
        self.keep(word)
    }

    /// A word of letters and digits, as a machine or a token has.
    fn mixed(&mut self) -> String {
        let head: String = (0..6).map(|_| self.rng.char('a'..='z')).collect();
        let word = format!("{head}{}x", self.rng.u32(100..99_999));
        self.keep(word)
    }

    fn v4(&mut self) -> String {
        let mut byte = || self.rng.u8(11..250);
        let address = format!("{}.{}.{}.{}", byte(), byte(), byte(), byte());
        self.keep(address)
    }

    fn v6(&mut self) -> String {
        let mut group = || self.rng.u16(0x1000..);
        let address = format!("fd00:{:x}:{:x}::{:x}", group(), group(), group());
        self.keep(address)
    }

    fn key(&mut self) -> String {
        let key = [b"t_".to_vec(), self.word().into_bytes(), vec![0xff, self.rng.u8(..)]].concat();
        let hexadecimal = key.iter().map(|byte| format!("{byte:02X}")).collect();
        self.keep(hexadecimal)
    }

    fn keep(&mut self, secret: String) -> String {
        self.secrets.push(secret.clone().into_bytes());
        secret
    }
}

/// A node: the address in PD, without the port, and the instance in Prometheus.
struct Node {
    host: String,
    instance: String,
}

/// Writes a capture with secrets to `path` and returns them.
pub fn write(path: &Path, naming: Naming, rng: &mut Rng) -> Result<Vec<Vec<u8>>> {
    let mut draw = Draw { rng, secrets: Vec::new() };
    let (cluster, namespace) = (draw.word(), draw.word());
    let stores: Vec<Node> = (0..3)
        .map(|number| match naming {
            Naming::Addresses => {
                let host = if number == 2 { format!("[{}]", draw.v6()) } else { draw.v4() };
                Node { instance: format!("{host}:20180"), host }
            }
            Naming::Pods => Node {
                host: format!("{cluster}-tikv-{number}.{cluster}-tikv-peer.{namespace}.svc"),
                instance: format!("{cluster}-tikv-{number}"),
            },
            Naming::Machines => {
                let host = format!("{}.{namespace}.example.com", draw.mixed());
                Node { instance: format!("{host}:20180"), host }
            }
        })
        .collect();
    let meta = meta(&mut draw, &cluster)?;
    let mut writer = CaptureWriter::create(path, meta)?;
    let mut tick = Tick::default();
    let team = draw.word();
    for (node, metric) in
        stores.iter().flat_map(|node| ["up", "tikv_a_total"].map(|one| (node, one)))
    {
        let job = format!("{namespace}-{cluster}-tikv");
        let pairs = [
            ("__name__", metric),
            ("instance", &node.instance),
            ("job", &job),
            ("namespace", &namespace),
            ("pod", &node.host),
            ("team", &team),
            ("type", "write"),
        ];
        let mut encoded = Vec::new();
        Labels::from_pairs(&pairs).encode(&mut encoded);
        let samples: Vec<Sample> = (0..4)
            .map(|number| Sample {
                at: Timestamp::from_millis(START + number * 15_000),
                value: 1.0,
            })
            .collect();
        tick.samples.push(writer.index(), EncodedLabels(&encoded), &samples)?;
    }
    tick.pd = answers(&mut draw, &stores);
    tick.gaps = gaps(&mut draw);
    tick.events = vec![event(&mut draw, &stores[0].host)];
    tick.events.extend(lines(&mut draw, &stores[1].instance));
    writer.commit(tick)?;
    writer.finish()?;
    let truth = json!({ "fault": "store_crash", "node": draw.mixed(), "address": stores[1].host });
    seal_truth(path, truth.to_string().as_bytes())?;
    Ok(draw.secrets)
}

fn meta(draw: &mut Draw<'_>, cluster: &str) -> Result<RunMeta> {
    let id = draw.rng.u64(1 << 60..1 << 63).to_string();
    Ok(RunMeta {
        run: RunName::new(&format!("{}-night", draw.word()))?,
        subject: "tikv".to_owned(),
        created: Timestamp::from_millis(START),
        cluster_id: Some(draw.keep(id)),
        endpoints: Endpoints {
            pd: [(draw.mixed(), format!("http://{}:2379", draw.v4()))].into(),
            prometheus: Some(format!("https://{}.{}.io/prom", draw.word(), draw.word())),
        },
        versions: Versions { operator: "0.1.0".to_owned(), ..Versions::default() },
        selectors: vec![format!("{{job=~\"{cluster}-.*\",team=\"{}\"}}", draw.word())],
        copied_by: vec![],
        clock_offsets: vec![],
        told: Default::default(),
        begins: None,
        export: None,
        lost: None,
    })
}

fn answers(draw: &mut Draw<'_>, stores: &[Node]) -> Vec<PdAnswer> {
    let (member, url) = (draw.mixed(), format!("http://{}:2379", draw.v4()));
    let listed: Vec<_> = (1_u64..)
        .zip(stores)
        .map(|(id, store)| {
            let zone = draw.word();
            json!({ "store": {
                "id": id, "address": format!("{}:20160", store.host), "state_name": "Up",
                "status_address": format!("{}:20180", store.host),
                "deploy_path": format!("/home/{}/bin", draw.word()),
                "labels": [{ "key": "zone", "value": zone }],
            } })
        })
        .collect();
    let regions: Vec<_> = (1_u64..4)
        .map(|id| json!({ "id": id, "start_key": draw.key(), "end_key": draw.key() }))
        .collect();
    let member_id = draw.rng.u64(1 << 60..1 << 63);
    draw.keep(member_id.to_string());
    let documents = [
        ("/pd/api/v1/stores?state=0", json!({ "stores": listed })),
        ("/pd/api/v1/regions/writeflow?limit=16", json!({ "regions": regions })),
        (
            "/pd/api/v1/members",
            json!({ "members": [{ "name": member, "member_id": member_id, "client_urls": [url] }] }),
        ),
        (
            "/pd/api/v1/config",
            json!({
                "data-dir": format!("/srv/{}/pd", draw.word()),
                "pd-server": { "metric-storage": format!("http://{}:9090", draw.mixed()) },
                "security": { "cacert-path": format!("/etc/{}/ca.pem", draw.word()) },
                "future-setting": draw.word(),
            }),
        ),
    ];
    let mut answers: Vec<PdAnswer> = documents
        .into_iter()
        .map(|(path, body)| answer(&member, &url, path, (200, body.to_string())))
        .collect();
    let error = format!("dial tcp {}:2379: lookup {}: no such host", draw.v4(), draw.mixed());
    answers.push(answer(&member, &url, "/pd/api/v1/health", (500, error)));
    for error in errors(draw) {
        answers.push(answer(&member, &url, "/pd/api/v1/status", (503, error)));
    }
    let detail = format!("cannot reach https://{}@{}:2379/pd: refused", draw.mixed(), draw.v4());
    answers.push(PdAnswer {
        outcome: PdOutcome::Failed { reason: GapReason::Connect, detail },
        ..answer(&member, &url, "/pd/api/v1/ping", (200, String::new()))
    });
    answers
}

fn answer(member: &str, url: &str, path: &str, (status, body): (u16, String)) -> PdAnswer {
    PdAnswer {
        sent: Timestamp::from_millis(START + 1_000),
        member: member.to_owned(),
        url: url.to_owned(),
        path: path.to_owned(),
        elapsed_us: 900,
        outcome: PdOutcome::Answered { status, body: body.into_bytes().into() },
    }
}

/// Errors of programs in which a plain word names a host, a user or a database.
fn errors(draw: &mut Draw<'_>) -> Vec<String> {
    vec![
        format!("dial tcp: lookup {} on {}:53: no such host", draw.word(), draw.v4()),
        format!("x509: certificate is valid for {}, not {}", draw.word(), draw.word()),
        format!("permission denied for user {}", draw.word()),
        format!(
            "Access denied for user '{}'@'{}' to database '{}'",
            draw.word(),
            draw.v4(),
            draw.word()
        ),
        format!("proxyconnect tcp: dial tcp {}:3128: connect: connection refused", draw.word()),
        format!("Get \"http://{}/pd/api/v1/stores\": context deadline exceeded", draw.word()),
        format!("open /home/{}/{}/LOCK: permission denied", draw.word(), draw.word()),
        format!("rpc error: code = Unavailable desc = name resolver error for {}", draw.word()),
        format!("member {} of {}.{}.internal is unhealthy", draw.word(), draw.word(), draw.word()),
    ]
}

fn gaps(draw: &mut Draw<'_>) -> Vec<Gap> {
    let at = |offset: i64| Timestamp::from_millis(START + offset);
    let name = draw.mixed();
    let ping = format!("http://{}:2379/pd/api/v1/ping did not answer within 5s", draw.mixed());
    let details = errors(draw).into_iter().chain([ping]);
    let gap = |(number, detail): (i64, String)| Gap {
        range: TimeRange::new(at(20_000 + 100 * number), at(30_000 + 100 * number)),
        source: Source::PdMember(name.clone()),
        reason: GapReason::Timeout,
        detail,
        healed_at: None,
    };
    (0..).zip(details).map(gap).collect()
}

/// Lines of logs and events of Kubernetes, as `attach` keeps them.
fn lines(draw: &mut Draw<'_>, node: &str) -> Vec<Event> {
    let pod = format!("{}-tikv-1", draw.word());
    draw.keep(pod.clone());
    let restarted = format!(
        "Back-off restarting failed container tikv in pod {pod}_{}; image {}/tikv:v8.5.8",
        draw.word(),
        draw.word()
    );
    let texts = errors(draw).into_iter().chain([restarted]);
    let line = |(number, text): (i64, String)| LogEvent {
        at: Timestamp::from_millis(START + 12_000 + number),
        kind: if number % 2 == 0 { LogKind::Example } else { LogKind::PodTrouble },
        node: if number % 2 == 0 { node.to_owned() } else { pod.clone() },
        component: "tikv".to_owned(),
        level: "WARN".to_owned(),
        file: "raft_client.rs".to_owned(),
        place: format!("tikv.log:{}", number + 1),
        text,
        values: Default::default(),
    };
    (0..).zip(texts).map(|text| line(text).to_event()).collect()
}

fn event(draw: &mut Draw<'_>, host: &str) -> Event {
    Event {
        at: Timestamp::from_millis(START + 10_000),
        kind: EventKind(EventKind::NOTE.to_owned()),
        text: format!(
            "{}@{}.io saw {host} slow; ssh {} and look at /data/{}/raft",
            draw.word(),
            draw.word(),
            draw.mixed(),
            draw.word()
        ),
        fields: [("node".to_owned(), draw.mixed())].into(),
    }
}
