//! Flight recorder and replay analyzer for TiKV clusters.
//!
//! The recorder copies raw samples out of Prometheus and answers out of PD into a *capture*; the
//! analyzer replays a capture and says what broke. [`session::Session`] is the way in:
//!
//! ```
//! let session = operator::session::Session::open("data/chaos-05.capture".as_ref())?;
//! let verdict = session.verdict()?;
//! println!("{}", verdict.summary);
//! # Ok::<(), operator::capture::CaptureError>(())
//! ```
//!
//! # Glossary
//!
//! | term | meaning |
//! |-|-|
//! | run | one recording of one cluster, under a name |
//! | capture | the SQLite file that holds one run |
//! | sample, series, target, scrape | as in Prometheus |
//! | answer | what a PD member answered to one request, or why it did not |
//! | gap | a stretch of time in which a source was not observed, with the reason |
//! | event | a mark on the timeline, by a person or by a tool that injects faults; or a line of a log |
//! | log extract | counts of a log's messages, and the lines that say what no metric says |
//! | damage, loss | parts of a file that cannot be read any more, and what they held |
//! | store, region, peer, leader | as in TiKV; a store is a TiKV or TiFlash node |
//! | member | a PD process; one of them leads |
//! | topology | PD's state at an instant, put together from the answers of its members |
//! | node | a store or a member, with the scrape target that it is |
//! | as of *t* | seen from the instant *t*: what was observed later does not exist |
//! | session | an open capture, and everything that can be asked of it |
//! | evidence | a window of a run as known at an instant, in order: what diagnosis works on |
//! | observation | something that happened, before anybody asks why: a silence, a slow stage, more load |
//! | departure | a stretch in which a quantity is far from what is normal for it |
//! | survey | every recorded quantity that can be a sign of trouble, reduced to a value a step |
//! | finding | an observation in a sentence, with the samples that it cites |
//! | failure mode | a kind of fault or of planned change that diagnosis knows |
//! | claim, hypothesis | what a failure mode says of a window; how it stands beside the others |
//! | verdict | the ranked causes, their consequences, planned changes, and what could not be told |
//! | blind spot | something that nobody observed, without which "no fault" cannot be said |
//! | timeline | everything that happened in a window, in one order |
//! | segment, incident | a part of a recording without an end; one that stays because of a fault |
//! | subject | a kind of system under observation: endpoints, jobs, rules, names |
//! | truth | what was done to a cluster, sealed inside a capture, out of reach of replay |
//! | baseline method | a simple root-cause method, to compare diagnosis with |
//!
//! Modules stand in reading order.

// These macros panic where nobody reads: `cli` has functions that do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod model;

pub mod pd;

pub mod nodes;

pub mod logs;

pub mod capture;

pub mod source;

pub mod record;

pub mod promql;

pub mod rules;

pub mod timeline;

pub mod diagnose;

pub mod session;

pub mod report;

pub mod share;

pub mod score;

pub mod watch;

pub mod cli;
