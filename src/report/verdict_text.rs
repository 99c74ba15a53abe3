//! The verdict as text for a person: a summary of at most thirteen lines and what to do, and the evidence at the end.

use super::called::Called;
use super::diagnosed::Diagnosed;
use super::page::{Ink, Page, clock, date, onset};
use super::placed::placed;
use crate::diagnose::{
    Cause, Clients, Consequence, Finding, Outcome, Reason, ServedRates, Unchecked, Verdict, number,
    seconds,
};
use crate::model::{Timestamp, duration_text, escape, shell_word};

/// The most lines of the summary, beside those about what to do.
const SUMMARY_LINES: usize = 13;

/// The priority of a piece of the summary where not all of them fit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A cause: what is wrong, where and since when.
    Claim,
    /// The first reason of a cause.
    Reason,
    /// Further reasons and consequences.
    More,
}

/// A piece of the summary.
struct Piece {
    weight: Weight,
    indent: usize,
    text: String,
    ink: Ink,
}

impl Page {
    /// Adds the summary, in at most [`SUMMARY_LINES`] lines and those about what to do, after a line about
    /// damage. A piece of text is shown completely or, where pieces of higher priority leave no room, not at all.
    pub(super) fn summary(&mut self, called: Called<'_>, diagnosed: &Diagnosed) {
        let verdict = &diagnosed.verdict;
        let next = next_steps(called, verdict);
        let next: Vec<String> =
            next.iter().map(|step| placed(step, &diagnosed.replay.meta)).collect();
        let mut pieces = pieces(verdict);
        pieces.extend(diagnosed.alerts_text().map(|text| Piece {
            weight: Weight::Reason,
            indent: 2,
            text,
            ink: Ink::Yellow,
        }));
        let mut order: Vec<usize> = (0..pieces.len()).collect();
        order.sort_by_key(|&place| pieces[place].weight);
        let mut room = SUMMARY_LINES - next.len() - usize::from(verdict.damage.is_some());
        // This line is neither broken nor cut, so that a reader or a search finds all of it.
        if let Some(damage) = &verdict.damage {
            self.ink(&escape(&damage.summary), Ink::Red);
            self.out.push('\n');
        }
        let mut fits = vec![false; pieces.len()];
        for place in order {
            let piece = &pieces[place];
            let lines = self.lines_of(piece.indent, &piece.text);
            fits[place] = lines <= room;
            room -= if fits[place] { lines } else { 0 };
        }
        for (piece, _) in pieces.iter().zip(fits).filter(|(_, fits)| *fits) {
            self.line(piece.indent, &piece.text, piece.ink);
        }
        self.what_to_do(verdict);
        // A command that is broken or cut cannot be pasted.
        for step in next {
            self.out.push_str("  next: ");
            self.out.push_str(&escape(&step));
            self.out.push('\n');
        }
        self.blank();
    }

    /// Adds each cause and change with all evidence for and against it.
    pub(super) fn evidence(&mut self, verdict: &Verdict) {
        for cause in &verdict.causes {
            self.heading(&format!("Why {}, {}", cause.mode, cause.target.text()));
            self.cause(verdict, cause);
        }
        for change in &verdict.changes {
            self.heading(&format!("Not a fault: {}, {}", change.mode, change.target.text()));
            self.cause(verdict, change);
        }
        if let Some(clients) = &verdict.clients {
            self.clients(clients);
        }
        if !verdict.alternatives.is_empty() {
            self.heading("What it is not");
            for one in &verdict.alternatives {
                let sure = one.sure_text();
                let text = format!("{}, {}{sure}: {}", one.mode, one.target.text(), one.lost);
                self.line(2, &text, Ink::Dim);
            }
        }
        if !verdict.unchecked.is_empty() {
            self.heading("Could not be checked");
            for one in &verdict.unchecked {
                self.line(2, &unchecked(one, false), Ink::Yellow);
            }
        }
    }

    /// What clients had of it, stretch by stretch and type by type.
    fn clients(&mut self, clients: &Clients) {
        self.heading("Clients");
        self.field("says", &clients.text);
        for one in &clients.stretches {
            let span = format!("{} to {}", clock(one.start_ms), clock(one.end_ms));
            self.field(one.part.name(), &format!("{span}: {}", rates(&one.all)));
            for of in &one.types {
                self.line(15, &format!("{} {}", of.kind, rates(&of.rates)), Ink::Dim);
            }
        }
        if let Some(least) = &clients.least {
            let text = format!("{} a second", number(least.requests_per_second));
            self.field("least", &format!("{text}, in the scrape from {}", clock(least.at_ms)));
        }
        if let Some(slowest) = &clients.slowest {
            let ms = |ms: f64| seconds(ms / 1000.0);
            let (is, was) = (ms(slowest.p99_ms), ms(slowest.before_p99_ms));
            let text =
                format!("{} p99 {is}, in the scrape from {}", slowest.kind, clock(slowest.at_ms));
            self.field("slowest", &format!("{text}; before, at most {was}"));
        }
        for one in &clients.not_counted {
            self.field("unknown", one);
        }
        for one in &clients.computed {
            self.field("computed", one);
        }
    }

    fn cause(&mut self, verdict: &Verdict, cause: &Cause) {
        self.field("says", &cause.says);
        if !cause.target.concerns.is_empty() {
            self.field("concerns", &cause.target.concerns.join(", "));
        }
        self.field("when", &place_and_time(cause));
        for reason in &cause.evidence {
            let finding = verdict.findings.iter().find(|finding| finding.id == reason.finding);
            self.field(&reason.finding, &reason.text);
            for citation in finding.iter().flat_map(|finding: &&Finding| &finding.citations) {
                let text =
                    format!("{} {} {}", clock(citation.at_ms), citation.reference, citation.value);
                self.line(15, &text, Ink::Dim);
            }
        }
        for against in &cause.against {
            self.field("against", against);
        }
        for one in &cause.unchecked {
            self.field("unchecked", &unchecked(one, cause.end_ms.is_some()));
        }
        for one in &cause.explains {
            let text =
                format!("{} {}: {}", clock(one.onset_ms), one.target.text(), consequence(one));
            self.field("then", &text);
        }
        self.advice_fields(cause);
    }
}

/// `560 requests a second, p99 31.2 ms, 0.5 failed a second`.
fn rates(rates: &ServedRates) -> String {
    let mut text = format!("{} requests a second", number(rates.requests_per_second));
    if let Some(p99) = rates.p99_ms {
        text.push_str(&format!(", p99 {} ms", number(p99)));
    }
    if rates.failed_per_second > 0.0 {
        text.push_str(&format!(", {} failed a second", number(rates.failed_per_second)));
    }
    text
}

/// All pieces of the summary, in the order in which they are shown.
fn pieces(verdict: &Verdict) -> Vec<Piece> {
    let (word, ink) = match verdict.outcome {
        // Whether somebody has to act now is what is asked first.
        Outcome::Fault if verdict.is_over() => ("FAULT (over)", Ink::Red),
        Outcome::Fault => ("FAULT", Ink::Red),
        Outcome::NoFault => ("NO FAULT", Ink::Green),
        Outcome::CannotTell => ("CANNOT TELL", Ink::Yellow),
    };
    let piece = |weight, indent, text, ink| Piece { weight, indent, text, ink };
    // The times below are times of day.
    let first = verdict.causes.iter().chain(&verdict.changes).next();
    let day = date(first.map_or(verdict.as_of_ms, |cause| cause.onset_ms));
    let headline = format!("{word}, {day} UTC  {}", without_outcome(verdict));
    let mut pieces = vec![piece(Weight::Claim, 0, headline, ink)];
    // Of a single cause, the first line says where it is.
    let is_single = verdict.causes.len() == 1;
    for cause in &verdict.causes {
        let place = if is_single { String::new() } else { format!(", {}", cause.target.name) };
        let text = format!("{}{place}  {}", cause.mode, place_and_time(cause));
        pieces.push(piece(Weight::Claim, 2, text, Ink::Bold));
        for (number, text) in reasons(cause).into_iter().enumerate() {
            let weight = if number == 0 { Weight::Reason } else { Weight::More };
            pieces.push(piece(weight, 4, text, Ink::Plain));
        }
        // Who acts on the cause has to know what may be wrong with it.
        if let Some(against) = cause.against.first() {
            pieces.push(piece(Weight::Reason, 4, format!("against: {against}"), Ink::Plain));
        }
        if let Some(one) = cause.explains.first() {
            let more = match cause.explains.len() {
                1 => String::new(),
                n => format!(", and {} more", n - 1),
            };
            let text = format!("then: {}{more}", consequence(one));
            pieces.push(piece(Weight::More, 4, text, Ink::Dim));
        }
    }
    if let Some(clients) = verdict.clients.as_ref().filter(|one| one.impact.is_some()) {
        let text = format!("clients: {}", clients.text);
        pieces.push(piece(Weight::Reason, 2, text, Ink::Plain));
    }
    for change in &verdict.changes {
        let place = match verdict.changes.len() + verdict.causes.len() {
            1 => String::new(),
            _ => format!(", {}", change.target.name),
        };
        let text = format!("not a fault: {}{place}  {}", change.mode, place_and_time(change));
        pieces.push(piece(Weight::Claim, 2, text, Ink::Plain));
        // Beside a fault, what was planned needs no reason.
        let reasons = if verdict.causes.is_empty() { reasons(change) } else { Vec::new() };
        let weight = Weight::More;
        pieces.extend(reasons.into_iter().map(|text| piece(weight, 4, text, Ink::Plain)));
    }
    pieces
}

/// The first reasons of a cause or a change, each with the finding that shows it.
fn reasons(cause: &Cause) -> Vec<String> {
    let first = cause.evidence.iter().take(3);
    first
        .map(|one| format!("{}\u{a0}[{}]", one.text.replace(" %", "\u{a0}%"), one.finding))
        .collect()
}

/// What followed, with the finding that shows it.
fn consequence(one: &Consequence) -> String {
    match &one.finding {
        Some(id) => format!("{}\u{a0}[{id}]", one.text),
        None => one.text.clone(),
    }
}

/// The summary of the verdict without the outcome at its beginning.
pub(super) fn without_outcome(verdict: &Verdict) -> &str {
    let summary = verdict.summary.as_str();
    let rest = ["no fault: ", "no fault; ", "no fault "].into_iter();
    let rest = rest.filter_map(|outcome| summary.strip_prefix(outcome)).next();
    let unknown = || summary.strip_prefix("cannot tell: ").or(summary.strip_prefix("cannot tell "));
    rest.or_else(unknown).unwrap_or(summary)
}

/// `16:30:50.967 -4.7s to 16:34:36.100 (3m45s), confidence 0.97`.
fn place_and_time(cause: &Cause) -> String {
    format!("{}, confidence\u{a0}{}", span_text(cause), cause.confidence)
}

/// `16:30:50.967 -4.7s to 16:34:36.100 (3m45s)`.
pub(super) fn span_text(cause: &Cause) -> String {
    let until = cause.end_ms.map_or_else(
        || "until the end".to_owned(),
        |end: Timestamp| {
            format!("to {} ({})", clock(end), duration_text((end - cause.onset_ms).max(0)))
        },
    );
    let from = onset(cause.onset_ms, cause.onset_uncertainty_ms, cause.began_by_onset);
    format!("{from} {until}")
}

/// Commands for the next step: to show the samples behind the first finding, and to check what could not
/// be checked.
fn next_steps(called: Called<'_>, verdict: &Verdict) -> Vec<String> {
    let run = called.run;
    let mut steps = Vec::new();
    let cause = verdict.causes.first();
    let is_drawn = |reason: &&Reason| {
        let mut findings = verdict.findings.iter();
        findings.any(|one| one.id == reason.finding && !one.plot.is_empty())
    };
    let evidence = cause.map_or(&[][..], |cause| &cause.evidence);
    // What came on stdin cannot be read once more.
    let is_gone = run == "-";
    if let Some(reason) = evidence.iter().find(is_drawn).or(evidence.first()).filter(|_| !is_gone) {
        let finding = &reason.finding;
        let (run, view, dir) = (shell_word(run), called.view, called.dir);
        steps.push(format!("operator explain {run} {finding}{view}{dir}"));
    }
    let unchecked = cause.map_or(&verdict.unchecked, |cause| &cause.unchecked);
    let is_over = cause.is_some_and(|cause| cause.end_ms.is_some());
    let command = unchecked.iter().find_map(|one| command_of(one, is_over));
    let is_part = !called.view.is_empty();
    steps.extend(command.map(|command| match called.lacks_metrics {
        true => "ask whoever exported it for a file without --match".to_owned(),
        // Of a run of which only a part was judged, the rest comes before another recording.
        false if is_part && command.starts_with("operator record ") => {
            format!("operator replay {}{}", shell_word(run), called.dir)
        }
        false => about(called, command),
    }));
    steps
}

/// A command with the run as the reader gave it, where it names this program's `RUN`.
fn about(called: Called<'_>, command: &str) -> String {
    match command.strip_prefix("operator replay RUN") {
        Some(rest) => format!("operator replay {}{rest}{}", shell_word(called.run), called.dir),
        None => command.to_owned(),
    }
}

/// The command that would check it; `None` where there is none, or it would show nothing of what is over.
fn command_of(one: &Unchecked, is_over: bool) -> Option<&str> {
    one.command.as_deref().filter(|_| !(is_over && one.is_now))
}

fn unchecked(one: &Unchecked, is_over: bool) -> String {
    match command_of(one, is_over) {
        Some(command) => format!("{}; try: {command}", one.what),
        None => one.what.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_run_as_it_was_given() {
        let answer = "operator replay RUN --cluster NAME";
        let about = |run: &str, command: &str| about(Called::whole(run), command);
        assert_eq!(about("chaos-02", answer), "operator replay chaos-02 --cluster NAME");
        assert_eq!(about("a b.capture", answer), "operator replay 'a b.capture' --cluster NAME");
        assert_eq!(about("chaos-02", "curl http://RUN"), "curl http://RUN");
        let called =
            Called { view: " --from -5m", dir: " --dir '/my captures'", ..Called::whole("x") };
        let told = super::about(called, answer);
        assert_eq!(told, "operator replay x --cluster NAME --dir '/my captures'");
    }
}
