//! From the server's binary row to a message.
//!
//! Promises: payload bytes are the row's (a `jsonb` in the server's own rendering); headers that are no object are kept
//! whole under [`ODD_HEADERS`]; no value of a row can make decoding fail but a column of another type.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

use crate::message::{Body, Content, ContentType, Headers, Key, ODD_HEADERS, Position};

/// Distinct aggregate types and event types that are shared; more are forgotten and learned again.
const KINDS_MAX: usize = 1024;
/// 2000-01-01, from which the server counts, in microseconds after 1970-01-01.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Texts that come again and again.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Kinds(foldhash::HashMap<Box<str>, Arc<str>>);

/// Where a message's columns begin in a row, and what type its payload has: the nine columns stand in the order of
/// `window.sql`.
#[derive(Debug, Clone, Copy)]
pub(in crate::postgres) struct Columns {
    pub(in crate::postgres) content_type: ContentType,
}

/// A row whose payload may still have to be fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) seq: i64,
    pub(super) content: Content,
    /// A payload that was not sent along, and the size that it may have.
    pub(super) deferred: Option<u64>,
}

/// A payload's bytes, whatever its type.
#[derive(Debug)]
pub(in crate::postgres) struct Raw<'a>(&'a [u8]);

/// A time, with the infinities at the ends of what can be said.
#[derive(Debug)]
pub(in crate::postgres) struct Stamp(pub(in crate::postgres) Timestamp);

// === impl Kinds ===

impl Kinds {
    pub(in crate::postgres) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        if self.0.len() >= KINDS_MAX {
            self.0.clear();
        }
        let shared: Arc<str> = text.into();
        self.0.insert(text.into(), Arc::clone(&shared));
        shared
    }
}

// === impl Columns ===

impl Columns {
    /// By the type that the payload column has.
    pub(in crate::postgres) fn of(payload: &Type) -> Self {
        let content_type = match *payload {
            Type::JSONB | Type::JSON => ContentType::Json,
            Type::BYTEA => ContentType::Binary,
            _ => ContentType::Text,
        };
        Self { content_type }
    }

    /// Columns of `window.sql`, `page.sql` and `rest.sql`.
    pub(super) fn fetched(
        self,
        row: &Row,
        place: (u64, u64),
        kinds: &mut Kinds,
    ) -> Result<Fetched, tokio_postgres::Error> {
        let seq: i64 = row.try_get(0)?;
        let payload: Option<Raw<'_>> = row.try_get(5)?;
        let size: Option<i64> = row.try_get(9)?;
        let deferred = size.filter(|_| payload.is_none()).map(i64::unsigned_abs);
        let content = Content {
            position: Position::new(place.0, place.1, seq.unsigned_abs()),
            id: row.try_get::<_, Uuid>(1)?,
            aggregate_type: kinds.share(row.try_get(2)?),
            key: row.try_get::<_, Option<&str>>(3)?.map(Key::from),
            kind: kinds.share(row.try_get(4)?),
            body: payload.map_or(Body::Null, Raw::body),
            content_type: self.content_type,
            headers: row
                .try_get::<_, Option<Raw<'_>>>(6)?
                .map(|raw| headers(raw.0))
                .unwrap_or_default(),
            traceparent: row.try_get::<_, Option<&str>>(7)?.map(Into::into),
            occurred_at: row.try_get::<_, Stamp>(8)?.0,
            replay: None,
            origin: None,
        };
        Ok(Fetched { seq, content, deferred })
    }
}

// === impl Raw ===

impl Raw<'_> {
    /// Copied: a row's buffer is shared by its whole page and would pin it.
    pub(in crate::postgres) fn body(self) -> Body {
        Body::Bytes(Bytes::copy_from_slice(self.0))
    }

    pub(in crate::postgres) fn bytes(&self) -> &[u8] {
        self.0
    }
}

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match (ty, raw) {
            (&Type::JSONB, [1, text @ ..]) => Ok(Self(text)),
            (&Type::JSONB, _) => Err("a jsonb of a format that this build does not know".into()),
            (_, bytes) => Ok(Self(bytes)),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::JSONB | Type::JSON | Type::TEXT | Type::BYTEA | Type::VARCHAR)
    }
}

// === impl Stamp ===

impl<'a> FromSql<'a> for Stamp {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?).saturating_add(POSTGRES_EPOCH);
        let end = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Ok(Self(Timestamp::from_microsecond(micros).unwrap_or(end)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// Names and values of a JSON object; a value that is no string as its JSON text.
pub(in crate::postgres) fn headers(json: &[u8]) -> Headers {
    struct Object;
    impl<'de> Visitor<'de> for Object {
        type Value = Vec<(Box<str>, Box<str>)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut pairs = Vec::new();
            while let Some((name, value)) = map.next_entry::<Box<str>, Box<RawValue>>()? {
                let text = serde_json::from_str::<Box<str>>(value.get()).unwrap_or_else(|_| value.get().into());
                pairs.push((name, text));
            }
            Ok(pairs)
        }
    }
    if json == b"null" {
        return Headers::default();
    }
    match serde_json::Deserializer::from_slice(json).deserialize_map(Object) {
        Ok(pairs) => pairs.into_iter().collect(),
        Err(_) => std::iter::once((ODD_HEADERS.into(), String::from_utf8_lossy(json).into())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(json: &str) -> Vec<(String, String)> {
        let headers = headers(json.as_bytes());
        headers
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn own(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn headers_keep_their_order_and_other_values_their_text() {
        let json = r#"{"z": "1 \"x\" ü", "a": 2, "b": {"c": [null, true]}, "d": null, "e": 1.50}"#;
        assert_eq!(
            pairs(json),
            [
                own("z", "1 \"x\" ü"),
                own("a", "2"),
                own("b", r#"{"c": [null, true]}"#),
                own("d", "null"),
                own("e", "1.50"),
            ]
        );
        assert_eq!(pairs("{}"), []);
        assert_eq!(pairs("null"), []);
    }

    #[test]
    fn headers_that_are_no_object_are_kept_whole() {
        assert_eq!(pairs(r#"["a", 1]"#), [own(ODD_HEADERS, r#"["a", 1]"#)]);
        assert_eq!(pairs(r#""text""#), [own(ODD_HEADERS, r#""text""#)]);
    }

    #[test]
    fn infinite_times_are_the_ends_of_time() {
        let at = |micros: i64| {
            Stamp::from_sql(&Type::TIMESTAMPTZ, &micros.to_be_bytes())
                .expect("read")
                .0
        };
        assert_eq!(at(i64::MAX), Timestamp::MAX);
        assert_eq!(at(i64::MIN), Timestamp::MIN);
        assert_eq!(at(0).to_string(), "2000-01-01T00:00:00Z");
    }

    #[test]
    fn kinds_are_shared_and_bounded() {
        let mut kinds = Kinds::default();
        assert!(Arc::ptr_eq(&kinds.share("order"), &kinds.share("order")));
        for number in 0..3 * KINDS_MAX {
            kinds.share(&number.to_string());
        }
        assert!(kinds.0.len() <= KINDS_MAX);
    }
}
