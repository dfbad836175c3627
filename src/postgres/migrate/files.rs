//! The files of `sql/` that this binary ships, in the order in which they are applied.
//!
//! Promises: a file's checksum is of its text as shipped, before the schema's name is put in; versions of a component
//! grow by one.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Part, Payload, Wake};

/// The ledger; made before everything else and not in itself.
pub(super) const LEDGER: &str = include_str!("../../../sql/migration.sql");
/// Roles and grants; repeatable, so not in the ledger either.
pub(super) const ROLES: &str = include_str!("../../../sql/roles.sql");
/// Takes the wake trigger out again.
pub(super) const WAKE_REMOVE: &str = include_str!("../../../sql/wake/remove.sql");

/// Numbered apart, because inbox and outbox may live in two databases, and payload and wake are choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// The outbox and what relays remember.
    Outbox,
    /// The outbox in pieces that are dropped whole.
    Partitions,
    /// Another type than `jsonb` for the payload.
    Payload,
    /// Blocked lanes, stored messages, audit.
    Letters,
    /// Notify if asleep.
    Wake,
    /// The inbox and what consumers remember.
    Inbox,
}

/// One change: a file that is applied, or the wake trigger that is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its ledger's component.
    pub component: Component,
    /// Its number there.
    pub version: i32,
    /// Its name there.
    pub name: &'static str,
    /// False for the removal of what the ledger has.
    pub adds: bool,
    pub(super) sql: &'static str,
}

macro_rules! file {
    ($component:ident $version:literal $name:literal $path:literal) => {
        Step {
            component: Component::$component,
            version: $version,
            name: $name,
            adds: true,
            sql: include_str!(concat!("../../../sql/", $path)),
        }
    };
}

const OUTBOX: Step = file!(Outbox 1 "outbox" "outbox/0001_outbox.up.sql");
const PAYLOAD_JSON: Step = file!(Payload 1 "json" "payload/json.sql");
const PAYLOAD_BYTEA: Step = file!(Payload 1 "bytea" "payload/bytea.sql");
const PAYLOAD_TEXT: Step = file!(Payload 1 "text" "payload/text.sql");
const PARTITIONS: [Step; 2] = [
    file!(Partitions 1 "partitions" "partitions/0001_partitions.up.sql"),
    file!(Partitions 2 "upkeep" "partitions/0002_upkeep.up.sql"),
];
const REST: [Step; 4] = [
    file!(Outbox 2 "relay" "outbox/0002_relay.up.sql"),
    file!(Outbox 3 "enqueue" "outbox/0003_enqueue.up.sql"),
    file!(Outbox 4 "operate" "outbox/0004_operate.up.sql"),
    file!(Outbox 5 "retention" "outbox/0005_retention.up.sql"),
];
const LETTERS: [Step; 3] = [
    file!(Letters 1 "letters" "letters/0001_letters.up.sql"),
    file!(Letters 2 "origin" "letters/0002_origin.up.sql"),
    file!(Letters 3 "pause" "letters/0003_pause.up.sql"),
];
const INBOX: [Step; 3] = [
    file!(Inbox 1 "inbox" "inbox/0001_inbox.up.sql"),
    file!(Inbox 2 "once" "inbox/0002_once.up.sql"),
    file!(Inbox 3 "desk" "inbox/0003_desk.up.sql"),
];
const WAKE: Step = file!(Wake 1 "wake" "wake/0001_wake.up.sql");

/// What is chosen once, when the outbox is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Shape {
    pub(super) payload: Payload,
    pub(super) partitions: bool,
}

/// What a schema with these parts, this shape and this wake has, in order. The outbox gets its shape before anything refers
/// to it; letters belong to both parts.
pub(super) fn plan(only: Option<Part>, shape: Shape, wake: Wake) -> Vec<Step> {
    let mut steps = Vec::new();
    if only != Some(Part::Inbox) {
        steps.extend(outbox(shape));
    }
    steps.extend(LETTERS);
    if only != Some(Part::Inbox) {
        steps.extend(shape.partitions.then_some(PARTITIONS[1]));
        steps.extend((wake == Wake::Installed).then_some(WAKE));
    }
    if only != Some(Part::Outbox) {
        steps.extend(INBOX);
    }
    steps
}

fn outbox(shape: Shape) -> Vec<Step> {
    let mut steps = vec![OUTBOX];
    steps.extend(shape.partitions.then_some(PARTITIONS[0]));
    match shape.payload {
        Payload::Jsonb => {}
        Payload::Json => steps.push(PAYLOAD_JSON),
        Payload::Bytea => steps.push(PAYLOAD_BYTEA),
        Payload::Text => steps.push(PAYLOAD_TEXT),
    }
    steps.extend(REST);
    steps
}

/// The next steps that go into one transaction: the outbox with its shape, or one alone. So many from the front.
pub(super) fn together(steps: &[Step]) -> usize {
    let shaped = steps.iter().skip(1).take_while(|step| step.shapes()).count();
    steps.len().min(1 + shaped)
}

/// What this binary would ship under that number, whatever was asked for.
pub(super) fn find(component: &str, version: i32, name: &str) -> Option<Step> {
    [OUTBOX, PAYLOAD_JSON, PAYLOAD_BYTEA, PAYLOAD_TEXT, WAKE]
        .into_iter()
        .chain(PARTITIONS)
        .chain(REST)
        .chain(LETTERS)
        .chain(INBOX)
        .find(|step| {
            step.component.name() == component
                && step.version == version
                && (step.component != Component::Payload || step.name == name)
        })
}

/// The step that takes the wake trigger out.
pub(super) fn wake_removal() -> Step {
    Step {
        adds: false,
        sql: WAKE_REMOVE,
        ..WAKE
    }
}

// === impl Component ===

impl Component {
    /// As the ledger spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Outbox => "outbox",
            Self::Partitions => "partitions",
            Self::Payload => "payload",
            Self::Letters => "letters",
            Self::Wake => "wake",
            Self::Inbox => "inbox",
        }
    }
}

// === impl Step ===

impl Step {
    /// Whether it shapes the outbox: then it is applied in one transaction with it, so that nobody sees one without the
    /// other.
    fn shapes(&self) -> bool {
        self.component == Component::Payload || (self.component == Component::Partitions && self.version == 1)
    }

    /// Whether the tables are complete without it.
    #[must_use]
    pub fn is_choice(&self) -> bool {
        self.component == Component::Wake
    }

    /// SHA-256 of the file, in hex.
    #[must_use]
    pub fn checksum(&self) -> String {
        Sha256::digest(self.sql)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.adds { "" } else { "removal of " };
        write!(f, "{verb}{} {:04} ({})", self.component.name(), self.version, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_component_grow_by_one() {
        for (payload, partitions) in [(Payload::Jsonb, true), (Payload::Bytea, false)] {
            let shape = Shape { payload, partitions };
            for component in [
                Component::Outbox,
                Component::Partitions,
                Component::Payload,
                Component::Letters,
                Component::Wake,
                Component::Inbox,
            ] {
                let versions = plan(None, shape, Wake::Installed)
                    .into_iter()
                    .filter(|step| step.component == component)
                    .map(|step| step.version);
                assert!(
                    versions
                        .enumerate()
                        .all(|(at, version)| i32::try_from(at) == Ok(version - 1))
                );
            }
        }
    }

    #[test]
    fn the_schema_is_the_only_placeholder() {
        let shape = Shape {
            payload: Payload::Json,
            partitions: true,
        };
        let all = plan(None, shape, Wake::Installed)
            .into_iter()
            .chain([PAYLOAD_BYTEA, PAYLOAD_TEXT]);
        for sql in all.map(|step| step.sql).chain([LEDGER, ROLES, WAKE_REMOVE]) {
            let rest = [
                "{schema}",
                "'{}'",
                "{} = none",
                "{8}",
                "{6}",
                "{0,39}",
                "{36}",
                "{1,10}",
            ]
            .into_iter()
            .fold(sql.to_owned(), |rest, allowed| rest.replace(allowed, ""));
            assert!(!rest.contains('{') && !rest.contains("twinbox."), "{rest}");
        }
    }
}
