//! A database with our tables, a relay that has only its role's rights, and applications that have only theirs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_postgres::Client;
use twinbox::contract::{Lease, Outbox};
use twinbox::postgres::desk::{Desk, Lanes, Order, Selection};
use twinbox::postgres::migrate::{self, Options, Payload};
use twinbox::postgres::{Connector, Pool, PostgresOutbox, RelayOptions, Schema, Session, Start, Target};
use twinbox::setting::TlsConfig;

use crate::conformance::place::{Place, Transaction};
use crate::support::live;
use crate::support::postgres::{Database, Login, connect};

/// Short, so that waiting for its end costs little; long enough for a busy machine.
pub(super) const LEASE: Duration = Duration::from_secs(5);
pub(super) const RELAY: &str = "orders";
const BYTES_MAX: usize = 1 << 20;
static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(super) struct Rig {
    pub(super) database: Database,
    pub(super) options: RelayOptions,
    pub(super) outbox: PostgresOutbox,
    pool: Pool,
    pub(super) owner: Client,
}

impl Rig {
    /// None without a server.
    pub(super) async fn new(test: &str) -> Option<Self> {
        Self::with(test, |_| {}).await
    }

    pub(super) async fn with(test: &str, change: impl FnOnce(&mut Options)) -> Option<Self> {
        let url = live::postgres(test)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cursor_{}_{number}", std::process::id());
        let database = Database::create(&url, &name).await;
        let mut owner = database.owner().await;
        let mut options = Options::new(schema());
        options.roles = true;
        change(&mut options);
        migrate::apply(&mut owner, &options).await.expect("migrated");
        database.make_logins().await;
        if options.partitions {
            database.drop_partitions().await;
        }
        let options = RelayOptions {
            name: RELAY.to_owned(),
            schema: schema(),
            start: Start::Earliest,
            wake: true,
            lease: LEASE,
            bytes: BYTES_MAX,
            retention: None,
            partitions: false,
            route: None,
        };
        let (outbox, pool) = outbox(&database, options.clone());
        Some(Self {
            database,
            options,
            outbox,
            pool,
            owner,
        })
    }

    /// An outbox of partitions, a second each for the next half minute; then the default one.
    pub(super) async fn partitioned(test: &str) -> Option<Self> {
        let rig = Self::with(test, |options| options.partitions = true).await?;
        for second in 0..30 {
            rig.partition(second, second + 1).await;
        }
        Some(rig)
    }

    /// Makes the partition of these seconds, counted from now; its name.
    pub(super) async fn partition(&self, from: i32, to: i32) -> String {
        let bounds = format!(
            "select to_char(now() + interval '{from} s', '\"outbox_\"YYYYMMDD\"t\"HH24MISS'), \
             date_trunc('second', now() + interval '{from} s')::text, date_trunc('second', now() + interval '{to} s')::text"
        );
        let row = self.owner.query_one(&bounds, &[]).await.expect("bounds");
        let [name, lower, upper]: [String; 3] = [row.get(0), row.get(1), row.get(2)];
        self.run(&format!(
            "create table twinbox.{name} partition of twinbox.outbox for values from ('{lower}') to ('{upper}')"
        ))
        .await;
        name
    }

    /// The same relay with other options, or another relay.
    pub(super) fn also(&self, change: impl FnOnce(&mut RelayOptions)) -> PostgresOutbox {
        let mut options = self.options.clone();
        change(&mut options);
        outbox(&self.database, options).0
    }

    pub(super) async fn app(&self) -> Client {
        connect(&self.database.login_url(Login::App)).await.expect("connected")
    }

    pub(super) async fn operator(&self) -> Client {
        connect(&self.database.login_url(Login::Operator))
            .await
            .expect("connected")
    }

    /// Runs with open letters in which this lane is.
    async fn lanes_of(&self, lane: &str) -> Vec<Lanes> {
        let desk = Desk::new(schema());
        let runs = desk
            .lanes(&self.operator().await, &Selection::default())
            .await
            .expect("listed");
        runs.into_iter()
            .filter(|run| run.lanes.iter().any(|own| own == lane))
            .collect()
    }

    /// One value of one row, as the superuser sees it.
    pub(super) async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        let row = self.owner.query_one(sql, &[]).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
    }

    pub(super) async fn run(&self, sql: &str) {
        let done = self.owner.batch_execute(sql).await;
        done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    /// Closes the pool's connections, so that their statistics are reported.
    pub(super) fn close_pool(&self) {
        self.pool.close();
    }

    pub(super) async fn end(self) {
        drop(self.outbox);
        self.database.drop_it().await;
    }
}

pub(super) fn schema() -> Schema {
    Schema::new("twinbox").expect("a plain name")
}

/// All payload types, for what must hold for each.
pub(super) const PAYLOADS: [Payload; 4] = [Payload::Jsonb, Payload::Json, Payload::Bytea, Payload::Text];

fn outbox(database: &Database, options: RelayOptions) -> (PostgresOutbox, Pool) {
    let target = Target::parse(&database.login_url(Login::Relay), &TlsConfig::default()).expect("a good URL");
    let connector = Connector::fixed(target, Session::relay(&options.name));
    let pool = connector.pool(4).expect("a pool");
    (PostgresOutbox::new(connector, pool.clone(), options), pool)
}

/// One application transaction.
pub(super) struct App(Client);

impl Place for Rig {
    fn outbox(&self) -> &dyn Outbox {
        &self.outbox
    }

    async fn begin(&self) -> impl Transaction {
        let client = self.app().await;
        client.batch_execute("begin").await.expect("begun");
        App(client)
    }

    fn lease(&self) -> Duration {
        LEASE
    }

    fn bytes_max(&self) -> usize {
        BYTES_MAX
    }

    async fn release(&self, lane: &str) {
        let (desk, mut client) = (Desk::new(schema()), self.operator().await);
        for mut run in self.lanes_of(lane).await {
            run.lanes.retain(|own| own == lane);
            desk.release(&mut client, &run, &Order::default())
                .await
                .expect("released");
        }
    }

    async fn discard(&self, lane: &str) {
        let (desk, mut client) = (Desk::new(schema()), self.operator().await);
        for mut run in self.lanes_of(lane).await {
            run.lanes.retain(|own| own == lane);
            let what = (&Selection::default(), &Order::default());
            desk.discard(&mut client, &run, what).await.expect("discarded");
        }
    }

    async fn accept(&self, kind: &str) {
        let accepted = Desk::new(schema())
            .accept(&mut self.operator().await, (RELAY, kind), &Order::default())
            .await;
        accepted.expect("accepted");
    }

    async fn open_letters(&self, lane: &str) -> i64 {
        let sql = "select count(*) from twinbox.letter where lane = $1 and closed is null";
        self.owner.query_one(sql, &[&lane]).await.expect("counted").get(0)
    }

    async fn kill_holder(&self, lease: Box<dyn Lease>) {
        drop(lease);
        // The server notices the end of the session in its own time.
        let sql = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
          where d.datname = current_database() and l.locktype = 'advisory' and l.classid <> 0 and l.objsubid = 1";
        let begun = std::time::Instant::now();
        while self.value::<i64>(sql).await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10), "the session lock stays");
        }
    }
}

impl Transaction for App {
    async fn write(&mut self, key: Option<&str>, payload: &str) {
        let sql = "insert into twinbox.outbox (aggregatetype, aggregateid, type, payload) \
                   values ('order', $1, 'created', $2::text::jsonb)";
        self.0.execute(sql, &[&key, &payload]).await.expect("written");
    }

    async fn commit(self) {
        self.0.batch_execute("commit").await.expect("committed");
    }

    async fn roll_back(self) {
        self.0.batch_execute("rollback").await.expect("rolled back");
    }
}
