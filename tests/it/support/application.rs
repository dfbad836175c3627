//! A toy application behind HTTP/1.1, by hand: it answers what a script says, however wrong, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Method and path.
    pub line: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Which connection brought it, counted from 0.
    pub connection: usize,
}

/// What becomes of one request.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// These bytes, and the connection stays.
    Say(Vec<u8>),
    /// These bytes, and the connection ends.
    SayAndClose(Vec<u8>),
    /// The head, then this for ever.
    Pour(Vec<u8>),
    /// These bytes one by one, so many milliseconds apart.
    Drip(Vec<u8>, u64),
    /// No word; the connection stays until the caller goes.
    Hang,
}

/// The application, until it is dropped.
pub(crate) struct Application {
    pub address: String,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Act>>,
    asked: Mutex<Vec<Asked>>,
    /// Answers where nothing is scripted.
    otherwise: Mutex<Option<fn(&Asked) -> Act>>,
    connections: AtomicUsize,
    poured: AtomicUsize,
}

/// A whole reply with a body.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> Act {
    let length = body.len();
    Act::Say(format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes())
}

impl Application {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared::default());
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            listening,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events?tenant=a", self.address)
    }

    /// What becomes of the next requests; after them every one is answered with 200.
    pub(crate) fn will(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.script.lock().expect("no panic").extend(acts);
    }

    /// What becomes of requests that nothing is scripted for.
    pub(crate) fn otherwise(&self, act: fn(&Asked) -> Act) {
        *self.shared.otherwise.lock().expect("no panic") = Some(act);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().expect("no panic").clone()
    }

    /// Bytes that were poured out and taken.
    pub(crate) fn poured(&self) -> usize {
        self.shared.poured.load(Ordering::SeqCst)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with the listener.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        connections.spawn(serve(stream, number, Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, number: usize, shared: Arc<Shared>) {
    // Small answers must not wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream, number).await {
        let otherwise = *shared.otherwise.lock().expect("no panic");
        let act = shared.script.lock().expect("no panic").pop_front();
        let act = act.unwrap_or_else(|| otherwise.map_or_else(|| reply("200 OK", "", ""), |act| act(&asked)));
        shared.asked.lock().expect("no panic").push(asked);
        if !perform(act, &mut stream, &shared).await {
            return;
        }
    }
}

/// Whether the connection goes on.
async fn perform(act: Act, stream: &mut BufReader<TcpStream>, shared: &Shared) -> bool {
    match act {
        Act::Say(bytes) => stream.write_all(&bytes).await.is_ok(),
        Act::SayAndClose(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            false
        }
        Act::Pour(head) => {
            let block = vec![b'x'; 64 * 1024];
            let mut went = stream.write_all(&head).await.is_ok();
            while went {
                went = stream.write_all(&block).await.is_ok();
                shared.poured.fetch_add(block.len(), Ordering::SeqCst);
            }
            false
        }
        Act::Drip(bytes, pause) => {
            for byte in bytes {
                if stream.write_all(&[byte]).await.is_err() {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            true
        }
        Act::Hang => {
            let _ = stream.read(&mut [0]).await;
            false
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<Asked> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut header = Vec::new();
        stream.read_until(b'\n', &mut header).await.ok()?;
        let header = String::from_utf8_lossy(&header).trim_end().to_owned();
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        if name == "content-length" {
            length = value.parse().ok()?;
        }
        headers.push((name, value));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked {
        line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(),
        headers,
        body,
        connection,
    })
}
