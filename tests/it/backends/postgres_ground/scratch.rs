//! A database of its own for one test, on the server of `TEST_POSTGRES`.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, NoTls};
use twinbox::postgres::migrate::{self, Options};
use twinbox::postgres::{Connector, Direct, Schema, Session, Target};
use twinbox::setting::TlsConfig;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A fresh database; dropped by [`Scratch::drop`], or left behind by a test that failed.
pub(super) struct Scratch {
    server: tokio_postgres::Config,
    pub(super) name: String,
}

impl Scratch {
    /// None, after one line, when there is no server; a panic under `REQUIRE_LIVE=1`.
    pub(super) async fn new(test: &str) -> Option<Self> {
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

    pub(super) async fn drop(self) {
        let sql = format!("drop database {} with (force)", self.name);
        plain(&self.server).await.batch_execute(&sql).await.expect("dropped");
    }

    /// The URL of this database for `user`; the test server trusts loopback, or takes the superuser's password.
    pub(super) fn url(&self, user: &str) -> String {
        let tokio_postgres::config::Host::Tcp(host) = &self.server.get_hosts()[0] else {
            panic!("TEST_POSTGRES names a TCP host")
        };
        let port = self.server.get_ports().first().copied().unwrap_or(5432);
        let password = self
            .server
            .get_password()
            .map(|p| format!(":{}", String::from_utf8_lossy(p)))
            .unwrap_or_default();
        format!("postgres://{user}{password}@{host}:{port}/{}", self.name)
    }

    pub(super) fn superuser(&self) -> String {
        self.url(self.server.get_user().expect("TEST_POSTGRES names a user"))
    }

    pub(super) fn connector(&self, user: &str, session: Session) -> Connector {
        let target = Target::parse(&self.url(user), &TlsConfig::default()).expect("a good URL");
        Connector::fixed(target, session)
    }

    /// A connection of the superuser, as `twinbox migrate` has it.
    pub(super) async fn owner(&self) -> Direct {
        let target = Target::parse(&self.superuser(), &TlsConfig::default()).expect("a good URL");
        Connector::fixed(target, Session::command("test"))
            .direct()
            .await
            .expect("connected")
    }

    /// The same with the tables in place.
    pub(super) async fn migrated(&self, options: &Options) -> Direct {
        let mut owner = self.owner().await;
        migrate::apply(owner.client_mut(), options).await.expect("migrated");
        owner
    }
}

pub(super) fn schema(name: &str) -> Schema {
    Schema::new(name).expect("a plain name")
}

pub(super) fn options() -> Options {
    Options::new(schema("twinbox"))
}

/// One value of one row.
pub(super) async fn value<T>(client: &Client, sql: &str) -> T
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
pub(super) async fn refused(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
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
