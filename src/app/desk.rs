//! The desk of the database, for those who look at letters and change them: the command line and the admin port.
//!
//! Promises: a change is done in runs of at most 500 lanes, each one transaction with its audit row, so that a run that was
//! interrupted is done and the same command does the rest; a rate is kept by pausing between runs.

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool::managed;

use crate::contract::Boxed;
use crate::delivery::{Failure, FailureKind};
use crate::operate::letters::{
    Change, Count, Desk, Detail, Entry, EntryError, EntrySource, ErrorCount, Selection, Verb,
};
use crate::postgres::desk::{self, DeskError, Lanes, Listed, Order, Shown};
use crate::postgres::{ConnectError, Connector, Kind, Pool, Schema};

/// One for looking while the other changes.
const CONNECTIONS: usize = 2;
/// Letters that are looked at to tell errors apart, when a selection is narrower than an error.
const SAMPLE: i64 = 10_000;

/// The letters of one schema.
#[derive(Debug, Clone)]
pub struct PostgresDesk {
    pool: Pool,
    desk: desk::Desk,
}

// === impl PostgresDesk ===

impl PostgresDesk {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// None in practice, as [`Connector::pool`].
    pub fn new(connector: &Connector, schema: Schema) -> Result<Self, String> {
        let pool = connector.pool(CONNECTIONS).map_err(|error| error.to_string())?;
        let desk = desk::Desk::new(schema);
        Ok(Self { pool, desk })
    }

    async fn client(&self) -> Result<managed::Object<Connector>, Failure> {
        Box::pin(self.pool.get()).await.map_err(unconnected)
    }

    async fn counted(&self, selection: &Selection) -> Result<Count, Failure> {
        let client = self.client().await?;
        let selected = selected(selection);
        let runs = self.desk.lanes(&client, &selected).await.map_err(refused)?;
        let errors = if selected.ids.is_none() && selected.key.is_none() {
            let owner = selected.owner.as_deref();
            let groups = self.desk.groups(&client, owner).await.map_err(refused)?;
            let groups = groups.into_iter().map(|group| (group.fingerprint, group.letters));
            let wanted = |error: &String| selected.error.as_ref().is_none_or(|wanted| wanted == error);
            tally(groups.filter(|(error, _)| wanted(error)))
        } else {
            let listed = self.desk.list(&client, &selected, (0, SAMPLE)).await.map_err(refused)?;
            let errors = listed.into_iter().filter(|letter| letter.state != "dead");
            tally(errors.filter_map(|letter| Some((letter.error?.fingerprint, 1))))
        };
        Ok(count(&runs, errors))
    }

    async fn changed(&self, change: Change) -> Result<Count, Failure> {
        let selected = selected(&change.selection);
        let order = Order {
            actor: None,
            reason: change.reason,
        };
        let mut client = self.client().await?;
        let runs = self.desk.lanes(&client, &selected).await.map_err(refused)?;
        let runs = paced(runs, change.rate);
        let mut done = Count::default();
        for (index, run) in runs.iter().enumerate() {
            if change.rate.is_some() && index > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            match change.verb {
                Verb::Release => {
                    let released = self.desk.release(&mut client, run, &order).await.map_err(refused)?;
                    done.lanes += released.lanes;
                    done.letters += run.letters.unsigned_abs();
                }
                Verb::Discard => {
                    let with = (&selected, &order);
                    let discarded = self.desk.discard(&mut client, run, with).await.map_err(refused)?;
                    done.lanes += run.lanes.len() as u64;
                    done.letters += discarded.letters.len() as u64;
                }
            }
        }
        Ok(done)
    }
}

impl Desk for PostgresDesk {
    fn count(&self, _: Verb, selection: Selection) -> Boxed<'_, Result<Count, Failure>> {
        Box::pin(async move { self.counted(&selection).await })
    }

    fn apply(&self, change: Change) -> Boxed<'_, Result<Count, Failure>> {
        Box::pin(self.changed(change))
    }

    fn list(&self, selection: Selection, limit: u32) -> Boxed<'_, Result<Vec<Entry>, Failure>> {
        Box::pin(async move {
            let client = self.client().await?;
            let limit = (0, i64::from(limit));
            let listed = self.desk.list(&client, &selected(&selection), limit).await;
            Ok(listed.map_err(refused)?.into_iter().map(entry).collect())
        })
    }

    fn show(&self, id: i64) -> Boxed<'_, Result<Option<Detail>, Failure>> {
        Box::pin(async move {
            let client = self.client().await?;
            let shown = self.desk.show(&client, id).await.map_err(refused)?;
            Ok(shown.map(detail))
        })
    }
}

fn selected(selection: &Selection) -> desk::Selection {
    let ids = &selection.ids;
    desk::Selection {
        owner: selection.owner.clone(),
        ids: (!ids.is_empty()).then(|| ids.clone()),
        key: selection.key.clone(),
        error: selection.error.clone(),
    }
}

fn tally(errors: impl Iterator<Item = (String, i64)>) -> Vec<ErrorCount> {
    let mut by_error: BTreeMap<String, u64> = BTreeMap::new();
    for (error, letters) in errors {
        *by_error.entry(error).or_default() += letters.unsigned_abs();
    }
    let counts = by_error
        .into_iter()
        .map(|(error, letters)| ErrorCount { error, letters });
    let mut counts: Vec<ErrorCount> = counts.collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.letters));
    counts
}

fn count(runs: &[Lanes], errors: Vec<ErrorCount>) -> Count {
    Count {
        letters: runs.iter().map(|run| run.letters.unsigned_abs()).sum(),
        lanes: runs.iter().map(|run| run.lanes.len() as u64).sum(),
        errors,
    }
}

/// Cuts runs so that each has about a second's worth of letters. Lanes are never cut: one that is longer than the rate
/// goes alone.
fn paced(runs: Vec<Lanes>, rate: Option<u32>) -> Vec<Lanes> {
    let Some(rate) = rate else { return runs };
    let cut = |run: Lanes| {
        let lanes = run.lanes.len() as u64;
        let letters = run.letters.unsigned_abs().max(1);
        let size = (u64::from(rate) * lanes / letters).clamp(1, lanes.max(1));
        let share = |part: &[String]| (letters * part.len() as u64 / lanes.max(1)).cast_signed();
        let parts = run.lanes.chunks(usize::try_from(size).unwrap_or(usize::MAX));
        let parts: Vec<Lanes> = parts
            .map(|part| Lanes {
                side: run.side.clone(),
                owner: run.owner.clone(),
                lanes: part.to_vec(),
                letters: share(part),
            })
            .collect();
        parts
    };
    runs.into_iter().flat_map(cut).collect()
}

pub(super) fn entry(listed: Listed) -> Entry {
    let (topic, partition, offset) = listed.source;
    Entry {
        id: listed.id,
        message_id: listed.message_id.to_string(),
        side: listed.side,
        owner: listed.owner,
        key: listed.key.as_deref().map(readable),
        state: listed.state,
        attempts: listed.attempts.unsigned_abs(),
        first_failed_at: listed.first_failed_at,
        last_failed_at: listed.last_failed_at,
        error: listed.error.map(|error| EntryError {
            kind: error.kind,
            code: error.code,
            message: error.message,
            chain: serde_json::from_value(error.chain).unwrap_or_default(),
        }),
        source: topic.is_some().then_some(EntrySource {
            topic,
            partition,
            offset,
        }),
    }
}

fn detail(shown: Shown) -> Detail {
    Detail {
        lane: shown.listed.lane.clone(),
        entry: entry(shown.listed),
        aggregatetype: shown.aggregate_type,
        kind: shown.kind,
        headers: shown.headers,
        traceparent: shown.traceparent,
        occurred_at: shown.occurred_at,
        payload: shown.payload.as_deref().map(readable),
    }
}

/// Text as it is, other bytes in hexadecimal as SQL writes them.
pub(super) fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes
            .iter()
            .fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}

pub(super) fn unconnected(error: managed::PoolError<ConnectError>) -> Failure {
    match error {
        managed::PoolError::Backend(error) => Failure::new(failure_kind(error.kind()), "database", error.to_string()),
        other => Failure::new(FailureKind::Unreachable, "database", other.to_string()),
    }
}

pub(super) fn refused(error: DeskError) -> Failure {
    match error {
        DeskError::Database(failure) => {
            let code = failure.code.clone().unwrap_or_else(|| "database".to_owned());
            let text = match &failure.advice {
                Some(advice) => format!("{}: {advice}", failure.text),
                None => failure.text.clone(),
            };
            Failure::new(failure_kind(failure.kind), code, text)
        }
        other => Failure::new(FailureKind::Unknown, "desk", other.to_string()),
    }
}

fn failure_kind(kind: Kind) -> FailureKind {
    match kind {
        Kind::RetryNow | Kind::Transient => FailureKind::Unreachable,
        Kind::Authentication | Kind::Configuration => FailureKind::Destination,
        Kind::Message => FailureKind::Message,
        Kind::Unknown => FailureKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(lanes: usize, letters: i64) -> Lanes {
        Lanes {
            side: "relay".to_owned(),
            owner: "orders".to_owned(),
            lanes: (0..lanes).map(|lane| format!("l{lane}")).collect(),
            letters,
        }
    }

    #[test]
    fn a_rate_cuts_runs_and_loses_no_lane() {
        for (lanes, letters, rate, expected) in [(10, 100, 20, 5), (10, 10, 100, 1), (3, 3000, 10, 3), (1, 0, 1, 1)] {
            let whole = run(lanes, letters);
            let parts = paced(vec![whole.clone()], Some(rate));
            assert_eq!(parts.len(), expected, "{lanes} lanes, {letters} letters, {rate}/s");
            let all: Vec<String> = parts.into_iter().flat_map(|part| part.lanes).collect();
            assert_eq!(all, whole.lanes);
        }
        assert_eq!(paced(vec![run(10, 100)], None), vec![run(10, 100)]);
    }

    #[test]
    fn the_most_frequent_error_comes_first() {
        let errors = [("a", 1), ("b", 2), ("a", 3)];
        let counts = tally(errors.into_iter().map(|(error, letters)| (error.to_owned(), letters)));
        let seen: Vec<(&str, u64)> = counts
            .iter()
            .map(|count| (count.error.as_str(), count.letters))
            .collect();
        assert_eq!(seen, [("a", 4), ("b", 2)]);
    }

    #[test]
    fn bytes_that_are_no_text_are_hexadecimal() {
        assert_eq!(readable(b"42"), "42");
        assert_eq!(readable(&[0xff, 0x0a]), "\\xff0a");
    }
}
