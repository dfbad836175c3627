//! What a consumer does beside its streams: keeping the inbox's generations, asking whether the application is well, and
//! whether an operator has moved a stream.
//!
//! Promises: none keeps a stream waiting; what fails here is told where somebody must act, and tried again.

use std::convert::Infallible;
use std::time::Duration;

use super::run::Shared;
use crate::contract::{Fence, StoreError};
use crate::flow::clock::beating;

/// After a step that failed: rotating late keeps ids longer, which harms nobody.
const AGAIN: Duration = Duration::from_secs(5);
/// How often the application's health is asked about.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

/// How soon a stream notices that an operator has moved it. One question for all streams of a consumer.
const MOVED_EVERY: Duration = Duration::from_secs(1);

/// Keeps the inbox's generations.
pub(super) async fn tidy(shared: &Shared) -> Infallible {
    let turns = shared.turns();
    loop {
        let wait = match beating(&turns, shared.engine.inbox.tidy()).await {
            Ok(wait) => wait,
            Err(error) => {
                if matches!(error, StoreError::Away(_)) {
                    tracing::debug!(consumer = shared.engine.name, %error, "the inbox could not be tidied");
                } else {
                    tracing::warn!(consumer = shared.engine.name, %error, "the inbox could not be tidied");
                }
                AGAIN
            }
        };
        beating(&turns, tokio::time::sleep(wait)).await;
    }
}

/// Keeps calls back while the application's probe fails.
pub(super) async fn watch_health(shared: &Shared) -> Infallible {
    let turns = shared.turns();
    loop {
        match beating(&turns, shared.engine.processor.health()).await {
            Some(health) => shared.application_is(health),
            // There is no probe, and will not be one.
            None => beating(&turns, std::future::pending()).await,
        }
        beating(&turns, tokio::time::sleep(HEALTH_EVERY)).await;
    }
}

/// Looks which streams an operator has moved. What cannot be asked is asked again: whoever writes meanwhile is fenced.
pub(super) async fn watch_moves(shared: &Shared) -> Infallible {
    let turns = shared.turns();
    loop {
        beating(&turns, tokio::time::sleep(MOVED_EVERY)).await;
        match beating(&turns, shared.engine.inbox.moved()).await {
            Ok(moved) => {
                shared.moves.send_if_modified(|known| {
                    let news = *known != moved;
                    *known = moved;
                    news
                });
            }
            Err(error) => {
                tracing::debug!(consumer = shared.engine.name, %error, "the positions could not be looked at");
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Waits until an operator has moved the stream away from that owner.
    pub(super) async fn moved(&self, owner: &Fence) {
        let mut moves = self.moves.subscribe();
        let away = moves.wait_for(|moves| moves.get(&owner.stream).is_some_and(|epoch| *epoch > owner.epoch));
        if away.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
