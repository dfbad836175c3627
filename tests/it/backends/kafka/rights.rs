//! A topic that may not be written to: it stops only itself.

use super::Kafka;
use crate::conformance::desk::{Desk, content, kind};
use crate::conformance::publisher::Subject as _;
use crate::support::live;
use crate::support::servers::{Kind, Server};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use twinbox::contract::{Grade, Health, Receipt};
use twinbox::delivery::FailureKind;

const DEADLINE: Duration = Duration::from_secs(10);

/// Everybody may do what is not denied.
const AUTHORIZER: [&str; 2] = [
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found=true",
];

/// Denies or allows again the writing to a topic, with Kafka's own tool: the client library has no call for it. While an
/// entry stands, what it does not mention is denied, too.
fn writing(brokers: &str, topic: &str, denied: bool) {
    let dev = Path::new(env!("CARGO_MANIFEST_DIR")).join(".dev");
    let mut versions = std::fs::read_dir(dev).expect("Kafka is installed").flatten();
    let lib = versions
        .find(|entry| entry.file_name().to_string_lossy().starts_with("kafka-"))
        .expect("Kafka is installed")
        .path()
        .join("lib/*");
    let verb = if denied { "--add" } else { "--remove" };
    let mut tool = Command::new("java");
    tool.arg("-cp").arg(lib).arg("org.apache.kafka.tools.AclCommand");
    tool.args([
        "--bootstrap-server",
        brokers,
        verb,
        "--topic",
        topic,
        "--operation",
        "Write",
    ]);
    tool.args(["--deny-principal", "User:ANONYMOUS"]);
    if !denied {
        tool.arg("--force");
    }
    let output = tool.output().expect("java runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn s10_a_topic_that_refuses_us_stops_only_itself() {
    if live::kafka("s10_a_topic_that_refuses_us_stops_only_itself").is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(Kind::Kafka, dir.path(), &AUTHORIZER);
    let kafka = Kafka::at(server.value("BROKERS"));
    let (denied, open) = (kafka.topic(1, &[]).await, kafka.topic(1, &[]).await);
    let mut desk = Desk::open(&*kafka.broker()).await;
    for topic in [&denied, &open] {
        assert_eq!(
            desk.send(topic, vec![content(0, Some("a"), b"")]).await,
            [Receipt::Durable]
        );
    }
    tokio::task::block_in_place(|| writing(server.value("BROKERS"), &denied, true));
    // The first refusal costs the line that both share; whoever else was on it is told to try again.
    let mut number = 0;
    loop {
        number += 1;
        let receipts = desk.send(&denied, vec![content(number, Some("a"), b"")]).await;
        if receipts != [Receipt::Durable] {
            assert_eq!(kind(&receipts[0]), Some(FailureKind::Destination), "{receipts:?}");
            break;
        }
    }
    let told = kafka.broker().findings(vec![[&*denied].into_iter().collect()]).await;
    let refusal = told.iter().find(|finding| finding.grade == Grade::Fail);
    let refusal = refusal.unwrap_or_else(|| panic!("the doctor sees nothing: {told:#?}"));
    assert!(
        refusal.fix.contains("kafka-acls.sh --add") && refusal.fix.contains(&*denied),
        "{refusal:?}"
    );
    // From then on each probe costs only the line of probes: not one message elsewhere fails.
    for round in 0..20 {
        let probe = desk
            .hand_over(&denied, vec![content(100 + round, Some("a"), b"")])
            .await;
        let batch = (0..50).map(|n| content(1000 + round * 50 + n, Some(&format!("k{n}")), b"x"));
        let receipts = desk.send(&open, batch.collect()).await;
        assert!(
            receipts.iter().all(|receipt| *receipt == Receipt::Durable),
            "{receipts:?}"
        );
        let refused = desk.answers(&probe).await;
        assert_eq!(kind(&refused[0]), Some(FailureKind::Destination), "{refused:?}");
    }
    let outlook = desk.publisher.outlook();
    assert_eq!(outlook.rebuilds, 0, "there was a culprit each time");
    assert_eq!(outlook.health, Health::Up);
    // Allowed again, it goes on by itself.
    tokio::task::block_in_place(|| writing(server.value("BROKERS"), &denied, false));
    loop {
        number += 1;
        let receipts = desk.send(&denied, vec![content(5000 + number, Some("a"), b"")]).await;
        if receipts == [Receipt::Durable] {
            break;
        }
    }
    desk.close(DEADLINE).await;
    assert_eq!(kafka.stored(&open).len(), 1001);
}
