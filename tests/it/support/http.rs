//! One GET or POST over HTTP/1.1, by hand: the judge does not share a client with the judged.

use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An admin port answers from memory.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.body).map_err(|error| format!("{error} in {:?}", self.body))
    }
}

/// # Errors
/// What went wrong on the way, as text for a poll.
pub(crate) async fn get(address: &str, path: &str) -> Result<Answer, String> {
    request(address, ("GET", path), "").await
}

/// # Errors
/// What went wrong on the way, as text for a poll.
pub(crate) async fn post(address: &str, path: &str) -> Result<Answer, String> {
    request(address, ("POST", path), "").await
}

/// With the admin port's token.
///
/// # Errors
/// What went wrong on the way, as text for a poll.
pub(crate) async fn post_as(address: &str, path: &str, token: &str) -> Result<Answer, String> {
    let header = format!("authorization: Bearer {token}\r\n");
    request(address, ("POST", path), &header).await
}

async fn request(address: &str, (method, path): (&str, &str), header: &str) -> Result<Answer, String> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\naccept: */*\r\n{header}connection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, exchange).await;
    let answer = answer.map_err(|_| format!("{address}{path}: no answer within {ANSWER_WITHIN:?}"))?;
    parse(&answer.map_err(|error| format!("{address}{path}: {error}"))?)
}

fn parse(answer: &[u8]) -> Result<Answer, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("no HTTP answer: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Ok(Answer {
        status: status.ok_or_else(|| format!("no status: {head:?}"))?,
        body,
    })
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || size > after.len() {
            break;
        }
        body.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    body
}

#[test]
fn plain_and_chunked_answers_are_read() {
    let plain = parse(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno").expect("an answer");
    assert_eq!(
        plain,
        Answer {
            status: 503,
            body: "no".into()
        }
    );
    let chunked = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n1\r\n!\r\n0\r\n\r\n");
    assert_eq!(chunked.expect("an answer").body, "yes!");
}
