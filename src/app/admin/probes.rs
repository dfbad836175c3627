//! What only looks: probes, metrics, status.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::Admin;
use crate::app::export::METRICS_CONTENT_TYPE;
use crate::app::status::Document;
use crate::app::supervise;
use crate::relay::RelayState;

/// A loop that has not turned for this long hangs: loops turn every second, and beat while they wait for something outside.
const SILENCE_MAX: Duration = Duration::from_secs(30);

type Answer = (StatusCode, String);

fn ok() -> Answer {
    (StatusCode::OK, "ok\n".to_owned())
}

fn not(reasons: &[String]) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n")
}

/// Whether our own loops turn; never a dependency.
pub(super) async fn livez(State(admin): State<Arc<Admin>>) -> Answer {
    let now = supervise::now().into_std();
    let silent = admin.pulses.iter().filter_map(|(name, pulse)| {
        let silence = pulse.silence(now);
        (silence > SILENCE_MAX).then(|| format!("{name} has not turned for {} s", silence.as_secs()))
    });
    let silent: Vec<String> = silent.collect();
    if silent.is_empty() { ok() } else { not(&silent) }
}

/// Whether to send traffic here. In a sidecar this decides about the *application's* pod: an outage does not flip it.
pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> Answer {
    unless(&admin, |relay| {
        relay.ready && !matches!(relay.state, RelayState::Starting | RelayState::Halted)
    })
}

/// Whether the start is over.
pub(super) async fn startupz(State(admin): State<Arc<Admin>>) -> Answer {
    unless(&admin, |relay| relay.state != RelayState::Starting)
}

/// 503 under `strict` while some relay is not as wanted.
fn unless(admin: &Admin, wanted: impl Fn(&crate::relay::Status) -> bool) -> Answer {
    if !admin.strict {
        return ok();
    }
    let not_yet = admin.relays.iter().filter_map(|(name, seen)| {
        let relay = seen.borrow();
        let why = relay.last_error.as_ref().map_or("", |error| &error.message);
        (!wanted(&relay)).then(|| format!("{name} is {}: {why}", relay.state.as_str()))
    });
    let not_yet: Vec<String> = not_yet.collect();
    if not_yet.is_empty() { ok() } else { not(&not_yet) }
}

/// Prometheus text.
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], admin.exports.text())
}

/// The one document.
pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Json<Document> {
    let relays = admin.relays.iter();
    Json(Document::of(
        relays.map(|(name, seen)| (name.clone(), seen.borrow().clone())),
    ))
}
