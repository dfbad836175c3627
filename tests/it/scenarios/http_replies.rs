//! The HTTP handler against an application that answers everything an application can answer wrong (`reliability.md` §12).

use std::sync::Arc;
use std::time::{Duration, Instant};

use twinbox::contract::{Handler, Outcome};
use twinbox::delivery::{Failure, FailureKind};
use twinbox::handler::HttpHandler;
use twinbox::handler::config::{HealthConfig, HttpConfig, Mode, Reply};

use crate::conformance::handler as suite;
use crate::conformance::handler::{call, kind};
use crate::support::application::{Act, Application, reply};
use crate::support::wait::{PATIENCE, ensure, until};

/// Long enough for a busy machine, short enough to wait for.
const WITHIN: Duration = Duration::from_millis(1500);

fn open(application: &Application, change: impl FnOnce(&mut HttpConfig)) -> HttpHandler {
    let mut config = HttpConfig::at(application.url());
    config.timeout = twinbox::setting::Duration::from_millis(1500);
    change(&mut config);
    HttpHandler::open(config, "billing").expect("a handler")
}

async fn once(handler: &HttpHandler) -> Outcome {
    handler.handle(vec![call(1)]).await.remove(0)
}

fn failure(outcome: &Outcome) -> &Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Done => panic!("it is done"),
    }
}

#[tokio::test]
async fn http_keeps_the_promises_of_a_handler() {
    for batch in [1, 10] {
        let application = Application::start().await;
        let handler = open(&application, |config| config.batch = batch);
        suite::p1_one_outcome_per_message_in_order(&handler, &application).await;
        suite::p2_done_only_after_the_application_has_said_so(&handler, &application).await;
        suite::p3_every_call_ends_and_reads_no_more_than_it_must(&handler, &application, WITHIN).await;
    }
}

#[tokio::test]
async fn http_a_request_says_what_it_is_and_connections_are_used_again() {
    let application = Application::start().await;
    let handler = open(&application, |_| {});
    for _ in 0..5 {
        assert_eq!(once(&handler).await, Outcome::Done);
    }
    let asked = application.asked();
    assert!(
        asked.iter().all(|asked| asked.connection == 0),
        "one connection is enough"
    );
    let first = &asked[0];
    assert_eq!(first.line, "POST /events?tenant=a");
    for (name, value) in [
        ("ce-id", "00000000-0000-0000-0000-000000000001"),
        ("ce-source", "/shop"),
        ("ce-type", "OrderPlaced"),
        ("content-type", "application/json"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("twinbox-attempt", "1"),
        ("twinbox-position", "0.1.0"),
        ("twinbox-once", "billing:00000000-0000-0000-0000-000000000001:0"),
        ("content-length", "7"),
    ] {
        assert_eq!(first.header(name), Some(value), "{name}");
    }
    assert_eq!(first.header("accept-encoding"), None);
    assert_eq!(first.body, b"{\"n\":1}");
    let structured = open(&application, |config| config.mode = Mode::Structured);
    assert_eq!(once(&structured).await, Outcome::Done);
    let asked = application.asked();
    let last = asked.last().expect("a request");
    assert_eq!(
        last.header("content-type"),
        Some("application/cloudevents+json; charset=utf-8")
    );
    let document: serde_json::Value = serde_json::from_slice(&last.body).expect("JSON");
    assert_eq!(document["data"]["n"], 1);
}

/// What is said with a whole reply.
#[tokio::test]
async fn http_whole_replies_are_judged_by_the_table() {
    let application = Application::start().await;
    let handler = open(&application, |_| {});
    let chunked = Act::Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n".to_vec());
    let old = Act::SayAndClose(b"HTTP/1.0 200 OK\r\n\r\nwhatever until the end".to_vec());
    let early = Act::Say(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let with_body = Act::SayAndClose(b"HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nbody".to_vec());
    let bomb = reply("200 OK", "content-encoding: gzip\r\n", "\u{1f}garbage");
    for (act, expected) in [
        (reply("200 OK", "", "<html>garbage"), None),
        (chunked, None),
        (old, None),
        (early, None),
        (with_body, None),
        (bomb, None),
        (
            reply("301 Moved", "location: http://127.0.0.1:1/\r\n", ""),
            Some(FailureKind::Ambiguous),
        ),
        (reply("401 Who", "", ""), Some(FailureKind::Ambiguous)),
        (reply("404 Where", "", ""), Some(FailureKind::Ambiguous)),
        (reply("400 Bad", "", ""), Some(FailureKind::Rejected)),
        (reply("422 No", "", ""), Some(FailureKind::Rejected)),
        (
            reply("429 Slow", "retry-after: 9\r\n", ""),
            Some(FailureKind::Transient),
        ),
        (
            reply("503 Later", "retry-after: soon\r\n", ""),
            Some(FailureKind::Transient),
        ),
    ] {
        application.will([act.clone()]);
        let outcome = once(&handler).await;
        assert_eq!(kind(&outcome), expected, "{act:?}: {outcome:?}");
    }
    let asked = application.asked();
    assert_eq!(asked.len(), 13, "nothing is followed, nothing is tried again");
    application.will([reply("503 Later", "retry-after: 9\r\n", "")]);
    assert_eq!(failure(&once(&handler).await).retry_after, Some(Duration::from_secs(9)));
}

/// What is no whole reply has an unknown outcome.
#[tokio::test]
async fn http_broken_replies_are_of_unknown_outcome() {
    let application = Application::start().await;
    let handler = open(&application, |_| {});
    for (act, expected, code) in [
        (Act::SayAndClose(Vec::new()), FailureKind::Transient, "ConnectionBroken"),
        (
            Act::SayAndClose(b"SSH-2.0-OpenSSH\r\n".to_vec()),
            FailureKind::Transient,
            "NotHttp",
        ),
        (
            Act::SayAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec()),
            FailureKind::Transient,
            "ConnectionBroken",
        ),
        (
            Act::SayAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\ncontent-length: 7\r\n\r\nhalf".to_vec()),
            FailureKind::Transient,
            "NotHttp",
        ),
        (Act::Hang, FailureKind::Timeout, "Timeout"),
        (Act::Drip(vec![b'H'; 1000], 50), FailureKind::Timeout, "Timeout"),
        (
            Act::Drip(
                b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n0123456789".repeat(9),
                25,
            ),
            FailureKind::Timeout,
            "Timeout",
        ),
    ] {
        application.will([act.clone()]);
        let outcome = once(&handler).await;
        let failure = failure(&outcome);
        assert_eq!((failure.kind, &*failure.code), (expected, code), "{act:?}: {failure:?}");
        assert!(
            !failure.message.contains("tenant"),
            "a query may be a secret: {failure}"
        );
    }
    assert_eq!(once(&handler).await, Outcome::Done, "and it goes on");
}

#[tokio::test]
async fn http_nobody_there_burns_nothing() {
    let gone = Application::start().await;
    let handler = open(&gone, |_| {});
    let address = gone.address.clone();
    drop(gone);
    until("the port is closed", PATIENCE, || async {
        let open = tokio::net::TcpStream::connect(&address).await.is_ok();
        ensure(!open, || "somebody listens".to_owned())
    })
    .await;
    let outcome = once(&handler).await;
    assert_eq!(failure(&outcome).kind, FailureKind::Unreachable);
    assert_eq!(failure(&outcome).code, "ConnectionRefused");
    assert!(failure(&outcome).message.contains(&address), "{outcome:?}");
    let config = HttpConfig::at("http://no-such-name.invalid/");
    let nowhere = HttpHandler::open(config, "billing").expect("a handler");
    let outcome = once(&nowhere).await;
    assert_eq!(failure(&outcome).kind, FailureKind::Unreachable, "{outcome:?}");
}

#[tokio::test]
async fn http_a_body_that_decides_must_be_understood() {
    let application = Application::start().await;
    let handler = open(&application, |config| config.reply = Reply::Dapr);
    for (act, expected) in [
        (reply("200 OK", "", "{\"status\":\"SUCCESS\"}"), None),
        (
            reply("200 OK", "", "{\"status\":\"RETRY\"}"),
            Some(FailureKind::Transient),
        ),
        (
            reply("200 OK", "", "{\"status\":\"DROP\"}"),
            Some(FailureKind::Rejected),
        ),
        (reply("200 OK", "", "garbage"), Some(FailureKind::Ambiguous)),
        (
            Act::Pour(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n".to_vec()),
            Some(FailureKind::Ambiguous),
        ),
    ] {
        application.will([act.clone()]);
        assert_eq!(kind(&once(&handler).await), expected, "{act:?}");
    }
}

/// A refusal of many is cut in two until it speaks of one.
#[tokio::test]
async fn http_one_message_that_is_refused_does_not_refuse_its_batch() {
    let application = Application::start().await;
    application.otherwise(|asked| {
        let items: Vec<serde_json::Value> = serde_json::from_slice(&asked.body).expect("JSON");
        if items.iter().any(|item| item["data"]["n"] == 5) {
            return reply("413 Too much", "", "");
        }
        let statuses: Vec<_> = items
            .iter()
            .map(|item| serde_json::json!({ "entryId": item["id"], "status": "SUCCESS" }))
            .collect();
        reply("200 OK", "", &serde_json::json!({ "statuses": statuses }).to_string())
    });
    let handler = open(&application, |config| config.batch = 8);
    let outcomes = handler.handle((1..=8).map(call).collect()).await;
    let refused: Vec<_> = outcomes.iter().map(kind).collect();
    let mut expected = vec![None; 8];
    expected[4] = Some(FailureKind::Rejected);
    assert_eq!(refused, expected);
    // Two with one id go one after the other: an answer could not tell them apart.
    let before = application.asked().len();
    let outcomes = handler.handle(vec![call(1), call(1), call(2)]).await;
    assert_eq!(outcomes, vec![Outcome::Done; 3]);
    assert_eq!(application.asked().len() - before, 2);
}

#[tokio::test]
async fn http_a_probe_decides_after_its_threshold_and_forgives_at_once() {
    let application = Application::start().await;
    let probed = |interval| {
        open(&application, |config| {
            config.health = Some(HealthConfig {
                path: "/ready?deep=1".to_owned(),
                interval: twinbox::setting::Duration::from_millis(interval),
                threshold: 3,
            });
        })
    };
    let handler = probed(1);
    application.will([
        reply("500 No", "", ""),
        Act::SayAndClose(Vec::new()),
        reply("500 No", "", ""),
    ]);
    let away = until("three failures are an outage", PATIENCE, || async {
        match handler.health().await {
            Some(Err(failure)) => Ok(failure),
            other => Err(format!("{other:?}")),
        }
    });
    let away = away.await;
    assert_eq!((away.kind, &*away.code), (FailureKind::Unreachable, "Health500"));
    assert_eq!(application.asked().len(), 3);
    assert_eq!(application.asked()[0].line, "GET /ready?deep=1");
    let back = until("one success is enough", PATIENCE, || async {
        let health = handler.health().await;
        ensure(health == Some(Ok(())), || format!("{health:?}"))
    });
    back.await;
    assert_eq!(application.asked().len(), 4);
    // However many ask, it is asked once an interval.
    let seldom = probed(60_000);
    for _ in 0..10 {
        assert_eq!(seldom.health().await, Some(Ok(())));
    }
    assert_eq!(application.asked().len(), 5);
    assert_eq!(open(&application, |_| {}).health().await, None);
}

/// Figures, not a verdict: a debug build on a busy machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_many_calls_at_once_on_loopback() {
    const CALLS: u128 = 6_400;
    let application = Application::start().await;
    let handler = Arc::new(open(&application, |config| {
        config.timeout = twinbox::setting::Duration::from_secs(60);
    }));
    let began = Instant::now();
    let lanes = (0..64_u128).map(|lane| {
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            for number in 0..CALLS / 64 {
                let outcomes = handler.handle(vec![call(lane * 1_000 + number)]).await;
                assert_eq!(outcomes, [Outcome::Done]);
            }
        })
    });
    for lane in lanes.collect::<Vec<_>>() {
        lane.await.expect("no panic");
    }
    let took = began.elapsed();
    let asked = application.asked();
    assert_eq!(asked.len(), CALLS as usize);
    let connections = asked.iter().map(|asked| asked.connection).max().unwrap_or_default() + 1;
    println!(
        "{:.0} calls/s over {connections} connections",
        CALLS as f64 / took.as_secs_f64()
    );
    assert!(connections <= 128, "{connections} connections for 64 lanes");
}
