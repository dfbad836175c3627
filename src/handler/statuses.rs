//! The reply to a batch: one status for each message.
//!
//! Promises: a message that the reply does not name is to be called again; one that it names twice gets the worse of both;
//! names that were never sent change nothing.

use std::collections::HashMap;

use serde::Deserialize;

use super::config::Reply;
use super::request::Call;
use super::response::{Answered, failed, said};
use super::{attributes, config};
use crate::contract::Outcome;
use crate::delivery::{Failure, FailureKind};

const WANTED: &str =
    "{\"statuses\":[{\"entryId\":\"…\",\"status\":\"SUCCESS|RETRY|DROP\"}]}, entryId being the event's id";

#[derive(Debug, Deserialize)]
struct Statuses {
    statuses: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    entry_id: String,
    status: String,
}

/// One outcome for each call, in order.
pub(super) fn outcomes(answered: &Answered, calls: &[Call]) -> Vec<Outcome> {
    if !answered.status.is_success() {
        let outcome = answered.outcome(Reply::Status);
        return vec![outcome; calls.len()];
    }
    let read = (!answered.cut).then(|| serde_json::from_slice::<Statuses>(&answered.body).ok());
    let Some(Some(read)) = read else {
        let because = format!("a batch (`{}`)", config::BATCH_KEY);
        return vec![failed(answered.unreadable(WANTED, &because)); calls.len()];
    };
    let mut said_of: HashMap<&str, &str> = HashMap::with_capacity(read.statuses.len());
    for entry in &read.statuses {
        let status = said_of.entry(&entry.entry_id).or_insert(&entry.status);
        if severity(&entry.status) > severity(status) {
            *status = &entry.status;
        }
    }
    calls
        .iter()
        .map(|call| match said_of.get(&*attributes::id(&call.message)) {
            Some(status) => said(status, b""),
            None => failed(unanswered()),
        })
        .collect()
}

/// To call again costs less than to drop, and to take for done is worst of all.
fn severity(status: &str) -> u8 {
    match status {
        "SUCCESS" => 0,
        "DROP" => 1,
        _ => 2,
    }
}

fn unanswered() -> Failure {
    let sentence = format!("the application's reply to a batch does not name this message; it wants {WANTED}");
    Failure::new(FailureKind::Transient, "NotNamed", sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::sample::{content, first};
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    fn calls(ids: &[&str]) -> Vec<Call> {
        let call = |id: &&str| {
            let mut content = content("{}", &[]);
            content.origin.as_mut().expect("an origin").id_text = Some((*id).into());
            let message = content.into();
            Call {
                attempt: first(&message),
                once: String::new(),
                message,
            }
        };
        ids.iter().map(call).collect()
    }

    fn kinds(status: u16, body: &str, ids: &[&str]) -> Vec<Option<FailureKind>> {
        let answered = Answered {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: body.into(),
            cut: false,
            at: "2026-11-06T08:49:37Z".parse().expect("a time"),
        };
        let outcomes = outcomes(&answered, &calls(ids)).into_iter();
        let kind = |outcome| match outcome {
            Outcome::Done => None,
            Outcome::Failed(failure) => Some(failure.kind),
        };
        outcomes.map(kind).collect()
    }

    #[test]
    fn each_message_has_its_own_status_and_a_missing_one_is_called_again() {
        let body = r#"{"statuses":[{"entryId":"c","status":"DROP"},{"entryId":"a","status":"SUCCESS"},
            {"entryId":"b","status":"RETRY"},{"entryId":"nobody","status":"SUCCESS"},{"entryId":"e","status":"?"}]}"#;
        assert_eq!(
            kinds(200, body, &["a", "b", "c", "d", "e"]),
            [
                None,
                Some(FailureKind::Transient),
                Some(FailureKind::Rejected),
                Some(FailureKind::Transient),
                Some(FailureKind::Ambiguous),
            ]
        );
    }

    #[test]
    fn of_two_statuses_the_worse_counts() {
        for (one, other) in [
            ("SUCCESS", "RETRY"),
            ("RETRY", "SUCCESS"),
            ("DROP", "RETRY"),
            ("RETRY", "DROP"),
        ] {
            let body =
                format!(r#"{{"statuses":[{{"entryId":"a","status":"{one}"}},{{"entryId":"a","status":"{other}"}}]}}"#);
            assert_eq!(
                kinds(200, &body, &["a"]),
                [Some(FailureKind::Transient)],
                "{one} {other}"
            );
        }
    }

    #[test]
    fn a_body_that_is_not_understood_is_done_for_nobody() {
        for body in [
            "",
            "OK",
            "[]",
            "{}",
            r#"{"statuses":7}"#,
            r#"{"statuses":[{"status":"SUCCESS"}]}"#,
        ] {
            assert_eq!(
                kinds(200, body, &["a", "b"]),
                [Some(FailureKind::Ambiguous); 2],
                "{body}"
            );
        }
        assert_eq!(kinds(503, "", &["a", "b"]), [Some(FailureKind::Transient); 2]);
    }
}
