//! A [`Processor`] of a handler that is called, and an inbox that remembers.
//!
//! ```text
//!   claim    known? ── call ── 2xx ──── record, under the fence ──▶ Done
//!   verify   known? ── call ── 2xx ──── known now? ───────────────▶ Done
//! ```
//!
//! Promises: the contract's; nothing is called that the inbox remembers; many messages that are under way at once share one
//! question and one record (`grouped`); an inbox that is away never speaks of a message: nothing is burnt, nothing is parked.
//!
//! # The window of `claim`
//!
//! Between the application's commit and our record (crash points KC18 and KC19) lies a window: if the process dies there,
//! loses its stream, or never reads the reply, the application is called again with the same id, and an effect that is not
//! idempotent happens twice. The same holds for two deliveries with one id that are under way at one moment in two lanes (a
//! business key, `dedupe.by`). A process that lives does not call again only because its database is away: it remembers what
//! the application has said (at most [`SAID_MAX`] ids) until the record is made. A 2xx whose effect the application loses
//! afterwards is outside our power.
//!
//! # The window of `verify`
//!
//! There is none for the effect: the application records the id in the effect's own transaction, by `once`, whose answer says
//! whether to do it. The call itself may come again at any time, and a fence cannot stop it: the effect is in the
//! application's transaction, not in ours. A 2xx without a row is looked for [`LOOKS`] times, for frameworks that commit just
//! after they have answered, and is then *not recorded*: the message is tried again with the same id.
//!
//! # Why the mark of a piece of work is not written here
//!
//! It would be one more transaction per record, on the row that the engine's own mark is about to write.

mod grouped;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::contract::{
    Attempt, Boxed, Capacity, Fence, Finding, Handler, Identity, Inbox, Known, Outbound, Outcome, Processed, Processor,
    StoreError, Work,
};
use crate::delivery::{Failure, FailureKind};
use grouped::Grouped;

/// Most ids of which the application's word is remembered without a record. They are unsettled messages, of which there are
/// at most `limits.in_flight`.
const SAID_MAX: usize = 100_000;
/// When a row is looked for that should be there.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(25), Duration::from_millis(100)];
/// While so many are called for, as many more may be asked about or recorded.
const AHEAD: usize = 2;

type Asked = Result<Arc<HashSet<Identity>>, StoreError>;
type Recorded = Arc<Vec<(Arc<Fence>, Result<(), StoreError>)>>;

/// A handler and an inbox as one.
pub struct TwoPhase {
    handler: Arc<dyn Handler>,
    known: Grouped<Identity, Asked>,
    second: Second,
    calls: Semaphore,
}

/// What makes a 2xx durable.
enum Second {
    /// We record it.
    Record {
        records: Grouped<(Arc<Fence>, Identity), Recorded>,
        said: Mutex<HashSet<Identity>>,
    },
    /// The application has, by that statement.
    Look { statement: String },
}

/// One piece of work on its way; an answer once it is known.
struct Pass {
    fence: Arc<Fence>,
    messages: Vec<Outbound>,
    ids: Vec<Identity>,
    answers: Vec<Option<Processed>>,
}

// === impl TwoPhase ===

impl TwoPhase {
    /// We remember, after the application has said that it is done.
    #[must_use]
    pub fn claim(handler: Arc<dyn Handler>, inbox: Arc<dyn Inbox>) -> Self {
        let recorder = Arc::clone(&inbox);
        let records = Grouped::new(move |items| record(Arc::clone(&recorder), items));
        let said = Mutex::default();
        Self::new(handler, inbox, Second::Record { records, said })
    }

    /// The application remembers, in its own transaction; `schema` is where its `once` is.
    #[must_use]
    pub fn verify(handler: Arc<dyn Handler>, inbox: Arc<dyn Inbox>, schema: &str) -> Self {
        let statement = format!("select {schema}.once($1)");
        Self::new(handler, inbox, Second::Look { statement })
    }

    fn new(handler: Arc<dyn Handler>, inbox: Arc<dyn Inbox>, second: Second) -> Self {
        let known = Grouped::new(move |ids| -> Boxed<'static, Asked> {
            let inbox = Arc::clone(&inbox);
            Box::pin(async move { inbox.known(ids).await.map(Arc::new) })
        });
        Self {
            calls: Semaphore::new(handler.capacity().concurrency),
            handler,
            known,
            second,
        }
    }

    async fn run(&self, work: Work) -> Vec<Processed> {
        let mut pass = Pass::of(work);
        match self.known.ask(pass.ids.clone()).await {
            Ok(known) => pass.remembered(&known),
            Err(error) => return vec![unremembered(&error); pass.ids.len()],
        }
        crate::point!("ids.asked");
        let mut done = self.said_before(&mut pass);
        let first = pass.first_of_each(&done);
        done.extend(self.call(&mut pass, first).await);
        match &self.second {
            Second::Record { records, said } => {
                keep(said, &pass, &done);
                crate::point!("call.answered");
                let answers = recorded(records, said, &pass, &done).await;
                crate::point!("ids.recorded");
                pass.fill(&done, &answers);
            }
            Second::Look { statement } => {
                crate::point!("call.unverified");
                let answers = self.look(statement, &pass, &done).await;
                pass.fill(&done, &answers);
            }
        }
        pass.finish()
    }

    /// Places of messages that the application has said to be done, but that could not be recorded then.
    fn said_before(&self, pass: &mut Pass) -> Vec<usize> {
        let Second::Record { said, .. } = &self.second else {
            return Vec::new();
        };
        let mut said = lock(said);
        if said.is_empty() {
            return Vec::new();
        }
        let open = pass.open();
        for (place, id) in pass.ids.iter().enumerate() {
            if !open.contains(&place) {
                said.remove(id);
            }
        }
        open.into_iter()
            .filter(|place| said.contains(&pass.ids[*place]))
            .collect()
    }

    /// Calls for these places; answers those that are done, the others are filled in.
    async fn call(&self, pass: &mut Pass, places: Vec<usize>) -> Vec<usize> {
        if places.is_empty() {
            return places;
        }
        let calls = places.iter().map(|place| pass.call(*place)).collect();
        // Never closed: it lives as long as we do.
        let turn = self.calls.acquire().await;
        let outcomes = self.handler.handle(calls).await;
        drop(turn);
        debug_assert_eq!(outcomes.len(), places.len(), "one outcome per message (Handler P1)");
        let mut done = Vec::with_capacity(places.len());
        for (place, outcome) in places.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done => done.push(place),
                Outcome::Failed(failure) => pass.answers[place] = Some(Processed::Failed(failure)),
            }
        }
        done
    }

    /// Whether the application has recorded what it says to be done.
    async fn look(&self, statement: &str, pass: &Pass, done: &[usize]) -> Vec<Processed> {
        let mut seen = HashSet::new();
        for pause in LOOKS {
            let unseen: Vec<_> = done
                .iter()
                .map(|place| pass.ids[*place])
                .filter(|id| !seen.contains(id))
                .collect();
            if unseen.is_empty() {
                break;
            }
            if !pause.is_zero() {
                crate::point!("row.unseen");
                tokio::time::sleep(pause).await;
            }
            match self.known.ask(unseen).await {
                Ok(known) => seen.extend(known.iter().copied()),
                Err(error) => return vec![unremembered(&error); done.len()],
            }
        }
        crate::point!("row.verified");
        let answer = |place: &usize| {
            if seen.contains(&pass.ids[*place]) {
                Processed::Done
            } else {
                Processed::Failed(Arc::new(not_recorded(statement)))
            }
        };
        done.iter().map(answer).collect()
    }
}

impl Processor for TwoPhase {
    fn capacity(&self) -> Capacity {
        let own = self.handler.capacity();
        Capacity {
            batch: own.batch,
            run: 1,
            concurrency: own.concurrency.saturating_mul(AHEAD),
        }
    }

    fn process(&self, work: Work) -> Boxed<'_, Vec<Processed>> {
        Box::pin(self.run(work))
    }

    /// There is nothing to look at: an application that does not answer is no error.
    fn check(&self) -> Boxed<'_, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn health(&self) -> Boxed<'_, Option<Result<(), Failure>>> {
        self.handler.health()
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        self.handler.findings()
    }
}

impl fmt::Debug for TwoPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoPhase")
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

// === impl Pass ===

impl Pass {
    fn of(work: Work) -> Self {
        let ids: Vec<_> = work
            .messages
            .iter()
            .map(|outbound| Identity::of(&outbound.message))
            .collect();
        Self {
            fence: work.fence,
            answers: vec![None; ids.len()],
            messages: work.messages,
            ids,
        }
    }

    fn remembered(&mut self, known: &HashSet<Identity>) {
        for (id, answer) in self.ids.iter().zip(&mut self.answers) {
            if known.contains(id) {
                *answer = Some(Processed::Duplicate);
            }
        }
    }

    /// Places without an answer.
    fn open(&self) -> Vec<usize> {
        (0..self.answers.len())
            .filter(|place| self.answers[*place].is_none())
            .collect()
    }

    /// Open places that are to be called for: of several messages with one id only the first.
    fn first_of_each(&self, done: &[usize]) -> Vec<usize> {
        let mut seen: HashSet<_> = done.iter().map(|place| self.ids[*place]).collect();
        let open = self.open().into_iter().filter(|place| !done.contains(place));
        open.filter(|place| seen.insert(self.ids[*place])).collect()
    }

    fn call(&self, place: usize) -> (crate::message::Message, Attempt) {
        let outbound = &self.messages[place];
        let attempt = Attempt {
            number: outbound.attempt,
            identity: self.ids[place],
            headers: Arc::clone(&outbound.address.headers),
        };
        (outbound.message.clone(), attempt)
    }

    fn fill(&mut self, places: &[usize], answers: &[Processed]) {
        for (place, answer) in places.iter().zip(answers) {
            self.answers[*place] = Some(answer.clone());
        }
    }

    /// A message whose id stands twice shares the fate of the first: done once, or not tried.
    fn finish(self) -> Vec<Processed> {
        let answered = self.ids.iter().zip(&self.answers);
        let fates: HashMap<_, _> = answered
            .filter_map(|(id, answer)| Some((*id, answer.clone()?)))
            .collect();
        let fate = |id| match fates.get(id) {
            Some(Processed::Done | Processed::Duplicate) => Processed::Duplicate,
            Some(Processed::Fenced) => Processed::Fenced,
            _ => Processed::Held,
        };
        let answers = self.ids.iter().zip(self.answers);
        answers.map(|(id, answer)| answer.unwrap_or_else(|| fate(id))).collect()
    }
}

/// Until it is recorded.
fn keep(said: &Mutex<HashSet<Identity>>, pass: &Pass, done: &[usize]) {
    let mut said = lock(said);
    for place in done {
        if said.len() < SAID_MAX {
            said.insert(pass.ids[*place]);
        }
    }
}

/// What recording came to, for each of these places.
async fn recorded(
    records: &Grouped<(Arc<Fence>, Identity), Recorded>,
    said: &Mutex<HashSet<Identity>>,
    pass: &Pass,
    done: &[usize],
) -> Vec<Processed> {
    if done.is_empty() {
        return Vec::new();
    }
    let ids = done.iter().map(|place| (Arc::clone(&pass.fence), pass.ids[*place]));
    let recorded = records.ask(ids.collect()).await;
    let own = recorded.iter().find(|(fence, _)| Arc::ptr_eq(fence, &pass.fence));
    let answer = match own.map(|(_, answer)| answer) {
        Some(Err(error)) => unremembered(error),
        // A group holds everything that was asked of it.
        Some(Ok(())) | None => Processed::Done,
    };
    // What is recorded, or another's to record, is not remembered here.
    if matches!(answer, Processed::Done | Processed::Fenced) {
        let mut said = lock(said);
        for place in done {
            said.remove(&pass.ids[*place]);
        }
    }
    vec![answer; done.len()]
}

/// One transaction per stream; streams do not wait for each other's failures.
fn record(inbox: Arc<dyn Inbox>, items: Vec<(Arc<Fence>, Identity)>) -> Boxed<'static, Recorded> {
    let mut groups: Vec<(Arc<Fence>, Vec<Identity>)> = Vec::new();
    for (fence, id) in items {
        match groups.iter_mut().find(|(own, _)| Arc::ptr_eq(own, &fence)) {
            Some((_, ids)) => ids.push(id),
            None => groups.push((fence, vec![id])),
        }
    }
    Box::pin(async move {
        let each = groups.into_iter().map(|(fence, ids)| {
            let inbox = Arc::clone(&inbox);
            async move {
                let answer = inbox.record(&fence, ids, Known::Done).await;
                (fence, answer)
            }
        });
        Arc::new(futures_util::future::join_all(each).await)
    })
}

/// An inbox that does not answer speaks of no message: nobody's attempt is burnt, nothing is parked.
fn unremembered(error: &StoreError) -> Processed {
    let failure = match error {
        StoreError::Fenced => return Processed::Fenced,
        StoreError::Away(failure) => {
            let kind = match failure.kind {
                FailureKind::Destination => FailureKind::Destination,
                _ => FailureKind::Unreachable,
            };
            Failure {
                kind,
                ..failure.clone()
            }
        }
        StoreError::Incident { kind, sentence, .. } => Failure::new(FailureKind::Destination, *kind, sentence.clone()),
    };
    Processed::Failed(Arc::new(failure))
}

fn not_recorded(statement: &str) -> Failure {
    let sentence = format!(
        "the application answered that it is done, but recorded nothing: in the transaction of its effect it must call \
         `{statement}` with the value of the twinbox-once header"
    );
    Failure::new(FailureKind::NotRecorded, "NotRecorded", sentence)
}

fn lock(said: &Mutex<HashSet<Identity>>) -> MutexGuard<'_, HashSet<Identity>> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "two_phase_tests.rs"]
mod tests;
