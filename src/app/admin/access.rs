//! Who may change something over HTTP.
//!
//! Promises: a token is compared in constant time; a page of another origin cannot use a browser on this host to write
//! (403), whatever token it has; without a configured token nothing can be written but a drain from loopback.

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

/// What a caller must know to change something. Only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// Why a write is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Wrong or missing token.
    Unknown,
    /// No token is configured.
    Closed,
    /// The request comes from a page of somebody else.
    Foreign,
}

// === impl Token ===

impl Token {
    /// The token of that text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Compares hashes, all bytes of them: how long it takes says nothing about the token.
    fn admits(&self, text: &str) -> bool {
        let Self(given) = Self::new(text);
        let differing = self
            .0
            .iter()
            .zip(given)
            .fold(0, |all, (own, given)| all | (own ^ given));
        differing == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

/// Whether these headers may write.
pub(super) fn may_write(headers: &HeaderMap, token: Option<&Token>) -> Result<(), Refusal> {
    own_origin(headers)?;
    let token = token.ok_or(Refusal::Closed)?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    match given {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") && token.admits(text.trim()) => Ok(()),
        _ => Err(Refusal::Unknown),
    }
}

/// Whether these headers, from that peer, may begin a drain: the hook of a pod is on loopback and has no token.
pub(super) fn may_drain(headers: &HeaderMap, token: Option<&Token>, peer: SocketAddr) -> Result<(), Refusal> {
    if is_loopback(peer.ip()) {
        return own_origin(headers);
    }
    may_write(headers, token)
}

/// Whether these headers, from that peer, may see keys.
pub(super) fn may_see_keys(headers: &HeaderMap, token: Option<&Token>, peer: SocketAddr) -> bool {
    may_drain(headers, token, peer).is_ok()
}

fn is_loopback(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

/// A browser names the origin of every write. Ours is the host that was asked, by address: under a *name*, another page
/// could have pointed that name here (DNS rebinding).
fn own_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = host
        .filter(|host| by_address(host))
        .map(|host| format!("http://{host}"));
    match own {
        Some(own) if origin.as_bytes() == own.as_bytes() => Ok(()),
        _ => Err(Refusal::Foreign),
    }
}

fn by_address(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok()
}

// === impl Refusal ===

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, sentence) = match self {
            Self::Unknown => (
                StatusCode::UNAUTHORIZED,
                "wrong or missing token; send `Authorization: Bearer TOKEN` with the value of admin.token",
            ),
            Self::Closed => (
                StatusCode::FORBIDDEN,
                "writes are off: no admin.token is configured; set it, for example to {file: /run/secrets/admin-token}",
            ),
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "the request comes from a page of another origin; writes are for the same origin only",
            ),
        };
        let mut response = (status, Json(serde_json::json!({ "error": sentence }))).into_response();
        if self == Self::Unknown {
            let challenge = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs
            .map(|(name, value)| (name, header::HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_the_token_writes() {
        let token = Token::new("open sesame");
        let bearer = |text| headers(&[(header::AUTHORIZATION, text)]);
        let write = |text| may_write(&bearer(text), Some(&token));
        assert_eq!(write("Bearer open sesame"), Ok(()));
        assert_eq!(write("bearer open sesame"), Ok(()));
        for wrong in [
            "Bearer open",
            "Bearer ",
            "Basic open sesame",
            "open sesame",
            "Bearer open sesamf",
        ] {
            assert_eq!(write(wrong), Err(Refusal::Unknown), "{wrong}");
        }
        assert_eq!(may_write(&HeaderMap::new(), Some(&token)), Err(Refusal::Unknown));
        assert_eq!(may_write(&bearer("Bearer open sesame"), None), Err(Refusal::Closed));
        assert!(!format!("{token:?}").contains("sesame"));
    }

    #[test]
    fn a_drain_is_free_on_loopback_only() {
        let none = HeaderMap::new();
        for local in ["127.0.0.1:5", "127.8.8.8:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            assert_eq!(may_drain(&none, None, local.parse().unwrap()), Ok(()), "{local}");
        }
        let pod: SocketAddr = "10.0.0.7:5".parse().unwrap();
        assert_eq!(may_drain(&none, None, pod), Err(Refusal::Closed));
        assert_eq!(may_drain(&none, Some(&Token::new("t")), pod), Err(Refusal::Unknown));
    }

    #[test]
    fn pages_of_others_cannot_write() {
        let from = |origin, host| own_origin(&headers(&[(header::ORIGIN, origin), (header::HOST, host)]));
        assert_eq!(from("http://127.0.0.1:9640", "127.0.0.1:9640"), Ok(()));
        assert_eq!(from("http://localhost:9640", "localhost:9640"), Ok(()));
        assert_eq!(from("http://[::1]:9640", "[::1]:9640"), Ok(()));
        assert_eq!(from("http://evil.example", "127.0.0.1:9640"), Err(Refusal::Foreign));
        assert_eq!(from("null", "127.0.0.1:9640"), Err(Refusal::Foreign));
        let rebound = from("http://evil.example:9640", "evil.example:9640");
        assert_eq!(rebound, Err(Refusal::Foreign));
        let no_host = headers(&[(header::ORIGIN, "http://127.0.0.1:9640")]);
        let local = "127.0.0.1:5".parse().unwrap();
        assert_eq!(may_drain(&no_host, None, local), Err(Refusal::Foreign));
    }
}
