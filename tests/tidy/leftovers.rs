//! What a finished change does not leave behind: marks for later, and code that has become a comment.

use crate::Problem;
use crate::scan::{Comment, Source};

const MARKS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
const MACROS: &[&str] = &["todo", "unimplemented"];

pub(crate) fn marks(source: &Source) -> Vec<Problem> {
    let advice = "do it now, or write an issue";
    let words = |text: &str, mark: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| word == mark);
    let comments = source
        .comments
        .iter()
        .flat_map(|comment| MARKS.iter().map(move |mark| (comment, mark)));
    let mut found: Vec<_> = comments
        .filter(|(comment, mark)| words(&comment.text, mark))
        .map(|(comment, mark)| Problem::new(source, comment.line, &format!("left-over mark `{mark}`: {advice}")))
        .collect();
    for pair in source.tokens().windows(2) {
        if MACROS.contains(&pair[0].text) && pair[1].text == "!" {
            found.push(Problem::new(
                source,
                pair[0].line,
                &format!("left-over mark `{}!`: {advice}", pair[0].text),
            ));
        }
    }
    found
}

pub(crate) fn dead_code(source: &Source) -> Vec<Problem> {
    let dead = source.comments.iter().filter(|comment| is_code(comment));
    dead.map(|comment| Problem::new(source, comment.line, "commented-out code: delete it, git remembers"))
        .collect()
}

/// A guess. Prose hardly ever ends in a semicolon or a brace, and hardly ever opens like a statement and ends like one.
fn is_code(comment: &Comment) -> bool {
    let text = comment.text.as_str();
    let ends = text.ends_with(';') || text.ends_with('{') || text.ends_with("),") || text.ends_with(")?");
    let statement = text.contains('(') || text.contains('=') || text.contains("::");
    let opens = ["let ", "use ", "pub ", "fn ", "return", "mod ", "self.", "assert"];
    let attribute = text.starts_with("#[") && text.ends_with(']');
    let brace = matches!(text, "}" | "});" | "})" | "};" | "},");
    !comment.doc && (brace || attribute || (ends && (statement || opens.iter().any(|word| text.starts_with(word)))))
}

#[cfg(test)]
mod tests {
    use crate::scan::Source;

    #[test]
    fn marks_are_found() {
        let found = |text: &str| super::marks(&Source::new("src/x.rs", text)).len();
        for text in [
            "// TODO: later",
            "//! a FIXME",
            "/* XXX */",
            "fn f() { todo!() }",
            "unimplemented!(\"x\")",
        ] {
            assert_eq!(found(text), 1, "{text}");
        }
        for text in ["let x = \"TODO\";", "// mastodon, todos", "fn todo() {}"] {
            assert_eq!(found(text), 0, "{text}");
        }
    }

    #[test]
    fn commented_out_code_is_found() {
        let found = |text: &str| super::dead_code(&Source::new("src/x.rs", text)).len();
        let dead = [
            "// let x = 1;",
            "// foo(a, b);",
            "// if a == b {",
            "//     }",
            "// #[test]",
            "// use a::b;",
            "// f(x)?",
        ];
        for text in dead {
            assert_eq!(found(text), 1, "{text}");
        }
        for text in [
            "// First the tail; then the head.",
            "/// let x = 1;",
            "// R2 forbids it (see `f()`).",
            "// === impl X ===",
        ] {
            assert_eq!(found(text), 0, "{text}");
        }
    }
}
