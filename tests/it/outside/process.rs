//! How `twinbox relay` begins, is seen and ends, while its database is away.

use crate::support::collector::Collector;
use crate::support::process::Signal;
use crate::support::relay::{Relay, twinbox};
use crate::support::{http, wait};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;

const NAME: &str = "orders";

/// A directory with a configuration and a log.
struct Desk {
    dir: TempDir,
    config: PathBuf,
    log: PathBuf,
}

impl Desk {
    /// `admin` is the section of that name, as JSON.
    fn new(admin: &serde_json::Value) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("twinbox.yaml");
        let text = json!({ "relays": { NAME: { "to": { "memory": {} } } }, "admin": admin });
        std::fs::write(&config, text.to_string()).expect("the directory is writable");
        let log = dir.path().join("log");
        Self { dir, config, log }
    }

    fn start(&self, environment: &[(&str, &str)]) -> Relay {
        Relay::start(NAME, &self.config, (&self.log, environment))
    }
}

fn any_port() -> serde_json::Value {
    json!({ "listen": "127.0.0.1:0" })
}

/// Nobody listens on port 1.
const AWAY: (&str, &str) = ("DATABASE_URL", "postgres://nobody:secret-canary@127.0.0.1:1/nothing");

/// A server that takes connections and never says a word.
async fn mute() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    (format!("postgres://nobody@{address}/nothing"), listener)
}

/// Looks again and again, and goes on when the process is gone.
#[tokio::test]
async fn a_watched_status_is_shown_until_it_is_interrupted() {
    let desk = Desk::new(&any_port());
    let mut relay = desk.start(&[AWAY]);
    let url = format!("http://{}", relay.admin().await);
    let shown = desk.dir.path().join("shown");
    let told = desk.dir.path().join("told");
    let file = |path| std::fs::File::create(path).expect("the directory is writable");
    let mut watching = twinbox(&[])
        .args(["status", "--watch", "100ms", "--url", &url])
        .stdout(file(&shown))
        .stderr(file(&told))
        .spawn()
        .expect("the binary was built");
    let times = async |path: &PathBuf, word: &str| {
        wait::until(&format!("{word} is said twice"), wait::PATIENCE, async || {
            let text = std::fs::read_to_string(path).expect("it is there");
            wait::ensure(text.matches(word).count() >= 2, || text.clone())
        })
        .await;
    };
    times(&shown, "backlog").await;
    relay.kill();
    times(&told, "does not answer").await;
    assert!(watching.try_wait().expect("ours").is_none(), "it watches on");
    watching.kill().expect("ours");
    watching.wait().expect("ours");
}

#[tokio::test]
async fn an_outage_ends_nothing_and_is_told() {
    let desk = Desk::new(&any_port());
    let mut relay = desk.start(&[AWAY]);
    let admin = relay.admin().await;
    let told = relay.complains("refused").await;
    assert_eq!(told["source"], "cursor");
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(http::get(&admin, path).await.expect(path).status, 200, "{path}");
    }
    let metrics = http::get(&admin, "/metrics").await.expect("metrics").body;
    assert!(
        metrics.contains("twinbox_relay_leader{relay=\"orders\"} 0"),
        "{metrics}"
    );
    let (end, _) = relay.terminate(Duration::from_secs(20)).await;
    assert_eq!(end, "exit 0", "{}", relay.words());
    assert!(!relay.log_text().contains("canary"), "{}", relay.log_text());
}

#[tokio::test]
async fn strict_readiness_follows_the_database() {
    let desk = Desk::new(&json!({ "listen": "127.0.0.1:0", "readiness": "strict" }));
    let relay = desk.start(&[AWAY]);
    let admin = relay.admin().await;
    relay.complains("refused").await;
    let ready = http::get(&admin, "/readyz").await.expect("an answer");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("refused"), "{}", ready.body);
    assert_eq!(http::get(&admin, "/livez").await.expect("an answer").status, 200);
    relay.must_be_up();
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let (url, _server) = mute().await;
    let desk = Desk::new(&any_port());
    let mut relay = desk.start(&[("DATABASE_URL", &url)]);
    relay.admin().await;
    relay.process.signal(Signal::Terminate);
    wait::until("the drain begins", wait::PATIENCE, || async {
        wait::ensure(relay.log_text().contains("draining"), || relay.words())
    })
    .await;
    relay.process.signal(Signal::Terminate);
    // Long before the drain's own deadline.
    assert_eq!(relay.ends(Duration::from_secs(10)).await, "exit 130");
}

#[tokio::test]
async fn a_hook_leaves_relays_running() {
    let desk = Desk::new(&any_port());
    let relay = desk.start(&[AWAY]);
    let admin = relay.admin().await;
    let asked = http::post(&admin, "/drain").await.expect("an answer");
    assert_eq!(asked.status, 202);
    let drained = http::get(&admin, "/drain?wait=5s").await.expect("an answer");
    assert_eq!(
        (drained.status, drained.json().expect("JSON")),
        (200, json!({"state": "drained"}))
    );
    assert_eq!(http::post(&admin, "/resume").await.expect("an answer").status, 403);
    let status = twinbox(&[])
        .args(["drain", "--wait", "--url", &format!("http://{admin}")])
        .status();
    assert_eq!(status.expect("the binary was built").code(), Some(0));
    relay.must_be_up();
    assert_eq!(relay.status().await.expect("a status")["state"], "starting");
}

#[tokio::test]
async fn a_port_in_use_is_told_before_anything_begins() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("bound");
    let desk = Desk::new(&json!({ "listen": address.to_string() }));
    let mut relay = desk.start(&[AWAY]);
    assert_eq!(relay.ends(Duration::from_secs(10)).await, "exit 1");
    let log = relay.log_text();
    assert!(log.contains(&format!("admin.listen = {address}")), "{log}");
    assert!(!log.contains("twinbox started"), "{log}");
}

/// The standard variables are enough, and what was measured is sent before the process ends.
#[tokio::test]
async fn metrics_reach_a_collector_before_the_end() {
    let collector = Collector::start().await;
    let desk = Desk::new(&any_port());
    let mut relay = desk.start(&[AWAY, ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)]);
    relay.admin().await;
    let (end, _) = relay.terminate(Duration::from_secs(20)).await;
    assert_eq!(end, "exit 0", "{}", relay.words());
    let paths = collector.paths();
    assert!(paths.iter().any(|path| path == "/v1/metrics"), "{paths:?}");
    drop(desk.dir);
}

/// RL: a collector that takes connections and never answers holds up no end.
#[tokio::test]
async fn a_mute_collector_holds_up_no_end() {
    let (url, _collector) = mute().await;
    let endpoint = url.replace("postgres://nobody@", "http://").replace("/nothing", "");
    let desk = Desk::new(&any_port());
    let mut relay = desk.start(&[AWAY, ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    relay.admin().await;
    let (end, took) = relay.terminate(Duration::from_secs(20)).await;
    assert_eq!(end, "exit 0", "{}", relay.words());
    assert!(took < Duration::from_secs(9), "{took:?}");
}

#[tokio::test]
async fn variables_of_telemetry_that_make_no_sense_are_3() {
    let desk = Desk::new(&any_port());
    let mut relay = desk.start(&[AWAY, ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url")]);
    assert_eq!(relay.ends(Duration::from_secs(10)).await, "exit 3");
    assert!(relay.log_text().contains("OTEL_"), "{}", relay.log_text());
}
