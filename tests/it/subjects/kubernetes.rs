//! The manifests of `subjects/tikv-k8s`: the program understands their arguments, and the pod has no rights.

use std::path::Path;

use serde_json::Value;

use super::strings;
use crate::record_loop::program::operator;

const MANIFESTS: [&str; 2] = ["operator-v1.yaml", "operator-v2.yaml"];

/// The object of a kind in a manifest.
fn object(manifest: &str, kind: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("subjects/tikv-k8s");
    let text = std::fs::read_to_string(folder.join(manifest)).expect("the manifest is there");
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(&text).expect("it is YAML");
    objects.retain(|object| object["kind"] == kind);
    assert_eq!(objects.len(), 1, "{manifest} has one {kind}");
    objects.remove(0)
}

fn container(manifest: &str) -> Value {
    object(manifest, "Deployment")["spec"]["template"]["spec"]["containers"][0].clone()
}

#[test]
fn the_program_understands_the_arguments_of_the_manifests() {
    for manifest in MANIFESTS {
        let mut arguments = strings(&container(manifest)["args"]);
        let scrapes = arguments.iter().any(|argument| argument == "--scrape");
        let environment = container(manifest)["env"].as_array().expect("variables").clone();
        let gives_prometheus = environment.iter().any(|one| one["name"] == "PROMETHEUS_URL");
        assert!(scrapes != gives_prometheus, "{manifest}: samples come from one place");
        // What stands before `--help` is parsed and not run.
        arguments.push("--help".to_owned());
        let output = operator().args(&arguments).output().expect("the program starts");
        assert!(output.status.success(), "{manifest}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_pod_has_no_token_and_writes_to_its_volumes_alone() {
    for manifest in MANIFESTS {
        let account = object(manifest, "ServiceAccount");
        assert_eq!(account["automountServiceAccountToken"], false, "{manifest}");
        let pod = &object(manifest, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false, "{manifest}");
        assert_eq!(pod["serviceAccountName"], account["metadata"]["name"], "{manifest}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{manifest}");
        let rights = &container(manifest)["securityContext"];
        assert_eq!(rights["readOnlyRootFilesystem"], true, "{manifest}");
        assert_eq!(rights["allowPrivilegeEscalation"], false, "{manifest}");
        assert_eq!(strings(&rights["capabilities"]["drop"]), ["ALL"], "{manifest}");
    }
}
