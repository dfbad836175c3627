//! The table of replies, line by line.

use std::time::Duration;

use proptest::prelude::*;
use reqwest::header::HeaderValue;

use super::*;

fn answered(status: u16, body: &str) -> Answered {
    Answered {
        status: StatusCode::from_u16(status).expect("a status"),
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec(),
        cut: false,
        at: "2026-11-06T08:49:37Z".parse().expect("a time"),
    }
}

fn problem(status: u16, body: &str) -> Failure {
    let mut answered = answered(status, body);
    let value = HeaderValue::from_static("application/problem+json; charset=utf-8");
    answered.headers.insert(CONTENT_TYPE, value);
    answered.failure()
}

fn kind(outcome: &Outcome) -> Option<FailureKind> {
    match outcome {
        Outcome::Done => None,
        Outcome::Failed(failure) => Some(failure.kind),
    }
}

#[test]
fn statuses_are_judged_by_the_table() {
    for (kind, statuses) in [
        (
            FailureKind::Transient,
            &[408, 409, 425, 429, 500, 502, 503, 504, 599][..],
        ),
        (FailureKind::Rejected, &[400, 410, 413, 415, 422]),
        (
            FailureKind::Ambiguous,
            &[
                101, 300, 301, 302, 304, 307, 308, 401, 402, 403, 404, 405, 406, 411, 418, 451, 499, 600, 999,
            ],
        ),
    ] {
        for status in statuses {
            assert_eq!(
                kind_of(StatusCode::from_u16(*status).expect("a status")),
                kind,
                "{status}"
            );
        }
    }
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(answered(status, "").outcome(Reply::Status), Outcome::Done);
        assert_eq!(answered(status, "<garbage").outcome(Reply::Status), Outcome::Done);
    }
}

#[test]
fn retry_after_is_honoured_but_not_for_a_rejection() {
    for (status, wait) in [(503, Some(7)), (429, Some(7)), (302, Some(7)), (422, None)] {
        let mut answered = answered(status, "");
        answered.headers.insert("retry-after", HeaderValue::from_static("7"));
        assert_eq!(
            answered.failure().retry_after,
            wait.map(Duration::from_secs),
            "{status}"
        );
    }
}

#[test]
fn dapr_words_decide_under_a_2xx() {
    for (body, expected) in [
        (r#"{"status":"SUCCESS"}"#, None),
        ("", None),
        (" \n", None),
        ("{}", None),
        (r#"{"status":null}"#, None),
        (r#"{"status":"RETRY"}"#, Some(FailureKind::Transient)),
        (r#"{"status":"DROP"}"#, Some(FailureKind::Rejected)),
        (r#"{"status":"success"}"#, Some(FailureKind::Ambiguous)),
        (r#"{"status":7}"#, Some(FailureKind::Ambiguous)),
        ("OK", Some(FailureKind::Ambiguous)),
        (r#"{"status":"SUCC"#, Some(FailureKind::Ambiguous)),
    ] {
        assert_eq!(kind(&answered(200, body).outcome(Reply::Dapr)), expected, "{body}");
    }
    assert_eq!(
        kind(&answered(500, "{}").outcome(Reply::Dapr)),
        Some(FailureKind::Transient)
    );
    let mut long = answered(200, "");
    long.cut = true;
    let Outcome::Failed(failure) = long.outcome(Reply::Dapr) else {
        panic!("a body that decides was cut off");
    };
    assert!(failure.message.contains("more than 64 KiB"), "{failure}");
    assert_eq!(
        long.outcome(Reply::Status),
        Outcome::Done,
        "a body that does not decide may be long"
    );
}

#[test]
fn a_problem_becomes_code_sentence_and_chain() {
    let body = r#"{"type":"https://shop.example/out-of-stock","title":"Out of stock","detail":"item 7\nis gone",
        "stack":"at a()\r\n  at b()\n"}"#;
    let failure = problem(422, body);
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert_eq!(failure.code, "https://shop.example/out-of-stock");
    assert_eq!(
        failure.message,
        "the application answered 422 Unprocessable Entity: Out of stock: item 7 is gone"
    );
    assert_eq!(failure.chain, ["at a()", "  at b()"]);
    assert_eq!(problem(500, r#"{"stack":["x","y"]}"#).chain, ["x", "y"]);
    assert_eq!(problem(500, r#"{"type":"about:blank"}"#).code, "HTTP500");
    assert_eq!(problem(500, r#"{"type":7,"title":[],"stack":{}}"#).code, "HTTP500");
    assert_eq!(problem(500, "no json").chain, ["reply: no json"]);
}

#[test]
fn of_a_plain_body_an_excerpt_is_kept_and_the_sentence_stays_clean() {
    let failure = answered(500, &format!("secret {}", "x".repeat(5000))).failure();
    assert_eq!(failure.message, "the application answered 500 Internal Server Error");
    assert_eq!(failure.chain.len(), 1);
    assert!(failure.chain[0].len() <= EXCERPT_MAX + "reply: ".len());
    let redirect = answered(302, "").failure();
    assert!(redirect.message.contains("redirects are not followed"), "{redirect}");
}

proptest! {
    #[test]
    fn no_body_panics_and_what_is_kept_is_bounded(
        status in 100_u16..600,
        body in proptest::collection::vec(any::<u8>(), 0..300),
        text in "\\PC{0,4000}",
        typed: bool,
    ) {
        let wrapped = serde_json::json!({ "type": text, "title": text, "detail": text, "stack": text }).to_string();
        for body in [body, text.clone().into_bytes(), wrapped.into_bytes()] {
            let mut answered = answered(status, "");
            answered.body = body;
            if typed {
                answered.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            }
            let _ = answered.outcome(Reply::Dapr);
            let failure = answered.failure();
            prop_assert!(failure.code.len() <= CODE_MAX);
            prop_assert!(failure.message.len() <= 2 * SENTENCE_MAX + 200);
            prop_assert!(failure.chain.iter().map(String::len).sum::<usize>() <= EXCERPT_MAX + 16);
            prop_assert!(!failure.message.chars().any(char::is_control));
        }
    }
}
