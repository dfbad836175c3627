//! What all streams of a consumer may hold together (R5), and what each may hold in any case.
//!
//! Promises: while the streams are the same, all hold at most the limits together, plus one message per stream, which may be
//! larger than any room; a stream that joins later is given its share beside what others hold already. Half
//! of the limits is shared out evenly, so that a stream full of resting lanes never keeps another from flowing (G6).

use std::sync::Mutex;
use std::sync::PoisonError;

use tokio::sync::Notify;

use crate::contract::Room;

/// What a consumer may hold in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Bytes of [`Content::cost`](crate::message::Content::cost).
    pub bytes: usize,
}

/// The budget of one consumer.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    held: Mutex<Vec<Option<Limits>>>,
    freed: Notify,
}

/// One stream's part in it.
#[derive(Debug)]
pub(super) struct Share<'a> {
    budget: &'a Budget,
    number: usize,
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            held: Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// A stream takes part.
    pub(super) fn join(&self) -> Share<'_> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let number = held.iter().position(Option::is_none).unwrap_or(held.len());
        let nothing = Some(Limits { messages: 0, bytes: 0 });
        match held.get_mut(number) {
            Some(slot) => *slot = nothing,
            None => held.push(nothing),
        }
        Share { budget: self, number }
    }
}

// === impl Share ===

impl Share<'_> {
    /// Notes what the stream holds now, and answers how much more it may.
    pub(super) fn hold(&self, messages: usize, bytes: usize) -> Room {
        let Budget { limits, held, freed } = self.budget;
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut less = false;
        if let Some(own) = held.get_mut(self.number) {
            less = own.is_some_and(|own| own.messages > messages || own.bytes > bytes);
            *own = Some(Limits { messages, bytes });
        }
        if less {
            freed.notify_waiters();
        }
        let streams = held.iter().flatten().count().max(1);
        let room = |limit: usize, own: usize, of: fn(&Limits) -> usize| {
            let share = (limit / 2 / streams).max(1);
            let borrowed: usize = held.iter().flatten().map(|all| of(all).saturating_sub(share)).sum();
            share.saturating_sub(own) + (limit / 2).saturating_sub(borrowed)
        };
        Room {
            messages: room(limits.messages, messages, |all| all.messages),
            bytes: room(limits.bytes, bytes, |all| all.bytes),
        }
    }

    /// Waits until another stream holds less.
    pub(super) async fn freed(&self) {
        self.budget.freed.notified().await;
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut held = self.budget.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get_mut(self.number) {
            *own = None;
        }
        self.budget.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        messages: 4_000,
        bytes: 1 << 20,
    };

    #[test]
    fn one_stream_may_hold_everything() {
        let budget = Budget::new(LIMITS);
        let only = budget.join();
        assert_eq!(only.hold(0, 0).messages, 4_000);
        assert_eq!(only.hold(4_000, 0).messages, 0);
    }

    #[test]
    fn r5_a_stream_that_is_full_leaves_others_their_share() {
        let budget = Budget::new(LIMITS);
        let (full, other) = (budget.join(), budget.join());
        let room = full.hold(0, 0).messages;
        assert_eq!(full.hold(room, 0).messages, 0);
        assert_eq!(other.hold(0, 0).messages, 1_000);
        drop(full);
        assert_eq!(other.hold(0, 0).messages, 4_000);
    }

    proptest! {
        #[test]
        fn r5_all_streams_together_hold_no_more_than_the_limits(
            streams in 1..20_usize, takes in proptest::collection::vec((0..20_usize, 1..2_000_usize, any::<bool>()), 1..200)
        ) {
            let budget = Budget::new(LIMITS);
            let shares: Vec<_> = (0..streams).map(|_| budget.join()).collect();
            let mut held = vec![0; streams];
            for (stream, count, frees) in takes {
                let stream = stream % streams;
                if frees {
                    held[stream] -= count.min(held[stream]);
                } else {
                    held[stream] += count.min(shares[stream].hold(held[stream], 0).messages);
                }
                shares[stream].hold(held[stream], 0);
                prop_assert!(held.iter().sum::<usize>() <= LIMITS.messages);
            }
        }
    }
}
