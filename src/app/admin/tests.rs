//! The admin port over real HTTP, with relays that say what the test wants.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::app::drain::Phase;
use crate::consumer::{self, ConsumerState, StreamStatus, Wanted};
use crate::contract::Boxed;
use crate::contract::StreamName;
use crate::delivery::{Failure, FailureKind};
use crate::flow::{LastError, Loss};
use crate::operate::letters::{Change, Count, Detail, Entry, Selection, Verb};
use crate::relay::{RelayState, Status};
use crate::telemetry::{ConsumerMeters, Meters};

const TOKEN: &str = "open-sesame";

/// A desk with three letters that remembers what was done to them.
#[derive(Default)]
struct FakeDesk(Mutex<Vec<Change>>);

impl Desk for FakeDesk {
    fn count(&self, _: Verb, selection: Selection) -> Boxed<'_, Result<Count, Failure>> {
        let letters = match selection.key.as_deref() {
            Some("gone") => 0,
            Some("many") => 10_001,
            Some("away") => {
                let away = Failure::new(FailureKind::Unreachable, "08006", "the database is away");
                return Box::pin(async { Err(away) });
            }
            _ => 3,
        };
        let count = Count {
            letters,
            lanes: 1,
            errors: Vec::new(),
        };
        Box::pin(async { Ok(count) })
    }

    fn apply(&self, change: Change) -> Boxed<'_, Result<Count, Failure>> {
        self.0.lock().unwrap().push(change);
        self.count(Verb::Release, Selection::default())
    }

    fn list(&self, _: Selection, _: u32) -> Boxed<'_, Result<Vec<Entry>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn show(&self, _: i64) -> Boxed<'_, Result<Option<Detail>, Failure>> {
        Box::pin(async { Ok(None) })
    }
}

pub(super) struct Port {
    pub(super) url: String,
    orders: watch::Sender<Status>,
    billing: watch::Sender<consumer::Status>,
    desk: Arc<FakeDesk>,
}

pub(super) async fn open(change: impl FnOnce(&mut Admin)) -> Port {
    // Err: another test of this process was first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (orders, seen) = watch::channel(Status::default());
    let desk = Arc::new(FakeDesk::default());
    let exports = Exports::start(&|_| None).unwrap();
    let relays = vec![("orders".to_owned(), seen)];
    let (billing, seen) = watch::channel(consumer::Status::default());
    let consumers = vec![("billing".to_owned(), seen)];
    crate::app::gauges::register(&exports.meter(), &relays, &consumers);
    let week = Duration::from_secs(604_800);
    crate::app::gauges::margins(&exports.meter(), &[(consumers[0].clone(), week)]);
    let counted = ConsumerMeters::new(&exports.meter(), "billing", "kafka");
    counted.processed("order.events", (3, 1), Duration::from_millis(2));
    counted.failed("order.events", "TB002", 1);
    let meters = Meters::new(&exports.meter(), "orders", "kafka");
    meters.attempted("order.events", 3);
    meters.sent("order.events", 2, Duration::from_millis(3));
    meters.failed("order.events", "MessageSizeTooLarge", 1);
    meters.upkeep_failed("55P03");
    meters.headers_gave_way(1);
    meters.delivered([Duration::from_millis(12)]);
    meters.fetched(Duration::from_millis(1));
    let mut admin = Admin {
        token: Some(Token::new(TOKEN)),
        strict: false,
        relays,
        consumers,
        pulses: Vec::new(),
        drain: Drain::new(Vec::new()),
        exports,
        desk: Some(desk.clone()),
        boards: Boards::new(),
    };
    change(&mut admin);
    let (listener, address) = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    crate::app::supervise::spawn("admin", async {
        serve(listener, admin).await;
    });
    Port {
        url: format!("http://{address}"),
        orders,
        billing,
        desk,
    }
}

/// A drain of a process with one consumer, and the consumer's side.
fn draining() -> (watch::Sender<consumer::Status>, Drain) {
    let (status, seen) = watch::channel(consumer::Status {
        state: ConsumerState::Running,
        ..consumer::Status::default()
    });
    (status, Drain::new(vec![seen]))
}

impl Port {
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        shape: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Response {
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.url));
        shape(request).send().await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        self.ask(Method::GET, path, |request| request).await
    }

    async fn code(&self, path: &str) -> u16 {
        self.get(path).await.status().as_u16()
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Response {
        let body = body.to_string();
        self.ask(Method::POST, path, |request| request.bearer_auth(TOKEN).body(body))
            .await
    }
}

fn now() -> std::time::Instant {
    crate::app::supervise::now().into_std()
}

fn set(port: &Port, state: RelayState, ready: bool) {
    port.orders.send_modify(|status| {
        status.state = state;
        status.ready = ready;
    });
}

#[tokio::test]
async fn writes_need_the_token() {
    let with_token = open(|_| {}).await;
    let without = open(|admin| admin.token = None).await;
    for path in [
        "/resume",
        "/letters/release",
        "/letters/discard",
        "/lanes/pause",
        "/lanes/resume",
    ] {
        let bare = with_token.ask(Method::POST, path, |request| request).await;
        assert_eq!(bare.status(), StatusCode::UNAUTHORIZED, "{path}");
        let wrong = with_token
            .ask(Method::POST, path, |request| request.bearer_auth("guess"))
            .await;
        assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(
            without.post(path, &json!({"all": true})).await.status(),
            StatusCode::FORBIDDEN,
            "{path}"
        );
        let foreign =
            |request: reqwest::RequestBuilder| request.bearer_auth(TOKEN).header("origin", "http://evil.example");
        let foreign = with_token.ask(Method::POST, path, foreign).await;
        assert_eq!(foreign.status(), StatusCode::FORBIDDEN, "{path}");
        let right = with_token.post(path, &json!({"all": true})).await;
        // Nobody is called nobody.
        let passed = [StatusCode::OK, StatusCode::NOT_FOUND][usize::from(path.starts_with("/lanes"))];
        assert_eq!(right.status(), passed, "{path}");
    }
    assert_eq!(with_token.desk.0.lock().unwrap().len(), 2);
    assert!(without.desk.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_drain_is_asked_for_and_waited_for() {
    let port = open(|_| {}).await;
    let asked = port.ask(Method::POST, "/drain", |request| request).await;
    assert_eq!(asked.status(), StatusCode::ACCEPTED);
    assert_eq!(port.code("/drain?wait=5s").await, 200);

    let (consumer, drain) = draining();
    let busy = open(|admin| admin.drain = drain.clone()).await;
    let before: Value = busy.get("/drain").await.json().await.unwrap();
    assert_eq!(before, json!({"state": "running"}));
    assert_eq!(busy.code("/drain?wait=10ms").await, 503);
    busy.ask(Method::POST, "/drain", |request| request).await;
    let asked = busy.get("/drain").await;
    assert_eq!(asked.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(asked.json::<Value>().await.unwrap(), json!({"state": "draining"}));
    assert_eq!(*drain.wanted().borrow(), Wanted::Drain);
    assert!(!*drain.engines().borrow(), "relays go on until the stop");
    let (waited, ()) = tokio::join!(busy.code("/drain?wait=30s"), async {
        consumer.send_modify(|status| status.state = ConsumerState::Drained);
    });
    assert_eq!(waited, 200);
    assert_eq!(busy.code("/drain?wait=soon").await, 400);
    let foreign = |request: reqwest::RequestBuilder| request.header("origin", "http://evil.example");
    let foreign = busy.ask(Method::POST, "/drain", foreign).await;
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn resume_takes_a_hook_back() {
    let (_consumer, drain) = draining();
    let port = open(|admin| admin.drain = drain.clone()).await;
    drain.ask();
    assert_eq!(drain.phase(), Phase::Draining);
    let resumed = port.post("/resume", &json!({})).await;
    assert_eq!(resumed.json::<Value>().await.unwrap(), json!({"state": "running"}));
    assert_eq!(drain.phase(), Phase::Running);
    assert_eq!(*drain.wanted().borrow(), Wanted::Consume);
}

#[tokio::test]
async fn an_outage_flips_readiness_only_when_strict() {
    let sidecar = open(|_| {}).await;
    let own = open(|admin| admin.strict = true).await;
    let codes = async |port: &Port| {
        (
            port.code("/startupz").await,
            port.code("/readyz").await,
            port.code("/livez").await,
        )
    };
    assert_eq!(codes(&sidecar).await, (200, 200, 200));
    assert_eq!(codes(&own).await, (503, 503, 200));
    for (state, ready, expected) in [
        // The consumer is not there yet.
        (RelayState::Leading, true, 503),
    ] {
        set(&own, state, ready);
        assert_eq!(own.code("/readyz").await, expected, "{state:?}");
    }
    let reached = |status: &mut consumer::Status| {
        status.state = ConsumerState::Running;
        status.ready = true;
    };
    own.billing.send_modify(reached);
    for (state, ready, expected) in [
        (RelayState::Leading, true, 200),
        (RelayState::Standby, true, 200),
        (RelayState::Leading, false, 503),
        (RelayState::Blocked, false, 503),
        (RelayState::Halted, true, 503),
    ] {
        for port in [&sidecar, &own] {
            set(port, state, ready);
        }
        assert_eq!(codes(&sidecar).await, (200, 200, 200), "{state:?}");
        assert_eq!(codes(&own).await, (200, expected, 200), "{state:?}");
    }
    set(&own, RelayState::Leading, true);
    for (state, ready, expected) in [
        (ConsumerState::Running, true, 200),
        (ConsumerState::Paused, true, 200),
        (ConsumerState::Running, false, 503),
        (ConsumerState::Halted, true, 503),
    ] {
        own.billing.send_modify(|status| {
            status.state = state;
            status.ready = ready;
        });
        assert_eq!(codes(&own).await, (200, expected, 200), "{state:?}");
    }
}

#[tokio::test]
async fn a_loop_that_hangs_is_not_alive() {
    let turned = now().checked_sub(Duration::from_secs(61)).unwrap();
    let pulse = Pulse::default();
    let own = pulse.running(turned);
    let port = open(|admin| admin.pulses = vec![("relay orders".to_owned(), pulse)]).await;
    let hangs = port.get("/livez").await;
    assert_eq!(hangs.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(hangs.text().await.unwrap().starts_with("relay orders has not turned"));
    own.beat(now());
    assert_eq!(port.code("/livez").await, 200);
}

#[tokio::test]
async fn the_status_document_has_its_pinned_shape() {
    let port = open(|_| {}).await;
    port.orders.send_modify(|status| {
        status.state = RelayState::Leading;
        status.source = "cursor";
        status.oldest_age = Some(Duration::from_millis(1500));
        status.letters = vec![("parked", 1)];
        status.last_error = Some(LastError {
            at: jiff::Timestamp::UNIX_EPOCH,
            kind: "transient".into(),
            message: "away".into(),
        });
    });
    let text = port.get("/status").await.text().await.unwrap();
    assert!(text.starts_with("{\"verdict\":\"Keeping up: 1.5 s behind"), "{text}");
    let expected = json!({
        "state": "leading", "source": "cursor", "position": null, "backlog": null, "oldest_age_seconds": 1.5,
        "in_flight": 0, "lanes": {"flowing": 0, "resting": 0, "parked": 0}, "letters": {"parked": 1}, "published": 0,
        "paused": null, "last_error": {"at": "1970-01-01T00:00:00Z", "kind": "transient", "message": "away"},
    });
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["relays"]["orders"], expected);
    assert_eq!(document["loss_suspected"], json!([]));
    assert_eq!(document["version"], json!(1));
}

fn a_stream(lag: u64, age: u64) -> (StreamName, StreamStatus) {
    let name = StreamName {
        topic: "order.events".into(),
        partition: Some(3),
    };
    let status = StreamStatus {
        mark: Some(41),
        lag,
        lag_age: Some(Duration::from_secs(age)),
        in_flight: 7,
        letters: vec![("parked", 2)],
        ..StreamStatus::default()
    };
    (name, status)
}

#[tokio::test]
async fn a_consumer_in_the_status_document_has_its_pinned_shape() {
    let port = open(|_| {}).await;
    let document = async || port.get("/status").await.json::<Value>().await.unwrap();
    let unknown = document().await["consumers"]["billing"].clone();
    assert_eq!((&unknown["state"], &unknown["lag"]), (&json!("starting"), &Value::Null));
    port.billing.send_modify(|status| {
        status.state = ConsumerState::Running;
        status.streams = [a_stream(9, 90)].into();
        (status.processed, status.deduplicated) = (100, 2);
        status.loss_suspected.push(Loss {
            kind: "offsets_lost".into(),
            from: "1".into(),
            to: "5".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
        });
    });
    let document = document().await;
    let expected = json!({
        "state": "running", "lag": 9, "lag_seconds": 90.0, "in_flight": 7,
        "lanes": {"flowing": 0, "resting": 0, "parked": 0}, "letters": {"parked": 2}, "processed": 100, "deduplicated": 2,
        "breaker": "closed", "paused": null, "last_error": null,
        "streams": {"order.events/3": {"mark": 41, "lag": 9, "lag_seconds": 90.0, "in_flight": 7, "stopped": null}},
    });
    assert_eq!(document["consumers"]["billing"], expected);
    let loss =
        json!([{"consumer": "billing", "kind": "offsets_lost", "from": "1", "to": "5", "at": "1970-01-01T00:00:00Z"}]);
    assert_eq!(document["loss_suspected"], loss);
}

#[tokio::test]
async fn metrics_have_units_and_no_scope_labels() {
    let port = open(|_| {}).await;
    set(&port, RelayState::Leading, true);
    port.orders.send_modify(|status| {
        status.oldest_age = Some(Duration::from_secs(2));
        status.letters = vec![("parked", 4)];
    });
    port.billing.send_modify(|status| {
        status.state = ConsumerState::Paused;
        status.breaker_open = true;
        status.streams = [a_stream(9, 90)].into();
    });
    let text = port.get("/metrics").await.text().await.unwrap();
    for line in [
        "twinbox_relay_oldest_age_seconds{relay=\"orders\"} 2",
        "twinbox_relay_leader{relay=\"orders\"} 1",
        "twinbox_letters{relay=\"orders\",state=\"parked\"} 4",
        "twinbox_health{component=\"orders\",status=\"leading\"} 1",
        "twinbox_health{component=\"orders\",status=\"halted\"} 0",
        "twinbox_health{component=\"billing\",status=\"paused\"} 1",
        "twinbox_letters{consumer=\"billing\",state=\"parked\"} 2",
        "twinbox_consumer_lag{consumer=\"billing\",messaging_destination_name=\"order.events\",messaging_destination_partition_id=\"3\"} 9",
        "twinbox_consumer_lag_age_seconds{consumer=\"billing\"} 90",
        "twinbox_consumer_in_flight{consumer=\"billing\"} 7",
        "twinbox_consumer_paused{consumer=\"billing\"} 1",
        "twinbox_dedupe_margin_seconds{consumer=\"billing\"} 604710",
        "messaging_client_consumed_messages_total{consumer=\"billing\",messaging_destination_name=\"order.events\",messaging_system=\"kafka\"} 3",
    ] {
        assert!(text.lines().any(|seen| seen == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("otel_scope"), "{text}");
    // Nobody has counted: no sample, not 0.
    assert!(
        !text.lines().any(|line| line.starts_with("twinbox_relay_backlog{")),
        "{text}"
    );
}

#[tokio::test]
async fn every_named_metric_is_there() {
    let port = open(|_| {}).await;
    port.orders.send_modify(|status| {
        status.backlog = Some(1);
        status.oldest_age = Some(Duration::ZERO);
        status.letters = vec![("parked", 0)];
    });
    port.billing
        .send_modify(|status| status.streams = [a_stream(0, 0)].into());
    let text = port.get("/metrics").await.text().await.unwrap();
    for metric in crate::telemetry::names::ALL {
        let (name, help) = (metric.prometheus(), metric.help);
        assert!(
            text.contains(&format!("# HELP {name} {help}\n")),
            "{name} is missing in\n{text}"
        );
    }
}

#[tokio::test]
async fn letters_are_counted_before_they_are_changed() {
    let port = open(|_| {}).await;
    let release = async |body: Value| port.post("/letters/release", &body).await.status().as_u16();
    assert_eq!(release(json!({"key": "42", "dry_run": true})).await, 200);
    assert_eq!(release(json!({"key": "gone"})).await, 404);
    assert_eq!(release(json!({"key": "many"})).await, 413);
    assert_eq!(release(json!({"key": "away"})).await, 503);
    assert_eq!(release(json!({})).await, 400);
    assert_eq!(release(json!({"keys": "42"})).await, 400);
    assert!(port.desk.0.lock().unwrap().is_empty(), "nothing was to change");

    let body = json!({"key": "42", "reason": "fixed"});
    let done: Value = port.post("/letters/discard", &body).await.json().await.unwrap();
    assert_eq!(done["letters"], json!(3));
    let changes = port.desk.0.lock().unwrap().clone();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].verb, Verb::Discard);
    assert_eq!(changes[0].reason.as_deref(), Some("fixed"));
}
