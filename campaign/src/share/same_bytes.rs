//! Whether an export depends on anything but the capture and the key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use operator::share::{KEY_BYTES, Key};

const ZONES: [&str; 5] =
    ["UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia", "Europe/Berlin"];
const LOCALES: [&str; 3] = ["C", "tr_TR.UTF-8", "de_DE.UTF-8"];
const MASKS: [&str; 4] = ["022", "077", "000", "027"];

/// Exports a capture with the built program from other folders, umasks, time zones, locales and numbers of
/// threads, and fails where two files differ.
pub fn run(operator: &Path, capture: &Path, times: usize) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let key = scratch.path().join("key");
    std::fs::write(&key, Key::new([9; KEY_BYTES]).to_text())?;
    let capture = capture.canonicalize()?;
    let mut files = BTreeSet::new();
    for number in 0..times {
        let folder: PathBuf =
            scratch.path().join(format!("folder-{}", "x".repeat(number % 50 + 1)));
        std::fs::create_dir_all(&folder)?;
        let to = folder.join(format!("{number}.gz"));
        let script = format!("umask {}; exec \"$@\"", MASKS[number % MASKS.len()]);
        let output = Command::new("sh")
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
    println!("{times} exports, {} different", files.len());
    ensure!(files.len() == 1, "exports differ");
    Ok(())
}
