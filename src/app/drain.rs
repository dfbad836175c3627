//! Whether this process is asked to drain, and whether it has.
//!
//! Two things end work. A *stop* (SIGTERM, SIGINT) drains every engine and ends the process. A *hook* (`POST /drain`)
//! only stops what takes messages into an application, so that the application can end first; relays go on until the
//! stop and carry away the application's last rows. Hence a process without consumers has nothing to wait for: to a
//! hook it is drained at once.
//!
//! Promises: asking twice is asking once; `resume` takes back a hook, never a stop.

use std::sync::Arc;

use tokio::sync::watch;

use crate::consumer::{ConsumerState, Status, Wanted};

/// What a caller of `GET /drain` is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Work is going on, nobody asked.
    Running,
    /// Asked, and something is still on its way.
    Draining,
    /// Nothing that a hook would wait for is left.
    Drained,
}

#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    stop: bool,
    hook: bool,
    /// Every engine has ended.
    settled: bool,
}

/// The process's drain; clones share it.
#[derive(Debug, Clone)]
pub struct Drain {
    facts: Arc<watch::Sender<Facts>>,
    relays: Arc<watch::Sender<bool>>,
    wanted: Arc<watch::Sender<Wanted>>,
    /// What a hook has to wait for.
    consumers: Arc<[watch::Receiver<Status>]>,
}

// === impl Drain ===

impl Drain {
    /// A drain nobody asked for, of a process with these consumers.
    #[must_use]
    pub fn new(consumers: Vec<watch::Receiver<Status>>) -> Self {
        Self {
            facts: Arc::new(watch::Sender::new(Facts::default())),
            relays: Arc::new(watch::Sender::new(false)),
            wanted: Arc::new(watch::Sender::new(Wanted::Consume)),
            consumers: consumers.into(),
        }
    }

    /// What a relay listens to: turns true once, at the stop.
    #[must_use]
    pub fn engines(&self) -> watch::Receiver<bool> {
        self.relays.subscribe()
    }

    /// What a consumer listens to.
    #[must_use]
    pub fn wanted(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// Begins the end: every engine drains.
    pub fn stop(&self) {
        self.change(|facts| facts.stop = true);
        self.relays.send_replace(true);
    }

    /// A hook asks.
    pub fn ask(&self) {
        self.change(|facts| facts.hook = true);
    }

    /// A hook takes it back.
    pub fn resume(&self) {
        self.change(|facts| facts.hook = false);
    }

    /// Everything has settled.
    pub fn settled(&self) {
        self.change(|facts| facts.settled = true);
    }

    /// Facts and what follows from them for consumers, under one lock: two callers at once leave them agreeing.
    fn change(&self, change: impl FnOnce(&mut Facts)) {
        self.facts.send_modify(|facts| {
            change(facts);
            let wanted = match *facts {
                Facts { stop: true, .. } => Wanted::Stop,
                Facts { hook: true, .. } => Wanted::Drain,
                _ => Wanted::Consume,
            };
            self.wanted
                .send_if_modified(|known| std::mem::replace(known, wanted) != wanted);
        });
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase_of(*self.facts.borrow())
    }

    fn phase_of(&self, facts: Facts) -> Phase {
        let asked = facts.hook && self.consumers.iter().all(has_left);
        match facts {
            Facts { settled: true, .. } => Phase::Drained,
            Facts { stop: true, .. } => Phase::Draining,
            _ if asked || self.consumers.is_empty() => Phase::Drained,
            Facts { hook: true, .. } => Phase::Draining,
            _ => Phase::Running,
        }
    }

    /// Waits until nothing is left to wait for.
    pub async fn drained(&self) {
        let mut facts = self.facts.subscribe();
        loop {
            let known = *facts.borrow_and_update();
            if self.phase_of(known) == Phase::Drained {
                return;
            }
            tokio::select! {
                // An error would mean that the sender is gone; `self` holds it.
                _ = facts.changed() => {}
                () = self.consumers_left(), if known.hook && !known.stop => {}
            }
        }
    }

    async fn consumers_left(&self) {
        for consumer in self.consumers.iter() {
            let mut consumer = consumer.clone();
            // An error: it has ended.
            let _ = consumer.wait_for(|status| is_out(status.state)).await;
        }
    }
}

/// Whether a consumer does nothing any more.
fn has_left(consumer: &watch::Receiver<Status>) -> bool {
    is_out(consumer.borrow().state) || consumer.has_changed().is_err()
}

fn is_out(state: ConsumerState) -> bool {
    matches!(state, ConsumerState::Drained | ConsumerState::Halted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer() -> (watch::Sender<Status>, Drain) {
        let (status, seen) = watch::channel(Status {
            state: ConsumerState::Running,
            ..Status::default()
        });
        (status, Drain::new(vec![seen]))
    }

    fn turn(status: &watch::Sender<Status>, state: ConsumerState) {
        status.send_modify(|status| status.state = state);
    }

    #[test]
    fn relays_alone_are_drained_at_once_and_go_on() {
        let drain = Drain::new(Vec::new());
        drain.ask();
        assert_eq!(drain.phase(), Phase::Drained);
        assert!(!*drain.engines().borrow());
    }

    #[test]
    fn a_stop_is_not_taken_back() {
        let (status, drain) = consumer();
        drain.stop();
        drain.resume();
        turn(&status, ConsumerState::Drained);
        assert_eq!(drain.phase(), Phase::Draining, "until every engine has ended");
        assert!(*drain.engines().borrow());
        assert_eq!(*drain.wanted().borrow(), Wanted::Stop);
        drain.settled();
        assert_eq!(drain.phase(), Phase::Drained);
    }

    #[test]
    fn a_hook_drains_consumers_and_leaves_relays_alone() {
        let (status, drain) = consumer();
        assert_eq!(drain.phase(), Phase::Running);
        drain.ask();
        drain.ask();
        assert_eq!(
            (drain.phase(), *drain.wanted().borrow()),
            (Phase::Draining, Wanted::Drain)
        );
        assert!(!*drain.engines().borrow());
        turn(&status, ConsumerState::Drained);
        assert_eq!(drain.phase(), Phase::Drained);
        drain.resume();
        assert_eq!(
            (drain.phase(), *drain.wanted().borrow()),
            (Phase::Running, Wanted::Consume)
        );
    }

    #[test]
    fn a_consumer_that_has_ended_keeps_nobody_waiting() {
        let (status, drain) = consumer();
        drain.ask();
        drop(status);
        assert_eq!(drain.phase(), Phase::Drained);
    }

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let (status, drain) = consumer();
        let waiting = drain.clone();
        let told = tokio::join!(waiting.drained(), async {
            drain.ask();
            tokio::task::yield_now().await;
            turn(&status, ConsumerState::Draining);
            tokio::task::yield_now().await;
            turn(&status, ConsumerState::Drained);
        });
        assert_eq!(told, ((), ()));
        let (_status, drain) = consumer();
        let waiting = drain.clone();
        tokio::join!(waiting.drained(), async {
            drain.stop();
            tokio::task::yield_now().await;
            drain.settled();
        });
    }
}
