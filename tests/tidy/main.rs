//! The rules of the house, checked on every file of the tree: floors, sizes, names, leftovers, lost files.
//!
//! Promises: each rule is a pure function over a file, is shown failing on a planted sample in its own module, and says what to
//! do. The numbers may only become smaller.

mod floors;
mod items;
mod leftovers;
mod names;
mod reach;
mod scan;
mod sizes;
mod totals;

use std::path::Path;

use scan::Source;

/// One thing that is not as it has to be: where, what, and what to do.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem(String);

// === impl Problem ===

impl Problem {
    pub(crate) fn new(source: &Source, line: usize, sentence: &str) -> Self {
        Self(format!("{}:{line}: {sentence}", source.path))
    }

    #[cfg(test)]
    pub(crate) fn says(&self, words: &str) -> bool {
        self.0.contains(words)
    }
}

type Rule = fn(&Source) -> Vec<Problem>;

/// What is asked of a file alone. Lost files are a question to the whole tree.
const RULES: &[Rule] = &[
    floors::imports,
    floors::purity,
    floors::vendors,
    sizes::file,
    sizes::functions,
    sizes::opening,
    names::files,
    names::items,
    leftovers::marks,
    leftovers::dead_code,
];

fn problems(tree: &[Source]) -> Vec<Problem> {
    let mut found: Vec<_> = tree
        .iter()
        .flat_map(|source| RULES.iter().flat_map(|rule| rule(source)))
        .collect();
    found.extend(reach::lost(tree));
    found
}

/// Every Rust file of the package, and its manifest.
fn tree() -> std::io::Result<Vec<Source>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![Source::new(
        "Cargo.toml",
        &std::fs::read_to_string(root.join("Cargo.toml"))?,
    )];
    for folder in ["src", "tests", "benches", "examples"] {
        collect(root, &root.join(folder), &mut sources)?;
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> std::io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .replace('\\', "/");
            sources.push(Source::new(&name, &std::fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

#[test]
fn the_tree_keeps_the_rules_of_the_house() {
    let tree = tree().expect("the tree is readable");
    assert!(tree.len() > 10, "only {} files found: the walk is broken", tree.len());
    let found: Vec<_> = problems(&tree).into_iter().map(|problem| problem.0).collect();
    assert!(found.is_empty(), "\n{}\n\n{} to mend\n", found.join("\n"), found.len());
}

/// The planted samples of the modules show each rule failing; this shows that each rule is asked.
#[test]
fn every_rule_is_asked() {
    let long = format!(
        "use crate::app::X;\nfn f(a: A, b: B, c: C, d: D, e: E) {{\n{}}}\n",
        "    g();\n".repeat(500)
    );
    let planted = format!(
        "{long}struct Helper;\n// {}\n// let x = kafka();\nfn kafka() {{ tokio::spawn(f()); }}\n",
        "TODO"
    );
    let found = problems(&[Source::new("src/message/util.rs", &planted)]);
    let expected = [
        "imports `crate::app",
        "`tokio`",
        "`kafka`",
        "lines (wall 500)",
        "lines (wall 70)",
        "5 parameters",
        "`//!`",
        "`util`",
        "`Helper`",
        "left-over mark",
        "commented-out",
        "no `mod`",
    ];
    for words in expected {
        assert!(
            found.iter().any(|problem| problem.says(words)),
            "nothing says {words:?}: {found:#?}"
        );
    }
}
