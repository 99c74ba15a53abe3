//! Pages of reports in a real browser: nothing leaves them, nothing in them runs that was recorded, and people
//! can read them on a phone, on a desk, without scripts and with a screen reader.

mod browser;
mod visit;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use browser::Browser;
use operator::report::{PageContent, html_page, run_report};
use operator::session::{Session, View};
use operator::share::{Destination, ExportOptions, Page, Redaction, export_page};
use testkit::capture_server::captures_in;
use testkit::exports::redacted;
use testkit::hostile_files::{MARKUP, write_capture};
use visit::{Look, visit};

/// The release of axe that npm fetches.
const AXE: &str = "axe-core@4.11";
/// The most bytes of a page alone, and of one with its capture.
const MOST_BYTES: [u64; 2] = [400_000, 1_000_000];

/// A page to look at.
struct Shown {
    name: String,
    path: PathBuf,
    most_bytes: u64,
}

/// Opens the page of every capture, with and without the capture inside, and that of a hostile one.
pub fn run(
    folders: &[PathBuf],
    browser: &Path,
    axe: Option<&Path>,
    screenshots: Option<&Path>,
) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let axe = match axe {
        Some(file) => std::fs::read_to_string(file)?,
        None => fetch_axe(scratch.path())?,
    };
    let pages = pages(folders, scratch.path())?;
    let mut browser = Browser::start(browser, scratch.path())?;
    let (mut opened, mut fallen, mut largest) = (0, 0, [0; 2]);
    for page in &pages {
        let bytes = std::fs::metadata(&page.path)?.len();
        let kind = usize::from(page.most_bytes == MOST_BYTES[1]);
        largest[kind] = largest[kind].max(bytes);
        let mut faults = Vec::new();
        if bytes > page.most_bytes {
            faults.push(format!("{bytes} bytes"));
        }
        let mut texts = Vec::new();
        for look in Look::all() {
            opened += 1;
            let seen = visit(&mut browser, &page.path, look, &axe)?;
            faults.extend(seen.faults.iter().map(|fault| format!("{look}: {fault}")));
            texts.push(seen.text);
            if let Some(folder) = screenshots {
                std::fs::create_dir_all(folder)?;
                std::fs::write(folder.join(format!("{}-{look}.png", page.name)), seen.picture)?;
            }
        }
        if texts.iter().any(|text| *text != texts[0]) {
            faults.push("it says something else without scripts, or at another width".to_owned());
        }
        let outcome = if faults.is_empty() { "holds" } else { "FALLS SHORT" };
        println!("{outcome:<11} {} ({bytes} bytes)", page.name);
        faults.iter().for_each(|fault| println!("            {fault}"));
        fallen += usize::from(!faults.is_empty());
    }
    println!("{} pages, {opened} looks, {fallen} fall short", pages.len());
    println!("largest: {} bytes alone, {} with the capture", largest[0], largest[1]);
    ensure!(fallen == 0, "{fallen} pages fall short");
    Ok(())
}

fn pages(folders: &[PathBuf], scratch: &Path) -> Result<Vec<Shown>> {
    let mut captures = Vec::new();
    for folder in folders {
        captures.extend(captures_in(folder)?);
    }
    let hostile = scratch.join("markup.capture");
    write_capture(&hostile, MARKUP);
    captures.push(hostile);
    let mut pages = Vec::new();
    for (number, capture) in captures.iter().enumerate() {
        let name = capture.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = scratch.join(format!("{name}.html"));
        let session = Session::open(capture)?;
        let report = run_report(session.load(View::WHOLE)?, &session)?;
        std::fs::write(&path, html_page(&report, PageContent::Report).alone())?;
        pages.push(Shown { name: name.clone(), path, most_bytes: MOST_BYTES[0] });
        // What is around a capture is the same for all, so that two of them tell as much.
        if number == 0 || number + 1 == captures.len() {
            let path = scratch.join(format!("{name}-with-capture.html"));
            // No capture of a recorder's has markup as its metadata, and redaction refuses that.
            let redaction = Redaction::Off;
            let options = match number {
                0 => redacted(),
                _ => ExportOptions { redaction, ..redacted() },
            };
            export_page(capture, Destination::File(&path), &options, &around)?;
            let name = format!("{name}-with-capture");
            pages.push(Shown { name, path, most_bytes: MOST_BYTES[1] });
        }
    }
    Ok(pages)
}

fn around(session: &Session) -> Result<Page, operator::capture::CaptureError> {
    let page =
        html_page(&run_report(session.load(View::WHOLE)?, session)?, PageContent::ReportAndCapture);
    Ok(Page { before: page.before, after: page.after })
}

fn fetch_axe(scratch: &Path) -> Result<String> {
    let status = Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
        .arg(scratch)
        .arg(AXE)
        .status()
        .context("npm fetches axe-core; or name its axe.min.js with --axe")?;
    ensure!(status.success(), "npm cannot fetch {AXE}: name its axe.min.js with --axe");
    Ok(std::fs::read_to_string(scratch.join("node_modules/axe-core/axe.min.js"))?)
}
