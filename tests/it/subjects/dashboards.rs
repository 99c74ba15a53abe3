//! The dashboards: what Grafana is given, and the rule that every panel keeps.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{folder, yaml};

/// Grafana's grid is this wide.
const COLUMNS: u64 = 24;
/// Rows of the grid on a screen of 1080 lines, below Grafana's own bars.
const SCREEN: u64 = 24;
/// Units that are used here, by Grafana's names.
const UNITS: [&str; 9] =
    ["none", "short", "s", "bytes", "Bps", "ops", "reqps", "percentunit", "dateTimeAsIso"];

/// Each dashboard and the name of its file.
fn all() -> Vec<(String, Value)> {
    let folder = folder().join("grafana/dashboards");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("there are dashboards")
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    files.sort();
    let read = files.iter().map(|path| {
        let text = fs::read_to_string(path).expect("a dashboard can be read");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, serde_json::from_str(&text).expect("a dashboard is JSON"))
    });
    read.collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Every panel that shows something, with its place.
fn panels() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (file, dashboard) in all() {
        for panel in list(&dashboard, "panels").iter().filter(|panel| panel["type"] != "row") {
            found.push((format!("{file}: {}", panel["title"]), panel.clone()));
        }
    }
    assert!(found.len() > 80, "{} panels", found.len());
    found
}

/// Every expression, with its place.
pub fn expressions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (place, panel) in panels() {
        for target in list(&panel, "targets") {
            found.push((place.clone(), target["expr"].as_str().expect("an expression").to_owned()));
        }
    }
    found
}

#[test]
fn there_are_three_with_ids_of_their_own_and_links_between_them() {
    let all = all();
    let files: Vec<&str> = all.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(files, ["overview.json", "pd.json", "stores.json"]);
    let mut uids = BTreeSet::new();
    for (file, dashboard) in &all {
        assert!(uids.insert(dashboard["uid"].as_str().expect("a uid")), "{file}");
        let tags = list(dashboard, "tags");
        assert_eq!(list(dashboard, "links")[0]["tags"], serde_json::json!([tags[0]]), "{file}");
        let ids: BTreeSet<u64> = list(dashboard, "panels")
            .iter()
            .map(|panel| panel["id"].as_u64().expect("id"))
            .collect();
        assert_eq!(ids.len(), list(dashboard, "panels").len(), "{file}: ids are unique");
    }
}

#[test]
fn provisioning_finds_the_data_source_and_the_dashboards() {
    let compose = yaml("docker-compose.yaml");
    let source = &yaml("grafana/provisioning/datasources/prometheus.yaml")["datasources"][0];
    assert_eq!(source["url"], "http://prometheus:9090");
    assert_eq!(source["type"], "prometheus");
    let provider = &yaml("grafana/provisioning/dashboards/tikv.yaml")["providers"][0];
    let path = provider["options"]["path"].as_str().expect("a path");
    let mounts = super::strings(&compose["services"]["grafana"]["volumes"]);
    assert!(mounts.contains(&format!("./grafana/dashboards:{path}:ro")), "{mounts:?}");
    let home =
        &compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    let home = home.as_str().and_then(|home| home.strip_prefix(path)).expect("a home there");
    assert!(folder().join("grafana/dashboards").join(home.trim_start_matches('/')).is_file());
    for (file, dashboard) in all() {
        let variables = list(&dashboard["templating"], "list");
        assert_eq!(variables[0]["type"], "datasource", "{file}");
        assert_eq!(variables[0]["current"]["value"], source["uid"], "{file}");
    }
}

#[test]
fn panels_tile_the_grid_without_overlap_or_hole() {
    for (file, dashboard) in all() {
        let mut cells = BTreeSet::new();
        let mut height = 0;
        for panel in list(&dashboard, "panels") {
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a position");
            let (x, y, w, h) = (at("x"), at("y"), at("w"), at("h"));
            assert!(x + w <= COLUMNS, "{file}: {} is too far right", panel["title"]);
            height = height.max(y + h);
            for row in y..y + h {
                for column in x..x + w {
                    assert!(cells.insert((row, column)), "{file}: {} overlaps", panel["title"]);
                }
            }
        }
        // The last row of a section may be open at its right end, nowhere else.
        for row in 0..height {
            let width = (0..COLUMNS).take_while(|column| cells.contains(&(row, *column))).count();
            let cells = (0..COLUMNS).filter(|column| cells.contains(&(row, *column))).count();
            assert!(width > 0 && width == cells, "{file}: row {row} has a hole");
        }
        if file == "overview.json" {
            assert!(height <= SCREEN, "the overview is {height} rows high");
            assert_eq!(cells.len() as u64, height * COLUMNS, "the overview has no open end");
        }
    }
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit() {
    for (place, panel) in panels() {
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.len() > 10 && description.ends_with('.'), "{place}: {description:?}");
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
        assert!(UNITS.contains(&unit), "{place}: unit {unit:?}");
        for target in list(&panel, "targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let wanted = unit_of(expression);
            assert!(wanted.is_none_or(|wanted| wanted == unit), "{place}: {unit}, not {wanted:?}");
        }
    }
}

/// The unit that an expression's metric and shape impose, where they do.
fn unit_of(expression: &str) -> Option<&'static str> {
    let quantile = expression.starts_with("histogram_quantile(");
    let seconds = ["_seconds_bucket", "_secs_bucket", "_grpc_msg_duration_seconds"];
    if quantile && seconds.iter().any(|metric| expression.contains(metric)) {
        return Some("s");
    }
    let divides = expression.contains(" / ");
    if !divides && expression.contains("_bytes") {
        let rate = expression.contains("rate(");
        return Some(if rate || expression.contains("rate_bytes") { "Bps" } else { "bytes" });
    }
    None
}

#[test]
fn every_curve_is_named_by_labels_that_it_has() {
    for (place, panel) in panels() {
        for target in list(&panel, "targets") {
            let legend = target["legendFormat"].as_str().unwrap_or_default();
            assert!(!legend.is_empty() && legend != "__auto", "{place} has no legend");
            let expression = target["expr"].as_str().expect("an expression");
            let kept = kept_labels(expression);
            for name in legend.split("{{").skip(1).map(|rest| rest.split("}}").next()) {
                let name = name.expect("a label");
                let has = kept.as_ref().is_none_or(|kept| kept.contains(name));
                assert!(has, "{place}: {name} is not among the labels of {expression}");
            }
            // Two curves with one name cannot be told apart.
            let told = kept.is_none_or(|kept| {
                kept.iter()
                    .all(|label| *label == "le" || legend.contains(&format!("{{{{{label}}}}}")))
            });
            assert!(told, "{place}: {legend:?} leaves out a label of {expression}");
        }
        if panel["type"] == "timeseries" {
            assert_eq!(panel["options"]["legend"]["showLegend"], true, "{place}");
            assert_eq!(panel["options"]["tooltip"]["mode"], "multi", "{place}");
        }
    }
}

/// The labels that the outermost `by (…)` keeps; `None` where nothing is aggregated.
fn kept_labels(expression: &str) -> Option<BTreeSet<&str>> {
    let aggregated = ["sum", "max", "min", "count", "avg", "histogram_quantile"];
    let outer =
        expression.trim_start_matches(|c: char| c == '(' || c.is_ascii_digit() || " -".contains(c));
    if !aggregated.iter().any(|function| outer.starts_with(function)) {
        return None;
    }
    let Some((_, rest)) = expression.split_once("by (") else { return Some(BTreeSet::new()) };
    let labels = rest.split(')').next().expect("a closing parenthesis");
    Some(labels.split(',').map(str::trim).filter(|label| *label != "le").collect())
}

#[test]
fn thresholds_rise_from_a_base() {
    for (place, panel) in panels() {
        let steps = list(&panel["fieldConfig"]["defaults"]["thresholds"], "steps");
        assert!(steps.first().is_some_and(|step| step["value"].is_null()), "{place}");
        let values: Vec<f64> =
            steps[1..].iter().map(|s| s["value"].as_f64().expect("value")).collect();
        assert!(values.is_sorted_by(|a, b| a < b), "{place}: {values:?}");
        if panel["type"] == "stat" {
            assert!(steps.len() >= 2, "{place} is never anything but well");
            assert_eq!(panel["fieldConfig"]["defaults"]["color"]["mode"], "thresholds", "{place}");
        }
        let style = &panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"];
        assert!(*style != "line+area" || steps.len() >= 2, "{place} draws no threshold");
    }
}
