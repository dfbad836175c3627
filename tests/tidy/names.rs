//! Names that say nothing: a module or type that could be called so has not been thought through.

use crate::Problem;
use crate::items;
use crate::scan::Source;

/// As a whole name or as one word of it: `PoolManager` and `string_util` too.
const EMPTY: &[&str] = &[
    "manager", "util", "utils", "helper", "helpers", "common", "data", "info", "impl",
];
const ADVICE: &str = "says nothing: name it for what it holds (the words are in src/lib.rs)";

pub(crate) fn files(source: &Source) -> Vec<Problem> {
    let parts = source.path.trim_end_matches(".rs").split('/');
    let bad = parts.filter(|part| is_empty(part) || *part == "core");
    bad.map(|part| Problem::new(source, 1, &format!("the name `{part}` {ADVICE}")))
        .collect()
}

pub(crate) fn items(source: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    for item in items::named(source) {
        if item.kind == "mod" && item.name == "core" {
            found.push(Problem::new(
                source,
                item.line,
                "a module `core` breaks `use core::…`: call it something else",
            ));
        } else if is_empty(&item.name) {
            found.push(Problem::new(
                source,
                item.line,
                &format!("the name `{}` {ADVICE}", item.name),
            ));
        }
    }
    found
}

fn is_empty(name: &str) -> bool {
    words(name).iter().any(|word| EMPTY.contains(&word.as_str()))
}

/// The words of `snake_case` and `CamelCase`, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if c != '_' {
            let word = words.pop().unwrap_or_default();
            words.push(word + &c.to_lowercase().to_string());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use crate::scan::Source;

    #[test]
    fn empty_names_of_files_are_found() {
        for path in [
            "src/util/mod.rs",
            "src/broker/kafka_helpers.rs",
            "src/core.rs",
            "tests/it/common/mod.rs",
        ] {
            assert_eq!(super::files(&Source::new(path, "")).len(), 1, "{path}");
        }
        for path in ["src/message/metadata.rs", "src/score.rs", "src/lib.rs"] {
            assert!(super::files(&Source::new(path, "")).is_empty(), "{path}");
        }
    }

    #[test]
    fn empty_names_of_items_are_found() {
        let found = |text| super::items(&Source::new("src/x.rs", text)).len();
        for text in [
            "struct PoolManager;",
            "enum Data {}",
            "mod util;",
            "trait BuildInfo {}",
            "type Utils = u8;",
            "mod core {}",
        ] {
            assert_eq!(found(text), 1, "{text}");
        }
        for text in [
            "struct Metadata;",
            "struct Core;",
            "fn data() {}",
            "// struct Helper;",
            "impl Info {}",
        ] {
            assert_eq!(found(text), 0, "{text}");
        }
    }
}
