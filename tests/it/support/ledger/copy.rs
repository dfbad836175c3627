//! Rows by COPY: how an application that writes thousands at once does it.

use bytes::Bytes;
use futures_util::SinkExt as _;
use std::fmt::Write as _;
use tokio_postgres::{Error, Transaction};

/// Copies lines of text columns into a table; none is null.
///
/// # Errors
/// What Postgres said.
pub(super) async fn copy<'a>(
    transaction: &Transaction<'_>,
    into: &str,
    lines: impl Iterator<Item = Vec<Option<&'a str>>>,
) -> Result<u64, Error> {
    let mut text = String::new();
    for line in lines {
        for (place, column) in line.into_iter().enumerate() {
            if place > 0 {
                text.push('\t');
            }
            push(&mut text, column);
        }
        text.push('\n');
    }
    let sink = transaction.copy_in(&format!("copy {into} from stdin")).await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(Bytes::from(text)).await?;
    sink.finish().await
}

/// One column, as the text format has it.
fn push(text: &mut String, column: Option<&str>) {
    let Some(column) = column else {
        text.push_str("\\N");
        return;
    };
    for char in column.chars() {
        match char {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            other => text.push(other),
        }
    }
}

/// Bytes as a `bytea` is written in text.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
