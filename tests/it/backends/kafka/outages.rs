//! Brokers that die, are not there, or let nobody in. Each test has a server of its own.

use super::Kafka;
use crate::conformance::desk::{Desk, Lanes, content};
use crate::conformance::publisher::{Stored, Subject as _};
use crate::support::live;
use crate::support::servers::{Kind, Server};
use crate::support::wait::{PATIENCE, until};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use tempfile::TempDir;
use twinbox::contract::{Health, Receipt};
use twinbox::delivery::{Failure, FailureKind};

const DEADLINE: Duration = Duration::from_secs(10);

/// A server of the test's own, when live tests run at all.
fn server(test: &str, settings: &[&str]) -> Option<(TempDir, Server)> {
    live::kafka(test)?;
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(Kind::Kafka, dir.path(), settings);
    Some((dir, server))
}

async fn away(desk: &Desk) -> Failure {
    until(
        "the publisher says that the broker is away",
        PATIENCE,
        async || match desk.publisher.outlook().health {
            Health::Away(failure) => Ok((*failure).clone()),
            Health::Up => Err("it says up".to_owned()),
        },
    )
    .await
}

async fn back(desk: &Desk) {
    until(
        "the publisher says that the broker is back",
        PATIENCE,
        async || match desk.publisher.outlook().health {
            Health::Up => Ok(()),
            Health::Away(failure) => Err(failure.to_string()),
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_broker_killed_under_load_loses_and_swaps_nothing() {
    const KEYS: u64 = 50;
    const EACH: u64 = 200;
    let Some((_dir, server)) = server("p4_a_broker_killed_under_load_loses_and_swaps_nothing", &[]) else {
        return;
    };
    let kafka = Kafka::at(server.value("BROKERS"));
    let topic = kafka.topic(6, &[]).await;
    let mut desk = Desk::open(&*kafka.broker()).await;
    let mut lanes = Lanes::new();
    for key in 0..KEYS {
        let lane = (0..EACH).map(|n| content(n * KEYS + key, Some(&format!("k{key}")), &[b'x'; 300]));
        lanes.insert(format!("k{key}"), lane.collect());
    }
    let kills = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            tokio::task::block_in_place(|| {
                server.kill();
                server.start_again();
            });
        }
    };
    let load = async {
        // One run per kill at least: as long as the broker dies, there is something on the way.
        let mut refused = Vec::new();
        for part in 0..EACH / 20 {
            let mut now = Lanes::new();
            for (key, lane) in &mut lanes {
                now.insert(key.clone(), lane.drain(..20).collect());
            }
            refused.extend(desk.deliver(&topic, &mut now).await);
            tokio::time::sleep(Duration::from_millis(part)).await;
        }
        refused
    };
    let ((), refused) = tokio::join!(kills, load);
    desk.close(DEADLINE).await;
    assert!(refused.is_empty(), "{refused:?}");
    let stored = kafka.stored(&topic);
    for key in 0..KEYS {
        let name = format!("k{key}");
        let mut seen = HashSet::new();
        let lane = stored
            .iter()
            .filter(|record| record.key.as_deref() == Some(name.as_bytes()));
        let numbers: Vec<u64> = lane.map(Stored::number).filter(|number| seen.insert(*number)).collect();
        assert_eq!(numbers, (0..EACH).map(|n| n * KEYS + key).collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_back_is_seen_and_gets_everything() {
    let Some((_dir, server)) = server("a_broker_that_comes_back_is_seen_and_gets_everything", &[]) else {
        return;
    };
    let kafka = Kafka::at(server.value("BROKERS"));
    let topic = kafka.topic(2, &[]).await;
    tokio::task::block_in_place(|| server.kill());
    // It was away from the beginning: no error, only health.
    let mut desk = Desk::open(&*kafka.broker()).await;
    let first = desk.hand_over(&topic, vec![content(1, Some("a"), b"")]).await;
    let failure = away(&desk).await;
    assert_eq!(failure.kind, FailureKind::Unreachable, "{failure:?}");
    assert!(desk.receipts.is_empty());
    tokio::task::block_in_place(|| server.start_again());
    assert_eq!(desk.answers(&first).await, [Receipt::Durable]);
    back(&desk).await;

    // Now with everything known, and nothing on the way while it comes back: the publisher listens by itself.
    tokio::task::block_in_place(|| server.kill());
    away(&desk).await;
    tokio::task::block_in_place(|| server.start_again());
    back(&desk).await;
    assert_eq!(
        desk.send(&topic, vec![content(2, Some("a"), b"")]).await,
        [Receipt::Durable]
    );
    desk.close(DEADLINE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s09_a_broker_that_freezes_is_away_though_nothing_fails() {
    let Some((_dir, server)) = server("s09_a_broker_that_freezes_is_away_though_nothing_fails", &[]) else {
        return;
    };
    let kafka = Kafka::at(server.value("BROKERS"));
    let topic = kafka.topic(1, &[]).await;
    let broker = kafka.with(json!({}), |context| context.stall = Duration::from_secs(2));
    let mut desk = Desk::open(&*broker).await;
    assert_eq!(
        desk.send(&topic, vec![content(0, Some("a"), b"")]).await,
        [Receipt::Durable]
    );
    let signal = |name: &str| {
        let pid = server.value("PID");
        let killed = std::process::Command::new("kill").args([name, pid]).status();
        assert!(killed.expect("kill runs").success());
    };
    signal("-STOP");
    let stuck = desk.hand_over(&topic, vec![content(1, Some("a"), b"")]).await;
    assert_eq!(away(&desk).await.kind, FailureKind::Unreachable);
    // What follows to that partition is told at once: it is not sent, and burns no attempt.
    let receipts = desk.send(&topic, vec![content(2, Some("b"), b"")]).await;
    let Receipt::Failed(failure) = &receipts[0] else {
        panic!("{receipts:?}");
    };
    assert_eq!(
        (failure.kind, &*failure.code),
        (FailureKind::Unreachable, "PartitionStalled")
    );
    signal("-CONT");
    assert_eq!(desk.answers(&stuck).await, [Receipt::Durable]);
    back(&desk).await;
    assert_eq!(
        desk.send(&topic, vec![content(2, Some("b"), b"")]).await,
        [Receipt::Durable]
    );
    desk.close(DEADLINE).await;
    assert_eq!(
        kafka.stored(&topic).iter().map(Stored::number).collect::<HashSet<_>>(),
        (0..3).collect()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_a_new_one_is_read() {
    let listeners =
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_PLAINTEXT://127.0.0.1:{spare}";
    let advertised = "advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{spare}";
    let mechanisms = "sasl.enabled.mechanisms=SCRAM-SHA-256";
    let login = "listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=\
                 org.apache.kafka.common.security.scram.ScramLoginModule required;";
    let settings = [listeners, advertised, mechanisms, login, "scram=app:right"];
    let Some((dir, server)) = server("a_wrong_password_is_told_and_a_new_one_is_read", &settings) else {
        return;
    };
    let plain = Kafka::at(server.value("BROKERS"));
    let topic = plain.topic(1, &[]).await;
    let password = dir.path().join("password");
    std::fs::write(&password, "wrong\n").unwrap();
    let sasl = Kafka::at(&format!("127.0.0.1:{}", server.value("SPARE_PORT")));
    let login = json!({ "mechanism": "SCRAM-SHA-256", "username": "app", "password": { "file": password } });
    let mut desk = Desk::open(&*sasl.with(json!({ "sasl": login }), |_| {})).await;
    let tickets = desk.hand_over(&topic, vec![content(1, Some("a"), b"")]).await;
    let failure = until("the refusal is told", PATIENCE, async || {
        let failure = away(&desk).await;
        if failure.kind == FailureKind::Destination {
            Ok(failure)
        } else {
            Err(failure.to_string())
        }
    })
    .await;
    assert!(
        !format!("{failure:?}").contains("wrong"),
        "the password is shown: {failure:?}"
    );
    std::fs::write(&password, "right\n").unwrap();
    assert_eq!(desk.answers(&tickets).await, [Receipt::Durable]);
    back(&desk).await;
    desk.close(DEADLINE).await;
}
