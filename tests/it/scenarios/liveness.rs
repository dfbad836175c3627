//! `/livez` speaks of the relay's own loops: one that hangs is named, and nothing outside makes it fail.

use crate::support::http;
use crate::support::ledger::plain::{Plain, Row};
use crate::support::ledger::workload::Payload;
use crate::support::postgres::Login;
use crate::support::relay::Relay;
use crate::support::stage::Stage;
use crate::support::wait::{self, PATIENCE};
use serde_json::json;
use tokio::net::TcpListener;

/// Waits until `/livez` fails for this loop. A task that last woke on a hanging thread hangs with it.
async fn hangs(relay: &Relay, name: &str) {
    let address = relay.admin().await;
    wait::until(&format!("{name} is told to hang"), PATIENCE, || async {
        let live = http::get(&address, "/livez").await?;
        let named = live
            .body
            .lines()
            .any(|line| line.starts_with(&format!("{name} has not turned")));
        wait::ensure(live.status == 503 && named, || format!("{live:?}; {}", relay.words()))
    })
    .await;
}

/// Its loops wait for the outside, as long as the others hang.
async fn lives(relay: &Relay) {
    let live = http::get(&relay.admin().await, "/livez").await.expect("an answer");
    assert_eq!(live.status, 200, "{live:?}; {}", relay.words());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_hangs_is_named_and_an_outage_hangs_nothing() {
    let Some(stage) = Stage::of("liveness").open().await else {
        return;
    };
    stage.migrate(Payload::Bytea).await;
    let kind = stage.aggregate("order", 1).await;
    let url = stage.database.login_url(Login::Relay);
    let database = ("DATABASE_URL", url.as_str());
    let config = stage.config("twinbox.yaml", json!({}));
    let step = stage.relay_with(&config, &[database, ("TWINBOX_FAULT", "receipts.applied=stall@1")]);
    step.reaches("leading").await;
    let other = |name: &str, change| {
        let change = json!({ "relays": { "orders": null, name: change } });
        stage.config(&format!("{name}.yaml"), change)
    };
    let to = json!({ "kafka": { "brokers": [stage.kafka.brokers] } });
    let reading = other(
        "reading",
        json!({ "to": to, "route": { "topic": "{aggregatetype}.events" } }),
    );
    let reading = stage.relay_with(&reading, &[database, ("TWINBOX_FAULT", "page.read=stall@1")]);
    // Nobody listens on port 1; the mute server takes connections and never says a word.
    let nobody = json!({ "kafka": { "brokers": ["127.0.0.1:1"] } });
    let lonely = other(
        "lonely",
        json!({ "to": nobody, "route": { "topic": "{aggregatetype}.events" } }),
    );
    let lonely = stage.relay(&lonely);
    let mute = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = mute.local_addr().expect("bound").port();
    let deaf = stage.relay_at(&config, &stage.database.url_at(port, "it_relay:it"));
    let standby = stage.relay(&config);
    standby.reaches("standby").await;
    Plain::connect(&stage.database)
        .await
        .one(Row::new(&kind, "key", b"one"))
        .await;

    hangs(&step, "relay orders").await;
    hangs(&reading, "relay reading, reading").await;
    for relay in [&lonely, &deaf, &standby] {
        lives(relay).await;
    }
}
