//! Servers, rows and processes for a benchmark: real ones, started by the project's own scripts, stopped at the end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio_postgres::{Client, NoTls};

use crate::{producer, timed};

const PARTITIONS: i32 = 8;
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Rig {
    directory: PathBuf,
    url: String,
    pub(crate) brokers: String,
    pub(crate) postgres: String,
    pub(crate) kafka: String,
}

/// What one drain took.
pub(crate) struct Drained {
    pub(crate) took: Duration,
    pub(crate) first: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_rss_kib: u64,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("twinbox-bench-{}", std::process::id()));
        let url = started("postgres", &directory.join("postgres"), "URL");
        let brokers = started("kafka", &directory.join("kafka"), "BROKERS");
        let mut rig = Self {
            directory,
            url,
            brokers,
            postgres: String::new(),
            kafka: "Apache Kafka".into(),
        };
        // From here on the servers go with the rig, whatever fails.
        let migrated = twinbox().args(["migrate"]).env("DATABASE_URL", &rig.url).status();
        assert!(migrated.unwrap().success(), "migrate failed");
        rig.postgres = format!("PostgreSQL {}", rig.ask("show server_version").await);
        for topic in ["drained", "naive", "producer", "client"] {
            rig.topic(topic).await;
        }
        rig
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn ask(&self, sql: &str) -> String {
        self.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn topic(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .unwrap();
        let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
        admin.create_topics([&topic], &AdminOptions::new()).await.unwrap()[0]
            .as_ref()
            .unwrap();
    }

    /// Rows as an application would leave them, in transactions of 1,000.
    pub(crate) async fn fill(&self, rows: u64) {
        let sql = format!(
            "do $$ begin for i in 1 .. {} loop
               insert into twinbox.outbox (aggregatetype, aggregateid, type, payload)
               select 'drained', (random() * 10000)::int::text, 'Happened', jsonb_build_object('n', n, 'filler', repeat('x', 220))
               from generate_series(1, 1000) n;
               commit;
             end loop; end $$",
            rows / 1000
        );
        let client = self.client().await;
        client.batch_execute(&sql).await.unwrap();
        client.batch_execute("vacuum analyze twinbox.outbox").await.unwrap();
        client.batch_execute("checkpoint").await.unwrap();
    }

    /// What the database can send at best.
    pub(crate) fn copy(&self) -> Duration {
        let copy = "copy (select * from twinbox.outbox order by seq) to stdout (format binary)";
        timed(|| {
            let status = Command::new("psql")
                .args([&self.url, "-qc", copy])
                .stdout(Stdio::null())
                .status()
                .unwrap();
            assert!(status.success(), "psql failed");
        })
    }

    /// What Kafka's own tool reaches here, records per second.
    pub(crate) fn producer_test(&self, records: u64) -> f64 {
        let jars = Path::new(env!("CARGO_MANIFEST_DIR")).join(".dev/kafka-4.3.1/lib/*");
        let output = Command::new("java")
            .args([
                "-cp",
                &jars.to_string_lossy(),
                "org.apache.kafka.tools.ProducerPerformance",
            ])
            .args([
                "--bootstrap-server",
                &self.brokers,
                "--topic",
                "producer",
                "--record-size",
                "300",
            ])
            .args([
                "--num-records",
                &records.to_string(),
                "--throughput",
                "-1",
                "--command-property",
                "acks=all",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        let rate = last.split(", ").find_map(|part| {
            part.split(" records/sec")
                .next()
                .filter(|_| part.contains("records/sec"))
        });
        rate.and_then(|rate| rate.parse().ok())
            .unwrap_or_else(|| panic!("no rate in: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// The CPU time of librdkafka for as many records, without a relay around it.
    pub(crate) fn client_alone(&self, records: u64) -> Duration {
        let own = std::process::id();
        producer::alone(&self.brokers, "client", records, || cpu(own))
    }

    /// Starts a relay on the waiting rows and waits for the last record.
    pub(crate) async fn drain(&self, topic: &str, rows: u64) -> Drained {
        let config = self.directory.join("twinbox.yaml");
        let text = format!(
            "relays: {{ bench: {{ to: {{ kafka: {{ brokers: [\"{}\"] }} }}, route: {{ topic: \"{topic}\" }} }} }}\n\
             admin: {{ listen: \"127.0.0.1:0\" }}\n",
            self.brokers
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(self.directory.join("relay.log")).unwrap();
        let began = Instant::now();
        let mut relay = twinbox()
            .arg("relay")
            .arg("-c")
            .arg(&config)
            .env("DATABASE_URL", &self.url)
            .stderr(log)
            .spawn()
            .unwrap();
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .unwrap();
        let mut first = None;
        loop {
            let records = records(&consumer, topic);
            if records > 0 {
                first.get_or_insert_with(|| began.elapsed());
            }
            assert!(records <= rows, "{records} records for {rows} rows: the run is void");
            if records == rows {
                break;
            }
            assert!(
                began.elapsed() < Duration::from_secs(300),
                "only {records} of {rows} rows arrived"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let drained = Drained {
            took: began.elapsed(),
            first: first.unwrap_or_default(),
            cpu: cpu(relay.id()),
            peak_rss_kib: peak_rss_kib(&relay),
        };
        relay.kill().unwrap();
        relay.wait().unwrap();
        drained
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for server in ["kafka", "postgres"] {
            let _ = script(server).arg("stop").arg(self.directory.join(server)).status();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn twinbox() -> Command {
    Command::new(env!("CARGO_BIN_EXE_twinbox"))
}

fn script(server: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/dev").join(server))
}

/// Starts a server and answers one of the lines it prints.
fn started(server: &str, directory: &Path, wanted: &str) -> String {
    let output = script(server).arg("start").arg(directory).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(wanted)?.strip_prefix('='));
    value
        .unwrap_or_else(|| {
            panic!(
                "{server} did not start: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
        .to_owned()
}

fn records(consumer: &BaseConsumer, topic: &str) -> u64 {
    let ends = (0..PARTITIONS).map(|partition| {
        consumer
            .fetch_watermarks(topic, partition, Duration::from_secs(10))
            .unwrap()
            .1
    });
    ends.sum::<i64>().try_into().unwrap()
}

fn cpu(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}

fn peak_rss_kib(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
