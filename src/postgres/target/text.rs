//! Taking the `ssl…` parameters out of a URL or DSN before the driver reads it.
//!
//! Promises: everything else reaches the driver as it was written.

use super::TargetError;

/// Parameters of libpq that the driver does not know, and that we act on …
const OURS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];
/// … or that change nothing here: no GSS encryption and no TLS compression exist, and the name is always sent.
const WITHOUT_EFFECT: [&str; 5] = [
    "gssencmode",
    "sslcompression",
    "sslsni",
    "fallback_application_name",
    "krbsrvname",
];

/// What was taken out.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

// === impl Parameters ===

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The last one said wins, as in libpq.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let value = self.get(name).map(str::to_owned);
        self.0.retain(|(key, _)| key != name);
        value
    }
}

/// What the driver shall read, and what it shall not.
pub(super) fn split(text: &str) -> Result<(String, Parameters), TargetError> {
    let text = text.trim();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        Ok(split_url(text))
    } else if text.contains('=') {
        split_dsn(text)
    } else {
        Err(TargetError::Unreadable(
            "it is neither a URL nor a list of key=value".to_owned(),
        ))
    }
}

fn split_url(url: &str) -> (String, Parameters) {
    // A raw `?` may stand in a password: the query begins after the first `@`, where the driver looks for it too.
    let from = url.find('@').unwrap_or(0);
    let Some(at) = url[from..].find('?').map(|at| from + at) else {
        return (url.to_owned(), Parameters::default());
    };
    let mut taken = Parameters::default();
    let mut kept = Vec::new();
    for pair in url[at + 1..].split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if OURS.contains(&key) {
            taken.0.push((key.to_owned(), percent_decoded(value)));
        } else if !WITHOUT_EFFECT.contains(&key) {
            kept.push(pair);
        }
    }
    let query = if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    };
    (format!("{}{query}", &url[..at]), taken)
}

fn split_dsn(dsn: &str) -> Result<(String, Parameters), TargetError> {
    let mut taken = Parameters::default();
    let mut kept = Vec::new();
    let mut rest = dsn.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest
            .split_once('=')
            .ok_or_else(|| TargetError::Unreadable("a key has no value".to_owned()))?;
        let key = key.trim();
        let (value, after) = dsn_value(after.trim_start())?;
        rest = after.trim_start();
        if OURS.contains(&key) {
            taken.0.push((key.to_owned(), value));
        } else if !WITHOUT_EFFECT.contains(&key) {
            kept.push(format!("{key}='{}'", value.replace('\\', r"\\").replace('\'', r"\'")));
        }
    }
    Ok((kept.join(" "), taken))
}

/// One value, quoted or not, unescaped; and what follows it.
fn dsn_value(text: &str) -> Result<(String, &str), TargetError> {
    let quoted = text.starts_with('\'');
    let body = if quoted { &text[1..] } else { text };
    let mut value = String::new();
    let mut characters = body.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &body[at + 1..])),
            c if !quoted && c.is_whitespace() => return Ok((value, &body[at..])),
            c => value.push(c),
        }
    }
    if quoted {
        Err(TargetError::Unreadable("a quoted value has no end".to_owned()))
    } else {
        Ok((value, ""))
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
