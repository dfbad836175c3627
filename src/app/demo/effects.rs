//! The receiving side of the demo's toy application: an SQL function, and the table of what it did.
//!
//! Promises: the table has no unique constraint, so that an effect that happens twice is seen twice; its numbers grow in the
//! order of the effects of one key, because a key has one effect at a time.

use tokio_postgres::{Client, Error};

use super::verdict::Seen;

/// The handler.
pub(super) const FUNCTION: &str = "demo.on_event";
/// The order with an event that the handler refuses at first.
pub(super) const REFUSED: &str = "order-3";
/// What that event says.
pub(super) const BUG: &str = "a case that nobody thought of";

const TABLE: &str =
    "create table demo.effects (number bigint generated always as identity, id uuid not null, key text not null)";
/// The handler as it was first deployed.
const DEPLOYED: &str =
    "create function demo.on_event(id uuid, key text, payload jsonb) returns void language plpgsql as $$
     begin
       if payload->>'change' = '$bug' then
         raise exception 'cannot handle %', payload using errcode = 'TB001';
       end if;
       insert into demo.effects (id, key) values (id, key);
     end $$";
/// The fix.
const FIXED: &str =
    "create or replace function demo.on_event(id uuid, key text, payload jsonb) returns void language sql as
     $$ insert into demo.effects (id, key) values ($1, $2) $$";
/// Backends that stand before the table in the middle of a transaction.
const WAITING: &str = "select count(*) from pg_locks where relation = 'demo.effects'::regclass and not granted";

/// Makes the table and the handler.
pub(super) async fn prepare(client: &Client) -> Result<(), Error> {
    client.batch_execute(TABLE).await?;
    client.batch_execute(&DEPLOYED.replace("$bug", BUG)).await
}

/// Puts the fix in its place.
pub(super) async fn fix(client: &Client) -> Result<(), Error> {
    client.batch_execute(FIXED).await
}

/// From now on, handlers stand still in the middle of their transaction.
pub(super) async fn hold(client: &Client) -> Result<(), Error> {
    client
        .batch_execute("begin; lock table demo.effects in share mode")
        .await
}

/// Lets them go on.
pub(super) async fn let_go(client: &Client) -> Result<(), Error> {
    client.batch_execute("rollback").await
}

/// Whether a handler stands still.
pub(super) async fn stand_still(client: &Client) -> Result<bool, Error> {
    let waiting: i64 = client.query_one(WAITING, &[]).await?.get(0);
    Ok(waiting > 0)
}

/// What was done, in its order.
pub(super) async fn done(client: &Client) -> Result<Vec<Seen>, Error> {
    let rows = client
        .query("select id, key from demo.effects order by number", &[])
        .await?;
    Ok(rows
        .iter()
        .map(|row| Seen {
            id: row.get(0),
            key: row.get(1),
        })
        .collect())
}
