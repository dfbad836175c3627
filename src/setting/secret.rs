//! Secrets: where to find one, and how not to show it.
//!
//! Promises: no `Debug`, `Display` or error here prints a secret, and there is no `Serialize`; a file is read at each
//! [`Secret::resolve`], so that a rotated password is used at the next connect.
//!
//! # Why a hand-written `Deserialize`
//!
//! A derived untagged one accepts `{env: X, file: y}` and drops the second; and serde's own errors quote the value.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::format::SECRET;

/// The longest secret read from a file. Passwords are short; `/dev/zero` is long.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where a secret is found: `"literal"`, `{env: NAME}` or `{file: path}`.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Written in the configuration itself.
    Literal(SecretText),
    /// In an environment variable.
    Env(String),
    /// In a file, relative to the working directory.
    File(PathBuf),
}

/// A secret in the open. Prints as `***`; [`SecretText::expose`] is the only way to it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

/// Why a secret could not be had. Names the place, never the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable does not exist.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// There, but without content.
    #[error("{0} is empty")]
    Empty(String),
    /// The file cannot be read.
    #[error("cannot read {}: {}", path.display(), source.kind())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// More than [`SECRET_BYTES_MAX`].
    #[error("{} is longer than 64 KiB: is it the right file?", .0.display())]
    TooLong(PathBuf),
    /// Bytes that are no text.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// More than one line; one newline at the end is trimmed.
    #[error("{0} has more than one line; a secret is one line")]
    Lines(String),
}

// === impl Secret ===

impl Secret {
    /// A secret written in the open.
    #[must_use]
    pub fn literal(text: impl Into<String>) -> Self {
        Self::Literal(SecretText(text.into()))
    }

    /// Fetches the secret. `env` is the environment; a file is read now, each time.
    ///
    /// # Errors
    /// When it is missing, empty, unreadable, no text, or more than one line.
    pub fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<SecretText, SecretError> {
        match self {
            Self::Literal(text) => one_line(text.0.clone(), || "the literal".to_owned()),
            Self::Env(name) => {
                let text = env(name).ok_or_else(|| SecretError::NotSet(name.clone()))?;
                one_line(text, || format!("the environment variable {name}"))
            }
            Self::File(path) => one_line(read(path)?, || path.display().to_string()),
        }
    }
}

fn read(path: &Path) -> Result<String, SecretError> {
    let unreadable = |source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(SecretError::TooLong(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| SecretError::NotText(path.to_owned()))
}

/// Trims one newline at the end, wants no other and at least one character.
fn one_line(mut text: String, place: impl Fn() -> String) -> Result<SecretText, SecretError> {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(SecretError::Empty(place()));
    }
    if text.contains(['\n', '\r']) {
        return Err(SecretError::Lines(place()));
    }
    Ok(SecretText(text))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Secret(***)"),
            Self::Env(name) => write!(f, "Secret {{ env: {name} }}"),
            Self::File(path) => write!(f, "Secret {{ file: {} }}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl SecretVisitor {
    fn unquoted<E: de::Error>() -> E {
        E::custom("is not a text; write it in quotes")
    }
}

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, { env: NAME } or { file: path }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::literal(text))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(Self::unquoted())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(Self::unquoted())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(Self::unquoted())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(Self::unquoted())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
        let unclear = || de::Error::custom("a secret is a text, { env: NAME } or { file: path }");
        let secret = match map.next_key::<String>()?.as_deref() {
            Some("env") => Secret::Env(map.next_value()?),
            Some("file") => Secret::File(map.next_value()?),
            _ => return Err(unclear()),
        };
        if map.next_key::<String>()?.is_some() {
            return Err(unclear());
        }
        Ok(secret)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "object"],
            "format": SECRET.name,
            "properties": {
                "env": { "type": "string", "minLength": 1, "description": "The environment variable that holds it." },
                "file": { "type": "string", "minLength": 1, "description": "The file that holds it, as one line; read again at each connect." },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
            "x-one-of": true,
        })
    }
}

// === impl SecretText ===

impl SecretText {
    /// The secret itself, for the one call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const CANARY: &str = "canary-7f3a";

    fn no_env(_: &str) -> Option<String> {
        None
    }

    fn parse(json: &str) -> Result<Secret, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[test]
    fn the_three_forms_resolve() {
        assert_eq!(parse("\"x\"").unwrap().resolve(&no_env).unwrap().expose(), "x");
        let env = |name: &str| (name == "PASSWORD").then(|| "y".to_owned());
        assert_eq!(
            parse(r#"{"env":"PASSWORD"}"#).unwrap().resolve(&env).unwrap().expose(),
            "y"
        );
        let (_dir, path) = file(b"z\n");
        let secret = Secret::File(path);
        assert_eq!(secret.resolve(&no_env).unwrap().expose(), "z");
    }

    #[test]
    fn a_file_is_read_again_each_time() {
        let (_dir, path) = file(b"old\r\n");
        let secret = Secret::File(path.clone());
        assert_eq!(secret.resolve(&no_env).unwrap().expose(), "old");
        std::fs::write(path, "new").unwrap();
        assert_eq!(secret.resolve(&no_env).unwrap().expose(), "new");
    }

    #[test]
    fn what_is_missing_is_named() {
        let says = |secret: &Secret| secret.resolve(&no_env).unwrap_err().to_string();
        assert_eq!(
            says(&Secret::Env("DB_URL".into())),
            "the environment variable DB_URL is not set"
        );
        assert_eq!(
            says(&Secret::File("/nowhere/pw".into())),
            "cannot read /nowhere/pw: entity not found"
        );
        let set_to = |text: &str| {
            let text = text.to_owned();
            Secret::Env("X".into())
                .resolve(&move |_| Some(text.clone()))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(set_to(""), "the environment variable X is empty");
        assert_eq!(
            set_to("a\nb"),
            "the environment variable X has more than one line; a secret is one line"
        );
        let (_dir, path) = file(b"a\n\n");
        assert!(says(&Secret::File(path)).ends_with("has more than one line; a secret is one line"));
        let (_dir, path) = file(b"\xff\xfe");
        assert!(says(&Secret::File(path)).ends_with("is not UTF-8 text"));
        assert!(says(&Secret::File("/dev/zero".into())).contains("longer than 64 KiB"));
    }

    #[test]
    fn nothing_prints_the_secret() {
        let secret = Secret::literal(CANARY);
        let text = secret.resolve(&no_env).unwrap();
        let mut shown = format!("{secret:?} {secret:#?} {text:?} {text}");
        for json in [
            format!(r#"{{"env":"A","{CANARY}":"{CANARY}"}}"#),
            format!(r#"["{CANARY}"]"#),
            format!(r#"{{"env":["{CANARY}"]}}"#),
        ] {
            shown += &parse(&json).unwrap_err();
        }
        let lines = Secret::literal(format!("{CANARY}\n{CANARY}"))
            .resolve(&no_env)
            .unwrap_err();
        write!(shown, "{lines} {lines:?}").unwrap();
        assert!(!shown.contains(CANARY), "{shown}");
    }

    #[test]
    fn a_secret_that_is_no_text_is_not_quoted_back() {
        for json in [
            "73313",
            "-73313",
            "73313.5",
            "true",
            r#"{"env":"A","file":"b"}"#,
            "{}",
            r#"{"vault":"x"}"#,
        ] {
            let error = parse(json).unwrap_err();
            assert!(!error.contains("73313"), "{error}");
        }
        assert!(
            parse("73313")
                .unwrap_err()
                .starts_with("is not a text; write it in quotes")
        );
    }
}
