//! Runs a command in the middle of a recording, and puts on the timeline when it began, what it printed and how
//! it ended.
//!
//! Whatever becomes of the command, the recording goes on to its end and is sealed.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tokio::sync::oneshot;
use tokio::sync::watch::{self, Receiver, Sender};
use tokio::time::{sleep, timeout};

use crate::capture;
use crate::cli::before::{Before, Expected, LEAST};
use crate::cli::clock;
use crate::cli::command;
use crate::cli::config::plan::Plan;
use crate::cli::exit::CliError;
use crate::cli::terminal::remarks::{remark, without_secrets};
use crate::model::{Event, EventKind, Timestamp, cut, duration_text, parse_duration_ms};
use crate::record::Stop;
use crate::watch::ProcessGroup;

/// Lines of output that are kept from its beginning, and as many from its end.
const LINES: usize = 20;
/// Characters of a line that are kept.
const LINE_CHARS: usize = 300;
/// Bytes of a line that are read before it counts as two.
const LINE_BYTES: u64 = 4_096;
/// How long a command may take to end once it was asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How long output is waited for after the command ended: what it started may hold the pipe open.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// A command, and how long is recorded before and after it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Around a command")]
pub struct AroundArgs {
    /// How long to record before the command, so that it is known what is normal
    #[arg(long, value_name = "DURATION", default_value = "3m", requires = "command")]
    before: String,
    /// How long to record after the command
    #[arg(long, value_name = "DURATION", default_value = "5m", requires = "command")]
    after: String,
    /// A command to run in the middle of the recording, with its arguments
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["from", "to", "length", "keep", "max_bytes"])]
    command: Vec<OsString>,
}

/// A command to run around which is recorded.
pub struct Around {
    command: Vec<OsString>,
    before: Duration,
    after: Duration,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// It ended with exit code 0.
    Succeeded,
    /// It ended otherwise, or could not be started: the command, and how it ended.
    Failed(String),
    /// The recording was stopped before it ended, or before it began.
    Interrupted,
    /// It ended, and the recording was stopped before the time after it was over; how it failed, where it did.
    StoppedAfter(Option<String>),
    /// It was not run, since nothing could be observed before: that, and why.
    NotRun(String),
}

impl AroundArgs {
    /// The command with its times; `None` where there is no command.
    ///
    /// # Errors
    ///
    /// Where a time is no duration, or the command is no program.
    pub fn around(self) -> anyhow::Result<Option<Around>> {
        let millis = |text: &str| match u64::try_from(parse_duration_ms(text)?) {
            Ok(millis) => Ok(Duration::from_millis(millis)),
            Err(_) => anyhow::bail!(CliError::Usage(format!("{text:?} is not a length of time"))),
        };
        let (before, after) = (millis(&self.before)?, millis(&self.after)?);
        if let Some(program) = self.command.first() {
            command::check_program(program)?;
        }
        let is_given = !self.command.is_empty();
        Ok(is_given.then_some(Around { command: self.command, before, after }))
    }
}

impl Around {
    /// Refuses a plan that ends by itself, or that is not one file.
    ///
    /// # Errors
    ///
    /// [`CliError::Usage`] for such a plan.
    pub fn check(&self, plan: &Plan) -> Result<(), CliError> {
        let is_live = plan.history.is_none() && plan.live.is_some_and(|live| live.until.is_none());
        if is_live && plan.retention.is_none() {
            return Ok(());
        }
        let text = "a recording around a command is live and one file: leave out from, to, for, keep and max-bytes";
        Err(CliError::Usage(text.to_owned()))
    }

    /// Runs the command while the capture at `path` is recorded, unless nothing of what is `expected` was observed
    /// before. `user` says when the user wants to stop. `recording` is told to stop once enough was recorded after
    /// the command.
    pub async fn run(
        self,
        path: PathBuf,
        expected: Expected,
        user: Receiver<Stop>,
        recording: Sender<Stop>,
    ) -> CommandEnd {
        let end = self.run_between(&path, &expected, &user).await;
        recording.send_replace((*user.borrow()).max(Stop::AfterTick));
        // A second signal of the user's still makes the recording leave at once.
        tokio::spawn(async move {
            let mut user = user;
            while user.changed().await.is_ok() {
                recording.send_replace((*user.borrow()).max(Stop::AfterTick));
            }
        });
        end
    }

    async fn run_between(
        &self,
        path: &Path,
        expected: &Expected,
        user: &Receiver<Stop>,
    ) -> CommandEnd {
        let name = self.name();
        // Where no source answers by now, none is waited for any longer.
        let first = self.before.min(LEAST);
        let mut seen = Before::Observed;
        let rest = Some((self.before, self.before - first)).filter(|(_, rest)| !rest.is_zero());
        for (passed, wait) in [(first, first)].into_iter().chain(rest) {
            if clock::unless_stopped(user, sleep(wait)).await.is_none() {
                remark("stopped before the command was to begin, so it was not run");
                put(path, vec![event(clock::now(), format!("was not run: {name}"))]).await;
                return CommandEnd::Interrupted;
            }
            seen = expected.seen_in(path, passed);
            if matches!(seen, Before::Nothing(_)) {
                break;
            }
        }
        let before = duration_text(i64::try_from(self.before.as_millis()).unwrap_or(i64::MAX));
        match seen {
            Before::Observed => {}
            Before::InPart(missing) => {
                let text = format!(
                    "warning: {missing} in the {before} before; {name} is run all the same"
                );
                remark(&text);
            }
            Before::Nothing(why) => {
                put(path, vec![event(clock::now(), format!("was not run: {name}"))]).await;
                return CommandEnd::NotRun(format!(
                    "nothing could be observed before it, so that {name} was not run: {why}"
                ));
            }
        }
        let failed = match self.run_command(path, user).await {
            CommandEnd::Succeeded => None,
            CommandEnd::Failed(how) => Some(how),
            other => return other,
        };
        match (clock::unless_stopped(user, sleep(self.after)).await, failed) {
            (None, failed) => CommandEnd::StoppedAfter(failed),
            (Some(()), Some(how)) => CommandEnd::Failed(how),
            (Some(()), None) => CommandEnd::Succeeded,
        }
    }

    async fn run_command(&self, path: &Path, user: &Receiver<Stop>) -> CommandEnd {
        let name = self.name();
        let began = clock::now();
        put(path, vec![event(began, format!("began: {name}"))]).await;
        remark(&format!("running {name}"));
        let (mut group, mut printed) = match start(&self.command) {
            Ok(started) => started,
            Err(error) => {
                remark(&format!("cannot run the command: {error}"));
                let how = format!("could not be started: {error}");
                put(path, vec![event(began, how.clone())]).await;
                return CommandEnd::Failed(format!("{name} {how}"));
            }
        };
        let (status, is_stopped) = match clock::unless_stopped(user, group.ended()).await {
            Some(status) => (status.ok(), false),
            None => {
                group.terminate();
                (timeout(GRACE, group.ended()).await.ok().and_then(Result::ok), true)
            }
        };
        let ended = clock::now();
        drop(group);
        let how = how(status, is_stopped);
        let took = duration_text(ended - began);
        remark(&format!("the command {how} after {took}"));
        let last = event(ended, format!("{how} after {took}: {name}"));
        put(path, printed.events(last).await).await;
        match status {
            _ if is_stopped => CommandEnd::Interrupted,
            Some(status) if status.success() => CommandEnd::Succeeded,
            _ => CommandEnd::Failed(format!("{name} {how}")),
        }
    }

    /// The command and its arguments as a person types them, quotes aside.
    fn name(&self) -> String {
        let words = self.command.iter().map(|word| word.to_string_lossy().into_owned());
        cut(&words.collect::<Vec<_>>().join(" "), LINE_CHARS).into_owned()
    }
}

fn event(at: Timestamp, text: String) -> Event {
    let (kind, text) = (EventKind(EventKind::COMMAND.to_owned()), without_secrets(&text));
    Event { at, kind, text, fields: BTreeMap::new() }
}

/// Puts events on the timeline, on a thread that may wait for the recorder's commits. That this fails is told,
/// and changes nothing else.
async fn put(path: &Path, events: Vec<Event>) {
    let path = path.to_owned();
    let write = move || events.into_iter().try_for_each(|event| capture::add_event(&path, event));
    if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
        remark(&format!("cannot mark the command: {error}"));
    }
}

fn how(status: Option<ExitStatus>, is_stopped: bool) -> String {
    match (status.and_then(|status| status.code()), is_stopped) {
        (_, true) => "was stopped".to_owned(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, _) => match status.and_then(|status| status.signal()) {
            Some(number) => format!("was ended by signal {number}"),
            None => "was ended by a signal".to_owned(),
        },
    }
}

/// Starts a command without input.
fn start(command: &[OsString]) -> std::io::Result<(ProcessGroup, Printed)> {
    let (reader, writer) = std::io::pipe()?;
    let (program, arguments) = command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        // Ctrl-C reaches the recorder alone, which then ends the command.
        .process_group(0)
        .spawn()?;
    let group = ProcessGroup::new(child);
    let output = Arc::new(Mutex::new(Output::default()));
    let (sender, is_over) = oneshot::channel();
    let shared = Arc::clone(&output);
    let read = move || {
        read_lines(reader, &shared);
        // Nobody waits for a command that was given up.
        let _ = sender.send(());
    };
    std::thread::Builder::new().name("command output".to_owned()).spawn(read)?;
    Ok((group, Printed { output, is_over }))
}

/// What a running command prints.
struct Printed {
    output: Arc<Mutex<Output>>,
    is_over: oneshot::Receiver<()>,
}

impl Printed {
    /// An event for each line that is kept, and `last`, which also says how many are not. A timeline has its
    /// events in order of time alone, so each is at least a millisecond later than the one before.
    async fn events(&mut self, mut last: Event) -> Vec<Event> {
        let _ = timeout(LAST_OUTPUT, &mut self.is_over).await;
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if output.left_out > 0 {
            last.fields.insert("lines_left_out".to_owned(), output.left_out.to_string());
            last.text.push_str(&format!("; {} lines of its output left out", output.left_out));
        }
        let lines = output.first.iter().chain(&output.last);
        let lines = lines.map(|(at, line)| event(*at, format!("printed: {line}")));
        let mut events: Vec<Event> = lines.chain([last]).collect();
        let mut earliest = Timestamp::MIN;
        for event in &mut events {
            event.at = event.at.max(earliest);
            earliest = event.at.saturating_add_millis(1);
        }
        events
    }
}

/// Reads to the end, and shows every line on stderr.
fn read_lines(from: PipeReader, output: &Mutex<Output>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while let Ok(1..) = from.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        remark(&format!("| {text}"));
        let kept = cut(text, LINE_CHARS).into_owned();
        output.lock().unwrap_or_else(PoisonError::into_inner).push(clock::now(), kept);
        line.clear();
    }
}

/// The lines that a command printed, each with when it came: the first and the last of them.
#[derive(Debug, Default)]
struct Output {
    first: Vec<(Timestamp, String)>,
    last: VecDeque<(Timestamp, String)>,
    left_out: usize,
}

impl Output {
    fn push(&mut self, at: Timestamp, line: String) {
        if self.first.len() < LINES {
            self.first.push((at, line));
            return;
        }
        self.last.push_back((at, line));
        if self.last.len() > LINES {
            self.last.pop_front();
            self.left_out += 1;
        }
    }
}

/// A channel on which a recording with a command in it is told to stop.
pub fn recording_stop() -> (Sender<Stop>, Receiver<Stop>) {
    watch::channel(Stop::No)
}

/// Records, and runs the command beside it. A recording that ends before the command ends the command.
pub async fn beside<T>(
    recording: impl Future<Output = T>,
    command: impl Future<Output = CommandEnd>,
) -> (T, CommandEnd) {
    let (mut recording, mut command) = (pin!(recording), pin!(command));
    let end = tokio::select! {
        recorded = &mut recording => return (recorded, CommandEnd::Interrupted),
        end = &mut command => end,
    };
    (recording.await, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_much_output_both_ends_are_kept() {
        let mut output = Output::default();
        for number in 0..100 {
            output.push(Timestamp::from_millis(number), number.to_string());
        }
        let kept: Vec<&str> =
            output.first.iter().chain(&output.last).map(|(_, line)| line.as_str()).collect();
        assert_eq!(
            (kept.len(), kept[0], kept[19], kept[20], kept[39]),
            (40, "0", "19", "80", "99")
        );
        assert_eq!(output.left_out, 60);
    }

    #[test]
    fn a_command_that_does_not_exist_is_an_error() {
        assert!(start(&["/no/such/command".into()]).is_err());
        assert!(start(&[]).is_err());
    }
}
