//! The task that tidies the store beside the work of a term: nobody waits for it, and it stops with its handle.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::run::alive;
use crate::contract::{StoreError, Upkeep};
use crate::telemetry::Pulse;

/// After a step that failed: deleting late harms nobody.
const AGAIN: Duration = Duration::from_secs(5);

/// A running upkeep.
#[derive(Debug)]
pub(super) struct Upkeeper(JoinHandle<()>);

// === impl Upkeeper ===

impl Upkeeper {
    /// Begins.
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine's own task; dropping the handle aborts it"
    )]
    pub(super) fn start(upkeep: Arc<dyn Upkeep>, pulse: Pulse) -> Self {
        Self(tokio::spawn(alive(pulse, async move {
            loop {
                let wait = match upkeep.step().await {
                    Ok(wait) => wait,
                    Err(StoreError::Fenced) => return,
                    Err(error) => {
                        tracing::debug!(%error, "upkeep failed; tried again");
                        AGAIN
                    }
                };
                tokio::time::sleep(wait).await;
            }
        })))
    }
}

impl Drop for Upkeeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}
