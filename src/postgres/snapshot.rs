//! `xid8` and `pg_snapshot` as values, in the server's binary formats.
//!
//! Promises: what a [`PgSnapshot`] sees is what `pg_visible_in_snapshot` says, so windows can be reasoned about without
//! asking the server.

use std::error::Error;
use std::fmt;

use bytes::{BufMut as _, BytesMut};
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

type Unreadable = Box<dyn Error + Sync + Send>;

/// A transaction's number; never wraps, never is used twice in one cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid8(pub u64);

/// Which transactions had finished at one moment: all below `xmin`, none from `xmax` on, and in between those that are
/// not in `xip`.
#[derive(Clone, PartialEq, Eq)]
pub struct PgSnapshot {
    xmin: Xid8,
    xmax: Xid8,
    /// Ascending, as the server sends it.
    xip: Box<[Xid8]>,
}

// === impl PgSnapshot ===

impl PgSnapshot {
    /// `1:1:`, which sees nothing: everything above it is a table from its first row on.
    #[must_use]
    pub fn beginning() -> Self {
        Self::closed(Xid8(1))
    }

    /// A snapshot that sees exactly the transactions below `xid`.
    #[must_use]
    pub fn closed(xid: Xid8) -> Self {
        Self {
            xmin: xid,
            xmax: xid,
            xip: Box::default(),
        }
    }

    /// Everything below it had finished.
    #[must_use]
    pub fn xmin(&self) -> Xid8 {
        self.xmin
    }

    /// Nothing from it on had finished.
    #[must_use]
    pub fn xmax(&self) -> Xid8 {
        self.xmax
    }

    /// Whether the transaction had finished (`pg_visible_in_snapshot`).
    #[must_use]
    pub fn sees(&self, xid: Xid8) -> bool {
        xid < self.xmin || xid < self.xmax && self.xip.binary_search(&xid).is_err()
    }

    /// Transactions that ran in this snapshot and had finished in `upper`: their rows are late.
    #[must_use]
    pub fn late_in(&self, upper: &Self) -> Vec<Xid8> {
        self.xip.iter().copied().filter(|xid| upper.sees(*xid)).collect()
    }
}

impl fmt::Display for PgSnapshot {
    /// The server's text form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin.0, self.xmax.0)?;
        for (index, xid) in self.xip.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}", xid.0)?;
        }
        Ok(())
    }
}

impl fmt::Debug for PgSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PgSnapshot({self})")
    }
}

impl<'a> FromSql<'a> for PgSnapshot {
    /// Count (4 bytes), xmin, xmax, then each of xip (8 bytes each).
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        let (count, mut rest) = raw.split_first_chunk::<4>().ok_or("a snapshot has a count")?;
        let mut next = || -> Result<Xid8, Unreadable> {
            let (xid, tail) = rest.split_first_chunk::<8>().ok_or("a snapshot has all its numbers")?;
            rest = tail;
            Ok(Xid8(u64::from_be_bytes(*xid)))
        };
        let (xmin, xmax) = (next()?, next()?);
        let xip = (0..u32::from_be_bytes(*count))
            .map(|_| next())
            .collect::<Result<_, _>>()?;
        Ok(Self { xmin, xmax, xip })
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::PG_SNAPSHOT
    }
}

impl ToSql for PgSnapshot {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Unreadable> {
        out.put_u32(u32::try_from(self.xip.len())?);
        out.put_u64(self.xmin.0);
        out.put_u64(self.xmax.0);
        for xid in &self.xip {
            out.put_u64(xid.0);
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::PG_SNAPSHOT
    }

    to_sql_checked!();
}

// === impl Xid8 ===

impl<'a> FromSql<'a> for Xid8 {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        Ok(Self(u64::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::XID8
    }
}

impl ToSql for Xid8 {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Unreadable> {
        out.put_u64(self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::XID8
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(xmin: u64, xmax: u64, xip: &[u64]) -> PgSnapshot {
        PgSnapshot {
            xmin: Xid8(xmin),
            xmax: Xid8(xmax),
            xip: xip.iter().copied().map(Xid8).collect(),
        }
    }

    #[test]
    fn binary_forms_come_back() {
        for value in [PgSnapshot::beginning(), snapshot(752, 755, &[752, 753])] {
            let mut out = BytesMut::new();
            value.to_sql(&Type::PG_SNAPSHOT, &mut out).expect("written");
            assert_eq!(PgSnapshot::from_sql(&Type::PG_SNAPSHOT, &out).expect("read"), value);
        }
        assert!(PgSnapshot::from_sql(&Type::PG_SNAPSHOT, &[0, 0, 0, 1, 0]).is_err());
    }

    #[test]
    fn a_snapshot_sees_what_had_finished() {
        let seen = snapshot(752, 755, &[752, 753]);
        assert_eq!(seen.to_string(), "752:755:752,753");
        let visible: Vec<u64> = (750..758).filter(|xid| seen.sees(Xid8(*xid))).collect();
        assert_eq!(visible, [750, 751, 754]);
        assert!(!PgSnapshot::beginning().sees(Xid8(3)));
    }

    #[test]
    fn late_are_those_that_ran_below_and_had_finished_above() {
        let lower = snapshot(10, 20, &[10, 12, 15]);
        let upper = snapshot(12, 30, &[12, 25]);
        assert_eq!(lower.late_in(&upper), [Xid8(10), Xid8(15)]);
    }
}
