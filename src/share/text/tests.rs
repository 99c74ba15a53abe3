//! Which words of a text are replaced.

use super::*;

/// Writes what it replaces in angle brackets.
struct Marked;

impl Words for Marked {
    fn unlisted(&mut self, word: &str, kind: Kind) -> Option<String> {
        Some(format!("<{word}:{kind:?}>"))
    }

    fn listed(&mut self, word: &str) -> Option<String> {
        ["known", "shop-tikv-9"].contains(&word).then(|| "<known>".to_owned())
    }

    fn part(&mut self, whole: &str, kind: Kind) -> Option<String> {
        Some(format!("<{whole}:{kind:?}>"))
    }
}

fn marked(text: &str, class: Class) -> String {
    rewrite(text, class, &mut Marked)
}

#[test]
fn names_keep_their_form() {
    for (text, expected) in [
        ("10.77.0.20:20160", "<10.77.0.20:Address>:20160"),
        ("http://[fd00::1]:2379", "http://<fd00::1:Address>:2379"),
        ("145.63.124.208", "<145.63.124.208:Address>"),
        ("127.9.8.7", "<127.9.8.7:Address>"),
        ("fd00::1", "<fd00::1:Address>"),
        ("[::1]:2379", "[::1]:2379"),
        ("127.0.0.1:9090", "127.0.0.1:9090"),
        ("ip-10-0-1-13.internal", "ip-<10-0-1-13:Address>.<internal:Name>"),
        ("pd-10.0.1.3-2379", "pd-<10.0.1.3:Address>-2379"),
        (
            "acme-tikv-3.acme-tikv-peer.shop.svc:20160",
            "<acme-tikv-3:Host>.<acme-tikv-peer:Name>.<shop:Name>.svc:20160",
        ),
        ("acme-tikv", "<acme:Name>-tikv"),
        ("shop-tikv-9", "<known>"),
        ("shop-tikv-9_payments-tikv", "<known>_<payments:Name>-tikv"),
        ("tikv-483920.name-100000.svc:1", "tikv-483920.name-100000.svc:1"),
        ("/home/bob/pd0", "/</home:Path>/<bob:Path>/</home/bob/pd0:Path>"),
        ("/path-483920/pd/x", "/path-483920/</path-483920/pd:Path>/</path-483920/pd/x:Path>"),
        ("/pd/api/v1/stores", "/pd/api/v1/stores"),
        ("https://bob@db17x:1", "https://<bob:User>@<db17x:Name>:1"),
        ("02:42:ac:11:00:02", "<02:42:ac:11:00:02:Address>"),
        ("16:31:02", "16:31:02"),
        ("10.229806477s", "10.229806477s"),
        ("v8.5.8", "v8.5.8"),
        ("4.167999999999999e-05", "4.167999999999999e-05"),
        ("2026-11-24T16:20:07.97702249Z", "2026-11-24T16:20:07.97702249Z"),
        ("7711772636774947891", "<7711772636774947891:Name>"),
        ("cluster7711772636774947891", "cluster<7711772636774947891:Name>"),
    ] {
        assert_eq!(marked(text, Class::Name), expected);
    }
}

#[test]
fn a_host_and_a_path_are_replaced_as_a_whole() {
    for (text, expected) in [
        (
            "tikv-acme-prod-3.internal.acme.com:20160",
            "<tikv-acme-prod-3:Host>.<internal:Name>.<acme:Name>.<com:Name>:20160",
        ),
        ("acme-tikv-3:20180", "<acme-tikv-3:Host>:20180"),
        ("https://bob@db17x:1", "https://<bob:User>@<db17x:Host>:1"),
        ("tikv-3:20180", "tikv-3:20180"),
        ("pd0", "pd0"),
        ("[fd00:1:2::3]:2379", "<fd00:1:2::3:Address>:2379"),
        ("fd00:1::3", "<fd00:1::3:Address>"),
        ("tikv0.db.example.com", "tikv0.<db:Name>.<example.com:Name>.<com:Name>"),
        ("basic-tikv-1", "<basic-tikv-1:Host>"),
        (
            "/data/deploy/pd0/data",
            "/</data:Path>/</data/deploy:Path>/</data/deploy/pd0:Path>/</data/deploy/pd0/data:Path>",
        ),
    ] {
        assert_eq!(marked(text, Class::Host), expected);
    }
}

#[test]
fn notes_keep_plain_words() {
    for (text, expected) in [
        ("the disk of known was slow.", "the disk of <known> was slow."),
        ("mallory saw it", "mallory saw it"),
        ("Acme's db17x, bob@x.y!", "<Acme:Name>'s <db17x:Name>, <bob:User>@x.y!"),
        (
            "ssh shop-tikv-9 and see /data/acme/raft",
            "ssh <known> and see /</data:Path>/<acme:Path>/</data/acme/raft:Path>",
        ),
        ("curl http://admin:backup@pd0:1/", "curl http://admin:<backup:User>@pd0:1/"),
        ("注 ✓", "<注:Name> ✓"),
    ] {
        assert_eq!(marked(text, Class::Note), expected);
    }
}

#[test]
fn messages_keep_the_words_of_programs_alone() {
    for (text, expected) in [
        (
            "cannot reach http://10.0.0.1:2379/pd/api/v1/ping: client error (Connect)",
            "cannot reach http://<10.0.0.1:Address>:2379/pd/api/v1/ping: client error (Connect)",
        ),
        ("[PD:server:ErrLeaderNil]leader is nil", "[PD:server:ErrLeaderNil]leader is nil"),
        (
            "dial tcp: lookup secrethost on 10.9.9.9:53: no such host",
            "dial tcp: lookup <secrethost:Host> on <10.9.9.9:Address>:53: no such host",
        ),
        ("lookup proxy-backup on", "lookup <proxy-backup:Host> on"),
        ("dial [fd00::3]:2379, [::1]:1", "dial <fd00::3:Address>:2379, [::1]:1"),
        ("lookup gateway on", "lookup <gateway:Host> on"),
        (
            "x509: certificate is valid for vaultbox, not mallory",
            "x509: certificate is valid for <vaultbox:Host>, not <mallory:Name>",
        ),
        ("permission denied for user mallory", "permission denied for user <mallory:Host>"),
        (
            "password authentication failed for user \"monitor\"",
            "password authentication failed for user \"<monitor:Host>\"",
        ),
        (
            "dial tcp webproxy:3128: connect: connection refused",
            "dial tcp <webproxy:Host>:3128: connect: connection refused",
        ),
        ("in pod basic-tikv-1, of tikv-1", "in pod <basic-tikv-1:Host>, of tikv-1"),
        ("in pod basic-pd-0_tikv(x)", "in pod <basic-pd-0:Host>_tikv(x)"),
        ("pd-ctl of tidb-server", "pd-ctl of tidb-server"),
        ("Back-off restarting failed container", "Back-off restarting failed container"),
        (
            "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
            "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
        ),
        (
            "[region_id=12] [raft_id=4] [kind=Other] took 1.5s",
            "[region_id=12] [raft_id=4] [kind=Other] took 1.5s",
        ),
        (
            "at components/raftstore/src/store/peer_storage.rs:484",
            "at components/raftstore/src/store/peer_storage.rs:484",
        ),
        (
            "/home/bob/agent/components/raftstore/src/a.rs:2",
            "/</home:Path>/<bob:Path>/<agent:Path>/components/raftstore/src/a.rs:2",
        ),
        (
            r"0: tikv_util::set_panic_hook::{{closure}}\n  at /acme/src/lib.rs:496:18\nAcme: x",
            r"0: tikv_util::set_panic_hook::{{closure}}\n  at /<acme:Path>/src/lib.rs:496:18\n<Acme:Name>: x",
        ),
        ("raftstore::store::fsm::apply::exec", "raftstore::store::fsm::apply::exec"),
        (
            "prod-db.corp.example.com is down",
            "<prod-db:Host>.<corp:Name>.<example.com:Name>.<com:Name> is down",
        ),
        (
            "open /var/lib/acme: no space left on device",
            "open /</var:Path>/</var/lib:Path>/<acme:Path>: no space left on device",
        ),
        ("took 0.00029160000000000004s", "took 0.00029160000000000004s"),
        ("http://admin:backup@pd0:2379/", "http://admin:<backup:User>@pd0:2379/"),
        ("root:backup@tcp(pd0:4000)/test", "root:<backup:User>@tcp(pd0:4000)/</test:Path>"),
        ("image tikv:8.5.8@sha256", "image tikv:8.5.8@sha256"),
        ("user=root&password=backup&x=1", "user=root&password=<backup:User>&x=1"),
        ("curl -u admin:backup -s", "curl -u admin:<backup:Host> -s"),
    ] {
        assert_eq!(marked(text, Class::Message), expected);
    }
}

#[test]
fn code_loses_addresses_and_what_is_known() {
    for (text, expected) in [
        ("balance-leader-scheduler", "balance-leader-scheduler"),
        ("mv peer: store [1] to [4]", "mv peer: store [1] to [4]"),
        ("to known", "to <known>"),
        ("std::fs::add", "std::fs::add"),
        ("at 16:26:55.586 of 10.1.2.3", "at 16:26:55.586 of <10.1.2.3:Address>"),
        ("7480000000000000FF", "<7480000000000000FF:Token>"),
    ] {
        assert_eq!(marked(text, Class::Code), expected);
    }
}
