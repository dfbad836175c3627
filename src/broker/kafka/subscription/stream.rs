//! One assigned partition as a [`Stream`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::watch;

use super::super::keeper::now;
use super::board::Board;
use super::cell::{Cell, Hold, Taken};
use super::ear::Client;
use super::resolve;
use crate::contract::{Begin, Boxed, Fate, Lag, Page, Room, Stream, StreamError, StreamName};

/// A look into the queue without being called: a ring that was missed costs no more than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How soon a mark that is waited for is told again.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// One assigned partition.
pub(super) struct KafkaStream {
    cell: Arc<Cell>,
    board: Arc<Board>,
    client: Weak<Client>,
    fates: Mutex<watch::Receiver<u32>>,
}

// === impl KafkaStream ===

impl KafkaStream {
    pub(super) fn new(cell: Arc<Cell>, board: Arc<Board>, client: Weak<Client>) -> Self {
        let fates = Mutex::new(cell.fates());
        Self {
            cell,
            board,
            client,
            fates,
        }
    }

    /// Asks what blocks, beside the runtime.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Board, &Arc<Client>, &Arc<Cell>) -> Result<T, StreamError> + Send + 'static,
    ) -> Result<T, StreamError> {
        let (board, cell, client) = (Arc::clone(&self.board), Arc::clone(&self.cell), self.client.clone());
        let work = move || {
            let client = client.upgrade().ok_or(StreamError::Lost)?;
            question(&board, &client, &cell)
        };
        let answer = tokio::task::spawn_blocking(work).await;
        answer.unwrap_or_else(|_| Err(resolve::away(&self.cell, Code::Fail)))
    }

    async fn next_page(&self, room: Room) -> Result<Page, StreamError> {
        loop {
            match self.cell.take(room, &self.board.reader) {
                Taken::Page(page) => return Ok(page),
                Taken::Lost => return Err(StreamError::Lost),
                Taken::Nothing => {
                    // A ring that came since the look is remembered.
                    let _ = tokio::time::timeout(LOOK_EVERY, self.cell.arrived.notified()).await;
                }
                Taken::Broken(code) => {
                    self.ask(move |board, client, cell| mend(board, client, cell, code))
                        .await?;
                }
            }
        }
    }
}

/// Tells why nothing comes, or goes on where it was.
fn mend(board: &Board, client: &Arc<Client>, cell: &Arc<Cell>, code: Code) -> Result<(), StreamError> {
    match resolve::broken(board, client, cell, code) {
        Ok(at) if board.is_steady() => begin(board, client, cell, at),
        Ok(_) => Err(resolve::away(cell, code)),
        Err(StreamError::Away(failure)) => {
            if !super::failure::lost_place(code) && code != Code::UnknownTopicId {
                // librdkafka asks again by itself.
                cell.mend();
            }
            Err(StreamError::Away(failure))
        }
        Err(told) => Err(told),
    }
}

fn begin(board: &Board, client: &Arc<Client>, cell: &Arc<Cell>, at: (i64, i64)) -> Result<(), StreamError> {
    match board.begin(client, cell, at) {
        Ok(true) => Ok(()),
        Ok(false) => Err(StreamError::Lost),
        Err(code) => Err(resolve::away(cell, code)),
    }
}

impl Stream for KafkaStream {
    fn name(&self) -> &StreamName {
        &self.cell.name
    }

    fn begin(&self, from: Begin) -> Boxed<'_, Result<i64, StreamError>> {
        let question = move |board: &Board, client: &Arc<Client>, cell: &Arc<Cell>| {
            if cell.hold() == Hold::Lost {
                return Err(StreamError::Lost);
            }
            let at = resolve::resolve(board, client, cell, from)?;
            begin(board, client, cell, at)?;
            Ok(at.0)
        };
        Box::pin(self.ask(question))
    }

    fn next(&self, room: Room) -> Boxed<'_, Result<Page, StreamError>> {
        Box::pin(self.next_page(room))
    }

    fn settle(&self, mark: i64) {
        self.cell.settle(mark);
    }

    fn fate(&self) -> Fate {
        self.fates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .mark_unchanged();
        match self.cell.hold() {
            Hold::Ours => Fate::Ours,
            Hold::Revoked(until) => Fate::Revoked(until.saturating_duration_since(now())),
            Hold::Lost => Fate::Lost,
        }
    }

    fn changed(&self) -> Boxed<'_, ()> {
        Box::pin(async {
            let mut fates = self.fates.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // The sender lives in the cell, as long as this.
            let _ = fates.changed().await;
            self.fates
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .mark_unchanged();
        })
    }

    fn lag(&self) -> Lag {
        self.cell.lag()
    }

    fn release(self: Box<Self>, deadline: Duration) -> Boxed<'static, ()> {
        Box::pin(async move {
            let told = async {
                loop {
                    let answered = self.cell.told.notified();
                    tokio::pin!(answered);
                    // Before the look: an answer in between is not missed.
                    answered.as_mut().enable();
                    if !self.cell.give_up() {
                        return;
                    }
                    self.board.ring();
                    // Refused for now: it is told again.
                    let _ = tokio::time::timeout(TELL_EVERY, answered).await;
                }
            };
            if tokio::time::timeout(deadline, told).await.is_err() {
                tracing::warn!(stream = %self.cell.name, "the broker did not take the last mark in time");
            }
        })
    }
}

impl Drop for KafkaStream {
    fn drop(&mut self) {
        self.cell.drop_it();
    }
}

impl fmt::Debug for KafkaStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaStream").field(&self.cell).finish()
    }
}
