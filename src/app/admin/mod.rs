//! The admin port: probes, metrics, status, drain, and the few writes an operator may do.
//!
//! Promises: probes of liveness speak of our own loops only, so an outage never restarts a pod; nothing that changes
//! anything works without a token, but a drain asked for on loopback; no route shows a
//! payload or a secret, and none a key but `/lanes`.
//!
//! | Route | Answers |
//! |---|---|
//! | `GET /livez` | 200 while the loops turn, else 503 |
//! | `GET /readyz` | 200; under `readiness: strict` 503 while database or broker is away |
//! | `GET /startupz` | 200; under `readiness: strict` 503 until the database was reached |
//! | `GET /metrics` | Prometheus text |
//! | `GET /status` | [`Document`](super::status::Document) |
//! | `GET /drain[?wait=20s]` | 200 when drained, else (after the wait) 503; changes nothing |
//! | `POST /drain`, `POST /resume` | 202, 200 |
//! | `GET /lanes[?owner=&side=&key=&letters=true]` | lanes that rest, are parked or paused; keys for loopback and the token, else their hashes |
//! | `POST /lanes/pause`, `POST /lanes/resume` | 200 with whether there was anything to do |
//! | `POST /letters/release`, `POST /letters/discard` | 200 with what was done |

mod access;
mod lanes;
mod letters;
mod probes;
mod serve;
mod steer;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::drain::Drain;
use super::export::Exports;
use super::process::Boards;
use super::status::{Seen, SeenConsumer};
use crate::operate::letters::Desk;
use crate::telemetry::Pulse;

pub use access::Token;
pub use serve::{bind, serve};

/// What the routes read and steer.
#[derive(Clone)]
pub struct Admin {
    /// What writes must carry; none: no writes.
    pub token: Option<Token>,
    /// Whether an outage makes the process unready.
    pub strict: bool,
    /// The relays of this process.
    pub relays: Vec<Seen>,
    /// The consumers of this process.
    pub consumers: Vec<SeenConsumer>,
    /// The loops of this process, by name.
    pub pulses: Vec<(String, Pulse)>,
    /// Asked and told.
    pub drain: Drain,
    /// The source of `/metrics`.
    pub exports: Exports,
    /// The lanes of relays and consumers, by side and name.
    pub boards: Boards,
    /// Where letters are released and discarded; none: this process has no database.
    pub desk: Option<Arc<dyn Desk>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("strict", &self.strict)
            .finish_non_exhaustive()
    }
}

/// All routes.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/startupz", get(probes::startupz))
        .route("/metrics", get(probes::metrics))
        .route("/status", get(probes::status))
        .route("/drain", get(steer::drained).post(steer::drain))
        .route("/resume", post(steer::resume))
        .route("/lanes", get(lanes::list))
        .route("/lanes/pause", post(lanes::pause))
        .route("/lanes/resume", post(lanes::resume))
        .route("/letters/release", post(letters::release))
        .route("/letters/discard", post(letters::discard))
        .with_state(Arc::new(admin))
}

#[cfg(test)]
mod tests;
