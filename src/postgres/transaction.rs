//! The application as a Rust closure that gets the open transaction.
//!
//! ```no_run
//! use twinbox::postgres::transaction::{InlineOptions, InlineProcessor};
//! # fn wire(pool: twinbox::postgres::Pool, options: InlineOptions) -> InlineProcessor {
//! InlineProcessor::new(pool, options, |transaction, message, _attempt| {
//!     Box::pin(async move {
//!         let key = message.key.as_ref().and_then(|key| key.as_str());
//!         transaction.execute("insert into public.seen (key) values ($1)", &[&key]).await?;
//!         Ok(())
//!     })
//! })
//! # }
//! ```
//!
//! Promises: those of [`Processor`]; what the closure does through the transaction is durable together with the inbox row,
//! or not at all; a panic is a failure of its message.
//!
//! The closure neither commits nor rolls back, and returns the errors of its statements: after one of them nothing of the
//! transaction can commit. It does not block: what needs a thread of its own belongs into `tokio::task::spawn_blocking`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Transaction;
use futures_util::FutureExt as _;

use super::connect::Pool;
use super::function::effect::{Client, Effector, Effects, handler_settings};
use super::function::failure::Trouble;
use super::function::split::Outcome;
use super::function::{BATCH_MAX, effect};
use super::identifier::Schema;
use super::inbox::InboxText;
use crate::contract::{Attempt, Boxed, Capacity, Finding, Identity, Outbound, Processed, Processor, Work};
use crate::delivery::{Failure, FailureKind};
use crate::message::Message;

pub use tokio_postgres;

/// What an author of SQL sees in psql.
const SEARCH_PATH: &str = "\"$user\", public";

/// Makes the effect of one message.
///
/// Implemented by closures; by hand where a name is wanted.
pub trait Effect: Send + Sync {
    /// Does it, through the transaction.
    fn apply<'a>(
        &'a self,
        transaction: &'a tokio_postgres::Transaction<'_>,
        message: &'a Message,
        attempt: Attempt,
    ) -> Boxed<'a, Result<(), EffectError>>;
}

/// Why an effect was not made. Everything of its transaction is rolled back; the other messages are done without it.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// This message can never be done: its key is parked, or what `on_reject` says.
    #[error("{0}")]
    Reject(String),
    /// Not now.
    #[error("{reason}")]
    Retry {
        /// Why not.
        reason: String,
        /// When to come again; none = by the consumer's own schedule.
        after: Option<Duration>,
    },
    /// The database refused a statement; judged by its state.
    #[error("{0}")]
    Database(#[from] tokio_postgres::Error),
}

/// One consumer's closure.
#[derive(Debug, Clone)]
pub struct InlineOptions {
    /// The consumer's name: the scope in which an event is done once.
    pub consumer: String,
    /// Where twinbox's tables are.
    pub schema: Schema,
    /// Messages of one transaction, at most [`BATCH_MAX`].
    pub batch: usize,
    /// Transactions that may be under way at once: no more than the pool has connections.
    pub concurrency: usize,
}

/// Hands messages to a closure.
pub struct InlineProcessor {
    effector: Effector<Inline>,
    capacity: Capacity,
}

struct Inline {
    effect: Box<dyn Effect>,
    settings: String,
}

impl<F> Effect for F
where
    F: for<'a> Fn(&'a tokio_postgres::Transaction<'_>, &'a Message, Attempt) -> Boxed<'a, Result<(), EffectError>>
        + Send
        + Sync,
{
    fn apply<'a>(
        &'a self,
        transaction: &'a tokio_postgres::Transaction<'_>,
        message: &'a Message,
        attempt: Attempt,
    ) -> Boxed<'a, Result<(), EffectError>> {
        self(transaction, message, attempt)
    }
}

// === impl InlineProcessor ===

impl InlineProcessor {
    /// Does no I/O.
    #[must_use]
    pub fn new<F>(pool: Pool, options: InlineOptions, effect: F) -> Self
    where
        F: for<'a> Fn(&'a tokio_postgres::Transaction<'_>, &'a Message, Attempt) -> Boxed<'a, Result<(), EffectError>>
            + Send
            + Sync
            + 'static,
    {
        Self::with(pool, options, Box::new(effect))
    }

    /// The same for an effect that has a type of its own.
    #[must_use]
    pub fn with(pool: Pool, options: InlineOptions, effect: Box<dyn Effect>) -> Self {
        let batch = options.batch.clamp(1, BATCH_MAX);
        Self {
            effector: Effector {
                pool,
                text: Arc::new(InboxText::new(&options.schema)),
                consumer: options.consumer,
                effects: Inline {
                    effect,
                    settings: handler_settings(SEARCH_PATH),
                },
            },
            capacity: Capacity {
                batch,
                run: batch as u32,
                concurrency: options.concurrency.max(1),
            },
        }
    }
}

impl Processor for InlineProcessor {
    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn process(&self, work: Work) -> Boxed<'_, Vec<Processed>> {
        Box::pin(async move { self.effector.process(&work).await })
    }

    fn check(&self) -> Boxed<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        Box::pin(async { Vec::new() })
    }
}

impl std::fmt::Debug for InlineProcessor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InlineProcessor")
            .field("consumer", &self.effector.consumer)
            .finish_non_exhaustive()
    }
}

// === impl Inline ===

impl Inline {
    async fn one(&self, transaction: &Transaction<'_>, outbound: &Outbound) -> Result<(), Trouble> {
        let Outbound { message, attempt, .. } = outbound;
        if let Some(flaw) = message.origin.as_ref().and_then(|origin| origin.flaw.as_ref()) {
            let flaw = Failure::new(FailureKind::Message, "malformed", flaw.to_string());
            return Err(Trouble::message(flaw));
        }
        let attempt = Attempt {
            number: *attempt,
            identity: Identity::of(message),
            headers: [].into(),
        };
        // What a panic may have left half done is rolled back; the closure itself is not looked into.
        let called = AssertUnwindSafe(async { self.effect.apply(transaction, message, attempt).await });
        match called.catch_unwind().await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(trouble(error)),
            Err(_) => {
                let what = "the handler panicked on this message: its own log says where";
                Err(Trouble::message(Failure::new(FailureKind::Unknown, "panic", what)))
            }
        }
    }
}

impl Effects for Inline {
    fn ready<'a>(&'a self, _: &'a Client) -> Boxed<'a, Result<(), Trouble>> {
        Box::pin(async { Ok(()) })
    }

    fn apply<'a>(
        &'a self,
        transaction: &'a Transaction<'_>,
        messages: &'a [&'a Outbound],
    ) -> Boxed<'a, Result<(), Outcome>> {
        Box::pin(async move {
            let set = transaction.batch_execute(&self.settings).await;
            set.map_err(|error| effect::ours(&error))?;
            for (at, outbound) in messages.iter().enumerate() {
                let done = self.one(transaction, outbound).await;
                // Then it was one in front of it that hid its error.
                let place = |trouble: &Trouble| (trouble.failure.code != "25P02").then_some(at);
                done.map_err(|trouble| Outcome::Failed(place(&trouble), trouble))?;
                if at == 0 && messages.len() > 1 {
                    crate::point!("effect.between_calls");
                }
            }
            Ok(())
        })
    }
}

fn trouble(error: EffectError) -> Trouble {
    match error {
        EffectError::Reject(reason) => Trouble::message(Failure::new(FailureKind::Rejected, "rejected", reason)),
        EffectError::Retry { reason, after } => {
            let mut failure = Failure::new(FailureKind::Transient, "retry", reason);
            failure.retry_after = after;
            Trouble::message(failure)
        }
        EffectError::Database(error) => Trouble::of_statement(&error),
    }
}
