//! Releasing and discarding letters over HTTP.
//!
//! Promises: the token first, whatever the body says; a request without a selection is refused; `dry_run` only counts;
//! one request touches at most [`LETTERS_MAX`] letters.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Admin, access};
use crate::contract::Boxed;
use crate::delivery::Failure;
use crate::operate::letters::{Change, Count, Desk, Selection, Verb};

/// What one request may touch; more is for the command line, which shows progress and can be interrupted.
const LETTERS_MAX: u64 = 10_000;

/// What a request says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Request {
    id: Vec<i64>,
    key: Option<String>,
    owner: Option<String>,
    error: Option<String>,
    all: bool,
    reason: Option<String>,
    rate: Option<u32>,
    dry_run: bool,
}

/// Gives letters back in order.
pub(super) async fn release(State(admin): State<Arc<Admin>>, headers: HeaderMap, body: Bytes) -> Response {
    change(&admin, &headers, (Verb::Release, &body)).await
}

/// Drops letters with a record.
pub(super) async fn discard(State(admin): State<Arc<Admin>>, headers: HeaderMap, body: Bytes) -> Response {
    change(&admin, &headers, (Verb::Discard, &body)).await
}

async fn change(admin: &Admin, headers: &HeaderMap, (verb, body): (Verb, &Bytes)) -> Response {
    if let Err(refusal) = access::may_write(headers, admin.token.as_ref()) {
        return refusal.into_response();
    }
    let Some(desk) = &admin.desk else {
        return refuse(
            StatusCode::NOT_FOUND,
            "the letters of this process are in several databases; use `twinbox letters --owner NAME`",
        );
    };
    let request: Request = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the body is no selection: {error}")),
    };
    match perform(desk.as_ref(), verb, request).await {
        Ok(response) => response,
        Err(failure) => refuse(StatusCode::SERVICE_UNAVAILABLE, &failure.to_string()),
    }
}

fn perform(desk: &dyn Desk, verb: Verb, request: Request) -> Boxed<'_, Result<Response, Failure>> {
    Box::pin(async move {
        let selection = Selection {
            ids: request.id,
            key: request.key,
            owner: request.owner,
            error: request.error,
            all: request.all,
        };
        if selection.is_empty() {
            let sentence = "nothing is selected; give id, key, owner, error, or all: true";
            return Ok(refuse(StatusCode::BAD_REQUEST, sentence));
        }
        let count = desk.count(verb, selection.clone()).await?;
        if count.letters == 0 {
            return Ok(refuse(StatusCode::NOT_FOUND, "no open letter matches"));
        }
        if count.letters > LETTERS_MAX {
            let sentence = format!(
                "{} letters match, more than {LETTERS_MAX} in one request; select fewer, or use `twinbox letters {}`",
                count.letters,
                verb.as_str()
            );
            return Ok(refuse(StatusCode::PAYLOAD_TOO_LARGE, &sentence));
        }
        if request.dry_run {
            return Ok(told(verb, &count, true));
        }
        let change = Change {
            verb,
            selection,
            reason: request.reason,
            rate: request.rate,
        };
        let done = desk.apply(change).await?;
        tracing::info!(
            verb = verb.as_str(),
            letters = done.letters,
            "letters changed over HTTP"
        );
        Ok(told(verb, &done, false))
    })
}

fn told(verb: Verb, count: &Count, dry_run: bool) -> Response {
    Json(json!({
        "verb": verb.as_str(), "letters": count.letters, "lanes": count.lanes, "errors": count.errors, "dry_run": dry_run,
    }))
    .into_response()
}

fn refuse(status: StatusCode, sentence: &str) -> Response {
    (status, Json(json!({ "error": sentence }))).into_response()
}
