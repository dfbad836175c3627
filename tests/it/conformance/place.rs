//! What the suites of source, lease and letters want of a store, and what they share.
//!
//! A store adopts a suite by implementing [`Place`]: how to write rows, how to start a process of the relay, what an
//! operator does. Then it calls each function from a test of its own.

use std::time::Duration;

use twinbox::contract::{Held, Lease, Opened, Outbox, Page, Progress, Room, Source};
use twinbox::message::{Body, Message, Position};

/// What a suite wants of a store: fresh, with one relay that was never started.
pub(crate) trait Place {
    /// The relay, as one process sees it.
    fn outbox(&self) -> &dyn Outbox;

    /// A transaction of the application, begun and unfinished.
    async fn begin(&self) -> impl Transaction;

    /// How long a lease lasts here.
    fn lease(&self) -> Duration;

    /// A message that costs more than this comes with its body withheld.
    fn bytes_max(&self) -> usize;

    /// The operator makes blocked lanes due.
    async fn release(&self, lane: &str);

    /// The operator drops everything that is stored of a lane.
    async fn discard(&self, lane: &str);

    /// How many letters of a lane are open.
    async fn open_letters(&self, lane: &str) -> i64;

    /// A process of this relay that dies: its session ends, nothing is given up in order.
    async fn kill_holder(&self, lease: Box<dyn Lease>);
}

/// A transaction of the application.
pub(crate) trait Transaction {
    /// Writes one row: key and payload (JSON).
    async fn write(&mut self, key: Option<&str>, payload: &str);
    /// Makes the rows visible.
    async fn commit(self);
    /// Takes them back.
    async fn roll_back(self);
}

/// Room for everything that a suite writes.
pub(crate) const ROOM: Room = Room {
    messages: 1000,
    bytes: 16 << 20,
};

/// Takes the lease as a new process and opens the relay.
pub(crate) async fn start(place: &impl Place) -> (Box<dyn Lease>, Held, Opened) {
    let mut lease = place.outbox().lease();
    let held = lease.acquire().await.expect("an answer").expect("nobody else holds it");
    let opened = place.outbox().open(&held).await.expect("opened");
    (lease, held, opened)
}

/// Ends a process in order.
pub(crate) async fn stop(mut lease: Box<dyn Lease>, opened: Opened) {
    opened.source.close().await;
    lease.resign().await.expect("resigned");
}

/// Writes rows in one committed transaction.
pub(crate) async fn write(place: &impl Place, rows: &[(&str, &str)]) {
    let mut transaction = place.begin().await;
    for (key, payload) in rows {
        transaction.write(Some(key), payload).await;
    }
    transaction.commit().await;
}

/// Reads until nothing more is there.
pub(crate) async fn read_all(source: &mut dyn Source, room: Room) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let Page { messages, more } = source.next(room).await.expect("a page");
        if messages.is_empty() && !more {
            return all;
        }
        all.extend(messages);
    }
}

/// Reads until `count` messages have come.
pub(crate) async fn read_until(source: &mut dyn Source, count: usize) -> Vec<Message> {
    let mut all = Vec::new();
    let reading = async {
        while all.len() < count {
            let page = source.next(ROOM).await.expect("a page");
            if page.messages.is_empty() {
                source.idle(Duration::from_millis(50)).await;
            }
            all.extend(page.messages);
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading)
        .await
        .expect("they come in time");
    all
}

pub(crate) fn positions(messages: &[Message]) -> Vec<Position> {
    messages.iter().map(|message| message.position).collect()
}

pub(crate) fn bodies(messages: &[Message]) -> Vec<String> {
    messages.iter().map(body).collect()
}

pub(crate) fn body(message: &Message) -> String {
    match &message.body {
        Body::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Body::Null => "null".to_owned(),
        Body::Withheld { bytes } => format!("withheld {bytes}"),
    }
}

/// Everything that was read is settled, but `rest`.
pub(crate) fn settled_but(read: &[Message], rest: &[Position]) -> Progress {
    Progress {
        read: read.last().expect("something was read").position,
        rest: rest.to_vec(),
    }
}
