//! The command line: a subcommand for each campaign.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::build::Part;

/// Measurements and proofs that take minutes.
#[derive(Parser)]
#[command(name = "campaign")]
pub enum Task {
    /// Whether every sample of every run is recorded to the bit, by every way of reading
    Fidelity {
        /// A folder of runs
        folder: PathBuf,
    },
    /// Whether what is recorded from each real server equals what Prometheus returns, and how long that takes
    Sources {
        /// A folder of runs
        folder: PathBuf,
        #[command(flatten)]
        programs: Programs,
    },
    /// What a capture of each run takes, beside other formats that hold the same samples
    Size {
        /// A folder of runs
        folder: PathBuf,
    },
    /// What verdicts say of clients, beside the log of the load generator: requests a second within 15 %
    Clients {
        /// A folder of runs with a `ycsb.log` each
        folder: PathBuf,
    },
    /// How fast captures are opened, read and written
    Speed {
        /// A folder of captures
        folder: PathBuf,
    },
    /// What building costs beside its bounds: processor time, the wait for a test, the program's size
    Build {
        /// Only these parts
        parts: Vec<Part>,
    },
    /// How long the bundled rules take over captures, opening included
    Rules {
        /// A folder of captures
        #[arg(default_value = "data")]
        folder: PathBuf,
    },
    /// The official expressions on both sides: a real Prometheus over each run's blocks, and
    /// `operator` over the capture of the same samples
    Promql {
        /// A folder of runs, `run-NN`
        folder: PathBuf,
        /// Expressions, one a line; `dashboard-variables.tsv` lies beside the file
        expressions: PathBuf,
        /// A folder of captures, `chaos-NN.capture`
        #[arg(default_value = "data")]
        captures: PathBuf,
        /// A table of rules whose expressions are evaluated as well, as `official` takes it
        #[arg(long)]
        rules: Option<PathBuf>,
    },
    /// What captures lack for the official rules, and which of them fire
    Official {
        /// A table of rules: group, kind, name, for, level, expr, summary, separated by tabs
        table: PathBuf,
        /// A folder of captures
        #[arg(default_value = "data")]
        captures: PathBuf,
        /// Only print the rules as a file that `operator rules` and Prometheus take
        #[arg(long)]
        print: bool,
    },
    /// Random expressions on both sides: a real Prometheus and ours
    Differential {
        /// A folder of blocks; synthetic series stand beside them
        #[arg(default_value = "data/tsdb")]
        blocks: PathBuf,
        /// How many expressions, each at an instant and over a range
        #[arg(long, default_value_t = 100_000)]
        count: usize,
        /// Decides every expression and every synthetic series
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Only what both sides say of this expression
        #[arg(long, requires = "at")]
        ask: Option<String>,
        /// When it is evaluated, in milliseconds since the Unix epoch: INSTANT or START,END,STEP
        #[arg(long, value_delimiter = ',')]
        at: Vec<i64>,
    },
    /// Expressions that nobody would write; none may crash, hang or take memory without bound
    Fuzz {
        /// How many expressions
        #[arg(long, default_value_t = 100_000)]
        times: u32,
        /// Decides every expression
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Prometheus's own test files for PromQL
    Promqltest {
        /// The folder `promql/promqltest/testdata` of Prometheus's Go module
        folder: PathBuf,
    },
    /// What a synthetic day of a cluster takes: bytes, memory, time to the first answer
    Day {
        /// The capture that all is made of
        #[arg(default_value = "data/chaos-01.capture")]
        capture: PathBuf,
        /// How often the cluster stands side by side
        #[arg(long, default_value_t = 1)]
        copies: usize,
        /// How long it is recorded
        #[arg(long, default_value_t = 24)]
        hours: u32,
        /// Up to how many hours the compacted size is shown, and what Parquet, text and
        /// VictoriaMetrics take; an hour of one cluster needs about a gigabyte of memory
        #[arg(long, value_name = "HOURS", default_value_t = 0)]
        peers: u32,
        /// Leave the compacted capture here
        #[arg(long)]
        keep: Option<PathBuf>,
    },
    /// What recording a live Prometheus costs the built `operator`: processor and memory
    Live {
        /// The capture whose series are exposed
        #[arg(default_value = "data/chaos-01.capture")]
        capture: PathBuf,
        /// How often the cluster stands side by side
        #[arg(long, default_value_t = 1)]
        copies: usize,
        /// How long is measured
        #[arg(long, default_value_t = 3)]
        minutes: u64,
    },
    /// What watching an hour of a capture, served over and over, costs the built `operator`: processor and memory
    Watching {
        /// The capture that is served
        #[arg(default_value = "data/chaos-01.capture")]
        capture: PathBuf,
        /// How long is measured, after the first hour was copied
        #[arg(long, default_value_t = 3)]
        minutes: u64,
    },
    /// Kill the built `operator` while it records; every committed tick must be there
    Crash {
        /// How many kills
        #[arg(long, default_value_t = 1_000)]
        times: u32,
        /// Decides every moment
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A capture whose content the source serves
        #[arg(long, default_value = "data/chaos-02.capture")]
        capture: PathBuf,
        /// The program; without it, the one built beside this one
        #[arg(long)]
        operator: Option<PathBuf>,
    },
    /// Tear the files of a recording as a power failure may; each image must hold whole ticks
    Power {
        /// How many images
        #[arg(long, default_value_t = 1_000)]
        times: u32,
        /// Decides every sector
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A capture whose content is recorded
        #[arg(long, default_value = "data/chaos-02.capture")]
        capture: PathBuf,
    },
    /// Replay captures in many orders of insertion, time zones, locales and numbers of threads,
    /// with the built `operator`: each has one digest
    Determinism {
        /// A folder of captures
        #[arg(default_value = "data")]
        folder: PathBuf,
        /// How many replays
        #[arg(long, default_value_t = 1_000)]
        times: u32,
        /// Decides every order and every environment
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Damage captures cut out of real ones; no damage may pass in silence, none may crash
    Mutate {
        /// A folder of captures
        folder: PathBuf,
        /// How many damaged captures
        #[arg(long, default_value_t = 100_000)]
        times: u32,
        /// Decides every damage
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Alter what rows say instead, make every checksum right again, and run each command
        #[arg(long)]
        resealed: bool,
        /// How many of these are given to the built program as well
        #[arg(long, default_value_t = 500, requires = "resealed")]
        processes: u32,
        /// The program; without it, the one built beside this one
        #[arg(long)]
        operator: Option<PathBuf>,
    },
    /// Hostile files, servers and moments: a row for each thing tried, and what came of it
    Hostile {
        /// Only subjects with this in their name
        #[arg(default_value = "")]
        only: String,
        /// The folder of the bundled captures
        #[arg(long, default_value = "data")]
        data: PathBuf,
        /// Decides everything that is drawn
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The program; without it, the one built beside this one
        #[arg(long)]
        operator: Option<PathBuf>,
    },
    /// Campaigns over captures, their verdicts and their exports
    #[command(flatten)]
    OfCaptures(OfCaptures),
}

/// Servers that no package of Debian has, or not this version of them. What is not given is not tried.
#[derive(Args)]
pub struct Programs {
    /// Thanos: a querier over two replicas with a sidecar each
    #[arg(long, value_name = "PROGRAM")]
    pub thanos: Option<PathBuf>,
    /// VictoriaMetrics, beside Debian's
    #[arg(long, value_name = "PROGRAM")]
    pub victoria: Option<PathBuf>,
    /// A folder with `vminsert`, `vmselect` and `vmstorage`, VictoriaMetrics's cluster
    #[arg(long, value_name = "FOLDER")]
    pub victoria_cluster: Option<PathBuf>,
}

/// Campaigns over captures: what diagnosis makes of them, and what exports of them hold.
#[derive(Subcommand)]
pub enum OfCaptures {
    /// Judge degraded recordings: the verdict stays, says less, or is wrong
    Perturb {
        /// A folder of captures
        folder: PathBuf,
        /// Decides which series are dropped
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Judge labelled runs as other deployments would have named and scraped them
    Worlds {
        /// A folder of captures
        #[arg(default_value = "data")]
        folder: PathBuf,
        /// Only these worlds
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Large and long: faults among 30 and 100 stores, and three of them on one day, by the built `operator`
    Sizes {
        /// A folder of captures
        #[arg(default_value = "data")]
        folder: PathBuf,
        /// Only these runs, or `day`
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Leave the captures in this folder
        #[arg(long)]
        keep: Option<PathBuf>,
        /// The program; without it, the one built beside this one
        #[arg(long)]
        operator: Option<PathBuf>,
    },
    /// Verdicts without and with the lines of public incident threads
    Logs {
        /// A folder with the bundled captures
        #[arg(default_value = "data")]
        folder: PathBuf,
    },
    /// How far each line of diagnosis can be moved while every labelled run keeps its verdict
    Margins {
        /// Folders of captures
        #[arg(default_values = ["data", "data/pd"])]
        folders: Vec<PathBuf>,
    },
    /// Verdicts on public incidents that are rebuilt in a quiet run, beside what their threads established
    Incidents {
        /// Judge captures instead: a folder of folders NAME, each with `NAME.capture` and `expected.json`
        folder: Option<PathBuf>,
        /// Only incidents with this in their name or in that of their set
        #[arg(long, default_value = "")]
        only: String,
        /// Print the verdicts on held-out incidents too, and not only how many are named
        #[arg(long)]
        held_out: bool,
    },
    /// Judge everything that is quiet, planned or merely loaded: nothing in it may be called a fault
    Quiet {
        /// Folders of captures
        #[arg(default_values = ["data", "data/pd"])]
        folders: Vec<PathBuf>,
    },
    /// Judge faults that no capture holds, laid over the quiet parts of the bundled runs, and those of
    /// the bundled ones made shorter, milder, earlier and open
    Grid {
        /// The folder of the bundled captures
        #[arg(default_value = "data")]
        folder: PathBuf,
        /// Only mechanisms with this in their name
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Secrets of every kind, planted in captures: none may be left in an export
    Leaks {
        /// How many exports
        #[arg(long, default_value_t = 1_000)]
        exports: usize,
        /// Folders of captures whose exports may hold no address
        #[arg(default_values = ["data", "data/pd"])]
        folders: Vec<PathBuf>,
        /// Decides every secret
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Exports by the built `operator` in other folders, umasks, time zones, locales: all are the same bytes
    SameBytes {
        /// The capture that is exported
        #[arg(default_value = "data/chaos-02.capture")]
        capture: PathBuf,
        /// How many exports
        #[arg(long, default_value_t = 100)]
        times: usize,
    },
    /// Whether verdicts on redacted captures are those on the recorded ones, but for names
    SameVerdict {
        /// Folders of captures: each whole, in parts and as of instants
        #[arg(default_values = ["data", "data/pd"])]
        folders: Vec<PathBuf>,
        /// The folder of captures that are put into every world
        #[arg(long, value_name = "FOLDER", default_value = "data")]
        in_worlds: PathBuf,
        /// Only these worlds, and nothing else
        #[arg(long, value_name = "WORLD", value_delimiter = ',')]
        only: Vec<String>,
    },
    /// How large exports are: those of ten-minute runs, and of what `day --keep` left
    ExportSize {
        /// Folders of captures
        #[arg(default_values = ["data"])]
        folders: Vec<PathBuf>,
        /// The most bytes of an export: those that a ten-minute run of the four-store cluster may take
        #[arg(long, value_name = "BYTES", default_value_t = 450_000)]
        at_most: u64,
    },
    /// Pages of reports in a real headless Chromium: scripts on and off, on a phone and on a desk, light and dark
    Page {
        /// Folders of captures whose reports are opened
        #[arg(default_values = ["data"])]
        folders: Vec<PathBuf>,
        /// The browser
        #[arg(long, default_value = "chromium")]
        browser: PathBuf,
        /// The file `axe.min.js` of the npm package `axe-core`; without it, npm fetches the package
        #[arg(long)]
        axe: Option<PathBuf>,
        /// A folder for screenshots
        #[arg(long)]
        screenshots: Option<PathBuf>,
    },
    /// Packed files of strangers, such as bombs, given to the built `operator`
    HostileExport {
        /// The capture that the files are made of
        #[arg(default_value = "data/pd/pd-01.capture")]
        capture: PathBuf,
    },
}
