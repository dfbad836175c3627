//! How things are, in one sentence: the first thing somebody reads at three in the morning.
//!
//! Promises: the worst comes first; what nobody knows is said to be unknown, never healthy.

use super::status::{Document, RelayEntry};

/// A relay whose oldest row is older than this is behind (the alert's threshold).
const BEHIND_SECONDS: f64 = 60.0;

/// The sentence for a document.
#[must_use]
pub(super) fn sentence(document: &Document) -> String {
    let headline = headline(document);
    let Some(first) = document.loss_suspected.first() else {
        return headline;
    };
    let count = document.loss_suspected.len();
    format!(
        "LOSS SUSPECTED: {} in {} ({count} in all); {headline}",
        first.kind, first.relay
    )
}

fn headline(document: &Document) -> String {
    for (state, word) in [("halted", "Halted"), ("blocked", "Blocked")] {
        if let Some((name, relay)) = of(document, &[state]).first() {
            let why = relay.last_error.as_ref();
            let why = why.map_or("no reason told", |error| &error.message);
            return format!("{word}: {name}: {why}");
        }
    }
    let working = of(document, &["leading", "catching_up"]);
    if !working.is_empty() {
        return pace(&working);
    }
    let idle = [
        ("draining", "Draining"),
        ("starting", "Starting"),
        ("standby", "Standing by"),
    ];
    for (state, word) in idle {
        let names: Vec<&str> = of(document, &[state]).iter().map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            return format!("{word}: {}", names.join(", "));
        }
    }
    "Nothing runs here".to_owned()
}

/// The relays that are in one of these states.
fn of<'a>(document: &'a Document, states: &[&str]) -> Vec<(&'a String, &'a RelayEntry)> {
    let relays = document.relays.iter();
    relays
        .filter(|(_, relay)| states.contains(&relay.state.as_str()))
        .collect()
}

/// How far behind the relays are that lead here.
fn pace(working: &[(&String, &RelayEntry)]) -> String {
    let parked: usize = working.iter().map(|(_, relay)| relay.lanes.parked).sum();
    let keys = if parked == 1 { "key" } else { "keys" };
    let mut oldest = (0.0, "");
    for (name, relay) in working {
        match relay.oldest_age_seconds {
            None => return format!("Unknown: {name} has not read its backlog yet, {parked} {keys} parked"),
            Some(age) if age >= oldest.0 => oldest = (age, name),
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
        Document::of(named.map(|(index, status)| (format!("r{index}"), status))).verdict
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
