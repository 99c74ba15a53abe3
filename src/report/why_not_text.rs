//! What became of one failure mode, as text: `operator replay --why-not`.

use crate::diagnose::{ClaimFate, WhyNot};
use crate::model::escape;

/// The answer to why a mode is not, or is, in a verdict. Text from outside is escaped.
pub fn why_not_text(why: &WhyNot) -> String {
    let mut text = format!("{}: {}\n", why.mode, why.says);
    for need in &why.needs {
        let state = match need.recorded {
            true => "recorded".to_owned(),
            false => format!("missing; {}", need.command),
        };
        text.push_str(&format!("  needs    {}: {state}\n", need.name));
    }
    let seen: Vec<String> = why
        .metrics
        .iter()
        .filter(|metric| metric.series > 0)
        .map(|metric| format!("{} ({})", metric.name, metric.series))
        .collect();
    let missing = why.metrics.iter().filter(|metric| metric.series == 0).map(|metric| metric.name);
    for name in seen {
        text.push_str(&format!("  saw      {name}\n"));
    }
    for name in missing {
        text.push_str(&format!("  missing  {name}\n"));
    }
    if why.claims.is_empty() {
        text.push_str("  claimed  nothing: what was seen crosses none of its thresholds\n");
    }
    for sentence in &why.apart {
        text.push_str(&format!("  unlike   {}\n", escape(sentence)));
    }
    for claim in &why.claims {
        push_claim(&mut text, claim);
    }
    text
}

fn push_claim(text: &mut String, claim: &ClaimFate) {
    text.push_str(&format!(
        "  claimed  {} since {}, confidence {}: {}\n",
        escape(&claim.target.text()),
        claim.onset_ms,
        claim.confidence,
        escape(&claim.fate)
    ));
    let lines = [("for", &claim.evidence), ("against", &claim.against)];
    for (what, sentences) in lines {
        for sentence in sentences {
            text.push_str(&format!("    {what:<8} {}\n", escape(sentence)));
        }
    }
    if let Some(missing) = &claim.missing {
        text.push_str(&format!("    missing  {}\n", escape(missing)));
    }
}
