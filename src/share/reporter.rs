//! Whether this build finds in an exported capture what the reporter's build found.

use crate::diagnose::Verdict;
use crate::model::{Export, escape};

/// Whether both builds say the same, and what where they do not: a sentence without a full stop. The verdict is
/// on the whole capture.
pub fn compared_with_reporter(export: &Export, verdict: &Verdict) -> String {
    if export.verdict_digest == verdict.digest() {
        let build = escape(&export.build);
        return format!("the reporter's build, operator {build}, gave the same verdict");
    }
    let reported = escape(&export.verdict);
    let what = if export.verdict == verdict.summary {
        format!("both say \"{reported}\", on other evidence")
    } else {
        format!("it said \"{reported}\", this one says \"{}\"", escape(&verdict.summary))
    };
    let own = env!("CARGO_PKG_VERSION");
    let why = if export.build == own {
        "both are the same version, so the capture was altered or one build was modified".to_owned()
    } else {
        format!("diagnosis has changed since, up to {own}")
    };
    format!("the reporter's build was operator {}: {what}; {why}", escape(&export.build))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn another_verdict_is_told_with_both() {
        let verdict = Verdict {
            summary: "nothing is broken".to_owned(),
            ..Verdict::bare(Timestamp::from_millis(0), vec![])
        };
        let same = Export { verdict_digest: verdict.digest(), ..Export::default() };
        assert!(compared_with_reporter(&same, &verdict).ends_with("gave the same verdict"));
        let other =
            Export { build: "0.0.9".to_owned(), verdict: "a store died".to_owned(), ..same };
        let other = Export { verdict_digest: String::new(), ..other };
        let told = compared_with_reporter(&other, &verdict);
        assert!(
            told.contains("0.0.9: it said \"a store died\", this one says \"nothing is broken\"")
        );
    }
}
