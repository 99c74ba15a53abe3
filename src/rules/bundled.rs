//! The rule files that are part of the program.

use super::rule_file::RuleFile;

/// Name and text of the rules for TiKV and PD; Prometheus of the example cluster loads the same
/// file.
const TIKV: (&str, &str) =
    ("tikv.yaml", include_str!("../../subjects/tikv/prometheus/rules/tikv.yaml"));

/// The rules that are used if the user names no rule file.
pub fn bundled() -> Vec<RuleFile> {
    let (name, text) = TIKV;
    vec![RuleFile::parse(name, text).expect("what is bundled can be read")]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bundled_rules_read() {
        let files = super::bundled();
        assert!(files[0].groups.iter().map(|group| group.rules.len()).sum::<usize>() > 40);
    }
}
