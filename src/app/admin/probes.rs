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
use crate::consumer::{self, ConsumerState};
use crate::flow::LastError;
use crate::relay::{self, RelayState};

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
    let relay =
        |relay: &relay::Status| relay.ready && !matches!(relay.state, RelayState::Starting | RelayState::Halted);
    let consumer = |consumer: &consumer::Status| {
        consumer.ready && !matches!(consumer.state, ConsumerState::Starting | ConsumerState::Halted)
    };
    unless(&admin, relay, consumer)
}

/// Whether the start is over.
pub(super) async fn startupz(State(admin): State<Arc<Admin>>) -> Answer {
    unless(
        &admin,
        |relay| relay.state != RelayState::Starting,
        |consumer| consumer.state != ConsumerState::Starting,
    )
}

/// 503 under `strict` while some engine is not as wanted.
fn unless(
    admin: &Admin,
    relay: impl Fn(&relay::Status) -> bool,
    consumer: impl Fn(&consumer::Status) -> bool,
) -> Answer {
    if !admin.strict {
        return ok();
    }
    let told = |name: &str, state: &str, error: Option<&LastError>| {
        let why = error.map_or("", |error| &error.message);
        format!("{name} is {state}: {why}")
    };
    let relays = admin.relays.iter().filter_map(|(name, seen)| {
        let seen = seen.borrow();
        (!relay(&seen)).then(|| told(name, seen.state.as_str(), seen.last_error.as_ref()))
    });
    let consumers = admin.consumers.iter().filter_map(|(name, seen)| {
        let seen = seen.borrow();
        (!consumer(&seen)).then(|| told(name, seen.state.as_str(), seen.last_error.as_ref()))
    });
    let not_yet: Vec<String> = relays.chain(consumers).collect();
    if not_yet.is_empty() { ok() } else { not(&not_yet) }
}

/// Prometheus text.
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], admin.exports.text())
}

/// The one document.
pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Json<Document> {
    let relays = admin.relays.iter();
    let consumers = admin.consumers.iter();
    Json(Document::of(
        relays.map(|(name, seen)| (name.clone(), seen.borrow().clone())),
        consumers.map(|(name, seen)| (name.clone(), seen.borrow().clone())),
    ))
}
