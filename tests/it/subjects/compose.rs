//! The compose file: what it mounts, publishes, pins and waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use operator::capture::CaptureReader;
use operator::model::TimeRange;
use serde_json::{Map, Value};

use super::{folder, strings, text, yaml};

const NODES: [&str; 6] = ["pd0", "pd1", "pd2", "tikv0", "tikv1", "tikv2"];

fn compose() -> Value {
    yaml("docker-compose.yaml")
}

fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().expect("there are services")
}

/// The variables of `.env`.
pub(super) fn environment() -> BTreeMap<String, String> {
    let lines = text(".env");
    let lines = lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').expect("NAME=value");
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// The names in `${NAME:?}`.
fn variables(text: &str) -> BTreeSet<String> {
    let uses = text.match_indices("${").map(|(start, _)| &text[start + 2..]);
    uses.map(|rest| rest.split_once(":?}").expect("a variable must be set").0.to_owned()).collect()
}

/// Source and target of each mount.
fn mounts(service: &Value) -> Vec<(String, String)> {
    let volumes = strings(&service["volumes"]);
    let split = volumes.iter().map(|volume| {
        let mut parts = volume.split(':');
        let source = parts.next().expect("a source").to_owned();
        (source, parts.next().expect("a target").to_owned())
    });
    split.collect()
}

#[test]
fn every_variable_has_a_value_and_every_value_is_used() {
    let used = variables(&text("docker-compose.yaml"));
    let mut set: BTreeSet<String> = environment().into_keys().collect();
    assert!(set.remove("COMPOSE_PROJECT_NAME"), "compose itself reads it");
    assert_eq!(used, set);
}

#[test]
fn every_image_is_pinned_by_a_variable() {
    let environment = environment();
    let compose = compose();
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().unwrap_or_else(|| panic!("{name} has no image"));
        let (_, tag) = image.rsplit_once(':').expect("an image has a tag");
        let tag = if tag == "?}" { image.rsplit_once(":${").expect("a variable").1 } else { tag };
        let variable = variables(&format!("${{{tag}"));
        let [version] = &Vec::from_iter(variable)[..] else { panic!("{name}: {image}") };
        let version = &environment[version];
        assert!(version.contains(|c: char| c.is_ascii_digit()), "{name}: {version} is no version");
    }
    for node in NODES {
        let image = compose["services"][node]["image"].as_str().unwrap_or_default();
        assert!(image.ends_with(":${TIKV_VERSION:?}"), "{node}: {image}");
    }
}

#[test]
fn mounts_stay_inside_the_folder_and_name_what_is_there() {
    let compose = compose();
    let mut mounted = BTreeSet::new();
    for (name, service) in services(&compose) {
        for (source, target) in mounts(service) {
            assert!(target.starts_with('/'), "{name}: {target}");
            let Some(inside) = source.strip_prefix("./") else {
                assert!(compose["volumes"].get(&source).is_some(), "{name}: volume {source}");
                mounted.insert(source);
                continue;
            };
            assert!(!inside.contains(".."), "{name}: {source}");
            assert!(folder().join(inside).exists(), "{name}: {source}");
            mounted.insert(inside.to_owned());
        }
    }
    for volume in compose["volumes"].as_object().expect("there are volumes").keys() {
        assert!(mounted.contains(volume), "nothing uses the volume {volume}");
    }
    for file in ["config/pd.toml", "config/tikv.toml", "health", "captures"] {
        assert!(mounted.contains(file), "nothing mounts {file}");
    }
}

#[test]
fn every_node_has_a_volume_of_its_own() {
    let compose = compose();
    for node in NODES {
        let data: Vec<String> = mounts(&compose["services"][node])
            .into_iter()
            .filter(|(_, target)| target == "/data")
            .map(|(source, _)| source)
            .collect();
        assert_eq!(data, [node]);
        let command = strings(&compose["services"][node]["command"]).join(" ");
        assert!(command.contains("--data-dir=/data/"), "{node}: {command}");
        assert!(
            command.contains(&format!("={node}:2")) || command.contains(&format!("//{node}:2"))
        );
    }
}

#[test]
fn ports_are_published_on_loopback_only() {
    let compose = compose();
    let mut published = BTreeSet::new();
    for (name, service) in services(&compose) {
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
            published.insert(name.as_str());
        }
    }
    assert_eq!(published, BTreeSet::from(["grafana", "pd0", "prometheus"]));
}

#[test]
fn profiles_keep_load_and_recorder_apart_from_the_cluster() {
    let compose = compose();
    let with = |profile: &str| -> Vec<&str> {
        let has = |service: &Value| strings(&service["profiles"]).iter().any(|p| p == profile);
        services(&compose).iter().filter(|(_, s)| has(s)).map(|(name, _)| name.as_str()).collect()
    };
    assert_eq!(with("load"), ["load", "run"]);
    assert_eq!(with("operator"), ["captures", "operator"]);
    let always = services(&compose).values().filter(|s| s.get("profiles").is_none()).count();
    assert_eq!(always, services(&compose).len() - 4);
}

#[test]
fn whoever_waits_for_health_waits_for_a_check() {
    let compose = compose();
    let services = services(&compose);
    for (name, service) in services {
        let waits = service["depends_on"].as_object().cloned().unwrap_or_default();
        for (other, wait) in &waits {
            let needed = match wait["condition"].as_str() {
                Some("service_healthy") => "healthcheck",
                Some("service_completed_successfully") => "command",
                other => panic!("{name} waits for {other:?}"),
            };
            assert!(services[other].get(needed).is_some(), "{name} waits for {other}");
        }
    }
    let of = |name: &str| -> Vec<String> {
        services[name]["depends_on"].as_object().expect("it waits").keys().cloned().collect()
    };
    assert_eq!(of("tikv0"), ["pd0", "pd1", "pd2"]);
    assert_eq!(of("load"), ["tikv0", "tikv1", "tikv2"]);
    assert!(of("operator").contains(&"prometheus".to_owned()));
}

#[test]
fn limits_fit_a_laptop_and_everything_comes_back() {
    let compose = compose();
    let mut mebibytes = 0;
    for (name, service) in services(&compose) {
        if name == "captures" {
            continue;
        }
        let limit = service["mem_limit"].as_str().unwrap_or_else(|| panic!("{name} has no limit"));
        let (number, unit) = limit.split_at(limit.len() - 1);
        mebibytes += number.parse::<u64>().expect("a number") * if unit == "g" { 1024 } else { 1 };
        let restart = service["restart"].as_str();
        let once = name == "load";
        assert_eq!(restart, Some(if once { "on-failure" } else { "unless-stopped" }), "{name}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}");
    }
    assert!(mebibytes < 12 * 1024, "{mebibytes} MiB leave nothing to a laptop of 16 GB");
}

#[test]
fn nobody_can_log_in_and_there_is_no_secret() {
    let compose = compose();
    for (name, service) in services(&compose) {
        for key in service["environment"].as_object().cloned().unwrap_or_default().keys() {
            let secret = ["PASSWORD", "SECRET", "TOKEN"].iter().any(|word| key.contains(word));
            assert!(!secret, "{name}: {key}");
        }
    }
    let grafana = &compose["services"]["grafana"]["environment"];
    for (key, value) in [
        ("GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION", "true"),
        ("GF_AUTH_DISABLE_LOGIN_FORM", "true"),
        ("GF_AUTH_BASIC_ENABLED", "false"),
        ("GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer"),
    ] {
        assert_eq!(grafana[key], value, "{key}");
    }
}

#[test]
fn the_recorder_asks_pd_and_prometheus_and_writes_into_captures() {
    let compose = compose();
    let operator = &compose["services"]["operator"];
    assert_eq!(operator["environment"]["PD_ENDPOINT"], "http://pd0:2379");
    assert_eq!(operator["environment"]["PROMETHEUS_URL"], "http://prometheus:9090");
    assert_eq!(mounts(operator), [("./captures".to_owned(), "/captures".to_owned())]);
    assert_eq!(operator["environment"]["OPERATOR_FILE_MODE"], "0640", "the group can read it");
    let captures = &compose["services"]["captures"];
    let gives = captures["entrypoint"][2].as_str().expect("a shell's command");
    assert!(gives.contains("chmod g+rwxs /captures") && gives.contains("chown"), "{gives}");
    assert_eq!(strings(&captures["cap_add"]), ["CHOWN", "FOWNER", "FSETID"]);
    let dockerfile = operator["build"]["dockerfile"].as_str().expect("it is built here");
    let root = folder().join(operator["build"]["context"].as_str().expect("from the top"));
    let recipe = fs::read_to_string(root.join(dockerfile)).expect("the recipe is there");
    for argument in operator["build"]["args"].as_object().expect("arguments").keys() {
        assert!(recipe.contains(&format!("ARG {argument}=")), "{argument} is no argument");
    }
    assert_ne!(operator["user"], "0:0");
}

#[test]
#[ignore = "needs docker-compose: ./test.sh runs it"]
fn every_profile_passes_a_compose_implementation() {
    for profiles in [&[][..], &["load"], &["operator"], &["load", "operator"]] {
        let mut command = Command::new("docker-compose");
        command.current_dir(folder());
        for profile in profiles {
            command.args(["--profile", profile]);
        }
        let output = command.args(["config", "--quiet"]).output();
        let output = output.expect("docker-compose is installed (see test.sh)");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{profiles:?}: {errors}");
        assert!(!errors.contains("not set"), "{profiles:?}: {errors}");
    }
}

#[test]
fn pd_knows_every_key_of_its_configuration() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/data/chaos-02.capture");
    let reader = CaptureReader::open(capture.as_ref()).expect("the capture opens");
    let answers = reader.pd_answers(TimeRange::ALL).expect("answers read");
    let body = answers.iter().find(|answer| answer.path == "/pd/api/v1/config");
    let body = body.and_then(|answer| answer.success()).expect("PD told its configuration");
    let real: Value = serde_json::from_slice(body).expect("the configuration is JSON");
    let ours: Value = toml::from_str(&text("config/pd.toml")).expect("ours is TOML");
    let mut keys = 0;
    let mut tables = vec![(String::new(), &ours, &real)];
    while let Some((path, ours, real)) = tables.pop() {
        for (key, value) in ours.as_object().expect("a table") {
            let known = real.get(key).unwrap_or_else(|| panic!("PD does not know {path}{key}"));
            if value.is_object() {
                tables.push((format!("{path}{key}."), value, known));
            }
            keys += 1;
        }
    }
    assert!(keys > 5, "{keys} keys were looked at");
}

/// Runs the stores' health check with a `curl` that prints `answer`; without one, PD is gone.
fn store_up(store: &str, answer: Option<&[u8]>) -> bool {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for tool in ["curl", "busybox"] {
        let script = match answer {
            Some(_) if tool == "curl" => {
                format!("#!/bin/sh\ncat {}/answer\n", dir.path().display())
            }
            _ => "#!/bin/sh\nexit 7\n".to_owned(),
        };
        let path = dir.path().join(tool);
        fs::write(&path, script).expect("the directory is writable");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, executable).expect("the mode can be set");
    }
    fs::write(dir.path().join("answer"), answer.unwrap_or_default()).expect("writable");
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    let script = folder().join("health/store-up.sh");
    let status = Command::new("sh").arg(script).env("PATH", path).env("STORE", store).status();
    status.expect("there is a shell").success()
}

#[test]
fn a_store_is_healthy_while_pd_calls_it_up() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/data/chaos-02.capture");
    let reader = CaptureReader::open(capture.as_ref()).expect("the capture opens");
    let answers = reader.pd_answers(TimeRange::ALL).expect("answers read");
    let stores = answers.iter().filter(|answer| answer.path.starts_with("/pd/api/v1/stores?"));
    let bodies: Vec<&[u8]> = stores.filter_map(|answer| answer.success()).collect();
    let (crashed, healthy) = ("10.77.0.20:20160", "10.77.0.21:20160");
    let disconnected = bodies
        .iter()
        .find(|body| String::from_utf8_lossy(body).contains("\"Disconnected\""))
        .expect("a store was lost in this run");
    assert!(store_up(crashed, Some(bodies[0])), "before the crash");
    assert!(!store_up(crashed, Some(disconnected)), "after the crash");
    assert!(store_up(healthy, Some(disconnected)), "another store");
    assert!(!store_up("10.77.0.20:2016", Some(bodies[0])), "a store that PD does not know");
    assert!(!store_up(crashed, None), "no PD");
}
