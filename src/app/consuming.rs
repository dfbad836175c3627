//! From a configuration to the engines of consumers.
//!
//! Promises: those of [`assemble`](super::assemble).

use std::sync::Arc;
use std::time::Duration;

use super::assemble::refuse_unkept;
use super::export::Exports;
use super::metered::Metered;
use crate::broker::{DedupeBy, Envelope, OpenContext, Reads, STALL_DEFAULT, SubscribeContext};
use crate::config::{By, ConsumerConfig, Environment, HandlerConfig, OnReject, ReadEnvelope, Root, Scope};
use crate::consumer::{Engine, Limits, TwoPhase};
use crate::contract::{Broker, Handler, Inbox, Processor, StreamName, Subscriber};
use crate::delivery::guarantee::Guarantee;
use crate::delivery::{RestPolicy, Route, Router, Template, TemplateUse};
use crate::flow::{self, DeadLetter, Settings};
use crate::handler::HttpHandler;
use crate::handler::config::{Dedupe, HttpConfig};
use crate::postgres::function::{FunctionName, FunctionOptions, FunctionProcessor};
use crate::postgres::{Connector, InboxOptions, PostgresInbox, Schema, Session};
use crate::telemetry::{ConsumerMeters, ConsumerSpans, Pulse};

/// What is beside the application's own time in a call: the question to the inbox before it, and the record after it.
const AROUND_A_CALL: Duration = Duration::from_secs(5);

/// One consumer of a configuration, and where its secrets are looked up.
#[derive(Debug, Clone, Copy)]
pub struct Consuming<'a> {
    /// Its name.
    pub name: &'a str,
    /// The whole configuration.
    pub root: &'a Root,
    /// Its section.
    pub consumer: &'a ConsumerConfig,
    /// Where secrets are looked up, at each connect.
    pub environment: &'a Environment,
}

/// What a consumer has in its database, and who does the work.
pub struct Place {
    /// What is done, and how far.
    pub inbox: Arc<dyn Inbox>,
    /// Who makes effects durable.
    pub processor: Arc<dyn Processor>,
}

/// The engines of these consumers.
///
/// # Errors
/// A sentence, when the configuration cannot be used.
pub fn engines(
    root: &Root,
    consumers: &[(&str, &ConsumerConfig)],
    with: (&Environment, &Exports),
) -> Result<Vec<Engine>, String> {
    let (environment, exports) = with;
    let engines = consumers.iter().map(|(name, consumer)| {
        let consuming = Consuming {
            name,
            root,
            consumer,
            environment,
        };
        let system = consumer.from.backend().config.name;
        let meters = ConsumerMeters::new(&exports.meter(), name, system);
        let spans = ConsumerSpans::new(exports.tracer(), name, (system, consumer.group(name)));
        Ok(Engine {
            spans,
            ..consuming.engine(meters)?
        })
    });
    engines.collect()
}

// === impl Consuming ===

impl Consuming<'_> {
    /// Its engine, without spans.
    ///
    /// # Errors
    /// A sentence, when the configuration cannot be used or does not keep what it requires.
    pub fn engine(&self, meters: ConsumerMeters) -> Result<Engine, String> {
        let kept = refuse_unkept(&self.consumer.require, &self.guarantees());
        kept.map_err(|sentence| format!("consumers.{}.{sentence}", self.name))?;
        let Place { inbox, processor } = self.place()?;
        let broker = self.dead_letters()?;
        let limits = &self.consumer.limits;
        Ok(Engine {
            name: self.name.to_owned(),
            subscriber: self.subscriber()?,
            inbox,
            settings: self.settings(processor.as_ref(), broker.as_ref()),
            processor: Arc::new(Metered { processor, meters }),
            broker,
            start: self.consumer.start(),
            limits: Limits {
                messages: limits.in_flight as usize,
                bytes: self.bytes(),
            },
            call: self.call(),
            spans: ConsumerSpans::silent(),
            pulse: Pulse::default(),
        })
    }

    /// What holds for it.
    #[must_use]
    pub fn guarantees(&self) -> [Guarantee; 4] {
        let database = self.root.inbox_of(self.consumer);
        self.consumer.guarantees(database, &|name| self.environment.get(name))
    }

    /// Its broker, not yet connected.
    ///
    /// # Errors
    /// Settings that do not fit.
    pub fn subscriber(&self) -> Result<Arc<dyn Subscriber>, String> {
        let backend = self.consumer.from.backend();
        let subscribe = backend.subscribe.ok_or_else(|| {
            let name = backend.config.name;
            self.sentence(&format!("this build cannot consume from {name}"))
        })?;
        let environment = self.environment.clone();
        let context = SubscribeContext {
            name: self.name.to_owned(),
            reads: match self.consumer.envelope {
                ReadEnvelope::Auto => Reads::Auto,
                ReadEnvelope::Cloudevents => Reads::Only(Envelope::CloudEvents),
                ReadEnvelope::Debezium => Reads::Only(Envelope::Debezium),
                ReadEnvelope::Raw => Reads::Only(Envelope::Raw),
            },
            dedupe: match &self.consumer.dedupe.by {
                By::Id => DedupeBy::Id,
                By::Header(name) => DedupeBy::Header(name.clone()),
                By::Payload(pointer) => DedupeBy::Payload(pointer.clone()),
            },
            per_topic: self.consumer.dedupe.scope == Scope::Topic,
            in_flight: self.consumer.limits.in_flight as usize,
            bytes: self.bytes(),
            drain: self.root.drain.deadline.get(),
            environment: Arc::new(move |name| environment.get(name)),
        };
        subscribe(self.consumer.from.settings(), context).map_err(|failure| self.sentence(&failure))
    }

    /// Its place in the database, and who does the work; both take their connections from one pool, opened when needed.
    ///
    /// # Errors
    /// Settings that do not fit.
    pub fn place(&self) -> Result<Place, String> {
        let database = self.root.inbox_of(self.consumer);
        let environment = self.environment.clone();
        let connector = Connector::to(database, Session::consumer(self.name), move |name| {
            environment.get(name)
        });
        let pool = connector.pool(database.pool as usize);
        let pool = pool.map_err(|error| self.sentence(&error))?;
        let schema = Schema::new(&database.schema).map_err(|error| self.sentence(&error))?;
        let options = InboxOptions {
            name: self.name.to_owned(),
            schema: schema.clone(),
            retention: self.consumer.dedupe.retention.get(),
            bytes: self.bytes(),
        };
        let inbox: Arc<dyn Inbox> = Arc::new(PostgresInbox::new(pool.clone(), options));
        let processor: Arc<dyn Processor> = match &self.consumer.handler {
            HandlerConfig::Sql(sql) => {
                let function = FunctionName::parse(&sql.function);
                Arc::new(FunctionProcessor::new(
                    pool,
                    FunctionOptions {
                        consumer: self.name.to_owned(),
                        schema,
                        function: function.map_err(|error| self.sentence(&error))?,
                        batch: sql.batch as usize,
                        // The rest is for marks and claims: they must not stand behind effects.
                        concurrency: (database.pool as usize / 2).max(1),
                    },
                ))
            }
            HandlerConfig::Http(http) => self.http(http, Arc::clone(&inbox))?,
        };
        Ok(Place { inbox, processor })
    }

    fn http(&self, http: &HttpConfig, inbox: Arc<dyn Inbox>) -> Result<Arc<dyn Processor>, String> {
        let handler = HttpHandler::open(http.clone(), self.name).map_err(|failure| self.sentence(&failure))?;
        let handler: Arc<dyn Handler> = Arc::new(handler);
        Ok(Arc::new(match http.dedupe {
            Dedupe::Claim => TwoPhase::claim(handler, inbox),
            Dedupe::Verify => TwoPhase::verify(handler, inbox, &self.root.inbox_of(self.consumer).schema),
        }))
    }

    /// The broker as a publisher of dead letters, where they are wanted.
    fn dead_letters(&self) -> Result<Option<Arc<dyn Broker>>, String> {
        if self.consumer.on_reject != OnReject::DeadLetter {
            return Ok(None);
        }
        let from = &self.consumer.from;
        let environment = self.environment.clone();
        let context = OpenContext {
            name: self.name.to_owned(),
            source: format!("/twinbox/{}", self.name),
            // It goes out as it came: what the envelope said is in its headers.
            envelope: Envelope::Raw,
            in_flight: self.consumer.limits.in_flight as usize,
            bytes: self.bytes(),
            stall: STALL_DEFAULT,
            environment: Arc::new(move |name| environment.get(name)),
        };
        let settings = from.settings().without(from.consume().own);
        let broker = (from.backend().open)(&settings, context);
        broker.map(Some).map_err(|failure| self.sentence(&failure))
    }

    /// New settings for each term of a stream: its place is the stream itself.
    fn settings(
        &self,
        processor: &dyn Processor,
        broker: Option<&Arc<dyn Broker>>,
    ) -> Box<dyn Fn(&StreamName) -> Settings + Send + Sync> {
        let (consumer, capacity, bytes) = (self.consumer.clone(), processor.capacity(), self.bytes());
        let headers = broker.map(|broker| broker.rejection_headers());
        Box::new(move |stream| Settings {
            batch: capacity.batch,
            in_flight: consumer.limits.in_flight as usize,
            bytes,
            run_max: capacity.run,
            rest: RestPolicy {
                rest_first: consumer.retry.first.get(),
                rest_max: consumer.retry.max.get(),
                attempts_max: consumer.retry.attempts,
            },
            stall: None,
            on_reject: match consumer.on_reject {
                OnReject::Park => flow::OnReject::Park,
                OnReject::DeadLetter => flow::OnReject::DeadLetter,
                OnReject::Halt => flow::OnReject::Halt,
            },
            router: Router::new(own_route(stream)),
            dead_letter: headers.and_then(|headers| {
                // A check has read the templates.
                let route = consumer.dead_letter_route(&stream.topic).ok()?;
                let router = Router::new(route);
                Some(DeadLetter { router, headers })
            }),
        })
    }

    /// The longest that a call may take whose effect no fence and no inbox row keeps out: what a successor waits for after a
    /// death. An effect that commits with its inbox row needs no wait.
    fn call(&self) -> Duration {
        match &self.consumer.handler {
            HandlerConfig::Http(http) if http.dedupe == Dedupe::Claim => http.timeout.get() + AROUND_A_CALL,
            HandlerConfig::Http(_) | HandlerConfig::Sql(_) => Duration::ZERO,
        }
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.consumer.limits.bytes.bytes()).unwrap_or(usize::MAX)
    }

    fn sentence(&self, error: &dyn std::fmt::Display) -> String {
        format!("consumers.{}: {error}", self.name)
    }
}

/// Every message of a stream belongs to it, in a lane of its key.
fn own_route(stream: &StreamName) -> Route {
    let partition = stream.partition.map(|partition| partition.to_string());
    let parts = [Some(stream.topic.to_string()), partition];
    let fields = parts.iter().flatten().map(|part| Template::literal(part));
    // A constant of this build.
    let key = Template::parse("{aggregateid}", TemplateUse::Route);
    Route::new(
        fields.collect(),
        key.unwrap_or_else(|_| Template::literal("")),
        Vec::new(),
    )
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
