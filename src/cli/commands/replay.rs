//! `operator replay`.

use std::ffi::OsString;
use std::io::IsTerminal;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::capture::CaptureReader;
use crate::cli::config::headings::{INPUT, OUTPUT, TIME};
use crate::cli::config::viewed::ViewArgs;
use crate::cli::exit::{CliError, Code};
use crate::cli::terminal::output::{self, AnyFormat};
use crate::cli::{Global, lookup};
use crate::diagnose::{Citation, MODES, Outcome, Verdict, WhyNot};
use crate::model::{canonical_json, did_you_mean, escape_path, similar_names};
use crate::report::{
    Called, Color, Diagnosed, Verification, prompt_text, replay_json, replay_text, report_of,
    table_within, why_not_text,
};
use crate::session::{Judgement, Session, check_citations};
use crate::share::{NOT_PICKED, compared_with_reporter};
use crate::timeline::Evaluation;

/// Columns of the text report, the same on every terminal, so that its bytes are too.
const WIDTH: usize = 80;

const EXAMPLES: &str = "\
Examples:
  operator replay --run chaos-01
  operator replay latest --format json
  operator replay latest --format prompt
      to paste into an assistant
  operator replay data/chaos-01.capture --from -5m
      the last five minutes of the capture
  operator replay chaos-01 --at -3m  as it looked three minutes before the end
  operator replay chaos-01 --verify
  operator replay chaos-01 --why-not slow_disk
      what that mode needs, saw and claimed

Exits with 0 where no fault was found, 10 where one was, also one that is over, 11 where it \
cannot tell. \
Times: a date and time, a time of day in UTC as it is printed (16:30:50), unix seconds, or \
an offset: -5m counts back from the END of the capture and not from now, +5m on from its start. \
The same capture gives the same bytes on every machine.";

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArgs {
    /// A run's name, `latest`, or the path of a capture or of an exported file
    #[arg(value_name = "RUN", required_unless_present_any = ["run_flag", "why_not"], conflicts_with = "run_flag")]
    run: Option<OsString>,
    /// The same as RUN
    #[arg(long = "run", id = "run_flag", value_name = "RUN", help_heading = INPUT)]
    run_flag: Option<OsString>,
    #[command(flatten)]
    view: ViewArgs,
    /// See the whole window before judging; the default
    #[arg(long, conflicts_with = "at", help_heading = TIME)]
    post_mortem: bool,
    /// Say instead what became of this failure mode, such as `store_crash`: what it needs, what was seen,
    /// what it claimed and why that lost; `help` lists all
    #[arg(long, value_name = "MODE", conflicts_with = "verify", help_heading = OUTPUT)]
    why_not: Option<String>,
    /// Evaluate twice, differently, and compare; look up in the capture what findings cite. Exits with 4
    /// where anything differs
    #[arg(long, help_heading = OUTPUT)]
    verify: bool,
}

impl ReplayArgs {
    /// The whole of a run, as it is seen from its end.
    pub fn of(run: OsString) -> Self {
        Self {
            run: Some(run),
            run_flag: None,
            view: ViewArgs::default(),
            post_mortem: false,
            why_not: None,
            verify: false,
        }
    }
}

/// Replays a capture, prints what broke and what happened, and returns the verdict's exit code.
///
/// # Errors
///
/// Where there is no such run, it cannot be read, or two evaluations differ.
pub fn run(global: &Global, args: &ReplayArgs) -> anyhow::Result<Code> {
    if args.why_not.as_deref() == Some("help") {
        return list_modes(global);
    }
    let name = args.run.as_deref().or(args.run_flag.as_deref()).ok_or_else(|| {
        CliError::Usage("--why-not asks of a run: name it, or `latest`".to_owned())
    })?;
    let path = lookup::find(&global.dir, name)?;
    let mut session = Session::open(&path)?;
    let view = args.view.of(&mut session)?;
    let cannot = || format!("cannot replay {}", escape_path(path.shown()));
    let window = session.load(view).with_context(cannot)?;
    if let Some(mode) = args.why_not.as_deref() {
        let why = window.why_not(mode).with_context(cannot)?;
        return explain_mode(global, mode, why);
    }
    let reader = session.reader();
    let digest = reader.digest()?;
    if args.verify {
        crate::report::verify(window.recording(), window.pd()).with_context(cannot)??;
        let again = Session::open(&path)?.reader().digest()?;
        if digest != again {
            return Err(CliError::Mismatch { first: digest, second: again }.into());
        }
    }
    let again = args.verify.then(|| window.verdict_out_of_order()).transpose()?;
    let (judgement, evidence) = window.judge_with_evidence().with_context(cannot)?;
    args.view.unless_unmatched(&evidence)?;
    let Judgement { verdict, recording, pd } = judgement;
    if let Some(again) = again {
        let (first, second) = (canonical_json(&verdict), canonical_json(&again));
        if first != second {
            return Err(CliError::Mismatch { first, second }.into());
        }
    }
    let verification =
        args.verify.then(|| verified(reader, &verdict)).transpose().with_context(cannot)?;
    let damage = [reader.damage(), reader.damage_before()].concat();
    let mut report = report_of(&recording, pd, &damage, &digest, Evaluation::Sequential);
    report.recorded_digest = Some(reader.recorded_digest()?).filter(|recorded| *recorded != digest);
    let alerts = session.unexplained_alerts(&verdict, &evidence).with_context(cannot)?;
    let export = reader.meta().export.as_ref();
    let reporter = export.filter(|_| args.view.is_whole());
    let reporter = reporter.map(|export| compared_with_reporter(export, &verdict));
    let report = Diagnosed { verification, reporter, ..Diagnosed::new(report, verdict, alerts) };
    let (run, view, dir) = (path.called(name), args.view.as_text(), path.dir_flag(global));
    let lacks_metrics =
        export.is_some_and(|export| export.left_out.iter().any(|one| one == NOT_PICKED));
    let called = Called { run: &run, view: &view, dir: &dir, name: &path.name(), lacks_metrics };
    let bytes = printed(global, &report, called);
    output::write(bytes.as_bytes())?;
    say_what_was_judged(global, &args.view, &session, &report);
    CliError::unless_whole(path.shown(), reader.damaged_rows())?;
    Ok(code_of(report.verdict.outcome))
}

/// Says where no fault was found that only a part was judged.
fn say_what_was_judged(global: &Global, view: &ViewArgs, session: &Session, report: &Diagnosed) {
    let (begin, whole) = (report.replay.window.start, session.window());
    if report.verdict.outcome == Outcome::NoFault && view.is_from_the_end() && begin > whole.start {
        global.tell(&format!(
            "only what was recorded from {begin} on was judged, and what began before counts as normal: without --from the run is judged from {}",
            whole.start
        ));
    }
}

fn printed(global: &Global, report: &Diagnosed, called: Called<'_>) -> String {
    match global.wide_format {
        AnyFormat::Json => replay_json(report),
        AnyFormat::Prompt => prompt_text(report),
        // Dispatch lets no other format through.
        _ => {
            let colored = global.color.enabled(std::io::stdout().is_terminal());
            let color = if colored { Color::Ansi } else { Color::Plain };
            replay_text(report, called, WIDTH, color)
        }
    }
}

fn code_of(outcome: Outcome) -> Code {
    match outcome {
        Outcome::Fault => Code::Fault,
        Outcome::NoFault => Code::Ok,
        Outcome::CannotTell => Code::CannotTell,
    }
}

/// Looks up what a verdict cites, after its evaluations were found to agree.
///
/// # Errors
///
/// [`CliError::NotBorneOut`] where the capture does not hold a cited reading.
fn verified(reader: &CaptureReader, verdict: &Verdict) -> anyhow::Result<Verification> {
    let citations = check_citations(reader, &verdict.findings)?;
    if citations.disagreeing.is_empty() {
        return Ok(Verification { evaluations: EVALUATIONS, citations });
    }
    let told = citations.disagreeing.iter().map(|one| {
        let Citation { reference, at_ms, value } = &one.citation;
        format!("{} cites {reference} = {value} at {at_ms}: {}", one.finding, one.held)
    });
    Err(CliError::NotBorneOut(told.collect::<Vec<_>>().join("; ")).into())
}

/// How many evaluations `--verify` compares: in sequence, and in another order of arrival.
const EVALUATIONS: usize = 2;

/// Prints the names of all failure modes with what each means.
fn list_modes(global: &Global) -> anyhow::Result<Code> {
    match global.wide_format {
        AnyFormat::Json => {
            let modes = MODES.iter().map(|mode| json!({ "mode": mode.name, "says": mode.says }));
            output::json(&modes.collect::<Vec<_>>())?;
        }
        _ => {
            let rows = MODES.iter().map(|mode| vec![mode.name.to_owned(), mode.says.to_owned()]);
            output::write(table_within(&rows.collect::<Vec<_>>(), WIDTH).as_bytes())?;
        }
    }
    Ok(Code::Ok)
}

/// Prints what became of a failure mode.
fn explain_mode(global: &Global, mode: &str, why: Option<WhyNot>) -> anyhow::Result<Code> {
    let why = why.ok_or_else(|| {
        let known = || MODES.iter().map(|mode| mode.name);
        let mut near = similar_names(mode, known(), |_| 0.6, 3);
        if near.is_empty() {
            near.extend(known().filter(|known| known.contains(mode)));
        }
        let near = match near.is_empty() {
            true => ": `--why-not help` lists them".to_owned(),
            false => did_you_mean(&near),
        };
        CliError::Usage(format!("there is no failure mode {mode:?}{near}"))
    })?;
    let text = match global.wide_format {
        AnyFormat::Json => format!("{}\n", canonical_json(&why)),
        _ => why_not_text(&why, WIDTH),
    };
    output::write(text.as_bytes())?;
    Ok(Code::Ok)
}
