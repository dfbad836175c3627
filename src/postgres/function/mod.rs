//! The application as a function in its database: called in the transaction that remembers the message.
//!
//! ```sql
//! create function billing.on_event(id uuid, key text, payload jsonb) returns void language plpgsql as $$ … $$;
//! ```
//!
//! | File | What it is for |
//! |---|---|
//! | `signature` | what the function takes, from the catalogue, and the statement that calls it |
//! | `arguments` | messages as its parameters |
//! | `effect` | the transaction; shared with [`super::transaction`] |
//! | `split` | what is tried again, and with whom, when something fails |
//! | `failure` | whom an error concerns |
//!
//! Promises: those of [`Processor`]; an event's effect happens once, whatever crashes (G5), as long as the function does its
//! work in this transaction (nothing through `dblink`, no error swallowed after half of it).
//!
//! The function runs with the search path of its own schema, then `public`, unless it sets one itself; with row-level
//! policies as for everybody; under a `statement_timeout` of 30 s for all calls of one transaction and a `lock_timeout` of 10 s.
//! `raise … using errcode = 'TB001'` rejects the message, `'TB002'` asks for another try, with `hint = '30s'` after that time.
//!
//! # Why one statement for all messages
//!
//! Each call alone is a message to the server, a portal and an answer: half of what a small upsert costs. One statement over
//! arrays calls in their order, each call sees what those before it did, and it answers row by row: where the rows end, the
//! function failed.

mod arguments;
pub(super) mod effect;
pub(super) mod failure;
mod signature;
pub(super) mod split;

use std::pin::pin;
use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures_util::TryStreamExt as _;
use tokio::sync::RwLock;

use self::arguments::{Arguments, misfit};
use self::effect::{Client, Effector, Effects, handler_settings};
use self::failure::{Scope, Trouble};
use self::signature::Signature;
use self::split::Outcome;
use super::answer::pooled;
use super::connect::Pool;
use super::identifier::Schema;
use super::inbox::InboxText;
use crate::contract::{Boxed, Capacity, Finding, Grade, Outbound, Processed, Processor, StoreError, Work};
use crate::delivery::{Failure, FailureKind};
pub use signature::{FunctionName, FunctionNameError};

/// Most messages of one transaction: more gain nothing, and a failure costs more.
pub const BATCH_MAX: usize = 500;

/// One consumer's function.
#[derive(Debug, Clone)]
pub struct FunctionOptions {
    /// The consumer's name: the scope in which an event is done once.
    pub consumer: String,
    /// Where twinbox's tables are.
    pub schema: Schema,
    /// The function.
    pub function: FunctionName,
    /// Messages of one transaction, at most [`BATCH_MAX`].
    pub batch: usize,
    /// Transactions that may be under way at once: no more than the pool has connections.
    pub concurrency: usize,
}

/// Hands messages to a function.
pub struct FunctionProcessor {
    effector: Effector<Calls>,
    capacity: Capacity,
}

struct Calls {
    name: FunctionName,
    settings: String,
    /// As it was when it was looked up last; none = to be looked up.
    signature: RwLock<Option<Arc<Signature>>>,
}

// === impl FunctionProcessor ===

impl FunctionProcessor {
    /// Does no I/O.
    #[must_use]
    pub fn new(pool: Pool, options: FunctionOptions) -> Self {
        let batch = options.batch.clamp(1, BATCH_MAX);
        let calls = Calls {
            settings: handler_settings(&format!("{}, public", options.function.schema())),
            name: options.function,
            signature: RwLock::default(),
        };
        Self {
            effector: Effector {
                pool,
                text: Arc::new(InboxText::new(&options.schema)),
                consumer: options.consumer,
                effects: calls,
            },
            capacity: Capacity {
                batch,
                run: batch as u32,
                concurrency: options.concurrency.max(1),
            },
        }
    }

    async fn look(&self) -> Result<Arc<Signature>, Failure> {
        let client = Box::pin(self.effector.pool.get())
            .await
            .map_err(|error| match pooled(error) {
                StoreError::Away(failure) => failure,
                other => Failure::new(FailureKind::Transient, "pool", other.to_string()),
            })?;
        let calls = &self.effector.effects;
        calls.forget().await;
        calls.signature(&client).await.map_err(|trouble| trouble.failure)
    }
}

impl Processor for FunctionProcessor {
    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn process(&self, work: Work) -> Boxed<'_, Vec<Processed>> {
        Box::pin(async move { self.effector.process(&work).await })
    }

    fn check(&self) -> Boxed<'_, Result<(), Failure>> {
        Box::pin(async move { self.look().await.map(drop) })
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        Box::pin(async move { vec![finding(&self.effector.effects.name, self.look().await)] })
    }
}

impl std::fmt::Debug for FunctionProcessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionProcessor")
            .field("consumer", &self.effector.consumer)
            .field("function", &self.effector.effects.name)
            .finish_non_exhaustive()
    }
}

fn finding(name: &FunctionName, looked: Result<Arc<Signature>, Failure>) -> Finding {
    let (grade, observed, fix) = match looked {
        Ok(signature) if signature.volatile => (Grade::Ok, format!("{name} can be called"), String::new()),
        Ok(_) => (
            Grade::Warn,
            format!("{name} is STABLE or IMMUTABLE, which forbids it to write"),
            "alter function … volatile".to_owned(),
        ),
        Err(failure) if failure.kind == FailureKind::Destination => (Grade::Fail, failure.message, String::new()),
        Err(failure) => (Grade::Skip, failure.message, String::new()),
    };
    let expected = if grade == Grade::Ok {
        ""
    } else {
        "a volatile function that returns void and may be called"
    };
    Finding {
        id: "SQL-FUNCTION",
        grade,
        observed,
        expected: expected.to_owned(),
        fix,
    }
}

// === impl Calls ===

impl Calls {
    async fn forget(&self) {
        *self.signature.write().await = None;
    }

    async fn signature(&self, client: &Client) -> Result<Arc<Signature>, Trouble> {
        if let Some(known) = &*self.signature.read().await {
            return Ok(Arc::clone(known));
        }
        let found = Signature::load(&***client, &self.name).await;
        let found = found.map_err(|error| Trouble::of_ours(&error))?.map_err(Trouble::all)?;
        let found = Arc::new(found);
        *self.signature.write().await = Some(Arc::clone(&found));
        Ok(found)
    }

    async fn call(
        &self,
        transaction: &Transaction<'_>,
        signature: &Signature,
        messages: &[&Outbound],
    ) -> Result<(), Outcome> {
        let failed = |at: usize, error: &tokio_postgres::Error| {
            Outcome::Failed(Some(at), Trouble::of_call(&self.name.to_string(), error))
        };
        let statement = transaction
            .prepare_cached(&signature.call)
            .await
            .map_err(|error| failed(0, &error))?;
        let arguments = Arguments::new(&signature.parts, messages);
        let answers = async {
            let mut done = 0;
            let rows = transaction.query_raw(&statement, arguments.parameters()).await;
            let mut rows = pin!(rows.map_err(|error| failed(done, &error))?);
            // The rows of the calls that succeeded come before the error of the one that did not.
            while let Some(row) = rows.try_next().await.map_err(|error| failed(done, &error))? {
                done += 1;
                if row.try_get::<_, i64>(0).ok() != i64::try_from(done).ok() {
                    return Err(Outcome::Failed(None, Trouble::all(out_of_order(&self.name))));
                }
                if done == 1 && messages.len() > 1 {
                    crate::point!("effect.between_calls");
                }
            }
            Ok(done)
        };
        let settings = async {
            transaction
                .batch_execute(&self.settings)
                .await
                .map_err(|error| failed(0, &error))
        };
        let ((), done) = tokio::try_join!(settings, answers)?;
        if done == messages.len() {
            Ok(())
        } else {
            Err(Outcome::Failed(None, Trouble::all(out_of_order(&self.name))))
        }
    }
}

impl Effects for Calls {
    fn ready<'a>(&'a self, client: &'a Client) -> Boxed<'a, Result<(), Trouble>> {
        Box::pin(async move { self.signature(client).await.map(drop) })
    }

    fn apply<'a>(
        &'a self,
        transaction: &'a Transaction<'_>,
        messages: &'a [&'a Outbound],
    ) -> Boxed<'a, Result<(), Outcome>> {
        Box::pin(async move {
            let Some(signature) = self.signature.read().await.clone() else {
                return Err(Outcome::Failed(None, changed(Trouble::all(gone(&self.name)))));
            };
            let unfit = messages.iter().enumerate();
            let unfit: Vec<(usize, Failure)> = unfit
                .filter_map(|(at, one)| Some((at, misfit(&signature.parts, &one.message)?)))
                .collect();
            if !unfit.is_empty() {
                return Err(Outcome::Unfit(unfit));
            }
            match self.call(transaction, &signature, messages).await {
                Err(Outcome::Failed(_, trouble)) if is_stale(&trouble) => {
                    // Replaced while running, perhaps: looked at again before the next transaction.
                    self.forget().await;
                    Err(Outcome::Failed(None, changed(trouble)))
                }
                done => done,
            }
        })
    }
}

/// Whether the function may be another one than was looked up.
fn is_stale(trouble: &Trouble) -> bool {
    let failure = &trouble.failure;
    trouble.scope == Scope::All && failure.kind == FailureKind::Destination
        || failure.code == "0A000" && failure.message.contains("cached plan")
        || failure.code == "XX000" && failure.message.contains("cache lookup failed")
}

/// The same at once, with what the catalogue says then.
fn changed(trouble: Trouble) -> Trouble {
    Trouble {
        scope: Scope::Met,
        failure: Failure {
            kind: FailureKind::Destination,
            ..trouble.failure
        },
    }
}

fn gone(name: &FunctionName) -> Failure {
    Failure::new(FailureKind::Destination, "42883", format!("{name} is being replaced"))
}

/// What must not be: then the effects are rolled back.
fn out_of_order(name: &FunctionName) -> Failure {
    let what = format!("{name} was not called once per message, in order: a defect of twinbox, please report it");
    Failure::new(FailureKind::Unknown, "calls", what)
}
