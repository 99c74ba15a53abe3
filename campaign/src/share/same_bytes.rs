//! Whether an export depends on anything but the capture and the key.

use std::collections::BTreeSet;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use operator::share::{KEY_BYTES, Key};

const ZONES: [&str; 5] =
    ["UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "Europe/Berlin"];
const LOCALES: [&str; 3] = ["C", "tr_TR.UTF-8", "de_DE.UTF-8"];
const MASKS: [&str; 4] = ["022", "077", "000", "027"];
/// Users that root tries: itself, a daemon, and two whom nobody knows.
const USERS: [u32; 4] = [0, 1, 65_534, 54_321];

/// Exports a capture with the built program from other folders, umasks, time zones, locales and numbers of
/// threads, where root runs it also as other users, and fails where two files differ.
pub fn run(operator: &Path, capture: &Path, times: usize) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let key = scratch.path().join("key");
    std::fs::write(&key, Key::new([9; KEY_BYTES]).to_text())?;
    set_permissions(&key, Permissions::from_mode(0o644))?;
    set_permissions(scratch.path(), Permissions::from_mode(0o711))?;
    let capture = capture.canonicalize()?;
    let users = if rustix::process::geteuid().is_root() { &USERS[..] } else { &[] };
    let mut files = BTreeSet::new();
    for number in 0..times {
        let folder: PathBuf =
            scratch.path().join(format!("folder-{}", "x".repeat(number % 50 + 1)));
        std::fs::create_dir_all(&folder)?;
        set_permissions(&folder, Permissions::from_mode(0o777))?;
        let to = folder.join(format!("{number}.gz"));
        let script = format!("umask {}; exec \"$@\"", MASKS[number % MASKS.len()]);
        let mut command = Command::new("sh");
        if let Some(user) = users.get(number % users.len().max(1)) {
            command.uid(*user).gid(*user);
        }
        let output = command
            .args(["-c", &script, "sh"])
            .arg(operator)
            .args(["export", "-q", "--key"])
            .arg(&key)
            .arg("-o")
            .args([&to, &capture])
            .current_dir(&folder)
            .env("TZ", ZONES[number % ZONES.len()])
            .env("LC_ALL", LOCALES[number % LOCALES.len()])
            .env("TMPDIR", &folder)
            .env("USER", format!("user{number}"))
            .env("RAYON_NUM_THREADS", (number % 8 + 1).to_string())
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        files.insert(std::fs::read(&to)?);
        std::fs::remove_file(&to)?;
        let left = std::fs::read_dir(&folder)?.count();
        ensure!(left == 0, "{left} files were left behind");
    }
    let by = users.len().max(1);
    println!("{times} exports by {by} users, {} different", files.len());
    ensure!(files.len() == 1, "exports differ");
    Ok(())
}
