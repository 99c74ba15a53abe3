//! How a reader names what was judged, for the commands that are advised next.

/// The run and the part of it that a reader asked for.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// The run as it was given: a name or a path.
    pub run: &'a str,
    /// The flags that select the part, each with a space before it; empty for the whole.
    pub view: &'a str,
}

impl<'a> Called<'a> {
    /// The whole of a run.
    pub fn whole(run: &'a str) -> Self {
        Self { run, view: "" }
    }
}
