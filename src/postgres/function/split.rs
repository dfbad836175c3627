//! Which messages go into which transaction. Pure.
//!
//! Promises: every message is answered once, in the batch's order (P1); behind a failed message nothing of its lane is tried
//! (S20, P3); all others are (P4); a batch with one bad message needs at most three transactions where it is known which one
//! it is, 2·log₂ n more where it is not.
//!
//! # Why the good ones in front go first, alone
//!
//! Leaving the bad one out and trying all others again is one transaction less for one bad message, but does everything
//! again for each: of 500 with 100 bad ones, 25,000 calls. This way nothing is called more than twice for a failure behind
//! it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::failure::{Scope, Trouble};
use crate::contract::{Outbound, Processed};
use crate::delivery::{Failure, FailureKind, LaneName};

/// What became of a transaction over some messages.
#[derive(Debug)]
pub(in crate::postgres) enum Outcome {
    /// It committed; for each message whether it was new.
    Committed(Vec<bool>),
    /// These can never be called: place in the transaction, and why. Nothing was.
    Unfit(Vec<(usize, Failure)>),
    /// Rolled back. Where it is known: at which message.
    Failed(Option<usize>, Trouble),
    /// The position row is another owner's.
    Fenced,
}

/// A batch on its way to its answers.
#[derive(Debug)]
pub(in crate::postgres) struct Split<'a> {
    messages: &'a [Outbound],
    answers: Vec<Option<Processed>>,
    /// What is left to be tried, in order.
    spans: VecDeque<Vec<usize>>,
    /// Lanes in which a message failed, and the first that did.
    stopped: HashMap<LaneName, usize>,
}

// === impl Split ===

impl<'a> Split<'a> {
    pub(in crate::postgres) fn new(messages: &'a [Outbound]) -> Self {
        Self {
            messages,
            answers: vec![None; messages.len()],
            spans: VecDeque::from([(0..messages.len()).collect()]),
            stopped: HashMap::new(),
        }
    }

    /// The messages of the next transaction; none = all are answered.
    pub(in crate::postgres) fn next(&mut self) -> Option<Vec<usize>> {
        while let Some(mut span) = self.spans.pop_front() {
            if !self.stopped.is_empty() {
                span.retain(|index| self.goes_on(*index));
            }
            if !span.is_empty() {
                return Some(span);
            }
        }
        None
    }

    /// What became of them.
    pub(in crate::postgres) fn settle(&mut self, span: &[usize], outcome: Outcome) {
        match outcome {
            Outcome::Committed(new) => {
                for (index, new) in span.iter().zip(new) {
                    let answer = if new { Processed::Done } else { Processed::Duplicate };
                    self.answers[*index] = Some(answer);
                }
            }
            Outcome::Unfit(unfit) => {
                let bad: HashSet<usize> = unfit.iter().map(|(at, _)| *at).collect();
                for (at, failure) in unfit {
                    // Behind another one of its lane it is not its turn yet.
                    if self.goes_on(span[at]) {
                        self.fail(span[at], failure);
                    }
                }
                let rest = span.iter().enumerate().filter(|(at, _)| !bad.contains(at));
                self.spans.push_front(rest.map(|(_, index)| *index).collect());
            }
            Outcome::Failed(at, trouble) => self.trouble(span, at, trouble),
            Outcome::Fenced => self.end(&Processed::Fenced),
        }
    }

    fn trouble(&mut self, span: &[usize], at: Option<usize>, trouble: Trouble) {
        let alone = span.len() == 1;
        match (trouble.scope, at) {
            (Scope::All, _) => self.end(&Processed::Failed(Arc::new(trouble.failure))),
            (Scope::Message | Scope::Met, Some(at)) => self.cut_out(span, at, trouble.failure),
            // Two transactions met, and it was not at a message: none of them is to blame.
            (Scope::Met, None) => self.end(&Processed::Failed(Arc::new(trouble.failure))),
            (Scope::Message | Scope::Slow, _) if alone => self.cut_out(span, 0, trouble.failure),
            (Scope::Message, None) => self.halve(span, span.len() / 2),
            // Half of what there was time for.
            (Scope::Slow, at) => self.halve(span, at.unwrap_or(span.len()).div_ceil(2).clamp(1, span.len() - 1)),
        }
    }

    /// The answers, in the batch's order.
    pub(in crate::postgres) fn answers(self) -> Vec<Processed> {
        let unanswered = || {
            let what = "this message was left without an outcome: a defect of twinbox, please report it";
            Processed::Failed(Arc::new(Failure::new(FailureKind::Transient, "unanswered", what)))
        };
        let answers = self.answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered));
        answers.collect()
    }

    fn cut_out(&mut self, span: &[usize], at: usize, failure: Failure) {
        self.fail(span[at], failure);
        self.spans.push_front(span[at + 1..].to_vec());
        self.spans.push_front(span[..at].to_vec());
    }

    fn halve(&mut self, span: &[usize], middle: usize) {
        self.spans.push_front(span[middle..].to_vec());
        self.spans.push_front(span[..middle].to_vec());
    }

    fn fail(&mut self, index: usize, failure: Failure) {
        self.answers[index] = Some(Processed::Failed(Arc::new(failure)));
        let first = self.stopped.entry(self.lane(index)).or_insert(index);
        *first = (*first).min(index);
    }

    /// Everything that has no answer gets this one.
    fn end(&mut self, answer: &Processed) {
        for own in self.answers.iter_mut().filter(|own| own.is_none()) {
            *own = Some(answer.clone());
        }
        self.spans.clear();
    }

    /// Whether nothing in front of it has failed; if something has, it is held.
    fn goes_on(&mut self, index: usize) -> bool {
        let goes = self.stopped.get(&self.lane(index)).is_none_or(|first| index < *first);
        if !goes && self.answers[index].is_none() {
            self.answers[index] = Some(Processed::Held);
        }
        goes
    }

    fn lane(&self, index: usize) -> LaneName {
        let Outbound { address, message, .. } = &self.messages[index];
        LaneName::of(&address.destination, address.key.as_ref(), message.position)
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
