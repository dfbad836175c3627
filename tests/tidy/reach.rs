//! Files that no `mod` reaches: the compiler never sees them, so nothing in them is true.

use std::collections::BTreeSet;

use crate::Problem;
use crate::items;
use crate::scan::Source;

pub(crate) fn lost(tree: &[Source]) -> Vec<Problem> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = tree
        .iter()
        .map(|s| s.path.clone())
        .filter(|path| is_root(path, tree))
        .collect();
    while let Some(path) = open.pop() {
        if let Some(source) = tree.iter().find(|source| source.path == path)
            && reached.insert(path.clone())
        {
            open.extend(children(source, is_root(&path, tree)));
        }
    }
    let files = tree
        .iter()
        .filter(|source| source.path.ends_with(".rs") && !reached.contains(&source.path));
    files
        .map(|source| {
            Problem::new(
                source,
                1,
                "no `mod` reaches this file: name it in its parent, or delete it",
            )
        })
        .collect()
}

/// What Cargo compiles by itself, and what the manifest names by `path`.
fn is_root(path: &str, tree: &[Source]) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    let by_place = match parts[..] {
        ["src", file] => matches!(file, "lib.rs" | "main.rs"),
        ["tests" | "benches" | "examples", file] => file.ends_with(".rs"),
        ["tests" | "benches" | "examples", _, "main.rs"] => true,
        _ => false,
    };
    let manifest = tree.iter().find(|source| source.path == "Cargo.toml");
    by_place || manifest.is_some_and(|source| source.text.contains(&format!("path = \"{path}\"")))
}

/// The files that the `mod name;` lines of a file may mean.
fn children(source: &Source, root: bool) -> Vec<String> {
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let own = if root || source.path.ends_with("/mod.rs") {
        folder
    } else {
        source.path.trim_end_matches(".rs")
    };
    let mut found = Vec::new();
    for item in items::named(source).iter().filter(|item| item.elsewhere) {
        let inside: String = item.inside.iter().map(|name| format!("/{name}")).collect();
        found.push(format!("{own}{inside}/{}.rs", item.name));
        found.push(format!("{own}{inside}/{}/mod.rs", item.name));
        found.extend(by_attribute(source, item.line).map(|path| resolve(&format!("{folder}/{path}"))));
    }
    found
}

/// `#[path = "…"]` on the line above `mod`.
fn by_attribute(source: &Source, line: usize) -> Option<&str> {
    let (_, above) = source.lines().nth(line.checked_sub(2)?)?;
    above.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]")
}

/// Takes `..` out of a path.
fn resolve(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use crate::scan::Source;

    fn lost(files: &[(&str, &str)]) -> Vec<String> {
        let tree: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        super::lost(&tree).into_iter().map(|problem| problem.0).collect()
    }

    #[test]
    fn a_file_without_a_mod_is_found() {
        let tree = [
            ("src/lib.rs", "mod a;\nmod inline { mod deep; }"),
            ("src/a/mod.rs", "mod b;\n// mod c;"),
            ("src/a/b.rs", "mod tests;"),
            ("src/a/b/tests.rs", ""),
            ("src/inline/deep.rs", ""),
            ("src/a/c.rs", ""),
        ];
        let found = lost(&tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("src/a/c.rs:1: no `mod` reaches"));
    }

    #[test]
    fn roots_are_what_cargo_compiles() {
        let tree = [
            ("Cargo.toml", "[[bench]]\nname = \"x\"\npath = \"tests/bench/x.rs\"\n"),
            ("tests/bench/x.rs", "#[path = \"../it/support/ports.rs\"]\nmod ports;"),
            ("tests/it/main.rs", ""),
            ("tests/it/support/ports.rs", ""),
            ("tests/one.rs", ""),
        ];
        assert_eq!(lost(&tree), [""; 0]);
        assert_eq!(lost(&tree[1..]).len(), 2);
    }
}
