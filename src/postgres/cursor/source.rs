//! [`Source`] over one connection of its own.
//!
//! Promises: as the contract says. After a statement whose outcome is unknown it answers nothing any more but "open me
//! again": a stuck backend may still write a window, and only a new epoch keeps it out (S16).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{FutureExt as _, join3};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tokio_postgres::error::SqlState;

use super::open::foreign;
use super::page::{self, Asked, Deferred};
use super::row::{Columns, Fetched, Kinds, Raw};
use super::statements::{CursorText, Statements};
use super::window::{Reader, Reading, Slice};
use crate::contract::{Backlog, Boxed, Page, Progress, Room, Source, StoreError};
use crate::message::{Body, Message, Position};
use crate::postgres::answer::{away, reopen};
use crate::postgres::connect::Direct;
use crate::postgres::fence::Fence;
use crate::postgres::progress::{Change, Windows};
use crate::postgres::wake::Wake;

/// Each window burns a transaction number and a flushed commit.
const WINDOW_EVERY: Duration = Duration::from_millis(2);
/// How often an idle relay looks whether an empty window would help retention (S19).
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// How long a message waits for room before the engine is asked for more of it.
const STARVED: Duration = Duration::from_millis(5);
/// Waiting rows are counted up to here.
const BACKLOG_MAX: i64 = 100_000;

/// What source and letters of one opening both know, because both settle messages.
#[derive(Debug)]
pub(in crate::postgres) struct Shared {
    windows: Mutex<Windows>,
    /// Held while the table is told: what commits later was computed later.
    pub(in crate::postgres) writing: tokio::sync::Mutex<()>,
}

/// The snapshot cursor.
pub(in crate::postgres) struct CursorSource {
    direct: Direct,
    statements: Statements,
    fence: Fence,
    shared: Arc<Shared>,
    wake: Wake,
    kinds: Kinds,
    reading: Option<Reading>,
    /// Windows up to this one were written by an earlier opening.
    replay_to: i64,
    confirmed: Progress,
    bytes_max: usize,
    window_pace: Interval,
    tidy_pace: Interval,
    /// A call is under way, or was dropped before its end.
    begun: bool,
}

/// What a source is made of.
pub(in crate::postgres) struct Parts {
    pub(in crate::postgres) direct: Direct,
    pub(in crate::postgres) fence: Fence,
    pub(in crate::postgres) shared: Arc<Shared>,
    pub(in crate::postgres) wake: Wake,
    /// A message that costs more comes with its body withheld.
    pub(in crate::postgres) bytes_max: usize,
}

// === impl Shared ===

impl Shared {
    pub(in crate::postgres) fn new(windows: Windows) -> Arc<Self> {
        Arc::new(Self {
            windows: Mutex::new(windows),
            writing: tokio::sync::Mutex::new(()),
        })
    }

    /// Never held across an await.
    pub(in crate::postgres) fn windows(&self) -> MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl CursorSource ===

impl CursorSource {
    pub(in crate::postgres) async fn new(parts: Parts, text: &CursorText) -> Result<Self, StoreError> {
        let statements = Statements::prepare(parts.direct.client(), text)
            .await
            .map_err(|error| away(&error))?;
        let (epoch, replay_to) = {
            let windows = parts.shared.windows();
            (windows.epoch(), windows.newest().0)
        };
        let paced = |every| {
            let mut pace = interval(every);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pace
        };
        Ok(Self {
            direct: parts.direct,
            statements,
            fence: parts.fence,
            shared: parts.shared,
            wake: parts.wake,
            kinds: Kinds::default(),
            reading: None,
            replay_to,
            confirmed: Progress {
                read: Position::new(epoch, 0, 0),
                rest: Vec::new(),
            },
            bytes_max: parts.bytes_max,
            window_pace: paced(WINDOW_EVERY),
            tidy_pace: paced(TIDY_EVERY),
            begun: false,
        })
    }

    /// What the payload column says about contents.
    pub(in crate::postgres) fn columns(&self) -> Columns {
        self.statements.columns
    }

    /// Refuses to go on after a call whose outcome is unknown.
    fn begin(&mut self) -> Result<(), StoreError> {
        if self.begun || self.direct.client().is_closed() {
            return Err(reopen(
                "reopen",
                "the connection of the source is gone; it is opened again",
            ));
        }
        self.begun = true;
        Ok(())
    }

    fn end<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.begun = false;
        result
    }

    async fn read_on(&mut self, room: Room) -> Result<Page, StoreError> {
        let asked = Asked::of(room);
        loop {
            if self.reading.is_none() {
                self.reading = unread(&self.shared);
            }
            let slice = match &mut self.reading {
                Some(reading) => {
                    let mut reader = Reader {
                        client: self.direct.client(),
                        statements: &self.statements,
                        relay: &self.fence.relay,
                        epoch: self.confirmed.read.epoch,
                        kinds: &mut self.kinds,
                    };
                    reader.read(reading, asked).await?
                }
                None => match self.open_next(asked).await? {
                    Some(slice) => slice,
                    None => return Ok(Page::default()),
                },
            };
            let (messages, starved) = self.take(slice, room).await?;
            if messages.is_empty() && !starved {
                self.settle_empty().await?;
                continue;
            }
            if starved {
                sleep(STARVED).await;
            } else {
                self.wake.found();
            }
            let more = self.reading.is_some() || self.shared.windows().first_unread().is_some();
            return Ok(Page { messages, more });
        }
    }

    /// Writes the next window if there is something for it, and reads it in the same round trip.
    async fn open_next(&mut self, asked: Asked) -> Result<Option<Slice>, StoreError> {
        let (newest, lower) = {
            let windows = self.shared.windows();
            let (number, upper) = windows.newest();
            (number, Arc::clone(upper))
        };
        let client = self.direct.client();
        let probe = client
            .query_one(&self.statements.probe, &[&*lower])
            .await
            .map_err(|error| away(&error))?;
        if probe.get(1) {
            return Err(foreign(&self.fence.relay));
        }
        if !probe.get::<_, bool>(0) && !self.helps_retention().await? {
            return Ok(None);
        }
        crate::point!("window.next");
        self.window_pace.tick().await;
        let number = newest + 1;
        let Fence { relay, epoch, holder } = &self.fence;
        let client = self.direct.client();
        let mut reader = Reader {
            client,
            statements: &self.statements,
            relay,
            epoch: self.confirmed.read.epoch,
            kinds: &mut self.kinds,
        };
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [relay, epoch, holder, &number];
        crate::point!("window.unwritten");
        let (opened, rows, up) = join3(
            client.query_opt(&self.statements.open, &parameters),
            reader.whole(number, &lower, asked),
            self.wake.get_up(client),
        )
        .await;
        let opened = match opened {
            Ok(row) => row.ok_or(StoreError::Fenced)?,
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                return Err(reopen(
                    "window_taken",
                    "somebody else wrote this window; the source is opened again",
                ));
            }
            Err(error) => return Err(away(&error)),
        };
        crate::point!("window.written");
        self.shared.windows().opened(number, Arc::new(opened.get(0)));
        up.map_err(|error| away(&error))?;
        let slice = reader.small(number, &rows?, asked)?;
        self.reading = unread(&self.shared);
        if let (None, Some(reading)) = (&slice, &mut self.reading) {
            reader.turn_to_pages(reading, 0).await?;
        }
        Ok(Some(slice.unwrap_or_default()))
    }

    async fn helps_retention(&mut self) -> Result<bool, StoreError> {
        let floor = {
            let windows = self.shared.windows();
            if windows.has_open() || self.tidy_pace.tick().now_or_never().is_none() {
                return Ok(false);
            }
            Arc::clone(windows.floor())
        };
        let row = self
            .direct
            .client()
            .query_one(&self.statements.retainable, &[&*floor])
            .await
            .map_err(|error| away(&error))?;
        Ok(row.get(0))
    }

    /// Takes of a slice what fits. The flag: there is something, and no room for it now.
    async fn take(&mut self, slice: Slice, room: Room) -> Result<(Vec<Message>, bool), StoreError> {
        let Slice { mut rows, last } = slice;
        let Some(number) = self.reading.as_ref().map(|reading| reading.number) else {
            return Ok((Vec::new(), false));
        };
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        if number <= self.replay_to && !rows.is_empty() {
            self.leave_out_judged(&mut rows).await?;
        }
        let waiting: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        self.fit(&mut rows, room).await?;
        let left = waiting.get(rows.len()).copied();
        let kept = left.map_or(seqs.len(), |left| seqs.partition_point(|seq| *seq < left));
        let given = rows.last().map(|row| row.seq);
        let exhausted = self
            .reading
            .as_mut()
            .is_some_and(|reading| reading.took(&seqs, kept, last));
        self.shared.windows().read(number, given, exhausted);
        if exhausted {
            self.reading = None;
        }
        crate::point!("page.read");
        let starved = rows.is_empty() && left.is_some();
        Ok((
            rows.into_iter().map(|row| Message::from(row.content)).collect(),
            starved,
        ))
    }

    /// Rows whose letters were dropped or died are settled, not sent (S4).
    async fn leave_out_judged(&self, rows: &mut Vec<Fetched>) -> Result<(), StoreError> {
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        let judged: Vec<i64> = self
            .direct
            .client()
            .query(&self.statements.verdicts, &[&self.fence.relay, &seqs])
            .await
            .map_err(|error| away(&error))?
            .iter()
            .map(|row| row.get(0))
            .collect();
        rows.retain(|row| judged.binary_search(&row.seq).is_err());
        Ok(())
    }

    /// Fetches what did not come along, and drops from the end what has no room.
    async fn fit(&self, rows: &mut Vec<Fetched>, room: Room) -> Result<(), StoreError> {
        match page::deferred(rows, room) {
            Deferred::Fit { rows: fit } => rows.truncate(fit),
            Deferred::FirstTooLarge => {
                rows.truncate(1);
                if let Some(first) = rows.first_mut() {
                    let exact = self.size(first.seq).await?;
                    let cost = first.content.cost() as u64 + exact;
                    if cost > self.bytes_max as u64 {
                        first.content.body = Body::Withheld { bytes: exact };
                        first.deferred = None;
                    } else if cost > room.bytes as u64 {
                        rows.clear();
                    }
                }
            }
        }
        self.fetch_bodies(rows).await?;
        page::cut(rows, room);
        Ok(())
    }

    async fn size(&self, seq: i64) -> Result<u64, StoreError> {
        let row = self.direct.client().query_opt(&self.statements.size, &[&seq]).await;
        let size: Option<i64> = row.map_err(|error| away(&error))?.and_then(|row| row.get(0));
        Ok(size.unwrap_or(0).unsigned_abs())
    }

    async fn fetch_bodies(&self, rows: &mut [Fetched]) -> Result<(), StoreError> {
        let seqs: Vec<i64> = rows
            .iter()
            .filter(|row| row.deferred.is_some())
            .map(|row| row.seq)
            .collect();
        if seqs.is_empty() {
            return Ok(());
        }
        let fetched = self.direct.client().query(&self.statements.bodies, &[&seqs]).await;
        for row in fetched.map_err(|error| away(&error))? {
            let seq: i64 = row.get(0);
            let body = row.try_get::<_, Option<Raw<'_>>>(1).map_err(|error| away(&error))?;
            if let Ok(index) = rows.binary_search_by_key(&seq, |row| row.seq) {
                rows[index].content.body = body.map_or(Body::Null, Raw::body);
                rows[index].deferred = None;
            }
        }
        Ok(())
    }

    /// A window in which nothing was is settled by nobody else.
    async fn settle_empty(&mut self) -> Result<(), StoreError> {
        let progress = self.confirmed.clone();
        self.settle(&progress).await
    }

    async fn settle(&mut self, progress: &Progress) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let _writing = shared.writing.lock().await;
        let change = shared.windows().change(progress);
        if !change.is_empty() {
            self.write(&change).await?;
        }
        shared.windows().changed(change);
        Ok(())
    }

    async fn write(&self, change: &Change) -> Result<(), StoreError> {
        let Fence { relay, epoch, holder } = &self.fence;
        let (numbers, windows, seqs) = change.columns();
        crate::point!("cursor.writing");
        let row = self
            .direct
            .client()
            .query_one(
                &self.statements.confirm,
                &[relay, epoch, holder, &numbers, &windows, &seqs, &change.gone],
            )
            .await
            .map_err(|error| away(&error))?;
        crate::point!("cursor.written");
        let fences: i64 = row.get(0);
        if fences == 0 { Err(StoreError::Fenced) } else { Ok(()) }
    }

    async fn count(&self) -> Result<Backlog, StoreError> {
        let (newest, oldest) = {
            let windows = self.shared.windows();
            (Arc::clone(windows.newest().1), windows.oldest_left(&self.confirmed))
        };
        let row = self
            .direct
            .client()
            .query_one(&self.statements.backlog, &[&*newest, &oldest, &BACKLOG_MAX])
            .await
            .map_err(|error| away(&error))?;
        let (ahead, age): (i64, f64) = (row.get(0), row.get(1));
        Ok(Backlog {
            messages: ahead.unsigned_abs() + self.confirmed.rest.len() as u64,
            oldest_age: Duration::try_from_secs_f64(age).unwrap_or_default(),
        })
    }
}

impl Source for CursorSource {
    fn next(&mut self, room: Room) -> Boxed<'_, Result<Page, StoreError>> {
        Box::pin(async move {
            self.begin()?;
            let page = self.read_on(room).await;
            self.end(page)
        })
    }

    fn idle(&mut self, at_most: Duration) -> Boxed<'_, ()> {
        Box::pin(async move { self.wake.idle(&mut self.direct, at_most).await })
    }

    fn confirm(&mut self, progress: Progress) -> Boxed<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.begin()?;
            let settled = self.settle(&progress).await;
            self.confirmed = progress;
            self.end(settled)
        })
    }

    fn probe(&mut self) -> Boxed<'_, Result<Backlog, StoreError>> {
        Box::pin(async move {
            self.begin()?;
            let backlog = self.count().await;
            self.end(backlog)
        })
    }

    fn close(self: Box<Self>) -> Boxed<'static, ()> {
        Box::pin(self.direct.close())
    }
}

/// The first window that is not read to its end.
fn unread(shared: &Shared) -> Option<Reading> {
    let windows = shared.windows();
    let (window, lower) = windows.first_unread()?;
    Some(Reading::of(window, lower))
}
