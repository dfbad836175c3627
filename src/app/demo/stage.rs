//! The demo's servers: a database of its own and a mock cluster, both gone afterwards.
//!
//! Promises: with `DATABASE_URL` only a database of a new name is made there, and dropped at the end.

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tokio_postgres::{Client, NoTls};

use super::postgres::{Server, ServerError};
use crate::app::desk::PostgresDesk;
use crate::config::Environment;
use crate::postgres::migrate::{self, MigrateError};
use crate::postgres::{ConnectError, Connector, Schema, Session, Target, TargetError};

/// Partitions of the demo's topic.
pub(super) const PARTITIONS: i32 = 4;
/// Where the demo's events go.
pub(super) const TOPIC: &str = "order.events";
/// Brokers of the mock cluster.
const BROKERS: i32 = 1;

/// Why the demo could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No PostgreSQL.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The database refused.
    #[error("the demo's database: {0}")]
    Database(#[from] tokio_postgres::Error),
    /// The URL in `DATABASE_URL` is unusable, or nobody answers there.
    #[error("the demo's database: {0}")]
    Connect(#[from] ConnectError),
    /// The URL cannot be read.
    #[error("DATABASE_URL: {0}")]
    Target(#[from] TargetError),
    /// The tables could not be made.
    #[error("the demo's tables: {0}")]
    Migrate(#[from] MigrateError),
    /// The mock cluster or the reader could not begin.
    #[error("the demo's broker: {0}")]
    Broker(#[from] KafkaError),
    /// A file could not be written.
    #[error("the demo's files: {0}")]
    File(#[from] std::io::Error),
    /// Something that should have happened did not.
    #[error("the demo waited in vain: {0}")]
    Waited(String),
    /// The letters could not be released.
    #[error("the demo's letters: {0}")]
    Desk(String),
    /// The relay could not be put together, or ended.
    #[error("the demo's relay: {0}")]
    Relay(String),
}

/// The servers.
pub(super) struct Stage {
    pub(super) url: String,
    pub(super) cluster: MockCluster<'static, DefaultProducerContext>,
    server: Option<Server>,
    /// Another one's server, and the database that we made there.
    borrowed: Option<(String, String)>,
}

// === impl Stage ===

impl Stage {
    /// Starts both servers and makes the tables.
    pub(super) async fn start(environment: &Environment, keep: bool) -> Result<Self, DemoError> {
        let cluster = MockCluster::new(BROKERS)?;
        cluster.create_topic(TOPIC, PARTITIONS, 1)?;
        let mut stage = match environment.get("DATABASE_URL") {
            Some(url) => Self::borrow(cluster, &url).await?,
            None => {
                let server = Server::start(&|name| environment.get(name), keep)?;
                Self {
                    url: server.url.clone(),
                    cluster,
                    server: Some(server),
                    borrowed: None,
                }
            }
        };
        if keep {
            stage.borrowed = None;
        }
        stage.migrate().await?;
        Ok(stage)
    }

    async fn borrow(cluster: MockCluster<'static, DefaultProducerContext>, url: &str) -> Result<Self, DemoError> {
        let name = format!("twinbox_demo_{}", uuid::Uuid::new_v4().simple());
        connect(url)
            .await?
            .batch_execute(&format!("create database {name}"))
            .await?;
        let (base, parameters) = url
            .split_once('?')
            .map_or((url, ""), |(base, parameters)| (base, parameters));
        let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
        let own = format!("{server}/{name}?{parameters}");
        Ok(Self {
            url: own,
            cluster,
            server: None,
            borrowed: Some((url.to_owned(), name)),
        })
    }

    async fn migrate(&self) -> Result<(), DemoError> {
        let mut direct = self.connector()?.direct().await?;
        migrate::apply(direct.client_mut(), &migrate::Options::new(schema()?)).await?;
        Ok(())
    }

    /// Where `twinbox letters` would sit.
    pub(super) fn desk(&self) -> Result<PostgresDesk, DemoError> {
        PostgresDesk::new(&self.connector()?, schema()?).map_err(DemoError::Desk)
    }

    fn connector(&self) -> Result<Connector, DemoError> {
        let target = Target::parse(&self.url, &crate::setting::TlsConfig::default())?;
        Ok(Connector::fixed(target, Session::command("demo")))
    }

    /// A connection as an application would have it.
    pub(super) async fn client(&self) -> Result<Client, DemoError> {
        connect(&self.url).await
    }

    pub(super) fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Takes the broker away, or gives it back.
    pub(super) fn cut(&self, away: bool) -> Result<(), KafkaError> {
        (1..=BROKERS).try_for_each(|broker| {
            if away {
                self.cluster.broker_down(broker)
            } else {
                self.cluster.broker_up(broker)
            }
        })
    }

    /// Says where the database is, for whoever keeps it.
    pub(super) fn kept(&self) -> String {
        format!("the database is kept: {}", self.url)
    }

    /// Drops what was made on somebody else's server; our own server stops when it is dropped.
    pub(super) async fn end(self) -> Result<(), DemoError> {
        if let Some((url, name)) = &self.borrowed {
            connect(url)
                .await?
                .batch_execute(&format!("drop database {name} with (force)"))
                .await?;
        }
        drop(self.server);
        Ok(())
    }
}

fn schema() -> Result<Schema, DemoError> {
    Schema::new("twinbox").map_err(|error| DemoError::Relay(error.to_string()))
}

async fn connect(url: &str) -> Result<Client, DemoError> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    crate::app::supervise::spawn("the demo's connection", async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of the demo ended");
        }
    });
    Ok(client)
}
