//! Files in the way of a recorder and of what copies captures: links, modes, a disk that is full.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};

use super::{Row, Scene};

/// What a victim holds.
const PRECIOUS: &[u8] = b"precious";
/// The exit code of whatever a file or a disk refuses.
const STORAGE: i32 = 8;
/// An answer as another program may have logged it.
const LOG: &str = r#"{"ts_ms": 1795537029202, "member": "pd2", "url": "http://10.77.0.12:2379",
 "path": "/pd/api/v1/ping", "status": 200, "elapsed_ms": 1.49, "body": ""}"#;

/// Tries all of them with the built program.
pub fn rows(scene: &Scene) -> Result<Vec<Row>> {
    let place = scene.scratch.path().join("files");
    std::fs::create_dir(&place)?;
    let files = Files { operator: &scene.operator, place };
    std::fs::write(files.at("log.jsonl"), LOG.replace('\n', ""))?;
    std::fs::copy(scene.data.join("chaos-10.capture"), files.at("run.capture"))?;
    let mut rows = vec![files.lock("a symbolic link", |lock| symlink("victim", lock))?];
    rows.push(
        files
            .lock("a hard link", |lock| std::fs::hard_link(lock.with_file_name("victim"), lock))?,
    );
    rows.push(files.target()?);
    rows.push(files.modes()?);
    for command in ["copy", "compact"] {
        rows.push(files.too_large(command)?);
        rows.push(files.full_disk(command)?);
    }
    Ok(rows)
}

struct Files<'a> {
    operator: &'a Path,
    place: PathBuf,
}

impl Files<'_> {
    fn at(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    fn operator(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(self.operator);
        Ok(command.args(["--dir", "."]).args(arguments).current_dir(&self.place).output()?)
    }

    /// A recorder whose lock leads to a file of somebody else's.
    fn lock(&self, what: &str, put: impl Fn(&Path) -> std::io::Result<()>) -> Result<Row> {
        let (lock, victim) = (self.at("new.capture.lock"), self.at("victim"));
        std::fs::write(&victim, PRECIOUS)?;
        put(&lock)?;
        let output = self.operator(&["record", "--run", "new", "--pd-log", "log.jsonl"])?;
        std::fs::remove_file(&lock)?;
        let spared = std::fs::read(&victim)? == PRECIOUS;
        std::fs::remove_file(&victim)?;
        let named = String::from_utf8_lossy(&output.stderr).contains(what);
        let made = self.at("new.capture").exists();
        Ok(Row {
            tried: format!("a lock that is {what}"),
            seen: format!(
                "exit code {:?}, named {named}, the other file spared {spared}, recorded {made}",
                output.status.code()
            ),
            holds: output.status.code() == Some(STORAGE) && named && spared && !made,
        })
    }

    /// A copy to a name that is a link to nothing.
    fn target(&self) -> Result<Row> {
        symlink("elsewhere", self.at("link.capture"))?;
        let codes = [["copy", "run", "link.capture"], ["compact", "run", "link.capture"]]
            .map(|arguments| self.operator(&arguments).map(|output| output.status.code()));
        let codes = codes.into_iter().collect::<Result<Vec<_>>>()?;
        std::fs::remove_file(self.at("link.capture"))?;
        let followed = self.at("elsewhere").exists();
        Ok(Row {
            tried: "copy and compact to a link that leads nowhere".to_owned(),
            seen: format!("exit codes {codes:?}, followed {followed}"),
            holds: codes == [Some(STORAGE); 2] && !followed,
        })
    }

    /// Who may read what is recorded, and copies of what few may read.
    fn modes(&self) -> Result<Row> {
        let own = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.at("run.capture"), own)?;
        let calls: [&[&str]; 4] = [
            &["record", "--run", "own", "--pd-log", "log.jsonl"],
            &["--file-mode", "0640", "record", "--run", "group", "--pd-log", "log.jsonl"],
            &["--file-mode", "0644", "copy", "run", "copied.capture"],
            &["--file-mode", "0644", "compact", "run", "compacted.capture"],
        ];
        for arguments in calls {
            self.operator(arguments)?;
        }
        let mut modes = Vec::new();
        for name in ["own", "group", "copied", "compacted"] {
            let path = self.at(&format!("{name}.capture"));
            let data = std::fs::metadata(&path).with_context(|| format!("no {name}.capture"))?;
            modes.push(format!("{name} {:o}", data.permissions().mode() & 0o777));
            std::fs::remove_file(path)?;
        }
        Ok(Row {
            tried: "modes of new captures and of copies of one with 0600".to_owned(),
            seen: modes.join(", "),
            holds: modes == ["own 600", "group 640", "copied 600", "compacted 600"],
        })
    }

    /// A file that may not grow beyond 32 KiB.
    fn too_large(&self, command: &str) -> Result<Row> {
        let limited = "ulimit -f 64; exec \"$0\" \"$@\"";
        let output = Command::new("sh")
            .args(["-c", limited])
            .arg(self.operator)
            .args(["--dir", ".", command, "run", "cut.capture"])
            .current_dir(&self.place)
            .output()?;
        let before = ["log.jsonl", "run.capture"];
        self.nothing_left(&format!("{command} under `ulimit -f`"), &output, &before)
    }

    /// A disk of 64 KiB, where this system lets its users mount one.
    fn full_disk(&self, command: &str) -> Result<Row> {
        let disk = self.at("disk");
        std::fs::create_dir(&disk)?;
        let script = "mount -t tmpfs -o size=64k none disk || exit 99
            \"$0\" --dir . \"$@\"; code=$?; ls -A disk >&2; exit $code";
        let output = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", script])
            .arg(self.operator)
            .args([command, "run", "disk/cut.capture"])
            .current_dir(&self.place)
            .output()?;
        std::fs::remove_dir(&disk)?;
        let tried = format!("{command} onto a full disk");
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(99) || errors.contains("unshare") {
            let seen = "not tried: nothing can be mounted here".to_owned();
            return Ok(Row { tried, seen, holds: true });
        }
        let hint = errors.contains("space") && !errors.contains("--run");
        let left = errors.lines().filter(|line| line.contains("partial") || *line == "cut.capture");
        let left = left.count();
        Ok(Row {
            tried,
            seen: format!(
                "exit code {:?}, {left} files left, the hint speaks of the file {hint}",
                output.status.code()
            ),
            holds: output.status.code() == Some(STORAGE) && left == 0 && hint,
        })
    }

    fn nothing_left(&self, tried: &str, output: &Output, before: &[&str]) -> Result<Row> {
        let entries = std::fs::read_dir(&self.place)?.flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let left: Vec<String> = names.filter(|name| !before.contains(&name.as_str())).collect();
        for name in &left {
            std::fs::remove_file(self.at(name))?;
        }
        Ok(Row {
            tried: tried.to_owned(),
            seen: format!("exit code {:?}, left {left:?}", output.status.code()),
            holds: output.status.code() == Some(STORAGE) && left.is_empty(),
        })
    }
}
