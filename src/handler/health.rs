//! The probe of an application.
//!
//! Promises: it is asked at most once an interval, however many ask for its state, and by nobody but those who ask: there is
//! no task; *away* only after `threshold` failures in a row, back after one success.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::time::{Instant, timeout};

use super::config::HealthConfig;
use super::failure;
use crate::contract::{Finding, Grade};
use crate::delivery::{Failure, FailureKind};

/// Longest wait for an answer: kubelet's default.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A probe, and what it has seen.
#[derive(Debug)]
pub(super) struct Probe {
    url: Url,
    interval: Duration,
    threshold: u32,
    client: Client,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    asked: Option<Instant>,
    failed: u32,
    last: Option<Failure>,
}

// === impl Probe ===

impl Probe {
    /// A probe at the host of `url`.
    pub(super) fn new(config: &HealthConfig, url: &Url, client: Client) -> Self {
        let mut url = url.clone();
        let (path, query) = config.path.split_once('?').unwrap_or((&config.path, ""));
        url.set_path(path);
        url.set_query((!query.is_empty()).then_some(query));
        Self {
            url,
            interval: config.interval.get(),
            threshold: config.threshold,
            client,
            seen: Mutex::default(),
        }
    }

    /// Asks where an interval has passed since the last time, and says what is known then.
    pub(super) async fn state(&self) -> Result<(), Failure> {
        if self.due() {
            // Whoever asks meanwhile gets the state of before: no lock is held across the wait.
            let answer = self.ask().await;
            let mut seen = self.seen();
            match answer {
                Ok(()) => (seen.failed, seen.last) = (0, None),
                Err(failure) => {
                    seen.failed = seen.failed.saturating_add(1);
                    seen.last = Some(failure);
                }
            }
        }
        let seen = self.seen();
        match &seen.last {
            Some(failure) if seen.failed >= self.threshold => Err(failure.clone()),
            _ => Ok(()),
        }
    }

    /// What `doctor` should know: the answer of one probe, now.
    pub(super) async fn finding(&self) -> Finding {
        let answer = self.ask().await;
        Finding {
            id: "HTTP-HEALTH",
            grade: if answer.is_ok() { Grade::Ok } else { Grade::Warn },
            observed: answer
                .err()
                .map_or("the application is healthy".to_owned(), |failure| failure.message),
            expected: format!(
                "a 2xx for GET {}: nothing is sent to an application that is away",
                self.url.path()
            ),
            fix: "start the application, or correct handler.http.health.path".to_owned(),
        }
    }

    fn due(&self) -> bool {
        let now = now();
        let mut seen = self.seen();
        let due = seen
            .asked
            .is_none_or(|asked| now.duration_since(asked) >= self.interval);
        if due {
            seen.asked = Some(now);
        }
        due
    }

    async fn ask(&self) -> Result<(), Failure> {
        let away = |code: String, what: String| {
            let sentence = format!(
                "GET {} at {} {what}; nothing is sent until it answers with 2xx",
                self.url.path(),
                failure::place(&self.url)
            );
            Failure::new(FailureKind::Unreachable, code, sentence)
        };
        let within = ANSWER_MAX.min(self.interval);
        match timeout(within, self.client.get(self.url.clone()).send()).await {
            Ok(Ok(response)) if response.status().is_success() => Ok(()),
            Ok(Ok(response)) => {
                let status = response.status();
                Err(away(format!("Health{}", status.as_u16()), format!("answers {status}")))
            }
            Ok(Err(error)) => {
                let failure = failure::classify(error, &self.url);
                Err(away("HealthUnreachable".to_owned(), "does not answer".to_owned())
                    .with_chain(vec![failure.message]))
            }
            Err(_) => Err(away(
                "HealthTimeout".to_owned(),
                format!("does not answer within {within:?}"),
            )),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of the probe's interval")]
fn now() -> Instant {
    Instant::now()
}
