//! The rule files that are part of the program.

use super::rule_file::{Rule, RuleFile, RuleKind};

/// Name and text of the rules for TiKV and PD; Prometheus of the example cluster loads the same
/// file.
const TIKV: (&str, &str) =
    ("tikv.yaml", include_str!("../../subjects/tikv/prometheus/rules/tikv.yaml"));

/// The rules that are used if the user names no rule file.
pub fn bundled() -> Vec<RuleFile> {
    let (name, text) = TIKV;
    vec![RuleFile::parse(name, text).expect("what is bundled can be read")]
}

/// The labels in which rules say how urgent they are: `severity` of the bundled ones and of most, `level` of
/// PingCAP's.
pub const LEVELS: [&str; 2] = ["severity", "level"];

/// Values of those labels that say that somebody has to act at once.
const CRITICAL: [&str; 2] = ["critical", "emergency"];

/// Of these files, the rules whose alerts are critical, and those that record what they may read.
pub fn critical(mut files: Vec<RuleFile>) -> Vec<RuleFile> {
    let is_critical = |rule: &Rule| {
        let mut levels = rule.labels.iter().filter(|(name, _)| LEVELS.contains(&name.as_str()));
        matches!(rule.kind, RuleKind::Recording)
            || levels.any(|(_, level)| CRITICAL.contains(&level.text()))
    };
    for group in files.iter_mut().flat_map(|file| &mut file.groups) {
        group.rules.retain(is_critical);
    }
    files
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bundled_rules_read() {
        let files = super::bundled();
        assert!(count(&files) > 40);
    }

    fn count(files: &[super::RuleFile]) -> usize {
        files[0].groups.iter().map(|group| group.rules.len()).sum()
    }

    #[test]
    fn critical_rules_are_those_whose_label_says_so() {
        let text = "groups: [{name: g, rules: [
            {alert: A, expr: up, labels: {severity: critical}},
            {alert: B, expr: up, labels: {severity: warning}},
            {alert: C, expr: up, labels: {level: emergency}},
            {alert: D, expr: up},
            {record: e, expr: up}]}]";
        let kept = super::critical(vec![super::RuleFile::parse("g.yaml", text).unwrap()]);
        let names: Vec<&str> =
            kept[0].groups[0].rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["A", "C", "e"]);
        let bundled = super::bundled();
        let all = count(&bundled);
        assert!((10..all).contains(&count(&super::critical(bundled))));
    }
}
