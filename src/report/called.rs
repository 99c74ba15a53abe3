//! How a reader names what was judged, for the commands that are advised next.

/// The run and the part of it that a reader asked for.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// The run as it was given: a name or a path.
    pub run: &'a str,
    /// The flags that select the part, each with a space before it; empty for the whole.
    pub view: &'a str,
    /// The flag that says where runs are looked for, with a space before it; empty where the run is a file's.
    pub dir: &'a str,
    /// The name of the run's file without directory and suffix; empty where it has none.
    pub name: &'a str,
    /// Whether its exporter left metrics out, so that asking for more of them comes before asking the cluster.
    pub lacks_metrics: bool,
}

impl<'a> Called<'a> {
    /// The whole of a run.
    pub fn whole(run: &'a str) -> Self {
        Self { run, view: "", dir: "", name: "", lacks_metrics: false }
    }
}
