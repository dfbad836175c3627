//! The listener of the admin port.
//!
//! Promises: the port is bound before anything else starts, so that a port in use is an error of the start and not of a
//! task; the chosen port is known before the start line is written; a loop that hangs takes no answer with it.
//!
//! # Why a thread of its own
//!
//! A loop that blocks its worker may be the one that holds the I/O driver, and then nothing of the process is read from
//! any socket until it is over: liveness could not say which loop hangs.

use std::net::{SocketAddr, TcpListener};

use tokio::runtime;
use tokio::sync::oneshot;

use super::{Admin, router};
use crate::relay::Outcome;

/// Binds the port; port 0 takes a free one.
///
/// # Errors
/// A sentence that names the address.
pub async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let bound = tokio::net::TcpListener::bind(listen)
        .await
        .and_then(tokio::net::TcpListener::into_std);
    let bound = bound.and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    bound
        .map_err(|error| format!("admin.listen = {listen} cannot be bound: {error}; choose another port, or 0 for any"))
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, admin: Admin) -> Outcome {
    let (ended, end) = oneshot::channel();
    let (_kept, dropped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
        let served = answer(listener, admin, dropped);
        // Nobody listens any more to a port that was dropped.
        let _ = ended.send(served);
    });
    let served = match thread {
        Ok(_) => end
            .await
            .unwrap_or_else(|_| Err(std::io::Error::other("its thread ended"))),
        Err(error) => Err(error),
    };
    let sentence = match served {
        Ok(()) => "the listener closed".to_owned(),
        Err(error) => error.to_string(),
    };
    Outcome::Halted { sentence }
}

fn answer(listener: TcpListener, admin: Admin, dropped: oneshot::Receiver<()>) -> std::io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let service = router(admin).into_make_service_with_connect_info::<SocketAddr>();
        tokio::select! {
            served = axum::serve(listener, service) => served,
            _ = dropped => Ok(()),
        }
    })
}
