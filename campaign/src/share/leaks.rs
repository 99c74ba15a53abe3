//! Whether anything planted in a capture is left in its export, or in the Markdown beside it.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use operator::capture::CaptureReader;
use operator::share::{Destination, Scanner, Secrets, ShareError, audit, export, issue_comment};
use testkit::exports::redacted;

use super::planted::{Naming, write};
use super::{captures_in, file_name};

/// Exports captures with planted secrets and looks for these; then bundled captures, and looks for addresses.
pub fn run(exports: usize, folders: &[PathBuf], seed: u64) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut planted, mut found, mut refused) = (0, 0, 0);
    for number in 0..exports {
        let from = scratch.path().join(format!("{number}.capture"));
        let to = scratch.path().join(format!("{number}.gz"));
        let naming = Naming::ALL[number % Naming::ALL.len()];
        let mut secrets = Secrets::default();
        for secret in write(&from, naming, &mut rng)? {
            secrets.add(&secret);
        }
        planted += secrets.len();
        let exported = match export(&from, Destination::File(&to), &redacted()) {
            Err(ShareError::Leaked(leaks)) => {
                println!("{naming:?} {number}: not finished, {leaks:?}");
                refused += 1;
                continue;
            }
            exported => exported?,
        };
        let mut scanner = Scanner::new(&secrets)?;
        scanner.capture(&CaptureReader::open(&to)?)?;
        scanner.raw("the packed bytes", &std::fs::read(&to)?);
        let mut unpacked = Vec::new();
        let packed = std::fs::File::open(&to)?;
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut unpacked)?;
        scanner.raw("the bytes", &unpacked);
        scanner.text("the Markdown", issue_comment(&exported).as_bytes());
        for leak in scanner.into_leaks() {
            found += 1;
            println!(
                "{naming:?} {number}: {} in {}, as {}",
                leak.secret, leak.place, leak.encoding
            );
        }
        std::fs::remove_file(&from)?;
        std::fs::remove_file(&to)?;
    }
    println!(
        "{planted} secrets planted in {exports} exports, {found} found, {refused} not finished"
    );
    let addresses = bundled(folders, &scratch.path().join("bundled.gz"))?;
    println!("{addresses} addresses found in exports of bundled captures");
    ensure!(found + addresses + refused == 0, "secrets were found");
    Ok(())
}

fn bundled(folders: &[PathBuf], to: &std::path::Path) -> Result<usize> {
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
