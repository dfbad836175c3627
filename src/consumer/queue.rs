//! What a flow wants to have called, until somebody has time for it.
//!
//! Promises: batches are cut between lanes, never inside a run, so that a lane is in at most one batch at a time; a run that is
//! longer than a batch does not exist.

use std::collections::VecDeque;

use crate::contract::{Answer, Outbound, Receipt};
use crate::message::Key;

/// Runs that wait.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Outbound>);

// === impl Queue ===

impl Queue {
    /// Takes what a flow hands over: the messages of a run stand together.
    pub(super) fn push(&mut self, batch: Vec<Outbound>) {
        self.0.extend(batch);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next batch: whole runs, at most so many messages, but at least one run.
    pub(super) fn take(&mut self, most: usize) -> Vec<Outbound> {
        let mut cut = 0;
        let mut start = 0;
        for at in 1..=self.0.len() {
            let ends = at == self.0.len() || !same_lane(&self.0[start], &self.0[at]);
            if !ends {
                continue;
            }
            if cut > 0 && at > most {
                break;
            }
            (cut, start) = (at, at);
            if cut >= most {
                break;
            }
        }
        self.0.drain(..cut).collect()
    }

    /// Nothing that waits and has such a key is called for any more.
    pub(super) fn give_back(&mut self, such: impl Fn(Option<&Key>) -> bool) -> Vec<Answer> {
        let waiting = std::mem::take(&mut self.0).into_iter();
        let (back, stays): (VecDeque<_>, _) = waiting.partition(|outbound| such(outbound.address.key.as_ref()));
        self.0 = stays;
        let answers = back.into_iter().map(|outbound| Answer {
            ticket: outbound.ticket,
            receipt: Receipt::NotAttempted,
        });
        answers.collect()
    }
}

/// A message without a key is a lane of its own.
fn same_lane(one: &Outbound, other: &Outbound) -> bool {
    one.address.key.is_some()
        && one.address.key == other.address.key
        && one.address.destination == other.address.destination
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::contract::Ticket;
    use crate::delivery::Address;
    use crate::message::{Body, Content, ContentType, Headers, Position};

    fn outbound(ticket: u64, key: Option<&str>) -> Outbound {
        Outbound {
            ticket: Ticket(ticket),
            attempt: 1,
            address: Address {
                destination: ["t", "0"].into_iter().collect(),
                key: key.map(Into::into),
                headers: Arc::default(),
            },
            message: Content {
                position: Position::new(0, ticket, 0),
                id: Uuid::nil(),
                aggregate_type: "t".into(),
                key: key.map(Into::into),
                kind: "k".into(),
                body: Body::Null,
                content_type: ContentType::Json,
                headers: Headers::default(),
                traceparent: None,
                occurred_at: jiff::Timestamp::UNIX_EPOCH,
                replay: None,
                origin: None,
            }
            .into(),
        }
    }

    fn taken(keys: &[Option<&str>], most: usize) -> Vec<Vec<u64>> {
        let mut queue = Queue::default();
        queue.push((0..).zip(keys).map(|(n, key)| outbound(n, *key)).collect());
        let mut all = Vec::new();
        while !queue.is_empty() {
            all.push(queue.take(most).iter().map(|outbound| outbound.ticket.0).collect());
        }
        all
    }

    #[test]
    fn r1_a_run_is_never_cut() {
        let (a, b) = (Some("a"), Some("b"));
        assert_eq!(taken(&[a, a, b, b], 3), [vec![0, 1], vec![2, 3]]);
        assert_eq!(taken(&[a, b, b, a], 2), [vec![0], vec![1, 2], vec![3]]);
        assert_eq!(
            taken(&[a, a, a], 2),
            [vec![0, 1, 2]],
            "rather too many than two batches of one lane"
        );
    }

    #[test]
    fn messages_without_a_key_are_cut_anywhere() {
        assert_eq!(taken(&[None, None, None], 2), [vec![0, 1], vec![2]]);
    }
}
