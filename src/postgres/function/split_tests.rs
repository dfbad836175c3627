//! The split against a model of a database: transactions that fail at bad messages.

use std::collections::HashMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::contract::Ticket;
use crate::delivery::{Address, Destination};
use crate::message::{Body, Content, ContentType, Headers, Key, Message, Position};

/// How the handler takes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Good,
    Bad,
    Unfit,
    /// Fails at COMMIT, where nobody knows who it was.
    Late,
    /// Was done before.
    Known,
}

fn outbound(index: usize, lane: u8) -> Outbound {
    let destination: Destination = ["orders", "0"].into_iter().collect();
    let key = Key::from(&[lane][..]);
    let content = Content {
        position: Position::new(0, index as u64, 0),
        id: Uuid::from_u128(index as u128),
        aggregate_type: "order".into(),
        key: Some(key.clone()),
        kind: "created".into(),
        body: Body::Null,
        content_type: ContentType::Json,
        headers: Headers::default(),
        traceparent: None,
        occurred_at: jiff::Timestamp::UNIX_EPOCH,
        replay: None,
        origin: None,
    };
    Outbound {
        ticket: Ticket(index as u64),
        message: Message::from(content),
        address: Address {
            destination,
            key: Some(key),
            headers: [].into(),
        },
        attempt: 1,
    }
}

fn bad() -> Failure {
    Failure::new(FailureKind::Ambiguous, "P0001", "no")
}

/// One transaction: all or nothing.
fn transact(span: &[usize], ways: &[Way], done: &mut Vec<usize>) -> Outcome {
    let unfit: Vec<(usize, Failure)> = (0..span.len())
        .filter(|at| ways[span[*at]] == Way::Unfit)
        .map(|at| (at, bad()))
        .collect();
    if !unfit.is_empty() {
        return Outcome::Unfit(unfit);
    }
    if let Some(at) = span.iter().position(|index| ways[*index] == Way::Bad) {
        return Outcome::Failed(Some(at), Trouble::message(bad()));
    }
    if span.iter().any(|index| ways[*index] == Way::Late) {
        return Outcome::Failed(None, Trouble::message(bad()));
    }
    let new: Vec<bool> = span.iter().map(|index| ways[*index] != Way::Known).collect();
    done.extend(span.iter().zip(&new).filter(|(_, new)| **new).map(|(index, _)| *index));
    Outcome::Committed(new)
}

/// Answers, effects in their order, and how many transactions it took.
fn run(messages: &[Outbound], ways: &[Way]) -> (Vec<Processed>, Vec<usize>, usize) {
    let (mut split, mut done, mut transactions) = (Split::new(messages), Vec::new(), 0);
    while let Some(span) = split.next() {
        transactions += 1;
        assert!(transactions < 10_000, "it does not end");
        let outcome = transact(&span, ways, &mut done);
        split.settle(&span, outcome);
    }
    (split.answers(), done, transactions)
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        12 => Just(Way::Good),
        1 => Just(Way::Bad),
        1 => Just(Way::Unfit),
        1 => Just(Way::Late),
        1 => Just(Way::Known),
    ]
}

proptest! {
    #[test]
    fn s20_behind_a_failure_nothing_of_its_lane_is_done_and_all_else_is(
        plan in prop::collection::vec((0_u8..5, way()), 0..60),
    ) {
        let messages: Vec<Outbound> = plan.iter().enumerate().map(|(index, (lane, _))| outbound(index, *lane)).collect();
        let ways: Vec<Way> = plan.iter().map(|(_, way)| *way).collect();
        let (answers, done, _) = run(&messages, &ways);
        prop_assert_eq!(answers.len(), plan.len());
        let mut stopped: HashMap<u8, usize> = HashMap::new();
        let mut latest: HashMap<u8, usize> = HashMap::new();
        for index in &done {
            let before = latest.insert(plan[*index].0, *index);
            prop_assert!(before.is_none_or(|before| before < *index), "{} came before", index);
        }
        for (index, (lane, way)) in plan.iter().enumerate() {
            let behind = stopped.contains_key(lane);
            let answer = &answers[index];
            match way {
                _ if behind => prop_assert!(matches!(answer, Processed::Held | Processed::Failed(_)), "{index}: {answer:?}"),
                Way::Good => prop_assert_eq!(answer, &Processed::Done),
                Way::Known => prop_assert_eq!(answer, &Processed::Duplicate),
                Way::Bad | Way::Unfit | Way::Late => {
                    prop_assert!(matches!(answer, Processed::Failed(_)), "{index}: {answer:?}");
                    stopped.insert(*lane, index);
                }
            }
            prop_assert_eq!(done.contains(&index), *answer == Processed::Done);
        }
    }

    #[test]
    fn one_bad_message_costs_little(at in 0_usize..500, late: bool) {
        let messages: Vec<Outbound> = (0..500).map(|index| outbound(index, index as u8)).collect();
        let mut ways = vec![Way::Good; 500];
        ways[at] = if late { Way::Late } else { Way::Bad };
        let (_, _, transactions) = run(&messages, &ways);
        // 2·log₂ 500 = 18 more than one.
        prop_assert!(transactions <= if late { 19 } else { 3 }, "{}", transactions);
    }
}

#[test]
fn whatever_concerns_all_ends_the_batch() {
    let messages: Vec<Outbound> = (0..4).map(|index| outbound(index, index as u8)).collect();
    for outcome in [Outcome::Fenced, Outcome::Failed(None, Trouble::all(bad()))] {
        let mut split = Split::new(&messages);
        let span = split.next().expect("something to do");
        split.settle(&span, outcome);
        assert_eq!(split.next(), None);
        let answers = split.answers();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
}

#[test]
fn what_takes_long_is_done_in_smaller_parts_and_fails_only_alone() {
    let messages: Vec<Outbound> = (0..9).map(|index| outbound(index, index as u8)).collect();
    let mut split = Split::new(&messages);
    let slow = || Trouble {
        scope: Scope::Slow,
        failure: bad(),
    };
    let mut sizes = Vec::new();
    while let Some(span) = split.next() {
        sizes.push(span.len());
        // Four calls fit into the time; the last message alone takes longer than that.
        let outcome = match span.as_slice() {
            [8] => Outcome::Failed(Some(0), slow()),
            _ if span.len() > 4 => Outcome::Failed(Some(4), slow()),
            _ if span.contains(&8) => Outcome::Failed(span.iter().position(|index| *index == 8), slow()),
            _ => Outcome::Committed(vec![true; span.len()]),
        };
        split.settle(&span, outcome);
    }
    assert_eq!(sizes[0], 9);
    let answers = split.answers();
    assert!(
        answers[..8].iter().all(|answer| *answer == Processed::Done),
        "{answers:?}"
    );
    assert!(matches!(answers[8], Processed::Failed(_)));
}
