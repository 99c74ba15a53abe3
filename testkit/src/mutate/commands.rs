//! What each command does with a capture, by the library's functions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use operator::capture::{
    CaptureReader, CaptureWriter, Tick, add_event, compact, copy, copy_range, seal_truth,
    unseal_truth, verify,
};
use operator::diagnose::draw;
use operator::model::{Event, EventKind, TimeRange, Timestamp, canonical_json, joined};
use operator::promql::{Dialect, Engine, EngineOptions, Expression};
use operator::report::report_of;
use operator::report::{
    Called, Color, Diagnosed, PageContent, Seen, explain_text, html_page, markdown, query_csv,
    query_text, replay_json, replay_text, rules_text, run_report,
};
use operator::rules::{self, External, Near, RuleFile, Settings};
use operator::session::{CaptureStorage, Session, View};
use operator::timeline::Evaluation;

/// What a command does with a capture. That it refuses the capture is well.
pub enum Act {
    /// Reads an open capture. Opening is the same for all that do, so one does it for all of them.
    Open(fn(&Session) -> Result<()>),
    /// Opens the capture itself, in a folder that is empty but for it.
    File(fn(&Path) -> Result<()>),
}

/// All commands. Those that write come last.
pub const COMMANDS: &[(&str, Act)] = &[
    ("verify", Act::File(|path| Ok(verify(path).map(drop)?))),
    ("show", Act::Open(show)),
    ("replay", Act::Open(|session| replay(session, None))),
    ("replay --at", Act::Open(|session| replay(session, Some(2)))),
    ("query", Act::Open(query)),
    ("rules replay", Act::Open(rules_replay)),
    ("copy", Act::File(|path| Ok(copy(path, &beside(path, "copy"))?))),
    ("compact", Act::File(compact_and_verify)),
    ("watch's excerpt", Act::File(excerpt_of)),
    ("mark", Act::File(mark)),
    ("seal", Act::File(seal)),
    ("record --run", Act::File(go_on)),
];

fn beside(path: &Path, name: &str) -> PathBuf {
    path.with_file_name(format!("{name}.capture"))
}

fn show(session: &Session) -> Result<()> {
    let reader = session.reader();
    reader.inventory()?;
    joined(&reader.gaps()?);
    reader.events()?;
    reader.window();
    reader.metrics();
    reader.damage();
    reader.digest()?;
    Ok(())
}

/// Replays as of the end, or of a part of the way to it; with what `diff` and `explain` do.
fn replay(session: &Session, part: Option<i64>) -> Result<()> {
    let window = session.load(View::WHOLE)?;
    let (start, end) = (window.recording().window.start, window.end());
    let as_of = part.map_or(end, |part| {
        Timestamp::from_millis(start.as_millis() / part + end.as_millis() / part)
    });
    let (evidence, verdict) = window.judged_as_of(as_of)?;
    canonical_json(&verdict);
    for finding in &verdict.findings {
        let cause = verdict.cause_of(&finding.id);
        let seen = Seen { as_of, is_end: part.is_none(), cause };
        let drawn = draw(&evidence, finding);
        explain_text((finding, &finding.id), seen, &drawn, evidence.window, (80, Color::Plain));
    }
    let (damage, digest) = (session.reader().damage(), session.reader().digest()?);
    let pd = window.pd().summary(Evaluation::Sequential)?;
    let report = report_of(window.recording(), pd, &damage, &digest, Evaluation::Sequential);
    let report = Diagnosed::new(report, verdict, Default::default());
    replay_text(&report, Called::whole("mutant"), 80, Color::Plain);
    replay_json(&report);
    if part.is_none() {
        let report = run_report(window, session)?;
        html_page(&report, PageContent::Report);
        markdown(&report);
    }
    Ok(())
}

/// How long expressions may be evaluated, as with `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(4);

/// An engine, and the flag that interrupts it.
type Stoppable = (Rc<Engine>, Arc<AtomicBool>);

thread_local! {
    /// The engines of this thread, and what interrupts each. They are kept, since compiling the matchers
    /// anew would take longer than evaluating expressions over a mutant.
    static ENGINES: RefCell<BTreeMap<Dialect, Stoppable>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// An engine that gives up after a while, and what it is told by.
fn engine(storage: &CaptureStorage<'_>) -> (Rc<Engine>, Timer) {
    let dialect = storage.dialect();
    let (engine, stop) = ENGINES.with_borrow_mut(|engines| {
        engines.entry(dialect).or_insert_with(|| interruptible(dialect)).clone()
    });
    stop.store(false, Ordering::Relaxed);
    let thread = std::thread::spawn(move || {
        std::thread::park_timeout(TIMEOUT);
        stop.store(true, Ordering::Relaxed);
    });
    (engine, Timer(Some(thread)))
}

fn interruptible(dialect: Dialect) -> Stoppable {
    let stop = Arc::new(AtomicBool::new(false));
    let interrupt = Some(Arc::clone(&stop));
    let engine = Engine::new(EngineOptions { interrupt, ..EngineOptions::new(dialect) });
    (Rc::new(engine), stop)
}

/// Ends with whoever waits.
struct Timer(Option<std::thread::JoinHandle<()>>);

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Expressions over everything that a capture holds.
static EXPRESSIONS: LazyLock<Vec<Expression>> = LazyLock::new(|| {
    [
        "up",
        "sum by (job) (rate({__name__=~\".+_count\"}[1m]))",
        "count by (__name__) ({__name__=~\".+\"})",
        "operator_pd_store_up",
    ]
    .map(|text| Expression::parse(text).expect("it is PromQL"))
    .into()
});

fn query(session: &Session) -> Result<()> {
    let reader = session.reader();
    let storage = CaptureStorage::new(reader);
    let (engine, _timer) = engine(&storage);
    let window = reader.window();
    let last = window.end.saturating_add_millis(-1).max(window.start);
    for expression in EXPRESSIONS.iter() {
        if let Ok(answer) = engine.instant(expression, &storage, last) {
            query_text(&answer);
            query_csv(&answer);
        }
        let step_ms = (window.millis() / 20).max(1_000);
        if let Ok(answer) = engine.range(expression, &storage, (window.start, last), step_ms) {
            query_text(&answer);
        }
    }
    Ok(())
}

static RULES: LazyLock<Vec<RuleFile>> = LazyLock::new(rules::bundled);

fn rules_replay(session: &Session) -> Result<()> {
    let reader = session.reader();
    let storage = CaptureStorage::new(reader);
    storage.announce(rules::metrics_read(&RULES));
    let (engine, _timer) = engine(&storage);
    let metrics = reader.metrics();
    let (window, external) = (reader.window(), External::default());
    let settings = Settings {
        window,
        run_in_from: window.start,
        interval_ms: 60_000,
        metrics: &metrics,
        external,
        near: Near::None,
    };
    let report = rules::replay(&RULES, &storage, &engine, &settings)
        .map_err(|error| anyhow::anyhow!(error))?;
    rules_text("mutant", &report);
    Ok(())
}

fn compact_and_verify(path: &Path) -> Result<()> {
    let small = beside(path, "small");
    compact(path, &small)?;
    verify(&small)?;
    Ok(())
}

fn excerpt_of(path: &Path) -> Result<()> {
    let reader = CaptureReader::open(path)?;
    let mut writer = CaptureWriter::create(&beside(path, "next"), reader.meta().clone())?;
    let end = reader.window().end;
    let range = TimeRange::new(end.saturating_add_millis(-3_600_000), end);
    copy_range(&reader, range, &mut writer)?;
    Ok(writer.finish()?)
}

fn mark(path: &Path) -> Result<()> {
    let event = Event {
        at: Timestamp::from_millis(7),
        kind: EventKind("note".to_owned()),
        text: "hello".to_owned(),
        fields: BTreeMap::new(),
    };
    Ok(add_event(path, event)?)
}

fn seal(path: &Path) -> Result<()> {
    seal_truth(path, b"{}")?;
    unseal_truth(path)?;
    Ok(())
}

fn go_on(path: &Path) -> Result<()> {
    let mut writer = CaptureWriter::resume(path)?;
    writer.commit(Tick::default())?;
    Ok(writer.finish()?)
}
