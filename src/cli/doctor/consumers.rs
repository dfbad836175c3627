//! What `doctor` asks about a consumer: its tables and their memory, its broker, its handler.

use super::super::Stop;
use super::super::database;
use super::super::root::Stage;
use crate::app::consuming::{Consuming, Place};
use crate::contract::{Finding, Grade, Memory, StoreError};
use crate::operate::doctor::Part;
use crate::postgres::preflight;
use crate::setting::Duration;

/// Everything about one consumer.
pub(super) async fn parts(stage: &Stage, consuming: &Consuming<'_>) -> Result<Vec<Part>, Stop> {
    let (name, consumer) = (consuming.name, consuming.consumer);
    let database = consuming.root.inbox_of(consumer);
    let connector = stage.connector(database, "doctor");
    let schema = database::schema(database)?;
    let Place { inbox, processor } = consuming.place().map_err(Stop::configuration)?;
    let subscriber = consuming.subscriber().map_err(Stop::configuration)?;
    let mut own = preflight::inbox(&connector, &schema).await;
    if own.iter().all(|finding| finding.grade != Grade::Fail) {
        own.push(window(consumer.dedupe.retention, inbox.memory().await));
    }
    let part = |about: String, findings: Vec<Finding>| Part { about, findings };
    Ok(vec![
        part(format!("database of {name}"), own),
        part(
            format!("broker of {name} ({})", consumer.from.backend().config.name),
            subscriber.findings().await,
        ),
        part(
            format!("handler of {name} ({})", consumer.handler.as_str()),
            processor.findings().await,
        ),
    ])
}

/// For how long the inbox remembers: what the broker may deliver again must be younger.
fn window(wanted: Duration, memory: Result<Memory, StoreError>) -> Finding {
    let finding = |grade, observed: String, fix: String| Finding {
        id: "DEDUPE-WINDOW",
        grade,
        observed,
        expected: if grade == Grade::Ok {
            String::new()
        } else {
            "a memory longer than the broker may deliver anything again".to_owned()
        },
        fix,
    };
    match memory {
        Ok(Memory { retention, reaches }) if retention < wanted.get() => finding(
            Grade::Warn,
            format!(
                "messages are remembered for {} so far, less than dedupe.retention = {wanted}; the memory reaches back {}",
                seconds(retention),
                seconds(reaches)
            ),
            "start the consumer: it says for how long it wants to remember".to_owned(),
        ),
        Ok(Memory { retention, reaches }) => finding(
            Grade::Ok,
            format!(
                "messages are remembered for {}, the memory reaches back {}; the broker must not keep what is consumed for longer \
                 and be rewound to it",
                seconds(retention),
                seconds(reaches)
            ),
            String::new(),
        ),
        Err(error) => finding(
            Grade::Skip,
            format!("the inbox could not be asked: {error}"),
            "twinbox migrate --check".to_owned(),
        ),
    }
}

/// Whole seconds are enough for days.
fn seconds(duration: std::time::Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_that_is_shorter_than_wanted_is_told() {
        let week = Duration::from_secs(7 * 86_400);
        let memory = |days: u64| {
            let days = std::time::Duration::from_secs(days * 86_400);
            Ok(Memory {
                retention: days,
                reaches: days,
            })
        };
        assert_eq!(window(week, memory(7)).grade, Grade::Ok);
        let short = window(week, memory(1));
        assert_eq!(short.grade, Grade::Warn);
        assert!(short.observed.contains("for 24h so far"), "{}", short.observed);
        assert_eq!(window(week, Err(StoreError::Fenced)).grade, Grade::Skip);
    }
}
