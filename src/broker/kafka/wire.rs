//! A message as a Kafka record: its headers, and its size before anything is sent.
//!
//! Promises: the size is what the broker will compare with `max.message.bytes` when the record is alone in an
//! uncompressed batch; a header that librdkafka cannot carry is told before sending.

use rdkafka::message::{Header, OwnedHeaders};

use crate::broker::Encoder;
use crate::contract::Outbound;
use crate::delivery::{Failure, FailureKind};
use crate::message::Body;

/// The frame of a record batch, magic 2: offset, length, leader epoch, magic, checksum, attributes, sequence, count.
const BATCH_BYTES: u64 = 61;
/// The usual message has about this many headers.
const HEADERS_USUAL: usize = 12;

/// A record that passed the checks which need no broker.
pub(super) struct Record {
    /// All headers.
    pub(super) headers: OwnedHeaders,
    /// Size of a batch of this record alone.
    pub(super) bytes: u64,
    /// Headers of the row that gave way to ours.
    pub(super) gave_way: u32,
}

/// Writes a message's headers and counts its bytes.
///
/// # Errors
/// A failure of this message: a header name with a NUL, or a payload too large to be read.
pub(super) fn encode(encoder: &Encoder, outbound: &Outbound) -> Result<Record, Failure> {
    if let Body::Withheld { bytes } = outbound.message.body {
        return Err(Failure::new(
            FailureKind::Message,
            "PayloadWithheld",
            format!(
                "the payload has {bytes} bytes, more than `limits.bytes` allows to read; raise it, or discard the row"
            ),
        ));
    }
    let mut headers = Some(OwnedHeaders::new_with_capacity(HEADERS_USUAL));
    let (mut count, mut bytes, mut bad) = (0_usize, 0_usize, None);
    let gave_way = encoder.headers(outbound, &mut |name, value| {
        if name.as_bytes().contains(&0) {
            bad = Some(name.replace('\0', "\\0"));
            return;
        }
        count += 1;
        bytes += field(name.len()) + field(value.len());
        headers = headers.take().map(|headers| {
            headers.insert(Header {
                key: name,
                value: Some(value),
            })
        });
    });
    if let Some(name) = bad {
        return Err(Failure::new(
            FailureKind::Message,
            "HeaderName",
            format!("the header name `{name}` holds a NUL, which a Kafka client cannot carry; rename it"),
        ));
    }
    let key = outbound.address.key.as_ref().map(|key| key.as_bytes().len());
    let value = outbound.message.body.as_bytes().map(<[u8]>::len);
    // Attributes and the deltas of time and offset, which are 0 for a record alone, are a byte each.
    let record = 3 + optional(key) + optional(value) + varint(count) + bytes;
    Ok(Record {
        headers: headers.unwrap_or_default(),
        bytes: BATCH_BYTES + (varint(record) + record) as u64,
        gave_way,
    })
}

/// Whether a name can be a topic's.
pub(super) fn legal_topic(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// A length and the bytes it counts.
fn field(bytes: usize) -> usize {
    varint(bytes) + bytes
}

/// Null is the length -1, one byte.
fn optional(bytes: Option<usize>) -> usize {
    bytes.map_or(1, field)
}

/// Bytes of a zigzag varint of a non-negative number.
fn varint(number: usize) -> usize {
    let zigzag = (number as u64) << 1;
    (64 - zigzag.max(1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
