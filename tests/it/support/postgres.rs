//! A database of its own for each test, and the logins that twinbox and the writers use in it.
//!
//! Promises: nothing here but [`Database::owner`] acts as a superuser; relays and writers get members of the
//! least-privilege roles.

use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// Everybody's password: the roles can be reached from loopback only.
const PASSWORD: &str = "it";

/// How long a connection attempt may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Serialises the making of logins; roles belong to the whole cluster. (Any number; "twin" on a telephone.)
const LOGINS_LOCK: i64 = 8946;

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// Runs `twinbox relay`: member of `twinbox_relay`.
    Relay,
    /// Writes outbox rows: member of `twinbox_app`.
    App,
    /// Runs `twinbox consume`: member of `twinbox_consumer`.
    Consumer,
    /// Runs the operator's verbs: member of `twinbox_operator`.
    Operator,
}

impl Login {
    pub(crate) const ALL: [Self; 4] = [Self::Relay, Self::App, Self::Consumer, Self::Operator];

    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Relay => "it_relay",
            Self::App => "it_app",
            Self::Consumer => "it_consumer",
            Self::Operator => "it_operator",
        }
    }

    /// The group role that `twinbox migrate --roles` makes.
    #[must_use]
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Relay => "twinbox_relay",
            Self::App => "twinbox_app",
            Self::Consumer => "twinbox_consumer",
            Self::Operator => "twinbox_operator",
        }
    }
}

/// One test's database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub name: String,
    server: tokio_postgres::Config,
}

impl Database {
    /// Makes `name` on the server of `url`.
    pub(crate) async fn create(url: &str, name: &str) -> Self {
        let server: tokio_postgres::Config = url.parse().expect("TEST_POSTGRES is a connection URL");
        let client = open(&server).await.expect("the test server answers");
        client
            .batch_execute(&format!("create database \"{name}\""))
            .await
            .expect("a fresh database");
        Self {
            name: name.to_owned(),
            server,
        }
    }

    /// Drops the partitions that `migrate` made ahead, for tests that make their own.
    pub(crate) async fn drop_partitions(&self) {
        let sql = "do $$ declare p text; begin
            for p in select o.partition from twinbox.outbox_partition o where o.lower is not null loop
              execute format('drop table twinbox.%I', p);
            end loop; end $$";
        self.owner().await.batch_execute(sql).await.expect("dropped");
    }

    /// The superuser's URL, for `migrate` and for looking inside.
    #[must_use]
    pub(crate) fn owner_url(&self) -> String {
        let user = self.server.get_user().unwrap_or("postgres");
        let password = self.server.get_password().map(String::from_utf8_lossy);
        self.url(user, password.as_deref().unwrap_or(PASSWORD))
    }

    /// The URL of one of the least-privilege logins.
    #[must_use]
    pub(crate) fn login_url(&self, login: Login) -> String {
        self.url(login.name(), PASSWORD)
    }

    /// The same server, any user.
    #[must_use]
    pub(crate) fn url(&self, user: &str, password: &str) -> String {
        self.url_at(self.port(), &format!("{user}:{password}"))
    }

    /// The same database through another port (a proxy's), as `user:password`.
    #[must_use]
    pub(crate) fn url_at(&self, port: u16, who: &str) -> String {
        format!("postgres://{who}@127.0.0.1:{port}/{}", self.name)
    }

    /// Where the server listens.
    #[must_use]
    pub(crate) fn port(&self) -> u16 {
        self.server.get_ports().first().copied().unwrap_or(5432)
    }

    /// A superuser's connection to this database.
    pub(crate) async fn owner(&self) -> Client {
        connect(&self.owner_url()).await.expect("the test server answers")
    }

    /// Makes the logins and puts them into the roles; `twinbox migrate --roles` must have run.
    pub(crate) async fn make_logins(&self) {
        let client = open(&self.server).await.expect("the test server answers");
        let mut script = format!("begin; select pg_advisory_xact_lock({LOGINS_LOCK});");
        for login in Login::ALL {
            let (name, role) = (login.name(), login.role());
            let one = format!(
                "do $$ begin if not exists (select from pg_roles where rolname = '{name}') then \
                   create role {name} login password '{PASSWORD}'; end if; \
                 if not pg_has_role('{name}', '{role}', 'member') then grant {role} to {name}; end if; end $$;"
            );
            script.push_str(&one);
        }
        script.push_str("commit");
        client
            .batch_execute(&script)
            .await
            .expect("the roles exist, `twinbox migrate --roles` made them");
    }

    /// Ends every connection of `login` to this database; how many there were.
    pub(crate) async fn terminate(&self, login: Login) -> i64 {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1 and usename = $2";
        let row = self.owner().await.query_one(sql, &[&self.name, &login.name()]).await;
        row.expect("a superuser may").get(0)
    }

    /// Drops it, also under connections. A server that is gone is no failure: the test is over.
    pub(crate) async fn drop_it(&self) {
        if let Ok(client) = open(&self.server).await {
            let _ = client
                .batch_execute(&format!("drop database if exists \"{}\" with (force)", self.name))
                .await;
        }
    }
}

/// Connects and runs the connection in the background until the client is dropped.
///
/// # Errors
/// What tokio-postgres says, or a time-out.
pub(crate) async fn connect(url: &str) -> Result<Client, String> {
    open(&url.parse().map_err(|error| format!("{url}: {error}"))?).await
}

async fn open(config: &tokio_postgres::Config) -> Result<Client, String> {
    let attempt = tokio::time::timeout(CONNECT_WITHIN, config.connect(NoTls)).await;
    let connected = attempt.map_err(|_| format!("no connection within {CONNECT_WITHIN:?}"))?;
    let (client, connection) = connected.map_err(|error| format!("{error:?}"))?;
    tokio::spawn(async move {
        // Its end reaches the client as an error of the next statement.
        let _ = connection.await;
    });
    Ok(client)
}
