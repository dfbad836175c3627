//! Keeps a lease alive beside the work, and says until when it may be trusted.
//!
//! Promises: renews at a third of the lease; trust is counted from *before* a request was sent, so that a slow answer
//! never prolongs it; a keeper that is stopped renews no more.

use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::contract::{Lease, StoreError};
use crate::flow::clock::{alive, now};
use crate::telemetry::Pulse;

/// How long giving up may take; the lease ends by itself otherwise.
const RESIGN_DEADLINE: Duration = Duration::from_secs(2);

/// What is known of the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It may be trusted until then.
    Until(Instant),
    /// Somebody else has it.
    Lost,
}

/// The task that renews a lease.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) trust: watch::Receiver<Trust>,
    resign: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Begins to renew.
#[expect(
    clippy::disallowed_methods,
    reason = "the engine's own task; its handle joins or aborts it"
)]
pub(super) fn keep(lease: (Box<dyn Lease>, &Pulse), length: Duration, trusted_until: Instant) -> Keeper {
    let (lease, pulse) = lease;
    let (tell, trust) = watch::channel(Trust::Until(trusted_until));
    let (resign, resigning) = oneshot::channel();
    let task = tokio::spawn(alive(pulse.clone(), renew(lease, length / 3, tell, resigning)));
    Keeper { trust, resign, task }
}

async fn renew(
    mut lease: Box<dyn Lease>,
    every: Duration,
    tell: watch::Sender<Trust>,
    mut resigning: oneshot::Receiver<()>,
) {
    loop {
        let resigned = tokio::time::timeout(every, &mut resigning).await;
        if let Ok(asked) = resigned {
            if asked.is_ok()
                && let Err(error) = lease.resign().await
            {
                tracing::debug!(%error, "the lease could not be given up; it ends by itself");
            }
            crate::point!("lease.resigned");
            return;
        }
        let asked_at = now();
        crate::point!("lease.renewing");
        match lease.renew().await {
            Ok(trust) => {
                tell.send_replace(Trust::Until(asked_at + trust));
            }
            Err(StoreError::Fenced) => {
                tell.send_replace(Trust::Lost);
                return;
            }
            // Away: the old trust runs out by itself; the next try may come in time.
            Err(error) => {
                crate::point!("lease.not_renewed");
                tracing::debug!(%error, "the lease could not be renewed");
            }
        }
    }
}

// === impl Keeper ===

impl Keeper {
    /// Gives the lease up, so that a standby takes over at once.
    pub(super) async fn resign(self) {
        let _ = self.resign.send(());
        let mut task = self.task;
        if tokio::time::timeout(RESIGN_DEADLINE, &mut task).await.is_err() {
            task.abort();
        }
    }

    /// Ends without a word to the database: the lease is somebody else's.
    pub(super) fn stop(self) {
        self.task.abort();
    }
}
