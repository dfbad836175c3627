//! What holds for a configuration: the promises, each with its reason, as `explain` prints and `require` checks them.
//!
//! Promises: nothing is claimed that the parts do not carry; what cannot be known from the configuration alone is said
//! to depend on the broker's side.

use super::{Capabilities, Order};

/// A level that `require` may ask for. The names are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Every committed row is published at least once, parked, or still waiting.
    NoLoss,
    /// First occurrences of a key's events in outbox order.
    Order,
    /// Each event's effect once.
    EffectOnce,
    /// Every connection is encrypted.
    Tls,
}

/// What is known of a relay before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What its broker declares.
    pub broker: Capabilities,
    /// A rejected message goes to a dead letter and its key flows on.
    pub passes_rejected: bool,
    /// The connection to the broker is encrypted.
    pub broker_encrypted: bool,
    /// The connection to the database is encrypted, or cannot be anything else.
    pub database_encrypted: bool,
}

/// One line of `explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarantee {
    /// Which promise.
    pub level: Level,
    /// Whether it holds.
    pub holds: bool,
    /// Why, or why not and what to change.
    pub reason: String,
}

// === impl Level ===

impl Level {
    /// The pinned name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoLoss => "no_loss",
            Self::Order => "order",
            Self::EffectOnce => "effect_once",
            Self::Tls => "tls",
        }
    }
}

/// All promises for a relay, in the order of the design.
#[must_use]
pub fn relay(facts: Facts) -> [Guarantee; 4] {
    [no_loss(facts.broker), order(facts), effect_once(), tls(facts)]
}

fn no_loss(broker: Capabilities) -> Guarantee {
    let (holds, reason) = if broker.survives {
        (
            true,
            "a row is settled only when the broker acknowledged it durably, or when it is stored as a letter; the \
                broker must keep what it acknowledged (doctor checks its settings)",
        )
    } else {
        (
            false,
            "this broker forgets what it acknowledged when its process ends; publish to another one",
        )
    };
    Guarantee {
        level: Level::NoLoss,
        holds,
        reason: reason.to_owned(),
    }
}

fn order(facts: Facts) -> Guarantee {
    let inside = match facts.broker.order {
        Order::None => None,
        Order::Partition => Some("partition; it ends when partitions are added, which stops the relay and is told"),
        Order::Queue => Some("queue, for one consumer"),
        Order::Group => Some("message group"),
    };
    let (holds, reason) = match inside {
        None => (
            false,
            "this destination has no order of its own; use an ordered one, or leave `order` out".to_owned(),
        ),
        Some(_) if facts.passes_rejected => (
            false,
            "`on_reject: dead_letter` lets a key flow on past a rejected message; use `on_reject: park`".to_owned(),
        ),
        Some(inside) => (
            true,
            format!("first occurrences of a key keep outbox order inside their {inside}; across keys there is none"),
        ),
    };
    Guarantee {
        level: Level::Order,
        holds,
        reason,
    }
}

fn effect_once() -> Guarantee {
    let reason = "a relay delivers at least once: a crash may repeat messages with the same id; only a consumer with an \
                  inbox makes the effect happen once";
    Guarantee {
        level: Level::EffectOnce,
        holds: false,
        reason: reason.to_owned(),
    }
}

fn tls(facts: Facts) -> Guarantee {
    let (holds, reason) = match (facts.broker_encrypted, facts.database_encrypted) {
        (true, true) => (true, "both connections are encrypted"),
        (false, _) => (false, "the broker's connection is plaintext; add `tls: {}` to it"),
        (true, false) => (
            false,
            "the database may be reached in plaintext; add `sslmode=verify-full` or `database.tls.ca`",
        ),
    };
    Guarantee {
        level: Level::Tls,
        holds,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(order: Order, survives: bool) -> Facts {
        let broker = Capabilities {
            order,
            run_max: 1,
            message_bytes_max: 1,
            survives,
            tombstones: true,
        };
        Facts {
            broker,
            passes_rejected: false,
            broker_encrypted: true,
            database_encrypted: true,
        }
    }

    #[test]
    fn an_unordered_broker_is_never_said_to_keep_order() {
        assert!(!relay(facts(Order::None, true))[1].holds);
        assert!(relay(facts(Order::Partition, true))[1].holds);
        assert!(
            !relay(Facts {
                passes_rejected: true,
                ..facts(Order::Partition, true)
            })[1]
                .holds
        );
    }

    #[test]
    fn plaintext_anywhere_is_no_tls_and_memory_is_no_loss() {
        assert!(
            !relay(Facts {
                database_encrypted: false,
                ..facts(Order::Group, true)
            })[3]
                .holds
        );
        assert!(
            !relay(Facts {
                broker_encrypted: false,
                ..facts(Order::Group, true)
            })[3]
                .holds
        );
        assert!(!relay(facts(Order::Group, false))[0].holds);
    }

    #[test]
    fn no_relay_claims_effects_once() {
        assert!(!relay(facts(Order::Group, true))[2].holds);
    }
}
