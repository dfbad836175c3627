//! A scripted handler and an inbox in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use uuid::Uuid;

use super::*;
use crate::contract::{Assumed, Burial, Claim, Memory, Stop, StreamName, Ticket};
use crate::delivery::Address;
use crate::message::{Body, Content, ContentType, Headers, Key, Message, Position};

/// What the application answers, by id; done where nothing is scripted.
#[derive(Default)]
struct Application {
    script: Mutex<HashMap<u128, VecDeque<Outcome>>>,
    called: Mutex<Vec<(u128, Attempt)>>,
    /// It records by itself, as one that calls `once` does.
    records: Option<Arc<Ledger>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// An inbox in memory.
#[derive(Default)]
struct Ledger {
    rows: Mutex<HashSet<Identity>>,
    fenced: Mutex<Option<Uuid>>,
    /// Failures to come: of `known`, of `record`.
    failing: [Mutex<VecDeque<StoreError>>; 2],
    /// Rows that become visible at that look.
    late: Mutex<Option<(usize, Identity)>>,
    /// Nothing is answered before it opens, where there is one.
    gate: Mutex<Option<Arc<Semaphore>>>,
    questions: AtomicUsize,
    records: AtomicUsize,
}

impl Handler for Application {
    fn capacity(&self) -> Capacity {
        Capacity {
            batch: 10,
            run: 1,
            concurrency: 4,
        }
    }

    fn handle(&self, calls: Vec<(Message, Attempt)>) -> Boxed<'_, Vec<Outcome>> {
        Box::pin(async move {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            calls
                .into_iter()
                .map(|(message, attempt)| self.one(&message, &attempt))
                .collect()
        })
    }

    fn health(&self) -> Boxed<'_, Option<Result<(), Failure>>> {
        Box::pin(std::future::ready(None))
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

impl Application {
    fn one(&self, message: &Message, attempt: &Attempt) -> Outcome {
        let id = message.id.as_u128();
        self.called.lock().expect("no panic").push((id, attempt.clone()));
        let mut script = self.script.lock().expect("no panic");
        let outcome = script
            .get_mut(&id)
            .and_then(VecDeque::pop_front)
            .unwrap_or(Outcome::Done);
        if let Some(ledger) = self.records.as_ref().filter(|_| outcome == Outcome::Done) {
            ledger.rows.lock().expect("no panic").insert(attempt.identity);
        }
        outcome
    }

    fn will(&self, id: u128, outcomes: impl IntoIterator<Item = Outcome>) {
        self.script
            .lock()
            .expect("no panic")
            .insert(id, outcomes.into_iter().collect());
    }

    fn called(&self) -> Vec<u128> {
        self.called
            .lock()
            .expect("no panic")
            .iter()
            .map(|(id, _)| *id)
            .collect()
    }
}

impl Ledger {
    async fn pass_the_gate(&self) {
        let gate = self.gate.lock().expect("no panic").clone();
        if let Some(gate) = gate {
            gate.acquire().await.expect("never closed").forget();
        }
    }

    fn fail(&self, which: usize) -> Result<(), StoreError> {
        self.failing[which]
            .lock()
            .expect("no panic")
            .pop_front()
            .map_or(Ok(()), Err)
    }
}

impl Inbox for Ledger {
    fn known(&self, ids: Vec<Identity>) -> Boxed<'_, Result<HashSet<Identity>, StoreError>> {
        Box::pin(async move {
            self.pass_the_gate().await;
            let looks = self.questions.fetch_add(1, Ordering::SeqCst) + 1;
            self.fail(0)?;
            let mut rows = self.rows.lock().expect("no panic");
            if let Some((_, id)) = self.late.lock().expect("no panic").filter(|(at, _)| *at == looks) {
                rows.insert(id);
            }
            Ok(ids.into_iter().filter(|id| rows.contains(id)).collect())
        })
    }

    fn record<'a>(&'a self, fence: &'a Fence, ids: Vec<Identity>, _: Known) -> Boxed<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.pass_the_gate().await;
            self.records.fetch_add(1, Ordering::SeqCst);
            self.fail(1)?;
            if *self.fenced.lock().expect("no panic") == Some(fence.holder) {
                return Err(StoreError::Fenced);
            }
            self.rows.lock().expect("no panic").extend(ids);
            Ok(())
        })
    }

    fn assume(&self, _: &StreamName) -> Boxed<'_, Result<Assumed, StoreError>> {
        unreachable!("not a processor's to call")
    }

    fn begin<'a>(&'a self, _: &'a Fence, _: i64) -> Boxed<'a, Result<(), StoreError>> {
        unreachable!("not a processor's to call")
    }

    fn claim<'a>(&'a self, _: &'a Fence, _: Claim, _: Duration) -> Boxed<'a, Result<(), StoreError>> {
        unreachable!("not a processor's to call")
    }

    fn mark<'a>(&'a self, _: &'a Fence, _: i64) -> Boxed<'a, Result<(), StoreError>> {
        unreachable!("the engine marks by itself")
    }

    fn yield_to_next<'a>(
        &'a self,
        _: &'a Fence,
        _: Option<i64>,
        _: Option<Claim>,
    ) -> Boxed<'a, Result<(), StoreError>> {
        unreachable!("not a processor's to call")
    }

    fn bury<'a>(&'a self, _: &'a Fence, _: Vec<Burial>) -> Boxed<'a, Result<(), StoreError>> {
        unreachable!("not a processor's to call")
    }

    fn stop<'a>(&'a self, _: &'a Fence, _: Stop) -> Boxed<'a, Result<(), StoreError>> {
        unreachable!("not a processor's to call")
    }

    fn moved(&self) -> Boxed<'_, Result<BTreeMap<StreamName, i64>, StoreError>> {
        unreachable!("not a processor's to call")
    }

    fn tidy(&self) -> Boxed<'_, Result<Duration, StoreError>> {
        unreachable!("not a processor's to call")
    }

    fn memory(&self) -> Boxed<'_, Result<Memory, StoreError>> {
        unreachable!("not a processor's to call")
    }
}

fn outbound(id: u128, attempt: u32) -> Outbound {
    let content = Content {
        position: Position::new(0, id as u64, 0),
        id: Uuid::from_u128(id),
        aggregate_type: "order".into(),
        key: Some(Key::from(id.to_string().as_str())),
        kind: "OrderPlaced".into(),
        body: Body::Null,
        content_type: ContentType::Json,
        headers: Headers::default(),
        traceparent: None,
        occurred_at: "2026-01-02T03:04:05Z".parse().expect("a time"),
        replay: None,
        origin: None,
    };
    let address = Address {
        destination: ["order.events", "0"].into_iter().collect(),
        key: content.key.clone(),
        headers: [].into(),
    };
    Outbound {
        ticket: Ticket(id as u64),
        message: content.into(),
        address,
        attempt,
    }
}

fn fence(partition: i32) -> Arc<Fence> {
    let stream = StreamName {
        topic: "order.events".into(),
        partition: Some(partition),
    };
    Arc::new(Fence::new(stream, 1, 0))
}

fn work(fence: &Arc<Fence>, ids: &[u128]) -> Work {
    Work {
        fence: Arc::clone(fence),
        mark: Some(7),
        messages: ids.iter().map(|id| outbound(*id, 1)).collect(),
    }
}

fn away() -> StoreError {
    StoreError::Away(Failure::new(FailureKind::Timeout, "57014", "the database is slow"))
}

fn failure(processed: &Processed) -> &Failure {
    match processed {
        Processed::Failed(failure) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

fn rejected() -> Outcome {
    Outcome::Failed(Arc::new(Failure::new(FailureKind::Rejected, "HTTP422", "no")))
}

fn claim() -> (TwoPhase, Arc<Application>, Arc<Ledger>) {
    let (application, ledger) = (Arc::new(Application::default()), Arc::new(Ledger::default()));
    let processor = TwoPhase::claim(Arc::clone(&application) as _, Arc::clone(&ledger) as _);
    (processor, application, ledger)
}

fn verify(records: bool) -> (TwoPhase, Arc<Application>, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let application = Arc::new(Application {
        records: records.then(|| Arc::clone(&ledger)),
        ..Application::default()
    });
    let processor = TwoPhase::verify(Arc::clone(&application) as _, Arc::clone(&ledger) as _, "twinbox");
    (processor, application, ledger)
}

#[tokio::test]
async fn p2_done_is_recorded_and_comes_back_as_a_duplicate_without_a_call() {
    for (processor, application, ledger) in [claim(), verify(true)] {
        let fence = fence(0);
        assert_eq!(processor.process(work(&fence, &[1])).await, [Processed::Done]);
        assert_eq!(ledger.rows.lock().expect("no panic").len(), 1);
        assert_eq!(
            processor.process(work(&fence, &[1, 2])).await,
            [Processed::Duplicate, Processed::Done]
        );
        assert_eq!(application.called(), [1, 2]);
    }
}

#[tokio::test]
async fn p4_one_failure_keeps_nobody_else_from_being_recorded() {
    let (processor, application, ledger) = claim();
    application.will(2, [rejected()]);
    let answers = processor.process(work(&fence(0), &[1, 2, 3])).await;
    assert_eq!((&answers[0], &answers[2]), (&Processed::Done, &Processed::Done));
    assert_eq!(failure(&answers[1]).code, "HTTP422");
    assert_eq!(ledger.rows.lock().expect("no panic").len(), 2);
}

#[tokio::test]
async fn p5_under_a_fence_that_does_not_hold_nothing_is_recorded() {
    let (processor, _, ledger) = claim();
    let (stale, fresh) = (fence(0), fence(1));
    *ledger.fenced.lock().expect("no panic") = Some(stale.holder);
    let both = join_all([
        processor.process(work(&stale, &[1])),
        processor.process(work(&fresh, &[2])),
    ])
    .await;
    assert_eq!(both, [[Processed::Fenced], [Processed::Done]]);
    assert_eq!(ledger.rows.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn many_pieces_of_work_share_one_question_and_one_record() {
    let (processor, application, ledger) = claim();
    let fence = fence(0);
    let gate = Arc::new(Semaphore::new(0));
    *ledger.gate.lock().expect("no panic") = Some(Arc::clone(&gate));
    // One question at a time, each while everybody has had a chance to ask.
    let opened = async {
        loop {
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            gate.add_permits(1);
        }
    };
    let all = join_all((0..64).map(|id| processor.process(work(&fence, &[id]))));
    let answers = tokio::select! {
        answers = all => answers,
        () = opened => unreachable!("it opens for ever"),
    };
    assert!(answers.iter().all(|answer| *answer == [Processed::Done]));
    assert_eq!(application.called().len(), 64);
    assert!(
        application.most.load(Ordering::SeqCst) <= 4,
        "more calls at once than allowed"
    );
    // The first asks alone, the other 63 together.
    assert_eq!(ledger.questions.load(Ordering::SeqCst), 2);
    assert!(ledger.records.load(Ordering::SeqCst) <= 20, "{:?}", ledger.records);
}

#[tokio::test]
async fn an_inbox_that_is_away_burns_nothing_and_calls_nobody() {
    let (processor, application, ledger) = claim();
    ledger.failing[0].lock().expect("no panic").push_back(away());
    let answers = processor.process(work(&fence(0), &[1])).await;
    assert_eq!(failure(&answers[0]).kind, FailureKind::Unreachable);
    assert!(application.called().is_empty());
}

#[tokio::test]
async fn what_could_not_be_recorded_is_recorded_later_without_a_second_call() {
    let (processor, application, ledger) = claim();
    ledger.failing[1].lock().expect("no panic").extend([away(), away()]);
    for _ in 0..2 {
        let answers = processor.process(work(&fence(0), &[1])).await;
        assert_eq!(failure(&answers[0]).kind, FailureKind::Unreachable);
    }
    assert_eq!(processor.process(work(&fence(0), &[1])).await, [Processed::Done]);
    assert_eq!(application.called(), [1], "the effect happened once");
    assert_eq!(processor.process(work(&fence(0), &[1])).await, [Processed::Duplicate]);
}

#[tokio::test]
async fn two_messages_with_one_id_are_called_for_once() {
    let (processor, application, _) = claim();
    let answers = processor.process(work(&fence(0), &[1, 1])).await;
    assert_eq!(answers, [Processed::Done, Processed::Duplicate]);
    application.will(2, [rejected()]);
    let answers = processor.process(work(&fence(0), &[2, 2])).await;
    assert_eq!(
        (failure(&answers[0]).kind, &answers[1]),
        (FailureKind::Rejected, &Processed::Held)
    );
    assert_eq!(application.called(), [1, 2]);
}

#[tokio::test]
async fn a_2xx_without_the_row_is_not_recorded_and_says_what_to_write() {
    let (processor, application, ledger) = verify(false);
    let answers = processor.process(work(&fence(0), &[1])).await;
    let told = failure(&answers[0]);
    assert_eq!(told.kind, FailureKind::NotRecorded);
    assert!(told.message.contains("`select twinbox.once($1)`"), "{told}");
    assert_eq!(ledger.questions.load(Ordering::SeqCst), 1 + LOOKS.len());
    // It comes again with the same id.
    assert_eq!(
        failure(&processor.process(work(&fence(0), &[1])).await[0]).kind,
        FailureKind::NotRecorded
    );
    assert_eq!(application.called(), [1, 1]);
}

#[tokio::test]
async fn a_row_that_is_committed_just_after_the_reply_is_seen() {
    let (processor, _, ledger) = verify(false);
    let late = outbound(1, 1);
    *ledger.late.lock().expect("no panic") = Some((3, Identity::of(&late.message)));
    assert_eq!(processor.process(work(&fence(0), &[1])).await, [Processed::Done]);
}

#[tokio::test]
async fn an_inbox_that_is_away_after_the_call_settles_nothing_under_verify() {
    let (processor, application, ledger) = verify(true);
    application.will(1, [Outcome::Done]);
    // The first question is answered; the look is not.
    let first = processor.process(work(&fence(0), &[9])).await;
    assert_eq!(first, [Processed::Done]);
    ledger.failing[0].lock().expect("no panic").push_back(away());
    let answers = processor.process(work(&fence(0), &[1])).await;
    assert_eq!(failure(&answers[0]).kind, FailureKind::Unreachable);
    assert_eq!(processor.process(work(&fence(0), &[1])).await, [Processed::Done]);
}

#[tokio::test]
async fn the_attempt_and_the_trace_of_the_caller_reach_the_handler() {
    let (processor, application, _) = claim();
    let mut work = work(&fence(0), &[1]);
    let headers: Arc<[_]> = [("traceparent".into(), "00-aa-bb-01".into())].into();
    work.messages[0].attempt = 3;
    work.messages[0].address.headers = Arc::clone(&headers);
    processor.process(work).await;
    let called = application.called.lock().expect("no panic");
    assert_eq!((called[0].1.number, &called[0].1.headers), (3, &headers));
}
