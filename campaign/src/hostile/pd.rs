//! PD's answers of a thousand stores: recorded live and out of logs, read out of the blocks of old
//! builds, and a day of them replayed.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flate2::{Compression, write::GzEncoder};
use operator::capture::{CaptureReader, CaptureWriter, PdOrder, PdVisit, Tick, verify};
use operator::model::{PdAnswer, PdOutcome, TimeRange, Timestamp};
use operator::pd::{PdCadence, PdSchedule};
use operator::record::pd_sampler::PdSampler;
use operator::source::HttpOptions;
use operator::source::PdClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::pd_cluster::{Cluster, STEP_MS};
use super::pd_old_block;
use super::{Row, Scene};
use crate::cost::{Cost, peak_memory_mb, timed};

const STORES: usize = 1_000;
/// Ticks of forty minutes.
const TICKS: i64 = 240;
/// Of a day.
const DAY_TICKS: i64 = 8_640;
const BEGUN_MS: i64 = 1_795_600_000_000;

const MOST_MB: f64 = 512.0;
const MOST_STEP_MS: f64 = 2_000.0;
/// The share of one core that recording may take on average.
const MOST_SHARE: f64 = 0.1;
const MOST_DAY_MB: f64 = 1_000.0;

/// Forty minutes, live and out of logs; and what an old build sealed.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let answers = |from: i64, to: i64| Answers::new(scene.seed, from..to);
    let mut rows = vec![live(scene)?];
    let parts: Vec<_> =
        (0..3).map(|part| answers(part * TICKS / 3, (part + 1) * TICKS / 3)).collect();
    rows.push(logs(scene, "three logs", parts)?);
    rows.push(logs(scene, "one log", vec![answers(0, TICKS)])?);
    rows.push(old_block(scene, answers(0, TICKS))?);
    Ok(rows)
}

/// The answers of some ticks, made as they are needed.
struct Answers {
    cluster: Cluster,
    ticks: std::ops::Range<i64>,
}

impl Answers {
    fn new(seed: u64, ticks: std::ops::Range<i64>) -> Self {
        Self { cluster: Cluster::new(STORES, seed), ticks }
    }
}

impl Iterator for Answers {
    type Item = Vec<PdAnswer>;

    fn next(&mut self) -> Option<Vec<PdAnswer>> {
        let at = |tick: i64| Timestamp::from_millis(BEGUN_MS + tick * STEP_MS);
        let tick = self.ticks.next()?;
        let last = (tick > 0).then(|| at(tick - 1));
        Some(self.cluster.answers(last, at(tick)))
    }
}

/// What was answered: a hash of each body by who was asked for what and when.
#[derive(Default)]
struct Expected(HashMap<(i64, String, String), u128>);

impl Expected {
    fn add(&mut self, answers: &[PdAnswer]) {
        for answer in answers {
            if let PdOutcome::Answered { body, .. } = &answer.outcome {
                self.0.insert(key(answer), xxhash_rust::xxh3::xxh3_128(body));
            }
        }
    }

    /// How many documents there are, and how many of them a capture does not hold as they were.
    fn differing(mut self, path: &Path) -> Result<(usize, usize)> {
        let all = self.0.len();
        let reader = CaptureReader::open(path)?;
        let visit = PdVisit { range: TimeRange::ALL, order: PdOrder::Observed, shuffle_seed: None };
        let mut others = 0;
        reader.visit_pd_answers(visit, |answer| {
            if let PdOutcome::Answered { body, .. } = &answer.outcome {
                let hash = xxhash_rust::xxh3::xxh3_128(body);
                others += usize::from(self.0.remove(&key(&answer)) != Some(hash));
            }
            Ok(())
        })?;
        ensure!(reader.damage().is_empty(), "{:?}", reader.damage());
        let report = verify(path)?;
        ensure!(report.damage.is_empty(), "{:?}", report.damage);
        Ok((all, others.max(self.0.len())))
    }
}

fn key(answer: &PdAnswer) -> (i64, String, String) {
    (answer.sent.as_millis(), answer.member.clone(), answer.path.clone())
}

fn new_capture(path: &Path) -> Result<CaptureWriter> {
    let meta = serde_json::json!({"run": "big", "subject": "tikv", "created": 0});
    Ok(CaptureWriter::create(path, serde_json::from_value(meta)?)?)
}

/// Every member is asked over loopback, tick by tick as fast as it goes, and each is committed.
fn live(scene: &Scene) -> Result<Row> {
    let path = scene.scratch.path().join("live.capture");
    let runtime = tokio::runtime::Runtime::new()?;
    std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")?;
    let mut expected = Expected::default();
    let (mut all, mut longest_ms) = (Cost::default(), 0.0_f64);
    let mut writer = new_capture(&path)?;
    let server = runtime.block_on(FakePd::start(scene.seed))?;
    let mut sampler = runtime.block_on(server.sampler())?;
    for tick in 0..TICKS {
        let now = BEGUN_MS + tick * STEP_MS;
        server.now.store(now, Ordering::Relaxed);
        let answers = runtime.block_on(sampler.tick(Timestamp::from_millis(now)));
        expected.add(&answers);
        let tick = Tick { pd: answers, ..Tick::default() };
        let (_, cost) = timed(|| Ok(writer.commit(tick)?))?;
        longest_ms = longest_ms.max(cost.cpu_ms());
        all += cost;
    }
    let (_, cost) = timed(|| Ok(writer.finish()?))?;
    longest_ms = longest_ms.max(cost.cpu_ms());
    all += cost;
    let peak_mb = peak_memory_mb("self")?;
    let share = all.cpu_ms() / (TICKS * STEP_MS) as f64;
    let (documents, differ) = expected.differing(&path)?;
    Ok(Row {
        tried: format!("{STORES} stores live, {TICKS} ticks"),
        seen: format!(
            "{documents} documents, {differ} differ; {peak_mb:.0} MB with the server, longest step \
             {longest_ms:.0} ms, {:.2} % of a core, {}",
            share * 100.0,
            size(&path)?,
        ),
        holds: differ == 0
            && documents > 0
            && peak_mb < MOST_MB
            && longest_ms < MOST_STEP_MS
            && share < MOST_SHARE,
    })
}

/// Logs are imported by the built program.
fn logs(scene: &Scene, name: &str, parts: Vec<Answers>) -> Result<Row> {
    let folder = scene.scratch.path().join(name);
    std::fs::create_dir(&folder)?;
    let mut expected = Expected::default();
    let mut command = Command::new(&scene.operator);
    command.args(["record", "--run", "big", "--quiet", "--dir"]).arg(&folder);
    for (number, part) in parts.into_iter().enumerate() {
        let log = folder.join(format!("{number}.jsonl.gz"));
        write_log(&log, part, &mut expected)?;
        command.arg("--pd-log").arg(log);
    }
    let (status, used) = Used::by(command)?;
    let path = folder.join("big.capture");
    let (documents, differ) = expected.differing(&path)?;
    let share = used.cpu_s * 1e3 / (TICKS * STEP_MS) as f64;
    Ok(Row {
        tried: format!("{STORES} stores out of {name}"),
        seen: format!(
            "exit code {status}; {documents} documents, {differ} differ; {:.0} MB, {:.1} s of \
             processor time, {:.2} % of a core, {}",
            used.peak_mb,
            used.cpu_s,
            share * 100.0,
            size(&path)?,
        ),
        holds: status == 0
            && differ == 0
            && documents > 0
            && used.peak_mb < MOST_MB
            && share < MOST_SHARE,
    })
}

fn write_log(path: &Path, answers: Answers, expected: &mut Expected) -> Result<()> {
    let mut log = GzEncoder::new(std::fs::File::create(path)?, Compression::fast());
    for answers in answers {
        expected.add(&answers);
        for answer in answers {
            let PdOutcome::Answered { status, body } = &answer.outcome else { continue };
            let line = serde_json::json!({
                "ts_ms": answer.sent, "member": answer.member, "url": answer.url,
                "path": answer.path, "status": status, "body": std::str::from_utf8(body)?,
                "elapsed_ms": f64::from(answer.elapsed_us) / 1e3,
            });
            writeln!(log, "{line}")?;
        }
    }
    log.finish()?;
    Ok(())
}

/// One block of more than 256 MiB, as builds sealed it that had no bound.
fn old_block(scene: &Scene, answers: Answers) -> Result<Row> {
    let path = scene.scratch.path().join("old.capture");
    new_capture(&path)?.finish()?;
    let mut expected = Expected::default();
    let all: Vec<PdAnswer> = answers.inspect(|answers| expected.add(answers)).flatten().collect();
    let plain = pd_old_block::write(&path, &all)?;
    drop(all);
    let (documents, differ) = expected.differing(&path)?;
    let mut replay = Command::new(&scene.operator);
    replay.arg("replay").arg(&path);
    let (status, used) = Used::by(replay)?;
    Ok(Row {
        tried: format!("one block of {} MiB, as sealed before", plain >> 20),
        seen: format!(
            "{documents} documents, {differ} differ; replay exits with {status}, {:.0} MB, {:.1} s \
             of processor time",
            used.peak_mb, used.cpu_s,
        ),
        holds: plain > 1 << 28 && differ == 0 && status != 4 && used.peak_mb < MOST_MB,
    })
}

/// A day is recorded, then replayed by the built program.
pub fn day(scene: &Scene) -> Result<Vec<Row>> {
    let path = scene.scratch.path().join("day.capture");
    let mut writer = new_capture(&path)?;
    let mut expected = Expected::default();
    let (mut longest_ms, mut all, mut plain) = (0.0_f64, Cost::default(), 0);
    for answers in Answers::new(scene.seed, 0..DAY_TICKS) {
        expected.add(&answers);
        plain += answers.iter().filter_map(PdAnswer::success).map(<[u8]>::len).sum::<usize>();
        let tick = Tick { pd: answers, ..Tick::default() };
        let (_, cost) = timed(|| Ok(writer.commit(tick)?))?;
        longest_ms = longest_ms.max(cost.cpu_ms());
        all += cost;
    }
    writer.finish()?;
    let share = all.cpu_ms() / (DAY_TICKS * STEP_MS) as f64;
    let recorded = Row {
        tried: format!("a day of {STORES} stores, recorded"),
        seen: format!(
            "{:.1} GB of bodies, {}; longest step {longest_ms:.0} ms, {:.2} % of a core",
            plain as f64 / 1e9,
            size(&path)?,
            share * 100.0,
        ),
        holds: longest_ms < MOST_STEP_MS && share < MOST_SHARE,
    };
    let mut replay = Command::new(&scene.operator);
    replay.arg("replay").arg(&path);
    let (status, used) = Used::by(replay)?;
    let (documents, differ) = expected.differing(&path)?;
    let replayed = Row {
        tried: format!("a day of {STORES} stores, replayed"),
        seen: format!(
            "exit code {status}; {:.0} MB, {:.0} s of processor time; {documents} documents, \
             {differ} differ",
            used.peak_mb, used.cpu_s,
        ),
        holds: [0, 10, 11].contains(&status) && differ == 0 && used.peak_mb < MOST_DAY_MB,
    };
    Ok(vec![recorded, replayed])
}

fn size(path: &Path) -> Result<String> {
    Ok(format!("{:.1} MB on disk", std::fs::metadata(path)?.len() as f64 / 1e6))
}

/// What a process used.
struct Used {
    peak_mb: f64,
    cpu_s: f64,
}

impl Used {
    /// Runs a program to its end and looks at it twenty times a second.
    fn by(mut command: Command) -> Result<(i32, Self)> {
        let mut child = command.stdout(Stdio::null()).spawn()?;
        let process = child.id().to_string();
        let mut used = Self { peak_mb: 0.0, cpu_s: 0.0 };
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            used.peak_mb = used.peak_mb.max(peak_memory_mb(&process).unwrap_or_default());
            used.cpu_s = used.cpu_s.max(cpu_seconds(&process).unwrap_or_default());
            #[expect(clippy::disallowed_methods, reason = "it waits for another process")]
            std::thread::sleep(Duration::from_millis(50));
        };
        Ok((status.code().context("the program was killed")?, used))
    }
}

fn cpu_seconds(process: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("stat has another form")?;
    let ticks = |field: usize| -> Result<f64> {
        Ok(fields.split_whitespace().nth(field).context("stat is short")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// The cluster's PD on loopback, at an instant that somebody else turns.
struct FakePd {
    url: String,
    now: Arc<AtomicI64>,
    task: tokio::task::JoinHandle<()>,
}

impl FakePd {
    async fn start(seed: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let now = Arc::new(AtomicI64::new(BEGUN_MS));
        let cluster = Arc::new(Mutex::new(Cluster::new(STORES, seed)));
        let (clock, own) = (Arc::clone(&now), url.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (cluster, clock, own) = (Arc::clone(&cluster), Arc::clone(&clock), own.clone());
                tokio::spawn(serve(stream, cluster, clock, own));
            }
        });
        Ok(Self { url, now, task })
    }

    async fn sampler(&self) -> Result<PdSampler> {
        let client = PdClient::new(&HttpOptions::default())?;
        let found = client.discover(std::slice::from_ref(&self.url)).await?;
        let schedule = PdSchedule::new(PdCadence::default(), Timestamp::from_millis(0));
        Ok(PdSampler::new(client, found, schedule))
    }
}

impl Drop for FakePd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    cluster: Arc<Mutex<Cluster>>,
    clock: Arc<AtomicI64>,
    own: String,
) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).ok()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut question = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut question).await.ok()?;
        let path = head.split(' ').nth(1)?;
        let now = Timestamp::from_millis(clock.load(Ordering::Relaxed));
        let body: Arc<[u8]> = if path.ends_with("/members") {
            let member = serde_json::json!({"name": "pd-0", "member_id": 1, "client_urls": [own]});
            let members = serde_json::json!({"header": {"cluster_id": 77}, "members": [member],
                "leader": member, "etcd_leader": member});
            members.to_string().into_bytes().into()
        } else {
            cluster.lock().expect("nothing panics while it answers").body(path, now)
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(&body).await.ok()?;
    }
}
