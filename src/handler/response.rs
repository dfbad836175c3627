//! What an application's reply means.
//!
//! Promises: [`Outcome::Done`] only after a 2xx that was read to its end, or to where we stop reading; a body decides only
//! where the configuration says so; of a failure's body at most [`EXCERPT_MAX`] bytes are kept, none of them in a log.
//!
//! | Reply | Outcome |
//! |---|---|
//! | 2xx | done; `reply: dapr`: `SUCCESS`, or no status, done · `RETRY` transient · `DROP` rejected · anything else ambiguous |
//! | 408, 409, 425, 429, 5xx | transient, with `Retry-After` |
//! | 400, 410, 413, 415, 422 | rejected |
//! | 3xx, 401, 403, 404, 405, all others | ambiguous |

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use serde_json::Value;

use super::config::Reply;
use super::retry_after;
use crate::contract::Outcome;
use crate::delivery::{Failure, FailureKind};

/// Most of a reply that is kept with a letter.
pub(super) const EXCERPT_MAX: usize = 2048;
/// Most of a problem's title and detail, which a log line may carry.
const SENTENCE_MAX: usize = 512;
/// Most of a problem's type, which groups letters.
const CODE_MAX: usize = 128;

/// A reply, as far as it was read.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// There is more of it, which nobody reads.
    pub(super) cut: bool,
    /// When it was read.
    pub(super) at: Timestamp,
}

/// RFC 9457, with the stack that many frameworks add.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    #[serde(rename = "type")]
    kind: Value,
    title: Value,
    detail: Value,
    stack: Value,
}

#[derive(Debug, Deserialize)]
struct Single {
    #[serde(default)]
    status: Option<String>,
}

// === impl Answered ===

impl Answered {
    /// What it means for the one message that was sent.
    pub(super) fn outcome(&self, reply: Reply) -> Outcome {
        if !self.status.is_success() {
            return failed(self.failure());
        }
        match reply {
            Reply::Status => Outcome::Done,
            Reply::Dapr => self.dapr(),
        }
    }

    /// What a status outside 2xx means for everything that was sent.
    pub(super) fn failure(&self) -> Failure {
        let kind = kind_of(self.status);
        let mut failure = self
            .problem()
            .map_or_else(|| self.plain(kind), |problem| self.told(kind, &problem));
        if kind != FailureKind::Rejected {
            failure.retry_after = retry_after::asked(&self.headers, self.at);
        }
        failure
    }

    fn plain(&self, kind: FailureKind) -> Failure {
        let mut sentence = format!("the application answered {}", self.status);
        if self.status.is_redirection() {
            sentence.push_str("; redirects are not followed: write the final address into `handler.http.url`");
        }
        let failure = Failure::new(kind, code_of(self.status), sentence);
        match excerpt(&self.body) {
            Some(excerpt) => failure.with_chain(vec![format!("reply: {excerpt}")]),
            None => failure,
        }
    }

    fn told(&self, kind: FailureKind, problem: &Problem) -> Failure {
        let own = text_of(&problem.kind).filter(|kind| *kind != "about:blank");
        let code = own.map_or(code_of(self.status), |own| Cow::Owned(line(own, CODE_MAX)));
        let mut sentence = format!("the application answered {}", self.status);
        for part in [&problem.title, &problem.detail].into_iter().filter_map(text_of) {
            sentence.push_str(": ");
            sentence.push_str(&line(part, SENTENCE_MAX));
        }
        Failure::new(kind, code, sentence).with_chain(stack(&problem.stack))
    }

    fn problem(&self) -> Option<Problem> {
        let content_type = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let essence = content_type.split(';').next()?.trim();
        if !essence.eq_ignore_ascii_case("application/problem+json") {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }

    fn dapr(&self) -> Outcome {
        if self.body.iter().all(u8::is_ascii_whitespace) && !self.cut {
            return Outcome::Done;
        }
        let read: Option<Single> = (!self.cut).then(|| serde_json::from_slice(&self.body).ok()).flatten();
        match read {
            Some(single) => said(single.status.as_deref().unwrap_or("SUCCESS"), &self.body),
            None => failed(self.unreadable("{\"status\": \"SUCCESS|RETRY|DROP\"}", "`reply: dapr`")),
        }
    }

    /// A 2xx whose body should decide, and says nothing that can be understood.
    pub(super) fn unreadable(&self, wanted: &str, because: &str) -> Failure {
        let what = if self.cut {
            "more than 64 KiB"
        } else {
            "a body that is not understood"
        };
        let sentence = format!(
            "the application answered {} with {what}; {because} wants {wanted}",
            self.status
        );
        let failure = Failure::new(FailureKind::Ambiguous, "ReplyNotUnderstood", sentence);
        failure.with_chain(
            excerpt(&self.body)
                .map(|text| format!("reply: {text}"))
                .into_iter()
                .collect(),
        )
    }
}

/// What a word of Dapr's means, in a single reply and in a batch's.
pub(super) fn said(status: &str, body: &[u8]) -> Outcome {
    let failure = match status {
        "SUCCESS" | "" => return Outcome::Done,
        "RETRY" => Failure::new(
            FailureKind::Transient,
            "RETRY",
            "the application asked to be called again",
        ),
        "DROP" => Failure::new(FailureKind::Rejected, "DROP", "the application refused the message"),
        _ => {
            let sentence = "the application answered a status that is none of SUCCESS, RETRY and DROP";
            Failure::new(FailureKind::Ambiguous, "ReplyNotUnderstood", sentence)
        }
    };
    let excerpt = excerpt(body).map(|text| format!("reply: {text}"));
    failed(failure.with_chain(excerpt.into_iter().collect()))
}

pub(super) fn failed(failure: Failure) -> Outcome {
    Outcome::Failed(Arc::new(failure))
}

/// DESIGN §3.3.
pub(super) fn kind_of(status: StatusCode) -> FailureKind {
    match status.as_u16() {
        408 | 409 | 425 | 429 | 500..=599 => FailureKind::Transient,
        400 | 410 | 413 | 415 | 422 => FailureKind::Rejected,
        _ => FailureKind::Ambiguous,
    }
}

fn code_of(status: StatusCode) -> Cow<'static, str> {
    format!("HTTP{}", status.as_u16()).into()
}

fn text_of(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

/// A stack is one text of many lines, or a list of lines.
fn stack(value: &Value) -> Vec<String> {
    let lines: Vec<&str> = match value {
        Value::String(text) => text.lines().collect(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut left = EXCERPT_MAX;
    let mut kept = Vec::new();
    for text in lines.into_iter().map(str::trim_end).filter(|text| !text.is_empty()) {
        if left == 0 {
            break;
        }
        let text = line(text, left);
        left = left.saturating_sub(text.len() + 1);
        kept.push(text);
    }
    kept
}

/// The beginning of a body, as text.
fn excerpt(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_MAX)]);
    let text = line(text.trim(), EXCERPT_MAX);
    (!text.is_empty()).then_some(text)
}

/// At most `most` bytes, without what would change a terminal or break a line of a log.
fn line(text: &str, most: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(most));
    for mark in text
        .chars()
        .map(|mark| if mark.is_control() && mark != '\t' { ' ' } else { mark })
    {
        if kept.len() + mark.len_utf8() > most {
            break;
        }
        kept.push(mark);
    }
    kept
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
