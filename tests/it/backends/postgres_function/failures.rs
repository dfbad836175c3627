//! What becomes of a message that a handler does not take, and of the others in its transaction.

use std::time::Duration;

use twinbox::contract::{Outbound, Processed};
use twinbox::delivery::{Failure, FailureKind};
use twinbox::message::Body;

use super::rig::Rig;
use crate::conformance::processor::{Workplace as _, changed, delivery};

fn failure(answer: &Processed) -> &Failure {
    match answer {
        Processed::Failed(failure) => failure,
        other => panic!("it did not fail: {other:?}"),
    }
}

/// A batch of good messages, one key each, but for that one.
fn batch(size: u64, bad: u64, kind: &str) -> Vec<Outbound> {
    let own = |n: u64| if n == bad { kind } else { "made" };
    (0..size)
        .map(|n| delivery(n, Some(&format!("key {n}")), own(n)))
        .collect()
}

#[tokio::test]
async fn states_of_the_function_become_kinds() {
    let Some(rig) = Rig::new("states_of_the_function_become_kinds").await else {
        return;
    };
    let cases = [
        ("refused", FailureKind::Rejected, "TB001"),
        ("later", FailureKind::Transient, "TB002"),
        ("raised", FailureKind::Ambiguous, "P0001"),
        ("divided", FailureKind::Ambiguous, "22012"),
        ("nowhere", FailureKind::Ambiguous, "42P01"),
        ("met", FailureKind::Transient, "40001"),
        ("dangling", FailureKind::Ambiguous, "23503"),
    ];
    for (kind, expected, code) in cases {
        let answers = rig.process(&batch(9, 4, kind)).await;
        let failure = failure(&answers[4]);
        assert_eq!((failure.kind, &*failure.code), (expected, code), "{failure:?}");
        let done = answers.iter().filter(|answer| **answer == Processed::Done).count();
        assert_eq!(done, 8, "{kind}: {answers:?}");
        assert_eq!(failure.retry_after, (kind == "later").then(|| Duration::from_secs(30)));
        if kind == "refused" {
            assert_eq!(failure.message, "billing.on_event: not this one");
            assert_eq!(failure.chain[..2], ["detail: it is red", "hint: paint it"]);
            assert!(
                failure.chain[2].starts_with("context: PL/pgSQL function"),
                "{failure:?}"
            );
        }
    }
    rig.end().await;
}

#[tokio::test]
async fn a_function_that_raises_in_the_middle_of_500_costs_two_more_transactions() {
    let Some(rig) = Rig::new("a_function_that_raises_in_the_middle_of_500").await else {
        return;
    };
    let messages = batch(500, 250, "refused");
    let before: i64 = rig.value("select counter from twinbox.consumer_position").await;
    let answers = rig.process(&messages).await;
    assert_eq!(failure(&answers[250]).kind, FailureKind::Rejected);
    assert_eq!(rig.count().await, 499);
    let after: i64 = rig.value("select counter from twinbox.consumer_position").await;
    assert_eq!(after - before, 2, "committed transactions");
    assert_eq!(rig.remembered().await, 499);
    rig.end().await;
}

#[tokio::test]
async fn s20_behind_a_failed_message_its_lane_is_held() {
    let Some(rig) = Rig::new("s20_behind_a_failed_message_its_lane_is_held").await else {
        return;
    };
    // Two lanes, interleaved; the first of one fails, late constraints and all.
    for kind in ["refused", "dangling"] {
        let first = if kind == "refused" { "a" } else { "c" };
        let second = if kind == "refused" { "b" } else { "d" };
        let plan = [
            (first, kind),
            (second, "made"),
            (first, "made"),
            (second, "made"),
            (first, "made"),
        ];
        let messages: Vec<Outbound> = (0..)
            .zip(plan)
            .map(|(n, (key, kind))| delivery(n, Some(key), kind))
            .collect();
        let answers = rig.process(&messages).await;
        assert!(matches!(answers[0], Processed::Failed(_)), "{answers:?}");
        assert_eq!(
            answers[1..],
            [Processed::Done, Processed::Held, Processed::Done, Processed::Held]
        );
        assert!(rig.effects(first).await.is_empty());
        assert_eq!(rig.effects(second).await.len(), 2);
    }
    rig.end().await;
}

#[tokio::test]
async fn a_payload_that_does_not_fit_fails_alone_with_a_sentence() {
    let Some(rig) = Rig::new("a_payload_that_does_not_fit_fails_alone_with_a_sentence").await else {
        return;
    };
    let cases: [(&[u8], &str); 6] = [
        (b"not json", "is no JSON"),
        (b"", "is no JSON"),
        (b"\"\xff\"", "is not UTF-8"),
        // JSON, but not for this database.
        (br#"{"a": "\u0000"}"#, "unsupported Unicode"),
        (b"1e999999", "overflow"),
        (br#""\ud800""#, "type json"),
    ];
    for (payload, expected) in cases {
        let mut messages = batch(7, 99, "");
        messages[3] = changed(&messages[3], |content| {
            content.body = Body::Bytes(payload.to_vec().into());
        });
        let answers = rig.process(&messages).await;
        let failure = failure(&answers[3]);
        assert_eq!(failure.kind, FailureKind::Message, "{payload:?}: {failure:?}");
        assert!(failure.message.contains(expected), "{failure:?}");
        assert_eq!(answers.iter().filter(|answer| **answer == Processed::Done).count(), 6);
    }
    let mut key = batch(1, 9, "");
    key[0] = changed(&key[0], |content| content.key = Some((&b"\xff"[..]).into()));
    assert!(
        failure(&rig.process(&key).await[0])
            .message
            .contains("the key is not UTF-8")
    );
    let mut flawed = batch(1, 9, "");
    flawed[0] = changed(&flawed[0], |content| {
        let origin = content.origin.as_mut().expect("it was delivered");
        origin.flaw = Some("the envelope has no id".into());
    });
    assert_eq!(
        failure(&rig.process(&flawed).await[0]).message,
        "the envelope has no id"
    );
    rig.end().await;
}

#[tokio::test]
async fn a_message_arrives_as_it_was_sent() {
    let Some(rig) = Rig::new("a_message_arrives_as_it_was_sent").await else {
        return;
    };
    let sent = changed(&delivery(7, None, "made"), |content| {
        content.body = Body::Null;
        content.headers = [("tenant".into(), "ü\"1".into())].into_iter().collect();
        content.traceparent = Some("00-1-2-01".into());
    });
    assert_eq!(rig.process(&[sent]).await, [Processed::Done]);
    let seen = "select key is null and payload is null and attempt = 1 and source = '/shop' and position = '0.7.0'
        and headers = '{\"tenant\": \"ü\\\"1\", \"traceparent\": \"00-1-2-01\"}' from billing.effect";
    assert!(rig.value::<bool>(seen).await);
    rig.end().await;
}

#[tokio::test]
async fn a_closure_that_panics_or_hides_an_error_fails_alone() {
    let Some(rig) = Rig::inline("a_closure_that_panics_or_hides_an_error_fails_alone").await else {
        return;
    };
    for (kind, code) in [("panics", "panic"), ("ignored", "25P02")] {
        let answers = rig.process(&batch(9, 4, kind)).await;
        let failure = failure(&answers[4]);
        assert_eq!((failure.kind, &*failure.code), (FailureKind::Unknown, code));
        assert_eq!(
            answers.iter().filter(|answer| **answer == Processed::Done).count(),
            8,
            "{answers:?}"
        );
    }
    rig.end().await;
}
