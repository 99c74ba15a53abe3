//! The key of pseudonyms: made once for a directory of captures, and never part of what is handed out.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::model::escape_path;
use crate::share::{KEY_BYTES, Key};

/// The file of the key in a directory of captures.
const FILE: &str = ".pseudonym-key";

/// The key in `named`, or that of the directory, which is made where there is none.
///
/// # Errors
///
/// Where a file cannot be read or made, or holds no key.
pub fn key(dir: &Path, named: Option<&Path>) -> anyhow::Result<Key> {
    let path = key_path(dir, named);
    match fs::read_to_string(&path) {
        Ok(text) => {
            Key::parse(&text).with_context(|| format!("cannot use the key {}", escape_path(&path)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => make(dir, path),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the key {}", escape_path(&path)))
        }
    }
}

/// Where the key lies: the named file, or that of the directory.
pub fn key_path(dir: &Path, named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| dir.join(FILE), Path::to_owned)
}

fn make(dir: &Path, path: PathBuf) -> anyhow::Result<Key> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let key = Key::new(bytes);
    let cannot = || format!("cannot make the key {}", escape_path(&path));
    fs::create_dir_all(dir).with_context(cannot)?;
    write_private(&path, key.to_text().as_bytes()).with_context(cannot)?;
    Ok(key)
}

/// Writes a new file that only its owner may read.
///
/// # Errors
///
/// Where something is at `path`, or the file cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let made = key(dir.path(), None).expect("it is made");
        assert_eq!(key(dir.path(), None).expect("it is there"), made);
        let file = dir.path().join(FILE);
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(key(Path::new("nowhere"), Some(&file)).expect("it is named"), made);
        assert!(key(dir.path(), Some(Path::new("no-such-key"))).is_err());
        fs::write(&file, "short").expect("it is writable");
        assert!(key(dir.path(), None).is_err());
    }
}
