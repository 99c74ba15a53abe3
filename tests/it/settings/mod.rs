//! The settings of stores: what is read of them, how they stand in a capture, and what comes of it.

mod cluster;
mod judged;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use operator::capture::{CaptureReader, CaptureWriter, verify};
use operator::model::{
    GapReason, KnownSettings, Occasion, SettingsEvent, SettingsRead, StoreId, TimeRange, Timestamp,
    is_of_machine, settings_listed,
};
use operator::pd::{Member, PdCadence, PdSchedule};
use operator::record::pd_sampler::PdSampler;
use operator::record::{self, Clock, Recording, Stop};
use operator::source::{Addresses, Discovered, HttpOptions, PdClient, StoreClient};
use testkit::clock::wall_clock;
use testkit::log_server::{Answering, LogServer, MachinePart};

use cluster::{Cluster, Manner, every_setting};

/// The clocks of a machine on which time can be made to pass.
#[derive(Default)]
struct Hasty {
    ahead_ms: AtomicI64,
}

impl Hasty {
    fn pass(&self, millis: i64) {
        self.ahead_ms.fetch_add(millis, Ordering::Relaxed);
    }
}

impl Clock for Hasty {
    fn wall(&self) -> Timestamp {
        wall_clock() + self.ahead_ms.load(Ordering::Relaxed)
    }

    fn since_boot(&self) -> Duration {
        Duration::from_millis(self.wall().as_millis() as u64)
    }
}

struct Scene {
    cluster: Cluster,
    clock: &'static Hasty,
    directory: tempfile::TempDir,
}

impl Scene {
    async fn new(manners: Vec<Manner>) -> Self {
        Self {
            cluster: Cluster::start(manners).await,
            clock: Box::leak(Box::default()),
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("run.capture")
    }

    /// Records while `during` runs, into a new capture or on in the one that is there.
    async fn record(&self, during: impl Future<Output = ()>) {
        let options = HttpOptions::default();
        let member = Member { name: "pd0".to_owned(), url: self.cluster.pd.clone() };
        let found = Discovered { members: vec![member], addresses: Addresses::Advertised };
        let client = PdClient::new(&options).expect("the options are valid");
        let cadence = PdCadence { leader: Duration::from_millis(300), ..PdCadence::default() };
        let schedule = PdSchedule::new(cadence, self.clock.wall());
        let recording = Recording {
            copier: None,
            pd: Some(PdSampler::new(client, found, schedule)),
            scraper: None,
            settings: Some(StoreClient::new(&options).expect("the options are valid")),
            answers: None,
            pd_interval: Duration::from_millis(300),
            prometheus_interval: Duration::from_secs(1),
            prometheus_offset_ms: 0,
            until: None,
            feed: None,
            succession: None,
        };
        let writer = match self.path().exists() {
            true => CaptureWriter::resume(&self.path()),
            false => {
                let meta = serde_json::json!({"run": "run", "subject": "tikv", "created": 0});
                let meta = serde_json::from_value(meta).expect("a run's metadata");
                CaptureWriter::create(&self.path(), meta)
            }
        };
        let (stop, stopped) = tokio::sync::watch::channel(Stop::No);
        let during = async {
            during.await;
            stop.send_replace(Stop::AfterTick);
        };
        let mut progress = |_: &_| {};
        let writer = writer.expect("the capture can be written");
        let recorded = record::run(recording, writer, self.clock, stopped, &mut progress);
        tokio::join!(recorded, during).0.expect("the capture can be written");
        assert_eq!(verify(&self.path()).expect("it opens").damage, []);
    }

    /// Waits until a store was asked that often.
    async fn asked(&self, store: u64, times: usize) {
        let reached = async {
            while self.cluster.asked(store) < times {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // The answer is taken in.
            tokio::time::sleep(Duration::from_millis(600)).await;
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("it is asked in time");
    }

    fn read(&self) -> Vec<SettingsEvent> {
        readings(&self.path())
    }
}

fn readings(path: &Path) -> Vec<SettingsEvent> {
    let events = CaptureReader::open(path).expect("it opens").events().expect("events read");
    events.iter().filter_map(SettingsEvent::of_event).collect()
}

const AS_USUAL: Manner = Manner::Serves(Vec::new());
const POOL: &str = "raftstore.store-pool-size";
const HOUR_MS: i64 = 3_600_000;

fn shown(event: &SettingsEvent) -> String {
    let what = match &event.read {
        SettingsRead::Whole(values) => format!("all {}", values.len()),
        SettingsRead::Changed(values) => {
            let told: Vec<String> =
                values.iter().map(|(name, value)| format!("{name}={value}")).collect();
            told.join(" ")
        }
        SettingsRead::Failed(reason) => reason.name().to_owned(),
    };
    format!("{} {} {what}", event.store, event.occasion.name())
}

#[test]
fn the_list_holds_settings_of_tikv_and_nothing_else() {
    let known: BTreeSet<(&str, &str)> = every_setting().collect();
    for name in settings_listed() {
        let kind = known.iter().find(|(one, _)| *one == name);
        assert!(kind.is_some(), "no release of TiKV shows {name}");
        let names_something = ["path", "dir", "addr", "label", "labels", "host", "filename", "url"];
        let last = name.rsplit('.').next().unwrap_or(&name);
        let is_word = kind.is_some_and(|(_, kind)| *kind == "word");
        assert!(
            !is_word || names_something.iter().all(|word| !last.split('-').any(|one| one == *word)),
            "{name} may name something"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_written_whole_at_first_and_then_only_what_changed() {
    let scene = Scene::new(vec![AS_USUAL, AS_USUAL]).await;
    let all = settings_listed().count();
    scene
        .record(async {
            scene.asked(2, 1).await;
            scene.clock.pass(HOUR_MS);
            scene.asked(2, 2).await;
            scene.cluster.behave(2, Manner::Serves(vec![(POOL, "1")]));
            scene.clock.pass(HOUR_MS);
            scene.asked(2, 3).await;
            scene.cluster.behave(1, Manner::Serves(vec![(POOL, "4"), ("gc.num-threads", "3")]));
            scene.cluster.restart(1);
            scene.asked(1, 4).await;
        })
        .await;
    let read = scene.read();
    let told: Vec<String> = read.iter().map(shown).collect();
    let expected = [
        format!("1 start all {all}"),
        format!("2 start all {all}"),
        format!("2 hourly {POOL}=1"),
        format!("1 restart gc.num-threads=3 {POOL}=4"),
    ];
    assert_eq!(told, expected);
    // Between the reading that found nothing new, and the one that did.
    let since = read[2].since.expect("it was read before");
    assert!((HOUR_MS..HOUR_MS + 20_000).contains(&(read[2].at - since)), "{:?}", read[2]);
    let held = std::fs::read(scene.path()).expect("it is there");
    let planted = b"planted";
    assert!(!held.windows(planted.len()).any(|part| part == planted), "a name was stored");
    assert_eq!(scene.cluster.asked(1), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machine_of_a_store_is_asked_once_per_start_and_kept_without_names() {
    const DISK: &[(&str, &str)] =
        &[("fstype", "xfs"), ("path", "/planted"), ("total", "2000398934016"), ("type", "SSD")];
    const PARTS: &[MachinePart] = &[
        ("cpu", "cpu", &[("cpu-logical-cores", "16"), ("cpu-vendor-id", "planted")]),
        ("disk", "planted0", DISK),
        ("system", "kernel", &[("transparent_hugepage_enabled", "[always] madvise never")]),
        ("system", "sysctl", &[("kernel.hostname", "planted-7"), ("vm.swappiness", "60")]),
    ];
    let scene = Scene::new(vec![AS_USUAL, AS_USUAL]).await;
    let node = LogServer::start(Answering::Machine(PARTS)).await.expect("a port is free");
    scene.cluster.serve_clients(1, &node.address);
    scene
        .record(async {
            scene.asked(2, 1).await;
            scene.clock.pass(HOUR_MS);
            scene.asked(2, 2).await;
            scene.cluster.behave(1, Manner::Serves(vec![(POOL, "1")]));
            scene.cluster.restart(1);
            scene.asked(1, 3).await;
        })
        .await;
    let read = scene.read();
    let told: Vec<String> = read.iter().map(shown).collect();
    let all = settings_listed().count();
    // Store 2 does not say what its machine is, which costs none of its settings.
    let of_both = [format!("1 start all {}", all + 6), format!("2 start all {all}")];
    assert_eq!(told, [&of_both[..], &[format!("1 restart {POOL}=1")]].concat());
    let known = KnownSettings::of(&read);
    let held = &known.stores[&StoreId(1)].values;
    let facts = held.iter().filter(|(name, _)| is_of_machine(name));
    let facts: Vec<String> = facts.map(|(name, (value, _))| format!("{name}={value}")).collect();
    let expected = [
        "machine.cores=16",
        "machine.largest-disk.fstype=xfs",
        "machine.largest-disk.total=1907729MiB",
        "machine.largest-disk.type=ssd",
        "machine.sysctl.vm.swappiness=60",
        "machine.transparent-hugepage=always",
    ];
    assert_eq!(facts, expected);
    // Hardware and kernel, at the start and after the restart.
    assert_eq!(node.requests().len(), 4, "{:?}", node.requests());
    let held = std::fs::read(scene.path()).expect("it is there");
    let planted = b"planted";
    assert!(!held.windows(planted.len()).any(|part| part == planted), "a name was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_goes_on_knows_what_the_capture_holds() {
    let scene = Scene::new(vec![AS_USUAL]).await;
    scene.record(scene.asked(1, 1)).await;
    scene.record(scene.asked(1, 2)).await;
    assert_eq!(scene.read().len(), 1, "{:?}", scene.read());
    scene.cluster.behave(1, Manner::Serves(vec![(POOL, "1")]));
    scene.record(scene.asked(1, 3)).await;
    let told: Vec<String> = scene.read().iter().skip(1).map(shown).collect();
    assert_eq!(told, [format!("1 start {POOL}=1")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_store_that_does_not_answer_is_data_and_costs_nobody_else_anything() {
    let manners = vec![Manner::Hangs, Manner::Endless, Manner::Html, Manner::NotFound, AS_USUAL];
    let scene = Scene::new(manners).await;
    scene
        .record(async {
            scene.asked(5, 1).await;
            // A store that still fails says nothing new, and one that answers again does.
            scene.cluster.behave(3, AS_USUAL);
            scene.clock.pass(90_000);
            scene.asked(4, 2).await;
        })
        .await;
    let told: BTreeSet<String> = scene.read().iter().map(shown).collect();
    let all = settings_listed().count();
    let expected = [
        "1 start timeout".to_owned(),
        "2 start too_large".to_owned(),
        "3 start malformed".to_owned(),
        format!("3 start all {all}"),
        "4 start status".to_owned(),
        format!("5 start all {all}"),
    ];
    assert_eq!(told, BTreeSet::from(expected));
    let reader = CaptureReader::open(&scene.path()).expect("it opens");
    let stores = reader.pd_answers(TimeRange::ALL).expect("answers read");
    let stores: Vec<Timestamp> = stores
        .iter()
        .filter(|answer| answer.path.contains("/stores"))
        .map(|answer| answer.sent)
        .collect();
    let apart = stores.windows(2).map(|pair| pair[1] - pair[0]).filter(|apart| *apart < 60_000);
    let longest = apart.max().expect("PD was asked");
    assert!(longest < 3_000, "PD waited {longest} ms for a store that hangs");
    let known = KnownSettings::of(&scene.read());
    let failing = |store| known.stores[&StoreId(store)].failing.map(|(_, reason)| reason);
    assert_eq!([1, 3].map(failing), [Some(GapReason::Timeout), None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_recording_begins_with_the_settings_that_were_known() {
    let scene = Scene::new(vec![AS_USUAL]).await;
    scene
        .record(async {
            scene.asked(1, 1).await;
            scene.clock.pass(HOUR_MS);
            scene.asked(1, 2).await;
            scene.cluster.behave(1, Manner::Serves(vec![(POOL, "1")]));
            scene.clock.pass(HOUR_MS);
            scene.asked(1, 3).await;
        })
        .await;
    let read = scene.read();
    let [first, change] = &read[..] else { panic!("{read:?}") };
    let reader = CaptureReader::open(&scene.path()).expect("it opens");
    let part = |range: TimeRange, name: &str| {
        let path = scene.directory.path().join(name);
        let mut writer =
            CaptureWriter::create(&path, reader.meta().clone()).expect("it can be made");
        operator::capture::copy_range(&reader, range, &mut writer).expect("it can be copied");
        writer.finish().expect("it can be sealed");
        readings(&path)
    };
    let between = change.at + -60_000;
    let late = part(TimeRange::new(between, Timestamp::MAX), "late.capture");
    let [carried, same] = &late[..] else { panic!("{late:?}") };
    assert_eq!((carried.at, carried.occasion), (between, Occasion::Carried));
    assert_eq!((&carried.read, same), (&first.read, change));
    let early = part(TimeRange::new(first.at, between), "early.capture");
    assert_eq!(early, std::slice::from_ref(first));
}

/// What asking many stores costs: the seconds are printed, the bytes are bounded.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: ./test.sh runs it"]
async fn a_hundred_stores_cost_little() {
    for count in [4_u64, 100] {
        let scene = Scene::new(vec![AS_USUAL; count as usize]).await;
        scene
            .record(async {
                scene.asked(count, 1).await;
                scene.clock.pass(HOUR_MS);
                scene.asked(count, 2).await;
            })
            .await;
        let read = scene.read();
        assert_eq!(read.len() as u64, count, "what has not changed is not written");
        let took = read[read.len() - 1].at - read[0].at;
        let reader = CaptureReader::open(&scene.path()).expect("it opens");
        let bytes = reader.inventory().expect("counted").bytes;
        let bytes = bytes.iter().find(|(part, _)| part == "events").expect("there are events").1;
        println!("{count} stores: {took} ms for all, {} bytes of events a store", bytes / count);
        assert!(bytes / count < 16_384, "{bytes} bytes for {count} stores");
    }
}
