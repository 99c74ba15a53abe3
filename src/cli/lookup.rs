//! Finds the capture that a name or a path stands for.
//!
//! Opening it is the commands' work.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::exit::CliError;
use super::global::Global;
use super::observed::observes_anything;
use crate::capture::{CaptureReader, UnpackedCapture};
use crate::model::{RunName, escape_path};
use crate::record::{CAPTURE_SUFFIX, segments};

/// The file name suffix of captures.
pub const SUFFIX: &str = CAPTURE_SUFFIX;
/// What follows [`SUFFIX`] in the names of captures that are packed for attaching.
pub const PACKED_SUFFIX: &str = ".gz";
/// How the names of pages end that hold a capture.
pub const PAGE_SUFFIX: &str = ".html";
/// The run that is read from stdin, and the file that is stdout.
pub const STDIN: &str = "-";

/// A capture that was found. What came on stdin is held in a temporary file as long as this lives.
#[derive(Debug)]
pub struct Found {
    path: PathBuf,
    shown: PathBuf,
    /// Whether the name of a run was given.
    is_by_name: bool,
    _held: Option<UnpackedCapture>,
}

impl Found {
    /// The file at `path`, by its own name, where `asked` was asked for.
    fn at(path: PathBuf, asked: &OsStr) -> Self {
        let is_by_name = asked != "latest" && Path::new(asked) != path;
        Self { shown: path.clone(), path, is_by_name, _held: None }
    }

    /// What to call the capture in a further command: the name or path under which it was asked for, and
    /// its path where that was `latest`, which may soon mean another one.
    pub fn called(&self, asked: &OsStr) -> String {
        let called = if asked == "latest" { self.shown.as_os_str() } else { asked };
        called.to_string_lossy().into_owned()
    }

    /// The flag for further commands that says where the run is looked for, with a space before it; empty where it
    /// was asked for as a file, or `latest`, which is then called by its path.
    pub fn dir_flag(&self, global: &Global) -> String {
        if self.is_by_name { global.dir_flag() } else { String::new() }
    }

    /// The name of its file without directory and suffix; empty for what came on stdin.
    pub fn name(&self) -> String {
        if self.shown == Path::new(STDIN) { String::new() } else { run_name(&self.shown) }
    }

    /// What the capture is called in results: its path, or `-` for what came on stdin.
    pub fn shown(&self) -> &Path {
        &self.shown
    }
}

impl Deref for Found {
    type Target = Path;

    /// The path of the file to open.
    fn deref(&self) -> &Path {
        &self.path
    }
}

/// The capture that `text` means: `-` for stdin, an existing file, `latest`, or the name of a run in `dir`,
/// in the current directory, in `captures/` or in `data/`. A text with a directory or a suffix of captures in it
/// means that file and no other. The name of a run that is recorded in segments
/// means the newest one. A file and stdin may be packed: gzip, or a page
/// with the capture inside.
///
/// # Errors
///
/// [`CliError::FileNotFound`], [`CliError::RunNotFound`] with the nearest names, [`CliError::Directory`], [`CliError::Usage`] where `text`
/// is neither a file nor a possible name, or a [`CaptureError`](crate::capture::CaptureError) where stdin holds no capture.
pub fn find(dir: &Path, text: impl AsRef<OsStr>) -> anyhow::Result<Found> {
    let text = text.as_ref();
    if text != STDIN {
        return Ok(Found::at(find_file(dir, text)?, text));
    }
    let shown = PathBuf::from(STDIN);
    let held = UnpackedCapture::read(io::stdin().lock(), &shown)?;
    Ok(Found { path: held.path(), shown, is_by_name: false, _held: Some(held) })
}

/// The capture in the file `path`, or on stdin where that is `-`.
///
/// # Errors
///
/// [`CliError::FileNotFound`], [`CliError::Directory`], or a [`CaptureError`](crate::capture::CaptureError) where stdin
/// holds no capture.
pub fn find_to_read(path: &OsStr) -> anyhow::Result<Found> {
    if path == STDIN || Path::new(path).is_file() {
        return find(Path::new(""), path);
    }
    let path = Path::new(path);
    Err(match path.is_dir() {
        true => CliError::Directory(escape_path(path)),
        false => CliError::FileNotFound { name: path_text(path), run: None },
    }
    .into())
}

/// As [`find`], for what has to be a file.
fn find_file(dir: &Path, text: impl AsRef<OsStr>) -> Result<PathBuf, CliError> {
    let path = Path::new(text.as_ref());
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let not_found =
        |nearest| CliError::RunNotFound { name: path_text(path), searched: searched(dir), nearest };
    let missing = |error: CliError| match path.is_dir() {
        true => CliError::Directory(escape_path(path)),
        false => error,
    };
    // A text that is not UTF-8 can name a file but no run.
    let Some(text) = path.to_str() else { return Err(missing(not_found(Vec::new()))) };
    if text == "latest" {
        let latest = places(dir).iter().find_map(|place| latest(place));
        return latest.ok_or_else(|| not_found(Vec::new()));
    }
    if is_file_name(text) {
        let name = RunName::new(&run_name(path));
        let run = name.ok().filter(|name| file_of_run(dir, name).is_some());
        return Err(missing(CliError::FileNotFound { name: text.to_owned(), run }));
    }
    let Ok(name) = RunName::new(text) else {
        return Err(missing(CliError::Usage(format!(
            "{text:?} is neither a file nor the name of a run: names have letters, digits, '.', '_' and '-'"
        ))));
    };
    file_of_run(dir, &name).ok_or_else(|| missing(not_found(nearest(dir, name.as_str()))))
}

/// Whether a text names a file and cannot mean a run: it has a directory or a suffix of captures in it.
fn is_file_name(text: &str) -> bool {
    let suffixes = [SUFFIX, PACKED_SUFFIX, PAGE_SUFFIX];
    text.contains(std::path::is_separator) || suffixes.iter().any(|suffix| text.ends_with(suffix))
}

/// The file of a run that is looked for by its name.
pub fn file_of_run(dir: &Path, name: &RunName) -> Option<PathBuf> {
    let file = |place: &PathBuf, packed: &str| {
        Some(place.join(format!("{name}{SUFFIX}{packed}"))).filter(|path| path.is_file())
    };
    let newest = |place: &PathBuf| segments(place, name).pop().map(|segment| segment.path);
    let places = places(dir);
    let whole = || places.iter().find_map(|place| file(place, ""));
    // An export of a run, whose names are replaced, must not stand in for the run itself.
    let packed = || places.iter().find_map(|place| file(place, PACKED_SUFFIX));
    whole().or_else(packed).or_else(|| places.iter().find_map(newest))
}

/// The captures of all runs that [`find`] finds by name: directory by directory, ascending by name.
pub fn all(dir: &Path) -> Vec<PathBuf> {
    let mut names = BTreeSet::new();
    let found: Vec<PathBuf> = places(dir).into_iter().flat_map(|place| captures(&place)).collect();
    let is_packed = |path: &Path| path.to_string_lossy().ends_with(PACKED_SUFFIX);
    let plain: BTreeSet<String> =
        found.iter().filter(|path| !is_packed(path)).map(|path| run_name(path)).collect();
    let stands = |path: &PathBuf| !is_packed(path) || !plain.contains(&run_name(path));
    found.into_iter().filter(|path| stands(path) && names.insert(run_name(path))).collect()
}

/// The captures in `dir`, ascending by name; empty where it cannot be read.
pub fn captures(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && is_capture(&path.to_string_lossy()))
        .collect();
    paths.sort();
    paths
}

/// Whether a file is a capture by its name, packed or not.
fn is_capture(name: &str) -> bool {
    name.strip_suffix(PACKED_SUFFIX).unwrap_or(name).ends_with(SUFFIX)
}

/// The name of the run of a capture, derived from its file name.
pub fn run_name(path: &Path) -> String {
    let file = path_text(Path::new(path.file_name().unwrap_or_default()));
    without_suffix(&file).to_owned()
}

/// The name of a run out of the name of its file, packed or not.
fn without_suffix(file: &str) -> &str {
    if let Some(page) = file.strip_suffix(PAGE_SUFFIX) {
        return page;
    }
    let plain = file.strip_suffix(PACKED_SUFFIX).unwrap_or(file);
    plain.strip_suffix(SUFFIX).unwrap_or(file)
}

/// A path as text for JSON: unchanged, or escaped where it is not UTF-8.
pub fn path_text(path: &Path) -> String {
    path.to_str().map_or_else(|| escape_path(path), str::to_owned)
}

/// The directories in which runs are looked for, as text.
pub fn searched(dir: &Path) -> String {
    let names: Vec<String> = places(dir).iter().map(|place| escape_path(place)).collect();
    names.join(", ")
}

fn places(dir: &Path) -> Vec<PathBuf> {
    let mut places = vec![dir.to_owned()];
    for place in [".", "captures", "data"] {
        if !places.iter().any(|known| known == Path::new(place)) {
            places.push(PathBuf::from(place));
        }
    }
    places
}

/// The most captures of a directory that are opened to find the latest: those that were modified last.
const OPENED: usize = 32;

/// The capture of a directory that was recorded last, also where another was marked or sealed since; one that
/// observed nothing only where there is no other. Of those that cannot be opened, or that end at the same time, the
/// one that was modified last.
fn latest(dir: &Path) -> Option<PathBuf> {
    let modified = |path: &PathBuf| fs::metadata(path).ok()?.modified().ok();
    let mut newest: Vec<_> =
        captures(dir).into_iter().filter_map(|path| Some((modified(&path)?, path))).collect();
    newest.sort();
    let opened = newest.into_iter().rev().take(OPENED).map(|(modified, path)| {
        let held = CaptureReader::open(&path).ok();
        let held = held.map(|reader| (observes_anything(&reader), reader.window().end));
        (held, modified, path)
    });
    opened.max().map(|(_, _, path)| path)
}

/// What else may be meant by a name: captures of that name one folder deeper, or else similar names.
fn nearest(dir: &Path, name: &str) -> Vec<String> {
    let deeper = places(dir).into_iter().flat_map(|place| folders(&place));
    let called: Vec<String> = deeper
        .flat_map(|folder| captures(&folder))
        .filter(|path| run_name(path) == name)
        .map(|path| escape_path(&path))
        .take(3)
        .collect();
    if !called.is_empty() {
        return called;
    }
    let mut names: Vec<(usize, String)> = places(dir)
        .iter()
        .flat_map(|place| captures(place))
        .map(|path| run_name(&path))
        .map(|known| (edit_distance(&known, name), known))
        .filter(|(distance, _)| *distance <= (name.len() / 3).max(2))
        .collect();
    names.sort();
    names.dedup();
    names.into_iter().take(3).map(|(_, known)| known).collect()
}

/// The folders in a folder, ascending by name.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut folders: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The Levenshtein distance in bytes.
fn edit_distance(left: &str, right: &str) -> usize {
    strsim::generic_levenshtein(&left.as_bytes().to_vec(), &right.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(edit_distance("chaos-01", "chaos-10"), 2);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }

    #[test]
    fn a_run_one_folder_deeper_is_what_may_be_meant() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("pd")).expect("the directory is writable");
        let path = dir.path().join("pd/drain.capture");
        fs::write(&path, b"").expect("the directory is writable");
        assert_eq!(nearest(dir.path(), "drain"), [escape_path(&path)]);
        assert!(!nearest(dir.path(), "drain2").contains(&escape_path(&path)));
    }

    #[test]
    fn a_run_that_stands_in_two_places_is_the_one_that_its_name_finds() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("chaos-01.capture"), b"").expect("the directory is writable");
        let runs = all(dir.path());
        let found = find_file(dir.path(), "chaos-01").expect("it was just written");
        assert_eq!(
            runs.iter().filter(|path| run_name(path) == "chaos-01").collect::<Vec<_>>(),
            [&found]
        );
        assert_eq!(runs.first(), Some(&found));
        assert!(runs.contains(&PathBuf::from("data/chaos-02.capture")), "{runs:?}");
    }

    #[test]
    fn an_export_of_a_run_does_not_stand_in_for_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let packed = dir.path().join("chaos-03.capture.gz");
        fs::write(&packed, b"").expect("the directory is writable");
        let found = find_file(dir.path(), "chaos-03").expect("it is bundled");
        assert_eq!(found, Path::new("data/chaos-03.capture"));
        let named = |runs: Vec<PathBuf>| -> Vec<PathBuf> {
            runs.into_iter().filter(|path| run_name(path) == "chaos-03").collect()
        };
        assert_eq!(named(all(dir.path())), [found]);
        fs::rename(&packed, dir.path().join("other.capture.gz")).expect("it can be renamed");
        assert!(find_file(dir.path(), "other").is_ok());
    }

    #[test]
    fn the_name_of_a_run_in_segments_means_the_newest_one() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let make = |name: &str| {
            let path = dir.path().join(format!("{name}.capture"));
            fs::write(&path, b"").expect("the directory is writable");
            path
        };
        make("prod-20261123T161709Z");
        let newest = make("prod-20261124T161709Z");
        make("prod-incident-20261125T161709Z");
        make("prod-2-20261126T161709Z");
        assert_eq!(find_file(dir.path(), "prod").expect("it has segments"), newest);
        let whole = make("prod");
        assert_eq!(find_file(dir.path(), "prod").expect("it is there"), whole);
    }

    #[test]
    fn a_file_name_means_that_file_and_no_run() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("tonight.capture"), b"").expect("the directory is writable");
        assert!(find_file(dir.path(), "tonight").is_ok());
        for name in ["tonight.capture", "tonight.capture.gz", "tonight.html", "x/tonight"] {
            let found = find_file(dir.path(), name);
            let Err(CliError::FileNotFound { name: told, run }) = found else {
                panic!("{name} is no file: {found:?}");
            };
            assert_eq!(told, name);
            assert_eq!(run.as_ref().map(RunName::as_str), Some("tonight"));
        }
        let found = find_file(dir.path(), "tonight.gz");
        assert!(matches!(found, Err(CliError::FileNotFound { run: None, .. })));
        let found = find_file(Path::new("captures"), "x/../../etc/passwd-none");
        assert!(matches!(found, Err(CliError::FileNotFound { run: None, .. })));
        assert!(matches!(find_file(dir.path(), "a b"), Err(CliError::Usage(_))));
    }

    #[test]
    fn a_typo_is_answered_with_the_nearest_name() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("chaos-01.capture"), b"").expect("the directory is writable");
        let Err(CliError::RunNotFound { nearest, .. }) = find_file(dir.path(), "chaso-01") else {
            panic!("nothing is called chaso-01");
        };
        assert_eq!(nearest, ["chaos-01"]);
    }
}
