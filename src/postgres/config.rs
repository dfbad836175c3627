//! The database's section of the configuration.

use schemars::JsonSchema;
use serde::Deserialize;

use super::target::{Target, TlsMode};
use crate::setting::{Complaints, Secret};

pub use crate::setting::TlsConfig;

/// Connections kept open per relay.
pub const POOL_DEFAULT: u32 = 8;
/// The schema that `twinbox migrate` makes.
pub const SCHEMA_DEFAULT: &str = "twinbox";

/// The database that holds the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// Where it is and who we are: `postgres://user:password@host:5432/name`, with `?sslmode=` if wanted.
    #[schemars(extend("default" = { "env": "DATABASE_URL" }))]
    pub url: Secret,
    /// The schema with twinbox's tables, made by `twinbox migrate`.
    #[schemars(length(min = 1, max = 63))]
    pub schema: String,
    /// The most connections opened at once. Each relay holds one for its lease; the others serve its queries.
    #[schemars(range(min = 2, max = 1000))]
    pub pool: u32,
    /// Certificates. With `ca` the server's certificate and name are verified; without, `sslmode` of the URL decides, and
    /// without that encryption is used when the server offers it.
    pub tls: TlsConfig,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: Secret::Env("DATABASE_URL".to_owned()),
            schema: SCHEMA_DEFAULT.to_owned(),
            pool: POOL_DEFAULT,
            tls: TlsConfig::default(),
        }
    }
}

impl DatabaseConfig {
    /// Complains about a URL that cannot be used and half a client certificate; the database is the current section. A
    /// secret that is not there is somebody else's complaint.
    pub fn check(&self, env: &dyn Fn(&str) -> Option<String>, complaints: &mut Complaints) {
        let before = complaints.len();
        complaints.within("tls", |complaints| self.tls.check(complaints));
        if complaints.len() > before {
            return;
        }
        if let Ok(url) = self.url.resolve(env)
            && let Err(error) = Target::parse(url.expose(), &self.tls)
        {
            complaints.add(&["url"], error.to_string());
        }
    }

    /// Whether the connection is refused when it cannot be encrypted (`require: [tls]`).
    #[must_use]
    pub fn encrypted(&self, env: &dyn Fn(&str) -> Option<String>) -> bool {
        let target = self
            .url
            .resolve(env)
            .ok()
            .and_then(|url| Target::parse(url.expose(), &self.tls).ok());
        target.is_some_and(|target| !matches!(target.mode(), TlsMode::Disable | TlsMode::Prefer))
    }
}
