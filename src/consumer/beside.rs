//! What a consumer does beside its streams: keeping the inbox's generations, asking whether the application is well.
//!
//! Promises: neither keeps a stream waiting; what fails here is told where somebody must act, and tried again.

use std::convert::Infallible;
use std::time::Duration;

use super::run::Shared;
use crate::contract::StoreError;
use crate::flow::clock::beating;

/// After a step that failed: rotating late keeps ids longer, which harms nobody.
const AGAIN: Duration = Duration::from_secs(5);
/// How often the application's health is asked about.
const HEALTH_EVERY: Duration = Duration::from_secs(1);

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
