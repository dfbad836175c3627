//! A database of its own for one test, on the server of `TEST_POSTGRES`.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, NoTls};
use twinbox::postgres::migrate::{self, Options};
use twinbox::postgres::{Connector, Direct, Schema, Session, Target};
use twinbox::setting::TlsConfig;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A fresh database; dropped by [`Scratch::drop`], or left behind by a test that failed.
pub(crate) struct Scratch {
    server: tokio_postgres::Config,
    pub(crate) name: String,
}

impl Scratch {
    /// None, after one line, when there is no server; a panic under `REQUIRE_LIVE=1`.
    pub(crate) async fn new(test: &str) -> Option<Self> {
        let Some(url) = env::var("TEST_POSTGRES").ok().filter(|url| !url.is_empty()) else {
            assert_ne!(
                env::var("REQUIRE_LIVE").as_deref(),
                Ok("1"),
                "{test}: TEST_POSTGRES is not set"
            );
            println!("{test}: skipped, TEST_POSTGRES is not set");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ground_{}_{number}", std::process::id());
        let server: tokio_postgres::Config = url.parse().expect("TEST_POSTGRES is a URL");
        let scratch = Self { server, name };
        plain(&scratch.server)
            .await
            .batch_execute(&format!("create database {}", scratch.name))
            .await
            .expect("created");
        Some(scratch)
    }

    pub(crate) async fn drop(self) {
        let sql = format!("drop database {} with (force)", self.name);
        plain(&self.server).await.batch_execute(&sql).await.expect("dropped");
    }

    /// The URL of this database for `user`; the test server trusts loopback, or takes the superuser's password.
    pub(crate) fn url(&self, user: &str) -> String {
        self.url_at(user, &self.address())
    }

    /// The superuser's URL through another port of this machine, in plaintext.
    pub(crate) fn through(&self, port: u16) -> String {
        let user = self.server.get_user().expect("TEST_POSTGRES names a user");
        self.url_at(user, &format!("127.0.0.1:{port}")) + "?sslmode=disable"
    }

    /// `host:port` of the server.
    pub(crate) fn address(&self) -> String {
        let tokio_postgres::config::Host::Tcp(host) = &self.server.get_hosts()[0] else {
            panic!("TEST_POSTGRES names a TCP host")
        };
        format!("{host}:{}", self.server.get_ports().first().copied().unwrap_or(5432))
    }

    fn url_at(&self, user: &str, address: &str) -> String {
        let password = self.server.get_password();
        let password = password
            .map(|password| format!(":{}", String::from_utf8_lossy(password)))
            .unwrap_or_default();
        format!("postgres://{user}{password}@{address}/{}", self.name)
    }

    pub(crate) fn superuser(&self) -> String {
        self.url(self.server.get_user().expect("TEST_POSTGRES names a user"))
    }

    pub(crate) fn connector(&self, user: &str, session: Session) -> Connector {
        let target = Target::parse(&self.url(user), &TlsConfig::default()).expect("a good URL");
        Connector::fixed(target, session)
    }

    /// A connection of the superuser, as `twinbox migrate` has it.
    pub(crate) async fn owner(&self) -> Direct {
        let target = Target::parse(&self.superuser(), &TlsConfig::default()).expect("a good URL");
        Connector::fixed(target, Session::command("test"))
            .direct()
            .await
            .expect("connected")
    }

    /// The same with the tables in place.
    pub(crate) async fn migrated(&self, options: &Options) -> Direct {
        let mut owner = self.owner().await;
        migrate::apply(owner.client_mut(), options).await.expect("migrated");
        owner
    }
}

pub(crate) fn schema(name: &str) -> Schema {
    Schema::new(name).expect("a plain name")
}

pub(crate) fn options() -> Options {
    Options::new(schema("twinbox"))
}

/// One value of one row.
pub(crate) async fn value<T>(client: &Client, sql: &str) -> T
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    client
        .query_one(sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .get(0)
}

/// SQLSTATE of a statement that must fail.
pub(crate) async fn refused(client: &Client, sql: &str) -> String {
    let Err(error) = client.batch_execute(sql).await else {
        panic!("it was not refused: {sql}")
    };
    error
        .code()
        .unwrap_or_else(|| panic!("{sql}: {error:?}"))
        .code()
        .to_owned()
}

async fn plain(config: &tokio_postgres::Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("the test server answers");
    tokio::spawn(connection);
    client
}
