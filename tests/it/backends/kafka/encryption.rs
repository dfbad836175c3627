//! TLS: the broker is who it says it is, or nothing is sent.

use super::Kafka;
use crate::conformance::desk::{Desk, content};
use crate::conformance::publisher::Subject as _;
use crate::support::live;
use crate::support::servers::{Kind, Server};
use crate::support::wait::{PATIENCE, until};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use twinbox::contract::{Health, Receipt};
use twinbox::delivery::FailureKind;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_authority_is_refused_and_a_known_one_is_not() {
    if live::kafka("an_unknown_authority_is_refused_and_a_known_one_is_not").is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    // Kafka wants key and certificate in one file.
    let store = dir.path().join("server.pem");
    let parts = ["server.key", "server.pem"].map(|name| fs::read_to_string(fixture(name)).expect("a fixture"));
    fs::write(&store, parts.concat()).expect("it is written");
    let settings = [
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SSL://127.0.0.1:{spare}",
        "advertised.listeners=PLAINTEXT://127.0.0.1:{port},SSL://127.0.0.1:{spare}",
        "ssl.keystore.type=PEM",
        &format!("ssl.keystore.location={}", store.display()),
    ];
    let server = Server::start(Kind::Kafka, dir.path(), &settings);
    let plain = Kafka::at(server.value("BROKERS"));
    let topic = plain.topic(1, &[]).await;
    let encrypted = Kafka::at(&format!("127.0.0.1:{}", server.value("SPARE_PORT")));

    let known = encrypted.with(json!({ "tls": { "ca": fixture("ca.pem") } }), |_| {});
    let mut desk = Desk::open(&*known).await;
    assert_eq!(
        desk.send(&topic, vec![content(1, Some("a"), b"")]).await,
        [Receipt::Durable]
    );
    desk.close(Duration::from_secs(5)).await;

    let foreign = encrypted.with(json!({ "tls": { "ca": fixture("own.pem") } }), |_| {});
    let mut desk = Desk::open(&*foreign).await;
    desk.hand_over(&topic, vec![content(2, Some("a"), b"")]).await;
    until("the refusal is told", PATIENCE, async || {
        match desk.publisher.outlook().health {
            Health::Away(failure) if failure.kind == FailureKind::Destination => Ok(()),
            health => Err(format!("{health:?}")),
        }
    })
    .await;
    desk.close(Duration::from_secs(1)).await;
    assert_ne!(desk.receipts[&1], Receipt::Durable);
    assert_eq!(plain.stored(&topic).len(), 1);
}
