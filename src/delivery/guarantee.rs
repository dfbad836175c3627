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

/// How a consumer's effect and the memory of it become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectBy {
    /// In one transaction of ours.
    Transaction,
    /// In one transaction of the application's, which we look for before we settle.
    Verify,
    /// One after the other: the application's reply, then our record of it.
    Claim,
}

/// What is known of a consumer before it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, not a state among others"
)]
pub struct ConsumerFacts {
    /// What its broker declares.
    pub broker: Capabilities,
    /// A rejected message goes to a dead letter and its key flows on.
    pub passes_rejected: bool,
    /// How effect and memory come together.
    pub effect: EffectBy,
    /// How long a message is remembered, as it is written.
    pub retention: String,
    /// The connection to the broker is encrypted.
    pub broker_encrypted: bool,
    /// The connection to the application is encrypted, or stays on this machine.
    pub handler_encrypted: bool,
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

// === impl Guarantee ===

impl Guarantee {
    fn new(level: Level, holds: bool, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { level, holds, reason }
    }
}

/// All promises for a relay, in the order of the design.
#[must_use]
pub fn relay(facts: Facts) -> [Guarantee; 4] {
    [no_loss(facts.broker), order(facts), effect_once(), tls(facts)]
}

/// All promises for a consumer, in the order of the design.
#[must_use]
pub fn consumer(facts: &ConsumerFacts) -> [Guarantee; 4] {
    [
        settled_after(facts),
        kept_order(facts),
        once(facts),
        all_encrypted(facts),
    ]
}

fn settled_after(facts: &ConsumerFacts) -> Guarantee {
    let (holds, reason) = if facts.broker.survives {
        (
            true,
            "an offset moves only past effects that are durable, or letters that are stored; the broker must keep what is \
                not consumed yet (doctor checks its settings)",
        )
    } else {
        (
            false,
            "this broker forgets what was not consumed when its process ends; consume from another one",
        )
    };
    Guarantee::new(Level::NoLoss, holds, reason)
}

fn kept_order(facts: &ConsumerFacts) -> Guarantee {
    let inside = match facts.broker.order {
        Order::None => None,
        Order::Partition => Some("partition; it ends when partitions are added, which is told"),
        Order::Queue => Some("queue, for one consumer"),
        Order::Group => Some("message group"),
    };
    let (holds, reason) = match inside {
        None => (
            false,
            "this source has no order of its own; consume from an ordered one, or leave `order` out".to_owned(),
        ),
        Some(_) if facts.passes_rejected => (
            false,
            "`on_reject: dead_letter` lets a key flow on past a rejected message; use `on_reject: park`".to_owned(),
        ),
        Some(inside) => (
            true,
            format!("the messages of a key are done one after the other, in the order of their {inside}"),
        ),
    };
    Guarantee::new(Level::Order, holds, reason)
}

fn once(facts: &ConsumerFacts) -> Guarantee {
    let retention = &facts.retention;
    let (holds, reason) = match facts.effect {
        EffectBy::Transaction => (
            true,
            format!("the function's effect and the memory of the message commit together; remembered for {retention}"),
        ),
        EffectBy::Verify => (
            true,
            format!(
                "the application records the message in the transaction of its effect, by twinbox.once, and nothing is \
                 settled before that row is seen; remembered for {retention}"
            ),
        ),
        EffectBy::Claim => (
            false,
            "with `dedupe: claim` a crash between the application's reply and our record of it calls again; use `dedupe: \
             verify`, or `handler.sql`"
                .to_owned(),
        ),
    };
    Guarantee::new(Level::EffectOnce, holds, reason)
}

fn all_encrypted(facts: &ConsumerFacts) -> Guarantee {
    if facts.handler_encrypted {
        return encrypted(facts.broker_encrypted, facts.database_encrypted);
    }
    let reason = "the application is called in plaintext on another machine; write an https:// URL";
    Guarantee::new(Level::Tls, false, reason)
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
    Guarantee::new(Level::NoLoss, holds, reason)
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
    Guarantee::new(Level::Order, holds, reason)
}

fn effect_once() -> Guarantee {
    let reason = "a relay delivers at least once: a crash may repeat messages with the same id; only a consumer with an \
                  inbox makes the effect happen once";
    Guarantee::new(Level::EffectOnce, false, reason)
}

fn tls(facts: Facts) -> Guarantee {
    encrypted(facts.broker_encrypted, facts.database_encrypted)
}

fn encrypted(broker: bool, database: bool) -> Guarantee {
    let (holds, reason) = match (broker, database) {
        (true, true) => (true, "every connection is encrypted, or stays on this machine"),
        (false, _) => (false, "the broker's connection is plaintext; add `tls: {}` to it"),
        (true, false) => (
            false,
            "the database may be reached in plaintext; add `sslmode=verify-full` or `database.tls.ca`",
        ),
    };
    Guarantee::new(Level::Tls, holds, reason)
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

    fn consumer_facts(effect: EffectBy) -> ConsumerFacts {
        ConsumerFacts {
            broker: facts(Order::Partition, true).broker,
            passes_rejected: false,
            effect,
            retention: "7d".to_owned(),
            broker_encrypted: true,
            handler_encrypted: true,
            database_encrypted: true,
        }
    }

    #[test]
    fn effects_happen_once_where_they_commit_with_their_memory() {
        for (effect, holds) in [
            (EffectBy::Transaction, true),
            (EffectBy::Verify, true),
            (EffectBy::Claim, false),
        ] {
            let [_, _, once, _] = consumer(&consumer_facts(effect));
            assert_eq!(once.holds, holds, "{effect:?}");
            assert_eq!(once.reason.contains("7d"), holds, "{}", once.reason);
        }
    }

    #[test]
    fn what_a_consumer_lacks_is_said() {
        let of = |change: fn(&mut ConsumerFacts), which: usize| {
            let mut facts = consumer_facts(EffectBy::Transaction);
            assert!(consumer(&facts)[which].holds);
            change(&mut facts);
            consumer(&facts)[which].clone()
        };
        assert!(!of(|facts| facts.broker.survives = false, 0).holds);
        assert!(!of(|facts| facts.broker.order = Order::None, 1).holds);
        assert!(!of(|facts| facts.passes_rejected = true, 1).holds);
        assert!(of(|facts| facts.handler_encrypted = false, 3).reason.contains("https"));
        assert!(of(|facts| facts.broker_encrypted = false, 3).reason.contains("tls: {}"));
        assert!(
            of(|facts| facts.database_encrypted = false, 3)
                .reason
                .contains("sslmode")
        );
    }
}
