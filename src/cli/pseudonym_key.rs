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

/// A key, and where it lies or is to lie.
pub struct PseudonymKey {
    key: Key,
    path: PathBuf,
    is_new: bool,
}

impl PseudonymKey {
    /// The key in `named`, or that of the directory; a new one, which is in no file yet, where there is none.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read or holds no key, or there are no random numbers.
    pub fn of(dir: &Path, named: Option<&Path>) -> anyhow::Result<Self> {
        let path = named.map_or_else(|| dir.join(FILE), Path::to_owned);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let cannot = || format!("cannot use the key {}", escape_path(&path));
                let key = Key::parse(&text).with_context(cannot)?;
                Ok(Self { key, path, is_new: false })
            }
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
                Ok(Self { key: random()?, path, is_new: true })
            }
            Err(error) => {
                Err(error).with_context(|| format!("cannot read the key {}", escape_path(&path)))
            }
        }
    }

    /// The key itself.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Whether it is new, so that nothing was ever redacted with it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Writes a new key into its file, for its owner alone. Returns where it lies.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written, or another key was written there meanwhile.
    pub fn keep(self) -> anyhow::Result<PathBuf> {
        if self.is_new {
            let cannot = || format!("cannot make the key {}", escape_path(&self.path));
            if let Some(dir) = self.path.parent() {
                fs::create_dir_all(dir).with_context(cannot)?;
            }
            write_private(&self.path, self.key.to_text().as_bytes()).with_context(cannot)?;
        }
        Ok(self.path)
    }
}

fn random() -> anyhow::Result<Key> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(Key::new(bytes))
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
        let of = |named| PseudonymKey::of(dir.path(), named);
        let made = of(None).expect("it is made");
        let key = made.key().clone();
        let file = dir.path().join(FILE);
        assert!(!file.exists(), "nobody has used it yet");
        assert_eq!(made.keep().expect("the directory is writable"), file);
        assert_eq!(*of(None).expect("it is there").key(), key);
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let named = PseudonymKey::of(Path::new("nowhere"), Some(&file)).expect("it is named");
        assert_eq!(*named.key(), key);
        assert!(of(Some(Path::new("no-such-key"))).is_err());
        fs::write(&file, "short").expect("it is writable");
        assert!(of(None).is_err());
    }
}
