//! Packed files of strangers: what each command does with them, within bounds of memory and time.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::{Compress, Compression, FlushCompress, GzBuilder};
use operator::capture::{CAPTURE_END, CAPTURE_TAG};
use operator::share::{Destination, export};
use testkit::exports::redacted;

/// The exit code for a file that is no whole capture.
const DAMAGED: i32 = 3;
/// Address space that each command may use, in KiB.
const MOST_KIB: u64 = 2 << 20;
/// How long each command may take.
const MOST_TIME: Duration = Duration::from_secs(30);
/// Unpacked size of the bombs.
const BOMB_BYTES: u64 = 10 << 30;
/// Commands that open a file.
const COMMANDS: [&str; 5] = ["replay", "show", "verify", "import", "export"];

/// Gives hostile files to the built program.
pub fn run(operator: &Path, capture: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let packed = scratch.path().join("whole.gz");
    export(capture, Destination::File(&packed), &redacted())?;
    let whole = std::fs::read(&packed)?;
    let plain = std::fs::read(capture)?;
    let files = [
        ("zeros", bomb(scratch.path(), "zeros", &[])?),
        ("zeros behind a head", bomb(scratch.path(), "head", &plain[..1024])?),
        ("cut short", put(scratch.path(), "cut", &whole[..whole.len() - 100])?),
        ("bytes behind the end", put(scratch.path(), "behind", &[&whole[..], b"PK"].concat())?),
        ("two members", put(scratch.path(), "two", &[&whole[..], &whole[..]].concat())?),
        ("a size that lies", put(scratch.path(), "size", &with_size(&whole, 7))?),
        ("packed twice", put(scratch.path(), "twice", &pack(&whole)?)?),
        ("only a header", put(scratch.path(), "header", &whole[..10])?),
        ("a database of something else", put(scratch.path(), "other", &pack(&foreign(&plain))?)?),
        ("a page without a capture", put(scratch.path(), "page", b"<!DOCTYPE html><p>x</p>")?),
        ("a page cut short", put(scratch.path(), "page-cut", &page(&whole)[..whole.len()])?),
        (
            "a page with something else inside",
            put(scratch.path(), "page-other", &page(b"\0\0\0").repeat(2))?,
        ),
        ("a page that goes on and on", endless_page(scratch.path())?),
    ];
    let (mut tried, mut fallen) = (0, 0);
    for (what, file) in &files {
        for command in COMMANDS {
            tried += 1;
            fallen += usize::from(!holds(operator, scratch.path(), command, (what, file))?);
        }
    }
    let kept = names_and_links(operator, scratch.path(), &whole)?;
    println!("{tried} tried, {fallen} fall short; names and links are not followed: {kept}");
    ensure!(fallen == 0 && kept, "{fallen} fall short");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "how long the program takes is what is asked")]
fn holds(
    operator: &Path,
    place: &Path,
    command: &str,
    (what, file): (&str, &Path),
) -> Result<bool> {
    let began = Instant::now();
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -v {MOST_KIB}; exec \"$@\""), "sh"])
        .arg(operator)
        .arg(command)
        .arg(file)
        .current_dir(place)
        .env("TMPDIR", place)
        .output()?;
    let took = began.elapsed();
    let holds = output.status.code() == Some(DAMAGED) && took < MOST_TIME;
    let outcome = if holds { "holds" } else { "FALLS SHORT" };
    println!("{outcome:<11} {command} of {what}: {:?} in {took:.1?}", output.status.code());
    Ok(holds)
}

/// A whole file whose header names a path, and one behind a link: neither decides where it is imported.
fn names_and_links(operator: &Path, place: &Path, whole: &[u8]) -> Result<bool> {
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(whole), &mut unpacked)?;
    let mut named =
        GzBuilder::new().filename("/tmp/../evil").write(Vec::new(), Compression::fast());
    named.write_all(&unpacked)?;
    let file = put(place, "named", &named.finish()?)?;
    let link = place.join("link.gz");
    symlink(&file, &link)?;
    let mut inside = 0;
    for (name, file) in [("from-named", &file), ("from-link", &link)] {
        // Each into a folder of its own: what is there already is not imported again.
        let folder = place.join(name);
        let status =
            Command::new(operator).arg("--dir").arg(&folder).arg("import").arg(file).status()?;
        ensure!(status.success(), "{} is not imported", file.display());
        inside += std::fs::read_dir(&folder)?.count();
    }
    Ok(inside == 2 && !Path::new("/tmp/evil").exists() && !Path::new("/evil").exists())
}

/// A page with these bytes as its packed capture.
fn page(packed: &[u8]) -> Vec<u8> {
    format!("<!DOCTYPE html>{CAPTURE_TAG}{}{CAPTURE_END}", BASE64_STANDARD.encode(packed))
        .into_bytes()
}

/// A page of ten gigabytes, sparse on disk, in which no capture comes.
fn endless_page(place: &Path) -> Result<PathBuf> {
    let path = put(place, "page-endless", b"<!DOCTYPE html><p>")?;
    File::options().write(true).open(&path)?.set_len(BOMB_BYTES)?;
    Ok(path)
}

fn put(place: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = place.join(format!("{name}.capture.gz"));
    std::fs::write(&path, bytes)?;
    Ok(path)
}

fn pack(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::fast());
    packed.write_all(bytes)?;
    Ok(packed.finish()?)
}

/// A packed file whose last four bytes tell another size.
fn with_size(whole: &[u8], size: u32) -> Vec<u8> {
    let mut altered = whole.to_vec();
    let end = altered.len();
    altered[end - 4..].copy_from_slice(&size.to_le_bytes());
    altered
}

/// A capture with another application id in its header.
fn foreign(plain: &[u8]) -> Vec<u8> {
    let mut altered = plain.to_vec();
    altered[68..72].copy_from_slice(b"elst");
    altered
}

/// A gzip of `head` and zeros, ten gigabytes of them. One deflated piece is repeated, so that making it takes no
/// time.
fn bomb(place: &Path, name: &str, head: &[u8]) -> Result<PathBuf> {
    let path = place.join(format!("bomb-{name}.capture.gz"));
    let mut to = BufWriter::new(File::create(&path)?);
    to.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])?;
    to.write_all(&deflated(head)?)?;
    let piece = deflated(&vec![0; 1 << 20])?;
    for _ in 0..BOMB_BYTES >> 20 {
        to.write_all(&piece)?;
    }
    to.flush()?;
    Ok(path)
}

/// Deflated bytes that end at a full flush, so that anything may follow.
fn deflated(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut written = Vec::with_capacity(bytes.len() + 1024);
    deflate.compress_vec(bytes, &mut written, FlushCompress::Full)?;
    Ok(written)
}
