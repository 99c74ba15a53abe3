//! What verdicts say of clients, beside what the clients themselves logged.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use operator::diagnose::{Stretch, Verdict};
use operator::model::{TimeRange, Timestamp};
use operator::session::{Session, View};
use serde_json::Value;
use testkit::prometheus::server::{Prometheus, block_window};

/// How far the requests a second may be off.
const WITHIN: f64 = 0.15;

/// Scenarios in which a second program, which keeps no log, loads the cluster during the fault.
const MORE_CLIENTS: [&str; 3] = ["hot_write", "surge", "oom"];

/// Records each run, judges it, and compares; fails where a stretch is further off than [`WITHIN`].
pub async fn run(operator: &Path, runs: &[std::path::PathBuf]) -> Result<()> {
    println!(
        "{:<8} {:<18} {:<11} {:>5} {:>9} {:>9} {:>7}  {:>9}",
        "run", "mode", "stretch", "s", "log", "verdict", "off", "p99"
    );
    let mut far = 0;
    for run in runs {
        let verdict = recorded(operator, run).await?;
        let log = Log::read(run)?;
        let truth: Value = serde_json::from_slice(&std::fs::read(run.join("truth.json"))?)?;
        let more = more_clients(&truth);
        let name = crate::name_of(run);
        let clients = verdict.clients.as_ref().context("the verdict says nothing of clients")?;
        for stretch in &clients.stretches {
            let range = TimeRange::new(stretch.start_ms, stretch.end_ms);
            let asked_by = match more.is_some_and(|more| more.overlaps(&range)) {
                true => AskedBy::MoreClients,
                false => AskedBy::LoggedClients,
            };
            let logged = log.requests_per_second(range);
            let compared = Compared { stretch, logged, asked_by };
            compared.print(&name, clients.about);
            far += usize::from(!compared.is_near());
        }
        println!("         {}", clients.text);
    }
    ensure!(far == 0, "{far} stretches are off by more than {:.0} %", WITHIN * 100.0);
    Ok(())
}

/// When a second program loaded the cluster; `None` where none did.
fn more_clients(truth: &Value) -> Option<TimeRange> {
    let scenario = truth["scenario"].as_str().filter(|one| MORE_CLIENTS.contains(one));
    let at = |name: &str| truth[name].as_i64().map(Timestamp::from_millis);
    scenario.and_then(|_| Some(TimeRange::new(at("t_inject_ms")?, at("t_clear_ms")?)))
}

/// Who asked for what a stretch served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AskedBy {
    /// The clients whose log is compared.
    LoggedClients,
    /// A second program besides.
    MoreClients,
}

/// A stretch beside what the log says of it.
struct Compared<'a> {
    stretch: &'a Stretch,
    /// Requests a second by the log; `None` where it does not reach so far.
    logged: Option<f64>,
    asked_by: AskedBy,
}

impl Compared<'_> {
    /// By how much the verdict says more than the log, as a share.
    fn off(&self) -> Option<f64> {
        self.logged.map(|logged| self.stretch.all.requests_per_second / logged - 1.0)
    }

    /// Whether the stretch is as logged.
    fn is_near(&self) -> bool {
        match (self.off(), self.asked_by) {
            // Others ask too: the log is the least.
            (Some(off), AskedBy::MoreClients) => off >= -WITHIN,
            (Some(off), AskedBy::LoggedClients) => off.abs() <= WITHIN,
            (None, _) => false,
        }
    }

    fn print(&self, run: &str, mode: Option<&str>) {
        let stretch = self.stretch;
        let part = format!("{:?}", stretch.part).to_lowercase();
        println!(
            "{run:<8} {:<18} {part:<11} {:>5} {:>9} {:>9.1} {:>7}  {:>9}{}",
            mode.unwrap_or("-"),
            (stretch.end_ms - stretch.start_ms) / 1000,
            self.logged.map_or("-".to_owned(), |logged| format!("{logged:.1}")),
            stretch.all.requests_per_second,
            self.off().map_or("-".to_owned(), |off| format!("{:+.1} %", off * 100.0)),
            stretch.all.p99_ms.map_or("-".to_owned(), |ms| format!("{ms:.1} ms")),
            match (self.is_near(), self.asked_by) {
                (true, AskedBy::MoreClients) => "  more clients than the log's",
                (true, AskedBy::LoggedClients) => "",
                (false, _) => "  falls short",
            }
        );
    }
}

/// The verdict on a run, recorded anew through a real Prometheus with the built program.
async fn recorded(operator: &Path, run: &Path) -> Result<Verdict> {
    let scratch = tempfile::tempdir()?;
    let blocks = run.join("prometheus");
    let window = block_window(&blocks)?;
    let server = Prometheus::start(&blocks, scratch.path()).await?;
    let name = crate::name_of(run);
    let done = Command::new(operator)
        .arg("--dir")
        .arg(scratch.path())
        .args(["record", "--run", &name, "--prometheus", &server.url])
        .args(["--from", &window.start.as_millis().to_string()])
        .args(["--to", &window.end.as_millis().to_string()])
        .args(["--no-default-match", "--match", "{__name__=~\".+\"}", "--pd-log"])
        .arg(run.join("pd.jsonl.gz"))
        .output()?;
    server.stop().await?;
    if !done.status.success() {
        bail!("{name} cannot be recorded: {}", String::from_utf8_lossy(&done.stderr));
    }
    let session = Session::open(&scratch.path().join(format!("{name}.capture")))?;
    Ok(session.load(View::WHOLE)?.verdict()?)
}

/// The log of go-ycsb: how many operations of each kind were done, every ten seconds.
struct Log {
    started_ms: i64,
    /// Seconds since the start and operations since then.
    reads: Vec<(f64, f64)>,
    updates: Vec<(f64, f64)>,
}

impl Log {
    fn read(run: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(run.join("ycsb.log"))?;
        let meta: Value = serde_json::from_slice(&std::fs::read(run.join("meta.json"))?)?;
        let started_ms = meta["start_ms"].as_i64().context("meta.json says no start_ms")?;
        let counts = |kind: &str| -> Vec<(f64, f64)> {
            let lines = text.lines().filter(|line| line.split_whitespace().next() == Some(kind));
            let rows = lines.filter_map(|line| {
                let takes = line.split("Takes(s): ").nth(1)?.split(',').next()?.parse().ok()?;
                let count = line.split("Count: ").nth(1)?.split(',').next()?.parse().ok()?;
                Some((takes, count))
            });
            std::iter::once((0.0, 0.0)).chain(rows).collect()
        };
        Ok(Self { started_ms, reads: counts("READ"), updates: counts("UPDATE") })
    }

    /// The requests a second to TiKV: an update of go-ycsb first reads what it writes.
    fn requests_per_second(&self, range: TimeRange) -> Option<f64> {
        let since_start = |at: Timestamp| (at.as_millis() - self.started_ms) as f64 / 1000.0;
        let last = self.reads.last()?.0.min(self.updates.last()?.0);
        let (from, to) = (since_start(range.start).max(0.0), since_start(range.end).min(last));
        let done = |counts: &[(f64, f64)]| Some(at(counts, to)? - at(counts, from)?);
        (from < to).then_some(())?;
        Some((done(&self.reads)? + 2.0 * done(&self.updates)?) / (to - from))
    }
}

/// A count between two lines of the log.
fn at(counts: &[(f64, f64)], seconds: f64) -> Option<f64> {
    let two = counts.windows(2).find(|two| two[0].0 <= seconds && seconds <= two[1].0)?;
    let share = (seconds - two[0].0) / (two[1].0 - two[0].0);
    Some(two[0].1 + share * (two[1].1 - two[0].1))
}
