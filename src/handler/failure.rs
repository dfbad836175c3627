//! No reply: what is known of the request then.
//!
//! Promises: *unreachable* only where the request never left; a deadline that passed is a *timeout*; everything else has an
//! unknown outcome and is *transient*. A sentence names the application's host, never the query of its URL.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use reqwest::{Error, Url};

use super::client::Denied;
use crate::delivery::{Failure, FailureKind};

/// Most causes that are told.
const CHAIN_MAX: usize = 8;

/// Classifies once.
pub(super) fn classify(error: Error, url: &Url) -> Failure {
    let error = error.without_url();
    let place = place(url);
    if let Some(denied) = cause::<Denied>(&error) {
        return Failure::new(FailureKind::Destination, "AddressDenied", denied.to_string());
    }
    let (kind, code, sentence) = if error.is_connect() {
        let (code, what) = unconnected(&error);
        let sentence = format!("{place} cannot be reached: {what}; is the application running?");
        (FailureKind::Unreachable, code, sentence)
    } else if error.is_builder() {
        let sentence = format!("no request to {place} can be made of this message");
        (FailureKind::Message, "RequestNotBuilt", sentence)
    } else if never_left(&error) {
        let sentence = format!("{place} closed the connection before the request left");
        (FailureKind::Unreachable, "ConnectionClosed", sentence)
    } else if not_http(&error) {
        let sentence = format!("{place} answered with something that is no HTTP; whether it did its work is unknown");
        (FailureKind::Transient, "NotHttp", sentence)
    } else {
        let sentence = format!(
            "the connection to {place} broke before its reply was complete; whether it did its work is unknown"
        );
        (FailureKind::Transient, "ConnectionBroken", sentence)
    };
    Failure::new(kind, code, sentence).with_chain(chain(&error))
}

/// The deadline passed.
pub(super) fn timeout(url: &Url, within: Duration) -> Failure {
    let sentence = format!(
        "{} did not answer within {within:?} (`handler.http.timeout`); whether it did its work is unknown",
        place(url)
    );
    Failure::new(FailureKind::Timeout, "Timeout", sentence)
}

/// Scheme, host and port: all that a log needs, and nothing that may be a secret.
pub(super) fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn unconnected(error: &Error) -> (&'static str, String) {
    if error.is_timeout() {
        return ("ConnectTimeout", "no answer to the connection".to_owned());
    }
    if error.is_dns() {
        return ("NameNotFound", "its name cannot be resolved".to_owned());
    }
    match cause::<io::Error>(error) {
        Some(io) if io.kind() == io::ErrorKind::ConnectionRefused => {
            ("ConnectionRefused", "the connection is refused".to_owned())
        }
        Some(io) => ("ConnectFailed", io.to_string()),
        None => ("ConnectFailed", "no connection".to_owned()),
    }
}

fn never_left(error: &Error) -> bool {
    cause::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled)
}

fn not_http(error: &Error) -> bool {
    cause::<hyper::Error>(error).is_some_and(hyper::Error::is_parse)
}

/// The first cause of that type.
fn cause<T: std::error::Error + 'static>(error: &Error) -> Option<&T> {
    let mut source = error.source();
    while let Some(current) = source {
        if let Some(found) = current.downcast_ref() {
            return Some(found);
        }
        source = current.source();
    }
    None
}

fn chain(error: &Error) -> Vec<String> {
    let mut chain = Vec::new();
    let mut source = error.source();
    while let Some(current) = source.filter(|_| chain.len() < CHAIN_MAX) {
        chain.push(current.to_string());
        source = current.source();
    }
    chain
}
