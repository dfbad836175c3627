//! Files, functions and parameter lists stay small, and every file opens with what it is for.

use crate::Problem;
use crate::items;
use crate::scan::Source;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// `self` is not counted. A method of somebody's trait has the parameters it has; our own traits are counted where they stand.
const PARAMETERS_MAX: usize = 4;

pub(crate) fn file(source: &Source) -> Vec<Problem> {
    let lines = source.text.lines().count();
    if !is_rust(source) || lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let advice = "split it where the concepts part; past 400 lines the tests move to name/tests.rs";
    vec![Problem::new(
        source,
        1,
        &format!("{lines} lines (wall {FILE_LINES_MAX}): {advice}"),
    )]
}

pub(crate) fn functions(source: &Source) -> Vec<Problem> {
    let mut found = Vec::new();
    for function in items::functions(source) {
        let items::Function {
            name,
            line,
            lines,
            parameters,
            given,
        } = function;
        if lines > FUNCTION_LINES_MAX {
            let what = format!("`{name}` has {lines} lines (wall {FUNCTION_LINES_MAX}): give one of its steps a name");
            found.push(Problem::new(source, line, &what));
        }
        if parameters > PARAMETERS_MAX && !given {
            let what = format!("`{name}` has {parameters} parameters (wall {PARAMETERS_MAX}): a struct is missing");
            found.push(Problem::new(source, line, &what));
        }
    }
    found
}

pub(crate) fn opening(source: &Source) -> Vec<Problem> {
    let first = source.text.lines().next().unwrap_or_default();
    if !is_rust(source) || first.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty()) {
        return Vec::new();
    }
    vec![Problem::new(
        source,
        1,
        "the first line is no `//!`: say what the file is for and what it promises",
    )]
}

fn is_rust(source: &Source) -> bool {
    source.path.ends_with(".rs")
}

#[cfg(test)]
mod tests {
    use crate::scan::Source;

    fn source(text: &str) -> Source {
        Source::new("src/x.rs", text)
    }

    #[test]
    fn a_long_file_is_found() {
        assert!(super::file(&source(&"x\n".repeat(500))).is_empty());
        assert!(super::file(&source(&"x\n".repeat(501)))[0].says("501 lines"));
    }

    #[test]
    fn a_long_function_is_found() {
        let of = |lines: usize| source(&format!("fn f() {{\n{}}}\n", "a();\n".repeat(lines - 2)));
        assert!(super::functions(&of(70)).is_empty());
        assert!(super::functions(&of(71))[0].says("`f` has 71 lines"));
    }

    #[test]
    fn a_fifth_parameter_is_found() {
        assert!(super::functions(&source("fn f(&self, a: A, b: B, c: C, d: D) {}")).is_empty());
        assert!(super::functions(&source("impl T for U { fn f(a: A, b: B, c: C, d: D, e: E) {} }")).is_empty());
        let found = super::functions(&source("fn f(&self, a: A, b: B, c: C, d: D, e: (E, F)) {}"));
        assert!(found[0].says("5 parameters"));
    }

    #[test]
    fn a_file_without_an_opening_is_found() {
        assert!(super::opening(&source("//! What it is for.\n")).is_empty());
        for text in ["", "//!\n", "use a;\n", "// a\n//! b\n"] {
            assert_eq!(super::opening(&source(text)).len(), 1, "{text:?}");
        }
    }
}
