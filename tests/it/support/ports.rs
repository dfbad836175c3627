//! Free loopback ports.

use std::net::TcpListener;

/// A port nobody listens on now. Another process may take it before it is used; who needs one for long lets the server
/// choose (`127.0.0.1:0`) where it can.
#[must_use]
pub fn free() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}
