//! A server that repeats what it is sent, in the clear, percent-encoded and in base64.

use std::fs;

use anyhow::Result;
use operator::capture::CaptureReader;
use operator::model::{PdOutcome, TimeRange};

use super::{Row, Scene};
use testkit::echoing_server::{EchoingServer, Manner};
use testkit::hostile_files::HostileFiles;

/// Records and looks for the secrets in the capture and in all that was printed.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let stage = HostileFiles::make();
    let token = scene.scratch.path().join("token");
    fs::write(&token, "SECRETTOKEN123")?;
    let mut rows = Vec::new();
    for (tried, in_url) in [("a bearer token", false), ("secrets of a URL", true)] {
        // It is found to be a Prometheus once.
        let mut url = EchoingServer::start(Manner::Fails).url;
        if in_url {
            let with_password = url.replace("http://", "http://ann:SECRETPASS456@");
            url = format!("{with_password}/SECRETPATH789/prometheus?token=SECRETQUERY0");
        }
        let dir = scene.scratch.path().join(format!("repeated-{}", rows.len()));
        let mut command = stage.operator(&scene.operator);
        command.env("PROMETHEUS_URL", url).args(["record", "--run", "run", "-vvv"]);
        command.args(["--for", "5s", "--interval", "200ms", "--dir"]).arg(&dir);
        if !in_url {
            command.arg("--bearer-file").arg(&token);
        }
        let printed = command.output()?;
        let capture = fs::read(dir.join("run.capture"))?;
        let holds = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).to_ascii_uppercase();
            ["SECRET", "%53%45%43%52%45%54", "U0VDUKVU", "NFQ1JFV", "TRUNSRV"]
                .iter()
                .filter(|form| text.contains(*form))
                .count()
        };
        let found = [&printed.stdout, &printed.stderr, &capture].map(|bytes| holds(bytes));
        let quoted = String::from_utf8_lossy(&printed.stderr).matches("***").count();
        rows.push(Row {
            tried: format!("{tried}, repeated by the server"),
            seen: format!(
                "{} on stdout, {} on stderr, {} in the capture; {quoted} taken out",
                found[0], found[1], found[2]
            ),
            holds: found == [0; 3] && quoted > 0,
        });
    }
    rows.push(path_of_pd(scene, &stage)?);
    Ok(rows)
}

/// A proxy before PD whose path is its secret, and which repeats it in what it refuses.
fn path_of_pd(scene: &Scene, stage: &HostileFiles) -> Result<Row> {
    let dir = scene.scratch.path().join("proxy");
    let mut command = stage.operator(&scene.operator);
    command.args(["record", "--run", "run", "-vvv", "--for", "3s", "--dir"]).arg(&dir);
    command.arg("--pd").arg(format!("{}/SECRETPATH", EchoingServer::start(Manner::Pd).url));
    let printed = command.output()?;
    let reader = CaptureReader::open(&dir.join("run.capture"))?;
    let answers = reader.pd_answers(TimeRange::ALL)?;
    let bodies = answers.iter().map(|answer| match &answer.outcome {
        PdOutcome::Answered { body, .. } => String::from_utf8_lossy(body),
        PdOutcome::Failed { detail, .. } => detail.into(),
    });
    let stored = format!("{:?}{:?}{:?}", bodies.collect::<Vec<_>>(), reader.meta(), reader.gaps()?);
    let urls: String = answers.iter().map(|answer| answer.url.as_str()).collect();
    let outputs = [&printed.stdout, &printed.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let texts = [stored.as_str(), urls.as_str(), &*outputs[0], &*outputs[1]];
    let found: usize = texts.iter().map(|text| text.matches("SECRET").count()).sum();
    let taken_out = stored.matches("***").count();
    Ok(Row {
        tried: "the path of a proxy before PD".to_owned(),
        seen: format!("{found} found in {} answers; {taken_out} taken out", answers.len()),
        holds: found == 0 && taken_out > 0,
    })
}
