//! The transaction in which effects become durable, with their inbox rows and the position of record.
//!
//! ```text
//!  begin ─ enter ─ remember ─ effects, in lane order ─ hold ─ commit
//!            │        │          │                       └ no row: fenced, roll back
//!            │        │          └ a failure: roll back, and say at which message
//!            │        └ what is known already is a duplicate: it is not called
//!            └ no rotation until the end (S24)
//! ```
//!
//! Promises: inbox rows, effects and position row are one transaction; the position row comes last, so whoever was fenced
//! changes nothing; after COMMIT without an answer the inbox is read before anything is said.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::failure::{Scope, Trouble, in_doubt};
use super::split::{Outcome, Split};
use crate::contract::{Boxed, Identity, Known, Outbound, Processed, StoreError, Work};
use crate::delivery::{Failure, FailureKind};
use crate::postgres::answer::pooled;
use crate::postgres::connect::{Connector, Pool};
use crate::postgres::inbox::InboxText;

/// Transactions that met another one are made again this often, at once.
const TRIES_MAX: u32 = 5;
/// The same after waiting for a lock, which took [`SETTINGS`]' `lock_timeout` each time: whoever is frozen inside a transaction
/// is gone by then (`idle_in_transaction_session_timeout`).
const LOCK_TRIES_MAX: u32 = 3;
/// Two that met go on at different times, at most this far apart the first time.
const APART: Duration = Duration::from_millis(20);
/// Whatever stands between: a pooler drops settings of the session. Our own statements go by index.
const SETTINGS: &str = "set local statement_timeout = '30s'; set local lock_timeout = '10s'; \
    set local idle_in_transaction_session_timeout = '30s'; set local enable_seqscan = off";
/// Back to ours, behind the handler's.
const OURS: &str = "set local enable_seqscan = off";

pub(in crate::postgres) type Client = deadpool::managed::Object<Connector>;

/// What is done for a message inside the transaction.
pub(in crate::postgres) trait Effects: Send + Sync {
    /// Looked at before each transaction.
    fn ready<'a>(&'a self, client: &'a Client) -> Boxed<'a, Result<(), Trouble>>;

    /// Does them all, in order; places in what went wrong count these messages.
    fn apply<'a>(
        &'a self,
        transaction: &'a Transaction<'_>,
        messages: &'a [&'a Outbound],
    ) -> Boxed<'a, Result<(), Outcome>>;
}

/// Makes transactions of one consumer.
pub(in crate::postgres) struct Effector<E> {
    pub(in crate::postgres) pool: Pool,
    pub(in crate::postgres) text: Arc<InboxText>,
    pub(in crate::postgres) consumer: String,
    pub(in crate::postgres) effects: E,
}

/// Settings under which a handler runs: those that its author sees in psql, not ours.
pub(in crate::postgres) fn handler_settings(search_path: &str) -> String {
    format!("set local search_path = {search_path}; set local row_security = on; set local enable_seqscan = on")
}

// === impl Effector ===

impl<E: Effects> Effector<E> {
    /// Makes the effects of all that can be done durable.
    pub(in crate::postgres) async fn process(&self, work: &Work) -> Vec<Processed> {
        let mut split = Split::new(&work.messages);
        while let Some(span) = split.next() {
            let outcome = self.persist(work, &span).await;
            match &outcome {
                Outcome::Failed(..) | Outcome::Unfit(_) => {
                    crate::point!("effect.rolled_back");
                }
                Outcome::Committed(_) if span.len() < work.messages.len() => {
                    crate::point!("effect.part_committed");
                }
                Outcome::Committed(_) | Outcome::Fenced => {}
            }
            split.settle(&span, outcome);
        }
        split.answers()
    }

    /// One transaction, again while it meets others.
    async fn persist(&self, work: &Work, span: &[usize]) -> Outcome {
        let mut tries = 0;
        loop {
            let outcome = Box::pin(self.attempt(work, span)).await;
            let Outcome::Failed(_, trouble) = &outcome else {
                return outcome;
            };
            let tries_max = if trouble.failure.code == "55P03" {
                LOCK_TRIES_MAX
            } else {
                TRIES_MAX
            };
            if trouble.scope != Scope::Met || tries >= tries_max {
                return outcome;
            }
            tokio::time::sleep(apart(tries)).await;
            tries += 1;
        }
    }

    async fn attempt(&self, work: &Work, span: &[usize]) -> Outcome {
        let mut client = match Box::pin(self.pool.get()).await.map_err(pooled) {
            Ok(client) => client,
            Err(StoreError::Away(failure)) => return Outcome::Failed(None, Trouble::all(failure)),
            Err(other) => return Outcome::Failed(None, Trouble::all(unopened(&other))),
        };
        if let Err(trouble) = self.effects.ready(&client).await {
            return Outcome::Failed(None, trouble);
        }
        let transaction = match client.transaction().await {
            Ok(transaction) => transaction,
            Err(error) => return ours(&error),
        };
        crate::point!("effect.begun");
        let (new, counter) = match self.fill(&transaction, work, span).await {
            Ok(filled) => filled,
            Err(outcome) => {
                // The connection is clean when it goes back; where it is lost, there is nothing to roll back.
                let _ = transaction.rollback().await;
                return outcome;
            }
        };
        crate::point!("effect.positioned");
        if let Err(error) = transaction.commit().await {
            drop(client);
            return self.uncommitted(&error, work, (span, new)).await;
        }
        crate::point!("effect.committed");
        work.fence.committed(counter);
        Outcome::Committed(new)
    }

    /// Everything but BEGIN and COMMIT: which are new, and the counter.
    async fn fill(
        &self,
        transaction: &Transaction<'_>,
        work: &Work,
        span: &[usize],
    ) -> Result<(Vec<bool>, i64), Outcome> {
        let ours = |error: tokio_postgres::Error| ours(&error);
        let ((), generations) =
            tokio::try_join!(transaction.batch_execute(SETTINGS), self.text.enter(transaction)).map_err(ours)?;
        let identities: Vec<Identity> = span
            .iter()
            .map(|at| Identity::of(&work.messages[*at].message))
            .collect();
        let mut unknown = self
            .text
            .remember(transaction, (&self.consumer, generations), (&identities, Known::Done))
            .await
            .map_err(ours)?;
        crate::point!("effect.remembered");
        // The first of two with one identity is called.
        let new: Vec<bool> = identities.iter().map(|identity| unknown.remove(identity)).collect();
        let called: Vec<usize> = (0..span.len()).filter(|at| new[*at]).collect();
        let messages: Vec<&Outbound> = called.iter().map(|at| &work.messages[span[*at]]).collect();
        if !messages.is_empty() {
            let applied = self.effects.apply(transaction, &messages).await;
            applied.map_err(|outcome| in_span(outcome, &called))?;
        }
        crate::point!("effect.called");
        let held = async {
            self.text
                .hold(transaction, (&self.consumer, &work.fence), work.mark)
                .await
        };
        match tokio::try_join!(transaction.batch_execute(OURS), held) {
            Ok(((), Some(counter))) => Ok((new, counter)),
            Ok(((), None)) => Err(Outcome::Fenced),
            Err(error) if aborted(&error) => Err(Outcome::Failed(None, Trouble::message(ignored()))),
            Err(error) => Err(ours(error)),
        }
    }

    /// COMMIT failed: either nothing happened, or nobody knows.
    async fn uncommitted(
        &self,
        error: &tokio_postgres::Error,
        work: &Work,
        (span, new): (&[usize], Vec<bool>),
    ) -> Outcome {
        if !in_doubt(error) {
            // A constraint that is checked late, for one.
            return Outcome::Failed(None, Trouble::of_statement(error));
        }
        let called = span.iter().zip(&new).filter(|(_, new)| **new);
        let identities: Vec<Identity> = called
            .map(|(index, _)| Identity::of(&work.messages[*index].message))
            .collect();
        match self.known(&identities).await {
            Some(known) if identities.iter().all(|identity| known.contains(identity)) => Outcome::Committed(new),
            // The old backend may still be at it: then the next attempt waits at the inbox row, and finds a duplicate.
            _ => Outcome::Failed(None, Trouble::all(unanswered(error))),
        }
    }

    /// What the inbox has of these, on another connection; none = it could not be asked.
    async fn known(&self, identities: &[Identity]) -> Option<HashSet<Identity>> {
        let client = Box::pin(self.pool.get()).await.ok()?;
        self.text.known(&**client, &self.consumer, identities).await.ok()
    }
}

/// Places among the messages that were called, as places in the span.
fn in_span(outcome: Outcome, called: &[usize]) -> Outcome {
    match outcome {
        Outcome::Unfit(unfit) => Outcome::Unfit(unfit.into_iter().map(|(at, failure)| (called[at], failure)).collect()),
        Outcome::Failed(at, trouble) => Outcome::Failed(at.and_then(|at| called.get(at).copied()), trouble),
        other => other,
    }
}

/// A statement of ours failed.
pub(in crate::postgres) fn ours(error: &tokio_postgres::Error) -> Outcome {
    Outcome::Failed(None, Trouble::of_ours(error))
}

fn aborted(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|said| said.code().code() == "25P02")
}

fn ignored() -> Failure {
    let what = "a statement of the handler failed and its error was ignored, so the transaction cannot commit: return the error";
    Failure::new(FailureKind::Unknown, "25P02", what)
}

fn unanswered(error: &tokio_postgres::Error) -> Failure {
    let what = format!(
        "the connection was lost at COMMIT ({error}), and the inbox does not have the effect so far: it is tried again"
    );
    Failure::new(FailureKind::Unreachable, "commit_unknown", what)
}

fn unopened(error: &StoreError) -> Failure {
    Failure::new(FailureKind::Transient, "pool", error.to_string())
}

/// Full jitter, twice as long each time.
fn apart(tries: u32) -> Duration {
    let longest = APART * (1 << tries.min(TRIES_MAX));
    let chance = Uuid::new_v4().as_u128() as u32;
    longest.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}
