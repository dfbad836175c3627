//! Lanes over HTTP: what rests, is parked or paused; holding back and letting go on by hand.
//!
//! Promises: the token first, whatever the body says; nothing is paused that was not named, a key or everything; keys are shown
//! to loopback and to whoever has the token, to others their hashes.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Admin, access};
use crate::delivery::Failure;
use crate::flow::RestingLane;
use crate::message::Key;
use crate::operate::lanes::{Board, LaneEntry, LaneError, Order};

/// Blocked lanes of one relay or consumer in one answer; the letters of one key, too.
const SHOWN: u32 = 1_000;

/// Which lanes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Which {
    owner: Option<String>,
    side: Option<String>,
    key: Option<String>,
    letters: bool,
}

type Whose<'a> = (&'static str, &'a str, &'a Arc<dyn Board>);

/// Lanes that do not flow.
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    (headers, Query(which)): (HeaderMap, Query<Which>),
) -> Response {
    let shows_keys = access::may_see_keys(&headers, admin.token.as_ref(), peer);
    if which.letters
        && let Err(refusal) = access::may_drain(&headers, admin.token.as_ref(), peer)
    {
        return refusal.into_response();
    }
    let owners = match admin.owners(which.owner.as_deref(), which.side.as_deref()) {
        Ok(owners) => owners,
        Err(sentence) => return refuse(StatusCode::NOT_FOUND, &sentence),
    };
    let mut all = Vec::new();
    for whose in owners {
        match admin.lanes_of(whose, &which).await {
            Ok(entries) => all.extend(entries),
            Err(failure) => return refuse(StatusCode::SERVICE_UNAVAILABLE, &failure.to_string()),
        }
    }
    if !shows_keys {
        all.iter_mut().for_each(hide);
    }
    Json(all).into_response()
}

/// Holds back.
pub(super) async fn pause(State(admin): State<Arc<Admin>>, headers: HeaderMap, body: Bytes) -> Response {
    change(&admin, &headers, ("pause", &body)).await
}

/// Lets go on.
pub(super) async fn resume(State(admin): State<Arc<Admin>>, headers: HeaderMap, body: Bytes) -> Response {
    change(&admin, &headers, ("resume", &body)).await
}

async fn change(admin: &Admin, headers: &HeaderMap, (verb, body): (&str, &Bytes)) -> Response {
    if let Err(refusal) = access::may_write(headers, admin.token.as_ref()) {
        return refusal.into_response();
    }
    let order: Order = match serde_json::from_slice(body) {
        Ok(order) => order,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("the body is no order: {error}")),
    };
    if order.key.is_some() == order.all {
        let sentence = "say either key, for one key, or all: true, for everything of the owner";
        return refuse(StatusCode::BAD_REQUEST, sentence);
    }
    let owners = match admin.owners(Some(&order.owner), order.side.as_deref()) {
        Ok(owners) => owners,
        Err(sentence) => return refuse(StatusCode::NOT_FOUND, &sentence),
    };
    let [(side, owner, board)] = owners.as_slice() else {
        let sentence = format!(
            "a relay and a consumer are called {}; say side: relay or consumer",
            order.owner
        );
        return refuse(StatusCode::BAD_REQUEST, &sentence);
    };
    let changed = match verb {
        "pause" => board.pause(order.clone()).await,
        _ => board.resume(order.clone()).await,
    };
    match changed {
        Ok(changed) => {
            if changed {
                tracing::info!(verb, side, owner, everything = order.all, "lanes changed over HTTP");
            }
            let Order { key, all, .. } = order;
            Json(json!({ "verb": verb, "side": side, "owner": owner, "key": key, "all": all, "changed": changed }))
                .into_response()
        }
        Err(failure) => refuse(StatusCode::SERVICE_UNAVAILABLE, &failure.to_string()),
    }
}

// === impl Admin ===

impl Admin {
    /// Relays and consumers of this process that are meant; everyone where nobody is named.
    fn owners(&self, owner: Option<&str>, side: Option<&str>) -> Result<Vec<Whose<'_>>, String> {
        let all = self.boards.iter();
        let all = all.map(|((side, name), board)| (*side, name.as_str(), board));
        let of_side = |whose: &Whose<'_>| side.is_none_or(|side| side == whose.0);
        let meant: Vec<Whose<'_>> = all
            .clone()
            .filter(|whose| of_side(whose) && owner.is_none_or(|owner| owner == whose.1))
            .collect();
        if meant.is_empty() && (owner.is_some() || side.is_some()) {
            let known: Vec<String> = all.map(|(side, name, _)| format!("{side} {name}")).collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            let side = side.unwrap_or("relay or consumer");
            let owner = owner.unwrap_or_default();
            return Err(format!("this process has no {side} {owner:?}; it has {known}"));
        }
        Ok(meant)
    }

    async fn lanes_of(&self, (side, owner, board): Whose<'_>, which: &Which) -> Result<Vec<LaneEntry>, Failure> {
        let mut entries = board.stored(which.key.clone(), SHOWN).await?;
        let key = which.key.as_deref().map(Key::from);
        let wanted = |lane: &RestingLane| key.is_none() || lane.key == key;
        let resting = self.resting(side, owner).into_iter().filter(wanted);
        entries.extend(resting.map(|lane| resting_entry((side, owner), lane)));
        if let Some(key) = which.key.clone().filter(|_| which.letters) {
            let letters = board.letters(key, SHOWN).await?;
            for entry in &mut entries {
                let own = letters.iter().filter(|(lane, _)| Some(lane) == entry.lane.as_ref());
                entry.stored = Some(own.map(|(_, letter)| letter.clone()).collect());
            }
        }
        Ok(entries)
    }

    fn resting(&self, side: &str, owner: &str) -> Vec<RestingLane> {
        if side == "relay" {
            let own = self.relays.iter().filter(|(name, _)| name == owner);
            return own.flat_map(|(_, seen)| seen.borrow().resting.clone()).collect();
        }
        let own = self.consumers.iter().filter(|(name, _)| name == owner);
        let of = |streams: Vec<_>| streams.into_iter().flatten();
        own.flat_map(|(_, seen)| {
            let seen = seen.borrow();
            of(seen.streams.values().map(|stream| stream.resting.clone()).collect())
        })
        .collect()
    }
}

/// A lane that waits in memory.
fn resting_entry((side, owner): (&str, &str), lane: RestingLane) -> LaneEntry {
    let key = lane.key.as_ref().map(|key| crate::app::desk::readable(key.as_bytes()));
    let mut entry = LaneEntry {
        side: side.to_owned(),
        owner: owner.to_owned(),
        lane: Some(lane.name.as_str().to_owned()),
        key,
        state: "resting".to_owned(),
        cause: Some("resting".to_owned()),
        attempts: lane.attempts,
        letters: 0,
        since: lane.since,
        next_try: Some(lane.until),
        error: lane.failure.map(|failure| LaneError {
            kind: failure.kind.as_str().to_owned(),
            code: failure.code.clone().into_owned(),
            message: failure.message.clone(),
        }),
        paused: None,
        hint: String::new(),
        stored: None,
    };
    entry.hint = entry.hint();
    entry
}

/// For whoever may not see keys: names of lanes and hints hold them, too.
fn hide(entry: &mut LaneEntry) {
    let hashed = |text: &String| format!("#{}", Key::from(text.as_str()).hash_text());
    entry.key = entry.key.as_ref().map(hashed);
    entry.lane = entry.lane.as_ref().map(hashed);
    entry.hint = entry.hint();
}

fn refuse(status: StatusCode, sentence: &str) -> Response {
    (status, Json(json!({ "error": sentence }))).into_response()
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
