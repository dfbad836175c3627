//! Drain and resume.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Admin, access};
use crate::app::drain::Phase;

/// Longer waits are for callers to repeat: kubelet's own limit is the grace period.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How long `GET /drain` may hold its answer.
#[derive(Debug, Deserialize)]
pub(super) struct Wait {
    wait: Option<String>,
}

/// Tells where the drain stands, and waits for its end if asked to.
pub(super) async fn drained(State(admin): State<Arc<Admin>>, Query(Wait { wait }): Query<Wait>) -> Response {
    if let Some(wait) = wait {
        let Ok(wait) = humantime::parse_duration(&wait) else {
            let sentence = format!("wait={wait} is no duration; write wait=20s");
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": sentence }))).into_response();
        };
        // The phase below tells whether it came to that.
        let _ = tokio::time::timeout(wait.min(WAIT_MAX), admin.drain.drained()).await;
    }
    let phase = admin.drain.phase();
    let status = match phase {
        Phase::Drained => StatusCode::OK,
        Phase::Running | Phase::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(json!({ "state": phase }))).into_response()
}

/// Begins a drain.
pub(super) async fn drain(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = access::may_drain(&headers, admin.token.as_ref(), peer) {
        return refusal.into_response();
    }
    tracing::info!(%peer, "a drain was asked for over HTTP");
    admin.drain.ask();
    (StatusCode::ACCEPTED, Json(json!({ "state": admin.drain.phase() }))).into_response()
}

/// Takes a drain back.
pub(super) async fn resume(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = access::may_write(&headers, admin.token.as_ref()) {
        return refusal.into_response();
    }
    tracing::info!("a drain was taken back over HTTP");
    admin.drain.resume();
    Json(json!({ "state": admin.drain.phase() })).into_response()
}
