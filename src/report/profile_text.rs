//! Profiles as text and JSON: what each holds, and which stacks grew between two of a node.

use serde_json::{Value, json};

use super::quantities::{count, size};
use crate::diagnose::counted;
use crate::model::{ProfileEvent, ProfileKind, StackGrowth, escape, growth};

/// Stacks that are shown of each profile or growth.
const MOST_SHOWN: usize = 5;
/// Frames that are shown of a stack.
const FRAMES_SHOWN: usize = 4;

/// The first and the last profile of each kind of a node, where there are two.
fn pairs(profiles: &[ProfileEvent]) -> Vec<(&ProfileEvent, &ProfileEvent)> {
    let mut pairs: Vec<(&ProfileEvent, &ProfileEvent)> = Vec::new();
    for profile in profiles {
        let is_same = |held: &ProfileEvent| held.node == profile.node && held.what == profile.what;
        match pairs.iter_mut().find(|(first, _)| is_same(first)) {
            Some((_, last)) => *last = profile,
            None => pairs.push((profile, profile)),
        }
    }
    pairs
}

/// What the profiles of nodes say, those of a node and kind in order of time: what grew, or what the only one holds.
pub fn profiles_text(profiles: &[ProfileEvent]) -> String {
    if profiles.is_empty() {
        return "no profiles were taken\n".to_owned();
    }
    let mut text = String::new();
    for (first, last) in pairs(profiles) {
        if first == last {
            text.push_str(&held_text(last));
        } else {
            text.push_str(&growth_text(first, last));
        }
    }
    text
}

fn held_text(profile: &ProfileEvent) -> String {
    let total = amount(profile.what, profile.total);
    let head = format!("{}: {total} of {} at {}", profile.node, profile.what.name(), profile.at);
    let mut text = format!("{}\n", escape(&head));
    for stack in profile.stacks.iter().take(MOST_SHOWN) {
        text.push_str(&stack_text(&amount(profile.what, stack.value), &stack.frames));
    }
    text
}

fn growth_text(first: &ProfileEvent, last: &ProfileEvent) -> String {
    let what = last.what;
    let head = format!(
        "{}: {} from {} to {} within {} s",
        last.node,
        what.name(),
        amount(what, first.total),
        amount(what, last.total),
        (last.at - first.at) / 1_000
    );
    let mut text = format!("{}\n", escape(&head));
    let grown = growth(first, last);
    for StackGrowth { before, after, frames } in grown.iter().take(MOST_SHOWN) {
        let more = format!("+{} to {}", amount(what, after - before), amount(what, *after));
        text.push_str(&stack_text(&more, frames));
    }
    if grown.is_empty() {
        text.push_str("  no stack grew\n");
    }
    text
}

fn stack_text(amount: &str, frames: &[String]) -> String {
    let mut shown: Vec<&str> = frames.iter().take(FRAMES_SHOWN).map(String::as_str).collect();
    let more = frames.len().saturating_sub(FRAMES_SHOWN);
    let more = if more > 0 { counted(more as u64, "caller") } else { String::new() };
    if !more.is_empty() {
        shown.push(&more);
    }
    let mut text = format!("  {amount}\n");
    for (depth, frame) in shown.iter().enumerate() {
        let from = if depth == 0 { "in" } else { "by" };
        text.push_str(&format!("    {from} {}\n", escape(frame)));
    }
    text
}

fn amount(what: ProfileKind, value: u64) -> String {
    match what {
        ProfileKind::Heap => size(value),
        ProfileKind::Goroutines => count(value),
    }
}

/// The same as a JSON value.
pub fn profiles_json(profiles: &[ProfileEvent]) -> Value {
    let stacks = |profile: &ProfileEvent| {
        let stacks = profile.stacks.iter();
        let stacks = stacks.map(|one| json!({ "value": one.value, "frames": one.frames }));
        stacks.collect::<Vec<Value>>()
    };
    let taken = profiles.iter().map(|one| {
        json!({
            "node": one.node, "component": one.component, "what": one.what.name(), "at": one.at,
            "total": one.total, "stacks": stacks(one),
        })
    });
    let grown = pairs(profiles).into_iter().filter(|(first, last)| first != last);
    let grown = grown.map(|(first, last)| {
        let grown = growth(first, last);
        let grown = grown
            .iter()
            .map(|one| json!({ "before": one.before, "after": one.after, "frames": one.frames }));
        json!({
            "node": last.node, "what": last.what.name(), "from": first.at, "to": last.at,
            "before": first.total, "after": last.total, "stacks": grown.collect::<Vec<Value>>(),
        })
    });
    json!({
        "schema": 1,
        "profiles": taken.collect::<Vec<Value>>(),
        "growth": grown.collect::<Vec<Value>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn profile(second: i64, what: ProfileKind, stacks: &[(&str, u64)]) -> ProfileEvent {
        let at = Timestamp::from_millis(second * 1_000);
        let stacks = stacks.iter().map(|(frames, value)| {
            (frames.split(' ').map(str::to_owned).collect::<Vec<String>>(), *value)
        });
        ProfileEvent::new((at, what), ("pd0", "pd"), stacks)
    }

    #[test]
    fn what_grew_is_named_with_its_callers() {
        let profiles = [
            profile(10, ProfileKind::Heap, &[("runtime.a main.b", 1 << 20)]),
            profile(20, ProfileKind::Goroutines, &[("runtime.gopark net/http.serve", 40)]),
            profile(
                190,
                ProfileKind::Heap,
                &[("runtime.a main.b", 3 << 20), ("os.a os.b os.c os.d os.e os.f", 1 << 20)],
            ),
        ];
        let expected = "\
pd0: heap from 1.0 MiB to 4.0 MiB within 180 s
  +2.0 MiB to 3.0 MiB
    in runtime.a
    by main.b
  +1.0 MiB to 1.0 MiB
    in os.a
    by os.b
    by os.c
    by os.d
    by 2 callers
pd0: 40 of goroutines at 1970-01-01T00:00:20.000Z
  40
    in runtime.gopark
    by net/http.serve
";
        assert_eq!(profiles_text(&profiles), expected);
        let json = profiles_json(&profiles);
        assert_eq!(json["growth"][0]["stacks"][0]["after"], 3 << 20);
        assert_eq!(json["growth"][1], Value::Null);
    }
}
