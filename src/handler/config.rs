//! The HTTP handler's section of the configuration.
//!
//! Promises: a URL that passes the check is one that will be called; nothing here prints a credential, because a URL that
//! holds one is refused and not quoted.

use std::net::IpAddr;

use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address;
use crate::setting::{Complaints, Duration};

/// Enough for an application that answers in 5 ms to take 10,000 messages a second.
const CONCURRENCY_DEFAULT: u32 = 64;
/// Longer than any answer that a caller would wait for.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// A message must have an end within a rebalance that somebody still watches.
const TIMEOUT_MAX: Duration = Duration::from_secs(15 * 60);
/// Notices an application that is back before anybody asks.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(5);
/// One lost probe is no outage.
const THRESHOLD_DEFAULT: u32 = 3;
/// Where a batch is configured, for sentences.
pub(super) const BATCH_KEY: &str = "handler.http.batch";
/// What Kubernetes users write most.
const PATH_DEFAULT: &str = "/healthz";

/// An application that takes messages as HTTP requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where each message is posted to: `http://` or `https://` (with the system's roots). Never a link-local or metadata
    /// address; redirects are not followed; proxies of the environment are not used.
    #[schemars(length(min = 1), extend("x-hint" = "write url: \"http://127.0.0.1:8080/events\""))]
    pub url: String,
    /// Most requests under way at once.
    #[serde(default = "concurrency_default")]
    #[schemars(range(min = 1, max = 4096))]
    pub concurrency: u32,
    /// How long one request may take, from connecting to the last byte of the reply. At most `15m`.
    #[serde(default = "timeout_default")]
    pub timeout: Duration,
    /// Who remembers that a message is done: `claim`, we do, after the reply (a crash in between calls again); `verify`, the
    /// application does, in its own transaction, by `select twinbox.once($1)` with the `twinbox-once` header.
    #[serde(default)]
    pub dedupe: Dedupe,
    /// How a message becomes a request: `binary`, the payload as body and the attributes as `ce-*` headers; `structured`, one
    /// JSON document. A batch is always structured.
    #[serde(default)]
    pub mode: Mode,
    /// What decides: `status`, the HTTP status alone; `dapr`, under a 2xx, the body `{"status": "SUCCESS|RETRY|DROP"}`.
    #[serde(default)]
    pub reply: Reply,
    /// A probe of the application: while it fails nothing is sent, and no attempt is counted.
    #[serde(default)]
    #[schemars(extend("x-null" = "is empty; write `health: {}` for a probe of /healthz, or remove the key for none"))]
    pub health: Option<HealthConfig>,
    /// Most messages in one request, at most one of each key. Above 1 every request is an `application/cloudevents-batch+json`
    /// and is answered by `{"statuses":[{"entryId","status"}]}`.
    #[serde(default = "batch_default")]
    #[schemars(range(min = 1, max = 500))]
    pub batch: u32,
}

/// Who remembers that a message is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dedupe {
    /// Asked before the call, recorded after the reply: an effect may happen twice around a crash.
    #[default]
    Claim,
    /// The application records in its own transaction; settled only after the row is seen: an effect happens once.
    Verify,
}

/// How a message becomes a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The payload is the body, the attributes are headers.
    #[default]
    Binary,
    /// One JSON document holds both.
    Structured,
}

/// What of a reply decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The HTTP status alone.
    #[default]
    Status,
    /// Under a 2xx, the body.
    Dapr,
}

/// A probe of the application, by GET: any 2xx is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// The path, at the host and port of `url`.
    #[schemars(length(min = 1))]
    pub path: String,
    /// How often it is asked. An answer may take as long, but at most `1s`.
    pub interval: Duration,
    /// Failures in a row until the application counts as away; one success is enough to be back.
    #[schemars(range(min = 1, max = 100))]
    pub threshold: u32,
}

// === impl HttpConfig ===

impl HttpConfig {
    /// The settings for that URL, everything else by default.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            concurrency: CONCURRENCY_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            dedupe: Dedupe::default(),
            mode: Mode::default(),
            reply: Reply::default(),
            health: None,
            batch: batch_default(),
        }
    }

    /// Complains about what the schema cannot refuse.
    pub fn check(&self, complaints: &mut Complaints) {
        if let Err(sentence) = parse_url(&self.url) {
            complaints.add(&["url"], sentence);
        }
        if self.timeout.get().is_zero() || self.timeout > TIMEOUT_MAX {
            complaints.add(&["timeout"], "is out of range; write something between 1ms and 15m");
        }
        if self.batch > 1 && self.reply == Reply::Dapr {
            complaints.add(
                &["reply"],
                "does not go with `batch`: a batch is answered by one status for each message; remove `reply`, or write batch: 1",
            );
        }
        if let Some(health) = &self.health {
            complaints.within("health", |complaints| health.check(complaints));
        }
    }

    /// Whether the connection is encrypted, or stays on this machine (`require: [tls]`).
    #[must_use]
    pub fn encrypted(&self) -> bool {
        parse_url(&self.url).is_ok_and(|url| url.scheme() == "https" || is_loopback(&url))
    }
}

/// The URL, or why it is not called. Never quotes it: it may hold a password.
pub(super) fn parse_url(text: &str) -> Result<Url, String> {
    const EXAMPLE: &str = "write one like http://127.0.0.1:8080/events";
    let url = Url::parse(text).map_err(|error| format!("is no URL ({error}); {EXAMPLE}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("is neither http nor https; {EXAMPLE}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a name or password, and URLs are shown in the open; remove it".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a fragment (#…), which is never sent; remove it".to_owned());
    }
    match ip_of(&url).and_then(address::denied) {
        Some(what) => Err(format!(
            "is {what}, which is never called; write the application's own address"
        )),
        None => Ok(url),
    }
}

/// The address, where the host is one. The parser has read every spelling of an IPv4 address (`0xA9FEA9FE`) already.
fn ip_of(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Whether the host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    url.host_str() == Some("localhost") || ip_of(url).is_some_and(|address| address.is_loopback())
}

fn concurrency_default() -> u32 {
    CONCURRENCY_DEFAULT
}

fn timeout_default() -> Duration {
    TIMEOUT_DEFAULT
}

fn batch_default() -> u32 {
    1
}

// === impl HealthConfig ===

impl HealthConfig {
    fn check(&self, complaints: &mut Complaints) {
        if !self.path.starts_with('/') || self.path.starts_with("//") {
            complaints.add(
                &["path"],
                "is no path; write one like /healthz, host and port are those of `url`",
            );
        }
        if self.interval.get().is_zero() {
            complaints.add(&["interval"], "is 0s, a probe without a pause; write 5s");
        }
    }
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            path: PATH_DEFAULT.to_owned(),
            interval: INTERVAL_DEFAULT,
            threshold: THRESHOLD_DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(config: &HttpConfig) -> Vec<(String, String)> {
        let mut complaints = Complaints::default();
        config.check(&mut complaints);
        let list = complaints.into_vec().into_iter();
        list.map(|one| (one.path.join("."), one.sentence)).collect()
    }

    #[test]
    fn a_url_alone_is_enough() {
        let config: HttpConfig = serde_json::from_str(r#"{"url":"http://127.0.0.1:8080/events"}"#).expect("a config");
        assert_eq!(config, HttpConfig::at("http://127.0.0.1:8080/events"));
        assert_eq!(complaints(&config), []);
    }

    #[test]
    fn a_url_that_is_never_called_is_refused_and_not_quoted() {
        for (url, says) in [
            ("ftp://hunter2.example/", "neither http nor https"),
            ("http://user:hunter2@app/", "holds a name or password"),
            ("http://hunter2@app/", "holds a name or password"),
            ("hunter2", "is no URL"),
            ("http://", "is no URL"),
            ("http://169.254.169.254/hunter2", "link-local"),
            ("http://0xA9FEA9FE/hunter2", "link-local"),
            ("http://[fe80::1]/hunter2", "link-local"),
            ("http://[::ffff:169.254.169.254]/", "link-local"),
            ("http://[fd00:ec2::254]/", "metadata"),
            ("http://app/#hunter2", "fragment"),
        ] {
            let found = complaints(&HttpConfig::at(url));
            assert_eq!(found.len(), 1, "{url}: {found:?}");
            assert!(found[0].1.contains(says), "{url}: {found:?}");
            assert!(!found[0].1.contains("hunter2"), "{url}: {found:?}");
        }
    }

    #[test]
    fn other_mistakes_are_told_together() {
        let mut config = HttpConfig::at("http://app/");
        config.timeout = Duration::from_secs(0);
        config.batch = 10;
        config.reply = Reply::Dapr;
        config.health = Some(HealthConfig {
            path: "healthz".to_owned(),
            interval: Duration::from_secs(0),
            threshold: 1,
        });
        let paths: Vec<_> = complaints(&config).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["timeout", "reply", "health.path", "health.interval"]);
    }

    #[test]
    fn encrypted_or_at_home() {
        for (url, encrypted) in [
            ("https://app.example/", true),
            ("http://127.0.0.1:80/", true),
            ("http://[::1]/", true),
            ("http://localhost/", true),
            ("http://app.example/", false),
        ] {
            assert_eq!(HttpConfig::at(url).encrypted(), encrypted, "{url}");
        }
    }
}
