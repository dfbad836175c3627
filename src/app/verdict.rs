//! How things are, in one sentence: the first thing somebody reads at three in the morning.
//!
//! Promises: the worst comes first; what nobody knows is said to be unknown, never healthy.

use super::status::{Document, ErrorEntry};
use crate::operate::lanes::PauseEntry;

/// A relay or consumer whose oldest message is older than this is behind (the alert's threshold).
const BEHIND_SECONDS: f64 = 60.0;

/// What the sentence needs of a relay or consumer.
struct Part<'a> {
    name: &'a str,
    state: &'a str,
    /// Age of the oldest that waits, where it is known.
    age: Option<f64>,
    parked: usize,
    error: Option<&'a ErrorEntry>,
    paused: Option<&'a PauseEntry>,
}

/// The sentence for a document.
#[must_use]
pub(super) fn sentence(document: &Document) -> String {
    let headline = headline(&parts(document));
    let Some(first) = document.loss_suspected.first() else {
        return headline;
    };
    let count = document.loss_suspected.len();
    format!(
        "LOSS SUSPECTED: {} in {} ({count} in all); {headline}",
        first.kind,
        first.owner()
    )
}

fn parts(document: &Document) -> Vec<Part<'_>> {
    let relays = document.relays.iter().map(|(name, relay)| Part {
        name,
        state: &relay.state,
        age: relay.oldest_age_seconds,
        parked: relay.lanes.parked,
        error: relay.last_error.as_ref(),
        paused: relay.paused.as_ref(),
    });
    let consumers = document.consumers.iter().map(|(name, consumer)| Part {
        name,
        state: &consumer.state,
        age: consumer.lag_seconds,
        parked: consumer.lanes.parked,
        error: consumer.last_error.as_ref(),
        paused: consumer.paused.as_ref(),
    });
    relays.chain(consumers).collect()
}

fn headline(parts: &[Part<'_>]) -> String {
    for (state, word) in [("halted", "Halted"), ("blocked", "Blocked"), ("paused", "Paused")] {
        let mut by_hand = parts.iter().filter(|_| state == "paused");
        if let Some((part, pause)) = by_hand.find_map(|part| Some((part, part.paused?))) {
            let why = pause.reason.as_deref().unwrap_or("no reason told");
            let PauseEntry { by, since, .. } = pause;
            return format!("{word}: {} by {by} since {since:.0}: {why}", part.name);
        }
        if let Some(part) = of(parts, &[state]).next() {
            let why = part.error.map_or("no reason told", |error| &error.message);
            return format!("{word}: {}: {why}", part.name);
        }
    }
    let working: Vec<&Part<'_>> = of(parts, &["leading", "catching_up", "running"]).collect();
    if !working.is_empty() {
        return pace(&working);
    }
    let idle = [
        ("draining", "Draining"),
        ("starting", "Starting"),
        ("drained", "Drained"),
        ("standby", "Standing by"),
    ];
    for (state, word) in idle {
        let names: Vec<&str> = of(parts, &[state]).map(|part| part.name).collect();
        if !names.is_empty() {
            return format!("{word}: {}", names.join(", "));
        }
    }
    "Nothing runs here".to_owned()
}

/// Those that are in one of these states.
fn of<'a, 'b>(parts: &'b [Part<'a>], states: &'b [&str]) -> impl Iterator<Item = &'b Part<'a>> {
    parts.iter().filter(|part| states.contains(&part.state))
}

/// How far behind those are that work here.
fn pace(working: &[&Part<'_>]) -> String {
    let parked: usize = working.iter().map(|part| part.parked).sum();
    let keys = if parked == 1 { "key" } else { "keys" };
    let mut oldest = (0.0, "");
    for part in working {
        match part.age {
            None => {
                return format!(
                    "Unknown: {} has not read its backlog yet, {parked} {keys} parked",
                    part.name
                );
            }
            Some(age) if age >= oldest.0 => oldest = (age, part.name),
            Some(_) => {}
        }
    }
    let (age, name) = oldest;
    if age > BEHIND_SECONDS {
        return format!("Behind: {name} by {age:.0} s, {parked} {keys} parked");
    }
    format!("Keeping up: {age:.1} s behind, {parked} {keys} parked")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use crate::app::status::Document;
    use crate::consumer::{self, ConsumerState, StreamStatus};
    use crate::contract::StreamName;
    use crate::flow::{LastError, Loss};
    use crate::relay::{RelayState, Status};

    fn relay(state: RelayState, age: Option<u64>) -> Status {
        Status {
            state,
            oldest_age: age.map(Duration::from_secs),
            ..Status::default()
        }
    }

    fn verdict<const N: usize>(relays: [Status; N]) -> String {
        let named = relays.into_iter().enumerate();
        Document::of(named.map(|(index, status)| (format!("r{index}"), status)), []).verdict
    }

    fn consuming(state: ConsumerState, lag: u64, age: Option<u64>) -> String {
        let name = StreamName {
            topic: "order.events".into(),
            partition: Some(0),
        };
        let stream = StreamStatus {
            lag,
            lag_age: age.map(Duration::from_secs),
            ..StreamStatus::default()
        };
        let status = consumer::Status {
            state,
            streams: [(name, stream)].into(),
            ..consumer::Status::default()
        };
        let relay = ("orders".to_owned(), relay(RelayState::Leading, Some(1)));
        Document::of([relay], [("billing".to_owned(), status)]).verdict
    }

    #[test]
    fn consumers_are_part_of_the_sentence() {
        let running = |lag, age| consuming(ConsumerState::Running, lag, age);
        assert_eq!(running(0, None), "Keeping up: 1.0 s behind, 0 keys parked");
        assert_eq!(running(9, Some(90)), "Behind: billing by 90 s, 0 keys parked");
        assert!(running(9, None).starts_with("Unknown: billing"));
        assert_eq!(
            consuming(ConsumerState::Paused, 9, None),
            "Paused: billing: no reason told"
        );
        assert!(
            consuming(ConsumerState::Drained, 0, None).starts_with("Keeping up"),
            "the relay goes on"
        );
    }

    #[test]
    fn the_worst_comes_first() {
        let mut blocked = relay(RelayState::Blocked, Some(1));
        blocked.last_error = Some(LastError {
            at: Timestamp::UNIX_EPOCH,
            kind: "unreachable".into(),
            message: "database away".into(),
        });
        let leading = relay(RelayState::Leading, Some(0));
        assert_eq!(
            verdict([leading.clone(), blocked.clone()]),
            "Blocked: r1: database away"
        );
        blocked.loss_suspected.push(Loss {
            kind: "system_changed".into(),
            from: "1".into(),
            to: "9".into(),
            at: Timestamp::UNIX_EPOCH,
        });
        let told = verdict([leading, blocked]);
        assert!(
            told.starts_with("LOSS SUSPECTED: system_changed in r1 (1 in all); Blocked"),
            "{told}"
        );
    }

    #[test]
    fn the_oldest_row_decides() {
        let mut slow = relay(RelayState::CatchingUp, Some(75));
        slow.lanes.parked = 1;
        let fast = relay(RelayState::Leading, Some(0));
        assert_eq!(verdict([fast.clone(), slow]), "Behind: r1 by 75 s, 1 key parked");
        assert_eq!(verdict([fast.clone(), fast]), "Keeping up: 0.0 s behind, 0 keys parked");
    }

    #[test]
    fn what_is_not_known_is_not_healthy() {
        let told = verdict([relay(RelayState::Leading, Some(0)), relay(RelayState::Leading, None)]);
        assert!(told.starts_with("Unknown: r1"), "{told}");
        assert_eq!(verdict([relay(RelayState::Starting, None)]), "Starting: r0");
        assert_eq!(verdict([relay(RelayState::Standby, None)]), "Standing by: r0");
        assert_eq!(verdict([]), "Nothing runs here");
    }
}
