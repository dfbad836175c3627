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

#[derive(Debug, Clone, Copy)]
struct Facts {
    stop: bool,
    hook: bool,
    waits: bool,
}

/// The process's drain; clones share it.
#[derive(Debug, Clone)]
pub struct Drain {
    facts: Arc<watch::Sender<Facts>>,
    engines: Arc<watch::Sender<bool>>,
}

// === impl Drain ===

impl Drain {
    /// A drain nobody asked for. `waits`: there are engines here that a hook has to wait for.
    #[must_use]
    pub fn new(waits: bool) -> Self {
        let facts = Facts {
            stop: false,
            hook: false,
            waits,
        };
        Self {
            facts: Arc::new(watch::Sender::new(facts)),
            engines: Arc::new(watch::Sender::new(false)),
        }
    }

    /// What a relay listens to: turns true once, at the stop.
    #[must_use]
    pub fn engines(&self) -> watch::Receiver<bool> {
        self.engines.subscribe()
    }

    /// Begins the end: every engine drains.
    pub fn stop(&self) {
        self.facts.send_modify(|facts| {
            facts.stop = true;
            facts.waits = true;
        });
        self.engines.send_replace(true);
    }

    /// A hook asks.
    pub fn ask(&self) {
        self.facts.send_modify(|facts| facts.hook = true);
    }

    /// A hook takes it back.
    pub fn resume(&self) {
        self.facts.send_modify(|facts| facts.hook = false);
    }

    /// Everything has settled.
    pub fn settled(&self) {
        self.facts.send_modify(|facts| facts.waits = false);
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        phase(&self.facts.borrow())
    }

    /// Waits until nothing is left to wait for.
    pub async fn drained(&self) {
        let mut facts = self.facts.subscribe();
        // An error would mean that the sender is gone; `self` holds it.
        let _ = facts.wait_for(|facts| phase(facts) == Phase::Drained).await;
    }
}

fn phase(facts: &Facts) -> Phase {
    match (facts.waits, facts.stop || facts.hook) {
        (false, _) => Phase::Drained,
        (true, true) => Phase::Draining,
        (true, false) => Phase::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_alone_are_drained_at_once_and_go_on() {
        let drain = Drain::new(false);
        drain.ask();
        assert_eq!(drain.phase(), Phase::Drained);
        assert!(!*drain.engines().borrow());
    }

    #[test]
    fn a_stop_is_not_taken_back() {
        let drain = Drain::new(false);
        drain.stop();
        drain.resume();
        assert_eq!(drain.phase(), Phase::Draining);
        assert!(*drain.engines().borrow());
    }

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let drain = Drain::new(true);
        assert_eq!(drain.phase(), Phase::Running);
        drain.ask();
        assert_eq!(drain.phase(), Phase::Draining);
        drain.resume();
        assert_eq!(drain.phase(), Phase::Running);
        let waiting = drain.clone();
        let told = tokio::join!(waiting.drained(), async { drain.settled() });
        assert_eq!(told, ((), ()));
    }
}
