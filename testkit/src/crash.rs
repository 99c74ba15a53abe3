//! Kills a recording again and again, and checks after each kill that nothing committed is gone.
//!
//! The recorder is the real program in a process of its own; what it said on stdout before it
//! died is what must be in the file. The source's content is a pure function of time, so every
//! sample can be checked, and so can the lack of any.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use operator::capture::{CaptureReader, verify};
use operator::model::{Gap, GapReason, Labels, PdAnswer, Sample, Source, TimeRange, Timestamp};
use tokio::sync::oneshot;

use crate::capture_server::{Stand, Supply};
use crate::gate::{Door, Gate};

/// Series that the source serves.
const SERIES: usize = 60;
/// From one scrape of the source to the next.
const STEP_MS: i64 = 200;
/// The exit code of a recorder that found no source.
const UNREACHABLE: i32 = 6;
/// How long before a campaign the source's history begins.
const HISTORY_MS: i64 = 1_200_000;
/// Every live window reaches back this far, and so does the first one.
const OVERLAP_MS: i64 = 60_000;

/// What to kill, how often, and in which order of chance.
pub struct Campaign {
    /// The `operator` program.
    pub operator: PathBuf,
    /// A capture whose content the source serves.
    pub capture: PathBuf,
    /// How many kills.
    pub times: u32,
    /// Decides every moment.
    pub seed: u64,
}

/// What a campaign did.
#[derive(Debug, Default)]
pub struct Tally {
    /// Kills of a live recording, of one that was sealing after SIGINT, and of a copy of history.
    pub kills: [u32; 3],
    /// Kills before the recorder had said that anything is committed.
    pub before_first_commit: u32,
    /// Kills that left a write-ahead log behind.
    pub logs_left: u32,
    /// Kills that left a journal of SQLite's behind, in the middle of rewriting the file.
    pub journals_left: u32,
    /// Captures that were recorded to their end.
    pub runs: u32,
    /// Commits that recorders reported.
    pub commits: u64,
    /// Samples in all captures at their end.
    pub samples: u64,
    /// PD answers in all captures at their end.
    pub pd_answers: u64,
    /// Outages of Prometheus in all captures at their end.
    pub outages: u64,
}

/// How a session is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// SIGKILL after so long.
    Killed(Duration),
    /// SIGINT after so long, and SIGKILL while the capture is being sealed.
    KilledWhileSealing(Duration, Duration),
    /// SIGINT after so long, and nothing else.
    Sealed(Duration),
}

/// From when on the time of a session is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// From when the recorder was started.
    Start,
    /// From when it said that something is committed, however long that took.
    FirstCommit,
}

/// When Prometheus breaks off in a session, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outage {
    door: Door,
    after: Duration,
    length: Duration,
}

/// What is recorded in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Live,
    History(TimeRange),
}

/// What recorders have said about a run, all sessions together.
#[derive(Clone, Debug, Default)]
struct Said {
    commits: u64,
    pd_answers: u64,
    first_through: Option<Timestamp>,
    through: Option<Timestamp>,
}

/// What the last check of a run found.
#[derive(Default)]
struct Found {
    samples: u64,
    pd: Vec<PdAnswer>,
    gaps: Vec<Gap>,
}

/// Runs the campaign. Stops at the first capture that is not as it must be.
pub async fn run(campaign: &Campaign, now: fn() -> Timestamp) -> Result<Tally> {
    let epoch = now() + -HISTORY_MS;
    let supply = Arc::new(Supply::load(&campaign.capture, SERIES, epoch, STEP_MS)?);
    let stand = Stand::start(supply.clone(), now).await?;
    let gate = Gate::before(&stand.prometheus).await?;
    let mut random = Rng::with_seed(campaign.seed);
    let mut tally = Tally::default();
    while tally.kills.iter().sum::<u32>() < campaign.times {
        let scratch = tempfile::tempdir()?;
        let kind = match random.u32(..4) {
            // The newest step may not have shown yet.
            0 => Kind::History(TimeRange::new(epoch, now() + -STEP_MS)),
            _ => Kind::Live,
        };
        let mut run = Run {
            campaign,
            stand: &stand,
            gate: &gate,
            supply: &supply,
            directory: scratch.path(),
            kind,
            said: Said::default(),
            found: Found::default(),
        };
        let kills = tally.kills;
        if let Err(error) = run.record(&mut random, &mut tally).await {
            let kept = scratch.keep();
            let seed = campaign.seed;
            bail!("{error:#}; {kind:?}, kills {kills:?}, seed {seed}, kept in {}", kept.display());
        }
    }
    Ok(tally)
}

struct Run<'a> {
    campaign: &'a Campaign,
    stand: &'a Stand,
    gate: &'a Gate,
    supply: &'a Supply,
    directory: &'a Path,
    kind: Kind,
    said: Said,
    found: Found,
}

impl Run<'_> {
    /// Records one capture through a number of kills, and lets the last session end in peace.
    async fn record(&mut self, random: &mut Rng, tally: &mut Tally) -> Result<()> {
        let sessions = random.u32(2..25);
        for session in 0..sessions {
            if tally.kills.iter().sum::<u32>() >= self.campaign.times {
                break;
            }
            let death = match (self.kind, session, random.u32(..10)) {
                // The making of a file takes milliseconds, so the first kill aims at it.
                (_, 0, _) => Death::Killed(millis(random, 0..60)),
                (Kind::Live, _, 0..3) => {
                    Death::KilledWhileSealing(millis(random, 60..250), millis(random, 0..40))
                }
                (Kind::Live, ..) => Death::Killed(millis(random, 0..350)),
                (Kind::History(_), ..) => Death::Killed(millis(random, 0..250)),
            };
            let outage = (self.kind == Kind::Live && random.u32(..3) == 0).then(|| Outage {
                door: if random.bool() { Door::Shut } else { Door::Silent },
                after: millis(random, 50..200),
                length: millis(random, 10..150),
            });
            // A signal to a program that does not yet listen ends it as SIGKILL does.
            let since = match death {
                Death::Killed(_) if session == 0 || random.u32(..4) == 0 => Since::Start,
                _ => Since::FirstCommit,
            };
            let said = self.said.commits;
            match self.session(since, death, outage).await? {
                Ended::Killed => {}
                Ended::BeforeItBegan => continue,
                // It came to its end before it was killed.
                Ended::Itself => {
                    self.check(Ended::Itself).context("after the end")?;
                    if self.kind == Kind::Live {
                        continue;
                    }
                    break;
                }
            }
            tally.kills[match (self.kind, death) {
                (Kind::History(_), _) => 2,
                (_, Death::KilledWhileSealing(..)) => 1,
                _ => 0,
            }] += 1;
            tally.before_first_commit += u32::from(said == self.said.commits);
            tally.logs_left += u32::from(self.has_side_file("-wal"));
            tally.journals_left += u32::from(self.has_side_file("-journal"));
            self.check(Ended::Killed).with_context(|| format!("after {death:?}"))?;
        }
        if self.kind == Kind::Live {
            let death = Death::Sealed(millis(random, 200..400));
            self.session(Since::FirstCommit, death, None).await?;
            self.check(Ended::Itself).context("after the seal")?;
            let mut gaps = self.found.gaps.iter();
            let open = gaps.find(|gap| gap.source == Source::Prometheus && gap.healed_at.is_none());
            ensure!(open.is_none(), "not healed though Prometheus answered: {open:?}");
        }
        tally.runs += 1;
        tally.commits += self.said.commits;
        tally.samples += self.found.samples;
        tally.pd_answers += self.found.pd.len() as u64;
        let outages = self.found.gaps.iter().filter(|gap| gap.source == Source::Prometheus);
        tally.outages += outages.count() as u64;
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.directory.join("run.capture")
    }

    fn has_side_file(&self, suffix: &str) -> bool {
        let path = self.directory.join(format!("run.capture{suffix}"));
        std::fs::metadata(path).is_ok_and(|data| data.len() > 0)
    }

    /// Starts the recorder and ends it so.
    async fn session(
        &mut self,
        since: Since,
        death: Death,
        outage: Option<Outage>,
    ) -> Result<Ended> {
        let mut command = Command::new(&self.campaign.operator);
        command
            .args(["--format", "json", "--dir"])
            .arg(self.directory)
            .args(["record", "--run", "run", "--prometheus", &self.gate.url])
            .args(["--no-default-match", "--match", "{job=~\".+\"}"]);
        match self.kind {
            Kind::Live => command.args(["--pd", &self.stand.pd, "--interval", "10ms"]),
            Kind::History(range) => {
                command.args(["--from", &range.start.to_string(), "--to", &range.end.to_string()])
            }
        };
        let program = self.campaign.operator.display();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}: build it first"))?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (kind, before) = (self.kind, std::mem::take(&mut self.said));
        let commits = before.commits;
        let (committed, first_commit) = oneshot::channel();
        let listener =
            std::thread::spawn(move || listen(BufReader::new(stdout), kind, before, committed));
        if since == Since::FirstCommit {
            // A recorder that ends before says nothing, and that is seen below.
            let _ = first_commit.await;
        }
        let (alive, ()) = tokio::join!(end(&mut child, death), self.interrupted(outage));
        self.gate.set(Door::Open);
        let alive = alive?;
        self.said = join(listener)?;
        let output = child.wait_with_output()?;
        // Where the source broke off before it was found, there is no recording.
        let unfound = outage.is_some() && output.status.code() == Some(UNREACHABLE);
        match output.status {
            _ if alive => Ok(Ended::Killed),
            status if status.success() => Ok(Ended::Itself),
            _ if unfound && self.said.commits == commits => Ok(Ended::BeforeItBegan),
            status => {
                let errors = String::from_utf8_lossy(&output.stderr);
                bail!("the recorder failed ({status}): {errors}")
            }
        }
    }

    async fn interrupted(&self, outage: Option<Outage>) {
        if let Some(Outage { door, after, length }) = outage {
            tokio::time::sleep(after).await;
            self.gate.set(door);
            tokio::time::sleep(length).await;
            self.gate.set(Door::Open);
        }
    }

    /// Checks the file against the source and against what recorders said.
    fn check(&mut self, ended: Ended) -> Result<()> {
        let path = self.path();
        if !path.exists() && self.said.commits == 0 {
            return Ok(());
        }
        let report = verify(&path).context("the capture does not open")?;
        ensure!(report.damage.is_empty(), "damaged: {:?}", report.damage);
        let reader = CaptureReader::open(&path)?;
        let held = self.check_samples(&reader)?;
        let stored = reader.inventory()?.samples;
        ensure!(held == stored, "{stored} samples are stored, {held} of them are distinct");
        ensure!(held >= self.found.samples, "{held} samples after {}", self.found.samples);
        let gaps = reader.gaps()?;
        self.check_gaps(&gaps)?;
        let pd = reader.pd_answers(TimeRange::ALL)?;
        ensure!(pd.windows(2).all(|pair| pair[0] != pair[1]), "a PD answer stands twice");
        ensure!(pd.starts_with(&self.found.pd), "PD answers that were there are gone");
        let said = self.said.pd_answers;
        ensure!(pd.len() as u64 >= said, "{} PD answers, {said} were committed", pd.len());
        self.found = Found { samples: held, pd, gaps };
        if ended == Ended::Itself {
            for suffix in ["-wal", "-journal", "-shm", ".lock"] {
                ensure!(!self.has_side_file(suffix), "a sealed capture left {suffix} behind");
            }
        }
        Ok(())
    }

    /// Every sample of the source up to what was said to be committed is there, to the bit, and
    /// there is none that the source never had. Returns how many samples the capture holds.
    fn check_samples(&self, reader: &CaptureReader) -> Result<u64> {
        let series = reader.select(&[], TimeRange::ALL)?;
        let mut held: BTreeMap<Labels, Vec<Sample>> =
            series.into_iter().map(|series| (series.labels, series.samples)).collect();
        let count = held.values().map(Vec::len).sum::<usize>() as u64;
        held.retain(|labels, _| labels.get("job") != Some("operator"));
        let first = held.values().filter_map(|samples| Some(samples.first()?.at)).min();
        let start = match (self.kind, first) {
            (Kind::History(range), _) => range.start,
            (Kind::Live, Some(first)) => first,
            (Kind::Live, None) => Timestamp::MAX,
        };
        if let (Kind::Live, Some(through)) = (self.kind, self.said.first_through) {
            let latest = through + (2 * self.supply.step_ms - OVERLAP_MS);
            ensure!(start <= latest, "the first window began at {start}, after {latest}");
        }
        // What shows late may not have shown yet when the window that ends there was copied.
        let through = self.said.through.map_or(Timestamp::MIN, |through| match self.kind {
            Kind::Live => through + -self.supply.step_ms,
            Kind::History(_) => through,
        });
        // Targets are scraped at different moments of a step, so the first window's first step
        // may hold some of them only.
        let whole =
            if self.kind == Kind::Live { start.saturating_add_millis(STEP_MS) } else { start };
        for (number, labels) in self.supply.labels().enumerate() {
            let samples = held.remove(labels).unwrap_or_default();
            let end = samples.last().map_or(through, |last| (last.at + 1).max(through));
            let expected = self.supply.samples(number, TimeRange::new(start, end));
            let committed =
                expected.iter().filter(|sample| whole <= sample.at && sample.at < through);
            let there = samples.iter().filter(|sample| whole <= sample.at && sample.at < through);
            ensure!(committed.eq(there), "{labels}: what is held up to {through} differs");
            let mut source = expected.iter();
            ensure!(
                samples.iter().all(|sample| source.any(|other| other == sample)),
                "{labels}: a sample that the source never had"
            );
        }
        ensure!(held.is_empty(), "series that the source never had: {:?}", held.keys().next());
        Ok(count)
    }

    /// Gaps tell of Prometheus breaking off and of times without a recorder. Each stands once, and
    /// for good: of what was committed, only whether it is healed may change.
    fn check_gaps(&self, gaps: &[Gap]) -> Result<()> {
        let open = |gap: &Gap| Gap { healed_at: None, ..gap.clone() };
        let mut distinct: Vec<Gap> = gaps.iter().map(open).collect();
        distinct.dedup();
        ensure!(distinct.len() == gaps.len(), "a gap stands twice: {gaps:?}");
        for gap in gaps {
            let expected =
                gap.source == Source::Prometheus || gap.reason == GapReason::RecorderDown;
            ensure!(expected, "{gap:?}");
        }
        for before in &self.found.gaps {
            let kept = gaps.iter().any(|gap| {
                let same = before.healed_at.is_none() || gap.healed_at == before.healed_at;
                same && open(gap) == open(before)
            });
            ensure!(kept, "{before:?} is gone from {gaps:?}");
        }
        Ok(())
    }
}

/// How a session came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Killed,
    Itself,
    /// Its source was not there.
    BeforeItBegan,
}

fn millis(random: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_micros(random.u64(range.start * 1000..range.end * 1000))
}

/// Ends the recorder. Returns whether it was alive when it was killed.
async fn end(child: &mut Child, death: Death) -> Result<bool> {
    match death {
        Death::Killed(after) => tokio::time::sleep(after).await,
        Death::KilledWhileSealing(after, then) => {
            tokio::time::sleep(after).await;
            interrupt(child)?;
            tokio::time::sleep(then).await;
        }
        Death::Sealed(after) => {
            tokio::time::sleep(after).await;
            interrupt(child)?;
            while child.try_wait()?.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    let alive = child.try_wait()?.is_none();
    child.kill()?;
    Ok(alive)
}

/// Sends a program SIGINT, which ends it as Ctrl-C does. It is an error where the program has ended before.
pub fn interrupt(child: &Child) -> Result<()> {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    ensure!(sent.success(), "the recorder ended by itself");
    Ok(())
}

/// Follows what a recorder says it has committed. A line that was cut off counts for nothing.
fn listen(
    lines: impl BufRead,
    kind: Kind,
    mut said: Said,
    committed: oneshot::Sender<()>,
) -> Result<Said> {
    let before = said.pd_answers;
    let mut committed = Some(committed);
    for line in lines.split(b'\n') {
        let Ok(event) = serde_json::from_slice::<serde_json::Value>(&line?) else { continue };
        let through = match (event["event"].as_str(), kind) {
            (Some("tick"), _) => {
                said.pd_answers = before + event["pd_answers"].as_u64().unwrap_or_default();
                event["copied_through"].as_i64().map(Timestamp::from_millis)
            }
            (Some("slice"), Kind::History(range)) => {
                event["done_ms"].as_i64().map(|done| range.start + done)
            }
            _ => continue,
        };
        said.commits += 1;
        if let Some(committed) = committed.take() {
            // Nobody waits where the time counts from the start.
            let _ = committed.send(());
        }
        said.first_through = said.first_through.or(through);
        said.through = said.through.max(through);
    }
    Ok(said)
}

fn join(listener: JoinHandle<Result<Said>>) -> Result<Said> {
    match listener.join() {
        Ok(said) => said,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
