//! What a process holds in memory, or does, by the stacks of its functions, as it stands in a capture.
//!
//! It is stored as an [`Event`] of the kind [`EventKind::PROFILE`]; here is the one place that knows which field holds
//! what. Only names of functions of public modules are ever read out of one, so that it can name nothing else.

use std::collections::BTreeMap;

use super::event::{Event, EventKind};
use super::time::Timestamp;

/// What a profile counts. The names are stable: they stand in captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProfileKind {
    /// Bytes that are in use, by who allocated them.
    Heap,
    /// Goroutines, by what they do.
    Goroutines,
}

impl ProfileKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Heap, Self::Goroutines];

    /// The name that stands in captures and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Goroutines => "goroutines",
        }
    }
}

/// A stack with what it counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileStack {
    /// Bytes, or goroutines.
    pub value: u64,
    /// Names of functions, the innermost one first.
    pub frames: Vec<String>,
}

/// A profile of a node, reduced to its largest stacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProfileEvent {
    /// When it was taken, by the recorder's clock.
    pub at: Timestamp,
    /// The node.
    pub node: String,
    /// `pd`.
    pub component: String,
    /// What is counted.
    pub what: ProfileKind,
    /// Of all stacks together.
    pub total: u64,
    /// The largest stacks, descending by value, then by frames.
    pub stacks: Vec<ProfileStack>,
}

/// The most stacks that are kept, and the most frames of each.
const MOST_STACKS: usize = 100;
const MOST_FRAMES: usize = 24;
/// The most bytes of stacks that are kept.
const MOST_BYTES: usize = 32 << 10;
/// What stands for a function that is of no public module.
const OTHER: &str = "(other)";
/// Packages of Go's library by their first folder, ascending, and the program's own. `type` are functions that Go's
/// compiler makes.
const OF_GO: [&str; 40] = [
    "archive",
    "bufio",
    "bytes",
    "cmp",
    "compress",
    "container",
    "context",
    "crypto",
    "database",
    "encoding",
    "errors",
    "expvar",
    "fmt",
    "hash",
    "html",
    "internal",
    "io",
    "iter",
    "log",
    "main",
    "maps",
    "math",
    "mime",
    "net",
    "os",
    "path",
    "reflect",
    "regexp",
    "runtime",
    "slices",
    "sort",
    "strconv",
    "strings",
    "sync",
    "syscall",
    "text",
    "time",
    "type",
    "unicode",
    "vendor",
];
/// Where public Go modules begin that PD is built of (`go.mod` of tikv/pd).
const PUBLIC: [&str; 8] = [
    "github.com/pingcap/",
    "github.com/tikv/",
    "github.com/gin-gonic/",
    "github.com/gorilla/",
    "github.com/prometheus/",
    "go.etcd.io/",
    "go.uber.org/",
    "google.golang.org/",
];

impl ProfileEvent {
    /// Keeps the largest of these stacks, and of each the names that may be kept.
    pub fn new(
        (at, what): (Timestamp, ProfileKind),
        (node, component): (&str, &str),
        stacks: impl IntoIterator<Item = (Vec<String>, u64)>,
    ) -> Self {
        let mut total = 0_u64;
        let mut by_frames: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for (frames, value) in stacks {
            total = total.saturating_add(value);
            let held = by_frames.entry(kept(&frames)).or_default();
            *held = held.saturating_add(value);
        }
        let mut stacks: Vec<ProfileStack> =
            by_frames.into_iter().map(|(frames, value)| ProfileStack { value, frames }).collect();
        stacks.sort_by(|a, b| (b.value, &a.frames).cmp(&(a.value, &b.frames)));
        let mut room = MOST_BYTES;
        stacks.truncate(MOST_STACKS);
        let fits = |stack: &ProfileStack| {
            let bytes = stack.frames.iter().map(|frame| frame.len() + 1).sum::<usize>() + 16;
            room.checked_sub(bytes).map(|left| room = left).is_some()
        };
        let fitting = stacks.iter().map(fits).take_while(|fits| *fits).count();
        stacks.truncate(fitting);
        let (node, component) = (node.to_owned(), component.to_owned());
        Self { at, node, component, what, total, stacks }
    }

    /// The event that is stored.
    pub fn to_event(&self) -> Event {
        let own = [
            ("node", self.node.clone()),
            ("component", self.component.clone()),
            ("what", self.what.name().to_owned()),
            ("total", self.total.to_string()),
        ];
        let mut fields: BTreeMap<String, String> =
            own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (place, stack) in self.stacks.iter().enumerate() {
            let value = format!("{} {}", stack.value, stack.frames.join(" "));
            fields.insert(format!("stack{place:03}"), value);
        }
        let kind = EventKind(EventKind::PROFILE.to_owned());
        Event { at: self.at, kind, text: format!("profile of {}", self.what.name()), fields }
    }

    /// Reads a stored event; `None` where it is no profile, or of a kind that this build does not know. Names that may
    /// not be kept are left out.
    pub fn of_event(event: &Event) -> Option<Self> {
        if event.kind.0 != EventKind::PROFILE {
            return None;
        }
        let field = |name: &str| event.fields.get(name).map(String::as_str);
        let what = ProfileKind::ALL.into_iter().find(|kind| Some(kind.name()) == field("what"))?;
        let stacks = event.fields.iter().filter(|(name, _)| name.starts_with("stack"));
        let stacks = stacks.filter_map(|(_, stack)| {
            let mut words = stack.split(' ');
            let value = words.next()?.parse().ok()?;
            let frames: Vec<String> = words.map(str::to_owned).collect();
            Some(ProfileStack { value, frames: kept(&frames) })
        });
        let component = field("component").filter(|component| *component == "pd")?;
        Some(Self {
            at: event.at,
            node: field("node")?.to_owned(),
            component: component.to_owned(),
            what,
            total: field("total")?.parse().ok()?,
            stacks: stacks.collect(),
        })
    }
}

/// The innermost frames, those that may not be kept replaced, and of several such in a row one.
fn kept(frames: &[String]) -> Vec<String> {
    let named = frames.iter().map(|frame| if is_public(frame) { frame.as_str() } else { OTHER });
    let mut kept: Vec<String> = Vec::new();
    for frame in named {
        let repeats = frame == OTHER && kept.last().is_some_and(|last| last == OTHER);
        if !repeats && kept.len() < MOST_FRAMES {
            kept.push(frame.to_owned());
        }
    }
    kept
}

/// Whether a function is of Go itself or of a public module, and written as Go writes names.
fn is_public(frame: &str) -> bool {
    let is_written = frame.len() <= 160
        && frame
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"./()*_-[],:{}".contains(&byte));
    let first = frame.split(['/', '.', ':']).next().unwrap_or_default();
    // A module begins with a host, which has a dot before its first slash.
    let is_module = frame.split_once('/').is_some_and(|(host, _)| host.contains('.'));
    let is_of_go = OF_GO.contains(&first) && !is_module;
    is_written && (is_of_go || PUBLIC.iter().any(|prefix| frame.starts_with(prefix)))
}

/// A stack that holds more in the second of two profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackGrowth {
    /// What it held, and what it holds.
    pub before: u64,
    /// What it holds since.
    pub after: u64,
    /// Names of functions, the innermost one first.
    pub frames: Vec<String>,
}

/// The stacks that grew between two profiles of a node, the most grown first.
pub fn growth(before: &ProfileEvent, after: &ProfileEvent) -> Vec<StackGrowth> {
    let held: BTreeMap<&[String], u64> =
        before.stacks.iter().map(|stack| (stack.frames.as_slice(), stack.value)).collect();
    let mut grown: Vec<StackGrowth> = after
        .stacks
        .iter()
        .map(|stack| StackGrowth {
            before: held.get(stack.frames.as_slice()).copied().unwrap_or_default(),
            after: stack.value,
            frames: stack.frames.clone(),
        })
        .filter(|one| one.after > one.before)
        .collect();
    grown.sort_by_key(|one| std::cmp::Reverse(one.after - one.before));
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn profile(second: i64, stacks: &[(&[&str], u64)]) -> ProfileEvent {
        let at = Timestamp::from_millis(second * 1_000);
        let stacks = stacks.iter().map(|(names, value)| (frames(names), *value));
        ProfileEvent::new((at, ProfileKind::Heap), ("pd0", "pd"), stacks)
    }

    const SET: &str = "github.com/tikv/pd/pkg/core.(*RegionsInfo).SetRegion";

    #[test]
    fn a_profile_is_read_as_it_was_stored() {
        let taken = profile(10, &[(&["runtime.mallocgc", SET], 700), (&["bytes.growSlice"], 30)]);
        assert_eq!((taken.total, taken.stacks.len()), (730, 2));
        assert_eq!(ProfileEvent::of_event(&taken.to_event()).as_ref(), Some(&taken));
    }

    #[test]
    fn functions_of_go_and_of_public_modules_are_named() {
        for name in [
            SET,
            "runtime.mallocgc",
            "net/http.(*conn).serve",
            "internal/poll.(*FD).Read",
            "slices.pdqsortOrdered[go.shape.int]",
            "main.main.func1",
            "go.etcd.io/etcd/raft/v3.(*node).run",
        ] {
            assert!(is_public(name), "{name}");
        }
        assert!(OF_GO.is_sorted());
        for name in ["io.planted.example/a.F", "", "planted", "main.planted\n"] {
            assert!(!is_public(name), "{name}");
        }
    }

    #[test]
    fn functions_of_no_public_module_are_not_named() {
        let taken = profile(
            10,
            &[
                (&["git.planted.example/pd/a.F", "git.planted.example/pd/b.G", SET], 5),
                (&["planted/pd/server.F", "planted.F", "runtime.planted name", SET], 7),
            ],
        );
        // Both are the same stack now.
        assert_eq!(taken.stacks, [ProfileStack { value: 12, frames: frames(&["(other)", SET]) }]);
        let mut event = taken.to_event();
        event.fields.insert("stack000".to_owned(), "12 git.planted.example/pd/a.F".to_owned());
        let read = ProfileEvent::of_event(&event).expect("it is one");
        assert_eq!(read.stacks[0].frames, ["(other)"]);
    }

    #[test]
    fn only_the_largest_stacks_are_kept_and_the_total_is_of_all() {
        let stacks = (1..=500).map(|n| (vec![format!("runtime.f{n}")], n));
        let at = (Timestamp::from_millis(0), ProfileKind::Goroutines);
        let taken = ProfileEvent::new(at, ("pd0", "pd"), stacks);
        assert_eq!((taken.total, taken.stacks.len()), (125_250, MOST_STACKS));
        assert_eq!(taken.stacks[0].value, 500);
        let long = vec!["runtime.x".repeat(17); 60];
        let long = (0..100).map(|n| ([vec![format!("runtime.f{n}")], long.clone()].concat(), 1));
        let taken = ProfileEvent::new(at, ("pd0", "pd"), long);
        let bytes: usize = taken.to_event().fields.values().map(String::len).sum();
        assert!(bytes <= MOST_BYTES + 1_024, "{bytes}");
    }

    #[test]
    fn what_grew_is_told_the_most_grown_first() {
        let before = profile(10, &[(&[SET], 100), (&["bytes.growSlice"], 90)]);
        let after =
            profile(190, &[(&[SET], 900), (&["bytes.growSlice"], 80), (&["io.ReadAll"], 5)]);
        let grown = growth(&before, &after);
        let told: Vec<(u64, u64)> = grown.iter().map(|one| (one.before, one.after)).collect();
        assert_eq!(told, [(100, 900), (0, 5)]);
    }
}
