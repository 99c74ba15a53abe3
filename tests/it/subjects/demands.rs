//! What each program demands at start, and whether the compose file grants it: limits, paths,
//! permissions and ports. Demands are those of the programs' sources (TiKV 8.5's
//! `check_system_config` and `TikvConfig::validate`, PD's embedded etcd) and of their images.
//!
//! The checks return what falls short, so that a test can take a grant away and see it missed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::compose::environment;
use super::{folder, strings, text, yaml};

/// The highest hard limit of open files that every machine has: an engine that is not root's cannot
/// grant more than its own.
const HARD_LIMIT: u64 = 20_000;

/// What is checked: the files as values, so that a test can change them.
struct Files {
    compose: Value,
    tikv: Value,
    scrapes: Value,
    environment: BTreeMap<String, String>,
}

impl Files {
    fn read() -> Files {
        Files {
            compose: yaml("docker-compose.yaml"),
            tikv: toml::from_str(&text("config/tikv.toml")).expect("the configuration is TOML"),
            scrapes: yaml("prometheus/prometheus.yaml"),
            environment: environment(),
        }
    }

    fn services(&self) -> impl Iterator<Item = (&str, &Value)> {
        let services = self.compose["services"].as_object().expect("there are services");
        services.iter().map(|(name, service)| (name.as_str(), service))
    }

    /// All demands that are not met, one a line.
    fn unmet(&self) -> Vec<String> {
        let mut unmet = Vec::new();
        for (name, service) in self.services() {
            let program = Program::of(service, &self.environment);
            let mut found = Vec::new();
            check_writes(&program, service, &mut found);
            check_reads(&program, service, &mut found);
            check_listens(&program, service, &mut found);
            match service["image"].as_str().unwrap_or_default() {
                image if image.contains("TIKV_IMAGE") => {
                    check_tikv(service, &self.tikv, &mut found)
                }
                image if image.contains("PD_IMAGE") => check_pd(service, &mut found),
                _ => {}
            }
            unmet.extend(found.into_iter().map(|demand| format!("{name}: {demand}")));
        }
        self.check_addresses(&mut unmet);
        self.check_host_ports(&mut unmet);
        unmet
    }

    /// Whoever is addressed as `service:port`, by another service or by Prometheus, listens there.
    fn check_addresses(&self, unmet: &mut Vec<String>) {
        let listens: BTreeMap<&str, Vec<u16>> = self
            .services()
            .map(|(name, service)| (name, Program::of(service, &self.environment).listens))
            .collect();
        let mut told = vec![("prometheus.yaml".to_owned(), self.scrapes.to_string())];
        told.extend(self.services().map(|(name, service)| {
            (name.to_owned(), format!("{} {}", service["command"], service["environment"]))
        }));
        for (by, text) in told {
            for word in text.split(|c: char| !c.is_ascii_alphanumeric() && !":-".contains(c)) {
                let Some((host, port)) = word.split_once(':') else { continue };
                let (Some(listens), Ok(port)) = (listens.get(host), port.parse()) else { continue };
                if !listens.contains(&port) {
                    unmet.push(format!("{by}: asks {word}, where nothing listens"));
                }
            }
        }
    }

    /// No two services publish the same port of the machine.
    fn check_host_ports(&self, unmet: &mut Vec<String>) {
        let mut taken = BTreeSet::new();
        for (name, service) in self.services() {
            for published in strings(&service["ports"]) {
                let host = published.rsplit_once(':').expect("host and container port").0;
                let variable = host.rsplit_once("${").expect("a variable").1.replace(":?}", "");
                if !taken.insert(self.environment[&variable].clone()) {
                    unmet.push(format!("{name}: {variable} is the port of another service"));
                }
            }
        }
    }
}

/// What a program and its image are known to do at start.
#[derive(Default)]
struct Program {
    /// The user it runs as; 0 is root.
    user: u32,
    /// The directories of its image that belong to this user.
    owns: &'static [&'static str],
    writes: Vec<String>,
    reads: Vec<String>,
    listens: Vec<u16>,
}

impl Program {
    fn of(service: &Value, environment: &BTreeMap<String, String>) -> Program {
        let flag = |name: &str| flag(service, name);
        let image = service["image"].as_str().expect("a service has an image");
        let (image, _) = image.split_once(":?}").expect("the image is a variable's");
        match image.rsplit_once(['{', ':']).expect("the image is a variable's").1 {
            "PD_IMAGE" => Program {
                writes: vec![flag("--data-dir")],
                reads: vec![flag("--config")],
                listens: vec![port(&flag("--client-urls")), port(&flag("--peer-urls"))],
                ..Program::default()
            },
            // The locks of its addresses are in the directory for temporary files.
            "TIKV_IMAGE" => Program {
                writes: vec![flag("--data-dir"), "/tmp".to_owned()],
                reads: vec![flag("--config")],
                listens: vec![port(&flag("--addr")), port(&flag("--status-addr"))],
                ..Program::default()
            },
            "PROMETHEUS_IMAGE" => Program {
                user: 65534,
                owns: &["/prometheus"],
                writes: vec![flag("--storage.tsdb.path")],
                reads: vec![flag("--config.file"), "/etc/prometheus/rules".to_owned()],
                listens: vec![9090],
            },
            "NODE_EXPORTER_IMAGE" => {
                Program { user: 65534, listens: vec![9100], ..Program::default() }
            }
            "GRAFANA_IMAGE" => Program {
                user: 472,
                owns: &["/var/lib/grafana"],
                writes: vec!["/var/lib/grafana".to_owned()],
                reads: vec![
                    "/etc/grafana/provisioning".to_owned(),
                    service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
                        .as_str()
                        .expect("there is a first dashboard")
                        .to_owned(),
                ],
                listens: vec![3000],
            },
            "YCSB_VERSION" => Program { user: 10001, ..Program::default() },
            "OPERATOR_VERSION" if service["command"][0] == "record" => {
                let command = strings(&service["command"]);
                let listen = command.iter().skip_while(|word| *word != "--listen").nth(1);
                let user = environment["OPERATOR_USER"].split(':').next().expect("a user");
                Program {
                    user: user.parse().expect("a number"),
                    writes: vec!["/captures".to_owned(), "/tmp".to_owned()],
                    listens: vec![port(listen.expect("it listens"))],
                    ..Program::default()
                }
            }
            "OPERATOR_VERSION" => {
                Program { writes: vec!["/captures".to_owned()], ..Program::default() }
            }
            other => panic!("{other}: what does this program demand?"),
        }
    }
}

/// The value of `--name=value` in a service's command.
fn flag(service: &Value, name: &str) -> String {
    let command = strings(&service["command"]);
    let value = command.iter().find_map(|word| word.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("{name} is not given: {command:?}")).to_owned()
}

fn port(address: &str) -> u16 {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.unwrap_or_else(|| panic!("{address} has no port"))
}

/// A size in bytes as TOML and Compose write it: `1536MiB`, `2g`.
fn bytes(size: &Value) -> u64 {
    let size = size.as_str().expect("a size");
    let (number, unit) = size.split_at(size.find(char::is_alphabetic).expect("a unit"));
    let scale = match unit {
        "m" | "MiB" => 1 << 20,
        "g" | "GiB" => 1 << 30,
        other => panic!("{other} is no unit"),
    };
    number.parse::<u64>().expect("a number") * scale
}

struct Mount {
    source: String,
    target: String,
    read_only: bool,
}

/// The mount that `path` of a container lies on.
fn mount_of(service: &Value, path: &str) -> Option<Mount> {
    let mounts = strings(&service["volumes"]).into_iter().map(|volume| {
        let parts: Vec<&str> = volume.split(':').collect();
        Mount {
            source: parts[0].to_owned(),
            target: parts[1].to_owned(),
            read_only: parts.get(2) == Some(&"ro"),
        }
    });
    let holding = mounts.filter(|mount| Path::new(path).starts_with(&mount.target));
    holding.max_by_key(|mount| mount.target.len())
}

/// Every path that the program writes is writable by its user.
fn check_writes(program: &Program, service: &Value, unmet: &mut Vec<String>) {
    for path in &program.writes {
        let Some(mount) = mount_of(service, path) else {
            let temporary = strings(&service["tmpfs"]).contains(path);
            if service["read_only"] == true && !temporary {
                unmet.push(format!("writes {path}, which is read-only"));
            } else if program.user != 0 && path != "/tmp" {
                unmet.push(format!("writes {path}, which belongs to root"));
            }
            continue;
        };
        let named = !mount.source.starts_with('.');
        if mount.read_only {
            unmet.push(format!("writes {path}, which is mounted read-only"));
        } else if program.user == 0 {
            // Root writes wherever the mount allows it.
        } else if named && !program.owns.contains(&mount.target.as_str()) {
            // A new volume takes its owner over from the image's directory, if there is one.
            unmet.push(format!("writes {path}, on a volume that belongs to root"));
        } else if !named
            && service["depends_on"]["captures"]["condition"] != "service_completed_successfully"
        {
            unmet.push(format!("writes {path}, which nobody gave to it before"));
        }
    }
}

/// Every path that the program reads is mounted, and everything mounted can be read by its user.
fn check_reads(program: &Program, service: &Value, unmet: &mut Vec<String>) {
    for path in &program.reads {
        let held = mount_of(service, path).is_some_and(|mount| {
            let source = folder().join(mount.source);
            let rest = Path::new(path).strip_prefix(&mount.target).expect("it lies on the mount");
            if rest == Path::new("") { source.exists() } else { source.join(rest).exists() }
        });
        if !held {
            unmet.push(format!("reads {path}, which is not mounted"));
        }
    }
    if let Some(script) = service["healthcheck"]["test"][2].as_str()
        && mount_of(service, script).is_none()
    {
        unmet.push(format!("its health is checked by {script}, which is not mounted"));
    }
    if program.user == 0 {
        return;
    }
    for volume in strings(&service["volumes"]) {
        let source = volume.split(':').next().expect("a source");
        if let Some(inside) = source.strip_prefix("./").filter(|inside| *inside != "captures") {
            check_readable(&folder().join(inside), unmet);
        }
    }
}

/// Users other than the owner can read this and all below.
fn check_readable(path: &Path, unmet: &mut Vec<String>) {
    let metadata = fs::metadata(path).expect("it is there");
    let needed = if metadata.is_dir() { 0o005 } else { 0o004 };
    if metadata.permissions().mode() & needed != needed {
        unmet.push(format!("cannot read {}", path.display()));
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("it can be listed") {
            check_readable(&entry.expect("it can be listed").path(), unmet);
        }
    }
}

/// What is published or checked for health is listened on, and may be.
fn check_listens(program: &Program, service: &Value, unmet: &mut Vec<String>) {
    for published in strings(&service["ports"]) {
        if !program.listens.contains(&port(&published)) {
            unmet.push(format!("publishes {published}, where it does not listen"));
        }
    }
    let test = strings(&service["healthcheck"]["test"]).join(" ");
    if let Some((_, address)) = test.split_once("http://127.0.0.1:") {
        let port = address.split('/').next().and_then(|port| port.parse().ok());
        if !port.is_some_and(|port| program.listens.contains(&port)) {
            unmet.push(format!("its health is asked at {address}, where it does not listen"));
        }
    }
    let low = program.listens.iter().filter(|port| **port < 1024 && program.user != 0);
    unmet.extend(low.map(|port| format!("listens on {port}, which is root's")));
}

/// The files that TiKV wants to be allowed to open: 1,000, `rocksdb.max-open-files`, as many again
/// for Titan, which is on in a new cluster, and `raftdb.max-open-files`, used or not.
fn open_files(config: &Value) -> u64 {
    let of = |table: &str| config[table]["max-open-files"].as_u64().unwrap_or(40_960);
    let titan = config["rocksdb"]["titan"]["enabled"] != false;
    1_000 + of("rocksdb") * if titan { 2 } else { 1 } + of("raftdb")
}

/// The limits of files and memory within which TiKV accepts its configuration, and its addresses.
fn check_tikv(service: &Value, config: &Value, unmet: &mut Vec<String>) {
    let demanded = open_files(config);
    let limit = |kind: &str| service["ulimits"]["nofile"][kind].as_u64().unwrap_or_default();
    if limit("hard") < demanded {
        unmet.push(format!("opens {demanded} files, and may open {}", limit("hard")));
    }
    if limit("hard") > HARD_LIMIT || limit("soft") > limit("hard") {
        unmet.push(format!("is granted {} files, which not every engine can", limit("hard")));
    }
    let usage = bytes(&config["memory-usage-limit"]);
    let granted = bytes(&service["mem_limit"]);
    if usage > granted {
        unmet.push(format!("uses up to {usage} bytes of memory, and has {granted}"));
    }
    let cache = bytes(&config["storage"]["block-cache"]["capacity"]);
    if cache > usage {
        unmet.push(format!("caches {cache} bytes, and uses up to {usage}"));
    }
    for advertised in ["--advertise-addr", "--advertise-status-addr"] {
        if flag(service, advertised).starts_with("0.0.0.0") {
            unmet.push(format!("{advertised} leads nowhere"));
        }
    }
}

/// etcd starts as a member only under the peer address that the initial cluster has for its name.
fn check_pd(service: &Value, unmet: &mut Vec<String>) {
    let member = format!("{}={}", flag(service, "--name"), flag(service, "--advertise-peer-urls"));
    if !flag(service, "--initial-cluster").split(',').any(|listed| listed == member) {
        unmet.push(format!("{member} is not of the initial cluster"));
    }
}

#[test]
fn the_compose_file_grants_what_each_program_demands_at_start() {
    assert_eq!(Files::read().unmet(), Vec::<String>::new());
}

#[test]
fn tikv_counts_files_that_it_never_opens() {
    let mut files = Files::read();
    assert_eq!(open_files(&files.tikv), 10_216);
    files.tikv["raftdb"] = json!({});
    assert_eq!(open_files(&files.tikv), 50_152, "as TiKV 8.5 prints it");
    let refused = files.unmet();
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert_eq!(refused[0], "tikv0: opens 50152 files, and may open 16384");
}

#[test]
fn a_grant_that_is_taken_away_is_missed() {
    let cases: &[(&str, Value, &str)] = &[
        ("/tikv1/ulimits", json!({}), "tikv1: opens 10216 files, and may open 0"),
        ("/tikv1/ulimits/nofile/hard", json!(65536), "tikv1: is granted 65536 files"),
        ("/tikv1/mem_limit", json!("1g"), "tikv1: uses up to 1610612736 bytes"),
        ("/tikv1/volumes/0", json!("tikv1:/data:ro"), "tikv1: writes /data/tikv, which is mounted"),
        ("/tikv1/volumes/1", json!("./config:/etc/other:ro"), "tikv1: reads /etc/tikv.toml"),
        ("/tikv1/volumes/2", json!("./load:/load:ro"), "tikv1: its health is checked by"),
        ("/tikv1/command/5", json!("--status-addr=0.0.0.0:20181"), "asks tikv1:20180"),
        ("/tikv1/command/4", json!("--advertise-addr=0.0.0.0:20160"), "leads nowhere"),
        ("/pd1/command/0", json!("--name=pd3"), "pd1: pd3=http://pd1:2380 is not of"),
        ("/pd0/ports/0", json!("127.0.0.1:${PD_PORT:?}:2378"), "pd0: publishes"),
        ("/pd0/command/3", json!("--client-urls=http://0.0.0.0:2378"), "pd0: its health is asked"),
        ("/prometheus/volumes/0", json!("prometheus:/data"), "prometheus: writes /prometheus"),
        ("/prometheus/ports/0", json!("127.0.0.1:${PD_PORT:?}:9090"), "of another service"),
        ("/operator/depends_on/captures", json!({}), "operator: writes /captures, which nobody"),
        ("/operator/tmpfs", json!([]), "operator: writes /tmp, which is read-only"),
        ("/operator/command/2", json!("0.0.0.0:464"), "operator: listens on 464"),
    ];
    for (pointer, value, expected) in cases {
        let mut files = Files::read();
        let place = files.compose["services"].pointer_mut(pointer);
        *place.unwrap_or_else(|| panic!("there is no {pointer}")) = value.clone();
        let unmet = files.unmet();
        assert!(unmet.iter().any(|demand| demand.contains(expected)), "{pointer}: {unmet:?}");
    }
}
