//! Kafka as a [`Subscriber`] and a [`Subscription`].
//!
//! Promises: three threads belong to a subscription, its member, its teller and its lookout; they end with it. Closing waits for the
//! member to have left the group, within its deadline, and never on the runtime.

use std::fmt;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::Consumer as _;
use tokio::task::spawn_blocking;

use super::super::config::KafkaConsumeConfig;
use super::super::keeper::now;
use super::super::{findings, properties};
use super::board::{Board, Word};
use super::ear::{Client, Ear};
use super::stream::KafkaStream;
use super::{lookout, member, teller};
use crate::broker::{Reader, SubscribeContext};
use crate::contract::{Boxed, Finding, Happening, Stream, Subscriber, Subscription};
use crate::delivery::{Destination, Failure, FailureKind};
use crate::setting::Settings;

/// A configured group on a cluster.
pub(in super::super) struct KafkaSubscriber {
    config: KafkaConsumeConfig,
    context: SubscribeContext,
}

struct KafkaSubscription {
    board: Arc<Board>,
    client: Weak<Client>,
    /// When the member is to be gone.
    until: SyncSender<Instant>,
    /// Dropped to wake the lookout.
    bell: Mutex<Option<SyncSender<()>>>,
}

// === impl KafkaSubscriber ===

impl KafkaSubscriber {
    /// A group with these settings. No I/O.
    ///
    /// # Errors
    /// Settings that do not fit.
    pub(in super::super) fn open(settings: &Settings, context: SubscribeContext) -> Result<Self, Failure> {
        let config = settings
            .read()
            .map_err(|error| Failure::new(FailureKind::Destination, "Settings", error.to_string()))?;
        Ok(Self { config, context })
    }

    fn join(&self) -> Result<Arc<dyn Subscription>, Failure> {
        let properties = properties::member(&self.config, &self.context)?;
        let group = properties.get("group.id").unwrap_or_default().to_owned();
        let reader = Reader {
            reads: self.context.reads,
            dedupe: self.context.dedupe.clone(),
            per_topic: self.context.per_topic,
        };
        let patience = self.context.drain.min(properties::poll_interval(&properties) / 2);
        let names = (self.context.name.clone(), group);
        let (board, told) = Board::new(names, self.config.topics.clone(), reader, patience);
        let refused = |error: rdkafka::error::KafkaError| {
            Failure::new(
                FailureKind::Destination,
                "ClientCreation",
                "librdkafka refuses the settings; check `from.kafka.options`",
            )
            .with_chain(vec![error.to_string()])
        };
        let client = Client::from_config_and_context(&properties, Ear(Arc::clone(&board))).map_err(refused)?;
        let topics: Vec<&str> = self.config.topics.iter().map(String::as_str).collect();
        client.subscribe(&topics).map_err(refused)?;
        let client = Arc::new(client);
        let weak = Arc::downgrade(&client);
        // One deadline is ever sent, one ring is enough to remember.
        let (until, heard_until) = std::sync::mpsc::sync_channel(1);
        let (bell, heard) = std::sync::mpsc::sync_channel(1);
        let (own, lookout_client) = (Arc::clone(&board), weak.clone());
        self.thread("lookout", move || lookout::run(&own, &lookout_client, &heard))?;
        let (own, teller_client) = (Arc::clone(&board), weak.clone());
        self.thread("teller", move || teller::run(&own, &teller_client, &told))?;
        let own = Arc::clone(&board);
        self.thread("member", move || member::run(&own, client, &heard_until))?;
        Ok(Arc::new(KafkaSubscription {
            board,
            client: weak,
            until,
            bell: Mutex::new(Some(bell)),
        }))
    }

    fn thread(&self, part: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let named = std::thread::Builder::new().name(format!("{part}-{}", self.context.name));
        named.spawn(run).map(drop).map_err(|error| {
            Failure::new(FailureKind::Transient, "Thread", "the system gives us no thread")
                .with_chain(vec![error.to_string()])
        })
    }
}

impl Subscriber for KafkaSubscriber {
    fn subscribe(&self) -> Boxed<'_, Result<Arc<dyn Subscription>, Failure>> {
        Box::pin(async { self.join() })
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        let client = properties::reader(&self.config, &self.context);
        let topics: Vec<Destination> = self
            .config
            .topics
            .iter()
            .map(|topic| [&**topic].into_iter().collect())
            .collect();
        Box::pin(async move {
            let client = match client {
                Ok(client) => client,
                Err(failure) => return vec![findings::not_connected(&failure.to_string())],
            };
            let runtime = tokio::runtime::Handle::current();
            let ask = move || findings::ask(&client, &runtime, &topics);
            spawn_blocking(ask).await.unwrap_or_default()
        })
    }
}

impl fmt::Debug for KafkaSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSubscriber")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

// === impl KafkaSubscription ===

impl KafkaSubscription {
    fn stream(&self, cell: Arc<super::cell::Cell>) -> Box<dyn Stream> {
        Box::new(KafkaStream::new(cell, Arc::clone(&self.board), self.client.clone()))
    }

    fn ask_to_leave(&self, until: Instant) {
        // Full: it was asked before.
        let _ = self.until.try_send(until);
        self.board.leave();
        drop(self.bell.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Subscription for KafkaSubscription {
    fn next(&self) -> Boxed<'_, Happening> {
        Box::pin(async {
            loop {
                let happened = self.board.happened.notified();
                match self.board.word() {
                    Some(Word::Assigned(cells)) => {
                        let streams = cells.into_iter().map(|cell| self.stream(cell));
                        return Happening::Assigned(streams.collect());
                    }
                    Some(Word::Told(incident)) => return Happening::Told(incident),
                    Some(Word::Health(health)) => return Happening::Health(health),
                    Some(Word::Ended(failure)) => return Happening::Ended(failure),
                    Some(Word::Gone) => std::future::pending().await,
                    None => happened.await,
                }
            }
        })
    }

    fn close(&self, deadline: Duration) -> Boxed<'_, ()> {
        self.ask_to_leave(now() + deadline);
        Box::pin(async move {
            let gone = async {
                loop {
                    let gone = self.board.gone.notified();
                    tokio::pin!(gone);
                    gone.as_mut().enable();
                    if self.board.is_gone() {
                        return;
                    }
                    gone.await;
                }
            };
            if tokio::time::timeout(deadline, gone).await.is_err() {
                tracing::warn!(
                    consumer = self.board.consumer,
                    "the group was not left in time; it notices by itself"
                );
            }
        })
    }
}

impl Drop for KafkaSubscription {
    fn drop(&mut self) {
        self.ask_to_leave(now());
    }
}
