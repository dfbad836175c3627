//! One question for many who ask at once.
//!
//! Promises: at most one question is under way; what is asked meanwhile goes together as the next one, so nobody waits for a
//! timer, and nobody alone waits at all; each asker gets the whole answer; one who goes away takes nobody's answer with it,
//! because whoever waits drives the question on: there is no task.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{FutureExt as _, Shared};

use crate::contract::Boxed;

/// Most that goes into one question.
const ITEMS_MAX: usize = 1_000;

/// Asks for many.
pub(super) struct Grouped<Item, Answer: Clone> {
    question: Arc<dyn Fn(Vec<Item>) -> Boxed<'static, Answer> + Send + Sync>,
    desk: Mutex<Desk<Item, Answer>>,
}

/// Taken by the question when it begins.
type Waiting<Item> = Arc<Mutex<Option<Vec<Item>>>>;

struct Desk<Item, Answer: Clone> {
    /// What goes into the next question.
    next: Option<Waiting<Item>>,
    /// The newest question, begun or not.
    last: Option<Shared<Boxed<'static, Answer>>>,
}

// === impl Grouped ===

impl<Item, Answer> Grouped<Item, Answer>
where
    Item: Send + 'static,
    Answer: Clone + Send + Sync + 'static,
{
    /// Asks by that function.
    pub(super) fn new(question: impl Fn(Vec<Item>) -> Boxed<'static, Answer> + Send + Sync + 'static) -> Self {
        Self {
            question: Arc::new(question),
            desk: Mutex::new(Desk { next: None, last: None }),
        }
    }

    /// Asks, together with whoever asks at this time.
    pub(super) async fn ask(&self, items: Vec<Item>) -> Answer {
        let question = self.join(items);
        question.await
    }

    fn join(&self, items: Vec<Item>) -> Shared<Boxed<'static, Answer>> {
        let mut desk = lock(&self.desk);
        let items = match (&desk.next, &desk.last) {
            (Some(next), Some(last)) => match added(next, items) {
                None => return last.clone(),
                Some(items) => items,
            },
            _ => items,
        };
        let waiting: Waiting<Item> = Arc::new(Mutex::new(Some(items)));
        let (before, taken, question) = (desk.last.take(), Arc::clone(&waiting), Arc::clone(&self.question));
        let next: Boxed<'static, Answer> = Box::pin(async move {
            if let Some(before) = before {
                before.await;
            }
            let items = lock(&taken).take().unwrap_or_default();
            question(items).await
        });
        let next = next.shared();
        (desk.next, desk.last) = (Some(waiting), Some(next.clone()));
        next
    }
}

/// Adds to a question that has not begun; gives back what it cannot take.
fn added<Item>(next: &Waiting<Item>, items: Vec<Item>) -> Option<Vec<Item>> {
    let mut waiting = lock(next);
    match waiting
        .as_mut()
        .filter(|waiting| waiting.len() + items.len() <= ITEMS_MAX)
    {
        Some(waiting) => {
            waiting.extend(items);
            None
        }
        None => Some(items),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "grouped_tests.rs"]
mod tests;
