//! Prometheus's configuration and rules, by its own tool and beyond what that sees.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::{folder, strings, text, yaml};

fn promtool(args: &[&str]) {
    let output = Command::new("promtool").args(args).current_dir(folder()).output();
    let output = output.expect("promtool is installed (see test.sh)");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

fn rules() -> Vec<Value> {
    let file = yaml("prometheus/rules/tikv.yaml");
    let groups = file["groups"].as_array().expect("there are groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

#[test]
#[ignore = "needs promtool: ./test.sh runs it"]
fn promtool_accepts_configuration_and_rules() {
    promtool(&["check", "config", "prometheus/prometheus.yaml"]);
    promtool(&["check", "rules", "prometheus/rules/tikv.yaml"]);
}

#[test]
#[ignore = "needs promtool: ./test.sh runs it"]
fn rules_fire_when_they_should_and_only_then() {
    promtool(&["test", "rules", "prometheus/rules.test.yaml"]);
}

#[test]
fn every_target_is_a_service() {
    let compose = yaml("docker-compose.yaml");
    let config = yaml("prometheus/prometheus.yaml");
    let services = compose["services"].as_object().expect("there are services");
    let mut targets = BTreeSet::new();
    for scrape in config["scrape_configs"].as_array().expect("there are scrapes") {
        for part in scrape["static_configs"].as_array().map(Vec::as_slice).unwrap_or_default() {
            targets.extend(strings(&part["targets"]));
        }
        for part in scrape["dns_sd_configs"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let port = part["port"].as_u64().expect("a port");
            targets.extend(strings(&part["names"]).iter().map(|name| format!("{name}:{port}")));
        }
    }
    for target in &targets {
        let (host, _) = target.split_once(':').expect("host and port");
        assert!(host == "localhost" || services.contains_key(host), "{target}");
    }
    for node in ["pd0:2379", "pd1:2379", "pd2:2379", "tikv0:20180", "tikv1:20180", "tikv2:20180"] {
        assert!(targets.contains(node), "{node} is not scraped");
    }
    let listens = strings(&services["operator"]["command"]).join(" ");
    assert!(listens.contains(":9464") && targets.contains("operator:9464"), "{listens}");
}

#[test]
fn every_rule_says_how_bad_it_is_and_what_it_means() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().expect("a rule is an alert").to_owned();
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("critical" | "warning")), "{name}: {severity:?}");
        for key in ["summary", "description"] {
            let text = rule["annotations"][key].as_str().unwrap_or_default();
            assert!(text.len() > 15, "{name}: {key} {text:?}");
        }
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    assert!(names.len() > 40, "{} rules", names.len());
}

#[test]
fn the_rules_of_prometheus_are_mounted_where_its_configuration_looks() {
    let compose = text("docker-compose.yaml");
    assert!(compose.contains("./prometheus/prometheus.yaml:/etc/prometheus/prometheus.yml:ro"));
    assert!(compose.contains("./prometheus/rules:/etc/prometheus/rules:ro"));
    assert_eq!(strings(&yaml("prometheus/prometheus.yaml")["rule_files"]), ["rules/*.yaml"]);
}
