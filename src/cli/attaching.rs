//! Reads logs and writes their extracts into a capture: what `attach` and `record` share.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::sync::watch;

use crate::capture::{CaptureReader, CaptureWriter, Tick};
use crate::cli::config::logs::LogArgs;
use crate::cli::exit::CliError;
use crate::cli::log_search::{self, AskedNode};
use crate::cli::{block_on, clock};
use crate::diagnose::counted;
use crate::logs::{
    Extract, ExtractOptions, Extractor, KUBERNETES, KubectlReader, Losses, NodeNames,
};
use crate::model::{LogEvent, LogKind, TimeRange, Timestamp, escape, escape_path};
use crate::nodes::{NodeIndex, Nodes};
use crate::record::{AskedLog, Stop, attach_log, holds_log};
use crate::report;
use crate::session::Session;
use crate::source::HttpOptions;

/// What was attached of one node's log.
pub struct Attached {
    /// What the node is called.
    pub node: String,
    /// The store or member of the capture that it is; `None` where no node is called so.
    pub is: Option<String>,
    /// How many files were read.
    pub files: usize,
    /// What was read and left out.
    pub losses: Losses,
    /// Lines that were kept as events.
    pub kept: usize,
    /// Series of counts.
    pub series: usize,
    /// Whether the capture held all of it before.
    pub held: bool,
    /// Why a node that was asked for its log gave no line of it; `None` where lines were read.
    pub unread: Option<String>,
}

/// How nodes are asked for their logs.
pub struct Questions<'a> {
    /// How they are reached.
    pub http: &'a HttpOptions,
    /// Requests to stop, and how urgent one has to be for the rest not to be asked.
    pub stop: (Stop, &'a watch::Receiver<Stop>),
    /// Tells a person who is asked.
    pub tell: &'a dyn Fn(&str),
}

/// What became of attaching logs.
pub struct Attachment {
    /// What was attached, in the order in which it was.
    pub attached: Vec<Attached>,
    /// Whether a request to stop arrived before all nodes were asked.
    pub is_stopped: bool,
}

/// Reads every log and attaches it to the capture at `path`. Where the arguments say so, nodes are asked for theirs,
/// until somebody requests to stop.
///
/// # Errors
///
/// Where a file cannot be opened, no line of a node's log can be placed inside the recording, another log of
/// the node is attached already, by that name or by another, or the capture cannot be read or written. Logs of
/// nodes before that one are attached then.
pub async fn attach(
    path: &Path,
    args: &LogArgs,
    questions: Questions<'_>,
) -> anyhow::Result<Attachment> {
    let logs = args.files()?;
    let session = Session::open(path)?;
    let window = session.window();
    let nodes = session.evidence()?.nodes;
    let asked = args.search.then(|| log_search::asked_range(&session)).transpose()?;
    let to_ask = asked.map(|range| to_ask(&session, &nodes, range)).transpose()?;
    drop(session);
    let mut attached = Vec::new();
    if !args.kubectl.is_empty() {
        let extract = read_kubectl(window, names(&nodes), &args.kubectl)?;
        attached.push(write(path, &nodes, &extract, args.kubectl.len())?);
    }
    for (node, files) in logs {
        let zone = args.tz.map(|zone| zone.at(window.end));
        let options = ExtractOptions { node, window, zone, names: names(&nodes) };
        let extract = read(options, &files)?;
        attached.push(write(path, &nodes, &extract, files.len())?);
    }
    let is_given = |node: &AskedNode, attached: &[Attached]| {
        attached.iter().any(|one| one.is.as_deref() == Some(node.name()))
    };
    let mut to_ask = to_ask.unwrap_or_default();
    to_ask.retain(|(node, _)| !is_given(node, &attached));
    for (node, range) in to_ask {
        let what =
            format!("asking {} for its log, {} to {}", escape(node.name()), range.start, range.end);
        (questions.tell)(&what);
        let options = log_search::options(&node, range, &nodes);
        let answer = log_search::ask(&node, questions.http, options, log_search::TIMEOUT);
        let (least, stop) = questions.stop;
        let Some(answer) = clock::unless_stopped_as(least, stop, answer).await else {
            return Ok(Attachment { attached, is_stopped: true });
        };
        attached.push(match answer? {
            AskedLog::Read(extract) => write(path, &nodes, &extract, 1)?,
            AskedLog::Unread(line) => write_unread(path, &line)?,
        });
    }
    Ok(Attachment { attached, is_stopped: false })
}

/// As [`attach`], for a command of its own: the first signal ends the questions.
///
/// # Errors
///
/// As [`attach`], or where signal handlers cannot be installed.
pub fn attach_unless_stopped(
    path: &Path,
    args: &LogArgs,
    http: &HttpOptions,
    tell: &dyn Fn(&str),
) -> anyhow::Result<Attachment> {
    block_on(async {
        // Where only files are read, a signal ends the command as it ends any other.
        let (_nobody, never) = watch::channel(Stop::No);
        let stop = if args.search { clock::stop_on_signals()? } else { never };
        attach(path, args, Questions { http, stop: (Stop::AfterTick, &stop), tell }).await
    })
}

/// The nodes to ask, and the part of `range` that is not held of each.
fn to_ask(
    session: &Session,
    nodes: &Nodes,
    range: TimeRange,
) -> anyhow::Result<Vec<(AskedNode, TimeRange)>> {
    let held = held_nodes(session, nodes)?;
    let scheme = log_search::scheme(session.reader().meta().endpoints.pd.values());
    let wanted = AskedNode::all(nodes, scheme).into_iter().filter_map(|node| {
        let range = match held.get(node.name()) {
            Some(Held::Whole) => return None,
            Some(Held::Until(until)) => TimeRange::new((*until).max(range.start), range.end),
            None => range,
        };
        (!range.is_empty()).then_some((node, range))
    });
    Ok(wanted.collect())
}

/// Writes why a node's log was not read, unless that was written before.
fn write_unread(path: &Path, line: &LogEvent) -> anyhow::Result<Attached> {
    let event = line.to_event();
    if !CaptureReader::open(path)?.events()?.contains(&event) {
        let mut writer = CaptureWriter::resume(path)?;
        writer.commit(Tick { events: vec![event], ..Tick::default() })?;
        writer.finish()?;
    }
    Ok(Attached {
        node: line.node.clone(),
        is: Some(line.node.clone()),
        files: 0,
        losses: Losses::default(),
        kept: 0,
        series: 0,
        held: false,
        unread: Some(line.text.clone()),
    })
}

/// How much of a node's log a capture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    /// What the node was asked for up to this instant, while the recording went on.
    Until(Timestamp),
    /// All that was wanted: to ask again would give another part of the same log.
    Whole,
}

/// The nodes whose logs were attached before.
fn held_nodes(session: &Session, nodes: &Nodes) -> anyhow::Result<BTreeMap<String, Held>> {
    let events = session.reader().events()?;
    let held = events.iter().filter_map(LogEvent::of_event);
    let mut found: BTreeMap<String, Held> = BTreeMap::new();
    for event in held.filter(|event| event.kind == LogKind::Coverage) {
        let Some(name) = name_of(nodes, &event.node, &event.component) else { continue };
        let held = event.asked_until().map_or(Held::Whole, Held::Until);
        found.entry(name).and_modify(|known| *known = held.max(*known)).or_insert(held);
    }
    Ok(found)
}

/// The store or member that is called so.
fn name_of(nodes: &Nodes, called: &str, component: &str) -> Option<String> {
    Some(match nodes.named(called, component)? {
        NodeIndex::Store(index) => nodes.stores[index].name(),
        NodeIndex::Member(index) => nodes.members[index].name.clone(),
    })
}

/// The other name by which a log of the same node is attached already.
fn held_by_another_name(
    session: &Session,
    nodes: &Nodes,
    extract: &Extract,
) -> anyhow::Result<Option<String>> {
    let Some(own) = nodes.named(&extract.node, &extract.component) else { return Ok(None) };
    let events = session.reader().events()?;
    let held = events.iter().filter_map(LogEvent::of_event);
    let mut held = held.filter(|event| event.kind == LogKind::Coverage);
    let is_same = |event: &LogEvent| {
        event.node != extract.node && nodes.named(&event.node, &event.component) == Some(own)
    };
    Ok(held.find(is_same).map(|event| event.node))
}

/// Writes an extract into the capture, unless it holds it already.
fn write(path: &Path, nodes: &Nodes, extract: &Extract, files: usize) -> anyhow::Result<Attached> {
    let session = Session::open(path)?;
    if let Some(other) = held_by_another_name(&session, nodes, extract)? {
        let (given, other) = (escape(&extract.node), escape(&other));
        let text = format!("log of {given}: that is {other}, whose log is attached already");
        return Err(CliError::Usage(text).into());
    }
    let held = holds_log(session.reader(), extract)?;
    drop(session);
    let mut series = 0;
    if !held {
        let mut writer = CaptureWriter::resume(path)?;
        series = attach_log(&mut writer, extract)?;
        writer.finish()?;
    }
    Ok(summary(nodes, extract, files, series, held))
}

/// The most bytes that are read of one file of kubectl's; pods of a thousand nodes take less.
const MOST_KUBECTL_BYTES: u64 = 256 << 20;

/// Reads what kubectl printed.
fn read_kubectl(window: TimeRange, names: NodeNames, files: &[PathBuf]) -> anyhow::Result<Extract> {
    let mut reader = KubectlReader::new(window, names);
    for path in files {
        let cannot = || format!("cannot read {}", escape_path(path));
        let mut text = Vec::new();
        let file = File::open(path).with_context(cannot)?;
        file.take(MOST_KUBECTL_BYTES).read_to_end(&mut text).with_context(cannot)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let read = reader.read(&name, &text);
        read.map_err(|error| CliError::Usage(format!("{}: {error}", escape_path(path))))?;
    }
    let extract = reader.finish();
    if extract.covered.is_empty() {
        return Err(CliError::Usage(format!(
            "nothing that kubectl printed lies inside the recording, {} to {}: Kubernetes keeps events for an hour",
            window.start, window.end
        ))
        .into());
    }
    Ok(extract)
}

/// The names that nodes have in the lines that are kept.
pub(super) fn names(nodes: &Nodes) -> NodeNames {
    let stores: Vec<(&str, String)> =
        nodes.stores.iter().map(|store| (store.address.as_str(), store.name())).collect();
    let members =
        nodes.members.iter().map(|member| (member.address.as_str(), member.name.as_str()));
    NodeNames::new(stores.iter().map(|(address, name)| (*address, name.as_str())).chain(members))
}

fn read(options: ExtractOptions, files: &[PathBuf]) -> anyhow::Result<Extract> {
    let window = options.window;
    let mut extractor = Extractor::new(options);
    for path in files {
        let file =
            File::open(path).with_context(|| format!("cannot read {}", escape_path(path)))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Err(error) = extractor.read(&name, file) {
            tracing::warn!(%error, file = %escape_path(path), "the rest of the log cannot be read");
        }
    }
    let extract = extractor.finish();
    match unplaced(&extract, window) {
        Some(why) => {
            Err(CliError::Usage(format!("log of {}: {why}", escape(&extract.node))).into())
        }
        None => Ok(extract),
    }
}

/// Why nothing of a log is inside the recording; `None` where something is.
fn unplaced(extract: &Extract, window: TimeRange) -> Option<String> {
    let losses = &extract.losses;
    if !extract.covered.is_empty() {
        return None;
    }
    Some(if losses.no_zone > 0 {
        format!(
            "{} say no offset from UTC: give it with --tz, such as --tz +08:00",
            report::count(losses.no_zone)
        )
    } else if losses.outside > 0 {
        format!("no line lies inside the recording, {} to {}", window.start, window.end)
    } else if losses.no_time > 0 {
        "no line has a time: take it with `kubectl logs --timestamps` or `journalctl -o json`"
            .to_owned()
    } else {
        "there is no line".to_owned()
    })
}

fn summary(nodes: &Nodes, extract: &Extract, files: usize, series: usize, held: bool) -> Attached {
    let is = name_of(nodes, &extract.node, &extract.component);
    let is = is.or_else(|| (extract.node == KUBERNETES).then(|| extract.node.clone()));
    let is_line = |kind| !matches!(kind, LogKind::Coverage | LogKind::Example);
    Attached {
        node: extract.node.clone(),
        is,
        files,
        losses: extract.losses,
        kept: extract.events.iter().filter(|event| is_line(event.kind)).count(),
        series,
        held,
        unread: None,
    }
}

/// What was attached, as JSON.
pub fn json(attached: &Attached) -> serde_json::Value {
    let losses = &attached.losses;
    serde_json::json!({
        "node": attached.node,
        "is": attached.is,
        "files": attached.files,
        "lines": losses.lines,
        "bytes": losses.bytes,
        "kept": attached.kept,
        "series": attached.series,
        "held_before": attached.held,
        "unread": attached.unread,
        "left_out": {
            "outside": losses.outside, "no_zone": losses.no_zone, "no_time": losses.no_time,
            "cut": losses.cut, "unkept": losses.unkept, "dropped": losses.dropped,
            "broken_files": losses.broken_files,
        },
    })
}

/// What was attached, in a line: `tikv-1 (store 4): 2,580,112 lines (1.1 GB) of 2 files; 132 kept, 97 series; left out: …`.
pub fn text(attached: &Attached) -> String {
    let losses = &attached.losses;
    let is = match &attached.is {
        Some(is) if *is == attached.node => String::new(),
        Some(is) => format!(" ({})", escape(is)),
        None => " (no node of the capture is called so)".to_owned(),
    };
    if let Some(why) = &attached.unread {
        return format!("{}: {}", escape(&attached.node), escape(why));
    }
    if attached.held {
        return format!("{}{is}: attached before", escape(&attached.node));
    }
    let left_out = [
        (losses.outside, "outside the recording"),
        (losses.no_zone, "without an offset from UTC"),
        (losses.no_time, "without a time"),
        (losses.cut, "cut"),
        (losses.unkept, "listed and not kept"),
        (losses.dropped, "dropped by the process itself"),
        (losses.broken_files, "files broken"),
    ];
    let left_out: Vec<String> = left_out
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", report::count(count)))
        .collect();
    let left_out = match left_out.is_empty() {
        true => String::new(),
        false => format!("; {}", left_out.join(", ")),
    };
    let what = if attached.node == KUBERNETES { "pods and events" } else { "lines" };
    format!(
        "{}{is}: {} {what} ({}) of {}; {} kept, {} series{left_out}",
        escape(&attached.node),
        report::count(losses.lines),
        report::size(losses.bytes),
        counted(attached.files as u64, "file"),
        report::count(attached.kept as u64),
        report::count(attached.series as u64),
    )
}
