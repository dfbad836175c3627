//! Lanes over real HTTP, with a board of paper.

use std::sync::Mutex;

use reqwest::Method;
use serde_json::{Value, json};

use super::super::tests::{Port, open};
use super::*;
use crate::contract::Boxed;
use crate::flow::Pauses;
use crate::operate::lanes::PauseEntry;
use crate::operate::letters::Entry;

/// One order holds something back here, or none.
#[derive(Default)]
struct Paper(Mutex<Option<Order>>);

fn entry(order: Order) -> LaneEntry {
    let mut entry = LaneEntry {
        side: "consumer".to_owned(),
        owner: order.owner,
        lane: order.key.as_ref().map(|key| format!("t/0/={key}")),
        key: order.key,
        state: "paused".to_owned(),
        cause: None,
        attempts: 0,
        letters: 0,
        since: None,
        next_try: None,
        error: None,
        paused: Some(PauseEntry {
            by: order.by.unwrap_or_default(),
            reason: order.reason,
            since: jiff::Timestamp::UNIX_EPOCH,
        }),
        hint: String::new(),
        stored: None,
    };
    entry.hint = entry.hint();
    entry
}

impl Board for Paper {
    fn pauses(&self) -> Boxed<'_, Result<Pauses, Failure>> {
        Box::pin(async { Ok(Pauses::none()) })
    }

    fn stored(&self, _: Option<String>, _: u32) -> Boxed<'_, Result<Vec<LaneEntry>, Failure>> {
        let held = self.0.lock().unwrap().clone();
        Box::pin(async move { Ok(held.map(entry).into_iter().collect()) })
    }

    fn letters(&self, _: String, _: u32) -> Boxed<'_, Result<Vec<(String, Entry)>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn pause(&self, order: Order) -> Boxed<'_, Result<bool, Failure>> {
        let changed = self.0.lock().unwrap().replace(order).is_none();
        Box::pin(async move { Ok(changed) })
    }

    fn resume(&self, _: Order) -> Boxed<'_, Result<bool, Failure>> {
        let changed = self.0.lock().unwrap().take().is_some();
        Box::pin(async move { Ok(changed) })
    }
}

async fn port(sides: &[&'static str]) -> Port {
    open(|admin| {
        for side in sides {
            let board: Arc<dyn Board> = Arc::new(Paper::default());
            admin.boards.insert((side, "billing".to_owned()), board);
        }
    })
    .await
}

async fn told(port: &Port, path: &str, body: &Value) -> (u16, Value) {
    let answer = port.post(path, body).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn one_key_is_paused_and_resumed_and_twice_is_once() {
    let port = port(&["consumer"]).await;
    let order = json!({ "owner": "billing", "key": "42", "by": "ann", "reason": "refunds are wrong" });
    for (path, changed) in [("pause", true), ("pause", false), ("resume", true), ("resume", false)] {
        let (status, answer) = told(&port, &format!("/lanes/{path}"), &order).await;
        assert_eq!((status, &answer["changed"]), (200, &json!(changed)), "{path}: {answer}");
    }
    told(&port, "/lanes/pause", &order).await;
    let lanes: Value = port.get("/lanes?owner=billing").await.json().await.unwrap();
    assert_eq!(
        (&lanes[0]["key"], &lanes[0]["paused"]["by"], &lanes[0]["hint"]),
        (
            &json!("42"),
            &json!("ann"),
            &json!("twinbox lanes resume billing --side consumer --key 42")
        )
    );
}

#[tokio::test]
async fn what_is_not_named_is_not_paused() {
    let port = port(&["consumer", "relay"]).await;
    for (body, status, says) in [
        (json!({ "owner": "billing" }), 400, "say either key"),
        (
            json!({ "owner": "billing", "key": "1", "all": true }),
            400,
            "say either key",
        ),
        (json!({ "owner": "billing", "all": true }), 400, "say side"),
        (
            json!({ "owner": "nobody", "all": true }),
            404,
            "it has consumer billing, relay billing",
        ),
        (json!({ "owner": "billing", "kye": "1" }), 400, "unknown field `kye`"),
    ] {
        let (seen, answer) = told(&port, "/lanes/pause", &body).await;
        let sentence = answer["error"].as_str().unwrap_or_default();
        assert!(seen == status && sentence.contains(says), "{body}: {seen} {sentence}");
    }
    let one_side = json!({ "owner": "billing", "all": true, "side": "relay" });
    assert_eq!(told(&port, "/lanes/pause", &one_side).await.0, 200);
    let missing = port.ask(Method::GET, "/lanes?owner=nobody", |request| request).await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[test]
fn who_may_not_see_keys_sees_hashes() {
    let order = Order {
        owner: "billing".to_owned(),
        key: Some("customer@example.org".to_owned()),
        ..Order::default()
    };
    let mut entry = entry(order);
    hide(&mut entry);
    let shown = serde_json::to_string(&entry).unwrap();
    assert!(!shown.contains("customer"), "{shown}");
}
