//! The life of a process: engines as named tasks, the end of each of them, the end of all.
//!
//! Promises:
//! * a critical task that ends unasked or panics ends the process with a failure, never a husk that looks alive;
//! * a stop drains every engine, bounded by the deadline; a second stop ends at once;
//! * an engine that halts says its sentence, the others drain first, then the process fails.
//!
//! ```text
//!   signals ──► Stop ──► drain.stop() ──► engines end one by one ──► Ending::Drained
//!                 │ again                      │ deadline passed  ──► Ending::Late
//!                 └──► Ending::Interrupted     │ a halt, a panic  ──► Ending::Failed
//! ```
//!
//! This is the one place that spawns tasks for the process.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::drain::Drain;
use super::signals::Signal;
use crate::contract::Boxed;
use crate::relay::Outcome;
use crate::telemetry::Running;

/// What an engine may take beyond its deadline to close its producer and give up its lease, before it is dropped.
const GRACE: Duration = Duration::from_secs(2);
/// How often the loop turns when nothing happens, so that its pulse can be told from a stuck one.
const TURN: Duration = Duration::from_secs(1);

/// A task of the process.
pub struct Task {
    /// Its name, in logs.
    pub name: String,
    /// What it does.
    pub run: Boxed<'static, Outcome>,
}

/// Everything that lives in the process.
pub struct Crew {
    /// They drain; the process lives as long as they do.
    pub engines: Vec<Task>,
    /// They serve until the engines have ended; their end before that is a failure.
    pub services: Vec<Task>,
    /// Asked by signals, listened to by engines.
    pub drain: Drain,
    /// For how long a drain may take.
    pub deadline: Duration,
    /// Beaten by the supervisor's own loop.
    pub turns: Running,
    /// What a `Check` signal does.
    pub check: Box<dyn Fn() + Send>,
}

/// How the process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All engines drained.
    Drained,
    /// The deadline passed first; what was in flight is sent again by the next holder.
    Late {
        /// Who was not done.
        left: Vec<String>,
    },
    /// Something failed; the sentences, in the order in which they came.
    Failed(Vec<String>),
    /// Stopped twice.
    Interrupted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Engine,
    Service,
}

struct Watch {
    engines: JoinSet<Outcome>,
    services: JoinSet<Outcome>,
    names: HashMap<Id, (String, Role)>,
    failures: Vec<String>,
    drain: Drain,
    deadline: Duration,
    until: Option<Instant>,
    late: Vec<String>,
}

/// Starts a named task that nobody needs to join: it ends with its channel.
pub fn spawn(name: &'static str, run: impl Future<Output = ()> + Send + 'static) {
    tracing::trace!(task = name, "task started");
    #[expect(clippy::disallowed_methods, reason = "this is where tasks of the process start")]
    drop(tokio::spawn(run));
}

/// Runs the crew to its end.
pub async fn supervise(crew: Crew, mut signals: mpsc::Receiver<Signal>) -> Ending {
    let mut watch = Watch::start(crew.engines, crew.services, (crew.drain, crew.deadline));
    while !watch.engines.is_empty() {
        crew.turns.beat(now().into_std());
        let late = sleep_until(watch.until.unwrap_or_else(far));
        // 1 what ended · 2 who asks · 3 time
        tokio::select! {
            biased;
            Some(ended) = watch.engines.join_next_with_id() => watch.engine_ended(ended),
            Some(ended) = watch.services.join_next_with_id() => watch.service_ended(ended),
            Some(signal) = signals.recv() => match signal {
                Signal::Check => (crew.check)(),
                Signal::Stop if watch.until.is_some() => return Ending::Interrupted,
                Signal::Stop => watch.stop("asked to stop"),
            },
            () = late => {
                watch.give_up();
                break;
            }
            () = tokio::time::sleep(TURN) => {}
        }
    }
    watch.drain.settled();
    watch.services.shutdown().await;
    watch.ending()
}

/// The clock of the process's own life.
#[expect(clippy::disallowed_methods, reason = "this is where the supervisor's clock enters")]
pub fn now() -> Instant {
    Instant::now()
}

/// A moment that does not come.
fn far() -> Instant {
    now() + Duration::from_secs(86_400)
}

// === impl Watch ===

impl Watch {
    fn start(engines: Vec<Task>, services: Vec<Task>, (drain, deadline): (Drain, Duration)) -> Self {
        let mut watch = Self {
            engines: JoinSet::new(),
            services: JoinSet::new(),
            names: HashMap::new(),
            failures: Vec::new(),
            drain,
            deadline,
            until: None,
            late: Vec::new(),
        };
        for Task { name, run } in engines {
            let id = watch.engines.spawn(run).id();
            watch.names.insert(id, (name, Role::Engine));
        }
        for Task { name, run } in services {
            let id = watch.services.spawn(run).id();
            watch.names.insert(id, (name, Role::Service));
        }
        watch
    }

    fn stop(&mut self, why: &str) {
        if self.until.is_none() {
            tracing::info!(reason = why, deadline = ?self.deadline, "draining");
            self.until = Some(now() + self.deadline + GRACE);
            self.drain.stop();
        }
    }

    fn engine_ended(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (name, outcome) = self.named(ended);
        match outcome {
            Ok(Outcome::Drained) if self.until.is_some() => tracing::info!(engine = %name, "drained"),
            Ok(Outcome::DeadlinePassed) if self.until.is_some() => self.late.push(name),
            Ok(Outcome::Drained | Outcome::DeadlinePassed) => self.fail(unasked(&name)),
            Ok(Outcome::Halted { sentence }) => self.fail(format!("{name} halted: {sentence}")),
            Err(sentence) => self.fail(sentence),
        }
    }

    fn service_ended(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        let (name, outcome) = self.named(ended);
        match outcome {
            Ok(Outcome::Halted { sentence }) => self.fail(format!("{name} ended: {sentence}")),
            Ok(Outcome::Drained | Outcome::DeadlinePassed) => self.fail(unasked(&name)),
            Err(sentence) => self.fail(sentence),
        }
    }

    fn named(&mut self, ended: Result<(Id, Outcome), JoinError>) -> (String, Result<Outcome, String>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let name = self.names.remove(&id).map_or_else(|| id.to_string(), |(name, _)| name);
        let outcome = match ended {
            Ok((_, outcome)) => Ok(outcome),
            Err(error) if error.is_panic() => Err(format!("{name} panicked; this is a bug, please report it")),
            Err(_) => Err(format!("{name} was cancelled; this is a bug, please report it")),
        };
        (name, outcome)
    }

    fn fail(&mut self, sentence: String) {
        tracing::error!(reason = %sentence, "stopping");
        self.failures.push(sentence);
        self.stop("a task failed");
    }

    /// Drops the engines that are not done: what they had in flight stays unconfirmed.
    fn give_up(&mut self) {
        self.engines.abort_all();
        let engines = self.names.drain().filter(|(_, (_, role))| *role == Role::Engine);
        self.late.extend(engines.map(|(_, (name, _))| name));
    }

    fn ending(mut self) -> Ending {
        if !self.failures.is_empty() {
            return Ending::Failed(self.failures);
        }
        if self.late.is_empty() {
            return Ending::Drained;
        }
        self.late.sort_unstable();
        tracing::warn!(left = ?self.late, "drain deadline passed; work in flight is sent again by the next holder");
        Ending::Late { left: self.late }
    }
}

fn unasked(name: &str) -> String {
    format!("{name} ended though nobody asked it to; this is a bug, please report it")
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew")
            .field("engines", &self.engines)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "supervise_tests.rs"]
mod tests;
