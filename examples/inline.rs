//! A consumer inside a program of its own: a closure makes the effect, in the transaction that remembers the event.
//!
//! ```text
//! twinbox migrate --only inbox          # once, in the application's database
//! DATABASE_URL=postgres://… KAFKA=localhost:9092 TOPIC=order.events cargo run --example inline
//! ```
//!
//! Each event adds its `amount` to its customer's total, once, in order per customer, whatever crashes. Ctrl-C settles what is
//! in flight and leaves the group.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use twinbox::broker::{DedupeBy, Reads, SubscribeContext, backend};
use twinbox::consumer::{Control, Engine, Limits, Outcome, Status, Wanted, run};
use twinbox::contract::{Attempt, Boxed, Start, StreamName, Subscriber};
use twinbox::delivery::{RestPolicy, Route, Router, Template, TemplateUse};
use twinbox::flow;
use twinbox::message::Message;
use twinbox::postgres::transaction::tokio_postgres::Transaction;
use twinbox::postgres::transaction::{EffectError, InlineOptions, InlineProcessor};
use twinbox::postgres::{Connector, InboxOptions, Pool, PostgresInbox, Schema, Session, Target};
use twinbox::setting::{Settings, TlsConfig};
use twinbox::telemetry::{ConsumerSpans, Pulse};

/// The consumer's identity: never changes, or everything is done once more.
const NAME: &str = "billing";
/// Messages of one transaction.
const BATCH: usize = 500;
const LIMITS: Limits = Limits {
    messages: 4000,
    bytes: 32 << 20,
};
const DRAIN: Duration = Duration::from_secs(25);

const TABLE: &str = "create table if not exists public.total (customer text primary key, cents bigint not null)";
const ADD: &str = "insert into public.total as t (customer, cents) values ($1, $2)
    on conflict (customer) do update set cents = t.cents + excluded.cents";

/// The effect. Everything that goes through the transaction is durable together with the event's inbox row, or not at all.
#[expect(clippy::needless_pass_by_value, reason = "the shape of an Effect")]
fn add<'a>(
    transaction: &'a Transaction<'_>,
    message: &'a Message,
    attempt: Attempt,
) -> Boxed<'a, Result<(), EffectError>> {
    Box::pin(async move {
        let customer = message.key.as_ref().and_then(|key| key.as_str());
        let event: Option<Value> = message
            .body
            .as_bytes()
            .and_then(|bytes| serde_json::from_slice(bytes).ok());
        let cents = event.as_ref().and_then(|event| event["amount"].as_i64());
        let (Some(customer), Some(cents)) = (customer, cents) else {
            // Its key is parked: `twinbox letters list` shows it, with this sentence.
            return Err(EffectError::Reject(
                "an event needs a key and a whole `amount`".to_owned(),
            ));
        };
        if attempt.number > 1 {
            tracing::warn!(id = %message.id, attempt = attempt.number, "trying again");
        }
        transaction.execute(ADD, &[&customer, &cents]).await?;
        Ok(())
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let target = Target::parse(&variable("DATABASE_URL")?, &TlsConfig::default())?;
    let pool = Connector::fixed(target, Session::consumer(NAME)).pool(8)?;
    Box::pin(pool.get()).await?.batch_execute(TABLE).await?;
    let (wanted, asked) = watch::channel(Wanted::Consume);
    let (tell, _status) = watch::channel(Status::default());
    let control = Control {
        wanted: asked,
        drain_deadline: DRAIN,
        pauses: watch::channel(flow::Pauses::none()).1,
        status: tell,
    };
    let consumer = run(engine(pool, kafka()?)?, control);
    let stop = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            wanted.send_replace(Wanted::Stop);
        }
        // From here on only the consumer's own end counts.
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = consumer => outcome,
        () = stop => return Err("the signal's handler ended".into()),
    };
    match outcome {
        Outcome::Drained => Ok(()),
        Outcome::Halted { sentence } => Err(sentence.into()),
    }
}

fn engine(pool: Pool, subscriber: Arc<dyn Subscriber>) -> Result<Engine, Box<dyn Error>> {
    let schema = Schema::new("twinbox")?;
    let inbox = InboxOptions {
        name: NAME.to_owned(),
        schema: schema.clone(),
        retention: Duration::from_secs(7 * 24 * 3600),
        bytes: LIMITS.bytes,
    };
    let options = InlineOptions {
        consumer: NAME.to_owned(),
        schema,
        batch: BATCH,
        concurrency: 4,
    };
    Ok(Engine {
        name: NAME.to_owned(),
        subscriber,
        inbox: Arc::new(PostgresInbox::new(pool.clone(), inbox)),
        processor: Arc::new(InlineProcessor::new(pool, options, add)),
        broker: None,
        settings: Box::new(settings),
        start: Start::Earliest,
        limits: LIMITS,
        call: Duration::from_secs(30),
        spans: ConsumerSpans::silent(),
        pulse: Pulse::default(),
    })
}

/// A lane is a key of a partition; a failing one rests by itself and is parked after twelve attempts.
fn settings(stream: &StreamName) -> flow::Settings {
    let literal = |text: &str| {
        #[expect(clippy::expect_used, reason = "no name of a topic holds a brace")]
        Template::parse(text, TemplateUse::Route).expect("a text without fields")
    };
    let partition = stream
        .partition
        .map(|partition| partition.to_string())
        .unwrap_or_default();
    flow::Settings {
        batch: BATCH,
        in_flight: LIMITS.messages,
        bytes: LIMITS.bytes,
        run_max: BATCH as u32,
        rest: RestPolicy {
            rest_first: Duration::from_millis(500),
            rest_max: Duration::from_secs(600),
            attempts_max: 12,
        },
        stall: None,
        on_reject: flow::OnReject::Park,
        router: Router::new(Route::new(
            vec![literal(&stream.topic), literal(&partition)],
            literal("{aggregateid}"),
            Vec::new(),
        )),
        dead_letter: None,
    }
}

fn kafka() -> Result<Arc<dyn Subscriber>, Box<dyn Error>> {
    let subscribe = backend("kafka").and_then(|backend| backend.subscribe);
    let settings = json!({ "brokers": [variable("KAFKA")?], "topics": [variable("TOPIC")?] });
    let context = SubscribeContext {
        name: NAME.to_owned(),
        reads: Reads::Auto,
        dedupe: DedupeBy::Id,
        per_topic: false,
        in_flight: LIMITS.messages,
        bytes: LIMITS.bytes,
        drain: DRAIN,
        environment: Arc::new(|name| variable(name).ok()),
    };
    Ok(subscribe.ok_or("built without Kafka")?(
        &Settings::new(settings),
        context,
    )?)
}

#[expect(clippy::disallowed_methods, reason = "this is where the environment enters")]
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is not set"))
}
