//! One TCP link with weather: it can be cut, reset, held still or refused, and heals on command.
//!
//! Promises: bytes that pass are unchanged and in order; while the link is *held* no byte passes in either direction
//! and no connection ends; a test gives every link its own proxy, so faults are per link.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weather {
    held: bool,
    refused: bool,
    /// Connections of an older generation end.
    generation: u64,
    /// They end by RST, not by FIN.
    reset: bool,
    /// Port of the server behind, on loopback; 0 = not there yet.
    target: u16,
}

/// A listening port in front of a server.
pub(crate) struct Proxy {
    pub port: u16,
    weather: watch::Sender<Weather>,
    /// Connections that were ever passed on.
    passed: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// In front of `target` on loopback; 0 when the server comes later ([`Proxy::aim`]).
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let fair = Weather {
            held: false,
            refused: false,
            generation: 0,
            reset: false,
            target,
        };
        let (weather, forecast) = watch::channel(fair);
        let passed = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(listen(listener, forecast, Arc::clone(&passed)));
        Self {
            port,
            weather,
            passed,
            task,
        }
    }

    /// The server behind is at this port now.
    pub(crate) fn aim(&self, target: u16) {
        self.weather.send_modify(|weather| weather.target = target);
    }

    /// Ends all connections with FIN; new ones are welcome.
    pub(crate) fn cut(&self) {
        self.weather
            .send_modify(|weather| (weather.generation, weather.reset) = (weather.generation + 1, false));
    }

    /// Ends all connections with RST; new ones are welcome.
    pub(crate) fn reset(&self) {
        self.weather
            .send_modify(|weather| (weather.generation, weather.reset) = (weather.generation + 1, true));
    }

    /// A black hole: everything stays open, nothing passes.
    pub(crate) fn hold(&self) {
        self.weather.send_modify(|weather| weather.held = true);
    }

    /// Ends all connections with RST; new ones are refused.
    pub(crate) fn refuse(&self) {
        self.reset();
        self.weather.send_modify(|weather| weather.refused = true);
    }

    /// Fair weather again: what was held passes, who connects is welcome.
    pub(crate) fn heal(&self) {
        self.weather
            .send_modify(|weather| (weather.held, weather.refused) = (false, false));
    }

    /// Connections so far: shows that the traffic really takes this link.
    #[must_use]
    pub(crate) fn connections(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.reset();
        self.task.abort();
    }
}

async fn listen(first: TcpListener, mut forecast: watch::Receiver<Weather>, passed: Arc<AtomicU64>) {
    let address = first.local_addr().expect("a bound socket has an address");
    let mut listener = Some(first);
    loop {
        let refused = forecast.borrow_and_update().refused;
        if refused {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
            if listener.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = forecast.changed() => if changed.is_err() { return },
            Ok((inside, _)) = accepted => {
                passed.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(pass(inside, forecast.clone()));
            }
        }
    }
}

async fn pass(inside: TcpStream, mut forecast: watch::Receiver<Weather>) {
    let born = *forecast.borrow_and_update();
    let Ok(outside) = TcpStream::connect(("127.0.0.1", born.target)).await else {
        let _ = inside.set_zero_linger();
        return;
    };
    let _ = (inside.set_nodelay(true), outside.set_nodelay(true));
    let (inside_read, inside_write) = inside.into_split();
    let (outside_read, outside_write) = outside.into_split();
    tokio::join!(
        pump(inside_read, outside_write, (forecast.clone(), born.generation)),
        pump(outside_read, inside_write, (forecast.clone(), born.generation)),
    );
}

/// Copies until its end or the end of its generation.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, life: (watch::Receiver<Weather>, u64)) {
    let (mut forecast, born) = life;
    let mut holding = forecast.clone();
    let reset = tokio::select! {
        () = copy(&mut from, &mut to, &mut holding) => false,
        weather = forecast.wait_for(|weather| weather.generation != born) => weather.is_ok_and(|weather| weather.reset),
    };
    if reset {
        // Closing a socket with linger 0 sends RST; `forget` keeps the half from sending FIN first.
        let _ = (from.as_ref().set_zero_linger(), to.as_ref().set_zero_linger());
        to.forget();
    }
}

async fn copy(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, forecast: &mut watch::Receiver<Weather>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if forecast.wait_for(|weather| !weather.held).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::wait;
    use std::io::ErrorKind;

    /// A server that answers every byte with the same byte.
    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.into_split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        port
    }

    async fn said(stream: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
        stream.write_u8(byte).await?;
        stream.read_u8().await
    }

    async fn link() -> (Proxy, TcpStream) {
        let proxy = Proxy::to(echo().await).await;
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port))
            .await
            .expect("the proxy listens");
        assert_eq!(said(&mut stream, 1).await.expect("it passes"), 1);
        (proxy, stream)
    }

    #[tokio::test]
    async fn a_cut_ends_what_is_open_and_welcomes_the_next() {
        let (proxy, mut stream) = link().await;
        proxy.cut();
        assert_eq!(
            stream.read_u8().await.expect_err("it is cut").kind(),
            ErrorKind::UnexpectedEof
        );
        let mut next = TcpStream::connect(("127.0.0.1", proxy.port))
            .await
            .expect("the proxy listens");
        assert_eq!(said(&mut next, 2).await.expect("it passes"), 2);
        assert_eq!(proxy.connections(), 2);
    }

    #[tokio::test]
    async fn a_reset_is_a_reset() {
        let (proxy, mut stream) = link().await;
        proxy.reset();
        assert_eq!(
            stream.read_u8().await.expect_err("it is reset").kind(),
            ErrorKind::ConnectionReset
        );
    }

    #[tokio::test]
    async fn a_held_link_passes_nothing_until_it_heals() {
        let (proxy, mut stream) = link().await;
        proxy.hold();
        stream.write_u8(3).await.expect("the socket takes it");
        let early = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
        assert!(early.is_err(), "a byte passed a held link: {early:?}");
        proxy.heal();
        assert_eq!(stream.read_u8().await.expect("it passes now"), 3);
    }

    #[tokio::test]
    async fn a_refused_link_refuses_until_it_heals() {
        let (proxy, _stream) = link().await;
        proxy.refuse();
        wait::until("new connections are refused", wait::PATIENCE, || async {
            match TcpStream::connect(("127.0.0.1", proxy.port)).await {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        proxy.heal();
        wait::until("new connections are welcome", wait::PATIENCE, || async {
            let mut stream = TcpStream::connect(("127.0.0.1", proxy.port))
                .await
                .map_err(|error| error.to_string())?;
            said(&mut stream, 4).await.map_err(|error| error.to_string())
        })
        .await;
    }
}
