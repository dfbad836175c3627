//! What a database URL says: where to connect, and how far the server is verified.
//!
//! Takes everything libpq takes in a URL (`postgres://…`) or a DSN (`host=… user=…`) as far as it means something here;
//! a parameter that nobody would act on is refused, not ignored.
//!
//! Promises: neither `Debug` nor an error shows a password, and no error repeats a part of the text.
//!
//! # Why our own look at `ssl…`
//!
//! The driver knows `disable`, `prefer` and `require`, and verifies nothing by itself. `sslmode=verify-full` must never be
//! read as something weaker, so these parameters are taken out of the text here and enforced by `tls`.

mod text;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::session::Session;
use crate::setting::TlsConfig;
use text::Parameters;

/// How long one address may take to answer the first packet.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A dead peer is noticed after idle + retries × interval = 25 s, also while nothing is sent …
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
/// … and after this while something is.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

/// How far the server is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Plaintext.
    Disable,
    /// TLS if the server has it; nobody is verified. Protects against listening only.
    Prefer,
    /// TLS or nothing; nobody is verified.
    Require,
    /// The certificate must be signed by a known authority.
    VerifyCa,
    /// … and be made out to the host in the URL.
    VerifyFull,
}

/// Where to connect, and how.
#[derive(Clone)]
pub struct Target {
    config: tokio_postgres::Config,
    mode: TlsMode,
    files: TlsConfig,
    options: Option<String>,
}

/// Why a URL cannot be used. Never holds a part of it but the names of parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The driver cannot read it.
    #[error("the database URL cannot be read: {0}; write postgres://user:password@host:5432/database")]
    Unreadable(String),
    /// No host.
    #[error("the database URL names no host: write postgres://user@HOST:5432/database")]
    NoHost,
    /// No user.
    #[error("the database URL names no user: write postgres://USER@host:5432/database")]
    NoUser,
    /// An unknown mode, or one we refuse.
    #[error("sslmode={0} is not one of disable, prefer, require, verify-ca, verify-full")]
    Mode(String),
    /// Files that would not be used.
    #[error("sslmode=disable contradicts {0}: remove one of them")]
    Contradiction(&'static str),
    /// A certificate without its key, or the other way round.
    #[error("a client certificate needs both `certificate` (sslcert) and `key` (sslkey)")]
    HalfPair,
}

// === impl TlsMode ===

impl TlsMode {
    fn parse(text: &str) -> Result<Self, TargetError> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            other => return Err(TargetError::Mode(other.to_owned())),
        })
    }

    fn for_driver(self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => SslMode::Require,
        }
    }

    /// Whether the connection cannot be plaintext.
    #[must_use]
    pub fn encrypts(self) -> bool {
        self.verifies() || self == Self::Require
    }

    /// Whether a man in the middle would be noticed.
    #[must_use]
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

// === impl Target ===

impl Target {
    /// Reads a URL or DSN. Files of the configuration win over those of the URL.
    ///
    /// The mode is what the URL says. Without a word there, or with a weak one (`prefer`, `require`), it is `verify-full`
    /// as soon as an authority is given; else `prefer`.
    ///
    /// # Errors
    /// Unreadable text, no host or user, an unknown or contradictory TLS setting.
    pub fn parse(url: &str, configured: &TlsConfig) -> Result<Self, TargetError> {
        let (rest, mut parameters) = text::split(url)?;
        let files = files(&mut parameters, configured);
        let system_roots = parameters.take("sslrootcert").is_some();
        let mode = mode(&mut parameters, &files, system_roots)?;
        let mut config: tokio_postgres::Config = rest.parse().map_err(|error| unreadable(&error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(TargetError::NoHost);
        }
        if config.get_user().is_none() {
            return Err(TargetError::NoUser);
        }
        config.ssl_mode(mode.for_driver());
        let options = config.get_options().map(str::to_owned);
        dial_defaults(&mut config);
        Ok(Self {
            config,
            mode,
            files,
            options,
        })
    }

    /// How far the server is verified.
    #[must_use]
    pub fn mode(&self) -> TlsMode {
        self.mode
    }

    /// Which files take part.
    #[must_use]
    pub fn files(&self) -> &TlsConfig {
        &self.files
    }

    /// The driver's configuration with the session's settings in the startup packet; the URL's own `options` come first,
    /// so that ours win.
    pub(super) fn with(&self, session: &Session) -> tokio_postgres::Config {
        let mut config = self.without_options(session);
        let given = self.options.as_deref().unwrap_or_default();
        config.options(format!("{given}{}", session.options()).trim());
        config
    }

    /// The same without settings, for poolers that refuse them.
    pub(super) fn without_options(&self, session: &Session) -> tokio_postgres::Config {
        let mut config = self.config.clone();
        config.options("");
        config.application_name(session.application());
        config
    }

    /// Bound for a whole attempt: every address may use its time, and the handshake that of one more.
    pub(super) fn patience(&self) -> Duration {
        let addresses = self
            .config
            .get_hosts()
            .len()
            .max(self.config.get_hostaddrs().len())
            .max(1);
        let each = self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        each.saturating_mul(u32::try_from(addresses).unwrap_or(u32::MAX).saturating_add(1))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("place", &self.to_string())
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// `user@host:port/database`, for messages.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use tokio_postgres::config::Host;
        let user = self.config.get_user().unwrap_or_default();
        write!(f, "{user}@")?;
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            let port = self
                .config
                .get_ports()
                .get(at)
                .or(self.config.get_ports().first())
                .copied()
                .unwrap_or(5432);
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}:{port}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{separator}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or(user))
    }
}

fn files(parameters: &mut Parameters, configured: &TlsConfig) -> TlsConfig {
    let mut pick = |name: &str, given: &Option<PathBuf>| {
        let said = parameters.take(name).map(PathBuf::from);
        given.clone().or(said)
    };
    let certificate = pick("sslcert", &configured.certificate);
    let key = pick("sslkey", &configured.key);
    // libpq's word for "the system's authorities"; it stays for the caller to see.
    let ca = match parameters.get("sslrootcert") {
        Some("system") => configured.ca.clone(),
        _ => configured
            .ca
            .clone()
            .or(parameters.take("sslrootcert").map(PathBuf::from)),
    };
    TlsConfig { ca, certificate, key }
}

fn mode(parameters: &mut Parameters, files: &TlsConfig, system_roots: bool) -> Result<TlsMode, TargetError> {
    let said = parameters
        .take("sslmode")
        .map(|text| TlsMode::parse(&text))
        .transpose()?;
    let trusted = files.ca.is_some() || system_roots;
    if files.certificate.is_some() != files.key.is_some() {
        return Err(TargetError::HalfPair);
    }
    match said {
        Some(TlsMode::Disable) if trusted => Err(TargetError::Contradiction("a CA (`ca`, sslrootcert)")),
        Some(TlsMode::Disable) if files.key.is_some() => Err(TargetError::Contradiction("a client certificate")),
        Some(mode @ (TlsMode::Disable | TlsMode::VerifyCa | TlsMode::VerifyFull)) => Ok(mode),
        _ if trusted => Ok(TlsMode::VerifyFull),
        Some(mode) => Ok(mode),
        None => Ok(TlsMode::Prefer),
    }
}

fn dial_defaults(config: &mut tokio_postgres::Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    config.keepalives(true);
    config.keepalives_idle(KEEPALIVE_IDLE);
    config.keepalives_interval(KEEPALIVE_INTERVAL);
    config.keepalives_retries(KEEPALIVE_RETRIES);
    // Several hosts: only the primary will do.
    if config.get_hosts().len() > 1 {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
}

/// The driver's own words name parameters and byte positions, never values.
fn unreadable(error: &tokio_postgres::Error) -> TargetError {
    use std::error::Error as _;
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    TargetError::Unreadable(cause)
}

#[cfg(test)]
mod tests;
