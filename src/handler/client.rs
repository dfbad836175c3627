//! How connections to an application are made.
//!
//! Promises: no redirect is followed, no proxy of the environment is used, no compression is asked for; a name is resolved
//! once per connection, and what it resolves to is judged before it is connected to; TLS is verified against the system's roots.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rustls::{ClientConfig, RootCertStore};

use super::address;
use super::config::HttpConfig;
use crate::delivery::{Failure, FailureKind};

/// An application that does not accept within this time is away.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Shorter than the shortest keep-alive timeout in common use (gunicorn's 2 s): a request that is sent on a connection
/// that the other side is closing has an unknown outcome.
const IDLE_MAX: Duration = Duration::from_millis(1500);
/// A dead HTTP/2 connection would hold all requests up to their deadline.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_WITHIN: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("twinbox/", env!("CARGO_PKG_VERSION"));

/// A name that resolves to nothing but addresses that are never called.
#[derive(Debug, thiserror::Error)]
#[error("{name} resolves to {what}, which is never called")]
pub(super) struct Denied {
    name: String,
    what: &'static str,
}

#[derive(Debug)]
struct Resolver;

/// Prepares connections; makes none.
///
/// # Errors
/// When TLS is wanted and the system has no roots.
pub(super) fn client(config: &HttpConfig, url: &Url) -> Result<Client, Failure> {
    let timeout = config.timeout.get();
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .dns_resolver(Arc::new(Resolver))
        .connect_timeout(CONNECT_MAX.min(timeout / 2))
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(config.concurrency as usize)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_WITHIN)
        .tls_backend_preconfigured(tls(url)?)
        .build()
        .map_err(|error| misconfigured(error.without_url().to_string()))
}

/// The system's roots, read only where they are needed. HTTP/2 is offered; without TLS it is not spoken.
fn tls(url: &Url) -> Result<ClientConfig, Failure> {
    let mut roots = RootCertStore::empty();
    if url.scheme() == "https" {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let sentence =
                "the system has no root certificates to verify the application with; install ca-certificates";
            return Err(misconfigured(sentence));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| misconfigured(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn misconfigured(sentence: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Destination, "HttpClient", sentence)
}

// === impl Resolver ===

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is the URL's, which the client fills in.
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found
                .iter()
                .copied()
                .filter(|one| address::denied(one.ip()).is_none())
                .collect();
            let refused = found.iter().find_map(|one| address::denied(one.ip()));
            match refused {
                Some(what) if allowed.is_empty() => Err(Denied {
                    name: name.as_str().to_owned(),
                    what,
                }
                .into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
