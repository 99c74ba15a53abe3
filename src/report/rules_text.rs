//! A replay of rules as text for a person.

use std::fmt::Write;

use crate::diagnose::counted;
use crate::model::{TimeRange, Timestamp, escape};
use crate::rules::{
    AlertChange, AlertHistory, AlertState, NearMiss, Outcome, RuleReport, RulesReport,
};

/// The width of the text in columns. It is the same on every terminal, so that the bytes are the same.
const WIDTH: usize = 80;
/// The number of alerts of one rule that are shown with their samples.
const ALERTS: usize = 12;

/// The report in lines of at most 80 columns where words allow; control characters are escaped.
pub fn rules_text(run: &str, report: &RulesReport) -> String {
    let mut page = Page { out: String::new() };
    page.head(run, report);
    for (outcome, title) in [
        (Outcome::Fired, "Fired"),
        (
            Outcome::FiredAtStart,
            "Fired only while the cluster started, and was resolved: no incident by itself",
        ),
        (Outcome::Pending, "Pending at the end: they would fire if it went on"),
        (Outcome::Error, "Errors"),
        (Outcome::Recorded, "Recorded"),
        (Outcome::CannotFire, "Cannot fire: what they read is absent from the capture"),
        (Outcome::Quiet, "Quiet"),
    ] {
        let mut rules: Vec<&RuleReport> =
            report.rules().filter(|rule| rule.outcome == outcome).collect();
        // Where none fired, all are equal and keep the order of the files.
        rules.sort_by_key(|rule| first_firing(rule).map(|(at, _)| at));
        if rules.is_empty() {
            continue;
        }
        page.out.push('\n');
        page.wrapped(0, title);
        match outcome {
            Outcome::Fired | Outcome::FiredAtStart => {
                rules.iter().for_each(|rule| page.fired(rule, report.window))
            }
            Outcome::Pending => rules.iter().for_each(|rule| page.pending(rule, report.window)),
            Outcome::Error => rules.iter().for_each(|rule| page.failed(rule)),
            Outcome::Recorded => rules.iter().for_each(|rule| {
                page.wrapped(2, &format!("{} ({} series)", rule.name, rule.recorded_series));
            }),
            Outcome::CannotFire => rules.iter().for_each(|rule| page.missing(rule)),
            Outcome::Quiet => page.quiet(&rules),
        }
    }
    page.out
}

/// The metrics and labels that rules read and that the capture does not have, in lines of at most 80
/// columns where words allow.
pub fn rules_check_text(run: &str, report: &RulesReport) -> String {
    let mut page = Page { out: String::new() };
    let rules = report.rules().count();
    page.wrapped(0, &format!("{} can be read", counted(rules as u64, "rule")));
    let lacking = |cannot: bool| {
        report.rules().filter(move |rule| {
            !rule.missing.is_empty() && (rule.outcome == Outcome::CannotFire) == cannot
        })
    };
    for (cannot, title) in [
        (true, format!("Cannot fire over {run}")),
        (false, format!("Can fire, though a part of what they read is absent from {run}")),
    ] {
        if lacking(cannot).next().is_some() {
            page.wrapped(0, &title);
            lacking(cannot).for_each(|rule| page.missing(rule));
        }
    }
    for rule in report.rules().filter(|rule| rule.failures.is_some()) {
        page.failed(rule);
    }
    page.out
}

struct Page {
    out: String,
}

impl Page {
    fn head(&mut self, run: &str, report: &RulesReport) {
        let window = report.window;
        let rules = counted(report.rules().count() as u64, "rule");
        self.wrapped(0, &format!("{rules} over {run}, {} to {}", window.start, window.end));
        let counts = [
            (Outcome::Fired, "fired"),
            (Outcome::FiredAtStart, "fired while the cluster started"),
            (Outcome::Pending, "pending at the end"),
            (Outcome::Error, "failed"),
            (Outcome::Recorded, "recorded"),
            (Outcome::CannotFire, "cannot fire"),
            (Outcome::Quiet, "quiet"),
        ];
        let told = counts.map(|(outcome, word)| (report.count(outcome), word));
        let told = told.iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
        self.wrapped(0, &told.join(", "));
        let fired = report.rules().filter(|rule| rule.outcome == Outcome::Fired);
        let fired: Vec<_> = fired.filter_map(|rule| Some((first_firing(rule)?, rule))).collect();
        // Of those that fired at once, the first of the file: `min_by_key` keeps it.
        if let Some(((at, alert), rule)) = fired.iter().min_by_key(|((at, _), _)| *at) {
            let labels = alert.labels.without(&["alertname"]);
            let together = fired.iter().filter(|((other, _), _)| other == at);
            let others =
                together.map(|(_, other)| other.name.as_str()).filter(|one| *one != rule.name);
            let others: Vec<&str> = others.collect();
            let others = match others.is_empty() {
                true => String::new(),
                false => format!(", together with {}", others.join(", ")),
            };
            let at = clock(*at);
            self.wrapped(0, &format!("first fired: {} {labels} at {at}{others}", rule.name));
        }
    }

    fn pending(&mut self, rule: &RuleReport, window: TimeRange) {
        self.wrapped(2, &format!("{}, for {}", rule.name, span(rule.for_ms)));
        let pending = rule.alerts.iter().filter_map(|alert| Some((alert.pending_since()?, alert)));
        let pending: Vec<(Timestamp, &AlertHistory)> = pending.collect();
        for (since, alert) in pending.iter().take(ALERTS) {
            let labels = alert.labels.without(&["alertname"]);
            let so_far = span(window.end - *since);
            self.wrapped(4, &format!("{labels} pending since {}, {so_far} so far", clock(*since)));
        }
        if pending.len() > ALERTS {
            let more = pending.len() - ALERTS;
            self.wrapped(4, &format!("{more} more alerts are pending; --format json has all"));
        }
        self.near(rule);
    }

    fn fired(&mut self, rule: &RuleReport, window: TimeRange) {
        let waits = match rule.for_ms {
            0 => String::new(),
            ms => format!(", for {}", span(ms)),
        };
        self.wrapped(2, &format!("{}{waits}", rule.name));
        self.wrapped(4, &one_line(&rule.expr));
        self.near(rule);
        let (mut fired, mut pending) = (Vec::new(), 0);
        for alert in &rule.alerts {
            if alert.fired_ms > 0 || alert.changes.iter().any(|c| c.to == AlertState::Firing) {
                fired.push(alert);
            } else {
                pending += 1;
            }
        }
        for alert in fired.iter().take(ALERTS) {
            self.alert(alert, window);
        }
        if fired.len() > ALERTS {
            let more = fired.len() - ALERTS;
            self.wrapped(4, &format!("{more} more alerts fired; --format json has all"));
        }
        if pending > 0 {
            self.wrapped(4, &format!("{pending} more alerts were pending and did not fire"));
        }
        self.failures(rule);
    }

    fn alert(&mut self, alert: &AlertHistory, window: TimeRange) {
        let labels = alert.labels.without(&["alertname"]).to_string();
        let last = alert.changes.last().is_some_and(|change| change.to == AlertState::Firing);
        let end = if last { ", to the end" } else { "" };
        self.wrapped(4, &format!("{labels} fired {}{end}", span(alert.fired_ms)));
        if let Some((_, summary)) = alert.annotations.iter().find(|(name, _)| name == "summary") {
            self.wrapped(6, summary);
        }
        for change in &alert.changes {
            self.change(change, window);
        }
    }

    fn change(&mut self, change: &AlertChange, window: TimeRange) {
        let since = if change.at - window.start < 1000 { " (since before?)" } else { "" };
        let value = match change.to {
            AlertState::Resolved | AlertState::Inactive => String::new(),
            _ => format!(" at {}", change.value),
        };
        self.wrapped(6, &format!("{} {}{value}{since}", clock(change.at), change.to.name()));
        for behind in &change.behind {
            if behind.series == 0 {
                self.wrapped(8, &format!("{}: no sample", one_line(&behind.selector)));
            }
            for seen in &behind.samples {
                let line = format!("{} {} at {}", seen.series, seen.value, clock(seen.at));
                self.wrapped(8, &line);
            }
            let shown = behind.samples.iter().map(|seen| &seen.series);
            let shown = shown.collect::<std::collections::BTreeSet<_>>().len();
            if behind.series > shown {
                self.wrapped(8, &format!("and {} more series", behind.series - shown));
            }
        }
    }

    fn failed(&mut self, rule: &RuleReport) {
        self.wrapped(2, &rule.name);
        self.failures(rule);
    }

    fn failures(&mut self, rule: &RuleReport) {
        if let Some(failures) = &rule.failures {
            let times = match failures.count {
                1 => "once".to_owned(),
                count => format!("{count} times, first"),
            };
            let at = clock(failures.first_at);
            self.wrapped(4, &format!("failed {times} at {at}: {}", failures.first));
        }
    }

    fn missing(&mut self, rule: &RuleReport) {
        let mut told: Vec<String> = Vec::new();
        for missing in &rule.missing {
            let hint = missing.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
            let line = format!("{}{hint}", missing.why);
            if !told.contains(&line) {
                told.push(line);
            }
        }
        self.wrapped(2, &format!("{}: {}", rule.name, told.join("; ")));
    }

    /// How near a rule came.
    fn near(&mut self, rule: &RuleReport) {
        for near in told_near(rule) {
            let node = near.node.iter().map(|node| format!(" {node}")).collect::<String>();
            let labels = match near.labels.to_string() {
                labels if labels == "{}" => node,
                labels => format!("{node} {labels}"),
            };
            let long = match near.lasted_ms {
                0 => String::new(),
                ms => format!(", and about that for {}", span(ms)),
            };
            let held = match (near.held_ms, rule.for_ms) {
                (None, _) => String::new(),
                (Some(held), 0) => format!("; true for {} at most", span(held)),
                (Some(held), needed) => {
                    format!("; true for {} at most, {} are needed", span(held), span(needed))
                }
            };
            let compared = one_line(&near.compared);
            let (value, threshold) = (short(&near.value), short(&near.threshold));
            let operator = near.operator;
            let at = clock(near.at);
            self.wrapped(
                4,
                &format!(
                    "nearest to {operator} {threshold}: {value} at {at}{long}{held}:{labels} {compared}"
                ),
            );
        }
    }

    fn quiet(&mut self, rules: &[&RuleReport]) {
        let (near, rules): (Vec<&RuleReport>, Vec<&RuleReport>) =
            rules.iter().partition(|rule| !rule.near.is_empty());
        let (still, mut near): (Vec<&RuleReport>, Vec<&RuleReport>) =
            near.into_iter().partition(|rule| told_near(rule).next().is_none());
        near.sort_by(|one, other| distance(one).total_cmp(&distance(other)));
        for rule in &near {
            self.wrapped(2, &rule.name);
            self.near(rule);
        }
        if !still.is_empty() {
            self.wrapped(2, "what they compare with 0 was 0 throughout:");
            let names: Vec<&str> = still.iter().map(|rule| rule.name.as_str()).collect();
            self.wrapped(2, &names.join(", "));
        }
        if !near.is_empty() && !rules.is_empty() {
            self.wrapped(2, "the others:");
        }
        if rules.is_empty() {
            return;
        }
        let told = rules.iter().map(|rule| {
            let pending = rule.alerts.len();
            match pending {
                0 => rule.name.clone(),
                count => format!("{} ({count} pending in between)", rule.name),
            }
        });
        self.wrapped(2, &told.collect::<Vec<_>>().join(", "));
    }

    /// Words in lines, those after the first indented by four more. A long label set may break
    /// after a comma or its opening brace.
    fn wrapped(&mut self, indent: usize, text: &str) {
        let (mut column, mut is_first) = (indent, true);
        write!(self.out, "{:indent$}", "").expect("writing to a string succeeds");
        for word in escape(text).split(' ') {
            let mut gap = usize::from(!is_first);
            for piece in word.split_inclusive([',', '{']) {
                let width = piece.chars().count();
                if !is_first && column + gap + width > WIDTH {
                    let indent = indent + 4;
                    write!(self.out, "\n{:indent$}", "").expect("writing to a string succeeds");
                    (column, gap) = (indent, 0);
                }
                self.out.extend(std::iter::repeat_n(' ', gap));
                self.out.push_str(piece);
                column += gap + width;
                (gap, is_first) = (0, false);
            }
        }
        self.out.push('\n');
    }
}

/// When an alert of the rule fired first, and which; `None` where none did.
fn first_firing(rule: &RuleReport) -> Option<(Timestamp, &AlertHistory)> {
    let all = rule.alerts.iter().filter_map(|alert| {
        let mut changes = alert.changes.iter();
        Some((changes.find(|change| change.to == AlertState::Firing)?.at, alert))
    });
    all.min_by_key(|(at, _)| *at)
}

/// How far the nearest value of a rule is from its number, as a share of the larger of both: 0 where they are
/// equal. Of the comparisons that are told.
fn distance(rule: &RuleReport) -> f64 {
    let distances = told_near(rule).map(|near| {
        let number = |text: &str| text.parse::<f64>().unwrap_or(f64::INFINITY);
        let (value, threshold) = (number(&near.value), number(&near.threshold));
        let largest = value.abs().max(threshold.abs());
        if largest == 0.0 { 0.0 } else { (value - threshold).abs() / largest }
    });
    let distances = distances.map(|one| if one.is_nan() { f64::INFINITY } else { one });
    distances.fold(f64::INFINITY, f64::min)
}

/// The comparisons of a rule that never held, since those kept it quiet; all where each held for a time. Without
/// those of what was 0 throughout with 0, which are as near as can be and say nothing.
fn told_near(rule: &RuleReport) -> impl Iterator<Item = &NearMiss> {
    let all_held = rule.near.iter().all(|near| near.held_ms.is_some());
    let is_told = move |near: &&NearMiss| all_held || near.held_ms.is_none();
    rule.near.iter().filter(is_told).filter(|near| !(near.value == "0" && near.threshold == "0"))
}

/// A number with at most four significant digits; the JSON has all.
fn short(number: &str) -> String {
    match number.parse::<f64>() {
        Ok(value) if value.is_finite() && value.fract() != 0.0 => {
            let rounded = format!("{value:.3e}").parse::<f64>().unwrap_or(value);
            rounded.to_string()
        }
        _ => number.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The time of day in UTC, with milliseconds where they are not zero.
fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    let time = text.split_once('T').map_or(text.as_str(), |(_, time)| time);
    time.trim_end_matches('Z').trim_end_matches(".000").to_owned()
}

/// A duration in milliseconds as text: `45s`, `3m`, `2h05m`.
fn span(ms: i64) -> String {
    let seconds = ms / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, 0) => format!("{minutes}m"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, 0) => format!("{hours}h{minutes:02}m"),
        (hours, minutes, seconds) => format!("{hours}h{minutes:02}m{seconds:02}s"),
    }
}
