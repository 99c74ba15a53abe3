//! Reads the logs of one node and keeps of them what diagnosis needs: counts of messages per interval, the
//! lines that are listed, an example of each grave message, and what was left out.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::address::NodeNames;
use super::counts::Counts;
use super::details::{Details, details, example, no_space};
use super::exits::exit;
use super::kept::{FirstAndLast, HeldLine, OfferedLine};
use super::lines::LogLines;
use super::listed;
use super::parse::{Level, LogLine, Parsed, Refusal, Scratch, parse_line};
use super::redact::redact;
use crate::model::{LogEvent, LogKind, TimeRange, Timestamp, Zone};

/// Lines of each kind that are held from the beginning, and from the end.
const EACH: usize = 40;
/// The longest part of a line that is held, in bytes; a panic's first frames lie within it.
const LONGEST_HELD: usize = 16 << 10;
/// The same for the configuration at start, which is held once or twice.
const LONGEST_CONFIGURATION: usize = 128 << 10;
/// The same for an example.
const LONGEST_EXAMPLE: usize = 2 << 10;
/// Messages of which examples are kept, the most frequent ones first.
const MOST_EXAMPLES: usize = 60;
/// Bytes of texts that an hour of a log may add to a capture. Kinds give way in the order of
/// [`LogKind::ALL`], from its end.
const BYTES_AN_HOUR: usize = 48 << 10;
/// The intervals into which lines are counted, in milliseconds: the first of which a window has few
/// enough.
const INTERVALS: [i64; 6] = [10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000];
/// How many intervals a window may have: a day of ten seconds.
const MOST_INTERVALS: i64 = 8_640;

/// Which log is read, and how.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// What the node is called.
    pub node: String,
    /// The time of which lines are kept: that of the recording.
    pub window: TimeRange,
    /// The offset of times that have none.
    pub zone: Option<Zone>,
    /// The cluster's nodes by address.
    pub names: NodeNames,
}

/// What was read and what of it was left out, in lines if not said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// All lines.
    pub lines: u64,
    /// All bytes.
    pub bytes: u64,
    /// Lines outside the window.
    pub outside: u64,
    /// Lines whose time has no offset, where none was given.
    pub no_zone: u64,
    /// Lines without any time.
    pub no_time: u64,
    /// Lines that were longer than what is read of a line.
    pub cut: u64,
    /// Listed lines beyond those that are kept.
    pub unkept: u64,
    /// Lines that the process itself says it dropped; at least so many.
    pub dropped: u64,
    /// Files whose end could not be read: damaged or cut off.
    pub broken_files: u64,
}

/// An extract of the logs of one node.
#[derive(Debug)]
pub struct Extract {
    /// What the node is called.
    pub node: String,
    /// `tikv`, `pd` or `tidb`, by its name or by the files that write its lines.
    pub component: String,
    /// From the first line inside the window to just after the last; empty where there is none.
    pub covered: TimeRange,
    /// The window that was asked for.
    pub window: TimeRange,
    /// The length of an interval in milliseconds.
    pub interval_ms: i64,
    /// The counts.
    pub counts: Counts,
    /// The kept lines with the record of what was read, in order of time.
    pub events: Vec<LogEvent>,
    /// What was left out.
    pub losses: Losses,
}

/// Reads logs of one node, file by file. The order of the files does not matter.
pub struct Extractor {
    options: ExtractOptions,
    interval_ms: i64,
    files: Vec<String>,
    counts: Counts,
    kept: BTreeMap<LogKind, FirstAndLast>,
    examples: BTreeMap<usize, FirstAndLast>,
    covered: Option<(Timestamp, Timestamp)>,
    losses: Losses,
    rust_lines: u64,
    go_lines: u64,
}

impl Extractor {
    /// An extractor that has read nothing yet.
    pub fn new(options: ExtractOptions) -> Self {
        let fits = |interval: &&i64| options.window.millis() / **interval < MOST_INTERVALS;
        let longest = INTERVALS[INTERVALS.len() - 1];
        let interval_ms = INTERVALS.iter().find(fits).copied().unwrap_or_else(|| {
            let hours = options.window.millis() / longest / MOST_INTERVALS + 1;
            longest.saturating_mul(hours)
        });
        Self {
            options,
            interval_ms,
            files: Vec::new(),
            counts: Counts::default(),
            kept: BTreeMap::new(),
            examples: BTreeMap::new(),
            covered: None,
            losses: Losses::default(),
            rust_lines: 0,
            go_lines: 0,
        }
    }

    /// Reads a file, plain or gzipped, that is called `name` in citations.
    ///
    /// # Errors
    ///
    /// The reader's error. Lines before it are part of the extract, and the file is counted as broken.
    pub fn read(&mut self, name: &str, log: impl Read) -> io::Result<()> {
        self.files.push(name.to_owned());
        let done = self.read_lines(log);
        self.losses.broken_files += u64::from(done.is_err());
        done
    }

    fn read_lines(&mut self, log: impl Read) -> io::Result<()> {
        let mut lines = LogLines::new(log)?;
        let mut scratch = Scratch::default();
        let mut last_at = None;
        while let Some(line) = lines.next_line()? {
            let losses = &mut self.losses;
            losses.lines += 1;
            losses.bytes += line.len;
            losses.cut += u64::from(line.is_cut());
            let offered = |at| OfferedLine {
                at,
                rank: losses.lines,
                file: self.files.len() - 1,
                number: line.number,
                bytes: line.bytes,
            };
            match parse_line(line.bytes, self.options.zone, &mut scratch) {
                Parsed::Line(parsed) => {
                    last_at = Some(parsed.at);
                    let offered = offered(parsed.at);
                    self.add_line(&parsed, offered, line.len);
                }
                Parsed::Text { at, text } => {
                    last_at = at.or(last_at);
                    match last_at.map(offered) {
                        Some(offered) => self.add_text(text, offered, line.len),
                        None => self.losses.no_time += u64::from(!text.trim().is_empty()),
                    }
                }
                Parsed::Refused(Refusal::NoZone) => self.losses.no_zone += 1,
                Parsed::Refused(Refusal::NoTime) => self.losses.no_time += 1,
            }
        }
        Ok(())
    }

    /// The interval of an instant, counted from the window's start; `None` outside the window.
    fn step(&mut self, at: Timestamp) -> Option<u32> {
        if !self.options.window.contains(at) {
            self.losses.outside += 1;
            return None;
        }
        let (first, last) = self.covered.unwrap_or((at, at));
        self.covered = Some((first.min(at), last.max(at)));
        u32::try_from((at - self.options.window.start) / self.interval_ms).ok()
    }

    fn add_line(&mut self, line: &LogLine<'_>, offered: OfferedLine<'_>, len: u64) {
        let Some(step) = self.step(line.at) else { return };
        self.rust_lines += u64::from(line.file.ends_with(".rs"));
        self.go_lines += u64::from(line.file.ends_with(".go"));
        let place = self.counts.add(line, step, len);
        match self.counts.key(place).listed {
            Some(listed) => self.keep(listed.kind, offered),
            None if line.level >= Level::Warn && says_no_space(offered.bytes) => {
                self.keep(LogKind::DiskUsage, offered);
            }
            None if matches!(line.level, Level::Warn | Level::Error) => {
                let examples = self.examples.entry(place);
                examples.or_insert_with(|| FirstAndLast::new(1, LONGEST_EXAMPLE)).offer(offered);
            }
            None => {}
        }
    }

    fn add_text(&mut self, text: &str, offered: OfferedLine<'_>, len: u64) {
        let Some(step) = self.step(offered.at) else { return };
        self.counts.add_bytes(Level::Unknown, step, len);
        if let Some(exit) = exit(text) {
            self.keep(exit.kind, offered);
        }
    }

    fn keep(&mut self, kind: LogKind, line: OfferedLine<'_>) {
        let held = self.kept.entry(kind).or_insert_with(|| match kind {
            LogKind::Configuration => FirstAndLast::new(1, LONGEST_CONFIGURATION),
            _ => FirstAndLast::new(EACH, LONGEST_HELD),
        });
        held.offer(line);
    }

    /// Ends reading.
    pub fn finish(mut self) -> Extract {
        let (start, end) = self.covered.unwrap_or((self.options.window.start, Timestamp::MIN));
        let covered = TimeRange::new(start, end.saturating_add_millis(1));
        let component = self.component();
        let mut events = self.kept_events(&component, covered);
        self.losses.dropped = events.iter().filter_map(dropped_lines).sum();
        let kept = events.iter().filter(|event| event.kind != LogKind::Example).count() as u64;
        let offered: u64 = self.kept.values().map(|held| held.total).sum();
        self.losses.unkept = offered.saturating_sub(kept);
        events.push(self.coverage(&component, covered));
        events.sort();
        events.dedup();
        Extract {
            node: self.options.node,
            component,
            covered,
            window: self.options.window,
            interval_ms: self.interval_ms,
            counts: self.counts,
            events,
            losses: self.losses,
        }
    }

    /// What writes the log: by a word of the node's name, else by the language of its source files.
    fn component(&self) -> String {
        let name = self.options.node.to_ascii_lowercase();
        let words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let stems = words.map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()));
        // `tidb-prod-tikv-0` is a TiKV of the cluster `tidb-prod`.
        let named = stems.rev().find_map(|stem| {
            ["tikv", "pd", "tidb", "tiflash"].into_iter().find(|component| *component == stem)
        });
        let by_files = if self.go_lines > self.rust_lines { "pd" } else { "tikv" };
        named.unwrap_or(by_files).to_owned()
    }

    /// The kept lines that there is room for: those of the most telling kinds, and of each kind the first
    /// and the last ones.
    fn kept_events(&self, component: &str, covered: TimeRange) -> Vec<LogEvent> {
        let hours = usize::try_from(covered.millis() / 3_600_000 + 1).unwrap_or(1);
        let mut room = BYTES_AN_HOUR.saturating_mul(hours);
        let mut events = Vec::new();
        let mut take = |event: LogEvent| {
            let bytes = event.text.len() + event.values.values().map(String::len).sum::<usize>();
            if let Some(left) = room.checked_sub(bytes) {
                room = left;
                events.push(event);
            }
        };
        for kind in LogKind::ALL {
            let held = self.kept.get(&kind).into_iter().flat_map(FirstAndLast::lines);
            held.filter_map(|held| self.event(held, component, kind)).for_each(&mut take);
        }
        let mut examples: Vec<(&usize, &FirstAndLast)> = self.examples.iter().collect();
        examples.sort_by_key(|(place, held)| (std::cmp::Reverse(held.total), **place));
        for (_, held) in examples.into_iter().take(MOST_EXAMPLES) {
            let held =
                held.lines().filter_map(|held| self.event(held, component, LogKind::Example));
            held.for_each(&mut take);
        }
        events
    }

    /// The event of a held line, which is read again: only now is it known that it is kept.
    fn event(&self, held: &HeldLine, component: &str, kind: LogKind) -> Option<LogEvent> {
        let mut scratch = Scratch::default();
        let names = &self.options.names;
        let parsed = parse_line(&held.bytes, self.options.zone, &mut scratch);
        let (level, file, Details { kind, text, values }) = match &parsed {
            Parsed::Line(line) => {
                let details = match listed::find(line.level, &line.message) {
                    Some(listed) if kind != LogKind::Example => details(listed, line, names),
                    None if kind == LogKind::DiskUsage => no_space(line, names),
                    _ => Details { kind, text: example(line, names), values: BTreeMap::new() },
                };
                (line.level, line.file.to_owned(), details)
            }
            Parsed::Text { text, .. } => {
                let exit = exit(text)?;
                let text = redact(text, names);
                let details = Details { kind: exit.kind, text, values: exit.values };
                (Level::Unknown, String::new(), details)
            }
            Parsed::Refused(_) => return None,
        };
        Some(LogEvent {
            at: held.at,
            kind,
            node: self.options.node.clone(),
            component: component.to_owned(),
            level: level.name().to_owned(),
            file,
            place: format!("{}:{}", self.files[held.file], held.number),
            text,
            values,
        })
    }

    /// The record of what was read and left out.
    fn coverage(&self, component: &str, covered: TimeRange) -> LogEvent {
        let losses = &self.losses;
        let counted = [
            ("lines", losses.lines),
            ("bytes", losses.bytes),
            ("outside", losses.outside),
            ("no_zone", losses.no_zone),
            ("no_time", losses.no_time),
            ("cut", losses.cut),
            ("unkept", losses.unkept),
            ("dropped", losses.dropped),
            ("broken_files", losses.broken_files),
        ];
        let told = counted.into_iter().filter(|(_, count)| *count > 0);
        let mut values: BTreeMap<String, String> =
            told.map(|(name, count)| (name.to_owned(), count.to_string())).collect();
        values.insert("interval_ms".to_owned(), self.interval_ms.to_string());
        values.insert("until".to_owned(), covered.end.to_string());
        LogEvent {
            at: covered.start,
            kind: LogKind::Coverage,
            node: self.options.node.clone(),
            component: component.to_owned(),
            level: String::new(),
            file: String::new(),
            place: self.files.join(","),
            text: "log read from here".to_owned(),
            values,
        }
    }
}

/// Whether any part of a line says that the disk is full.
fn says_no_space(line: &[u8]) -> bool {
    memchr::memmem::find(line, listed::NO_SPACE.as_bytes()).is_some()
}

/// How many lines a process says it dropped.
fn dropped_lines(event: &LogEvent) -> Option<u64> {
    (event.kind == LogKind::LinesDropped).then(|| event.value("count")?.parse().ok())?
}
