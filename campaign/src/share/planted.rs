//! Captures in which secrets of every kind are planted, at places that are drawn.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::Result;
use fastrand::Rng;
use operator::capture::{CaptureWriter, Tick, seal_truth};
use operator::model::{
    ClockOffset, EncodedLabels, Endpoints, Event, EventKind, Gap, GapReason, Labels, LogEvent,
    LogKind, PdAnswer, PdOutcome, RunMeta, RunName, Sample, Source, TimeRange, Timestamp, Told,
    ToldNode, Versions,
};
use serde_json::json;
use testkit::run::Run;
use testkit::worlds::World;

use super::renamed::{reduce, rename};

const START: i64 = 1_795_537_000_000;
/// How long before a run what is planted beside it lies.
const BEFORE_MS: i64 = 60_000;

/// How a deployment calls its nodes.
#[derive(Clone, Copy)]
pub enum Naming {
    /// Addresses and ports.
    Addresses,
    /// Pods of a StatefulSet.
    Pods,
    /// Machines with names of their own.
    Machines,
    /// As a world does, under other names.
    World(&'static World),
}

impl Naming {
    /// Every naming: those of a cluster that is made up, then that of each world.
    pub fn all() -> Vec<Self> {
        let made_up = [Self::Addresses, Self::Pods, Self::Machines];
        made_up.into_iter().chain(testkit::worlds::WORLDS.iter().map(Self::World)).collect()
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Addresses => "addresses",
            Self::Pods => "pods",
            Self::Machines => "machines",
            Self::World(world) => world.name,
        })
    }
}

/// Runs in worlds, as far as their names are concerned, by world: making one takes longer than exporting it.
#[derive(Default)]
pub struct Moved(BTreeMap<&'static str, Run>);

impl Moved {
    fn of(&mut self, world: &'static World) -> Run {
        let made = || {
            let mut run = Run::load(world.told.map_or("chaos-02", |(name, _)| name));
            (world.change)(&mut run);
            reduce(&mut run);
            run
        };
        self.0.entry(world.name).or_insert_with(made).clone()
    }
}

/// Draws secrets and remembers them.
pub(super) struct Draw<'r> {
    rng: &'r mut Rng,
    secrets: Vec<Vec<u8>>,
    /// When what is planted begins.
    start: i64,
}

impl Draw<'_> {
    fn at(&self, offset_ms: i64) -> Timestamp {
        Timestamp::from_millis(self.start + offset_ms)
    }

    /// A word of letters, as a name has.
    pub(super) fn word(&mut self) -> String {
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

    pub(super) fn v4(&mut self) -> String {
        let mut byte = || self.rng.u8(11..250);
        let address = format!("{}.{}.{}.{}", byte(), byte(), byte(), byte());
        self.keep(address)
    }

    pub(super) fn v6(&mut self) -> String {
        let mut group = || self.rng.u16(0x1000..);
        let address = format!("fd00:{:x}:{:x}::{:x}", group(), group(), group());
        self.keep(address)
    }

    fn key(&mut self) -> String {
        let key = [b"t_".to_vec(), self.word().into_bytes(), vec![0xff, self.rng.u8(..)]].concat();
        let hexadecimal = key.iter().map(|byte| format!("{byte:02X}")).collect();
        self.keep(hexadecimal)
    }

    pub(super) fn keep(&mut self, secret: String) -> String {
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
pub fn write(
    path: &Path,
    naming: Naming,
    moved: &mut Moved,
    rng: &mut Rng,
) -> Result<Vec<Vec<u8>>> {
    let mut draw = Draw { rng, secrets: Vec::new(), start: START };
    let (cluster, namespace) = (draw.word(), draw.word());
    let run = match naming {
        Naming::World(world) => Some(renamed(moved.of(world), &mut draw)),
        _ => None,
    };
    let stores = match &run {
        Some(run) if run.pd.iter().any(|answer| answer.path.contains("/stores?")) => listed(run),
        _ => made_up(naming, &mut draw, (&cluster, &namespace)),
    };
    let meta = meta(&mut draw, &cluster)?;
    let mut writer = CaptureWriter::create(path, meta)?;
    let mut tick = Tick::default();
    let (team, role) = (draw.word(), draw.word());
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
            ("role", &role),
            ("team", &team),
            ("type", "write"),
        ];
        let labels = Labels::from_pairs(&pairs);
        push(&mut tick, &mut writer, (&labels, draw.at(0)))?;
    }
    for labels in of_machines(&mut draw) {
        push(&mut tick, &mut writer, (&labels, draw.at(0)))?;
    }
    tick.pd = answers(&mut draw, &stores);
    tick.gaps = gaps(&mut draw);
    tick.events = vec![event(&mut draw, &stores[0].host), command(&mut draw)];
    tick.events.extend(lines(&mut draw, &stores[1].instance));
    writer.commit(tick)?;
    if let Some(run) = &run {
        run.append(&mut writer)?;
    }
    writer.finish()?;
    let truth = json!({
        "fault": "store_crash", "node": draw.mixed(), "address": stores[1].host,
        "scenario": format!("kill {}", draw.word()),
    });
    seal_truth(path, truth.to_string().as_bytes())?;
    Ok(draw.secrets)
}

/// Adds four samples of a series to a tick.
fn push(
    tick: &mut Tick,
    writer: &mut CaptureWriter,
    (labels, start): (&Labels, Timestamp),
) -> Result<()> {
    let mut encoded = Vec::new();
    labels.encode(&mut encoded);
    let at = |number: i64| start.saturating_add_millis(number * 15_000);
    let samples: Vec<Sample> = (0..4).map(|number| Sample { at: at(number), value: 1.0 }).collect();
    tick.samples.push(writer.index(), EncodedLabels(&encoded), &samples)?;
    Ok(())
}

/// Series of programs beside a cluster, of which labels that elsewhere are fixed carry names.
fn of_machines(draw: &mut Draw<'_>) -> Vec<Labels> {
    let mac: Vec<String> = (0..5).map(|_| format!("{:02x}", draw.rng.u8(16..))).collect();
    let mac = draw.keep(format!("02:{}", mac.join(":")));
    let named = [
        ("node_systemd_unit_state", "name", format!("{}.service", draw.word())),
        ("node_filesystem_size_bytes", "device", format!("/dev/mapper/{}-data", draw.word())),
        ("node_filesystem_avail_bytes", "device", format!("{}.corp.io:/export", draw.word())),
        ("node_network_info", "address", mac),
        ("prometheus_build_info", "branch", format!("{}-fixes", draw.word())),
        ("container_cpu_cfs_periods_total", "name", format!("k8s_tikv_{}_0", draw.mixed())),
        ("orders_total", "type", draw.word()),
        ("ALERTS", "alertname", draw.word()),
    ];
    let instance = format!("{}:9100", draw.v4());
    let series = |(metric, name, value): (&str, &str, String)| {
        Labels::from_pairs(&[
            ("__name__", metric),
            ("instance", &instance),
            ("job", "node"),
            (name, &value),
        ])
    };
    named.into_iter().map(series).collect()
}

/// A run under names that are secrets, with the time before it in which the rest is planted.
fn renamed(mut run: Run, draw: &mut Draw<'_>) -> Run {
    rename(&mut run, draw);
    draw.start = run.window.start.as_millis() - BEFORE_MS;
    run
}

/// The stores that PD lists in a run.
fn listed(run: &Run) -> Vec<Node> {
    let host = |address: &str| address.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
    let stores = run.stores().into_iter();
    let node = |(_, address): (u64, String)| Node { host: host(&address), instance: address };
    stores.map(node).collect()
}

/// Three stores of a cluster that is made up.
fn made_up(naming: Naming, draw: &mut Draw<'_>, (cluster, namespace): (&str, &str)) -> Vec<Node> {
    let node = |number| match naming {
        Naming::Pods => Node {
            host: format!("{cluster}-tikv-{number}.{cluster}-tikv-peer.{namespace}.svc"),
            instance: format!("{cluster}-tikv-{number}"),
        },
        Naming::Machines => {
            let host = format!("{}.{namespace}.example.com", draw.mixed());
            Node { instance: format!("{host}:20180"), host }
        }
        Naming::Addresses | Naming::World(_) => {
            let host = if number == 2 { format!("[{}]", draw.v6()) } else { draw.v4() };
            Node { instance: format!("{host}:20180"), host }
        }
    };
    (0..3).map(node).collect()
}

fn meta(draw: &mut Draw<'_>, cluster: &str) -> Result<RunMeta> {
    let id = draw.rng.u64(1 << 60..1 << 63).to_string();
    Ok(RunMeta {
        run: RunName::new(&format!("{}-night", draw.word()))?,
        subject: "tikv".to_owned(),
        created: draw.at(0),
        cluster_id: Some(draw.keep(id)),
        endpoints: Endpoints {
            pd: [(draw.mixed(), format!("http://{}:2379", draw.v4()))].into(),
            prometheus: Some(format!("https://{}.{}.io/prom", draw.word(), draw.word())),
        },
        versions: Versions { operator: "0.1.0".to_owned(), ..Versions::default() },
        selectors: vec![format!("{{job=~\"{cluster}-.*\",team=\"{}\"}}", draw.word())],
        copied_by: vec![],
        clock_offsets: vec![ClockOffset {
            source: Source::PdMember(draw.mixed()).to_string(),
            at: draw.at(0),
            offset_ms: 12,
            uncertainty_ms: 3,
        }],
        told: Told {
            cluster: Some(draw.word()),
            nodes: vec![ToldNode { name: draw.v4(), also: draw.mixed() }],
        },
        begins: None,
        export: None,
        lost: None,
    })
}

fn answers(draw: &mut Draw<'_>, stores: &[Node]) -> Vec<PdAnswer> {
    let at = draw.at(1_000);
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
            "/pd/api/v1/config/rules",
            json!([{
                "group_id": draw.mixed(), "id": draw.word(), "start_key": draw.key(), "end_key": draw.key(),
                "label_constraints": [{ "key": "zone", "op": "in", "values": [draw.word()] }],
            }]),
        ),
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
        .map(|(path, body)| answer(at, (&member, &url), path, (200, body.to_string())))
        .collect();
    let error = format!("dial tcp {}:2379: lookup {}: no such host", draw.v4(), draw.mixed());
    answers.push(answer(at, (&member, &url), "/pd/api/v1/health", (500, error)));
    for error in errors(draw) {
        answers.push(answer(at, (&member, &url), "/pd/api/v1/status", (503, error)));
    }
    let detail = format!("cannot reach https://{}@{}:2379/pd: refused", draw.mixed(), draw.v4());
    answers.push(PdAnswer {
        outcome: PdOutcome::Failed { reason: GapReason::Connect, detail },
        ..answer(at, (&member, &url), "/pd/api/v1/ping", (200, String::new()))
    });
    answers
}

fn answer(
    at: Timestamp,
    (member, url): (&str, &str),
    path: &str,
    (status, body): (u16, String),
) -> PdAnswer {
    PdAnswer {
        sent: at,
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
    let start = draw.at(0);
    let at = |offset: i64| start.saturating_add_millis(offset);
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
    let (start, path) = (draw.at(0), format!("/data/{}/db/{}.sst", draw.word(), draw.mixed()));
    let line = |(number, text): (i64, String)| LogEvent {
        at: start.saturating_add_millis(12_000 + number),
        kind: if number % 2 == 0 { LogKind::Example } else { LogKind::PodTrouble },
        node: if number % 2 == 0 { node.to_owned() } else { pod.clone() },
        component: "tikv".to_owned(),
        level: "WARN".to_owned(),
        file: "raft_client.rs".to_owned(),
        place: format!("tikv.log:{}", number + 1),
        text,
        values: [("path".to_owned(), path.clone())].into(),
    };
    (0..).zip(texts).map(|text| line(text).to_event()).collect()
}

fn event(draw: &mut Draw<'_>, host: &str) -> Event {
    Event {
        at: draw.at(10_000),
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

/// What a command printed that was run during the recording.
fn command(draw: &mut Draw<'_>) -> Event {
    Event {
        at: draw.at(11_000),
        kind: EventKind(EventKind::COMMAND.to_owned()),
        text: format!(
            "./break.sh --host {} --key /root/{}/id_rsa: {} port 22: Connection refused; http://root:{}@{}/",
            draw.mixed(),
            draw.mixed(),
            draw.v4(),
            draw.word(),
            draw.mixed()
        ),
        fields: [("exit_code".to_owned(), "255".to_owned())].into(),
    }
}
