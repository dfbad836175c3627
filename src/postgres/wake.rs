//! Waiting for rows: notify if asleep, else short polling.
//!
//! Promises: no wake-up is lost. Whoever writes without notifying holds a share of the relay's advisory lock until the
//! commit is visible; so a relay that got the lock alone and looks once more has seen all of them, and everybody after
//! them notifies. Dropping [`Wake::idle`] at any point is safe.
//!
//! # Why not notify always
//!
//! NOTIFY takes one lock of the whole cluster through the commit's flush: writers become 4 to 22 times slower. While the
//! relay is busy nobody notifies; it falls asleep only after some polls without a find, because a lock taken and given
//! back for each of a steady trickle of rows would make every one of their writers notify.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connect::Direct;

/// First pause after something was found.
const POLL_MIN: Duration = Duration::from_millis(1);
/// Longest pause between two looks without a trigger: 10 queries a second.
const POLL_MAX: Duration = Duration::from_millis(100);
/// After pauses of 1, 2, 4 and 8 ms without a find it is worth falling asleep.
const SLEEP_AFTER: Duration = Duration::from_millis(16);
/// Also a sleeper looks this often: triggers do not fire for every way into a table.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// The channel of the trigger; the payload is the relay's number.
const LISTEN: &str = "listen twinbox";
/// The source's session holds no other advisory lock.
const UNLOCK: &str = "select pg_advisory_unlock_all()";

/// The advisory lock by which writers see that a relay sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trigger {
    /// The outbox's oid.
    pub(super) class: i32,
    /// The relay's number.
    pub(super) number: i32,
}

/// How one relay waits.
#[derive(Debug)]
pub(super) struct Wake {
    trigger: Option<Trigger>,
    lock: Lock,
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    Free,
    /// A call was dropped while it asked.
    Unknown,
    Ours,
}

// === impl Wake ===

impl Wake {
    /// With a trigger only where it is installed and the session is our own: behind a pooler nobody is heard.
    pub(super) async fn new(direct: &Direct, trigger: Option<Trigger>) -> Result<Self, tokio_postgres::Error> {
        let trigger = trigger.filter(|_| !direct.pooled());
        if trigger.is_some() {
            direct.client().batch_execute(LISTEN).await?;
        }
        Ok(Self {
            trigger,
            lock: Lock::Free,
            pause: POLL_MIN,
        })
    }

    /// Something was found: look again soon.
    pub(super) fn found(&mut self) {
        self.pause = POLL_MIN;
    }

    /// Nobody need notify any more.
    pub(super) async fn get_up(&mut self, client: &Client) -> Result<(), tokio_postgres::Error> {
        if self.lock != Lock::Free {
            self.lock = Lock::Unknown;
            client.batch_execute(UNLOCK).await?;
            self.lock = Lock::Free;
        }
        Ok(())
    }

    /// Waits for a hint. An error of the connection is the next reader's to find; here it only must not spin.
    pub(super) async fn idle(&mut self, direct: &mut Direct, at_most: Duration) {
        let Some(trigger) = self.trigger.filter(|_| self.pause >= SLEEP_AFTER) else {
            return self.pause(at_most).await;
        };
        match self.lock {
            Lock::Ours => hear(direct, trigger, at_most.min(SLEEP_MAX)).await,
            Lock::Free | Lock::Unknown => {
                if !self.lie_down(direct, trigger).await {
                    self.pause(at_most).await;
                }
            }
        }
    }

    async fn pause(&mut self, at_most: Duration) {
        let pause = self.pause;
        self.pause = (pause * 2).min(POLL_MAX);
        sleep(pause.min(at_most)).await;
    }

    /// True = ours; the caller looks once more before it waits.
    async fn lie_down(&mut self, direct: &mut Direct, trigger: Trigger) -> bool {
        if self.get_up(direct.client()).await.is_err() {
            return false;
        }
        while direct.notifications.try_recv().is_ok() {}
        self.lock = Lock::Unknown;
        let text = "select pg_try_advisory_lock($1, $2)";
        let lock = direct
            .client()
            .query_typed(text, &[(&trigger.class, Type::INT4), (&trigger.number, Type::INT4)])
            .await;
        match lock.as_deref() {
            Ok([row]) => {
                let ours: bool = row.get(0);
                self.lock = if ours { Lock::Ours } else { Lock::Free };
                ours
            }
            _ => false,
        }
    }
}

/// Waits until somebody notifies this relay.
async fn hear(direct: &mut Direct, trigger: Trigger, at_most: Duration) {
    let number = trigger.number.to_string();
    let heard = async {
        while let Some(notification) = direct.notifications.recv().await {
            if notification.payload() == number {
                return;
            }
        }
        // The connection is gone: the next reader says so.
        std::future::pending::<()>().await;
    };
    // Woken or not, the caller looks.
    let _ = timeout(at_most, heard).await;
}
