//! The recipe of the recorder's image.

use std::fs;
use std::path::{Path, PathBuf};

fn top(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the recipe copies out of the repository, into the same place of the builder.
fn copied() -> Vec<String> {
    let recipe = top("Dockerfile.operator");
    let lines = recipe.lines().filter_map(|line| line.strip_prefix("COPY "));
    let own = lines.filter(|line| !line.starts_with("--from="));
    own.flat_map(|line| {
        let paths: Vec<&str> = line.split(' ').collect();
        let (to, from) = paths.split_last().expect("COPY has a target");
        assert!(*to == "./" || from == [*to], "{line} moves a file");
        from.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>()
    })
    .collect()
}

/// Files outside `src` that the source includes, from the top of the repository.
fn included() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut folders) = (Vec::new(), vec![root.join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the source can be listed") {
            let path: PathBuf = entry.expect("the source can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            for (at, _) in text.match_indices("include_str!(\"") {
                let name = text[at..].split('"').nth(1).expect("a path");
                let file = fs::canonicalize(folder.join(name)).expect("it is there");
                let inside = file.strip_prefix(root).expect("inside the repository");
                found.push(inside.to_string_lossy().into_owned());
            }
        }
    }
    assert!(!found.is_empty(), "the scan finds what is included");
    found
}

#[test]
fn the_recipe_copies_whatever_the_source_includes() {
    let copied = copied();
    for file in included() {
        let covered = copied.iter().any(|path| Path::new(&file).starts_with(path));
        assert!(covered, "Dockerfile.operator does not copy {file}: {copied:?}");
    }
}

#[test]
fn what_the_recipe_copies_reaches_the_builder_and_nothing_else_does() {
    let ignore = top(".dockerignore");
    let lines: Vec<&str> = ignore.lines().filter(|line| !line.starts_with('#')).collect();
    let (first, kept) = lines.split_first().expect("something is ignored");
    assert_eq!(*first, "*");
    let mut kept: Vec<&str> =
        kept.iter().map(|line| line.strip_prefix('!').expect("only exceptions follow")).collect();
    let mut copied = copied();
    kept.sort_unstable();
    copied.sort();
    assert_eq!(kept, copied);
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_tells_its_health() {
    let recipe = top("Dockerfile.operator");
    let (_, last) = recipe.rsplit_once("\nFROM ").expect("there are stages");
    for line in ["USER 10001:10001", "VOLUME /captures", "ENTRYPOINT [\"operator\"]"] {
        assert!(last.lines().any(|found| found == line), "{line}");
    }
    assert!(last.contains("HEALTHCHECK") && last.contains("ca-certificates.crt"));
    let version = format!("ARG VERSION={}", env!("CARGO_PKG_VERSION"));
    assert!(last.contains(&version), "the image is labelled with another version");
    for image in ["ARG RUST_IMAGE=", "ARG RUNTIME_IMAGE="] {
        assert!(recipe.contains(image), "{image}");
    }
}
