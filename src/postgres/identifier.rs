//! Names inside SQL text: the schema, which is the one placeholder of `sql/`, and quoted identifiers.
//!
//! Promises: a [`Schema`] can stand wherever `{schema}` does in our files, inside function bodies and comments too,
//! because nothing but letters, digits and underscores gets into one.

use std::fmt;

/// PostgreSQL cuts longer names silently (`NAMEDATALEN` - 1).
pub const NAME_BYTES_MAX: usize = 63;

/// Name of the schema that holds our tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Schema(String);

/// Why a name cannot be our schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Something else than a plain name.
    #[error("schema {0:?} is not a plain name: write letters, digits and underscores, at most 63, not a digit first")]
    NotPlain(String),
    /// PostgreSQL keeps these for itself.
    #[error("schema {0:?} begins with pg_, which PostgreSQL keeps for itself: choose another name")]
    Reserved(String),
}

// === impl Schema ===

impl Schema {
    /// Checks: 1 to 63 of `[A-Za-z0-9_]`, no digit first, not `pg_…`.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, SchemaError> {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.bytes().next().is_none_or(|b| b.is_ascii_digit())
            && name.len() <= NAME_BYTES_MAX;
        if !plain {
            return Err(SchemaError::NotPlain(name.to_owned()));
        }
        if name.starts_with("pg_") {
            return Err(SchemaError::Reserved(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The bare name, for catalogue look-ups.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Puts the schema where a file of `sql/` says `{schema}`.
    #[must_use]
    pub fn render(&self, sql: &str) -> String {
        sql.replace("{schema}", &quoted(&self.0))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A table's name: `table`, `schema.table`, or with quotes as SQL writes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    schema: Option<String>,
    name: String,
}

/// Not a table's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no table's name: write schema.table, with double quotes around parts that are not plain lower case")]
pub struct TableNameError(String);

// === impl TableName ===

impl TableName {
    /// `name` in `schema`, as they are.
    #[must_use]
    pub fn new(schema: &str, name: &str) -> Self {
        Self {
            schema: Some(schema.to_owned()),
            name: name.to_owned(),
        }
    }

    /// Reads what a person writes. Like SQL, lowers what is not quoted.
    ///
    /// # Errors
    /// Empty parts, more than two of them, a quote without its end.
    pub fn parse(text: &str) -> Result<Self, TableNameError> {
        let wrong = || TableNameError(text.to_owned());
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, after) = part(rest).ok_or_else(wrong)?;
            parts.push(part);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return Err(wrong()),
            }
        }
        let name = parts.pop().ok_or_else(wrong)?;
        let schema = parts.pop();
        if parts.is_empty() {
            Ok(Self { schema, name })
        } else {
            Err(wrong())
        }
    }

    /// Its schema, if one was written.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Its bare name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As SQL text.
    #[must_use]
    pub fn quoted(&self) -> String {
        let schema = self
            .schema
            .as_deref()
            .map(|schema| format!("{}.", quoted(schema)))
            .unwrap_or_default();
        format!("{schema}{}", quoted(&self.name))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// One part of a dotted name, and what follows it.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(body) = text.strip_prefix('"') else {
        let end = text.find('.').unwrap_or(text.len());
        let plain = text[..end]
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || !b.is_ascii());
        return (end > 0 && plain).then(|| (text[..end].to_lowercase(), &text[end..]));
    };
    let mut name = String::new();
    let mut characters = body.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' if characters.next_if(|(_, next)| *next == '"').is_some() => name.push('"'),
            '"' => return (!name.is_empty()).then(|| (name, &body[at + 1..])),
            '\0' => return None,
            c => name.push(c),
        }
    }
    None
}

/// An identifier as SQL text, whatever is in it.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string as an SQL literal, whatever is in it.
#[must_use]
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_name() {
        for name in ["twinbox", "Twinbox_2", "_x"] {
            assert_eq!(Schema::new(name).map(|s| s.name().to_owned()), Ok(name.to_owned()));
        }
        for name in ["", "2x", "a-b", "a\"b", "a$b", "a'b", "ü", &"x".repeat(64)] {
            assert_eq!(Schema::new(name), Err(SchemaError::NotPlain(name.to_owned())));
        }
        assert_eq!(Schema::new("pg_x"), Err(SchemaError::Reserved("pg_x".to_owned())));
    }

    #[test]
    fn the_placeholder_becomes_a_quoted_name() {
        let schema = Schema::new("Order").expect("a plain name");
        assert_eq!(
            schema.render("select {schema}.f(), {schema}.t.c"),
            r#"select "Order".f(), "Order".t.c"#
        );
    }

    #[test]
    fn a_table_is_named_as_in_sql() {
        let cases = [
            ("Events", r#""events""#),
            ("shop.Events", r#""shop"."events""#),
            (r#"shop."Order ""x"".y""#, r#""shop"."Order ""x"".y""#),
        ];
        for (text, sql) in cases {
            assert_eq!(
                TableName::parse(text).map(|name| name.quoted()),
                Ok(sql.to_owned()),
                "{text}"
            );
        }
        for text in [
            "", ".", "a.", ".a", "a.b.c", r#""a"#, r#""""#, "a b", r#""a"b"#, "a;drop",
        ] {
            assert!(TableName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quoting_survives_its_own_quotes() {
        assert_eq!(quoted(r#"a"b"#), r#""a""b""#);
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r" E'a\\''b'");
    }
}
