//! The endpoints and certificates of a cluster that TiUP deployed, from what TiUP keeps about it.
//!
//! TiUP keeps a folder for each cluster, with its topology in `meta.yaml` and, where the cluster speaks TLS,
//! certificates in `tls` (`pkg/cluster/spec` of TiUP: `profile.go`, `util.go`, `pd.go`, `monitoring.go`).

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::cli::config::file::{SourceArgs, read_up_to};
use crate::cli::exit::CliError;
use crate::model::{escape, escape_path};

/// The largest `meta.yaml` that is read, in MiB. It holds the configuration of every component.
const MOST_MIB: u64 = 16;
/// The most clusters that an error lists.
const MOST_LISTED: usize = 20;

#[derive(Deserialize)]
struct Meta {
    topology: Topology,
}

#[derive(Deserialize)]
struct Topology {
    #[serde(default)]
    global: Global,
    pd_servers: Option<Vec<PdServer>>,
    monitoring_servers: Option<Vec<MonitoringServer>>,
}

#[derive(Default, Deserialize)]
struct Global {
    #[serde(default)]
    enable_tls: bool,
}

#[derive(Deserialize)]
struct PdServer {
    host: String,
    manage_host: Option<String>,
    #[serde(default = "pd_port")]
    client_port: u16,
}

#[derive(Deserialize)]
struct MonitoringServer {
    host: String,
    manage_host: Option<String>,
    #[serde(default = "prometheus_port")]
    port: u16,
    /// An agent only passes samples on, and answers no queries.
    #[serde(default)]
    enable_prom_agent_mode: bool,
}

fn pd_port() -> u16 {
    2_379
}

fn prometheus_port() -> u16 {
    9_090
}

/// The sources with those of the cluster that `--tiup` names. A Prometheus and certificates that the user
/// gives are kept.
///
/// # Errors
///
/// [`CliError::Usage`] where TiUP knows no such cluster, its topology has no PD, or a PD is given too; and an
/// error where the file cannot be read.
pub fn complete(sources: SourceArgs) -> anyhow::Result<SourceArgs> {
    let Some(cluster) = sources.tiup.clone() else { return Ok(sources) };
    let Some(home) = home() else {
        let text = "--tiup: neither TIUP_HOME nor HOME says where TiUP keeps its clusters";
        return Err(CliError::Usage(text.to_owned()).into());
    };
    complete_from(&home, &cluster, sources)
}

/// The folder of TiUP.
fn home() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    set("TIUP_HOME").or_else(|| Some(set("HOME")?.join(".tiup")))
}

fn complete_from(home: &Path, cluster: &str, sources: SourceArgs) -> anyhow::Result<SourceArgs> {
    if !sources.pd.is_empty() {
        let text = "--tiup says where PD is: leave it out, or --pd and PD_ENDPOINT";
        return Err(CliError::Usage(text.to_owned()).into());
    }
    let clusters = home.join("storage/cluster/clusters");
    let known = names(&clusters);
    if !known.iter().any(|name| name == cluster) {
        return Err(unknown(cluster, &clusters, &known).into());
    }
    let folder = clusters.join(cluster);
    let path = folder.join("meta.yaml");
    let text = read_up_to(&path, MOST_MIB)?;
    let meta: Meta = serde_saphyr::from_str(&text)
        .map_err(|error| anyhow::anyhow!(error.without_snippet().to_string()))
        .with_context(|| format!("cannot understand {}", escape_path(&path)))?;
    let Topology { global, pd_servers, monitoring_servers } = meta.topology;
    let scheme = if global.enable_tls { "https" } else { "http" };
    let of_pd = |server: PdServer| {
        let host = server.manage_host.filter(|host| !host.is_empty()).unwrap_or(server.host);
        format!("{scheme}://{}:{}", bracketed(&host), server.client_port)
    };
    let pd: Vec<String> = pd_servers.unwrap_or_default().into_iter().map(of_pd).collect();
    if pd.is_empty() {
        let text = format!("{} has no pd_servers", escape_path(&path));
        return Err(CliError::Usage(text).into());
    }
    // TiUP's Prometheus speaks no TLS, whatever the cluster does.
    let answering = monitoring_servers.unwrap_or_default().into_iter();
    let prometheus = answering.filter(|server| !server.enable_prom_agent_mode).map(|server| {
        let host = server.manage_host.filter(|host| !host.is_empty()).unwrap_or(server.host);
        format!("http://{}:{}", bracketed(&host), server.port)
    });
    let found = SourceArgs {
        pd,
        prometheus: prometheus.take(usize::from(!sources.scrapes_alone())).next(),
        ..certificates(&folder, global.enable_tls)
    };
    Ok(sources.or(found))
}

/// The certificates that TiUP made for clients of the cluster.
fn certificates(folder: &Path, enable_tls: bool) -> SourceArgs {
    let file = |name: &str| enable_tls.then(|| folder.join("tls").join(name));
    SourceArgs {
        ca_file: file("ca.crt"),
        cert_file: file("client.crt"),
        key_file: file("client.pem"),
        ..SourceArgs::default()
    }
}

/// A host as it stands in a URL.
fn bracketed(host: &str) -> String {
    let is_bare_v6 = host.contains(':') && !host.starts_with('[');
    if is_bare_v6 { format!("[{host}]") } else { host.to_owned() }
}

/// The names of the clusters in a folder, ascending.
fn names(clusters: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(clusters).into_iter().flatten().filter_map(Result::ok);
    let has_meta = entries.filter(|entry| entry.path().join("meta.yaml").is_file());
    let mut names: Vec<String> =
        has_meta.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn unknown(cluster: &str, clusters: &Path, known: &[String]) -> CliError {
    let known = match known {
        [] => "there is none".to_owned(),
        _ => {
            let shown: Vec<String> =
                known.iter().take(MOST_LISTED).map(|name| escape(name)).collect();
            let more = known.len().saturating_sub(MOST_LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("there are {}{more}", shown.join(", "))
        }
    };
    let folder = escape_path(clusters);
    CliError::Usage(format!("--tiup: no cluster {:?} in {folder}: {known}", escape(cluster)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::file::ScrapeWhen;

    /// What TiUP writes of a cluster with three members of PD, cut down to what is read and what lies beside.
    const META: &str = r#"user: tidb
tidb_version: v8.5.1
topology:
  global:
    user: tidb
    ssh_port: 22
    ssh_type: builtin
    deploy_dir: /tidb-deploy
    data_dir: /tidb-data
    os: linux
    arch: amd64
    ENABLE
  monitored:
    node_exporter_port: 9100
    blackbox_exporter_port: 9115
  server_configs:
    tidb: {}
    tikv:
      log.level: info
    pd: {}
  tidb_servers: []
  tikv_servers:
  - host: 10.0.1.21
    ssh_port: 22
    port: 20160
    status_port: 20180
    deploy_dir: /tidb-deploy/tikv-20160
    data_dir: /tidb-data/tikv-20160
    arch: amd64
    os: linux
  pd_servers:
  - host: 10.0.1.11
    ssh_port: 22
    name: pd-10.0.1.11-2379
    client_port: 2379
    peer_port: 2380
    deploy_dir: /tidb-deploy/pd-2379
    data_dir: /tidb-data/pd-2379
  - host: 10.0.1.12
    manage_host: 192.168.7.12
    ssh_port: 22
    name: pd-10.0.1.12-12379
    client_port: 12379
    peer_port: 2380
  - host: fd00::13
    name: pd-fd00::13-2379
    client_port: 2379
  monitoring_servers:
  - host: 10.0.1.31
    ssh_port: 22
    port: 9091
    ng_port: 12020
    external_alertmanagers: []
"#;

    fn home(tls: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a temporary directory");
        for cluster in ["prod", "staging"] {
            let folder = home.path().join("storage/cluster/clusters").join(cluster);
            std::fs::create_dir_all(&folder).expect("the directory is writable");
            let text = META.replace("ENABLE", tls);
            std::fs::write(folder.join("meta.yaml"), text).expect("the directory is writable");
        }
        home
    }

    fn named(home: &Path, cluster: &str, sources: SourceArgs) -> Result<SourceArgs, String> {
        complete_from(home, cluster, sources).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cluster_of_tiup_gives_its_members_and_its_prometheus() {
        let home = home("systemd_mode: system");
        let found = named(home.path(), "prod", SourceArgs::default()).expect("it is there");
        let pd = ["http://10.0.1.11:2379", "http://192.168.7.12:12379", "http://[fd00::13]:2379"];
        assert_eq!(found.pd, pd);
        assert_eq!(found.prometheus.as_deref(), Some("http://10.0.1.31:9091"));
        assert_eq!(found.ca_file, None);
    }

    #[test]
    fn a_cluster_with_tls_gives_its_certificates_and_what_is_given_comes_first() {
        let home = home("enable_tls: true");
        let own = SourceArgs {
            prometheus: Some("https://p:9090".to_owned()),
            ca_file: Some("own.crt".into()),
            ..SourceArgs::default()
        };
        let found = named(home.path(), "staging", own).expect("it is there");
        assert_eq!(found.pd[0], "https://10.0.1.11:2379");
        assert_eq!(found.prometheus.as_deref(), Some("https://p:9090"));
        assert_eq!(found.ca_file, Some("own.crt".into()));
        let tls = home.path().join("storage/cluster/clusters/staging/tls");
        assert_eq!(found.cert_file, Some(tls.join("client.crt")));
        assert_eq!(found.key_file, Some(tls.join("client.pem")));
    }

    #[test]
    fn what_is_scraped_asks_no_prometheus_of_tiup() {
        let home = home("systemd_mode: system");
        let scraped = SourceArgs { scrape: Some(ScrapeWhen::Alone), ..SourceArgs::default() };
        assert_eq!(named(home.path(), "prod", scraped).expect("it is there").prometheus, None);
        let path = home.path().join("storage/cluster/clusters/prod/meta.yaml");
        let agent = META.replace("ng_port: 12020", "enable_prom_agent_mode: true");
        std::fs::write(
            path,
            agent.replace("ENABLE", "os: linux").replacen("    os: linux\n", "", 1),
        )
        .expect("the directory is writable");
        let found = named(home.path(), "prod", SourceArgs::default()).expect("it is there");
        assert_eq!(found.prometheus, None);
    }

    #[test]
    fn a_cluster_that_is_not_there_is_told_which_are() {
        let home = home("systemd_mode: system");
        for name in ["test", "../prod", ""] {
            let error = named(home.path(), name, SourceArgs::default()).expect_err(name);
            assert!(error.ends_with("there are prod, staging"), "{error}");
        }
        let empty = tempfile::tempdir().expect("a temporary directory");
        let error = named(empty.path(), "prod", SourceArgs::default()).expect_err("none");
        assert!(error.ends_with("there is none"), "{error}");
        let pd = SourceArgs { pd: vec!["http://pd0:2379".to_owned()], ..SourceArgs::default() };
        assert!(named(home.path(), "prod", pd).expect_err("two PDs").contains("PD_ENDPOINT"));
    }

    #[test]
    fn a_file_of_tiup_that_cannot_be_understood_is_named() {
        let home = home("systemd_mode: system");
        let path = home.path().join("storage/cluster/clusters/prod/meta.yaml");
        for text in ["topology: 7", "topology: {pd_servers: []}", "a: [", ""] {
            std::fs::write(&path, text).expect("the directory is writable");
            let error = named(home.path(), "prod", SourceArgs::default()).expect_err(text);
            assert!(error.contains("meta.yaml"), "{error}");
        }
    }
}
