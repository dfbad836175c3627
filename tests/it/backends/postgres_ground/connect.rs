//! Connections: what they insist on, and what they say when they do not come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use twinbox::postgres::{ConnectError, Connector, Kind, Session, Target};
use twinbox::setting::TlsConfig;

use super::scratch::{Scratch, refused, value};

fn target(url: &str) -> Target {
    Target::parse(url, &TlsConfig::default()).expect("a good URL")
}

#[tokio::test]
async fn settings_hold_against_those_of_role_and_database() {
    let Some(scratch) = Scratch::new("settings_hold_against_those_of_role_and_database").await else {
        return;
    };
    let owner = scratch.owner().await;
    let broken = format!(
        "alter database {0} set default_transaction_read_only = on;
         alter database {0} set default_transaction_isolation = 'serializable';
         alter database {0} set synchronous_commit = off; alter database {0} set timezone = 'Asia/Tokyo'",
        scratch.name
    );
    owner.client().batch_execute(&broken).await.expect("broken");
    let url = format!("{}?options=-c%20search_path%3Dpublic", scratch.superuser());
    let relay = Connector::fixed(target(&url), Session::relay("orders"))
        .direct()
        .await
        .expect("connected");
    for (setting, expected) in [
        ("transaction_read_only", "off"),
        ("transaction_isolation", "read committed"),
        ("synchronous_commit", "on"),
        ("timezone", "UTC"),
        ("search_path", "pg_catalog"),
        ("enable_seqscan", "off"),
        ("row_security", "off"),
        ("jit", "off"),
        ("statement_timeout", "30s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("idle_session_timeout", "1min"),
        ("application_name", "twinbox/relay/orders"),
    ] {
        assert_eq!(
            value::<String>(relay.client(), &format!("show {setting}")).await,
            expected,
            "{setting}"
        );
    }
    assert!(!relay.pooled());
    drop((relay, owner));
    scratch.drop().await;
}

#[tokio::test]
async fn the_pool_replaces_what_was_closed_and_resolves_again() {
    let Some(scratch) = Scratch::new("the_pool_replaces_what_was_closed_and_resolves_again").await else {
        return;
    };
    let resolved = Arc::new(AtomicU32::new(0));
    let (count, url) = (Arc::clone(&resolved), scratch.superuser());
    let resolve = move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(target(&url))
    };
    let pool = Connector::new(resolve, Session::relay("orders"))
        .pool(1)
        .expect("a pool");
    let first = Box::pin(pool.get()).await.expect("connected");
    let pid: i32 = value(&first, "select pg_backend_pid()").await;
    drop(first);
    let owner = scratch.owner().await;
    // With a time-out it returns when the backend has gone.
    assert!(value::<bool>(owner.client(), &format!("select pg_terminate_backend({pid}, 10000)")).await);
    let again = loop {
        // The end of the old connection may not have been read yet: then this one fails, as it would for a caller.
        let client = Box::pin(pool.get()).await.expect("connected");
        match client.query_one("select pg_backend_pid()", &[]).await {
            Ok(row) => break row.get::<_, i32>(0),
            Err(error) => assert_eq!(
                twinbox::postgres::Failure::of(&error).kind,
                Kind::Transient,
                "{error:?}"
            ),
        }
    };
    assert_ne!(again, pid);
    assert_eq!(resolved.load(Ordering::Relaxed), 2);
    drop(owner);
    drop(pool);
    scratch.drop().await;
}

#[tokio::test]
async fn what_does_not_connect_says_why() {
    let Some(scratch) = Scratch::new("what_does_not_connect_says_why").await else {
        return;
    };
    let failure = async |url: String| {
        let error = Connector::fixed(target(&url), Session::command("test"))
            .direct()
            .await
            .expect_err("refused");
        (error.kind(), error.to_string())
    };
    let (kind, text) = failure(format!("{}_missing", scratch.superuser())).await;
    assert_eq!(kind, Kind::Configuration);
    assert!(
        text.contains("does not exist") && text.contains("check the end of `database.url`"),
        "{text}"
    );
    let (kind, text) = failure(scratch.url("nobody_of_that_name")).await;
    assert_eq!(kind, Kind::Authentication);
    assert!(text.contains("nobody_of_that_name"), "{text}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let (kind, text) = failure(format!("postgres://u:secret@127.0.0.1:{port}/db")).await;
    assert_eq!(kind, Kind::Transient);
    assert!(
        text.contains(&format!("u@127.0.0.1:{port}/db")) && !text.contains("secret"),
        "{text}"
    );
    let (kind, text) = failure(format!("{}?sslmode=require", scratch.superuser())).await;
    assert_eq!(kind, Kind::Configuration);
    assert!(
        text.contains("ssl = off") || text.contains("does not support TLS"),
        "{text}"
    );
    scratch.drop().await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let url = format!("postgres://u@127.0.0.1:{port}/db?connect_timeout=1");
    let connector = Connector::fixed(target(&url), Session::command("test"));
    // The connection is taken by the kernel's queue; nobody ever answers the first packet.
    let error = connector.direct().await.expect_err("given up");
    assert!(
        matches!(error, ConnectError::Silent { patience, .. } if patience == Duration::from_secs(2)),
        "{error}"
    );
    drop(listener);
}

#[tokio::test]
async fn errors_of_statements_are_classified() {
    let Some(scratch) = Scratch::new("errors_of_statements_are_classified").await else {
        return;
    };
    let owner = scratch.owner().await;
    let of = async |sql: &str| {
        let error = owner.client().batch_execute(sql).await.expect_err(sql);
        twinbox::postgres::Failure::of(&error)
    };
    let missing = of("select from twinbox.outbox").await;
    assert_eq!(missing.kind, Kind::Configuration);
    assert!(missing.to_string().contains("run `twinbox migrate`"), "{missing}");
    assert_eq!(of("select 'x'::int").await.kind, Kind::Message);
    assert_eq!(
        of("set statement_timeout = 1; select pg_sleep(10)").await.kind,
        Kind::Transient
    );
    assert_eq!(refused(owner.client(), "select 1/0").await, "22012");
    drop(owner);
    scratch.drop().await;
}

#[tokio::test]
async fn a_pooler_that_refuses_settings_is_recognised() {
    let Some(scratch) = Scratch::new("a_pooler_that_refuses_settings_is_recognised").await else {
        return;
    };
    let (listener, port) = loopback().await;
    let server = scratch.address();
    let pooler = tokio::spawn(async move {
        // The first connection brings settings and is refused, the second does without.
        for refuses in [true, false] {
            let (mut client, _) = listener.accept().await.expect("a client");
            let startup = packet(&mut client).await;
            assert_eq!(contains(&startup, b"statement_timeout"), refuses);
            if refuses {
                client.write_all(REFUSAL).await.expect("told");
                continue;
            }
            let mut server = tokio::net::TcpStream::connect(&server)
                .await
                .expect("the server answers");
            server.write_all(&startup).await.expect("passed on");
            // Ends when either side does.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    });
    let url = scratch.through(port);
    let direct = Connector::fixed(target(&url), Session::relay("orders"))
        .direct()
        .await
        .expect("connected");
    assert!(direct.pooled());
    let application: String = value(direct.client(), "show application_name").await;
    assert_eq!(application, "twinbox/relay/orders");
    direct.close().await;
    pooler.await.expect("it ends with its client");
    scratch.drop().await;
}

/// How `PgBouncer` says it: FATAL 08P01.
const REFUSAL: &[u8] = b"E\0\0\0\x3bSFATAL\0C08P01\0Munsupported startup parameter: options\0\0";

async fn loopback() -> (tokio::net::TcpListener, u16) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

/// The startup packet: its length in four bytes, itself included, and the rest.
async fn packet(client: &mut tokio::net::TcpStream) -> Vec<u8> {
    let mut packet = vec![0; 4];
    client.read_exact(&mut packet).await.expect("a length");
    let length = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
    packet.resize(length as usize, 0);
    client.read_exact(&mut packet[4..]).await.expect("a packet");
    packet
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
