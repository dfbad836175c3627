//! A database with an inbox alone, and a consumer that has only its role's rights.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_postgres::Client;
use twinbox::contract::{Inbox, StreamName};
use twinbox::delivery::LaneName;
use twinbox::postgres::desk::{Desk, Lanes, Order, Selection};
use twinbox::postgres::migrate::{self, Options, Part};
use twinbox::postgres::{Connector, InboxOptions, PostgresInbox, Schema, Session, Target};
use twinbox::setting::TlsConfig;

use crate::conformance::inbox::Cellar;
use crate::support::live;
use crate::support::postgres::{Database, Login, connect};

pub(super) const CONSUMER: &str = "billing";
static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(super) struct Rig {
    database: Database,
    inbox: PostgresInbox,
    pub(super) owner: Client,
}

impl Rig {
    /// None without a server.
    pub(super) async fn new(test: &str) -> Option<Self> {
        let url = live::postgres(test)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("inbox_{}_{number}", std::process::id());
        let database = Database::create(&url, &name).await;
        let mut owner = database.owner().await;
        let options = Options {
            only: Some(Part::Inbox),
            roles: true,
            ..Options::new(schema())
        };
        migrate::apply(&mut owner, &options).await.expect("migrated");
        database.make_logins().await;
        let inbox = inbox(&database);
        Some(Self { database, inbox, owner })
    }

    /// Another process of the same consumer.
    pub(super) fn also(&self) -> PostgresInbox {
        inbox(&self.database)
    }

    /// Another session of the superuser.
    pub(super) async fn also_owner(&self) -> Client {
        self.database.owner().await
    }

    pub(super) async fn run(&self, sql: &str) {
        let done = self.owner.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    pub(super) async fn operator(&self) -> Client {
        connect(&self.database.login_url(Login::Operator))
            .await
            .expect("connected")
    }

    /// Runs with open letters in which this lane is, alone.
    async fn lanes_of(&self, lane: &LaneName) -> Vec<Lanes> {
        let all = Desk::new(schema())
            .lanes(&self.operator().await, &Selection::default())
            .await;
        let mut runs = all.expect("listed");
        for run in &mut runs {
            run.lanes.retain(|own| own == lane.as_str());
        }
        runs.retain(|run| !run.lanes.is_empty());
        runs
    }

    async fn letters(&self, lane: &LaneName, closed: Option<&str>) -> i64 {
        let sql = "select count(*) from twinbox.letter where lane = $1 and closed is not distinct from $2";
        let row = self.owner.query_one(sql, &[&lane.as_str(), &closed]).await;
        row.expect("counted").get(0)
    }

    pub(super) async fn end(self) {
        drop(self.inbox);
        self.database.drop_it().await;
    }
}

pub(super) fn schema() -> Schema {
    Schema::new("twinbox").expect("a plain name")
}

fn inbox(database: &Database) -> PostgresInbox {
    let target = Target::parse(&database.login_url(Login::Consumer), &TlsConfig::default()).expect("a good URL");
    let pool = Connector::fixed(target, Session::consumer(CONSUMER))
        .pool(4)
        .expect("a pool");
    let options = InboxOptions {
        name: CONSUMER.to_owned(),
        schema: schema(),
        retention: Duration::from_secs(3600),
        bytes: 1 << 20,
    };
    PostgresInbox::new(pool, options)
}

impl Cellar for Rig {
    fn inbox(&self) -> &dyn Inbox {
        &self.inbox
    }

    async fn age(&self) {
        self.run("update twinbox.inbox_generation set started_at = started_at - interval '2 hours'")
            .await;
    }

    async fn forget(&self, stream: &StreamName, count: i64) {
        let sql = "update twinbox.consumer_position set counter = counter - $1 where topic = $2 and partition = $3";
        let partition = stream.partition.unwrap_or(-1);
        let done = self.owner.execute(sql, &[&count, &&*stream.topic, &partition]).await;
        assert_eq!(done.expect("gone back"), 1);
    }

    async fn release(&self, lane: &LaneName) {
        let (desk, mut client) = (Desk::new(schema()), self.operator().await);
        for run in self.lanes_of(lane).await {
            let released = desk.release(&mut client, &run, &Order::default()).await;
            released.expect("released");
        }
    }

    async fn discard(&self, lane: &LaneName) {
        let (desk, mut client) = (Desk::new(schema()), self.operator().await);
        for run in self.lanes_of(lane).await {
            let what = (&Selection::default(), &Order::default());
            desk.discard(&mut client, &run, what).await.expect("discarded");
        }
    }

    async fn open_letters(&self, lane: &LaneName) -> i64 {
        self.letters(lane, None).await
    }

    async fn dead_letters(&self, lane: &LaneName) -> i64 {
        self.letters(lane, Some("dead")).await
    }
}
