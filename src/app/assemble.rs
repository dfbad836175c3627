//! From a configuration to engines: the one place where adapters meet the engine.
//!
//! Promises: does no I/O; a configuration that cannot keep what it `require`s is refused with the reason.

use std::sync::Arc;

use super::export::Exports;
use crate::broker::{Envelope, OpenContext, STALL_DEFAULT};
use crate::config::{self, Environment, OnReject, RelayConfig, Require, Retention, Root, SourceConfig, Wake};
use crate::contract::Broker;
use crate::delivery::guarantee::Guarantee;
use crate::delivery::{RestPolicy, Router};
use crate::flow::{self, DeadLetter, Settings};
use crate::postgres::{Connector, PostgresOutbox, RelayOptions, Schema, Session, Start};
use crate::relay::{Engine, Pulses};
use crate::telemetry::{Meters, Spans};

/// One relay of a configuration, and where its secrets are looked up.
#[derive(Debug, Clone, Copy)]
pub struct Configured<'a> {
    /// Its name.
    pub name: &'a str,
    /// The whole configuration.
    pub root: &'a Root,
    /// Its section.
    pub relay: &'a RelayConfig,
    /// Where secrets are looked up, at each connect.
    pub environment: &'a Environment,
}

/// The engines of these relays.
///
/// # Errors
/// A sentence, when the configuration cannot be used.
pub fn engines(
    root: &Root,
    relays: &[(&str, &RelayConfig)],
    with: (&Environment, &Exports),
) -> Result<Vec<Engine>, String> {
    let (environment, exports) = with;
    let engines = relays.iter().map(|(name, relay)| {
        let configured = Configured {
            name,
            root,
            relay,
            environment,
        };
        let system = relay.to.backend().config.name;
        let meters = Meters::new(&exports.meter(), name, system);
        let spans = Spans::new(exports.tracer(), name, system);
        let engine = configured.engine(configured.broker()?, meters)?;
        Ok(Engine { spans, ..engine })
    });
    engines.collect()
}

// === impl Configured ===

impl Configured<'_> {
    /// Its broker, not yet connected.
    ///
    /// # Errors
    /// Settings that do not fit.
    pub fn broker(&self) -> Result<Arc<dyn Broker>, String> {
        let backend = self.relay.to.backend();
        let environment = self.environment.clone();
        let context = OpenContext {
            name: self.name.to_owned(),
            source: self.relay.source_or_default(self.name).into_owned(),
            envelope: match self.relay.envelope {
                config::Envelope::Cloudevents => Envelope::CloudEvents,
                config::Envelope::Debezium => Envelope::Debezium,
                config::Envelope::Raw => Envelope::Raw,
            },
            in_flight: self.relay.limits.in_flight as usize,
            bytes: self.bytes(),
            stall: STALL_DEFAULT,
            environment: Arc::new(move |name| environment.get(name)),
        };
        (backend.open)(self.relay.to.settings(), context).map_err(|failure| self.sentence(&failure))
    }

    /// An engine in front of that broker, without spans.
    ///
    /// # Errors
    /// A sentence, when the configuration cannot be used or does not keep what it requires.
    pub fn engine(&self, broker: Arc<dyn Broker>, meters: Meters) -> Result<Engine, String> {
        let kept = refuse_unkept(&self.relay.require, &self.guarantees());
        kept.map_err(|sentence| format!("relays.{}.{sentence}", self.name))?;
        Ok(Engine {
            name: self.name.to_owned(),
            outbox: Arc::new(self.outbox()?),
            settings: self.settings(&broker)?,
            broker,
            lease: self.relay.lease.get(),
            meters,
            spans: Spans::silent(),
            pulses: Pulses::default(),
        })
    }

    /// What holds for it.
    #[must_use]
    pub fn guarantees(&self) -> [Guarantee; 4] {
        let database = self.root.database_of(self.relay);
        self.relay.guarantees(database, &|name| self.environment.get(name))
    }

    fn outbox(&self) -> Result<PostgresOutbox, String> {
        let database = self.root.database_of(self.relay);
        let environment = self.environment.clone();
        let connector = Connector::to(database, Session::relay(self.name), move |name| environment.get(name));
        let pool = connector
            .pool(database.pool as usize)
            .map_err(|error| self.sentence(&error))?;
        let SourceConfig::Cursor(cursor) = &self.relay.from;
        let options = RelayOptions {
            name: self.name.to_owned(),
            schema: Schema::new(&database.schema).map_err(|error| self.sentence(&error))?,
            start: match cursor.start {
                config::Start::Earliest => Start::Earliest,
                config::Start::Latest => Start::Latest,
            },
            wake: cursor.wake == Wake::Auto,
            lease: self.relay.lease.get(),
            bytes: self.bytes(),
            retention: match self.relay.retention {
                Retention::For(duration) | Retention::Partitions(duration) => Some(duration.get()),
                Retention::Keep => None,
            },
            partitions: matches!(self.relay.retention, Retention::Partitions(_)),
            route: Some(self.relay.route().map_err(|error| self.sentence(&error))?.to_string()),
        };
        Ok(PostgresOutbox::new(connector, pool, options))
    }

    /// New settings for each term: a router remembers destinations, and a term begins without memory.
    fn settings(&self, broker: &Arc<dyn Broker>) -> Result<Box<dyn Fn() -> Settings + Send + Sync>, String> {
        let route = self.relay.route().map_err(|error| self.sentence(&error))?;
        let dead_letter = self.relay.dead_letter_route().map_err(|error| self.sentence(&error))?;
        let (limits, retry, on_reject) = (
            self.relay.limits.clone(),
            self.relay.retry.clone(),
            self.relay.on_reject,
        );
        let (run_max, headers, bytes) = (broker.capabilities().run_max, broker.rejection_headers(), self.bytes());
        Ok(Box::new(move || Settings {
            batch: limits.batch as usize,
            in_flight: limits.in_flight as usize,
            bytes,
            run_max,
            rest: RestPolicy {
                rest_first: retry.first.get(),
                rest_max: retry.max.get(),
                attempts_max: retry.attempts,
            },
            stall: Some(STALL_DEFAULT),
            on_reject: match on_reject {
                OnReject::Park => flow::OnReject::Park,
                OnReject::DeadLetter => flow::OnReject::DeadLetter,
                OnReject::Halt => flow::OnReject::Halt,
            },
            router: Router::new(route.clone()),
            dead_letter: Some(DeadLetter {
                router: Router::new(dead_letter.clone()),
                headers,
            }),
        }))
    }

    fn bytes(&self) -> usize {
        usize::try_from(self.relay.limits.bytes.bytes()).unwrap_or(usize::MAX)
    }

    fn sentence(&self, error: &dyn std::fmt::Display) -> String {
        format!("relays.{}: {error}", self.name)
    }
}

/// What is required and does not hold.
pub(super) fn refuse_unkept(required: &[Require], guarantees: &[Guarantee]) -> Result<(), String> {
    let wanted = |guarantee: &&Guarantee| required.iter().any(|required| required.level() == guarantee.level);
    let unkept = guarantees.iter().filter(wanted).find(|guarantee| !guarantee.holds);
    match unkept {
        None => Ok(()),
        Some(Guarantee { level, reason, .. }) => Err(format!("require: {} does not hold: {reason}", level.as_str())),
    }
}
