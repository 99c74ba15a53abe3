//! The words that say nothing about a reporter, and the labels whose values do not.
//!
//! What is not here is replaced: the lists name what may pass, never what must not.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use super::message_words::is_of_messages;
use crate::pd::ASKED;

/// Words that pass wherever they stand, in lower case: components, what their packages and orchestrators
/// call things, values of PD's configuration, and the kinds of pseudonyms.
const WORDS: &str = "
    tikv pd tidb tiflash ticdc tiproxy br pump drainer prometheus grafana alertmanager blackbox node
    exporter operator recorder proxy kv raft raftdb etcd peer service svc cluster local
    localhost default global kube kubernetes k8s pod pods endpoints namespace container instance store
    stores member members region regions rack zone host hosts disk dc engine key keys value id ids name
    names user users path paths word words label labels address port http https tcp grpc api v1 v2 v3
    metrics status config health version server client admin ping com org net io cn example
    ip opt data deploy tmp var lib usr bin log logs home root etc srv mnt run dev test lab
    chaos incident format capture true false null none auto new existing periodic revision majority
    table txn raw text json console info warn error debug fatal plaintext voter follower learner leader
    in not exists keyspaces keyspace gc worker gc_worker native native_br main
    __name__ count size balance hot write read scheduler unknown anonymous up down offline tombstone disconnected
    self system bot runner task tasks workload probe probes icmp port ports
    tidb_port_probe overwritten nodes node_exporter blackbox_exporter kafka_exporter
    kubelet cadvisor state kube_state_metrics
";

/// Labels whose values are fixed by the programs under observation, on the metrics of these.
const CODE_LABELS: &str = "
    __name__ le quantile type cf action api attempted caller_component client_api_version cluster_version
    code dim direction disk engine event group grpc_code grpc_method grpc_service grpc_type hash io kind
    level message method name op order outcome output_level path pool priority ratio reason request
    result runner_name rw scope scraped_by server_go_version server_version slow_type source stage state status
    store store_id success target task_type thread_name tid version window
    cpu mode device fstype collector operation goversion branch revision goos goarch tags alertname
    alertstate severity slice interval handler role sql_type flow store_type phase unit condition
";

/// Labels whose values are fixed by what exposes machines, containers and Kubernetes, or by its kernel.
const SYSTEM_LABELS: &str = "
    __name__ le quantile cpu mode fstype collector state phase condition reason unit operstate duplex
";

/// What the metrics of machines, containers, Kubernetes, probes and of scraping begin with: more labels than the
/// ones of [`SYSTEM_LABELS`] carry names there, as of units of systemd, of volumes and of file servers.
const SYSTEM_STEMS: [&str; 12] = [
    "node",
    "container",
    "kube",
    "up",
    "scrape",
    "blackbox",
    "probe",
    "http",
    "server",
    "client",
    "net",
    "proxy",
];

/// A device as the kernel itself calls it, or a file system that lies on none.
static KERNEL_DEVICE: LazyLock<Regex> = LazyLock::new(|| {
    let disk = r"(?:[hsv]d|xvd)[a-z]{1,2}\d*|nvme\d+n\d+(?:p\d+)?|mmcblk\d+(?:p\d+)?";
    let other = r"(?:dm-|md|loop|sr|z?ram|nbd|eth|bond|wlan|ib)\d+|en[ops]\d[\da-z]*|lo";
    let none = "tmpfs|overlay|devtmpfs|shm|rootfs|none|proc|sysfs|udev";
    Regex::new(&format!(r"^(?:(?:/dev/)?(?:{disk}|{other})|{none})$"))
        .expect("the pattern is valid")
});

/// Labels whose names a usual deployment gives, beside those of [`CODE_LABELS`]. Their values name something.
const OTHER_LABELS: &str = "
    From Local Remote To server_id address addr endpoint instance job to to_addr from_addr target_addr
    pod pod_name namespace node nodename hostname host cluster tidb_cluster container container_name
    service app component region_id zone rack group_id resource_group db user path mountpoint
    kubernetes_node kubernetes_namespace kubernetes_pod_name kubernetes_node_name controller_revision_hash
    replica prometheus prometheus_replica cluster_id member_id domainname nodename sysname machine release
    keyspace keyspace_id keyspace_name image image_id interface file statefulset_kubernetes_io_pod_name
    exported_instance app_kubernetes_io_component app_kubernetes_io_instance app_kubernetes_io_managed_by app_kubernetes_io_name
    exported_namespace exported_pod exported_container host_ip pod_ip uid ping metrics_path resource
";

/// Labels whose values are names or addresses of hosts, pods and machines.
const HOST_LABELS: &str = "
    Remote Local From To address addr endpoint instance to_addr from_addr target_addr pod pod_name node
    nodename hostname host kubernetes_node kubernetes_pod_name kubernetes_node_name replica
    prometheus_replica nodename sysname machine statefulset_kubernetes_io_pod_name exported_pod
    exported_instance host_ip pod_ip ping
";

/// What the metrics of the programs under observation, and of those beside them, begin with.
const METRIC_STEMS: &str = "
    tikv pd tidb tiflash ticdc tiproxy etcd grpc raft go process promhttp node up scrape os etcd compaction
    resource region regions service service_member tso scheduling operator blackbox probe ALERTS
    update prometheus http rocksdb raftdb jemalloc kv proxy alertmanager net server client kube container
";

/// Metrics that carry names which users gave, under labels that elsewhere are fixed.
const USER_METRICS: [&str; 3] = ["resource_manager_", "tikv_resource_", "tidb_resource_"];

fn set(text: &'static str) -> HashSet<&'static str> {
    text.split_whitespace().collect()
}

static PUBLIC: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let paths =
        ASKED.iter().flat_map(|asked| asked.path.split(|c: char| !c.is_ascii_alphanumeric()));
    set(WORDS).into_iter().chain(paths.filter(|word| !word.is_empty())).collect()
});
static OF_CODE: LazyLock<HashSet<&str>> = LazyLock::new(|| set(CODE_LABELS));
static OF_SYSTEMS: LazyLock<HashSet<&str>> = LazyLock::new(|| set(SYSTEM_LABELS));
static OTHERS: LazyLock<HashSet<&str>> = LazyLock::new(|| set(OTHER_LABELS));
static HOSTS: LazyLock<HashSet<&str>> = LazyLock::new(|| set(HOST_LABELS));
static METRICS: LazyLock<HashSet<&str>> = LazyLock::new(|| set(METRIC_STEMS));

/// Longest number that passes by itself: a port, an ordinal, a count.
const LONGEST_NUMBER: usize = 6;

/// Whether a word passes everywhere: one of the list, a short number, or one of the list with a short number
/// at its end, as in `pd0`. A single character says nothing either.
pub fn is_public(word: &str) -> bool {
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    if word.len() - stem.len() > LONGEST_NUMBER {
        return false;
    }
    let lower = stem.to_ascii_lowercase();
    stem.is_empty()
        || (word.len() == 1 && word.is_ascii())
        || PUBLIC.contains(&*lower)
        || PUBLIC.contains(&*word.to_ascii_lowercase())
}

/// What pseudonyms begin with, before a hyphen and a number.
pub const STEMS: [&str; 9] =
    ["tikv", "tiflash", "pd", "tidb", "host", "name", "user", "path", "word"];

/// Digits of the number of a pseudonym.
pub const PSEUDONYM_DIGITS: usize = 6;

/// Whether a name has the form of a pseudonym, as in what was redacted before.
pub fn is_pseudonym(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(stem, number)| {
        STEMS.contains(&stem)
            && number.len() == PSEUDONYM_DIGITS
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether the values of this label of this metric are fixed by the program that exposes it.
pub fn is_code_label(metric: &str, name: &str) -> bool {
    let of_logs = metric.starts_with("operator_log_") && matches!(name, "component" | "file");
    let of_pods = name == "resource" && metric.starts_with("kube_");
    let of_pd = name == "service" && metric.starts_with("pd_");
    let stem = stem(metric);
    let fixed = if SYSTEM_STEMS.contains(&stem) {
        OF_SYSTEMS.contains(name)
    } else {
        METRICS.contains(stem) && OF_CODE.contains(name)
    };
    (fixed || of_logs || of_pods || of_pd)
        && !(matches!(name, "name" | "type")
            && USER_METRICS.iter().any(|of| metric.starts_with(of)))
}

/// Whether a label says which device something is of, by a name of the kernel's.
pub fn is_kernel_device(name: &str, value: &str) -> bool {
    name == "device" && KERNEL_DEVICE.is_match(value)
}

/// What a metric begins with.
fn stem(metric: &str) -> &str {
    metric.split(['_', ':']).next().unwrap_or_default()
}

/// Whether a label of this name belongs to a usual deployment.
pub fn is_known_label(name: &str) -> bool {
    OF_CODE.contains(name) || OTHERS.contains(name) || is_of_messages(name)
}

/// Whether the values of a label of this name are names or addresses of hosts, pods or machines.
pub fn is_host_label(name: &str) -> bool {
    HOSTS.contains(name)
}

/// Whether a metric of this name belongs to a program that is usually beside TiKV.
pub fn is_known_metric(name: &str) -> bool {
    METRICS.contains(stem(name)) || name.split(':').all(is_of_messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_and_ordinals_pass_and_names_do_not() {
        for word in ["tikv", "PD", "pd0", "tikv3", "20160", "svc", "x", "host12"] {
            assert!(is_public(word), "{word}");
        }
        for word in ["acme", "db17x", "tikv1234567", "7711772636774947891", "é", "tikvx"] {
            assert!(!is_public(word), "{word}");
        }
        assert!(
            is_pseudonym("tikv-483920") && !is_pseudonym("tikv-4") && !is_pseudonym("db-483920")
        );
    }

    #[test]
    fn devices_of_the_kernel_pass_and_volumes_do_not() {
        for device in ["sda1", "/dev/nvme0n1p2", "dm-0", "enp3s0f0", "eth0", "tmpfs", "lo"] {
            assert!(is_kernel_device("device", device), "{device}");
        }
        for device in ["/dev/mapper/vgacme-tikv", "nas.acme.io:/export", "cali12f", "ensign"] {
            assert!(!is_kernel_device("device", device), "{device}");
        }
    }

    #[test]
    fn names_that_users_give_are_no_code() {
        assert!(is_code_label("tikv_thread_cpu_seconds_total", "name"));
        assert!(!is_code_label("resource_manager_server_group_config", "name"));
        assert!(!is_code_label("up", "instance") && !is_code_label("up", "team"));
        assert!(is_code_label("kube_pod_container_resource_limits", "resource"));
        assert!(!is_code_label("resource_manager_server_group_config", "resource"));
        assert!(!is_code_label("kube_pod_info", "pod") && !is_code_label("kube_pod_info", "node"));
        assert!(is_code_label("node_cpu_seconds_total", "mode"));
        assert!(!is_code_label("node_systemd_unit_state", "name"));
        assert!(!is_code_label("shop_orders_total", "type") && !is_code_label("up", "group"));
    }
}
