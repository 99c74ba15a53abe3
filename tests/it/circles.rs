//! No circle of imports runs through files of different folders, so that each folder can be read and
//! changed without the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module by the names that lead to it, such as `["promql", "syntax", "ast"]`.
type Module = Vec<String>;

/// A source file of the library, without its tests.
struct Source {
    folder: PathBuf,
    code: String,
}

fn modules() -> BTreeMap<Module, Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the source can be listed") {
            let path = entry.expect("the source can be listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = path.strip_prefix(&root).expect("the file lies in src").with_extension("");
            let mut module: Module =
                inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let last = module.last().cloned().unwrap_or_default();
            if matches!(last.as_str(), "tests" | "main" | "lib") {
                continue;
            }
            if last == "mod" {
                module.pop();
            }
            let text = fs::read_to_string(&path).expect("the source can be read");
            found.insert(module, Source { folder: unit(&folder), code: without_tests(&text) });
        }
    }
    found
}

/// The folder that counts: what lies in `x/` beside `x.rs` was split out of that one file.
fn unit(folder: &Path) -> PathBuf {
    match folder.parent() {
        Some(parent) if folder.with_extension("rs").is_file() => unit(parent),
        _ => folder.to_owned(),
    }
}

/// The code without comments and without the tests at its end.
fn without_tests(text: &str) -> String {
    let code = text.find("\n#[cfg(test)]\nmod tests {").map_or(text, |end| &text[..end]);
    let code = code.find("\n#[cfg(test)]\npub").map_or(code, |end| &code[..end]);
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that a tree of a `use` names: `a::{b, c::d}` names `a::b` and `a::c::d`.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, inner)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        return vec![path.to_owned()];
    };
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (place, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(leaves).map(|leaf| format!("{prefix}{leaf}")).collect()
}

/// The trees of all `use` items, and whether each is a re-export.
fn uses(code: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    for item in code.split(';') {
        let item =
            item.rsplit_once('}').filter(|_| !item.contains("use ")).map_or(item, |(_, i)| i);
        let Some(place) = item.find("use ") else { continue };
        let head = item[..place].trim_end();
        let visibility = head.lines().last().unwrap_or_default().trim();
        let tree = item[place + 4..].split_whitespace().collect::<Vec<_>>().join(" ");
        found.push((visibility.starts_with("pub"), tree));
    }
    found
}

/// The names that a path leads through from the root of the crate; `None` for other crates.
fn absolute(module: &Module, path: &str, modules: &BTreeMap<Module, Source>) -> Option<Module> {
    let mut names: Vec<String> = path.split("::").map(|name| name.trim().to_owned()).collect();
    let first = names.first()?.clone();
    let mut base = match first.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.clone(),
        child => {
            let mut inner = module.clone();
            inner.push(child.to_owned());
            modules.contains_key(&inner).then(|| module.clone())?
        }
    };
    if matches!(first.as_str(), "crate" | "self") {
        names.remove(0);
    }
    while names.first().is_some_and(|name| name == "super") {
        base.pop();
        names.remove(0);
    }
    base.extend(names);
    Some(base)
}

/// Which module uses which, re-exports followed to where a name is defined.
fn graph(modules: &BTreeMap<Module, Source>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    let mut reexports: BTreeMap<(Module, String), Module> = BTreeMap::new();
    for (module, source) in modules {
        for (_, tree) in uses(&source.code).into_iter().filter(|(reexports, _)| *reexports) {
            for leaf in leaves(&tree) {
                let name = leaf.rsplit("::").next().unwrap_or_default().to_owned();
                if let Some(target) = absolute(module, &leaf, modules) {
                    reexports.insert((module.clone(), name), target);
                }
            }
        }
    }
    let defined = |mut path: Module| -> Option<&Module> {
        for _ in 0..8 {
            let length =
                (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
            let (module, rest) = (path[..length].to_vec(), path[length..].to_vec());
            match rest.first().and_then(|name| reexports.get(&(module.clone(), name.clone()))) {
                Some(target) => path.clone_from(target),
                None => return modules.get_key_value(&module).map(|(module, _)| module),
            }
        }
        None
    };
    let mut graph: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for (module, source) in modules {
        let used = graph.entry(module).or_default();
        for (is_reexport, tree) in uses(&source.code) {
            for leaf in leaves(&tree) {
                let target = absolute(module, &leaf, modules).and_then(&defined);
                // A module that hands on its children does not use them.
                let target = target.filter(|target| !(is_reexport && target.starts_with(module)));
                used.extend(target.filter(|target| *target != module));
            }
        }
    }
    graph
}

/// Everything that can be reached from a module.
fn reached<'a>(
    from: &'a Module,
    graph: &BTreeMap<&'a Module, BTreeSet<&'a Module>>,
) -> BTreeSet<&'a Module> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for used in graph.get(module).into_iter().flatten() {
            if seen.insert(*used) {
                next.push(used);
            }
        }
    }
    seen
}

#[test]
fn no_circle_of_imports_runs_through_files_of_different_folders() {
    let modules = modules();
    let graph = graph(&modules);
    assert!(graph.values().map(BTreeSet::len).sum::<usize>() > 500, "the scan finds the imports");
    let reach: BTreeMap<&Module, BTreeSet<&Module>> =
        graph.keys().map(|module| (*module, reached(module, &graph))).collect();
    for (module, source) in &modules {
        for other in &reach[module] {
            let is_circle = reach[other].contains(module);
            assert!(
                !is_circle || modules[*other].folder == source.folder,
                "{} and {} import each other, by way of others perhaps",
                module.join("::"),
                other.join("::")
            );
        }
    }
}

#[test]
fn the_scan_reads_trees_of_imports() {
    let found = leaves("crate::a::{b, c::{d, e as f}, self}");
    assert_eq!(found, ["crate::a::b", "crate::a::c::d", "crate::a::c::e", "crate::a::self"]);
    let code = "use crate::a::b;\npub(crate) use self::c::{d,\n    e};\nfn f() { let x = 1; }";
    let expected = [(false, "crate::a::b".to_owned()), (true, "self::c::{d, e}".to_owned())];
    assert_eq!(uses(code), expected);
}
