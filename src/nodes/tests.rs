use std::collections::BTreeMap;

use super::*;
use crate::model::{
    Component, Labels, RegionCounts, Sample, Series, StoreId, Timestamp, Told, ToldNode,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

/// A series with the same value at every quarter of a minute for five minutes.
fn series(pairs: &[(&str, &str)], value: f64) -> Series {
    let samples = (0..20).map(|step| Sample { at: at(step * 15), value });
    Series { labels: Labels::from_pairs(pairs), samples: samples.collect() }
}

fn up(job: &str, instance: &str) -> Series {
    series(&[("__name__", "up"), ("job", job), ("instance", instance)], 1.0)
}

fn received(instance: &str, from: &str) -> Series {
    let name = "tikv_raftstore_message_recv_by_store";
    series(&[("__name__", name), ("job", "tikv"), ("instance", instance), ("store", from)], 9.0)
}

fn stores(listed: &[(u64, &'static str, &'static str)]) -> BTreeMap<StoreId, ListedStore<'static>> {
    let store = |(id, address, status_address): &(u64, &'static str, &'static str)| {
        (StoreId(*id), ListedStore { address, status_address, ..ListedStore::default() })
    };
    listed.iter().map(store).collect()
}

fn members(listed: &[(&str, &'static str)]) -> BTreeMap<String, ListedMember<'static>> {
    let member = |(name, url): &(&str, &'static str)| {
        ((*name).to_owned(), ListedMember { url, ..ListedMember::default() })
    };
    listed.iter().map(member).collect()
}

fn found(nodes: &Nodes) -> Vec<(String, Option<&str>, Reason)> {
    let stores = nodes.stores.iter();
    stores.map(|one| (one.name(), one.instance.as_deref(), one.reason)).collect()
}

fn store(
    name: &str,
    target: &'static str,
    reason: Reason,
) -> (String, Option<&'static str>, Reason) {
    (name.to_owned(), Some(target).filter(|target| !target.is_empty()), reason)
}

#[test]
fn a_store_is_the_target_at_its_status_address_or_the_only_one_of_its_host() {
    let listing = Listing {
        stores: stores(&[(1, "a:20160", "a:20180"), (4, "b:20160", ""), (5, "c:1", "")]),
        ..Listing::default()
    };
    let targets = [("tikv", "a:20180"), ("tikv", "b:9"), ("tikv", "c:2"), ("tikv", "c:3")];
    let series = targets.iter().map(|(job, instance)| up(job, instance)).collect();
    let (nodes, series) = Nodes::resolve(&listing, series);
    assert_eq!(
        found(&nodes),
        [
            store("store 1", "a:20180", Reason::ListedAddress),
            store("store 4", "b:9", Reason::OnlyTargetOfHost),
            store("store 5", "", Reason::NoTarget),
        ]
    );
    let unassigned: Vec<&str> = nodes.unassigned.iter().map(ScrapeTarget::instance).collect();
    assert_eq!(unassigned, ["c:2", "c:3"]);
    assert_eq!(series.len(), 2, "what may be another cluster's is not judged");
    assert_eq!((nodes.store(StoreId(4)), nodes.store_of_instance("b:9")), (Some(1), Some(1)));
}

#[test]
fn members_are_named_by_their_targets_where_pd_names_none() {
    let targets = || vec![up("pd", "p0:2379"), up("pd", "p1:2379"), up("node", "p0:9100")];
    let (unlisted, _) = Nodes::resolve(&Listing::default(), targets());
    assert_eq!(unlisted.member_names().collect::<Vec<_>>(), ["p0:2379", "p1:2379"]);
    assert_eq!(unlisted.instance_of_member("p1:2379").as_deref(), Some("p1:2379"));
    let members = members(&[("pd0", "http://p0:2379"), ("pd1", "http://q:2379/")]);
    let listing = Listing { members, ..Listing::default() };
    let (listed, _) = Nodes::resolve(&listing, targets());
    assert_eq!(listed.instance_of_member("pd0").as_deref(), Some("p0:2379"));
    assert_eq!(listed.members[1].reason, Reason::OnlyOneLeft);
    assert_eq!(listed.member_address("pd1"), "q:2379");
    assert_eq!(listed.member_address("pd9"), "pd9");
    assert!(listed.lacks(Component::Tikv) && !listed.lacks(Component::Node));
}

#[test]
fn pods_are_stores_by_the_names_that_pd_has_for_them() {
    let listing = Listing {
        stores: stores(&[
            (1, "basic-tikv-0.basic-tikv-peer.tidb.svc:20160", "0.0.0.0:20180"),
            (4, "basic-tikv-1.basic-tikv-peer.tidb.svc:20160", "0.0.0.0:20180"),
        ]),
        ..Listing::default()
    };
    let by_instance =
        vec![up("tidb-basic-tikv", "basic-tikv-1"), up("tidb-basic-tikv", "basic-tikv-0")];
    let (nodes, _) = Nodes::resolve(&listing, by_instance);
    let expected = [
        store("store 1", "basic-tikv-0", Reason::NamedByLabel),
        store("store 4", "basic-tikv-1", Reason::NamedByLabel),
    ];
    assert_eq!(found(&nodes), expected);
    let pod = |ip: &str, pod: &str| {
        let job = ("job", "basic-tikv-peer");
        series(&[("__name__", "up"), job, ("instance", ip), ("pod", pod)], 1.0)
    };
    let by_label =
        vec![pod("10.1.0.7:20180", "basic-tikv-1"), pod("10.1.0.9:20180", "basic-tikv-0")];
    let (nodes, _) = Nodes::resolve(&listing, by_label);
    let targets: Vec<_> = nodes.stores.iter().map(|one| one.instance.as_deref()).collect();
    assert_eq!(targets, [Some("10.1.0.9:20180"), Some("10.1.0.7:20180")]);
}

#[test]
fn a_store_without_a_known_name_is_the_one_that_its_peers_do_not_lack() {
    let listing = Listing {
        stores: stores(&[(1, "t0.db:20160", ""), (4, "t1.db:20160", ""), (5, "t2.db:20160", "")]),
        ..Listing::default()
    };
    let peers = [
        ("10.0.0.1:20180", ["4", "5"]),
        ("10.0.0.2:20180", ["1", "5"]),
        ("10.0.0.3:20180", ["1", "4"]),
    ];
    let series = || {
        let own = |(instance, from): &(&str, [&str; 2])| {
            vec![up("tikv", instance), received(instance, from[0]), received(instance, from[1])]
        };
        peers.iter().flat_map(own).collect::<Vec<Series>>()
    };
    let (nodes, _) = Nodes::resolve(&listing, series());
    let targets: Vec<_> = nodes.stores.iter().map(|one| one.instance.as_deref()).collect();
    assert_eq!(targets, [Some("10.0.0.1:20180"), Some("10.0.0.2:20180"), Some("10.0.0.3:20180")]);
    assert_eq!(nodes.stores[0].reason, Reason::PeersOfOthers);
    let (unlisted, _) = Nodes::resolve(&Listing::default(), series());
    let names: Vec<String> = unlisted.stores.iter().map(StoreNode::name).collect();
    assert_eq!(names, ["store 1", "store 4", "store 5"]);
}

#[test]
fn a_store_without_a_known_name_is_the_one_whose_counts_pd_has() {
    let counts = |leaders, regions| [(at(0), RegionCounts { leaders, regions })];
    let (first, second) = (counts(3, 20), counts(7, 20));
    let mut listed = stores(&[(1, "t0.db:20160", ""), (4, "t1.db:20160", "")]);
    for (id, counts) in [(1, &first), (4, &second)] {
        listed.get_mut(&StoreId(id)).expect("it is listed").counts = counts;
    }
    let listing = Listing { stores: listed, ..Listing::default() };
    let leads = |instance: &str, value: f64| {
        let kind = ("type", "leader");
        let name = ("__name__", "tikv_raftstore_region_count");
        series(&[name, ("job", "tikv"), ("instance", instance), kind], value)
    };
    let series = vec![leads("10.0.0.1:20180", 7.0), leads("10.0.0.2:20180", 3.0)];
    let (nodes, _) = Nodes::resolve(&listing, series);
    let expected = [
        store("store 1", "10.0.0.2:20180", Reason::Behaviour),
        store("store 4", "10.0.0.1:20180", Reason::Behaviour),
    ];
    assert_eq!(found(&nodes), expected);
}

#[test]
fn probes_and_machines_are_no_stores_though_they_share_an_instance() {
    let listing = Listing { stores: stores(&[(1, "a:20160", "a:20180")]), ..Listing::default() };
    let probe = series(
        &[
            ("__name__", "up"),
            ("job", "tidb_port_probe"),
            ("instance", "a:20180"),
            ("group", "tikv"),
        ],
        1.0,
    );
    let (nodes, series) = Nodes::resolve(&listing, vec![probe, up("tikv", "a:20180")]);
    assert_eq!(found(&nodes), [store("store 1", "a:20180", Reason::ListedAddress)]);
    let names: Vec<_> = series.iter().filter_map(|one| one.labels.get("instance")).collect();
    assert_eq!(names, ["tidb_port_probe/a:20180", "a:20180"]);
}

#[test]
fn a_tiflash_is_a_store_by_its_own_targets() {
    let mut listed = stores(&[(1, "a:20160", "a:20180"), (9, "f:3930", "f:20292")]);
    listed.get_mut(&StoreId(9)).expect("it is listed").is_tiflash = true;
    let listing = Listing { stores: listed, ..Listing::default() };
    let targets = vec![up("tikv", "a:20180"), up("tiflash", "f:8234"), up("tiflash", "f:20292")];
    let (nodes, _) = Nodes::resolve(&listing, targets);
    assert_eq!(nodes.stores[1].instance.as_deref(), Some("f:20292"));
    assert!(!nodes.stores[1].is_tikv() && nodes.unassigned.is_empty());
}

/// Two clusters in one Prometheus, told apart by a label.
fn clusters(instances: [&str; 2]) -> Vec<Series> {
    let of = |cluster: &str, instance: &str, leaders: f64| {
        let common = [("job", "tikv"), ("instance", instance), ("cluster", cluster)];
        let up = [&[("__name__", "up")], &common[..]].concat();
        let leads = [("__name__", "tikv_raftstore_region_count"), ("type", "leader")];
        vec![series(&up, 1.0), series(&[&leads[..], &common[..]].concat(), leaders)]
    };
    [of("other", instances[1], 30.0), of("ours", instances[0], 3.0)].concat()
}

#[test]
fn of_two_clusters_the_one_is_taken_that_pd_lists() {
    let listing = Listing { stores: stores(&[(1, "a:20160", "a:20180")]), ..Listing::default() };
    let (nodes, series) = Nodes::resolve(&listing, clusters(["a:20180", "b:20180"]));
    assert_eq!(found(&nodes), [store("store 1", "a:20180", Reason::ListedAddress)]);
    assert!(series.iter().all(|one| one.labels.get("cluster") == Some("ours")));
    assert_eq!(nodes.other_clusters, [Labels::from_pairs(&[("cluster", "other")])]);
}

#[test]
fn of_two_clusters_with_the_same_names_the_one_is_taken_that_behaves_as_pd_says() {
    let counts = [(at(0), RegionCounts { leaders: 3, regions: 20 })];
    let mut listed = stores(&[(1, "a:20160", "a:20180")]);
    listed.get_mut(&StoreId(1)).expect("it is listed").counts = &counts;
    let listing = Listing { stores: listed, ..Listing::default() };
    let (nodes, series) = Nodes::resolve(&listing, clusters(["a:20180", "a:20180"]));
    assert_eq!(nodes.stores.len(), 1);
    assert!(series.iter().all(|one| one.labels.get("cluster") == Some("ours")));
    let unknown = Listing { stores: stores(&[(1, "a:20160", "a:20180")]), ..Listing::default() };
    let (nodes, _) = Nodes::resolve(&unknown, clusters(["a:20180", "a:20180"]));
    assert_eq!((nodes.undecided_clusters.len(), nodes.stores[0].instance.as_deref()), (2, None));
}

#[test]
fn the_last_target_is_not_the_last_store_where_it_behaves_otherwise() {
    let counts = [(at(0), RegionCounts { leaders: 3, regions: 20 })];
    let mut listed = stores(&[(1, "a:20160", "a:20180")]);
    listed.get_mut(&StoreId(1)).expect("it is listed").counts = &counts;
    let listing = Listing { stores: listed, ..Listing::default() };
    let leads = |value: f64| {
        let (name, kind) = (("__name__", "tikv_raftstore_region_count"), ("type", "leader"));
        vec![series(&[name, ("job", "tikv"), ("instance", "10.0.0.9:20181"), kind], value)]
    };
    let (nodes, _) = Nodes::resolve(&listing, leads(30.0));
    assert_eq!((nodes.stores[0].reason, nodes.unassigned.len()), (Reason::NoTarget, 1));
    let (nodes, _) = Nodes::resolve(&listing, leads(3.0));
    assert_eq!(nodes.stores[0].instance.as_deref(), Some("10.0.0.9:20181"));
}

#[test]
fn an_address_belongs_to_the_store_that_has_it_now() {
    let mut listed = stores(&[(1, "a:20160", "a:20180"), (7, "a:20160", "a:20180")]);
    listed.get_mut(&StoreId(1)).expect("it is listed").is_removed = true;
    let listing = Listing { stores: listed, ..Listing::default() };
    let (nodes, _) = Nodes::resolve(&listing, vec![up("tikv", "a:20180")]);
    let targets: Vec<_> = nodes.stores.iter().map(|one| one.instance.as_deref()).collect();
    assert_eq!(targets, [None, Some("a:20180")]);
}

/// A series with a value at every quarter of a minute of some minutes.
fn during(pairs: &[(&str, &str)], minutes: std::ops::Range<i64>, value: f64) -> Series {
    let samples =
        (minutes.start * 4..minutes.end * 4).map(|step| Sample { at: at(step * 15), value });
    Series { labels: Labels::from_pairs(pairs), samples: samples.collect() }
}

/// What a TiKV shows of itself under these labels: that it is up, its start, and whom it hears.
fn tikv(labels: &[(&str, &str)], minutes: std::ops::Range<i64>, hears: &[&str]) -> Vec<Series> {
    let named = |name: &'static str, more: &[(&'static str, &str)]| -> Vec<(String, String)> {
        let all = labels.iter().chain(more).map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        all.chain([("__name__".to_owned(), name.to_owned())]).collect()
    };
    let one = |pairs: Vec<(String, String)>, value: f64| {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (&**a, &**b)).collect();
        during(&pairs, minutes.clone(), value)
    };
    let received = "tikv_raftstore_message_recv_by_store";
    let heard = hears.iter().map(|from| one(named(received, &[("store", from)]), 9.0));
    let own = [one(named("up", &[]), 1.0), one(named("process_start_time_seconds", &[]), 7.0)];
    own.into_iter().chain(heard).collect()
}

fn two_stores<'a>() -> Listing<'a> {
    let stores = stores(&[(1, "a.example.com:20160", ""), (4, "b.example.com:20160", "")]);
    Listing { stores, ..Listing::default() }
}

fn targets_of(nodes: &Nodes) -> Vec<Option<&str>> {
    nodes.stores.iter().map(|one| one.instance.as_deref()).collect()
}

#[test]
fn targets_of_a_federated_prometheus_keep_their_own_names() {
    let federated = |instance| {
        let labels = [
            ("job", "federate"),
            ("instance", "central:9090"),
            ("exported_job", "tikv"),
            ("exported_instance", instance),
        ];
        tikv(&labels, 0..5, &[])
    };
    let series = [federated("b.example.com:20180"), federated("a.example.com:20180")].concat();
    let example = series[0].labels.clone();
    let (nodes, _) = Nodes::resolve(&two_stores(), series);
    let names = [Some("a.example.com:20180"), Some("b.example.com:20180")];
    assert_eq!(targets_of(&nodes), names);
    assert!(nodes.has_target_of(&example));
}

#[test]
fn a_target_without_an_instance_has_the_name_of_its_pod() {
    let pod = |pod| tikv(&[("job", "tikv"), ("pod", pod)], 0..5, &[]);
    let (nodes, _) = Nodes::resolve(&two_stores(), [pod("b"), pod("a")].concat());
    assert_eq!(targets_of(&nodes), [Some("a"), Some("b")]);
}

#[test]
fn two_jobs_that_scrape_one_store_are_one_target() {
    let of = |job, instance, peer| tikv(&[("job", job), ("instance", instance)], 0..5, &[peer]);
    let series = [
        of("tikv", "10.0.0.7:20180", "1"),
        of("found", "10.0.0.7:20180", "1"),
        of("tikv", "10.0.0.8:20180", "4"),
        of("found", "10.0.0.8:20180", "4"),
    ];
    let (nodes, series) = Nodes::resolve(&two_stores(), series.concat());
    assert_eq!(targets_of(&nodes), [Some("10.0.0.8:20180"), Some("10.0.0.7:20180")]);
    let ups = series.iter().filter(|one| one.labels.metric() == "up");
    assert_eq!(ups.map(|one| one.samples.len()).collect::<Vec<_>>(), [20, 20]);
}

#[test]
fn two_stores_at_one_instance_are_two_targets() {
    let of =
        |port, peer| tikv(&[("job", "tikv"), ("instance", "host"), ("port", port)], 0..5, &[peer]);
    let (nodes, _) = Nodes::resolve(&two_stores(), [of("1", "4"), of("2", "1")].concat());
    assert_eq!(nodes.stores.iter().filter(|one| one.instance.is_some()).count(), 2);
}

#[test]
fn pods_at_one_instance_have_their_own_names_whatever_these_are() {
    let of =
        |pod, peer| tikv(&[("job", "tikv"), ("instance", "machine"), ("pod", pod)], 0..5, &[peer]);
    for (first, second) in [("a", "b"), ("b", "a")] {
        let series = [of(first, "4"), of(second, "1")].concat();
        let (nodes, _) = Nodes::resolve(&two_stores(), series);
        assert_eq!(targets_of(&nodes), [Some(first), Some(second)]);
    }
}

#[test]
fn a_pod_that_came_back_under_another_address_is_one_target() {
    let of = |instance, minutes, hears: &[&str]| {
        tikv(&[("job", "tikv"), ("instance", instance)], minutes, hears)
    };
    let series = [
        of("10.0.0.7:20180", 0..9, &["4"]),
        of("10.0.0.8:20180", 0..4, &["1"]),
        of("10.0.0.9:20180", 5..9, &[]),
    ];
    let (nodes, series) = Nodes::resolve(&two_stores(), series.concat());
    assert_eq!(targets_of(&nodes), [Some("10.0.0.7:20180"), Some("10.0.0.9:20180")]);
    let is_moved = |one: &&Series| one.labels.get("instance") == Some("10.0.0.9:20180");
    let moved: Vec<&Series> = series.iter().filter(is_moved).collect();
    let ups = moved.iter().filter(|one| one.labels.metric() == "up");
    assert_eq!(ups.map(|one| one.samples.len()).collect::<Vec<_>>(), [32]);
}

/// A store that PD removed and another one that joined after it, beside one that stays.
fn replaced<'a>(addresses: [&'static str; 3]) -> Listing<'a> {
    let [stays, leaves, joins] = addresses;
    let mut stores = stores(&[(1, leaves, ""), (4, stays, ""), (7, joins, "")]);
    let removed = stores.get_mut(&StoreId(1)).expect("it is listed");
    (removed.is_removed, removed.was_present) = (true, true);
    Listing { stores, ..Listing::default() }
}

fn scrapes_of_replaced() -> Vec<Series> {
    let of = |instance, minutes, hears: &[&str]| {
        tikv(&[("job", "tikv"), ("instance", instance)], minutes, hears)
    };
    let series = [
        of("10.0.0.4:20180", 0..9, &["1", "7"]),
        of("10.0.0.1:20180", 0..4, &["4"]),
        of("10.0.0.7:20180", 5..9, &["4"]),
    ];
    series.concat()
}

#[test]
fn a_store_does_not_inherit_the_history_of_the_one_that_it_replaced() {
    let addresses = ["10.0.0.4:20160", "10.0.0.1:20160", "10.0.0.7:20160"];
    let (nodes, series) = Nodes::resolve(&replaced(addresses), scrapes_of_replaced());
    let own = ["10.0.0.1:20180", "10.0.0.4:20180", "10.0.0.7:20180"];
    assert_eq!(targets_of(&nodes), own.map(Some));
    let ups = series.iter().filter(|one| one.labels.metric() == "up");
    assert_eq!(ups.map(|one| one.samples.len()).collect::<Vec<_>>(), [36, 16, 16]);
    // The same where not even a name says so, since the one that was removed had a target, too.
    let names = ["a.example.com:20160", "b.example.com:20160", "c.example.com:20160"];
    let (_, series) = Nodes::resolve(&replaced(names), scrapes_of_replaced());
    let ups = series.iter().filter(|one| one.labels.metric() == "up");
    assert!(ups.map(|one| one.samples.len()).all(|len| len == 36 || len == 16));
}

#[test]
fn a_target_at_the_address_of_a_removed_store_is_never_what_is_left_for_another() {
    let mut listing = replaced(["10.0.0.4:20160", "10.0.0.1:20160", "10.0.0.7:20160"]);
    let of = |instance, minutes| tikv(&[("job", "tikv"), ("instance", instance)], minutes, &[]);
    let series = [of("10.0.0.4:20180", 0..9), of("10.0.0.1:20180", 0..4)];
    let targets = |listing: &Listing<'_>| {
        let (nodes, _) = Nodes::resolve(listing, series.concat());
        targets_of(&nodes).into_iter().map(|one| one.map(str::to_owned)).collect::<Vec<_>>()
    };
    let own = |name: &str| Some(name.to_owned());
    assert_eq!(targets(&listing), [own("10.0.0.1:20180"), own("10.0.0.4:20180"), None]);
    // Where PD lists it no more as removed, nothing changes.
    listing.stores.get_mut(&StoreId(1)).expect("it is listed").is_removed = false;
    assert_eq!(targets(&listing), [own("10.0.0.1:20180"), own("10.0.0.4:20180"), None]);
}

#[test]
fn a_member_does_not_inherit_the_history_of_the_one_that_it_replaced() {
    let listed = [("pd-1", "http://10.0.0.1:2379"), ("pd-2", "http://10.0.0.2:2379")];
    let listing = Listing { members: members(&listed), ..Listing::default() };
    let of = |instance, minutes: std::ops::Range<i64>| {
        during(&[("__name__", "up"), ("job", "pd"), ("instance", instance)], minutes, 1.0)
    };
    // A third target, which nobody lists, is what makes them more than PD has members.
    let series = vec![of("10.0.0.1:2379", 0..4), of("10.0.0.2:2379", 5..9), of("x:2379", 0..9)];
    let (nodes, _) = Nodes::resolve(&listing, series);
    let targets = nodes.members.iter().map(|one| one.instance.as_deref());
    let own = [Some("10.0.0.1:2379"), Some("10.0.0.2:2379")];
    assert_eq!(targets.collect::<Vec<_>>(), own);
}

#[test]
fn stores_and_members_may_have_labels_of_clusters_of_their_own() {
    let listing =
        Listing { members: members(&[("pd0", "http://p.db.example.com:2379")]), ..two_stores() };
    let tikv = |instance, peer| {
        let labels = [("job", "tikv"), ("instance", instance), ("cluster", "prod")];
        tikv(&labels, 0..5, &[peer])
    };
    let series =
        [tikv("10.0.0.7:20180", "1"), tikv("10.0.0.8:20180", "4"), vec![up("pd", "10.0.0.3:2379")]];
    let (nodes, _) = Nodes::resolve(&listing, series.concat());
    assert_eq!(targets_of(&nodes), [Some("10.0.0.8:20180"), Some("10.0.0.7:20180")]);
    assert_eq!(nodes.instance_of_member("pd0").as_deref(), Some("10.0.0.3:2379"));
    assert!(nodes.other_clusters.is_empty());
}

fn told(cluster: Option<&str>, nodes: &[&str]) -> Told {
    let nodes = nodes.iter().map(|text| ToldNode::parse(text).expect("two names"));
    Told { cluster: cluster.map(str::to_owned), nodes: nodes.collect() }
}

#[test]
fn somebody_who_names_a_target_is_believed() {
    let targets = || vec![up("tikv", "10.0.0.7:20180"), up("tikv", "10.0.0.8:20180")];
    let (open, _) = Nodes::resolve(&two_stores(), targets());
    assert_eq!(targets_of(&open), [None, None]);
    for names in ["a=10.0.0.8:20180", "10.0.0.8=a.example.com:20160", "1=10.0.0.8"] {
        let listing = Listing { told: told(None, &[names]), ..two_stores() };
        let (nodes, _) = Nodes::resolve(&listing, targets());
        assert_eq!(nodes.stores[0].reason, Reason::Told, "{names}");
        assert_eq!(targets_of(&nodes), [Some("10.0.0.8:20180"), Some("10.0.0.7:20180")]);
    }
}

#[test]
fn somebody_who_names_the_cluster_is_believed() {
    let of = |tenant, host: &str| {
        let instance = format!("{host}.example.com:20180");
        tikv(&[("job", "tikv"), ("instance", &instance), ("tenant", tenant)], 0..5, &[])
    };
    let series = || [of("x", "a"), of("x", "b"), of("y", "a"), of("y", "b")].concat();
    let (open, _) = Nodes::resolve(&two_stores(), series());
    assert_eq!(targets_of(&open), [None, None]);
    for name in ["y", "tenant=y"] {
        let listing = Listing { told: told(Some(name), &[]), ..two_stores() };
        let (nodes, kept) = Nodes::resolve(&listing, series());
        assert_eq!(targets_of(&nodes), [Some("a.example.com:20180"), Some("b.example.com:20180")]);
        assert!(kept.iter().all(|one| one.labels.get("tenant") == Some("y")));
        assert_eq!(nodes.other_clusters, [Labels::from_pairs(&[("tenant", "x")])]);
    }
}

#[test]
fn what_somebody_says_and_matches_nothing_is_reported_and_changes_nothing() {
    let of = |tenant, host: &str| {
        let instance = format!("{host}.example.com:20180");
        tikv(&[("job", "tikv"), ("instance", &instance), ("cluster", tenant)], 0..5, &[])
    };
    let series = || [of("prod", "a"), of("prod", "b")].concat();
    for name in ["prdo", "cluster=prdo", "clustr=prod"] {
        let listing = Listing { told: told(Some(name), &[]), ..two_stores() };
        let (nodes, kept) = Nodes::resolve(&listing, series());
        let said = format!("no target is of a cluster {name:?}: there is cluster=prod");
        assert_eq!(nodes.unmatched_answers, [said]);
        assert_eq!(kept.len(), series().len());
    }
    let nodes = ["a.example.com:20160=c.example.com:20180", "4=b.example.com"];
    let listing = Listing { told: told(Some("prod"), &nodes), ..two_stores() };
    let (nodes, _) = Nodes::resolve(&listing, series());
    let said = nodes.unmatched_answers.join("; ");
    assert!(said.starts_with("no node and no target is called \"c.example.com:20180\""), "{said}");
    assert_eq!(nodes.unmatched_answers.len(), 1);
}
