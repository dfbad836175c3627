//! Connections: single ones that also hear notifications, and the pool.
//!
//! Promises: the URL is resolved again at every connect, so that a changed secret needs no restart · every connection is
//! checked before it is handed out (a primary, PostgreSQL 14 or newer) · its settings are those of [`Session`], or it says
//! that a pooler stands between · no error holds a secret.
//!
//! # Why a standby is refused
//!
//! There `pg_current_snapshot()` lists no running transactions: a cursor that reads one loses rows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Notification, SimpleQueryMessage};

use super::config::DatabaseConfig;
use super::failure::{Failure, Kind};
use super::session::Session;
use super::target::{Target, TargetError, TlsMode};
use super::tls::{self, TlsError};
use crate::delivery::{self, FailureKind};

/// Oldest server that has what our statements use.
pub const SERVER_VERSION_MIN: u32 = 14;
/// An idle pool connection is closed before the server does it (`idle_session_timeout`).
pub const IDLE_PRUNE: Duration = Duration::from_secs(45);
/// A connection used this recently is taken for alive without a round trip.
const FRESH: Duration = Duration::from_secs(1);
/// How long a caller waits for a free connection of the pool.
const POOL_WAIT: Duration = Duration::from_secs(10);
/// How long a check on check-out may take.
const POOL_CHECK: Duration = Duration::from_secs(5);
/// A notification only says "look": when this many are unread, one more says nothing new and is dropped.
const NOTIFICATIONS_MAX: usize = 16;

/// The settings that tell whether the startup options arrived, and what the server is.
const GREETING: &str = "select current_setting('server_version_num'), pg_catalog.pg_is_in_recovery()::text, \
     current_setting('TimeZone') = 'UTC' and current_setting('row_security') = 'off' \
     and current_setting('idle_in_transaction_session_timeout') = '30s'";

/// Connections from a pool; statements are cached per connection (`prepare_cached`).
pub type Pool = managed::Pool<Connector>;

type Resolve = dyn Fn() -> Result<Target, ConnectError> + Send + Sync;

/// Opens connections of one session kind to one database.
#[derive(Clone)]
pub struct Connector {
    resolve: Arc<Resolve>,
    session: Session,
}

/// A connection of its own, with its driver task and what it hears on `LISTEN`.
#[derive(Debug)]
pub struct Direct {
    client: Client,
    /// Notifications, as they come; the oldest [`NOTIFICATIONS_MAX`] unread ones are kept.
    pub notifications: mpsc::Receiver<Notification>,
    mode: TlsMode,
    pooled: bool,
    driver: JoinHandle<()>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The URL is unusable.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The secret behind the URL cannot be read now.
    #[error("the database URL cannot be resolved: {0}")]
    Secret(String),
    /// TLS files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server refused, or nobody answered.
    #[error("{place}: {failure}")]
    Failed {
        /// `user@host:port/database`.
        place: String,
        /// What it said.
        failure: Failure,
    },
    /// No answer in time.
    #[error("{place}: no answer within {} s: check host, port and firewall", patience.as_secs())]
    Silent {
        /// `user@host:port/database`.
        place: String,
        /// How long we waited.
        patience: Duration,
    },
    /// A standby.
    #[error("{place} is a standby, where rows would be lost: the URL must name the primary")]
    Standby {
        /// `user@host:port/database`.
        place: String,
    },
    /// Too old.
    #[error("{place} runs PostgreSQL {version}: {SERVER_VERSION_MIN} or newer is needed")]
    TooOld {
        /// `user@host:port/database`.
        place: String,
        /// Major version.
        version: u32,
    },
}

struct Greeting {
    version: u32,
    standby: bool,
    settled: bool,
}

// === impl ConnectError ===

impl ConnectError {
    /// The same in the words of the floors above.
    #[must_use]
    pub fn told(&self) -> delivery::Failure {
        match self {
            Self::Failed { failure, .. } => delivery::Failure {
                message: self.to_string(),
                ..failure.told()
            },
            Self::Silent { .. } => delivery::Failure::new(FailureKind::Unreachable, "timeout", self.to_string()),
            Self::Standby { .. } => delivery::Failure::new(FailureKind::Transient, "standby", self.to_string()),
            _ => delivery::Failure::new(FailureKind::Destination, "configuration", self.to_string()),
        }
    }

    /// What it means for whoever asked. A standby may be a failover in progress.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Target(_) | Self::Secret(_) | Self::Tls(_) | Self::TooOld { .. } => Kind::Configuration,
            Self::Failed { failure, .. } => failure.kind,
            Self::Silent { .. } | Self::Standby { .. } => Kind::Transient,
        }
    }
}

// === impl Connector ===

impl Connector {
    /// `resolve` is called at every connect.
    pub fn new(resolve: impl Fn() -> Result<Target, ConnectError> + Send + Sync + 'static, session: Session) -> Self {
        Self {
            resolve: Arc::new(resolve),
            session,
        }
    }

    /// To the configured database; secret and files are read again at every connect. `env` is the environment.
    pub fn to(
        database: &DatabaseConfig,
        session: Session,
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let (url, tls) = (database.url.clone(), database.tls.clone());
        let resolve = move || {
            let url = url
                .resolve(&env)
                .map_err(|error| ConnectError::Secret(error.to_string()))?;
            Ok(Target::parse(url.expose(), &tls)?)
        };
        Self::new(resolve, session)
    }

    /// Always the same target: tests and one-off commands.
    #[must_use]
    pub fn fixed(target: Target, session: Session) -> Self {
        Self::new(move || Ok(target.clone()), session)
    }

    /// One connection of its own.
    ///
    /// # Errors
    /// Everything of [`ConnectError`].
    pub async fn direct(&self) -> Result<Direct, ConnectError> {
        let target = (self.resolve)()?;
        let patience = target.patience();
        let silent = || ConnectError::Silent {
            place: target.to_string(),
            patience,
        };
        tokio::time::timeout(patience, self.open(&target))
            .await
            .map_err(|_| silent())?
    }

    /// A pool of at most `size` connections; opens none yet.
    ///
    /// # Errors
    /// None in practice: a pool with time-outs lacks only a runtime, and that is set here.
    pub fn pool(&self, size: usize) -> Result<Pool, managed::BuildError> {
        Pool::builder(self.clone())
            .max_size(size)
            .runtime(deadpool::Runtime::Tokio1)
            .wait_timeout(Some(POOL_WAIT))
            .recycle_timeout(Some(POOL_CHECK))
            .build()
    }

    async fn open(&self, target: &Target) -> Result<Direct, ConnectError> {
        let failed = |failure: Failure| ConnectError::Failed {
            place: target.to_string(),
            failure,
        };
        let mut direct = match dial(target, &target.with(&self.session)).await? {
            Ok(direct) => direct,
            // A pooler that refuses settings in the startup packet, or a server that does not know one of them; the
            // greeting tells which.
            Err(failure) if refuses_options(&failure) => dial(target, &target.without_options(&self.session))
                .await?
                .map_err(failed)?,
            Err(failure) => return Err(failed(failure)),
        };
        let greeting = greet(&direct.client).await.map_err(failed)?;
        if greeting.version < SERVER_VERSION_MIN {
            return Err(ConnectError::TooOld {
                place: target.to_string(),
                version: greeting.version,
            });
        }
        if greeting.standby {
            return Err(ConnectError::Standby {
                place: target.to_string(),
            });
        }
        direct.pooled = !greeting.settled;
        Ok(direct)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl managed::Manager for Connector {
    type Type = ClientWrapper;
    type Error = ConnectError;

    async fn create(&self) -> Result<ClientWrapper, ConnectError> {
        let Direct { client, driver, .. } = self.direct().await?;
        Ok(ClientWrapper::new(client, driver))
    }

    async fn recycle(&self, client: &mut ClientWrapper, metrics: &Metrics) -> RecycleResult<ConnectError> {
        if client.is_closed() {
            return Err(RecycleError::message("the connection is closed"));
        }
        match metrics.last_used() {
            idle if idle > IDLE_PRUNE => Err(RecycleError::message("the connection was idle for long")),
            idle if idle > FRESH => match client.simple_query("").await {
                Ok(_) => Ok(()),
                Err(error) => Err(RecycleError::message(Failure::of(&error).to_string())),
            },
            _ => Ok(()),
        }
    }
}

// === impl Direct ===

impl Direct {
    /// The driver's client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same, for transactions.
    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    /// How far the server was verified.
    #[must_use]
    pub fn mode(&self) -> TlsMode {
        self.mode
    }

    /// Whether a transaction pooler stands between: then `LISTEN`, session locks and session settings do not hold.
    #[must_use]
    pub fn pooled(&self) -> bool {
        self.pooled
    }

    /// Says goodbye and waits until the server has let go: its session locks are free afterwards.
    pub async fn close(self) {
        drop(self.client);
        // The task ends by itself once its client is gone; if it was cancelled, the connection is closed too.
        let _ = self.driver.await;
    }
}

/// Outer error: TLS files. Inner: what the server said.
#[expect(
    clippy::disallowed_methods,
    reason = "the driver's task ends with its client; Direct::close and the pool's wrapper own it"
)]
async fn dial(target: &Target, config: &tokio_postgres::Config) -> Result<Result<Direct, Failure>, ConnectError> {
    let tls = tls::connector(target.mode(), target.files())?;
    let (client, mut connection) = match config.connect(tls).await {
        Ok(both) => both,
        Err(error) => return Ok(Err(Failure::of(&error))),
    };
    let (heard, notifications) = mpsc::channel(NOTIFICATIONS_MAX);
    let driver = tokio::spawn(async move {
        let mut messages = poll_fn(move |context| connection.poll_message(context));
        while let Some(message) = messages.next().await {
            match message {
                Ok(AsyncMessage::Notification(notification)) => drop(heard.try_send(notification)),
                Ok(AsyncMessage::Notice(notice)) => tracing::debug!(notice = notice.message(), "server notice"),
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(error = %Failure::of(&error), "database connection ended");
                    return;
                }
            }
        }
    });
    Ok(Ok(Direct {
        client,
        notifications,
        mode: target.mode(),
        pooled: false,
        driver,
    }))
}

/// 08P01 is how poolers refuse startup parameters; 42704 is how a server refuses an unknown one.
fn refuses_options(failure: &Failure) -> bool {
    failure.is(&SqlState::PROTOCOL_VIOLATION) || failure.is(&SqlState::UNDEFINED_OBJECT)
}

async fn greet(client: &Client) -> Result<Greeting, Failure> {
    let answer = client.simple_query(GREETING).await?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |at: usize| row.and_then(|row| row.get(at)).unwrap_or_default();
    Ok(Greeting {
        version: text(0).parse::<u32>().unwrap_or_default() / 10_000,
        standby: text(1) == "true",
        settled: text(2) == "t",
    })
}
