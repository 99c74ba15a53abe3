//! What the recorder sends in confidence is nowhere: not in the capture, not in what is printed.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use operator::capture::CaptureReader;
use operator::model::{PdOutcome, TimeRange};

use super::program;
use testkit::echoing_server::{EchoingServer, Manner};
use testkit::hostile_files::HostileFiles;

/// How a recording is given its secrets.
struct Given {
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    secrets: Vec<String>,
}

/// How many ways there are.
const WAYS: usize = 5;

fn ways(source: &str, dir: &Path) -> [Given; WAYS] {
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).expect("the directory is writable");
        path.display().to_string()
    };
    let host = source.strip_prefix("http://").expect("a URL");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    [
        Given {
            arguments: words(&[
                "--prometheus",
                source,
                "--bearer-file",
                &write("token", "SECRETtoken+/123\n"),
            ]),
            environment: Vec::new(),
            secrets: words(&["SECRETtoken+/123"]),
        },
        Given {
            arguments: words(&["--prometheus", source, "--basic-user", "ann"]),
            environment: vec![("OPERATOR_BASIC_PASSWORD", "hunter2 & more".to_owned())],
            secrets: words(&["hunter2 & more"]),
        },
        Given {
            arguments: words(&[
                "--prometheus",
                source,
                "--header-file",
                &write("headers", "X-Api-Key: KEY-abcdef-0987\nCookie: a=COOKIE9876; b=c\n"),
            ]),
            environment: Vec::new(),
            secrets: words(&["KEY-abcdef-0987", "COOKIE9876"]),
        },
        Given {
            arguments: Vec::new(),
            environment: vec![(
                "PROMETHEUS_URL",
                format!("http://ann:hunter2%2Bx@{host}/SECRETPATH/prometheus?token=SECRETQ1"),
            )],
            secrets: words(&["hunter2+x", "SECRETPATH", "SECRETQ1"]),
        },
        Given {
            arguments: words(&[
                "--config",
                &write("operator.toml", &format!("prometheus = 'http://ann:hunter2x@{host}'\n")),
            ]),
            environment: Vec::new(),
            secrets: words(&["hunter2x"]),
        },
    ]
}

/// The forms of a secret that stand in `bytes`.
fn found(secret: &str, bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let mut forms = vec![secret.to_owned(), percent];
    for before in 0..3 {
        let encoded = STANDARD.encode([&vec![b'x'; before][..], secret.as_bytes()].concat());
        forms.push(encoded[(before * 8).div_ceil(6)..][..8].to_owned());
    }
    // A part of a secret is one, too.
    forms.push(secret[..secret.len() - 2].to_owned());
    forms.retain(|form| text.contains(&form.to_ascii_lowercase()));
    forms
}

#[test]
#[ignore = "slow: ./test.sh runs it"]
fn a_server_that_repeats_what_it_is_sent_makes_nothing_public() {
    let scratch = tempfile::tempdir().expect("a temporary directory can be made");
    let stage = HostileFiles::make();
    for number in 0..WAYS {
        let mut secrets = Vec::new();
        for subcommand in ["record", "doctor"] {
            // It is found to be a Prometheus once.
            let source = EchoingServer::start(Manner::Fails);
            let given = ways(&source.url, scratch.path()).into_iter().nth(number);
            let given = given.expect("there are as many");
            let dir = scratch.path().join(format!("{number}"));
            let mut command = stage.operator(program());
            command.args([subcommand, "-vvv", "--dir"]).arg(&dir).args(&given.arguments);
            command.envs(given.environment.iter().map(|(name, value)| (name, value)));
            if subcommand == "record" {
                command.args(["--run", "run", "--for", "3s", "--interval", "300ms"]);
            }
            let printed = command.output().expect("the program starts");
            let errors = String::from_utf8_lossy(&printed.stderr);
            for secret in &given.secrets {
                for bytes in [&printed.stdout, &printed.stderr] {
                    let found = found(secret, bytes);
                    assert!(found.is_empty(), "{subcommand} prints {found:?}: {errors}");
                }
            }
            assert!(errors.contains("***"), "{subcommand} quotes the server: {errors}");
            secrets = given.secrets;
        }
        let path = scratch.path().join(format!("{number}/run.capture"));
        let reader = CaptureReader::open(&path).expect("it was recorded");
        let gaps = reader.gaps().expect("gaps read");
        assert!(gaps.len() >= 2, "{gaps:?}");
        let stored = format!("{gaps:?} {:?}", reader.meta());
        assert!(stored.contains("***"), "the server is quoted: {stored}");
        let bytes = fs::read(&path).expect("it was recorded");
        for secret in &secrets {
            for bytes in [stored.as_bytes(), &bytes] {
                let found = found(secret, bytes);
                assert!(found.is_empty(), "the capture holds {found:?}: {stored}");
            }
        }
    }
}

#[test]
fn the_path_of_a_proxy_before_pd_is_asked_and_not_stored() {
    let pd = EchoingServer::start(Manner::Pd);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let stage = HostileFiles::make();
    let mut command = stage.operator(program());
    command.args(["record", "--run", "run", "--for", "3s", "-vvv", "--dir"]).arg(dir.path());
    let url = format!("{}/proxy/SECRETPATH", pd.url);
    let printed = command.args(["--pd", &url]).output().expect("the program starts");
    let errors = String::from_utf8_lossy(&printed.stderr);
    assert_eq!(printed.status.code(), Some(0), "{errors}");
    let reader = CaptureReader::open(&dir.path().join("run.capture")).expect("it was recorded");
    let answers = reader.pd_answers(TimeRange::ALL).expect("answers read");
    let bodies = answers.iter().filter_map(|answer| match &answer.outcome {
        PdOutcome::Answered { status: 404, body } => Some(String::from_utf8_lossy(body)),
        _ => None,
    });
    let bodies: Vec<_> = bodies.collect();
    assert!(bodies.iter().any(|body| body.contains("/proxy/***/pd/api")), "{bodies:?}");
    let urls: Vec<&String> = answers.iter().map(|answer| &answer.url).collect();
    assert!(urls.iter().all(|url| url.ends_with("/proxy/***")), "{urls:?}");
    let stored = format!("{bodies:?} {:?} {:?}", reader.meta(), reader.gaps());
    for bytes in [stored.as_bytes(), &printed.stdout, &printed.stderr] {
        assert_eq!(found("SECRETPATH", bytes), [""; 0], "{stored} {errors}");
    }
}
