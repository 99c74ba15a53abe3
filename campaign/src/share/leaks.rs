//! Whether anything planted in a capture is left in its export, in the Markdown beside it or in the page.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use fastrand::Rng;
use operator::report::{PageContent, html_page, markdown, run_report};
use operator::session::{Session, View};
use operator::share::{
    Destination, ExportOptions, Redaction, ShareError, audit, export, issue_comment,
};
use testkit::exports::redacted;

use super::planted::{Moved, Naming, write};
use super::search::Search;
use super::{captures_in, file_name};

/// What came of the exports.
#[derive(Default)]
struct Tally {
    planted: usize,
    found: usize,
    refused: usize,
    /// Secrets in files that were not redacted, and how many of them the search found.
    plain: (usize, usize),
}

/// Exports captures with planted secrets and looks for these; then bundled captures, and looks for addresses.
pub fn run(exports: usize, folders: &[PathBuf], seed: u64) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let namings = Naming::all();
    let Tally { planted, found, refused, plain } = planted(exports, &namings, seed)?;
    println!("{} of {} secrets found where nothing is redacted", plain.1, plain.0);
    println!(
        "{planted} secrets planted in {exports} exports under {} namings, {found} found, {refused} not finished",
        namings.len()
    );
    let addresses = bundled(folders, &scratch.path().join("bundled.gz"))?;
    println!("{addresses} addresses found in exports of bundled captures");
    ensure!(plain.0 == plain.1, "the search does not find what is there");
    ensure!(found + addresses + refused == 0, "secrets were found");
    Ok(())
}

/// Tries the exports on every processor. A naming belongs to one of them, since making its run takes longest.
fn planted(exports: usize, namings: &[Naming], seed: u64) -> Result<Tally> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let tried: Vec<Result<Tally>> = std::thread::scope(|scope| {
        let begin =
            |worker| scope.spawn(move || tried_by(worker, threads, (exports, namings, seed)));
        let workers: Vec<_> = (0..threads).map(begin).collect();
        workers.into_iter().map(|one| one.join().expect("a panic ends the campaign")).collect()
    });
    tried.into_iter().try_fold(Tally::default(), |sum, one| Ok(sum.plus(&one?)))
}

/// Tries the exports of one worker. What is planted in one follows from its number alone.
fn tried_by(
    worker: usize,
    workers: usize,
    (exports, namings, seed): (usize, &[Naming], u64),
) -> Result<Tally> {
    let scratch = tempfile::tempdir()?;
    let (mut moved, mut tally) = (Moved::default(), Tally::default());
    for number in 0..exports {
        let one = number % namings.len();
        if one % workers != worker {
            continue;
        }
        let (naming, mut rng) = (namings[one], Rng::with_seed(seed.wrapping_add(number as u64)));
        let from = scratch.path().join("planted.capture");
        let secrets = write(&from, naming, &mut moved, &mut rng)?;
        if number < namings.len() {
            tally.search_plain(&from, &secrets, scratch.path())?;
        }
        for leak in tally.export(&from, &secrets, scratch.path())? {
            println!("{naming} {number}: {leak}");
        }
        std::fs::remove_file(&from)?;
    }
    Ok(tally)
}

impl Tally {
    fn plus(self, other: &Self) -> Self {
        Self {
            planted: self.planted + other.planted,
            found: self.found + other.found,
            refused: self.refused + other.refused,
            plain: (self.plain.0 + other.plain.0, self.plain.1 + other.plain.1),
        }
    }

    /// Exports a capture and returns what is left in it, a line each.
    fn export(&mut self, from: &Path, secrets: &[Vec<u8>], scratch: &Path) -> Result<Vec<String>> {
        self.planted += secrets.len();
        let to = scratch.join("exported.gz");
        let exported = match export(from, Destination::File(&to), &redacted()) {
            Err(ShareError::Leaked(leaks)) => {
                self.refused += 1;
                return Ok(vec![format!("not finished, {leaks:?}")]);
            }
            exported => exported?,
        };
        let mut search = Search::new(secrets)?;
        search.packed(&to, scratch)?;
        search.bytes("the Markdown", issue_comment(&exported).as_bytes());
        let session = Session::open(&to)?;
        let report = run_report(session.load(View::WHOLE)?, &session)?;
        search.bytes("the report in Markdown", markdown(&report).as_bytes());
        let page = html_page(&report, PageContent::Report).alone();
        search.bytes("the page", page.as_bytes());
        std::fs::remove_file(&to)?;
        let found = search.into_found();
        self.found += found.len();
        Ok(found.into_iter().map(|(place, secret)| format!("{secret} in {place}")).collect())
    }

    /// Exports a capture as it is, where the search has to find every secret.
    fn search_plain(&mut self, from: &Path, secrets: &[Vec<u8>], scratch: &Path) -> Result<()> {
        let to = scratch.join("plain.gz");
        let options = ExportOptions { redaction: Redaction::Off, ..redacted() };
        export(from, Destination::File(&to), &options)?;
        for secret in secrets {
            let mut search = Search::new(std::slice::from_ref(secret))?;
            search.packed(&to, scratch)?;
            self.plain.0 += 1;
            let is_found = !search.into_found().is_empty();
            self.plain.1 += usize::from(is_found);
            if !is_found {
                println!("{} is not found", String::from_utf8_lossy(secret));
            }
        }
        std::fs::remove_file(&to)?;
        Ok(())
    }
}

fn bundled(folders: &[PathBuf], to: &Path) -> Result<usize> {
    let mut found = 0;
    for from in captures_in(folders)? {
        export(&from, Destination::File(to), &redacted())?;
        for leak in audit(to, &[])? {
            found += 1;
            println!("{}: {} in {}", file_name(&from), leak.secret, leak.place);
        }
        std::fs::remove_file(to)?;
    }
    Ok(found)
}
