//! A handler, an inbox in PostgreSQL and an application in Python that is killed while it works: how often effects happen.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_postgres::Client;
use twinbox::consumer::TwoPhase;
use twinbox::contract::{Fence, Inbox, Outbound, Processed, Processor, StreamName, Ticket, Work};
use twinbox::delivery::{Address, FailureKind};
use twinbox::handler::HttpHandler;
use twinbox::handler::config::HttpConfig;
use twinbox::postgres::migrate::{Options, Part};
use twinbox::postgres::{Connector, InboxOptions, PostgresInbox, Session, Target};
use twinbox::setting::TlsConfig;

use crate::backends::postgres_ground::scratch::{Scratch, options, schema};
use crate::conformance::handler::message;
use crate::support::live::campaign;
use crate::support::toy::Toy;
use crate::support::wait::{PATIENCE, ensure, until};

const LANES: u128 = 16;

/// Everything between a delivery and its effect.
struct Line {
    scratch: Scratch,
    client: Client,
    inbox: Arc<PostgresInbox>,
    fence: Arc<Fence>,
}

impl Line {
    async fn lay(test: &str) -> Option<Self> {
        let scratch = Scratch::new(test).await?;
        let only = Options {
            only: Some(Part::Inbox),
            ..options()
        };
        scratch.migrated(&only).await;
        let target = Target::parse(&scratch.superuser(), &TlsConfig::default()).expect("a good URL");
        let pool = Connector::fixed(target, Session::command("test"))
            .pool(4)
            .expect("a pool");
        let inbox = Arc::new(PostgresInbox::new(
            pool,
            InboxOptions {
                name: "billing".to_owned(),
                schema: schema("twinbox"),
                retention: Duration::from_secs(3600),
                bytes: 1 << 20,
            },
        ));
        let stream = StreamName {
            topic: "order.events".into(),
            partition: Some(0),
        };
        let fence = inbox.assume(&stream).await.expect("assumed").fence;
        inbox.begin(&fence, 0).await.expect("begun");
        let client = crate::support::postgres::connect(&scratch.superuser())
            .await
            .expect("connected");
        Some(Self {
            scratch,
            client,
            inbox,
            fence,
        })
    }

    async fn end(self: Arc<Self>) {
        let line = Arc::into_inner(self).expect("all lanes have ended");
        drop((line.inbox, line.client));
        line.scratch.drop().await;
    }

    fn handler(toy: &Toy, deadline: u64) -> Arc<HttpHandler> {
        let mut config = HttpConfig::at(toy.url());
        config.timeout = twinbox::setting::Duration::from_secs(deadline);
        Arc::new(HttpHandler::open(config, "billing").expect("a handler"))
    }

    fn verify(&self, toy: &Toy) -> Arc<dyn Processor> {
        let inbox = Arc::clone(&self.inbox);
        Arc::new(TwoPhase::verify(Self::handler(toy, 10), inbox, "twinbox"))
    }

    fn claim(&self, toy: &Toy) -> Arc<dyn Processor> {
        let inbox = Arc::clone(&self.inbox);
        Arc::new(TwoPhase::claim(Self::handler(toy, 10), inbox))
    }

    fn work(&self, number: u128, attempt: u32) -> Work {
        let message = message(number);
        let address = Address {
            destination: ["order.events", "0"].into_iter().collect(),
            key: message.key.clone(),
            headers: [].into(),
        };
        Work {
            fence: Arc::clone(&self.fence),
            mark: None,
            messages: vec![Outbound {
                ticket: Ticket(number as u64),
                message,
                address,
                attempt,
            }],
        }
    }

    /// Effects by event.
    async fn effects(&self) -> HashMap<String, i64> {
        let sql = "select event_id, count(*) from effect group by 1";
        let rows = self.client.query(sql, &[]).await.expect("effects");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Works through `events` in lanes, as an engine would, while the toy is killed so many times.
    async fn run(self: &Arc<Self>, processor: Arc<dyn Processor>, toy: &mut Toy, (events, kills): (u128, usize)) {
        let done = Arc::new(AtomicUsize::new(0));
        let lanes = (0..LANES).map(|lane| {
            let (line, processor, done) = (Arc::clone(self), Arc::clone(&processor), Arc::clone(&done));
            tokio::spawn(async move {
                for number in (1..=events).filter(|number| number % LANES == lane) {
                    line.until_done(&*processor, number).await;
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let lanes: Vec<_> = lanes.collect();
        for kill in 1..=kills {
            let due = events as usize * kill / (kills + 1);
            until("work goes on", PATIENCE, || async {
                let done = done.load(Ordering::SeqCst);
                ensure(done >= due, || format!("{done} of {due}"))
            })
            .await;
            toy.restart();
        }
        for lane in lanes {
            lane.await.expect("no panic");
        }
    }

    async fn until_done(&self, processor: &dyn Processor, number: u128) {
        let attempt = AtomicUsize::new(1);
        until("the message is done", PATIENCE, || async {
            let attempt = attempt.fetch_add(1, Ordering::SeqCst) as u32;
            match processor.process(self.work(number, attempt)).await.remove(0) {
                Processed::Done | Processed::Duplicate => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

fn size() -> (u128, usize) {
    if campaign() { (20_000, 30) } else { (400, 5) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_verify_does_each_effect_once_while_the_application_is_killed() {
    let Some(line) = Line::lay("http_verify").await.map(Arc::new) else {
        return;
    };
    let mut toy = Toy::start(&line.scratch.superuser(), &["--once", "--transient", "0.02"]);
    let (events, kills) = size();
    line.run(line.verify(&toy), &mut toy, (events, kills)).await;
    let effects = line.effects().await;
    assert_eq!(effects.len() as u128, events, "nothing is lost");
    let twice: Vec<_> = effects.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    println!("{events} events, {kills} kills: each effect once");
    line.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_claim_doubles_only_what_was_under_way_at_a_kill() {
    let Some(line) = Line::lay("http_claim").await.map(Arc::new) else {
        return;
    };
    let mut toy = Toy::start(&line.scratch.superuser(), &["--transient", "0.02"]);
    let (events, kills) = size();
    line.run(line.claim(&toy), &mut toy, (events, kills)).await;
    let effects = line.effects().await;
    assert_eq!(effects.len() as u128, events, "nothing is lost");
    let doubles: i64 = effects.values().map(|times| times - 1).sum();
    println!("{events} events, {kills} kills: {doubles} effects happened twice");
    assert!(
        doubles as u128 <= LANES * kills as u128,
        "{doubles} doubles: more than was under way"
    );
    line.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_verify_tells_an_application_that_records_nothing() {
    let Some(line) = Line::lay("http_not_recorded").await.map(Arc::new) else {
        return;
    };
    let toy = Toy::start(&line.scratch.superuser(), &[]);
    let processed = line.verify(&toy).process(line.work(1, 1)).await.remove(0);
    let Processed::Failed(failure) = processed else {
        panic!("it was settled: {processed:?}");
    };
    assert_eq!(failure.kind, FailureKind::NotRecorded);
    assert!(failure.message.contains("`select twinbox.once($1)`"), "{failure}");
    // And one that refuses says why.
    let toy = Toy::start(&line.scratch.superuser(), &["--once", "--reject", "1"]);
    let processed = line.verify(&toy).process(line.work(2, 1)).await.remove(0);
    let Processed::Failed(failure) = processed else {
        panic!("it was settled: {processed:?}");
    };
    assert_eq!(
        (failure.kind, &*failure.code),
        (FailureKind::Rejected, "https://toy.example/refused")
    );
    line.end().await;
}

/// The first call is still at work when the second begins: to one of the two `once` says no.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_verify_does_the_effect_once_though_a_call_outlives_its_deadline() {
    let Some(line) = Line::lay("http_outlived").await.map(Arc::new) else {
        return;
    };
    let toy = Toy::start(&line.scratch.superuser(), &["--once"]);
    let inbox = Arc::clone(&line.inbox);
    let impatient = TwoPhase::verify(Line::handler(&toy, 1), inbox, "twinbox");
    let hold = "begin; lock table effect in share mode";
    line.client.batch_execute(hold).await.expect("held");
    let processed = impatient.process(line.work(1, 1)).await.remove(0);
    assert!(
        matches!(&processed, Processed::Failed(failure) if failure.kind == FailureKind::Timeout),
        "{processed:?}"
    );
    let (patient, work) = (line.verify(&toy), line.work(1, 2));
    let second = tokio::spawn(async move { patient.process(work).await.remove(0) });
    until("both calls wait", PATIENCE, || async {
        let sql = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into effect%'";
        // Inside a transaction the view stands still.
        let fresh = line.client.batch_execute("select pg_stat_clear_snapshot()");
        fresh.await.expect("cleared");
        let waiting: i64 = line.client.query_one(sql, &[]).await.expect("a count").get(0);
        ensure(waiting == 2, || format!("{waiting} wait"))
    })
    .await;
    line.client.batch_execute("commit").await.expect("let go");
    assert_eq!(second.await.expect("no panic"), Processed::Done);
    assert_eq!(line.effects().await.into_values().collect::<Vec<_>>(), [1]);
    line.end().await;
}
