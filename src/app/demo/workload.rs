//! The demo's toy application: orders that change, each change one transaction with one event.
//!
//! Promises: an event and its row in `demo.truth` commit together or not at all; the numbers of a key have no gap and grow
//! in commit order, because the order's row is locked before anything else happens; some transactions roll back on purpose,
//! and some commit long after rows that others wrote later.

use std::ops::AddAssign;
use std::time::Duration;

use tokio_postgres::{Client, Error, GenericClient};
use uuid::Uuid;

use super::effects::{BUG, REFUSED};
use super::verdict::Truth;

/// Orders that change: the keys.
pub(super) const KEYS: u8 = 8;
/// The order with an event that the broker refuses at first.
pub(super) const POISONED: &str = "order-5";
/// What that event says.
pub(super) const POISON: &str = "poison-pill";
/// The order that changes in transactions which are open while others commit.
const LATE: &str = "order-late";
/// Every so many transactions one rolls back.
const ROLL_BACK_EVERY: i64 = 7;
/// Pause between two transactions of one writer.
const PACE: Duration = Duration::from_millis(10);

/// The application's own tables.
const TABLES: &str = "create schema if not exists demo;
     create table demo.orders (name text primary key, changes bigint not null default 0);
     create table demo.truth (id uuid primary key, key text not null, number bigint not null);";

/// What an application writes into its transaction.
const ENQUEUE: &str =
    "select twinbox.enqueue('order', $1, 'OrderChanged', jsonb_build_object('change', $2::text), id => $3)";

/// What the writers did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) committed: usize,
    pub(super) rolled_back: usize,
}

// === impl Written ===

impl AddAssign for Written {
    fn add_assign(&mut self, more: Self) {
        self.committed += more.committed;
        self.rolled_back += more.rolled_back;
    }
}

/// The name of an order.
pub(super) fn key(index: u8) -> String {
    format!("order-{index}")
}

/// Makes the application's tables.
pub(super) async fn prepare(client: &Client) -> Result<(), Error> {
    client.batch_execute(TABLES).await?;
    for index in 0..KEYS {
        add(client, &key(index)).await?;
    }
    add(client, LATE).await
}

async fn add(client: &Client, order: &str) -> Result<(), Error> {
    client
        .execute("insert into demo.orders (name) values ($1)", &[&order])
        .await?;
    Ok(())
}

/// Changes every order once; the rounds are numbered from 0.
pub(super) async fn round(client: &mut Client, round: i64) -> Result<Written, Error> {
    let mut written = Written::default();
    for (turn, index) in (round * i64::from(KEYS) + 1..).zip(0..KEYS) {
        let commit = turn % ROLL_BACK_EVERY != 0;
        change(client, &key(index), "paid", commit).await?;
        written += Written {
            committed: usize::from(commit),
            rolled_back: usize::from(!commit),
        };
        tokio::time::sleep(PACE).await;
    }
    Ok(written)
}

/// One event that the broker refuses, and one behind it that has to wait.
pub(super) async fn poison(client: &mut Client) -> Result<Written, Error> {
    change(client, POISONED, POISON, true).await?;
    change(client, POISONED, "behind the poison", true).await?;
    Ok(Written {
        committed: 2,
        rolled_back: 0,
    })
}

/// One event that the handler refuses, and one behind it that has to wait.
pub(super) async fn bug(client: &mut Client) -> Result<Written, Error> {
    change(client, REFUSED, BUG, true).await?;
    change(client, REFUSED, "behind the bug", true).await?;
    Ok(Written {
        committed: 2,
        rolled_back: 0,
    })
}

/// A change that is written now and committed by [`commit_late`]: rows of others overtake its place in the table.
pub(super) async fn begin_late(client: &Client) -> Result<(), Error> {
    client.batch_execute("begin").await?;
    write(client, LATE, "late").await
}

/// Commits what [`begin_late`] wrote.
pub(super) async fn commit_late(client: &Client) -> Result<Written, Error> {
    client.batch_execute("commit").await?;
    Ok(Written {
        committed: 1,
        rolled_back: 0,
    })
}

async fn change(client: &mut Client, order: &str, what: &str, commit: bool) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    write(&transaction, order, what).await?;
    if commit {
        transaction.commit().await
    } else {
        transaction.rollback().await
    }
}

/// What an application does in its transaction: lock its row, change it, add the event.
async fn write(transaction: &impl GenericClient, order: &str, what: &str) -> Result<(), Error> {
    let id = Uuid::new_v4();
    let locked = transaction
        .query_one(
            "update demo.orders set changes = changes + 1 where name = $1 returning changes",
            &[&order],
        )
        .await?;
    let number: i64 = locked.get(0);
    transaction.execute(ENQUEUE, &[&order, &what, &id]).await?;
    transaction
        .execute("insert into demo.truth values ($1, $2, $3)", &[&id, &order, &number])
        .await?;
    Ok(())
}

/// What really happened, from the application's own table.
pub(super) async fn truth(client: &Client) -> Result<Vec<Truth>, Error> {
    let rows = client
        .query("select id, key, number from demo.truth order by key, number", &[])
        .await?;
    Ok(rows
        .iter()
        .map(|row| Truth {
            id: row.get(0),
            key: row.get(1),
            number: row.get(2),
        })
        .collect())
}
