//! The listener of the admin port.
//!
//! Promises: the port is bound before anything else starts, so that a port in use is an error of the start and not of a
//! task; the chosen port is known before the start line is written.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{Admin, router};
use crate::relay::Outcome;

/// Binds the port; port 0 takes a free one.
///
/// # Errors
/// A sentence that names the address.
pub async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let bound = TcpListener::bind(listen).await;
    let bound = bound.and_then(|listener| listener.local_addr().map(|address| (listener, address)));
    bound
        .map_err(|error| format!("admin.listen = {listen} cannot be bound: {error}; choose another port, or 0 for any"))
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, admin: Admin) -> Outcome {
    let service = router(admin).into_make_service_with_connect_info::<SocketAddr>();
    let sentence = match axum::serve(listener, service).await {
        Ok(()) => "the listener closed".to_owned(),
        Err(error) => error.to_string(),
    };
    Outcome::Halted { sentence }
}
