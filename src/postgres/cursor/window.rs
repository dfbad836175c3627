//! Reading one window, page by page.
//!
//! Promises: the rows of a window in `seq` order, each once; the same rows in the same order at every reading; no
//! statement whose work grows with the table or with the window.
//!
//! # Two roads
//!
//! A small window is read whole by the index on xid. A large one would be sorted again for every page, so its extent is
//! taken first (index only, in stretches), then it is paged by primary key inside the fixed snapshots: no snapshot of
//! ours stays open. Rows of *late* transactions, which ran in the lower snapshot, may lie millions of seqs below the
//! others; they are read by their xid and merged, or the page scan would walk over everything between.

use std::sync::Arc;

use tokio_postgres::{Client, Row};

use super::page::Asked;
use super::row::{Fetched, Kinds};
use super::statements::Statements;
use crate::contract::StoreError;
use crate::postgres::answer::away;
use crate::postgres::progress::{Scope, Window};
use crate::postgres::snapshot::{PgSnapshot, Xid8};

/// Index entries looked at in one statement; some 20 ms.
const STRETCH: i64 = 100_000;

/// A window that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) number: i64,
    lower: Arc<PgSnapshot>,
    upper: Arc<PgSnapshot>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing known about its size.
    Whole,
    /// Pages above `last`.
    Pages { last: i64, extent: Extent },
    /// Listed seqs, then everything above.
    Rest {
        seqs: Vec<i64>,
        next: usize,
        /// Where the stretch ends that was asked for last.
        asked_to: usize,
        above: Option<i64>,
    },
}

/// Where the rows of a large window are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extent {
    /// Dense part: seqs above `from` up to `to`.
    from: i64,
    to: i64,
    late: Vec<Xid8>,
}

/// Rows of a window, in order.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) rows: Vec<Fetched>,
    /// Nothing is left behind them.
    pub(super) last: bool,
}

/// What is needed to read.
pub(super) struct Reader<'a> {
    pub(super) client: &'a Client,
    pub(super) statements: &'a Statements,
    pub(super) relay: &'a str,
    pub(super) epoch: u64,
    pub(super) kinds: &'a mut Kinds,
}

// === impl Reading ===

impl Reading {
    /// From a row of `relay_window`.
    pub(super) fn of(window: &Window, lower: &Arc<PgSnapshot>) -> Self {
        let stage = match window.scope() {
            Scope::All => Stage::Whole,
            Scope::Rest { seqs, above } => Stage::Rest {
                seqs: seqs.clone(),
                next: 0,
                asked_to: 0,
                above: *above,
            },
        };
        Self {
            number: window.number,
            lower: Arc::clone(lower),
            upper: Arc::clone(&window.upper),
            stage,
        }
    }

    /// Of the last slice's rows, `kept` were taken; the others are read again. Answers whether the window is exhausted.
    pub(super) fn took(&mut self, seqs: &[i64], kept: usize, last: bool) -> bool {
        let all = kept == seqs.len();
        let highest = kept.checked_sub(1).map(|index| seqs[index]);
        match &mut self.stage {
            Stage::Whole if !all => {
                self.stage = Stage::Rest {
                    seqs: seqs[kept..].to_vec(),
                    next: 0,
                    asked_to: 0,
                    above: None,
                };
            }
            Stage::Whole => {}
            Stage::Pages { last, .. } => *last = highest.unwrap_or(*last),
            Stage::Rest { next, asked_to, .. } if all => *next = *asked_to,
            Stage::Rest { seqs, next, .. } => {
                *next = seqs.partition_point(|own| highest.is_some_and(|highest| *own <= highest));
            }
        }
        all && last
    }

    /// The listed seqs that come next.
    fn listed(&mut self, rows: usize) -> Option<(Vec<i64>, bool)> {
        let Stage::Rest {
            seqs,
            next,
            asked_to,
            above,
        } = &mut self.stage
        else {
            return None;
        };
        *asked_to = seqs.len().min(*next + rows);
        let listed = seqs[*next..*asked_to].to_vec();
        Some((listed, *asked_to == seqs.len() && above.is_none()))
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// The next rows. Empty and not the last = a stage ended; ask again.
    pub(super) async fn read(&mut self, reading: &mut Reading, asked: Asked) -> Result<Slice, StoreError> {
        if let Some((listed, last)) = reading.listed(asked.rows) {
            return match &reading.stage {
                Stage::Rest { above: Some(above), .. } if listed.is_empty() => {
                    let above = *above;
                    self.turn_to_pages(reading, above).await
                }
                _ => self.listed(reading.number, (&listed, last), asked).await,
            };
        }
        if matches!(reading.stage, Stage::Pages { .. }) {
            return self.page(reading, asked).await;
        }
        let rows = self.whole(reading.number, &reading.lower, asked).await?;
        match self.small(reading.number, &rows, asked)? {
            Some(slice) => Ok(slice),
            None => self.turn_to_pages(reading, 0).await,
        }
    }

    async fn listed(&mut self, number: i64, (seqs, last): (&[i64], bool), asked: Asked) -> Result<Slice, StoreError> {
        let rows = match seqs {
            [] => Vec::new(),
            _ => self
                .client
                .query(&self.statements.rest, &[&seqs, &asked.inline_max])
                .await
                .map_err(|error| away(&error))?,
        };
        let rows = self.decode(&rows, number)?;
        Ok(Slice { rows, last })
    }

    /// All rows of a window by the index on xid, up to the limit of either branch.
    pub(super) async fn whole(&self, number: i64, lower: &PgSnapshot, asked: Asked) -> Result<Vec<Row>, StoreError> {
        let limit = asked.limit() + 1;
        self.client
            .query(
                &self.statements.window,
                &[&self.relay, &number, lower, &limit, &asked.inline_max],
            )
            .await
            .map_err(|error| away(&error))
    }

    /// None when a branch met its limit, or more rows are visible than were asked for.
    pub(super) fn small(&mut self, number: i64, rows: &[Row], asked: Asked) -> Result<Option<Slice>, StoreError> {
        let late = rows.iter().filter(|row| row.get::<_, bool>(11)).count();
        if late > asked.rows || rows.len() - late > asked.rows {
            return Ok(None);
        }
        let visible: Vec<&Row> = rows.iter().filter(|row| row.get::<_, bool>(10)).collect();
        if visible.len() > asked.rows {
            return Ok(None);
        }
        let rows = self.decode(visible, number)?;
        Ok(Some(Slice { rows, last: true }))
    }

    async fn page(&mut self, reading: &Reading, asked: Asked) -> Result<Slice, StoreError> {
        let Stage::Pages { last, extent } = &reading.stage else {
            return Ok(Slice::default());
        };
        let below = PgSnapshot::closed(reading.lower.xmax());
        let limit = asked.limit() + 1;
        let rows = self
            .client
            .query(
                &self.statements.page,
                &[
                    last,
                    &extent.from,
                    &extent.to,
                    &*reading.upper,
                    &below,
                    &extent.late,
                    &limit,
                    &asked.inline_max,
                ],
            )
            .await
            .map_err(|error| away(&error))?;
        let is_last = rows.len() <= asked.rows;
        let rows = self.decode(rows.iter().take(asked.rows), reading.number)?;
        Ok(Slice { rows, last: is_last })
    }

    /// The window is large: how far does it reach?
    pub(super) async fn turn_to_pages(&self, reading: &mut Reading, last: i64) -> Result<Slice, StoreError> {
        let extent = self.extent(&reading.lower, &reading.upper).await?;
        reading.stage = Stage::Pages { last, extent };
        Ok(Slice {
            rows: Vec::new(),
            last: false,
        })
    }

    async fn extent(&self, lower: &PgSnapshot, upper: &PgSnapshot) -> Result<Extent, StoreError> {
        // Seqs begin with 1: above (xmax, 0) is the first row of xmax.
        let mut begin = (lower.xmax(), 0);
        let mut extent = Extent {
            from: i64::MAX,
            to: 0,
            late: lower.late_in(upper),
        };
        // From the beginning of the table there is nothing to leave out.
        if *lower == PgSnapshot::beginning() {
            extent.from = 0;
            begin = (upper.xmax(), 0);
        }
        loop {
            let next = self.stretch(begin, upper).await?;
            let end = next.unwrap_or((upper.xmax(), 0));
            let row = self
                .client
                .query_one(&self.statements.extent, &[&begin.0, &begin.1, &end.0, &end.1])
                .await
                .map_err(|error| away(&error))?;
            let (lowest, highest): (Option<i64>, Option<i64>) = (row.get(0), row.get(1));
            extent.from = lowest.map_or(extent.from, |lowest| extent.from.min(lowest - 1));
            extent.to = highest.unwrap_or(0);
            let Some(next) = next else { return Ok(extent) };
            begin = next;
        }
    }

    /// Where the stretch ends that begins there; none at the end of the window.
    async fn stretch(&self, begin: (Xid8, i64), upper: &PgSnapshot) -> Result<Option<(Xid8, i64)>, StoreError> {
        let row = self
            .client
            .query_opt(&self.statements.stretch, &[&begin.0, &begin.1, upper, &STRETCH])
            .await
            .map_err(|error| away(&error))?;
        Ok(row.map(|row| (row.get(0), row.get(1))))
    }

    fn decode<'r>(&mut self, rows: impl IntoIterator<Item = &'r Row>, number: i64) -> Result<Vec<Fetched>, StoreError> {
        let place = (self.epoch, number.unsigned_abs());
        rows.into_iter()
            .map(|row| self.statements.columns.fetched(row, place, self.kinds))
            .collect::<Result<_, _>>()
            .map_err(|error| away(&error))
    }
}
