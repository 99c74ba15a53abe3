//! What a live recording costs: the built `operator` copies a real Prometheus, which scrapes
//! exporters that expose a capture's series, again and again, with their counters continued.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use operator::capture::{CaptureReader, compact};
use operator::model::{TargetKey, TimeRange, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::cost::{cpu_seconds, peak_memory_mb};
use super::enlarged::Enlarged;
use testkit::process::interrupt;
use testkit::prometheus::server::Prometheus;

/// What is recorded, and for how long.
pub struct Live {
    /// The `operator` program.
    pub operator: PathBuf,
    /// The capture whose series are exposed.
    pub capture: PathBuf,
    /// How often the cluster stands side by side.
    pub copies: usize,
    /// How long is measured, after the first two ticks.
    pub minutes: u64,
}

/// The scrape interval and the recorder's.
const STEP: Duration = Duration::from_secs(15);

/// Records, and prints what that took.
pub async fn run(live: &Live, clock: fn() -> Timestamp) -> Result<()> {
    let source = Arc::new(Enlarged::load(&live.capture, live.copies)?);
    println!("{} series, scraped and recorded every {} s", source.len(), STEP.as_secs());
    let exporters = Exporters::start(source, clock).await?;
    let scratch = tempfile::tempdir()?;
    let prometheus = Prometheus::scraping(&exporters.config(), scratch.path()).await?;
    tokio::time::sleep(STEP * 2).await;

    let recorder = Command::new(&live.operator)
        .args(["record", "--run", "live", "--prometheus", &prometheus.url, "--quiet", "--dir"])
        .arg(scratch.path())
        .stdout(Stdio::null())
        .spawn()?;
    let mut recorder = Recorder(recorder);
    tokio::time::sleep(STEP * 2).await;
    let before = [cpu_seconds(recorder.0.id())?, cpu_seconds(prometheus.id())?];
    let measured = Duration::from_secs(live.minutes * 60);
    tokio::time::sleep(measured).await;
    let after = [cpu_seconds(recorder.0.id())?, cpu_seconds(prometheus.id())?];
    let share = |which: usize| (after[which] - before[which]) / measured.as_secs_f64() * 100.0;
    let memory = peak_mb(recorder.0.id())?;
    println!("recorder    {:>6.1} % of one core, {memory:.0} MB at most", share(0));
    println!("Prometheus  {:>6.1} % of one core, {:.0} MB", share(1), peak_mb(prometheus.id())?);
    interrupt(&recorder.0)?;
    ensure!(recorder.0.wait()?.success(), "the recorder failed");
    tell_size(&scratch.path().join("live.capture"))
}

/// The recorder's process; it does not outlive a campaign that fails.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tell_size(path: &Path) -> Result<()> {
    let compacted = path.with_extension("compact");
    compact(path, &compacted)?;
    let reader = CaptureReader::open(path)?;
    let mut samples = 0_u64;
    reader.scan(&[], TimeRange::ALL, |run| samples += run.samples().count() as u64)?;
    for (name, path) in [("recorded", path), ("compacted", &compacted)] {
        let bytes = std::fs::metadata(path)?.len() as f64;
        let (megabytes, each) = (bytes / 1e6, bytes / samples as f64);
        println!("{name:<11} {megabytes:>6.2} MB, {each:.3} B for each of {samples} samples");
    }
    Ok(())
}

/// One HTTP server for all targets.
struct Exporters {
    port: u16,
    targets: usize,
    task: tokio::task::JoinHandle<()>,
}

impl Exporters {
    async fn start(source: Arc<Enlarged>, clock: fn() -> Timestamp) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let mut targets: BTreeMap<TargetKey, Vec<(usize, String)>> = BTreeMap::new();
        for series in 0..source.len() {
            let labels = source.labels(series);
            targets.entry(labels.target()).or_default().push((series, labels.to_string()));
        }
        let targets: Arc<Vec<_>> = Arc::new(targets.into_values().collect());
        let (epoch, count) = (clock(), targets.len());
        let answer = move |path: &str| {
            let target = path.parse().ok().and_then(|target: usize| targets.get(target));
            let number = (clock() - epoch) / STEP.as_millis() as i64;
            target.map(|target| exposition(&source, target, number as usize)).unwrap_or_default()
        };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                // Prometheus that leaves breaks its connections, which ends their tasks alone.
                tokio::spawn(async move { serve(stream, answer).await.ok() });
            }
        });
        Ok(Self { port, targets: count, task })
    }

    /// A configuration that scrapes all of them.
    fn config(&self) -> String {
        let seconds = STEP.as_secs();
        let mut config = format!(
            "global: {{scrape_interval: {seconds}s, scrape_timeout: {seconds}s}}\nscrape_configs:\n"
        );
        for target in 0..self.targets {
            let _ = writeln!(
                config,
                "- {{job_name: '{target}', honor_labels: true, metrics_path: '/{target}', \
                 static_configs: [{{targets: ['127.0.0.1:{}']}}]}}",
                self.port
            );
        }
        config
    }
}

impl Drop for Exporters {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one GET after another until the client closes.
async fn serve(mut stream: TcpStream, answer: impl Fn(&str) -> String) -> Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(request) = lines.next_line().await? {
        while lines.next_line().await?.is_some_and(|header| !header.is_empty()) {}
        let path = request.split(' ').nth(1).context("no request line")?;
        let body = answer(path.trim_start_matches('/'));
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        writer.write_all(head.as_bytes()).await?;
        writer.write_all(body.as_bytes()).await?;
    }
    Ok(())
}

fn exposition(source: &Enlarged, series: &[(usize, String)], number: usize) -> String {
    let mut text = String::with_capacity(series.len() * 160);
    for (series, labels) in series {
        if let Some(sample) = source.sample(*series, number) {
            // Rust writes `inf`, which Prometheus reads in any case.
            let _ = writeln!(text, "{labels} {}", sample.value);
        }
    }
    text
}

/// The most memory that a process has held so far.
fn peak_mb(pid: u32) -> Result<f64> {
    peak_memory_mb(&pid.to_string())
}
