//! The clocks of those checks that record what happens now, and of those that record faster than that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, SystemTime};

use operator::model::Timestamp;
use operator::record::{Clock, Progress};
use tokio::time::Instant;

/// How far a faster clock goes beyond the last wait of whoever waits by it. A recorder waits for a second
/// at a time, and takes more than five seconds between two waits for a pause of its process.
const LEAD: Duration = Duration::from_secs(4);
/// How far it goes beyond the last commit that brought answers of PD. They are asked for every ten seconds,
/// are missed after twenty, and wait for a copy that is under way.
const COMMIT_LEAD: Duration = Duration::from_secs(15);

/// The instant at which it is called, by the clock of this machine.
#[expect(clippy::disallowed_methods, reason = "what is recorded happens now")]
pub fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as i64)
}

/// The clock of a machine on which everything is faster, however slow and busy this one is.
///
/// It runs at most `speed` times as fast as the real clock, and waits for those who live by it: it begins
/// with the first wait, stands still while a server answers, goes no further than four seconds beyond the
/// last [`sleep`](Clock::sleep) of each thread that has called it, and no further than fifteen beyond the
/// last commit that brought answers of PD. So nothing is late by this clock because this machine is slow. A
/// thread that has called `sleep` must go on doing so.
pub struct FasterClock {
    from: Timestamp,
    speed: u32,
    state: Mutex<State>,
}

struct State {
    passed: Duration,
    /// When `passed` was brought up to date.
    read: Instant,
    /// How many servers are answering.
    answering: usize,
    /// What had passed when each thread last began to wait.
    waits: HashMap<ThreadId, Duration>,
    /// What had passed at the last commit that brought answers of PD; `None` where none was noted.
    committed: Option<Duration>,
    /// How many answers of PD had been recorded by then.
    pd_answers: u64,
}

impl State {
    fn read(&mut self, speed: u32) -> Duration {
        let now = Instant::now();
        let real = now.saturating_duration_since(self.read);
        self.read = now;
        if self.answering == 0
            && let Some(wait) = self.waits.values().min()
        {
            let of_commit = self.committed.map_or(Duration::MAX, |commit| commit + COMMIT_LEAD);
            let furthest = of_commit.min(*wait + LEAD);
            self.passed = (self.passed + real * speed).min(furthest).max(self.passed);
        }
        self.passed
    }
}

impl FasterClock {
    /// A clock that begins at `from`. It is never freed, as a recorder asks of its clock.
    pub fn start(from: Timestamp, speed: u32) -> &'static Self {
        let state = State {
            passed: Duration::ZERO,
            read: Instant::now(),
            answering: 0,
            waits: HashMap::new(),
            committed: None,
            pd_answers: 0,
        };
        Box::leak(Box::new(Self { from, speed, state: Mutex::new(state) }))
    }

    /// Notes what the recording has committed.
    pub fn note_commit(&self, progress: &Progress) {
        self.with_state(|state| {
            if progress.pd_answers > state.pd_answers {
                (state.committed, state.pd_answers) = (Some(state.passed), progress.pd_answers);
            }
        });
    }

    /// Waits until an instant of this clock, without holding it back.
    pub async fn reach(&self, at: Timestamp) {
        while self.wall() < at {
            tokio::time::sleep(Duration::from_secs(1) / self.speed).await;
        }
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.read(self.speed);
        change(&mut state)
    }
}

impl Clock for FasterClock {
    fn wall(&self) -> Timestamp {
        let passed = i64::try_from(self.since_boot().as_millis()).expect("a test is short");
        self.from.saturating_add_millis(passed)
    }

    fn since_boot(&self) -> Duration {
        self.with_state(|state| state.passed)
    }

    fn sleep(&self, wait: Duration) -> tokio::time::Sleep {
        self.with_state(|state| state.waits.insert(thread::current().id(), state.passed));
        tokio::time::sleep(wait / self.speed)
    }
}

/// The clock of a server.
#[derive(Clone, Copy)]
pub enum ServerClock {
    /// That of this machine.
    Real,
    /// One that stands still while the server answers.
    Faster(&'static FasterClock),
}

impl ServerClock {
    /// Makes an answer, given the instant of the request.
    pub fn answer<T>(self, make: impl FnOnce(Timestamp) -> T) -> T {
        let Self::Faster(clock) = self else { return make(wall_clock()) };
        clock.with_state(|state| state.answering += 1);
        let answer = make(clock.wall());
        clock.with_state(|state| state.answering -= 1);
        answer
    }
}
