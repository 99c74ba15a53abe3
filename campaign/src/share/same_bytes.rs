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

/// The end of a file's name, and what `export` is told so that it writes one.
const KINDS: [(&str, &[&str]); 2] = [("gz", &[]), ("html", &["--html"])];
/// Of how many exports one is made as a page too.
const PAGE_EVERY: usize = 5;

/// Exports a capture with the built program from other folders, umasks, time zones, locales and numbers of
/// processors, where root runs it also as other users, and fails where two files of a kind differ.
pub fn run(operator: &Path, capture: &Path, times: usize) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let key = scratch.path().join("key");
    std::fs::write(&key, Key::new([9; KEY_BYTES]).to_text())?;
    set_permissions(&key, Permissions::from_mode(0o644))?;
    set_permissions(scratch.path(), Permissions::from_mode(0o711))?;
    let capture = capture.canonicalize()?;
    let users = if rustix::process::geteuid().is_root() { &USERS[..] } else { &[] };
    let mut files = [BTreeSet::new(), BTreeSet::new()];
    for number in 0..times {
        let folder: PathBuf =
            scratch.path().join(format!("folder-{}", "x".repeat(number % 50 + 1)));
        std::fs::create_dir_all(&folder)?;
        set_permissions(&folder, Permissions::from_mode(0o777))?;
        let kinds = if number % PAGE_EVERY == 0 { &KINDS[..] } else { &KINDS[..1] };
        for ((end, more), files) in kinds.iter().zip(&mut files) {
            let to = folder.join(format!("{number}.{end}"));
            let mut command = under(number, &folder, users);
            command.arg(operator).args(["export", "-q", "--key"]).arg(&key).args(*more);
            let output = command.arg("-o").args([&to, &capture]).output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            files.insert(std::fs::read(&to)?);
            std::fs::remove_file(&to)?;
        }
        let left = std::fs::read_dir(&folder)?.count();
        ensure!(left == 0, "{left} files were left behind");
    }
    let (by, [packed, pages]) = (users.len().max(1), files);
    println!("{times} exports by {by} users, {} different", packed.len());
    println!("{} of them as pages too, {} different", times.div_ceil(PAGE_EVERY), pages.len());
    ensure!(packed.len() == 1 && pages.len() == 1, "exports differ");
    Ok(())
}

/// A command that runs what it is given under the conditions of a number: every second time on one processor.
fn under(number: usize, folder: &Path, users: &[u32]) -> Command {
    let processors = if number.is_multiple_of(2) { "" } else { "taskset -c 0" };
    let script = format!("umask {}; exec {processors} \"$@\"", MASKS[number / 2 % MASKS.len()]);
    let mut command = Command::new("sh");
    if let Some(user) = users.get(number % users.len().max(1)) {
        command.uid(*user).gid(*user);
    }
    command
        .args(["-c", &script, "sh"])
        .current_dir(folder)
        .env("TZ", ZONES[number % ZONES.len()])
        .env("LC_ALL", LOCALES[number % LOCALES.len()])
        .env("TMPDIR", folder)
        .env("USER", format!("user{number}"));
    command
}
