//! The other half of the ledger: what a handler did, and a pure verdict over it and the truth.
//!
//! Promises: the log of effects has no unique constraint, so that doubles show; its numbers grow in the order of the effects
//! of one key, because a key has one effect at a time.

use super::checker::Truth;
use crate::support::postgres::Database;
use std::collections::{HashMap, HashSet};
use std::fmt;
use uuid::Uuid;

/// The effect: a row. `doomed` and `flaky` say which events fail: for good until somebody mends it, and now and then.
const HANDLER: &str = "
create table ledger.effect (n bigint generated always as identity, event_id uuid not null, attempt int not null);
create table ledger.mended (at timestamptz not null default now());
create function ledger.on_event(id uuid, attempt int) returns void language plpgsql as $f$
begin
  if mod(('x' || left(md5(id::text), 7))::bit(28)::int, 1000) < $doomed and not exists (select from ledger.mended) then
    raise exception 'this one never passes' using errcode = 'TB001';
  end if;
  if random() < $flaky then
    raise exception 'not now' using errcode = 'TB002';
  end if;
  insert into ledger.effect (event_id, attempt) values (id, attempt);
end $f$;
revoke execute on function ledger.on_event from public;
grant usage on schema ledger to twinbox_consumer;
grant execute on function ledger.on_event to twinbox_consumer;
grant select on ledger.mended to twinbox_consumer;
grant insert on ledger.effect to twinbox_consumer;
";

/// The name of the handler's function.
pub(crate) const FUNCTION: &str = "ledger.on_event";

/// What is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Committed, without an effect, and no open letter.
    pub lost: Vec<Uuid>,
    /// Without a committed event.
    pub phantom: Vec<Uuid>,
    /// Twice or more.
    pub double: Vec<Uuid>,
    /// Before one that stands earlier in its key.
    pub swapped: Vec<(Uuid, Uuid)>,
    /// How many effects were looked at.
    pub seen: usize,
}

/// Makes the handler and its log; the ledger's tables and the roles must be there. `doomed` of 1,000 events are rejected until
/// [`mend`], a share of `flaky` calls fails.
pub(crate) async fn prepare(database: &Database, doomed: u32, flaky: f64) {
    let script = HANDLER
        .replace("$doomed", &doomed.to_string())
        .replace("$flaky", &flaky.to_string());
    let done = database.owner().await.batch_execute(&script).await;
    done.expect("the handler and its log");
}

/// From now on nothing is rejected.
pub(crate) async fn mend(database: &Database) {
    let done = database
        .owner()
        .await
        .execute("insert into ledger.mended default values", &[])
        .await;
    done.expect("mended");
}

/// Effects in their order.
pub(crate) async fn effects(database: &Database) -> Vec<Uuid> {
    let rows = database
        .owner()
        .await
        .query("select event_id from ledger.effect order by n", &[])
        .await;
    rows.expect("the log of effects").iter().map(|row| row.get(0)).collect()
}

/// Open letters of consumers.
pub(crate) async fn open_letters(database: &Database) -> HashSet<Uuid> {
    let sql = "select message_id from twinbox.letter where side = 'consumer' and closed is null";
    let rows = database.owner().await.query(sql, &[]).await;
    rows.expect("table twinbox.letter")
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// Judges effects, in their order, against what was committed.
pub(crate) fn check(truth: &[Truth], effects: &[Uuid], letters: &HashSet<Uuid>) -> Effects {
    let mut verdict = Effects {
        seen: effects.len(),
        ..Effects::default()
    };
    let by_id: HashMap<Uuid, &Truth> = truth.iter().map(|row| (row.id, row)).collect();
    let mut done = HashSet::new();
    let mut last: HashMap<(&str, &str), (i64, Uuid)> = HashMap::new();
    for id in effects {
        let Some(row) = by_id.get(id) else {
            verdict.phantom.push(*id);
            continue;
        };
        if !done.insert(*id) {
            verdict.double.push(*id);
            continue;
        }
        let Some(key) = row.key.as_deref() else { continue };
        let before = last.insert((&row.topic, key), (row.kseq, *id));
        if let Some((kseq, earlier)) = before
            && kseq > row.kseq
        {
            verdict.swapped.push((earlier, *id));
        }
    }
    let missing = truth
        .iter()
        .filter(|row| !done.contains(&row.id) && !letters.contains(&row.id));
    verdict.lost = missing.map(|row| row.id).collect();
    verdict
}

// === impl Effects ===

impl Effects {
    #[must_use]
    pub(crate) fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.phantom.is_empty() && self.double.is_empty() && self.swapped.is_empty()
    }
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = |ids: &[Uuid]| ids.iter().take(5).map(Uuid::to_string).collect::<Vec<_>>().join(" ");
        let Self {
            lost,
            phantom,
            double,
            swapped,
            seen,
        } = self;
        write!(
            f,
            "{seen} effects: lost {} [{}] · phantom {} [{}] · double {} [{}] · swapped {} {:?}",
            lost.len(),
            first(lost),
            phantom.len(),
            first(phantom),
            double.len(),
            first(double),
            swapped.len(),
            swapped.first()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u128, key: &str, kseq: i64) -> Truth {
        Truth {
            id: Uuid::from_u128(id),
            key: Some(key.to_owned()),
            kseq,
            topic: "t".to_owned(),
            fingerprint: String::new(),
        }
    }

    fn judged(effects: &[u128], letters: &[u128]) -> Effects {
        let truth = [row(1, "a", 1), row(2, "a", 2), row(3, "b", 1)];
        let effects: Vec<_> = effects.iter().map(|id| Uuid::from_u128(*id)).collect();
        check(
            &truth,
            &effects,
            &letters.iter().map(|id| Uuid::from_u128(*id)).collect(),
        )
    }

    #[test]
    fn each_kind_of_wrong_is_seen() {
        assert!(judged(&[1, 3, 2], &[]).is_clean());
        assert!(judged(&[1, 3], &[2]).is_clean(), "a letter is not lost");
        assert_eq!(judged(&[1, 3], &[]).lost, [Uuid::from_u128(2)]);
        assert_eq!(judged(&[1, 2, 3, 1], &[]).double, [Uuid::from_u128(1)]);
        assert_eq!(judged(&[1, 2, 3, 4], &[]).phantom, [Uuid::from_u128(4)]);
        assert_eq!(
            judged(&[2, 1, 3], &[]).swapped,
            [(Uuid::from_u128(2), Uuid::from_u128(1))]
        );
    }
}
