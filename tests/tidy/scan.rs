//! Reads Rust just well enough to judge it: what is code, what is comment, what is text inside quotes.
//!
//! Promises: `code` has the same lines as the file, with comments and the insides of literals blanked, so a brace in a
//! string or a banned word in a planted sample never counts.

/// One file of the tree.
pub(crate) struct Source {
    /// Relative to the package, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments and the insides of literals blanked.
    pub(crate) code: String,
    pub(crate) comments: Vec<Comment>,
}

/// One line of a comment, without its marker.
pub(crate) struct Comment {
    pub(crate) line: usize,
    pub(crate) text: String,
    /// `///`, `//!` and block comments: prose, where code in fences is at home.
    pub(crate) doc: bool,
}

/// A word or a sign of the code; `::`, `->` and `=>` are one sign.
#[derive(Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

// === impl Source ===

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut scanner = Scanner {
            bytes: text.as_bytes(),
            at: 0,
            line: 1,
            code: Vec::new(),
            comments: Vec::new(),
        };
        scanner.run();
        let code = String::from_utf8_lossy(&scanner.code).into_owned();
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            comments: scanner.comments,
        }
    }

    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        let mut tokens = Vec::new();
        for (index, line) in self.code.lines().enumerate() {
            let mut rest = line.trim_start();
            while !rest.is_empty() {
                let (text, tail) = rest.split_at(token_length(rest));
                tokens.push(Token { text, line: index + 1 });
                rest = tail.trim_start();
            }
        }
        tokens
    }

    /// The lines of the file, numbered from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

fn token_length(rest: &str) -> usize {
    let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
    match rest.get(..2) {
        _ if word > 0 => word,
        Some("::" | "->" | "=>") => 2,
        _ => rest.chars().next().map_or(1, char::len_utf8),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    code: Vec<u8>,
    comments: Vec<Comment>,
}

// === impl Scanner ===

impl Scanner<'_> {
    fn run(&mut self) {
        while self.at < self.bytes.len() {
            if self.ahead(b"//") {
                self.line_comment();
            } else if self.ahead(b"/*") {
                self.block_comment();
            } else if let Some((prefix, hashes)) = self.raw_string() {
                self.literal(prefix, &[b"\"".as_slice(), &vec![b'#'; hashes]].concat(), false);
            } else if self.ahead(b"\"") {
                self.literal(1, b"\"", true);
            } else if self.ahead(b"'") && self.is_char() {
                self.literal(1, b"'", true);
            } else {
                self.keep();
            }
        }
    }

    fn ahead(&self, what: &[u8]) -> bool {
        self.bytes[self.at..].starts_with(what)
    }

    fn keep(&mut self) {
        let byte = self.bytes[self.at];
        self.line += usize::from(byte == b'\n');
        self.code.push(byte);
        self.at += 1;
    }

    fn blank(&mut self) {
        let byte = self.bytes[self.at];
        self.line += usize::from(byte == b'\n');
        self.code.push(if byte == b'\n' { b'\n' } else { b' ' });
        self.at += 1;
    }

    fn line_comment(&mut self) {
        let start = self.at;
        while self.at < self.bytes.len() && self.bytes[self.at] != b'\n' {
            self.blank();
        }
        let text = String::from_utf8_lossy(&self.bytes[start + 2..self.at]);
        let doc = text.starts_with('/') || text.starts_with('!');
        let text = text.trim_start_matches(['/', '!']).trim().to_owned();
        self.comments.push(Comment {
            line: self.line,
            text,
            doc,
        });
    }

    fn block_comment(&mut self) {
        let (start, first) = (self.at, self.line);
        let mut depth = 0;
        while self.at < self.bytes.len() {
            let step = match () {
                () if self.ahead(b"/*") => 1,
                () if self.ahead(b"*/") => -1,
                () => 0,
            };
            depth += step;
            self.blank();
            if step != 0 {
                self.blank();
            }
            if depth == 0 {
                break;
            }
        }
        let text = String::from_utf8_lossy(&self.bytes[start..self.at]);
        let lines = text.lines().enumerate();
        self.comments.extend(lines.map(|(index, line)| Comment {
            line: first + index,
            text: line.trim_matches(['/', '*', ' ']).to_owned(),
            doc: true,
        }));
    }

    /// Length of the opening (`r#"`) and number of hashes, when a raw string starts here.
    fn raw_string(&self) -> Option<(usize, usize)> {
        if self.at > 0 && is_word(char::from(self.bytes[self.at - 1])) {
            return None;
        }
        let rest = &self.bytes[self.at..];
        let marker = usize::from(matches!(rest.first(), Some(b'b' | b'c')));
        let after = rest.get(marker..)?.strip_prefix(b"r")?;
        let hashes = after.iter().take_while(|byte| **byte == b'#').count();
        (after.get(hashes) == Some(&b'"')).then_some((marker + 1 + hashes + 1, hashes))
    }

    /// `'x'`, `'\n'`, `'é'`; not the lifetime `'a`.
    fn is_char(&self) -> bool {
        let rest = &self.bytes[self.at + 1..];
        let Some(first) = rest.first() else { return false };
        let length = match first {
            b'\\' => return true,
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
        };
        rest.get(length) == Some(&b'\'')
    }

    /// Keeps the quotes, blanks what is between them.
    fn literal(&mut self, opening: usize, closing: &[u8], escapes: bool) {
        for _ in 0..opening {
            self.keep();
        }
        while self.at < self.bytes.len() && !self.ahead(closing) {
            if escapes && self.ahead(b"\\") && self.at + 1 < self.bytes.len() {
                self.blank();
            }
            self.blank();
        }
        for _ in 0..closing.len().min(self.bytes.len() - self.at) {
            self.keep();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    fn code(text: &str) -> String {
        Source::new("src/x.rs", text).code
    }

    #[test]
    fn literals_and_comments_are_blanked_and_lines_stay() {
        assert_eq!(code("let a = \"{\\\"\"; // }\nb"), "let a = \"   \";     \nb");
        assert_eq!(code("r#\"a\"b\n{\"# x"), "r#\"   \n \"# x");
        assert_eq!(code("/* { /* } */ */ x"), "                x");
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert_eq!(
            code("fn f<'a>(x: &'a str) -> char { '}' }"),
            "fn f<'a>(x: &'a str) -> char { ' ' }"
        );
        assert_eq!(code("['\\'', '\"', 'é', b'{']"), "['  ', ' ', '  ', b' ']");
    }

    #[test]
    fn comments_know_their_line_and_kind() {
        let source = Source::new("src/x.rs", "//! a\nlet x = 1; // b\n/* c\n d */");
        let seen: Vec<_> = source
            .comments
            .iter()
            .map(|c| (c.line, c.text.as_str(), c.doc))
            .collect();
        assert_eq!(seen, [(1, "a", true), (2, "b", false), (3, "c", true), (4, "d", true)]);
    }

    #[test]
    fn tokens_keep_paths_together() {
        let source = Source::new("src/x.rs", "use crate::a;\nfn f() -> u8");
        let tokens: Vec<_> = source.tokens().iter().map(|t| (t.text, t.line)).collect();
        assert_eq!(tokens[..4], [("use", 1), ("crate", 1), ("::", 1), ("a", 1)]);
        assert_eq!(tokens[8], (")", 2));
        assert_eq!(tokens[9], ("->", 2));
    }
}
