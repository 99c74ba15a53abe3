//! A server that repeats what it is sent, in the clear, percent-encoded and in base64.

use std::fs;

use anyhow::Result;

use super::echo::{Echo, Manner};
use super::stage::Stage;
use super::{Row, Scene};

/// Records and looks for the secrets in the capture and in all that was printed.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let stage = Stage::new();
    let token = scene.scratch.path().join("token");
    fs::write(&token, "SECRETTOKEN123")?;
    let mut rows = Vec::new();
    for (tried, in_url) in [("a bearer token", false), ("secrets of a URL", true)] {
        // It is found to be a Prometheus once.
        let mut url = Echo::start(Manner::Fails).url;
        if in_url {
            let with_password = url.replace("http://", "http://ann:SECRETPASS456@");
            url = format!("{with_password}/SECRETPATH789/prometheus?token=SECRETQUERY0");
        }
        let dir = scene.scratch.path().join(format!("secrets-{}", rows.len()));
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
    Ok(rows)
}
