//! What the operating system tells the process.
//!
//! Promises: a signal that arrives before anybody waits is kept; the third and later ones of a kind are one.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// A stop, a second stop and a question may wait together; more would say nothing new.
const WAITING_MAX: usize = 4;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: drain and end; the second time: end.
    Stop,
    /// SIGHUP: look at the configuration again and report.
    Check,
}

/// Listens from now on. Must be called inside the runtime.
///
/// # Errors
/// When the operating system refuses to register a handler.
pub fn listen() -> std::io::Result<mpsc::Receiver<Signal>> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    super::supervise::spawn("signals", async move {
        loop {
            let asked = tokio::select! {
                biased;
                Some(()) = terminate.recv() => Signal::Stop,
                Some(()) = interrupt.recv() => Signal::Stop,
                Some(()) = hangup.recv() => Signal::Check,
                () = sender.closed() => return,
            };
            if let Err(mpsc::error::TrySendError::Closed(_)) = sender.try_send(asked) {
                return;
            }
        }
    });
    Ok(receiver)
}
