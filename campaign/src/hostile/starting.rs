//! What may hold up a recorder: sources that are still being found, thousands of members, connections
//! without requests, hooks that hang.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use operator::capture::CaptureReader;
use operator::model::TimeRange;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::unobserved::Recorder;
use super::{Row, Scene};
use testkit::capture_server::accept;
use testkit::gate::Door;

/// A person who asks a program to stop waits this long.
const SOON: Duration = Duration::from_millis(2_500);

/// A row for each trial.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        Ok(vec![
            signal_while_starting(scene, "Prometheus").await?,
            signal_while_starting(scene, "PD").await?,
            many_members(scene).await?,
            idle_connections(scene).await?,
            hanging_hook(scene).await?,
        ])
    })
}

/// SIGTERM while a source accepts and says nothing.
async fn signal_while_starting(scene: &Scene, which: &str) -> Result<Row> {
    let mut recorder = Recorder::new(scene, &format!("signal-{which}")).await?;
    let hangs = if which == "PD" { &recorder.pd.gate } else { &recorder.prometheus };
    hangs.set(Door::Silent);
    let mut command = recorder.command(scene);
    recorder.start(&mut command)?;
    sleep(Duration::from_secs(1)).await;
    let (code, took) = recorder.end().await?;
    Ok(Row {
        tried: format!("SIGTERM while {which} is being found"),
        seen: format!("exit code {code:?} after {:.1} s", took.as_secs_f64()),
        holds: code == Some(130) && took < SOON,
    })
}

/// PD lists 5,000 members, none of which answers but the first.
async fn many_members(scene: &Scene) -> Result<Row> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let nobody = TcpListener::bind("127.0.0.1:0").await?;
    let silent = format!("http://{}", nobody.local_addr()?);
    let member = |name: &str, url: &str| serde_json::json!({"name": name, "client_urls": [url]});
    let mut members = vec![member("pd0", &url)];
    members.extend(
        (0..5_000).map(|number| member(&format!("m{number}"), &format!("{silent}/{number}"))),
    );
    let leader = members[0].clone();
    let list =
        serde_json::json!({"header": {"cluster_id": 7}, "members": members, "leader": leader});
    let list = list.to_string().into_bytes();
    let server = tokio::spawn(accept(listener, move |path: &str, _: &[u8]| {
        let body = if path.ends_with("/members") { list.clone() } else { b"{}".to_vec() };
        Some((200, "application/json", body))
    }));
    let mut recorder = Recorder::new(scene, "members").await?;
    let mut command = Command::new(&scene.operator);
    command.args(["record", "--run", "run", "--quiet", "--pd", &url, "--dir"]);
    command.arg(scene.scratch.path().join("members"));
    let begun = Instant::now();
    recorder.start(&mut command)?;
    let path = scene.scratch.path().join("members/run.capture");
    while !path.exists() && begun.elapsed() < Duration::from_secs(100) {
        sleep(Duration::from_millis(50)).await;
    }
    let began = begun.elapsed();
    sleep(Duration::from_secs(20)).await;
    let (code, took) = recorder.end().await?;
    server.abort();
    drop(nobody);
    let reader = CaptureReader::open(&path).context("no recording began")?;
    let answers = reader.pd_answers(TimeRange::ALL)?;
    let good = answers.iter().filter(|answer| answer.success().is_some()).count();
    let mut asked: Vec<&str> = answers.iter().map(|answer| answer.member.as_str()).collect();
    asked.sort_unstable();
    asked.dedup();
    let asked = asked.len();
    Ok(Row {
        tried: "a PD that lists 5,000 members that hang".to_owned(),
        seen: format!(
            "recording after {:.1} s, {asked} members asked, {good} answers, ended within {:.1} s",
            began.as_secs_f64(),
            took.as_secs_f64()
        ),
        holds: code == Some(0)
            && began < Duration::from_secs(50)
            && (1..=64).contains(&asked)
            && good > 0
            && took < SOON * 2,
    })
}

/// Two hundred connections that ask for nothing.
async fn idle_connections(scene: &Scene) -> Result<Row> {
    let mut recorder = Recorder::new(scene, "idle").await?;
    let mut command = recorder.command(scene);
    recorder.start(command.args(["--listen", "127.0.0.1:0"]))?;
    let address = ("127.0.0.1", recorder.port().await?);
    sleep(Duration::from_secs(2)).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(address).await?);
    }
    let asked = Instant::now();
    let healthy = timeout(Duration::from_secs(10), async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    });
    let healthy = matches!(healthy.await, Ok(Ok(true)));
    let took = asked.elapsed();
    recorder.end().await?;
    Ok(Row {
        tried: "/healthz beside 200 idle connections".to_owned(),
        seen: format!("answered: {healthy}, after {:.2} s", took.as_secs_f64()),
        holds: healthy && took < Duration::from_secs(1),
    })
}

/// `watch` with a hook that hangs; the recorder is asked to end while it does.
async fn hanging_hook(scene: &Scene) -> Result<Row> {
    let mut recorder = Recorder::new(scene, "hook").await?;
    let directory = scene.scratch.path().join("hook");
    let group = directory.join("group");
    let hook = format!("echo $$ > {}; sleep 600", group.display());
    let mut command = Command::new(&scene.operator);
    command
        .args(["watch", "--quiet", "--exec", &hook, "--exec-timeout", "5m"])
        .args(["--prometheus", &recorder.prometheus.url, "--pd", &recorder.pd.gate.url, "--dir"])
        .arg(&directory);
    recorder.start(&mut command)?;
    // The first verdict comes when something breaks: PD falls silent.
    sleep(Duration::from_secs(20)).await;
    recorder.pd.gate.set(Door::Shut);
    let begun = Instant::now();
    while !group.exists() && begun.elapsed() < Duration::from_secs(90) {
        sleep(Duration::from_millis(100)).await;
    }
    let ran = group.exists();
    let (_, took) = recorder.end().await?;
    let lives = lives(std::fs::read_to_string(&group).unwrap_or_default().trim())?;
    Ok(Row {
        tried: "SIGTERM while a hook hangs".to_owned(),
        seen: format!(
            "the hook ran: {ran}; ended after {:.1} s; it lives on: {lives}",
            took.as_secs_f64()
        ),
        holds: ran && !lives && took < SOON * 2,
    })
}

/// Whether any process of a group runs; what nobody has waited for yet does not.
fn lives(group: &str) -> Result<bool> {
    let runs = |stat: String| {
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.next() != Some("Z") && fields.nth(1) == Some(group)
    };
    let mut stats = std::fs::read_dir("/proc")?
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    Ok(stats.any(runs))
}
