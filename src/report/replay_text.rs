//! The report of a replay as text for a person.
//!
//! Breaking and colouring lines is in `page`; the verdict's part is in `verdict_text`.

use std::fmt::Write;

use super::called::Called;
use super::diagnosed::Diagnosed;
use super::page::{Color, Ink, Page, clock, ends, wrap};
use super::tone::Tone;
use crate::diagnose::{Verdict, counted};
use crate::model::{ScrapedBy, TimeRange, Timestamp, cut, duration_text, escape};
use crate::pd::short_path;
use crate::report::ReplayReport;
use crate::timeline::{Entry, EntryKind, StateSummary};

/// Columns before the text of an entry: `16:30:50.274  +3m30s prometheus `.
const INDENT: usize = 32;

/// The number of gaps, and of damaged parts, that are listed.
const GAPS_LISTED: usize = 200;
/// The number of lines of the timeline that are listed.
const ENTRIES_LISTED: usize = 4_000;

/// The report, the verdict first, in lines of at most `width` columns where words allow; at least 60
/// columns are used.
/// `called` is what the reader calls the run, for the commands that are advised next. Control characters in
/// what came from outside are escaped.
pub fn replay_text(
    diagnosed: &Diagnosed,
    called: Called<'_>,
    width: usize,
    color: Color,
) -> String {
    let mut page = Page { out: String::new(), width: width.max(60), color };
    let report = &diagnosed.replay;
    page.summary(called, diagnosed);
    page.header(called, report);
    page.other_clusters(&diagnosed.verdict);
    page.clocks(&diagnosed.verdict);
    page.not_recorded(report);
    page.state("At the start", &report.initial);
    page.timeline(report);
    page.state("At the end", &report.last);
    page.evidence(&diagnosed.verdict);
    page.damage(report);
    page.digests(diagnosed);
    if let Some(verification) = &diagnosed.verification {
        page.field("verified", &verification.text());
    }
    page.out
}

impl Page {
    fn header(&mut self, called: Called<'_>, report: &ReplayReport) {
        let (meta, window) = (&report.meta, report.window);
        let (name, run) = (escape(called.name), meta.run.as_str());
        let (name, inside) = match name.is_empty() || name == run {
            true => (run, String::new()),
            false => (name.as_str(), format!(", recorded as {run}")),
        };
        let redacted = if meta.is_redacted() { ", redacted" } else { "" };
        let title = format!("Replay of {name} ({}){inside}{redacted}", escape(&meta.subject));
        self.line(0, &title, Ink::Bold);
        let span = format!("{}, {}", range_text(window), duration_text(window.millis()));
        self.field("window", &span);
        let recorded = &report.recorded;
        let mut sources = Vec::new();
        if !recorded.pd_members.is_empty() {
            sources.push(format!(
                "PD {} ({} answers, {} failed)",
                recorded.pd_members.join(", "),
                recorded.pd_answers,
                recorded.pd_failures
            ));
        }
        if recorded.series > 0 {
            let who = match meta.scraped_by() {
                ScrapedBy::Prometheus => "Prometheus",
                ScrapedBy::Recorder => "metrics scraped by the recorder",
            };
            let (series, samples) = (recorded.series, recorded.samples);
            sources.push(format!("{who} ({series} series, {samples} samples read for this)"));
        }
        let sources = if sources.is_empty() { "none".to_owned() } else { sources.join("; ") };
        self.field("sources", &sources);
        let versions = &meta.versions;
        let version = |name: &str, version: &Option<String>| {
            version.as_ref().map(|version| format!("{name} {version}"))
        };
        let operator = Some(format!("recorded by operator {}", versions.operator))
            .filter(|_| !versions.operator.is_empty());
        let versions: Vec<String> = [
            version("PD", &report.pd_version()),
            version("TiKV", &report.tikv_version()),
            version("Prometheus", &versions.prometheus),
            operator,
        ]
        .into_iter()
        .flatten()
        .collect();
        if !versions.is_empty() {
            self.field("versions", &versions.join(", "));
        }
        if let Some(cluster) = &meta.cluster_id {
            self.field("cluster", cluster);
        }
        for left_out in meta.export.iter().flat_map(|export| &export.left_out) {
            self.field("left out", &escape(left_out));
        }
    }

    fn other_clusters(&mut self, verdict: &Verdict) {
        if !verdict.other_clusters.is_empty() {
            let names = escape(&verdict.other_clusters.join(", "));
            self.field("left out", &format!("other clusters {names}"));
        }
    }

    fn clocks(&mut self, verdict: &Verdict) {
        if let Some(clocks) = &verdict.clocks {
            self.field("clocks", clocks);
        }
    }

    fn not_recorded(&mut self, report: &ReplayReport) {
        if report.gaps.is_empty() {
            self.field("gaps", "none");
            return;
        }
        self.heading("Not recorded");
        let (first, left_out, last) = ends(&report.gaps, GAPS_LISTED);
        for (number, gap) in first.iter().chain(last).enumerate() {
            if number == first.len() {
                self.left_out(left_out);
            }
            let healed = if gap.healed_at.is_some() { ", fetched later" } else { "" };
            let text = format!(
                "{}  {}  {}{healed}: {}",
                range_text(gap.range),
                gap.source,
                gap.reason,
                gap.detail
            );
            self.line(2, &text, Ink::Yellow);
        }
    }

    fn state(&mut self, heading: &str, state: &StateSummary) {
        self.heading(&format!("{heading}, {}", clock(state.at)));
        if !state.members.is_empty() {
            let members: Vec<String> = state
                .members
                .iter()
                .map(|(name, version)| {
                    let leads = if state.leader.as_ref() == Some(name) { " (leads)" } else { "" };
                    format!("{name}{leads} {version}")
                })
                .collect();
            let none = if state.leader.is_none() { "; no leader known" } else { "" };
            self.field("pd", &format!("{}{none}", members.join(", ")));
        }
        if let Some(regions) = state.regions {
            self.field("regions", &regions.to_string());
        }
        for store in &state.stores {
            let slow = store.slow_score.map_or_else(String::new, |score| {
                if score > 1 { format!(", slow score {score}") } else { String::new() }
            });
            let node_state = match store.node_state.as_str() {
                "" => String::new(),
                known => format!("/{known}"),
            };
            let text = format!(
                "{} {}{node_state}, leaders {}, regions {}{slow}",
                store.address, store.state, store.leaders, store.regions
            );
            self.field(&format!("store {}", store.id), &text);
        }
        for score in &state.imbalance {
            let (least, most) = (significant(score.least), significant(score.most));
            let (lowest, highest) = (score.least_store, score.most_store);
            let text = match least == most {
                true => format!("{least} everywhere"),
                false => format!("{least} (store {lowest}) to {most} (store {highest})"),
            };
            self.field(&score.score.replace('_', " "), &text);
        }
        if !state.targets.is_empty() {
            let down: Vec<&str> = state
                .targets
                .iter()
                .filter(|target| !target.up)
                .map(|target| target.target.as_str())
                .collect();
            let up = state.targets.len() - down.len();
            let down = if down.is_empty() {
                String::new()
            } else {
                format!("; down: {}", down.join(", "))
            };
            self.field("targets", &format!("{up} of {} up{down}", state.targets.len()));
        }
        if state.members.is_empty() && state.stores.is_empty() && state.targets.is_empty() {
            self.line(2, "nothing observed", Ink::Dim);
        }
    }

    fn timeline(&mut self, report: &ReplayReport) {
        self.heading("Timeline (UTC)");
        if report.timeline.is_empty() {
            self.line(2, "nothing changed", Ink::Dim);
        }
        let groups: Vec<&[Entry]> = report.timeline.chunk_by(share_a_line).collect();
        let (first, left_out, last) = ends(&groups, ENTRIES_LISTED);
        for (number, group) in first.iter().chain(last).enumerate() {
            if number == first.len() {
                self.left_out(left_out);
            }
            self.entries(group, report.window.start);
        }
    }

    /// One line of the timeline, with one entry or several that share it.
    fn entries(&mut self, group: &[Entry], start: Timestamp) {
        let Some(entry) = group.first() else { return };
        let source = escape(&entry.source);
        let source = cut(&source, 10);
        let stamp = format!("{} {:>7} {source:<10} ", clock(entry.at), offset(entry.at - start));
        let room = self.width - INDENT;
        let lines = wrap(&escape(&group_text(group)), room);
        let evidence = escape(&evidence_text(group));
        let last = lines.last().map_or(0, |line| line.chars().count());
        let beside = !evidence.is_empty() && last + 2 + evidence.chars().count() <= room;
        let count = lines.len();
        for (index, line) in lines.into_iter().enumerate() {
            let stamp = if index == 0 { stamp.as_str() } else { "" };
            let _ = write!(self.out, "{stamp:INDENT$}");
            self.ink(&line, ink_of(entry.kind));
            if beside && index + 1 == count {
                self.out.push_str("  ");
                self.ink(&evidence, Ink::Dim);
            }
            self.out.push('\n');
        }
        if !beside && !evidence.is_empty() {
            for line in wrap(&evidence, room) {
                let _ = write!(self.out, "{:INDENT$}", "");
                self.ink(&line, Ink::Dim);
                self.out.push('\n');
            }
        }
    }

    fn damage(&mut self, report: &ReplayReport) {
        if report.damage.is_empty() {
            return;
        }
        self.heading("Damaged, and left out");
        let (first, left_out, last) = ends(&report.damage, GAPS_LISTED);
        for (number, damage) in first.iter().chain(last).enumerate() {
            if number == first.len() {
                self.left_out(left_out);
            }
            let range =
                damage.range.map_or_else(String::new, |range| format!(", {}", range_text(range)));
            self.line(2, &format!("{}: {}{range}", damage.part, damage.why), Ink::Red);
        }
    }

    fn digests(&mut self, diagnosed: &Diagnosed) {
        let report = &diagnosed.replay;
        self.heading("Digests (SHA-256)");
        self.field("capture", &report.capture_digest);
        if let Some(digest) = &report.recorded_digest {
            self.field("recorded", digest);
        }
        self.field("verdict", &diagnosed.verdict.digest());
        if let Some(digest) = &report.report_digest {
            self.field("report", digest);
        }
        if let Some(reporter) = &diagnosed.reporter {
            self.field("reporter", reporter);
        }
    }

    fn left_out(&mut self, count: usize) {
        let count = counted(count as u64, "line");
        self.line(2, &format!("{count} left out here; --format json has all"), Ink::Dim);
    }
}

fn ink_of(kind: EntryKind) -> Ink {
    match Tone::of(kind) {
        Tone::Bad => Ink::Red,
        Tone::Good => Ink::Green,
        Tone::Notable => Ink::Yellow,
        Tone::Marked => Ink::Bold,
        Tone::Plain => Ink::Plain,
    }
}

/// Whether two entries share a line: counts of stores from one answer do, and so does the same change of
/// several subjects at the same time.
fn share_a_line(a: &Entry, b: &Entry) -> bool {
    (a.at, &a.source, a.kind) == (b.at, &b.source, b.kind)
        && a.evidence.reference == b.evidence.reference
        && (is_count(a.kind)
            || (a.text == b.text && !matches!(a.kind, EntryKind::Marked | EntryKind::LogLine)))
}

fn is_count(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::StoreLeaderCount | EntryKind::StoreRegionCount)
}

fn group_text(group: &[Entry]) -> String {
    let Some(first) = group.first() else { return String::new() };
    if is_count(first.kind) {
        let noun = if first.kind == EntryKind::StoreLeaderCount { "leaders" } else { "regions" };
        // The addresses are listed at the head of the report.
        let part = |entry: &Entry| {
            let store = entry.subject.split(" (").next().unwrap_or(&entry.subject).to_owned();
            let change = entry.text.strip_prefix(noun).unwrap_or(&entry.text);
            format!("{store}{change}").replace(' ', "\u{a0}")
        };
        let parts: Vec<String> = group.iter().map(part).collect();
        return format!("{noun}: {}", parts.join("; "));
    }
    let subjects: Vec<&str> = group.iter().map(|entry| entry.subject.as_str()).collect();
    format!("{}: {}", subjects.join(", "), first.text)
}

/// The evidence of a line, such as `[/stores leader_count 12]`: PD's path without prefix and query, or the
/// series, and the value. The value is left out where the entries of the line differ in it.
fn evidence_text(group: &[Entry]) -> String {
    let Some(evidence) = group.first().map(|entry| &entry.evidence) else { return String::new() };
    let short = short_path(&evidence.reference);
    let is_path = short.len() < evidence.reference.len();
    let reference = short.split('?').next().filter(|_| is_path).unwrap_or(short);
    let same = group.iter().all(|entry| entry.evidence.value == evidence.value);
    let mut parts = vec![reference];
    if same && !evidence.value.is_empty() {
        parts.push(&evidence.value);
    } else if let Some((name, _)) = evidence.value.split_once(' ') {
        parts.push(name);
    }
    if parts == ["event"] { String::new() } else { format!("[{}]", parts.join(" ")) }
}

/// A range from instant to instant, with the day once where it is the same.
pub fn range_text(range: TimeRange) -> String {
    let (start, end) = (range.start.to_string(), range.end.to_string());
    let same_day = start.len() == end.len() && start.get(..10) == end.get(..10);
    let end = if same_day { end.get(11..).unwrap_or(&end) } else { &end };
    format!("{start} to {end}")
}

/// The time since the start of the window: `+12.4s`, `+3m30s`, `+2h05m`.
fn offset(millis: i64) -> String {
    let sign = if millis < 0 { '-' } else { '+' };
    format!("{sign}{}", duration_text(millis.saturating_abs()))
}

/// A number with four significant digits: further digits of PD's scores have no meaning.
fn significant(value: f64) -> String {
    let scientific = format!("{value:.3e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    match usize::try_from(3 - exponent) {
        Ok(digits) if digits <= 9 => {
            let text = format!("{value:.digits$}");
            if digits == 0 {
                text
            } else {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        }
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_keep_four_digits() {
        let shown = [0.0, 8.0, 15.5, 0.1234, 9_544_938_358.3, 12_345.0].map(significant);
        assert_eq!(shown, ["0", "8", "15.5", "0.1234", "9.545e9", "1.234e4"]);
    }
}
