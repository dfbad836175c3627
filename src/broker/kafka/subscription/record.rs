//! A record of librdkafka's as the envelope reader wants it.
//!
//! Promises: a record that the client cannot show in full comes all the same, with a flaw.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use jiff::Timestamp;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use crate::broker::{Reader, Received};
use crate::contract::StreamName;
use crate::message::Message;

/// The message of a record.
pub(super) fn decode(name: &StreamName, record: &BorrowedMessage<'_>, reader: &Reader) -> Message {
    let headers = headers(record);
    let flaw = headers
        .is_none()
        .then_some("a header's name is not UTF-8, which this client cannot show");
    let stored_at = record
        .timestamp()
        .to_millis()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    reader.read(&Received {
        topic: &name.topic,
        partition: name.partition,
        offset: record.offset(),
        key: record.key(),
        value: record.payload().map(Bytes::copy_from_slice),
        headers: headers.unwrap_or_default(),
        stored_at,
        flaw,
    })
}

/// Names and values; none when a name is no UTF-8: `rdkafka` 0.39 panics then, and a poison record may not end us.
fn headers<'a>(record: &'a BorrowedMessage<'_>) -> Option<Vec<(&'a str, &'a [u8])>> {
    let Some(headers) = record.headers() else {
        return Some(Vec::new());
    };
    let read = AssertUnwindSafe(|| {
        let all = headers.iter();
        all.map(|header| (header.key, header.value.unwrap_or_default()))
            .collect()
    });
    std::panic::catch_unwind(read).ok()
}
