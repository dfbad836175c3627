//! An outbox of partitions: is it one, are there enough, do they go, was one taken away. Pure.

use std::time::Duration;

use tokio_postgres::Row;

use crate::contract::{Finding, Grade};
use crate::postgres::answer::PLAIN;
use crate::postgres::identifier::{Schema, quoted};

/// As many rows in the default partition are no accident of a start.
const STRAYS_MAX: i64 = 10_000;
/// As many bytes there are too many for a relay to make a partition while writers write there (`make_partition`).
const STRAY_BYTES_MAX: i64 = 32 << 20;
/// Partitions are dropped that late where nothing is wrong: they are as long as a part of the retention, or some hours.
const LATE: Duration = Duration::from_secs(6 * 3600);

/// What was seen of them.
#[derive(Debug, Clone)]
pub(super) struct Partitions {
    /// Seconds for which partitions are there; none = there never was one.
    ahead: Option<f64>,
    /// Rows in the default partition, about.
    strays: i64,
    /// Bytes there.
    stray_bytes: i64,
    /// Detached, and not dropped.
    detached: Vec<String>,
    /// Past, empty, and not detached.
    emptied: i64,
    /// Past for too long, with rows.
    overdue: i64,
    /// Whose transactions have a lock on the outbox.
    holders: Vec<String>,
    /// This role may make and drop them.
    may: bool,
}

/// What to think of it; no partitions = a plain table. `wanted`: the relay is to drop them.
pub(super) fn findings(seen: Option<&Partitions>, schema: &Schema, wanted: Option<Duration>) -> Vec<Finding> {
    match (seen, wanted) {
        (None, None) => Vec::new(),
        (None, Some(_)) => {
            let observed = format!("{schema}.outbox is a plain table, and `retention: partitions` has nothing to drop");
            vec![finding(
                (Grade::Fail, observed),
                "an outbox of partitions",
                PLAIN.to_owned(),
            )]
        }
        (Some(seen), _) => seen.findings(schema, wanted),
    }
}

/// How old a partition is at its end, when it should be gone.
pub(super) fn overdue(retention: Duration) -> Duration {
    retention.saturating_mul(2).saturating_add(LATE)
}

fn finding((grade, observed): (Grade, String), expected: &str, fix: String) -> Finding {
    Finding {
        id: "PG-TABLE",
        grade,
        observed,
        expected: expected.to_owned(),
        fix,
    }
}

// === impl Partitions ===

impl Partitions {
    pub(super) fn read(row: &Row) -> Self {
        Self {
            ahead: row.get("ahead"),
            strays: row.get("strays"),
            stray_bytes: row.get("stray_bytes"),
            detached: row.get("detached"),
            emptied: row.get("emptied"),
            overdue: row.get("overdue"),
            holders: row.get("holders"),
            may: row.get("may"),
        }
    }

    fn findings(&self, schema: &Schema, wanted: Option<Duration>) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut warn = |observed: String, expected: &str, fix: String| {
            found.push(finding((Grade::Warn, observed), expected, fix));
        };
        if let Some(retention) = wanted {
            self.ahead(schema, retention, &mut warn);
            self.gone(schema, &mut warn);
        } else {
            let observed = format!("{schema}.outbox is made of partitions, and this relay deletes its rows one by one");
            let expected = "`retention: partitions`: it makes partitions ahead and drops old ones";
            warn(
                observed,
                expected,
                "set `retention: partitions` for this relay".to_owned(),
            );
        }
        if self.strays > STRAYS_MAX {
            let observed = format!(
                "{schema}.outbox_default holds about {} rows: no partition was there for them",
                self.strays
            );
            let fix = "keep a relay running; what is there is deleted when it is old".to_owned();
            warn(observed, "few, or none", fix);
        }
        for name in &self.detached {
            let observed = format!("{schema}.{name} is detached: relays do not see its rows");
            let fix = format!(
                "somebody detached it, and no relay drops it: rows of it may be unpublished. Attach it again: set \
                 lock_timeout = '2s'; alter table {schema}.outbox \
                 attach partition {}.{} for values from (…) to (…);",
                quoted(schema.name()),
                quoted(name)
            );
            warn(observed, "none", fix);
        }
        found
    }

    /// Whether there are enough, and may be more.
    fn ahead(&self, schema: &Schema, retention: Duration, warn: &mut impl FnMut(String, &str, String)) {
        if !self.may {
            let observed = format!("this role may not make and drop partitions of {schema}.outbox: it grows");
            let fix = "twinbox migrate --roles, then: grant twinbox_relay to \"the role in database.url\";".to_owned();
            warn(observed, "the rights of twinbox_relay", fix);
        }
        if self.ahead.is_some_and(|ahead| ahead > 0.0) {
            return;
        }
        let observed = format!("{schema}.outbox has no partition for now: rows go to outbox_default, and are deleted");
        let fix = if self.stray_bytes <= STRAY_BYTES_MAX {
            format!(
                "start the relay: whoever leads makes them; where its log tells of 55P03, writers that are always open are \
                 in the way: let them wait longer for it, as the owner: alter function {}.make_partition() set lock_timeout \
                 = '1s';",
                quoted(schema.name())
            )
        } else {
            // Until what is in the default one is old and deleted.
            let hours = overdue(retention).as_secs() / 3600;
            let schema = quoted(schema.name());
            format!(
                "relays make none, as writers would wait while outbox_default ({} MB) is read, seconds for each GB. In a \
                 quiet moment, as the owner, again if it cannot have the lock: set lock_timeout = '2s'; create table \
                 {schema}.outbox_by_hand partition of {schema}.outbox for values \
                 from (date_trunc('minute', now()) + interval '10 min') to (date_trunc('minute', now()) + interval \
                 '{hours} h');",
                self.stray_bytes >> 20
            )
        };
        warn(observed, "partitions made ahead", fix);
    }

    /// Whether they go.
    fn gone(&self, schema: &Schema, warn: &mut impl FnMut(String, &str, String)) {
        if self.emptied > 0 {
            let holders = if self.holders.is_empty() {
                "nobody".to_owned()
            } else {
                self.holders.join(", ")
            };
            let observed = format!(
                "past and empty partitions of {schema}.outbox that are still there: {}; to detach one, a relay waits a tenth \
                 of a second for all transactions that have written; open just now: {holders}",
                self.emptied
            );
            let fix = format!(
                "end what stays open, and keep transactions short after they wrote; or let writers wait longer for it, as \
                 the owner: alter function {}.detach_partition() set lock_timeout = '1s';",
                quoted(schema.name())
            );
            warn(observed, "detached and dropped by the relay that leads", fix);
        }
        if self.overdue > 0 {
            let observed = format!(
                "partitions of {schema}.outbox that should long be gone: {}; some relay has not settled their rows, or keeps \
                 them",
                self.overdue
            );
            let fix =
                "twinbox status: start what is stopped, mend what is behind; a relay that is gone for good: twinbox \
                       forget NAME; one that is partitioned itself, or in another schema, no relay drops: detach it by hand"
                    .to_owned();
            warn(observed, "settled by every relay, and dropped", fix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86400);

    fn grades(seen: Option<&Partitions>, wanted: bool) -> Vec<Grade> {
        let schema = Schema::new("twinbox").expect("a plain name");
        let found = findings(seen, &schema, wanted.then_some(DAY));
        assert!(found.iter().all(|finding| !finding.fix.is_empty()));
        found.iter().map(|finding| finding.grade).collect()
    }

    #[test]
    fn each_weakness_is_told_and_health_is_silent() {
        let good = Partitions {
            ahead: Some(3600.0),
            strays: 0,
            stray_bytes: 0,
            detached: Vec::new(),
            emptied: 0,
            overdue: 0,
            holders: vec!["pid 1".to_owned()],
            may: true,
        };
        assert_eq!(grades(None, false), []);
        assert_eq!(grades(None, true), [Grade::Fail]);
        assert_eq!(grades(Some(&good), true), []);
        assert_eq!(grades(Some(&good), false), [Grade::Warn]);
        for weak in [
            Partitions {
                ahead: None,
                ..good.clone()
            },
            Partitions {
                ahead: Some(-1.0),
                ..good.clone()
            },
            Partitions {
                ahead: Some(-1.0),
                stray_bytes: STRAY_BYTES_MAX + 1,
                ..good.clone()
            },
            Partitions {
                emptied: 1,
                ..good.clone()
            },
            Partitions {
                overdue: 1,
                ..good.clone()
            },
            Partitions {
                may: false,
                ..good.clone()
            },
            Partitions {
                strays: STRAYS_MAX + 1,
                ..good.clone()
            },
            Partitions {
                detached: vec!["outbox_20260101t000000".to_owned()],
                ..good.clone()
            },
        ] {
            assert_eq!(grades(Some(&weak), true), [Grade::Warn], "{weak:?}");
            // Writers queue behind whoever waits for a lock.
            let schema = Schema::new("twinbox").expect("a plain name");
            for finding in findings(Some(&weak), &schema, Some(DAY)) {
                let (fix, locks) = (&finding.fix, ["create table", "alter table"]);
                let from = locks.iter().find_map(|lock| fix.find(lock));
                assert!(
                    from.is_none_or(|from| fix[..from].contains("set lock_timeout")),
                    "{fix}"
                );
            }
        }
    }
}
