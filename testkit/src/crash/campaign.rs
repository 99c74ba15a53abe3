//! A campaign of kills: what is recorded, when it is killed, and what is counted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use operator::model::{Gap, PdAnswer, Source, TimeRange, Timestamp};

use super::session::{Death, Ended, Outage, Since};
use crate::capture_server::{CaptureServer, LoopedCapture};
use crate::clock::ServerClock;
use crate::gate::{Door, Gate};

/// Series that the source serves.
const SERIES: usize = 60;
/// From one scrape of the source to the next.
pub(super) const STEP_MS: i64 = 200;
/// How long before a campaign the source's history begins.
const HISTORY_MS: i64 = 1_200_000;

/// What to kill, how often, and with which seed.
pub struct Campaign {
    /// The `operator` program.
    pub operator: PathBuf,
    /// A capture whose content the source serves.
    pub capture: PathBuf,
    /// How many kills.
    pub times: u32,
    /// The seed that decides every moment.
    pub seed: u64,
}

/// What a campaign killed, and what its captures hold.
#[derive(Debug, Default)]
pub struct Tally {
    /// Kills of a live recording, of one that was sealing after SIGINT, and of a copy of history.
    pub kills: [u32; 3],
    /// Kills before the recorder had said that anything is committed.
    pub before_first_commit: u32,
    /// Kills that left a write-ahead log behind.
    pub logs_left: u32,
    /// Kills that left a journal of SQLite's behind, in the middle of rewriting the file.
    pub journals_left: u32,
    /// Captures that were recorded to their end.
    pub runs: u32,
    /// Commits that recorders reported.
    pub commits: u64,
    /// Samples in all captures at their end.
    pub samples: u64,
    /// PD answers in all captures at their end.
    pub pd_answers: u64,
    /// Outages of Prometheus in all captures at their end.
    pub outages: u64,
}

/// What is recorded in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Live,
    History(TimeRange),
}

/// What recorders have said about a run, all sessions together.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) commits: u64,
    pub(super) pd_answers: u64,
    pub(super) first_through: Option<Timestamp>,
    pub(super) through: Option<Timestamp>,
}

/// What the last check of a run found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) samples: u64,
    pub(super) pd: Vec<PdAnswer>,
    pub(super) gaps: Vec<Gap>,
}

/// Runs the campaign. Stops at the first capture that is not as it must be.
pub async fn run(campaign: &Campaign, now: fn() -> Timestamp) -> Result<Tally> {
    let epoch = now() + -HISTORY_MS;
    let looped = Arc::new(LoopedCapture::load(&campaign.capture, SERIES, epoch, STEP_MS)?);
    let server = CaptureServer::start(looped.clone(), ServerClock::Real).await?;
    let gate = Gate::before(&server.prometheus).await?;
    let mut random = Rng::with_seed(campaign.seed);
    let mut tally = Tally::default();
    while tally.kills.iter().sum::<u32>() < campaign.times {
        let scratch = tempfile::tempdir()?;
        let kind = match random.u32(..4) {
            // The newest step may not have shown yet.
            0 => Kind::History(TimeRange::new(epoch, now() + -STEP_MS)),
            _ => Kind::Live,
        };
        let mut run = Run {
            campaign,
            server: &server,
            gate: &gate,
            looped: &looped,
            directory: scratch.path(),
            kind,
            said: Said::default(),
            found: Found::default(),
        };
        let kills = tally.kills;
        if let Err(error) = run.record(&mut random, &mut tally).await {
            let kept = scratch.keep();
            let seed = campaign.seed;
            bail!("{error:#}; {kind:?}, kills {kills:?}, seed {seed}, kept in {}", kept.display());
        }
    }
    Ok(tally)
}

pub(super) struct Run<'a> {
    pub(super) campaign: &'a Campaign,
    pub(super) server: &'a CaptureServer,
    pub(super) gate: &'a Gate,
    pub(super) looped: &'a LoopedCapture,
    pub(super) directory: &'a Path,
    pub(super) kind: Kind,
    pub(super) said: Said,
    pub(super) found: Found,
}

impl Run<'_> {
    /// Records one capture through a number of kills, and lets the last session end by itself.
    async fn record(&mut self, random: &mut Rng, tally: &mut Tally) -> Result<()> {
        let sessions = random.u32(2..25);
        for session in 0..sessions {
            if tally.kills.iter().sum::<u32>() >= self.campaign.times {
                break;
            }
            let death = self.death(session, random);
            let outage = self.outage(random);
            // A signal to a program that does not yet listen ends it as SIGKILL does.
            let since = match death {
                Death::Killed(_) if session == 0 || random.u32(..4) == 0 => Since::Start,
                _ => Since::FirstCommit,
            };
            let said = self.said.commits;
            match self.session(since, death, outage).await? {
                Ended::Killed => {}
                Ended::BeforeItBegan => continue,
                // It came to its end before it was killed.
                Ended::Itself => {
                    self.check(Ended::Itself).context("after the end")?;
                    if self.kind == Kind::Live {
                        continue;
                    }
                    break;
                }
            }
            tally.kills[match (self.kind, death) {
                (Kind::History(_), _) => 2,
                (_, Death::KilledWhileSealing(..)) => 1,
                _ => 0,
            }] += 1;
            tally.before_first_commit += u32::from(said == self.said.commits);
            tally.logs_left += u32::from(self.has_side_file("-wal"));
            tally.journals_left += u32::from(self.has_side_file("-journal"));
            self.check(Ended::Killed).with_context(|| format!("after {death:?}"))?;
        }
        if self.kind == Kind::Live {
            let death = Death::Sealed(millis(random, 200..400));
            self.session(Since::FirstCommit, death, None).await?;
            self.check(Ended::Itself).context("after the seal")?;
            let mut gaps = self.found.gaps.iter();
            let open = gaps.find(|gap| gap.source == Source::Prometheus && gap.healed_at.is_none());
            ensure!(open.is_none(), "not healed though Prometheus answered: {open:?}");
        }
        tally.runs += 1;
        tally.commits += self.said.commits;
        tally.samples += self.found.samples;
        tally.pd_answers += self.found.pd.len() as u64;
        let outages = self.found.gaps.iter().filter(|gap| gap.source == Source::Prometheus);
        tally.outages += outages.count() as u64;
        Ok(())
    }

    /// Draws how a session is to end.
    fn death(&self, session: u32, random: &mut Rng) -> Death {
        match (self.kind, session, random.u32(..10)) {
            // The making of a file takes milliseconds, so the first kill aims at it.
            (_, 0, _) => Death::Killed(millis(random, 0..60)),
            (Kind::Live, _, 0..3) => {
                Death::KilledWhileSealing(millis(random, 60..250), millis(random, 0..40))
            }
            (Kind::Live, ..) => Death::Killed(millis(random, 0..350)),
            (Kind::History(_), ..) => Death::Killed(millis(random, 0..250)),
        }
    }

    /// Draws an outage of Prometheus: none of a copy of history, and one in three live sessions.
    fn outage(&self, random: &mut Rng) -> Option<Outage> {
        (self.kind == Kind::Live && random.u32(..3) == 0).then(|| Outage {
            door: if random.bool() { Door::Shut } else { Door::Silent },
            after: millis(random, 50..200),
            length: millis(random, 10..150),
        })
    }
}

fn millis(random: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_micros(random.u64(range.start * 1000..range.end * 1000))
}
