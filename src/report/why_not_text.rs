//! What became of one failure mode, as text: `operator replay --why-not`.

use super::page::{clock, wrap};
use crate::diagnose::{ClaimFate, Nearest, WhyNot, number, seconds};
use crate::model::escape;

/// The answer to why a mode is not, or is, in a verdict, in lines of at most `width` columns where words allow.
/// Text from outside is escaped.
pub fn why_not_text(why: &WhyNot, width: usize) -> String {
    let mut page = Lines { text: format!("{}: {}\n", why.mode, why.says), width };
    for need in &why.needs {
        let state = match need.recorded {
            true => "recorded".to_owned(),
            false => format!("missing; {}", need.command),
        };
        page.push(2, "needs", &format!("{}: {state}", need.name));
    }
    for reading in &why.readings {
        let word = if reading.is_crossed() { "crossed" } else { "nearest" };
        page.push(2, word, &escape(&reading_text(reading)));
    }
    for one in &why.unseen {
        let until = one.end_ms.map_or("the end".to_owned(), clock);
        let text =
            format!("{}: no scrape from {} to {until}", escape(&one.target), clock(one.start_ms));
        page.push(2, "unseen", &text);
    }
    for metric in why.metrics.iter().filter(|metric| metric.series > 0) {
        page.push(2, "saw", &format!("{}, {} series", metric.name, metric.series));
    }
    for metric in why.metrics.iter().filter(|metric| metric.series == 0) {
        page.push(2, "missing", metric.name);
    }
    if why.claims.is_empty() {
        let is_blind = why.needs.iter().any(|need| !need.recorded);
        let is_crossed = why.readings.iter().any(Nearest::is_crossed);
        let why = match (is_blind, why.apart.is_empty()) {
            (true, _) => "nothing: what it needs was not recorded, so it cannot be told",
            (false, true) if is_crossed => {
                "nothing: what is crossed is not enough, or something else explains it"
            }
            (false, true) => "nothing: what was seen crosses none of its thresholds",
            (false, false) => "nothing, since something speaks against it",
        };
        page.push(2, "claimed", why);
    }
    for sentence in &why.apart {
        page.push(2, "unlike", &escape(sentence));
    }
    for claim in &why.claims {
        page.claim(claim);
    }
    let advice = &why.advice;
    page.push(2, "sure", &format!("at most {}, if it is claimed", why.surest));
    page.push(2, "check", advice.check);
    // Nobody remedies what is not claimed.
    let given = if why.claims.is_empty() { "were it so: " } else { "" };
    page.push(2, "remedy", &format!("{given}{}", advice.remedy));
    page.push(2, "risk", &format!("{given}{}", advice.risk));
    page.push(2, "docs", &advice.reference());
    page.text
}

/// `raft_engine_sync_log_duration_seconds, mean: 1.2 ms at store 4, 16:31:05.000; counts from 5 ms for 3 in a row`.
fn reading_text(reading: &Nearest) -> String {
    let shown = |value: f64| match reading.unit {
        "seconds" => seconds(value),
        "" => number(value),
        unit => format!("{} {unit}", number(value)),
    };
    let Nearest { what, target, at_ms, value, threshold, hold, held, .. } = reading;
    let least = match *threshold > 1e-12 {
        true => format!("counts from {}", shown(*threshold)),
        false => "any counts".to_owned(),
    };
    let held = match (hold, held) {
        (0 | 1, _) => String::new(),
        (hold, 0) => format!(" for {hold} scrapes in a row"),
        (hold, held) => format!(" for {hold} scrapes in a row; reached for {held}"),
    };
    format!("{what}: {} at {target}, {}; {least}{held}", shown(*value), clock(*at_ms))
}

/// Columns of the word before a sentence.
const WORD: usize = 9;

/// Lines that each begin with a word about what follows.
struct Lines {
    text: String,
    width: usize,
}

impl Lines {
    fn push(&mut self, indent: usize, word: &str, sentence: &str) {
        let mut before = format!("{:indent$}{word:<WORD$}", "");
        for line in wrap(sentence, self.width.saturating_sub(indent + WORD)) {
            self.text.push_str(&format!("{before}{line}\n"));
            before = " ".repeat(indent + WORD);
        }
    }

    fn claim(&mut self, claim: &ClaimFate) {
        let (target, fate) = (escape(&claim.target.text()), escape(&claim.fate));
        let claimed =
            format!("{target} since {}, confidence {}: {fate}", claim.onset_ms, claim.confidence);
        self.push(2, "claimed", &claimed);
        for (word, sentences) in [("for", &claim.evidence), ("against", &claim.against)] {
            sentences.iter().for_each(|sentence| self.push(4, word, &escape(sentence)));
        }
        if let Some(missing) = &claim.missing {
            self.push(4, "missing", &escape(missing));
        }
    }
}
