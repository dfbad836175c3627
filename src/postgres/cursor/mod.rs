//! The snapshot cursor: everything that commits, once, in the order in which its writers serialised.
//!
//! ```text
//!  probe ─ nothing ─▶ idle (poll, or sleep until a writer notifies)
//!    │ something
//!    ▼
//!  open: a window is written, then read ──▶ small: one page by xid
//!    ▲                                └──▶ large: extent, then pages by primary key
//!  reload: windows of the last holder ────▶ rest: only what was left
//! ```
//!
//! Window *n* = rows visible in its snapshot and not in that of window *n* − 1, ordered by `seq`. It is committed before
//! anything of it is published, so a crash replays the same rows in the same order under the same positions.
//!
//! # Why not `id > last`, and not `order by xid`
//!
//! Sequence numbers are drawn before their transactions commit, so the first loses rows. Transactions get their number
//! long before they get their row locks, so the second swaps the events of a key.

mod open;
mod page;
mod row;
mod source;
mod statements;
mod window;

pub(super) use open::{History, Identity, ROUTE, SYSTEM, TIMELINE, floorless, route_changed};
pub(super) use row::{Columns, Kinds, Raw, Stamp, headers};
pub(super) use source::{CursorSource, Parts, Shared};
pub(super) use statements::CursorText;
