//! One test's stage: a database, topics, a configuration, relays, and a directory that a failure leaves behind.

use super::kafka::Kafka;
use super::ledger::workload::Payload;
use super::live::{self, Live};
use super::postgres::{Database, Login};
use super::relay::{Relay, twinbox};
use super::servers::{Kind, Server};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The name of the relay in the configurations made here.
pub(crate) const RELAY: &str = "orders";

/// The name of the consumer in the configurations made here.
pub(crate) const CONSUMER: &str = "billing";

/// Tests that measure time want the machine for themselves.
static MACHINE: std::sync::LazyLock<std::sync::Arc<RwLock<()>>> = std::sync::LazyLock::new(Default::default);

enum Turn {
    Beside { _turn: OwnedRwLockReadGuard<()> },
    Alone { _turn: OwnedRwLockWriteGuard<()> },
}

/// What a test needs, before it gets it.
#[derive(Debug)]
pub(crate) struct Wish {
    test: &'static str,
    alone: bool,
    partitions: bool,
    kafka: Option<Vec<String>>,
    postgres: Option<Vec<String>>,
}

impl Wish {
    /// The outbox is made of partitions.
    #[must_use]
    pub(crate) fn partitions(mut self) -> Self {
        self.partitions = true;
        self
    }

    /// No other test runs meanwhile.
    #[must_use]
    pub(crate) fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// A broker that may be killed.
    #[must_use]
    pub(crate) fn own_kafka(mut self, settings: &[String]) -> Self {
        self.kafka = Some(settings.to_vec());
        self
    }

    /// A Postgres that may be killed.
    #[must_use]
    pub(crate) fn own_postgres(mut self, settings: &[String]) -> Self {
        self.postgres = Some(settings.to_vec());
        self
    }

    /// The stage, or `None` (told in one line) without live servers.
    pub(crate) async fn open(self) -> Option<Stage> {
        let live = live::servers(self.test)?;
        let turn = if self.alone {
            Turn::Alone {
                _turn: MACHINE.clone().write_owned().await,
            }
        } else {
            Turn::Beside {
                _turn: MACHINE.clone().read_owned().await,
            }
        };
        Some(Stage::set(self, live, turn).await)
    }
}

pub(crate) struct Stage {
    /// Unique: name of the database and first part of every topic.
    pub name: String,
    pub dir: PathBuf,
    pub database: Database,
    pub kafka: Kafka,
    /// Present when asked for.
    pub own_kafka: Option<Server>,
    pub own_postgres: Option<Server>,
    partitions: bool,
    logs: AtomicU32,
    _turn: Turn,
}

impl Stage {
    /// Where the faults of a ledger are placed: `TWINBOX_SEED=n` repeats a plan, and the log says which it was.
    pub(crate) fn seed(&self) -> u64 {
        let told = std::env::var("TWINBOX_SEED").ok();
        let seed = told.and_then(|text| text.parse().ok()).unwrap_or(1);
        println!("{}: TWINBOX_SEED={seed}", self.name);
        seed
    }

    /// A stage on the shared servers, unless the wish says more.
    #[must_use]
    pub(crate) fn of(test: &'static str) -> Wish {
        Wish {
            test,
            alone: false,
            partitions: false,
            kafka: None,
            postgres: None,
        }
    }

    async fn set(wish: Wish, live: Live, turn: Turn) -> Self {
        let name = format!("{}_{}", wish.test, unique());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        std::fs::create_dir_all(&dir).expect("target/tmp is writable");
        let own = |kind, settings: Option<&Vec<String>>| {
            let settings: Vec<&str> = settings?.iter().map(String::as_str).collect();
            Some(Server::start(kind, &dir, &settings))
        };
        let own_kafka = own(Kind::Kafka, wish.kafka.as_ref());
        let own_postgres = own(Kind::Postgres, wish.postgres.as_ref());
        let brokers = own_kafka
            .as_ref()
            .map_or(live.kafka.as_str(), |server| server.value("BROKERS"));
        let kafka = Kafka::at(brokers);
        let url = own_postgres
            .as_ref()
            .map_or(live.postgres.as_str(), |server| server.value("URL"));
        let database = Database::create(url, &name).await;
        Self {
            name,
            dir,
            database,
            kafka,
            own_kafka,
            own_postgres,
            partitions: wish.partitions,
            logs: AtomicU32::new(0),
            _turn: turn,
        }
    }

    /// Tables, roles and logins; `payload` is the type of the outbox's column.
    pub(crate) async fn migrate(&self, payload: Payload) {
        self.migrate_in(&self.database, payload).await;
    }

    /// The same in another database of the server.
    pub(crate) async fn migrate_in(&self, database: &Database, payload: Payload) {
        let config = self.config("migrate.yaml", json!({}));
        let config = config.to_str().expect("a UTF-8 path");
        let payload = match payload {
            Payload::Bytea => "bytea",
            Payload::Jsonb => "jsonb",
        };
        let shape: &[&str] = if self.partitions { &["--partitions"] } else { &[] };
        for more in [&[][..], &["--roles"][..]] {
            let arguments = [&["migrate", "-c", config, "--payload", payload][..], shape, more].concat();
            let output = self.run(&database.owner_url(), &arguments);
            assert!(
                output.status.success(),
                "twinbox {arguments:?}: {}",
                text(&output.stderr)
            );
        }
        database.make_logins().await;
        if self.partitions {
            database.drop_partitions().await;
        }
    }

    /// An `aggregatetype` of this test, whose topic `<type>.events` exists with `partitions`.
    pub(crate) async fn aggregate(&self, word: &str, partitions: i32) -> String {
        let aggregate = self.type_name(word);
        self.kafka
            .create_topic(&format!("{aggregate}.events"), partitions, &[])
            .await;
        aggregate
    }

    /// An `aggregatetype` of this test, without a topic.
    #[must_use]
    pub(crate) fn type_name(&self, word: &str) -> String {
        format!("{}-{word}", self.name)
    }

    /// Writes a configuration: the smallest one for these servers, changed by `change` (null removes).
    #[must_use]
    pub(crate) fn config(&self, file: &str, change: Value) -> PathBuf {
        let brokers: Vec<&str> = self.kafka.brokers.split(',').collect();
        let mut config = json!({
            "database": { "url": { "env": "DATABASE_URL" } },
            "relays": { RELAY: {
                "to": { "kafka": { "brokers": brokers } },
                "route": { "topic": "{aggregatetype}.events" },
            } },
            "admin": { "listen": "127.0.0.1:0" },
        });
        merge(&mut config, change);
        let path = self.dir.join(file);
        let yaml = serde_saphyr::to_string(&config).expect("JSON is YAML");
        std::fs::write(&path, yaml).expect("the test's directory is writable");
        path
    }

    /// Starts a relay as `twinbox_relay`.
    #[must_use]
    pub(crate) fn relay(&self, config: &Path) -> Relay {
        self.relay_at(config, &self.database.login_url(Login::Relay))
    }

    /// Starts a relay with this database URL.
    #[must_use]
    pub(crate) fn relay_at(&self, config: &Path, url: &str) -> Relay {
        self.relay_with(config, &[("DATABASE_URL", url)])
    }

    /// Starts a relay with this environment.
    #[must_use]
    pub(crate) fn relay_with(&self, config: &Path, environment: &[(&str, &str)]) -> Relay {
        let number = self.logs.fetch_add(1, Ordering::Relaxed);
        let log = self.dir.join(format!("relay-{number}.log"));
        Relay::start(RELAY, config, (&log, environment))
    }

    /// Starts a consumer as `twinbox_consumer`, with this environment beside it.
    #[must_use]
    pub(crate) fn consumer(&self, config: &Path, environment: &[(&str, &str)]) -> Relay {
        let number = self.logs.fetch_add(1, Ordering::Relaxed);
        let log = self.dir.join(format!("consumer-{number}.log"));
        let url = self.database.login_url(Login::Consumer);
        let environment = [&[("DATABASE_URL", url.as_str())], environment].concat();
        Relay::consumer(CONSUMER, config, (&log, &environment))
    }

    /// Runs a verb to its end.
    #[must_use]
    pub(crate) fn run(&self, url: &str, arguments: &[&str]) -> Output {
        let mut command = twinbox(&[("DATABASE_URL", url)]);
        command
            .args(arguments)
            .current_dir(&self.dir)
            .output()
            .expect("the binary was built")
    }

    /// Keeps something for whoever looks into a failure.
    pub(crate) fn note(&self, file: &str, content: &str) {
        let _ = std::fs::write(self.dir.join(file), content);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!(
                "{}: configuration, logs and verdict are in {}",
                self.name,
                self.dir.display()
            );
            return;
        }
        let database = self.database.clone();
        // A runtime cannot block inside another: the drop gets a thread of its own.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(database.drop_it());
        });
        if self.own_postgres.is_none() {
            let _ = dropping.join();
        }
        self.own_kafka = None;
        self.own_postgres = None;
        if !live::flag("KEEP") {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Text of a command's output.
#[must_use]
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Objects are merged, everything else is replaced, null removes.
fn merge(base: &mut Value, change: Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    base.remove(&key);
                } else {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (base, change) => *base = change,
    }
}

/// Differs between runs and between the tests of a run; legal in database names and topics.
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_millis();
    format!("{:x}{:x}", now & 0xFFF_FFFF, COUNT.fetch_add(1, Ordering::Relaxed))
}
