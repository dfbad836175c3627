//! A broker with one stream and an application, both scripted; and a consumer between them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use twinbox::consumer::{Control, Engine, Limits, Outcome, Status, Wanted, run};
use twinbox::contract::{
    Begin, Boxed, Capacity, Fate, Finding, Happening, Identity, Incident, Lag, Page, Processed, Processor, Room, Start,
    Stream, StreamError, StreamName, Subscriber, Subscription, Work,
};
use twinbox::delivery::{Failure, FailureKind, RestPolicy, Route, Router, Template, TemplateUse};
use twinbox::flow::{OnReject, Pauses, Settings};
use twinbox::message::{Body, Content, ContentType, Headers, Message, Origin, Position};
use twinbox::telemetry::{ConsumerSpans, Pulse};
use uuid::Uuid;

use super::database::Database;
use crate::support::wait::{PATIENCE, until};

pub(super) const ATTEMPTS: u32 = 3;

/// The log of the one partition, and what a member knows of it.
#[derive(Debug)]
struct Partition {
    name: StreamName,
    log: Mutex<Vec<Option<String>>>,
    /// Offsets that are gone: the first, and the first that is there again.
    gap: Mutex<Option<(i64, i64)>>,
    arrived: Notify,
    fate: watch::Sender<Fate>,
    settled: AtomicI64,
    released: AtomicBool,
}

/// What the application does with a message: by its offset.
pub(super) type Script = Arc<dyn Fn(u64, u32) -> Reply + Send + Sync>;

pub(super) enum Reply {
    Done,
    Fails(FailureKind),
    /// Done, once that is said.
    Waits(watch::Receiver<bool>),
    /// It never answers: the process is to die with it.
    Hangs,
}

/// Everything around a consumer.
pub(super) struct World {
    pub(super) database: Database,
    /// What an operator holds back.
    pub(super) pauses: watch::Sender<Pauses>,
    partition: Arc<Partition>,
    script: Arc<Mutex<Script>>,
    /// Offsets in the order of their effects, attempts in the order of the calls.
    effects: Arc<Mutex<Vec<u64>>>,
    calls: Arc<Mutex<Vec<(u64, u32)>>>,
}

/// A consumer at work.
pub(super) struct Running {
    pub(super) wanted: watch::Sender<Wanted>,
    pub(super) status: watch::Receiver<Status>,
    task: JoinHandle<Outcome>,
}

#[derive(Debug)]
struct Member(Arc<Partition>, AtomicI64);

struct Members(Arc<Partition>, AtomicBool);

struct Application {
    database: Database,
    script: Arc<Mutex<Script>>,
    effects: Arc<Mutex<Vec<u64>>>,
    calls: Arc<Mutex<Vec<(u64, u32)>>>,
}

pub(super) fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, "Scripted", "as scripted")
}

// === impl World ===

impl World {
    pub(super) fn new() -> Self {
        Self {
            database: Database::default(),
            pauses: watch::channel(Pauses::none()).0,
            partition: Arc::new(Partition {
                name: StreamName {
                    topic: "t".into(),
                    partition: Some(0),
                },
                log: Mutex::default(),
                gap: Mutex::default(),
                arrived: Notify::new(),
                fate: watch::channel(Fate::Ours).0,
                settled: AtomicI64::new(-1),
                released: AtomicBool::new(false),
            }),
            script: Arc::new(Mutex::new(Arc::new(|_, _| Reply::Done))),
            effects: Arc::default(),
            calls: Arc::default(),
        }
    }

    pub(super) fn script(&self, script: impl Fn(u64, u32) -> Reply + Send + Sync + 'static) {
        *self.script.lock().expect("a script") = Arc::new(script);
    }

    /// Writes messages with these keys; the first offset is 0.
    pub(super) fn write<'a>(&self, keys: impl IntoIterator<Item = &'a str>) {
        let keys = keys.into_iter().map(|key| Some(key.to_owned()));
        self.partition.log.lock().expect("a log").extend(keys);
        self.partition.arrived.notify_waiters();
    }

    /// Offsets from the one to below the other are gone.
    pub(super) fn lose(&self, gap: (i64, i64)) {
        *self.partition.gap.lock().expect("a gap") = Some(gap);
    }

    pub(super) fn fate(&self, fate: Fate) {
        self.partition.fate.send_replace(fate);
    }

    pub(super) fn effects(&self) -> Vec<u64> {
        self.effects.lock().expect("effects").clone()
    }

    /// Attempts by offset, in the order of the calls.
    pub(super) fn attempts(&self, offset: u64) -> Vec<u32> {
        let calls = self.calls.lock().expect("calls");
        calls
            .iter()
            .filter(|(at, _)| *at == offset)
            .map(|(_, attempt)| *attempt)
            .collect()
    }

    /// What the broker was told.
    pub(super) fn settled(&self) -> i64 {
        self.partition.settled.load(Ordering::SeqCst)
    }

    pub(super) fn was_released(&self) -> bool {
        self.partition.released.load(Ordering::SeqCst)
    }

    pub(super) fn start(&self) -> Running {
        self.start_with(OnReject::Park, 10)
    }

    pub(super) fn start_with(&self, on_reject: OnReject, batch: usize) -> Running {
        self.partition.released.store(false, Ordering::SeqCst);
        let (wanted, asked) = watch::channel(Wanted::Consume);
        let (tell, status) = watch::channel(Status::default());
        let engine = Engine {
            name: "billing".to_owned(),
            subscriber: Arc::new(Members(Arc::clone(&self.partition), AtomicBool::new(false))),
            inbox: Arc::new(self.database.clone()),
            processor: Arc::new(Application {
                database: self.database.clone(),
                script: Arc::clone(&self.script),
                effects: Arc::clone(&self.effects),
                calls: Arc::clone(&self.calls),
            }),
            broker: None,
            settings: Box::new(move |stream| settings(stream, on_reject, batch)),
            start: Start::Earliest,
            limits: Limits {
                messages: 64,
                bytes: 1 << 20,
            },
            call: Duration::from_secs(1),
            spans: ConsumerSpans::silent(),
            pulse: Pulse::default(),
        };
        let control = Control {
            wanted: asked,
            drain_deadline: Duration::from_secs(5),
            pauses: self.pauses.subscribe(),
            status: tell,
        };
        Running {
            wanted,
            status,
            task: tokio::spawn(run(engine, control)),
        }
    }

    /// Waits until so many effects are there.
    pub(super) async fn done(&self, count: usize) {
        until("effects", PATIENCE, async || {
            let effects = self.effects().len();
            crate::support::wait::ensure(effects >= count, || format!("{effects} of {count}"))
        })
        .await;
    }
}

fn settings(stream: &StreamName, on_reject: OnReject, batch: usize) -> Settings {
    let template = |text: &str| Template::parse(text, TemplateUse::Route).expect("a valid template");
    let partition = stream.partition.unwrap_or_default().to_string();
    Settings {
        batch,
        in_flight: 64,
        bytes: 1 << 20,
        run_max: u32::try_from(batch).unwrap_or(u32::MAX),
        rest: RestPolicy {
            rest_first: Duration::from_millis(10),
            rest_max: Duration::from_millis(50),
            attempts_max: ATTEMPTS,
        },
        stall: None,
        on_reject,
        router: Router::new(Route::new(
            vec![template(&stream.topic), template(&partition)],
            template("{aggregateid}"),
            Vec::new(),
        )),
        dead_letter: None,
    }
}

fn message(offset: u64, key: Option<&str>) -> Message {
    let id = Uuid::from_u128(u128::from(offset) + 1);
    Message::from(Content {
        position: Position::new(0, offset, 0),
        id,
        aggregate_type: "t".into(),
        key: key.map(Into::into),
        kind: "k".into(),
        body: Body::Null,
        content_type: ContentType::Json,
        headers: Headers::default(),
        traceparent: None,
        occurred_at: jiff::Timestamp::UNIX_EPOCH,
        replay: None,
        origin: Some(Box::new(Origin {
            topic: "t".into(),
            partition: Some(0),
            offset: Some(offset.cast_signed()),
            source: None,
            id_text: None,
            identity: id,
            sent: None,
            stored_at: None,
            flaw: (key == Some("malformed")).then(|| "nobody can read it".into()),
        })),
    })
}

// === impl Partition ===

impl Partition {
    fn lost(&self, at: i64) -> Result<(), StreamError> {
        match *self.gap.lock().expect("a gap") {
            Some((first, next)) if (first..next).contains(&at) => Err(StreamError::Incident(Incident {
                kind: "offsets_lost",
                destination: ["t", "0"].into_iter().collect(),
                from: at.to_string(),
                to: next.to_string(),
                sentence: "as scripted".to_owned(),
                go_on: Some(next),
            })),
            _ => Ok(()),
        }
    }
}

// === impl Running ===

impl Running {
    pub(super) async fn stop(self) -> Outcome {
        self.wanted.send_replace(Wanted::Stop);
        self.task.await.expect("the consumer does not panic")
    }

    pub(super) async fn ends(self) -> Outcome {
        self.task.await.expect("the consumer does not panic")
    }

    /// The process dies.
    pub(super) async fn dies(self) {
        self.task.abort();
        assert!(
            self.task.await.is_err_and(|error| error.is_cancelled()),
            "it was killed, and did not end before"
        );
    }

    pub(super) async fn shows(&mut self, what: &str, holds: impl Fn(&Status) -> bool) {
        let seen = tokio::time::timeout(PATIENCE, self.status.wait_for(|status| holds(status))).await;
        assert!(
            seen.is_ok_and(|seen| seen.is_ok()),
            "{what}: {:?}",
            self.status.borrow()
        );
    }
}

impl Subscriber for Members {
    fn subscribe(&self) -> Boxed<'_, Result<Arc<dyn Subscription>, Failure>> {
        let partition = Arc::clone(&self.0);
        Box::pin(async { Ok(Arc::new(Self(partition, AtomicBool::new(false))) as Arc<dyn Subscription>) })
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        Box::pin(async { Vec::new() })
    }
}

impl Subscription for Members {
    fn next(&self) -> Boxed<'_, Happening> {
        Box::pin(async {
            if self.1.swap(true, Ordering::SeqCst) {
                return std::future::pending().await;
            }
            let member = Member(Arc::clone(&self.0), AtomicI64::new(0));
            Happening::Assigned(vec![Box::new(member)])
        })
    }

    fn close(&self, _: Duration) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}

impl Stream for Member {
    fn name(&self) -> &StreamName {
        &self.0.name
    }

    fn begin(&self, from: Begin) -> Boxed<'_, Result<i64, StreamError>> {
        let first = match from {
            Begin::Offset(offset) => offset,
            Begin::Start(_) => 0,
        };
        self.1.store(first, Ordering::SeqCst);
        Box::pin(async move { self.0.lost(first).map(|()| first) })
    }

    fn next(&self, room: Room) -> Boxed<'_, Result<Page, StreamError>> {
        Box::pin(async move {
            loop {
                let arrived = self.0.arrived.notified();
                let from = self.1.load(Ordering::SeqCst);
                self.0.lost(from)?;
                let end = self.0.gap.lock().expect("a gap").map_or(i64::MAX, |(first, _)| first);
                let end = if from < end { end - from } else { i64::MAX };
                let messages: Vec<_> = {
                    let log = self.0.log.lock().expect("a log");
                    let log = (0..).zip(log.iter()).skip(usize::try_from(from).expect("an offset"));
                    log.take(room.messages.min(usize::try_from(end).expect("above")))
                        .map(|(at, key)| message(at, key.as_deref()))
                        .collect()
                };
                if !messages.is_empty() {
                    self.1
                        .fetch_add(i64::try_from(messages.len()).expect("few"), Ordering::SeqCst);
                    return Ok(Page { messages, more: false });
                }
                arrived.await;
            }
        })
    }

    fn settle(&self, mark: i64) {
        self.0.settled.fetch_max(mark, Ordering::SeqCst);
    }

    fn fate(&self) -> Fate {
        *self.0.fate.borrow()
    }

    fn changed(&self) -> Boxed<'_, ()> {
        let mut fate = self.0.fate.subscribe();
        Box::pin(async move {
            let _ = fate.wait_for(|fate| *fate != Fate::Ours).await;
        })
    }

    fn lag(&self) -> Lag {
        Lag::default()
    }

    fn release(self: Box<Self>, _: Duration) -> Boxed<'static, ()> {
        self.0.released.store(true, Ordering::SeqCst);
        Box::pin(async {})
    }
}

impl Processor for Application {
    fn capacity(&self) -> Capacity {
        Capacity {
            batch: 10,
            run: 10,
            concurrency: 4,
        }
    }

    fn process(&self, work: Work) -> Boxed<'_, Vec<Processed>> {
        Box::pin(async move {
            let script = Arc::clone(&self.script.lock().expect("a script"));
            let mut failed: HashMap<_, ()> = HashMap::new();
            let mut answers = Vec::new();
            for outbound in &work.messages {
                let (offset, key) = (outbound.message.position.major, outbound.message.key.clone());
                if failed.contains_key(&key) {
                    answers.push(Processed::Held);
                    continue;
                }
                self.calls.lock().expect("calls").push((offset, outbound.attempt));
                let mut reply = script(offset, outbound.attempt);
                if let Reply::Waits(gate) = &mut reply {
                    let _ = gate.wait_for(|open| *open).await;
                }
                match reply {
                    Reply::Done | Reply::Waits(_) => answers.push(
                        match self.database.effect(&work.fence, Identity::of(&outbound.message)) {
                            None => Processed::Fenced,
                            Some(false) => Processed::Duplicate,
                            Some(true) => {
                                self.effects.lock().expect("effects").push(offset);
                                Processed::Done
                            }
                        },
                    ),
                    Reply::Fails(kind) => {
                        failed.insert(key, ());
                        answers.push(Processed::Failed(Arc::new(failure(kind))));
                    }
                    Reply::Hangs => return std::future::pending().await,
                }
            }
            answers
        })
    }

    fn check(&self) -> Boxed<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        Box::pin(async { Vec::new() })
    }
}
