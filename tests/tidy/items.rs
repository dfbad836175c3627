//! Finds functions, modules, types and paths among the tokens of a file.

use std::ops::Range;

use crate::scan::{Source, Token};

/// A function that has a name; closures and function pointers have none.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From `fn` to the closing brace, both lines counted; 1 for a declaration.
    pub(crate) lines: usize,
    /// `self` is not counted.
    pub(crate) parameters: usize,
    /// It stands in `impl Trait for Type`: its signature was chosen elsewhere.
    pub(crate) given: bool,
}

/// A name that the file gives to a module or a type.
#[derive(Debug, PartialEq)]
pub(crate) struct Named {
    /// `mod`, `struct`, `enum`, `trait`, `type` or `union`.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) line: usize,
    /// The inline modules it stands in.
    pub(crate) inside: Vec<String>,
    /// `mod name;`: the rest is in another file.
    pub(crate) elsewhere: bool,
}

/// A path as it is written, imports expanded to one path per name.
#[derive(Debug, PartialEq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// The inline modules it stands in.
    pub(crate) inside: Vec<String>,
}

/// All functions of the file.
pub(crate) fn functions(source: &Source) -> Vec<Function> {
    let tokens = source.tokens();
    let given = trait_impls(&tokens);
    let is_start = |pair: &[Token<'_>]| pair[0].text == "fn" && is_name(pair[1].text);
    let starts = tokens.windows(2).enumerate().filter(|(_, pair)| is_start(pair));
    let measured = starts.map(|(at, _)| (at, function(&tokens[at..])));
    measured
        .map(|(at, function)| Function {
            given: given.iter().any(|body| body.contains(&at)),
            ..function
        })
        .collect()
}

/// The bodies of `impl Trait for Type { … }`; `for<'a>` is no such `for`.
fn trait_impls(tokens: &[Token<'_>]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let starts = at == 0 || matches!(tokens[at - 1].text, "}" | "{" | ";" | "]" | "unsafe");
        if token.text != "impl" || !starts {
            continue;
        }
        let open = at + body_at(&tokens[at..]);
        let is_for = |pair: &[Token<'_>]| pair[0].text == "for" && pair[1].text != "<";
        if tokens[at..=open].windows(2).any(is_for) {
            found.push(open..open + matching(&tokens[open..]));
        }
    }
    found
}

/// The function at the start of `tokens`.
fn function(tokens: &[Token<'_>]) -> Function {
    let open = parameters_at(tokens);
    let close = open + matching(&tokens[open..]);
    let body = close + body_at(&tokens[close..]);
    let end = match tokens.get(body) {
        Some(token) if token.text == "{" => body + matching(&tokens[body..]),
        _ => body,
    };
    let last = tokens
        .get(end)
        .or(tokens.last())
        .map_or(tokens[0].line, |token| token.line);
    Function {
        name: tokens[1].text.to_owned(),
        line: tokens[0].line,
        lines: last - tokens[0].line + 1,
        parameters: count_parameters(&tokens[open + 1..close]),
        given: false,
    }
}

/// Where the parameter list opens: behind the name and its generics, whose bounds may hold parentheses of their own.
fn parameters_at(tokens: &[Token<'_>]) -> usize {
    let mut angles = 0;
    for (at, token) in tokens.iter().enumerate().skip(2) {
        match token.text {
            "<" => angles += 1,
            ">" => angles -= 1,
            "(" if angles == 0 => return at,
            _ => {}
        }
    }
    tokens.len() - 1
}

/// Where the body opens, or the semicolon of a declaration; in `-> [u8; 4] {` the semicolon belongs to the array.
fn body_at(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(1) {
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "{" | ";" if depth == 0 => return at,
            _ => {}
        }
    }
    tokens.len() - 1
}

/// Index of the bracket that closes the one at the start.
fn matching(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

fn count_parameters(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0;
    let mut parts = vec![Vec::new()];
    for token in tokens {
        match token.text {
            "(" | "[" | "{" | "<" => depth += 1,
            ")" | "]" | "}" | ">" => depth -= 1,
            "," if depth == 0 => {
                parts.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(token.text);
        }
    }
    parts
        .iter()
        .filter(|part| !part.is_empty() && !is_receiver(part))
        .count()
}

/// `self`, `&self`, `&'a mut self`, `mut self`, `self: Box<Self>`.
fn is_receiver(part: &[&str]) -> bool {
    part.iter().take_while(|text| **text != ":").any(|text| *text == "self")
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// All modules and types that the file names.
pub(crate) fn named(source: &Source) -> Vec<Named> {
    let mut found = Vec::new();
    walk(source, |tokens, inside| {
        let [keyword, name, after, ..] = tokens else { return 1 };
        let is_kind = matches!(keyword.text, "mod" | "struct" | "enum" | "trait" | "type" | "union");
        if is_kind && is_name(name.text) && !matches!(after.text, "." | "," | ")") {
            let (kind, elsewhere) = (keyword.text.to_owned(), keyword.text == "mod" && after.text == ";");
            let (name, line, inside) = (name.text.to_owned(), name.line, inside.to_vec());
            found.push(Named {
                kind,
                name,
                line,
                inside,
                elsewhere,
            });
        }
        1
    });
    found
}

/// All imports, and all paths in the code that start at `crate`, `self` or `super`.
pub(crate) fn paths(source: &Source) -> Vec<Path> {
    let mut found = Vec::new();
    let mut before = "";
    walk(source, |tokens, inside| {
        let here = tokens[0].text;
        let rooted = matches!(here, "crate" | "self" | "super") && before != "::" && next(tokens) == "::";
        let imports = here == "use" && next(tokens) != "<";
        before = here;
        if !imports && !rooted {
            return 1;
        }
        let mut tree = Tree {
            tokens,
            at: usize::from(imports),
            found: Vec::new(),
            expands: imports,
        };
        tree.read(Vec::new());
        let line = tokens[0].line;
        found.extend(tree.found.into_iter().map(|segments| Path {
            segments,
            line,
            inside: inside.to_vec(),
        }));
        tree.at.max(1)
    });
    found
}

fn next<'a>(tokens: &[Token<'a>]) -> &'a str {
    tokens.get(1).map_or("", |token| token.text)
}

/// Calls `visit` with the tokens from each place on and the inline modules around it; it answers how many it has read.
fn walk<'a>(source: &'a Source, mut visit: impl FnMut(&[Token<'a>], &[String]) -> usize) {
    let tokens = source.tokens();
    let (mut at, mut depth) = (0, 0_usize);
    let mut names: Vec<String> = Vec::new();
    let mut depths: Vec<usize> = Vec::new();
    while at < tokens.len() {
        match tokens[at].text {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depths.last().is_some_and(|opened| *opened > depth) {
            depths.pop();
            names.pop();
        }
        let read = visit(&tokens[at..], &names);
        if let [first, name, brace, ..] = &tokens[at..]
            && first.text == "mod"
            && brace.text == "{"
        {
            names.push(name.text.to_owned());
            depths.push(depth + 1);
            depth += 1;
            at += 3;
            continue;
        }
        at += read;
    }
}

/// Reads `a::{b, c::d as e, f::*}`.
struct Tree<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
    found: Vec<Vec<String>>,
    /// Only imports have braces and stars.
    expands: bool,
}

// === impl Tree ===

impl Tree<'_, '_> {
    fn text(&self) -> &str {
        self.tokens.get(self.at).map_or("", |token| token.text)
    }

    fn read(&mut self, mut path: Vec<String>) {
        loop {
            if self.expands && self.text() == "{" {
                self.at += 1;
                return self.read_group(&path);
            }
            if is_name(self.text()) || self.text() == "*" {
                path.push(self.text().to_owned());
                self.at += 1;
            }
            let goes_on = self
                .tokens
                .get(self.at + 1)
                .is_some_and(|t| is_name(t.text) || "{*".contains(t.text));
            if self.text() != "::" || !(goes_on || self.expands) {
                break;
            }
            self.at += 1;
        }
        if self.expands && self.text() == "as" {
            self.at += 2;
        }
        self.found.push(path);
    }

    fn read_group(&mut self, path: &[String]) {
        while !matches!(self.text(), "}" | "") {
            self.read(path.to_vec());
            if self.text() == "," {
                self.at += 1;
            }
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{functions, named, paths};
    use crate::scan::Source;

    fn source(text: &str) -> Source {
        Source::new("src/x.rs", text)
    }

    fn function(text: &str) -> (String, usize, usize) {
        let mut all = functions(&source(text));
        let one = all.remove(0);
        (one.name, one.lines, one.parameters)
    }

    #[test]
    fn functions_are_measured() {
        assert_eq!(
            function("fn f(a: u8, (b, c): (u8, u8)) {\n  {}\n}\nfn g() {}"),
            ("f".into(), 3, 2)
        );
        assert_eq!(
            function("fn f<F: Fn(u8, u8) -> u8>(&self, f: F) -> [u8; 4] {\n}"),
            ("f".into(), 2, 1)
        );
        assert_eq!(
            function("fn f(self: Box<Self>, m: Map<K, V>,) -> u8;\nfn g() {}"),
            ("f".into(), 1, 1)
        );
        assert_eq!(function("fn f()\nwhere\n  A: B,\n{\n}"), ("f".into(), 5, 0));
    }

    #[test]
    fn a_function_pointer_has_no_name() {
        assert!(functions(&source("type A = fn(u8) -> u8;")).is_empty());
    }

    #[test]
    fn a_signature_from_elsewhere_is_known() {
        let given = |text| {
            functions(&source(text))
                .iter()
                .map(|function| function.given)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            given("use a;\nimpl<T: A> B for C<T> where T: for<'a> D<'a> { fn f() { } fn g() {} } fn h() {}"),
            [true, true, false]
        );
        assert_eq!(
            given("impl C { fn f(x: impl for<'a> B<'a>) {} }\ntrait D { fn g(); }"),
            [false, false]
        );
    }

    fn expanded(text: &str) -> Vec<String> {
        paths(&source(text))
            .iter()
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn imports_are_expanded() {
        assert_eq!(
            expanded("use crate::{a::{B, c::*}, d as e};"),
            ["crate::a::B", "crate::a::c::*", "crate::d"]
        );
        assert_eq!(
            expanded("pub(crate) use super::a;\nuse std::fmt;"),
            ["super::a", "std::fmt"]
        );
        assert_eq!(expanded("fn f() -> impl Sized + use<'a> {}"), [""; 0]);
    }

    #[test]
    fn paths_in_code_are_found() {
        assert_eq!(expanded("let x = crate::a::B::<u8>::new();"), ["crate::a::B"]);
        assert_eq!(
            expanded("pub(in crate::a) fn f() { super::super::g(); }"),
            ["crate::a", "super::super::g"]
        );
    }

    #[test]
    fn inline_modules_are_known() {
        let source = source("mod a { mod b { use super::x; } use super::y; } use self::z; mod c;");
        let inside: Vec<_> = paths(&source).iter().map(|path| path.inside.join("::")).collect();
        assert_eq!(inside, ["a::b", "a", ""]);
        let names: Vec<_> = named(&source).iter().map(|n| (n.name.clone(), n.elsewhere)).collect();
        assert_eq!(names, [("a".into(), false), ("b".into(), false), ("c".into(), true)]);
    }
}
