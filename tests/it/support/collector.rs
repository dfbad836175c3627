//! A receiver of OTLP over HTTP, by hand: it reads the bytes as the protocol's description has them.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A span as it arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty = the trace begins with it.
    pub parent: String,
    /// 2 = server, 3 = client, 5 = consumer.
    pub kind: u64,
    /// `(trace id, span id)` of each link.
    pub links: Vec<(String, String)>,
    /// Texts alone.
    pub attributes: Vec<(String, String)>,
    /// 2 = an error.
    pub status: u64,
}

/// What was posted to it.
#[derive(Clone, Default)]
pub(crate) struct Collector {
    pub endpoint: String,
    requests: Arc<Mutex<Vec<(String, Vec<u8>)>>>,
}

// === impl Span ===

impl Span {
    #[must_use]
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

// === impl Collector ===

impl Collector {
    /// Listens on a free port until the test's runtime ends.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let collector = Self {
            endpoint: format!("http://{}", listener.local_addr().expect("bound")),
            ..Self::default()
        };
        let requests = Arc::clone(&collector.requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let requests = Arc::clone(&requests);
                tokio::spawn(async move {
                    if let Some(request) = receive(stream).await {
                        requests.lock().expect("no holder panics").push(request);
                    }
                });
            }
        });
        collector
    }

    /// The paths that were posted to, in order.
    #[must_use]
    pub(crate) fn paths(&self) -> Vec<String> {
        let requests = self.requests.lock().expect("no holder panics");
        requests.iter().map(|(path, _)| path.clone()).collect()
    }

    /// All spans so far.
    #[must_use]
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().expect("no holder panics");
        let traces = requests.iter().filter(|(path, _)| path == "/v1/traces");
        traces.flat_map(|(_, body)| spans(body)).collect()
    }
}

async fn receive(mut stream: TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|length| length.trim().parse().ok())?;
        if bytes.len() >= end + 4 + length {
            let path = head.split(' ').nth(1)?.to_owned();
            // The sender may be gone; what it said counts.
            let _ = stream.write_all(ANSWER).await;
            return Some((path, bytes[end + 4..].to_vec()));
        }
    }
}

/// `ExportTraceServiceRequest`: resource spans (1) of scope spans (2) of spans (2).
fn spans(body: &[u8]) -> Vec<Span> {
    let all = parts(body, 1).into_iter().flat_map(|resource| parts(resource, 2));
    all.flat_map(|scope| parts(scope, 2)).map(span).collect()
}

fn span(bytes: &[u8]) -> Span {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let one = |bytes, field| parts(bytes, field).pop().unwrap_or_default();
    let links = parts(bytes, 13).into_iter();
    let attributes = parts(bytes, 9).into_iter();
    let status = fields(one(bytes, 15)).into_iter().find(|(field, ..)| *field == 3);
    let kind = fields(bytes).into_iter().find(|(field, ..)| *field == 6);
    Span {
        name: text(one(bytes, 5)),
        trace: hex(one(bytes, 1)),
        id: hex(one(bytes, 2)),
        parent: hex(one(bytes, 4)),
        kind: kind.map_or(0, |(_, number, _)| number),
        links: links.map(|link| (hex(one(link, 1)), hex(one(link, 2)))).collect(),
        attributes: attributes
            .map(|attribute| (text(one(attribute, 1)), text(one(one(attribute, 2), 1))))
            .collect(),
        status: status.map_or(0, |(_, number, _)| number),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The messages and texts under that field number.
fn parts(bytes: &[u8], wanted: u64) -> Vec<&[u8]> {
    let found = fields(bytes).into_iter().filter(|(field, ..)| *field == wanted);
    found.filter_map(|(.., bytes)| bytes).collect()
}

/// Protocol buffers: field number, the number in it, or the bytes.
fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Option<&[u8]>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes);
        let (value, part) = match tag & 7 {
            0 => (number(&mut bytes), None),
            2 => {
                let length = usize::try_from(number(&mut bytes)).expect("a length");
                let (part, rest) = bytes.split_at(length);
                bytes = rest;
                (0, Some(part))
            }
            kind => {
                bytes = &bytes[if kind == 1 { 8 } else { 4 }..];
                (0, None)
            }
        };
        found.push((tag >> 3, value, part));
    }
    found
}

fn number(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().expect("a whole number");
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    value
}

#[test]
fn a_span_is_read_from_its_bytes() {
    let link = [0x6a, 6, 0x0a, 1, 0xab, 0x12, 1, 0xcd];
    let mut span = vec![0x0a, 1, 0x0f, 0x2a, 4, b's', b'e', b'n', b'd'];
    span.extend(link);
    span.extend([0x4a, 8, 0x0a, 1, b'a', 0x12, 3, 0x0a, 1, b'b', 0x7a, 2, 0x18, 2]);
    span.extend([0x39, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut body = span;
    for field in [2_u8, 2, 1] {
        let length = u8::try_from(body.len()).expect("short");
        body = [vec![field << 3 | 2, length], body].concat();
    }
    let read = &spans(&body)[0];
    assert_eq!(
        (read.name.as_str(), read.trace.as_str(), read.status),
        ("send", "0f", 2)
    );
    assert_eq!(read.links, [("ab".to_owned(), "cd".to_owned())]);
    assert_eq!(read.attribute("a"), Some("b"));
}
