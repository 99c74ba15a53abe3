//! Which scrape target each member of PD is: by addresses and names, then by the ids of their etcds, then
//! by who leads when.

use super::Reason;
use super::address::{canonical, without_scheme};
use super::listing::{ListedMember, Listing};
use super::matching::Matching;
use super::stores::{AGREES, Candidate, MARGIN, hosts_of, label_values, short_names};
use super::told::{forms, node_keys, target_keys};

/// For each listed member, in the order of its name, the place of its target and why.
pub(super) fn match_members(
    listing: &Listing<'_>,
    targets: &[Candidate<'_>],
) -> Vec<Option<(usize, Reason)>> {
    let members: Vec<(&String, &ListedMember<'_>)> = listing.members.iter().collect();
    let mut matching = Matching::new(members.len(), targets.len());
    // A PD that exchanges messages with a member is another one.
    let possible = |member: usize, target: usize| {
        members[member].1.id.is_none_or(|id| !targets[target].shown.members.contains(&id))
    };
    let values = |target: usize| label_values(targets[target].target);
    let address = |member: usize| canonical(without_scheme(members[member].1.url));
    let told = &listing.told;
    let means_member =
        |member: usize| node_keys(told, &forms(&[address(member), members[member].0.clone()]));
    let means_target = |target: usize| target_keys(told, &forms(&values(target)));
    matching.by_key(Reason::Told, means_member, means_target, |_, _| true);
    matching.by_key(Reason::ListedAddress, |member| vec![address(member)], values, possible);
    let hosts = |member: usize| hosts_of([address(member).as_str()]);
    let instance_host = |target: usize| hosts_of([targets[target].target.instance()]);
    matching.by_key(Reason::OnlyTargetOfHost, hosts, instance_host, possible);
    let label_hosts = |target: usize| hosts_of(values(target).iter().map(String::as_str));
    matching.by_key(Reason::NamedByLabel, hosts, label_hosts, possible);
    let names = |member: usize| {
        let mut names = short_names([address(member).as_str()]);
        names.push(members[member].0.to_ascii_lowercase());
        names
    };
    let label_names = |target: usize| {
        let values = values(target);
        let mut names = short_names(values.iter().map(String::as_str));
        names.extend(values);
        names
    };
    matching.by_key(Reason::NamedByLabel, names, label_names, possible);
    let id =
        |id: Option<crate::model::MemberId>| id.map(|id| id.0.to_string()).into_iter().collect();
    matching.by_key(
        Reason::OwnId,
        |member| id(members[member].1.id),
        |target| id(targets[target].shown.member),
        possible,
    );
    let seen = |target: usize| !targets[target].shown.members.is_empty();
    matching.unique(Reason::PeersOfOthers, |member, target| {
        members[member].1.id.is_some() && seen(target) && possible(member, target)
    });
    matching.best(Reason::Behaviour, AGREES, MARGIN, |member, target| {
        let (name, listed) = members[member];
        targets[target].shown.agrees_with_member(name, listed, listing.leaders)
    });
    matching.rest(Reason::OnlyOneLeft, possible);
    matching
        .of_left
        .iter()
        .map(|pair| pair.map(|(target, reason)| (targets[target].place, reason)))
        .collect()
}
