//! Addresses as networks have them: IPv6, address translation, TLS, several nodes on one host.

use operator::model::PdOutcome;

use super::naming::{Named, ip, pod, pod_dns, rename, tiup, tiup_member};
use crate::run::Run;

/// TiUP with TLS: URLs of PD say `https`.
pub(super) fn tls(run: &mut Run) {
    tiup(run);
    for answer in &mut run.pd {
        answer.url = answer.url.replace("http://", "https://");
        if let PdOutcome::Answered { body, .. } = &mut answer.outcome {
            let text = String::from_utf8_lossy(body).replace("http://", "https://");
            *body = text.into_bytes().into();
        }
    }
}

/// IPv6, in brackets.
pub(super) fn ipv6(run: &mut Run) {
    rename(run, |node| {
        let host = format!("[fd00:10::{:x}]", ip(node));
        let instance = format!("{host}:{}", node.port());
        Named::new(node, host, vec![("job", node.component.to_owned()), ("instance", instance)])
    });
}

/// IPv6, which PD lists at full length and Prometheus in short.
pub(super) fn ipv6_spelled_out(run: &mut Run) {
    rename(run, |node| {
        let listed = format!("[fd00:10:0:0:0:0:0:{:X}]", ip(node));
        let instance = format!("[fd00:10::{:x}]:{}", ip(node), node.port());
        Named::new(node, listed, vec![("job", node.component.to_owned()), ("instance", instance)])
    });
}

/// PD knows the services inside, and Prometheus one address outside with a port for each.
pub(super) fn node_ports(run: &mut Run) {
    rename(run, |node| {
        let port = 30_000 + ip(node) * 7;
        let instance = format!("203.0.113.7:{port}");
        let labels = vec![("job", node.component.to_owned()), ("instance", instance)];
        let member = if node.component == "pd" { pod(node) } else { String::new() };
        Named { member, ..Named::new(node, pod_dns(node), labels) }
    });
}

/// Two stores and two members on each host, at ports of their own. PD lists IPs, Prometheus names.
pub(super) fn two_on_a_host(run: &mut Run) {
    rename(run, |node| {
        let (number, port_offset) = (node.index / 2 + 1, node.index % 2 + 1);
        let listed = format!("10.0.1.{number}");
        let instance = format!("db{number}.acme.internal:{}", node.port() + port_offset);
        let labels = vec![("job", node.component.to_owned()), ("instance", instance)];
        let member = tiup_member(node, &listed);
        let member = if member.is_empty() { member } else { format!("{member}{port_offset}") };
        Named { member, port_offset, ..Named::new(node, listed, labels) }
    });
}

/// PD lists IPs, and Prometheus has names.
pub(super) fn names_for_ips(run: &mut Run) {
    rename(run, |node| {
        let listed = format!("10.0.1.{}", ip(node));
        let letter = char::from(b'a' + (node.index * 3 % 5) as u8);
        let instance = format!("{}-{letter}.acme.internal:{}", node.component, node.port());
        let labels = vec![("job", node.component.to_owned()), ("instance", instance)];
        Named { member: tiup_member(node, &listed), ..Named::new(node, listed, labels) }
    });
}
