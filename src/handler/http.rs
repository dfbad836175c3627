//! One call of the application, or of many messages at once.
//!
//! Promises: the handler contract's P1–P3; a deadline covers a call from connecting to the last byte of the reply, so nobody
//! holds it by sending slowly; at most [`REPLY_MAX`] bytes of a reply are read.
//!
//! # Why a batch that is refused as a whole is cut in two
//!
//! A 400 or a 413 for many messages speaks of the request, not of each of them. Halves are sent until the refusal speaks of
//! one; the others' effects need not wait for a person.

use std::collections::HashSet;
use std::future::Future;

use futures_util::future::join_all;
use jiff::Timestamp;
use reqwest::{Client, Response, Url};
use tokio::time::timeout;

use super::config::{HttpConfig, Mode, parse_url};
use super::health::Probe;
use super::request::{self, Call, Posted};
use super::response::{Answered, failed};
use super::{attributes, client, failure, statuses};
use crate::contract::{Attempt, Boxed, Capacity, Finding, Grade, Handler, Outcome, once_token};
use crate::delivery::{Failure, FailureKind};
use crate::message::{Body, Message};

/// Most of a reply that is read.
pub(super) const REPLY_MAX: usize = 64 * 1024;

/// An application at a URL.
#[derive(Debug)]
pub struct HttpHandler {
    consumer: String,
    config: HttpConfig,
    url: Url,
    client: Client,
    probe: Option<Probe>,
}

// === impl HttpHandler ===

impl HttpHandler {
    /// Prepares connections; makes none. The consumer's name is part of every once token.
    ///
    /// # Errors
    /// A URL that a check would have refused, or TLS without roots.
    pub fn open(config: HttpConfig, consumer: &str) -> Result<Self, Failure> {
        let refused = |sentence| {
            let sentence = format!("handler.http.url {sentence}");
            Failure::new(FailureKind::Destination, "HttpUrl", sentence)
        };
        let url = parse_url(&config.url).map_err(refused)?;
        let client = client::client(&config, &url)?;
        let probe = config
            .health
            .as_ref()
            .map(|health| Probe::new(health, &url, client.clone()));
        Ok(Self {
            consumer: consumer.to_owned(),
            config,
            url,
            client,
            probe,
        })
    }

    async fn single(&self, call: Call) -> Outcome {
        if let Some(refusal) = not_here(&call) {
            return refusal;
        }
        let posted = match self.config.mode {
            Mode::Binary => request::binary(&call),
            Mode::Structured => request::structured(&call),
        };
        match self.exchange(posted).await {
            Ok(answered) => answered.outcome(self.config.reply),
            Err(failure) => failed(failure),
        }
    }

    /// One outcome for each call, in order. Halves, while a refusal speaks of many.
    fn many<'a>(&'a self, calls: &'a [Call]) -> Boxed<'a, Vec<Outcome>> {
        Box::pin(async move {
            let answered = match self.exchange(request::batch(calls)).await {
                Ok(answered) => answered,
                Err(failure) => return vec![failed(failure); calls.len()],
            };
            let refused = !answered.status.is_success() && answered.failure().kind == FailureKind::Rejected;
            if refused && calls.len() > 1 {
                let (left, right) = calls.split_at(calls.len() / 2);
                let mut outcomes = self.many(left).await;
                outcomes.extend(self.many(right).await);
                return outcomes;
            }
            statuses::outcomes(&answered, calls)
        })
    }

    /// Requests in which every event's id is another: a reply names them by it.
    async fn batches(&self, calls: Vec<Call>) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = calls.iter().map(not_here).collect();
        let mut waiting: Vec<(usize, Call)> = calls
            .into_iter()
            .enumerate()
            .filter(|(index, _)| outcomes[*index].is_none())
            .collect();
        while !waiting.is_empty() {
            let mut ids = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, call)| {
                ids.len() < self.config.batch as usize && ids.insert(attributes::id(&call.message))
            });
            let (places, calls): (Vec<usize>, Vec<Call>) = now.into_iter().unzip();
            for (place, outcome) in places.into_iter().zip(self.many(&calls).await) {
                outcomes[place] = Some(outcome);
            }
            waiting = later;
        }
        // Every place was filled: a request answers all of its calls.
        outcomes.into_iter().flatten().collect()
    }

    async fn exchange(&self, posted: Posted) -> Result<Answered, Failure> {
        let within = self.config.timeout.get();
        match timeout(within, self.converse(posted)).await {
            Ok(answered) => answered.map_err(|error| failure::classify(error, &self.url)),
            Err(_) => Err(failure::timeout(&self.url, within)),
        }
    }

    async fn converse(&self, posted: Posted) -> Result<Answered, reqwest::Error> {
        let request = self.client.post(self.url.clone());
        let request = request.headers(posted.headers).body(posted.body);
        read(told(request.send()).await?).await
    }
}

impl Handler for HttpHandler {
    fn capacity(&self) -> Capacity {
        Capacity {
            batch: self.config.batch as usize,
            run: 1,
            concurrency: self.config.concurrency as usize,
        }
    }

    fn handle(&self, calls: Vec<(Message, Attempt)>) -> Boxed<'_, Vec<Outcome>> {
        let calls = calls.into_iter().map(|(message, attempt)| Call {
            once: once_token(&self.consumer, attempt.identity),
            message,
            attempt,
        });
        if self.config.batch > 1 {
            let calls = calls.collect();
            return Box::pin(self.batches(calls));
        }
        Box::pin(join_all(calls.map(|call| self.single(call)).collect::<Vec<_>>()))
    }

    fn health(&self) -> Boxed<'_, Option<Result<(), Failure>>> {
        Box::pin(async move {
            match &self.probe {
                Some(probe) => Some(probe.state().await),
                None => None,
            }
        })
    }

    fn findings(&self) -> Boxed<'_, Vec<Finding>> {
        Box::pin(async move {
            let mut findings = vec![self.encryption()];
            if let Some(probe) = &self.probe {
                findings.push(probe.finding().await);
            }
            findings
        })
    }
}

impl HttpHandler {
    fn encryption(&self) -> Finding {
        let encrypted = self.config.encrypted();
        Finding {
            id: "HTTP-TLS",
            grade: if encrypted { Grade::Ok } else { Grade::Warn },
            observed: format!("messages are posted to {}", failure::place(&self.url)),
            expected: "https, or an application on this machine: messages travel in the clear".to_owned(),
            fix: "handler: { http: { url: \"https://…\" } }".to_owned(),
        }
    }
}

/// A message whose payload was not read cannot be called with.
fn not_here(call: &Call) -> Option<Outcome> {
    let Body::Withheld { bytes } = call.message.body else {
        return None;
    };
    let sentence = format!("the payload of {bytes} bytes is larger than `limits.bytes` allows to read");
    Some(failed(Failure::new(FailureKind::Message, "TooLarge", sentence)))
}

/// At most [`REPLY_MAX`] bytes; what is beyond closes the connection instead of being read.
async fn read(mut response: Response) -> Result<Answered, reqwest::Error> {
    let mut body = Vec::new();
    let mut cut = false;
    while let Some(chunk) = response.chunk().await? {
        let room = REPLY_MAX - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            cut = true;
            break;
        }
    }
    Ok(Answered {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body,
        cut,
        at: now(),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock against which a date in a reply is read"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Waits for the answer; in between lies the crash point of a request that is under way.
async fn told<F: Future>(sending: F) -> F::Output {
    #[cfg(feature = "faults")]
    {
        let mut sending = std::pin::pin!(sending);
        if let std::task::Poll::Ready(answer) =
            std::future::poll_fn(|context| std::task::Poll::Ready(sending.as_mut().poll(context))).await
        {
            return answer;
        }
        // Lets the connection write what it was handed.
        tokio::task::yield_now().await;
        crate::point!("call.sent");
        sending.await
    }
    #[cfg(not(feature = "faults"))]
    sending.await
}
