use super::*;
use crate::share::key::KEY_BYTES;

fn originals(texts: &[&str]) -> Originals {
    let mut originals = Originals::default();
    for text in texts {
        originals.text(text, Class::Name);
    }
    originals
}

fn key(seed: u8) -> Key {
    Key::new([seed; KEY_BYTES])
}

#[test]
fn names_keep_their_kind_and_hosts_are_one_word() {
    let mut originals = originals(&["shop-tikv-peer", "10.1.2.3:20160"]);
    originals.text("shop-tikv-0", Class::Host);
    originals.host("10.1.2.3", Role::Tikv);
    let mapping = originals.mapping(&key(1));
    let (shop, pod) = (&mapping.words["shop"], &mapping.words["shop-tikv-0"]);
    let host = &mapping.words["10.1.2.3"];
    assert!(pod.starts_with("tikv-") && host.starts_with("tikv-") && pod != host);
    assert_eq!(mapping.known("shop-tikv-0_shop-tikv-peer"), format!("{pod}_{shop}-tikv-peer"));
    assert_eq!(mapping.known("http://10.1.2.3:20180/x"), format!("http://{host}:20180/x"));
    let scrubbed = mapping.scrub("10.1.2.3 lost oscar-db\nfor mallory");
    assert_eq!(scrubbed.text, format!("{host} lost redacted-db\nfor redacted"));
    assert_eq!((scrubbed.passed, scrubbed.replaced), (3, 3));
    let back = mapping.reverse(&format!("{host} and {pod}, name-9"));
    let back = back.expect("the pattern is fine");
    assert_eq!(back.text, "10.1.2.3 and shop-tikv-0, name-9");
    assert_eq!((back.translated, back.unknown), (2, ["name-9".to_owned()].into()));
}

#[test]
fn a_message_calls_a_host_as_its_address_does() {
    // Every word of the name is one of messages too.
    let address = "basic-tikv-1.basic-tikv-peer.backup.svc:20160";
    let mut originals = Originals::default();
    originals.text(address, Class::Host);
    let mapping = originals.mapping(&key(1));
    let written = content(&mapping).text(address, Class::Host);
    assert!(written.starts_with("tikv-") && written.ends_with(".svc:20160"), "{written}");
    assert_eq!(
        mapping.known(&format!("dial {address} refused")),
        format!("dial {written} refused")
    );
}

#[test]
fn the_namespace_behind_a_pod_is_collected_and_replaced() {
    let mut originals = Originals::default();
    originals.text("shop-tikv-0", Class::Host);
    let text = "failed container in pod shop-tikv-0_payments(";
    originals.text(text, Class::Message);
    originals.text("raft-store_acmes", Class::Code);
    assert!(!originals.words.contains_key("acmes"), "what programs fix names nothing");
    let written = originals.mapping(&key(1)).known(text);
    assert!(!written.contains("shop") && !written.contains("payments"), "{written}");
}

#[test]
fn a_pseudonym_follows_from_the_key_and_the_original_alone() {
    let hosts: Vec<String> = (0..40).map(|number| format!("10.0.0.{number}")).collect();
    let texts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let of = |texts: &[&str], seed| originals(texts).mapping(&key(seed)).words;
    let all = of(&texts, 1);
    assert_ne!(all, of(&texts, 2));
    for few in [&texts[..3], &texts[20..]] {
        assert!(of(few, 1).iter().all(|(host, name)| all.get(host) == Some(name)));
    }
    let numbers: Vec<String> = all.into_values().collect();
    assert!(!numbers.is_sorted(), "the order of the originals shows");
}

#[test]
fn a_pseudonym_is_no_original_of_the_same_capture() {
    let name = originals(&["acme"]).mapping(&key(1)).words["acme"].clone();
    let both = originals(&["acme", &format!("{name}.svc")]);
    let other = &both.mapping(&key(1)).words["acme"];
    assert!(*other != name && is_pseudonym(other), "{other}");
}

#[test]
fn identifiers_are_the_same_in_both_notations_and_come_back() {
    let mut originals = originals(&["1628dba6517fd499"]);
    originals.id(0x1628_dba6_517f_d499);
    let mapping = originals.mapping(&key(1));
    let decimal = content(&mapping).id(0x1628_dba6_517f_d499);
    let hexadecimal = format!("{decimal:x}");
    assert!(hexadecimal.bytes().all(|byte| byte.is_ascii_digit()) && decimal < 1_000_000);
    assert_eq!(mapping.known("1628dba6517fd499"), hexadecimal);
    assert_eq!(mapping.counts(), &[("id".to_owned(), 1)].into(), "it counts once");
    assert_eq!(mapping.known("1596767575281226905"), decimal.to_string());
    let back = mapping.reverse(&format!("cluster {decimal}, or {hexadecimal}"));
    assert_eq!(
        back.expect("the pattern is fine").text,
        "cluster 1596767575281226905, or 1628dba6517fd499"
    );
}

#[test]
fn keys_of_regions_become_ranks_in_their_order_and_come_back() {
    let mut originals = Originals::default();
    for key in ["74800000FF", "7480", "", "99"] {
        originals.key(key);
    }
    let mapping = originals.mapping(&key(1));
    let ranks = ["7480", "74800000ff", "99", ""].map(|key| content(&mapping).key(key));
    assert_eq!(ranks, ["000001", "000002", "000003", ""]);
    let back = mapping.reverse("start_key: 000002, 000009").expect("the pattern is fine");
    assert_eq!(back.text, "start_key: 74800000FF, 000009");
    assert_eq!((back.translated, back.unknown), (1, BTreeSet::new()), "a number alone may be one");
}

#[test]
fn parts_of_paths_come_back() {
    let mapping = originals(&["/data/acme/pd0"]).mapping(&key(1));
    let written = rewrite("/data/acme/pd0", Class::Name, &mut Known(&mapping));
    assert!(!written.contains("data") && !written.contains("pd0"), "{written}");
    assert_eq!(mapping.reverse(&written).expect("the pattern is fine").text, "/data/acme/pd0");
}

#[test]
fn words_of_the_program_stay_and_are_no_secrets() {
    let mut originals = originals(&["apply", "acme", "region"]);
    originals.fixed("apply_wait");
    originals.fixed("apply-low");
    originals.text("monitor", Class::Host);
    let mapping = originals.mapping(&key(1));
    let acme = &mapping.words["acme"];
    assert_eq!(mapping.known("apply acme"), format!("apply {acme}"));
    assert_eq!(mapping.originals().collect::<Vec<_>>(), ["acme"]);
    assert_ne!(mapping.known("monitor"), "monitor");
}
