//! Texts of the letters' statements, rendered once.

use crate::postgres::identifier::Schema;

/// Rendered texts.
#[derive(Debug)]
pub(in crate::postgres) struct LettersText {
    pub(super) blocked: String,
    pub(super) lock: String,
    pub(super) park: String,
    pub(super) keep: String,
    pub(in crate::postgres) drop_empty: String,
    pub(super) any_due: String,
    pub(super) pick: String,
    pub(super) open: String,
    pub(super) delivered: String,
    pub(super) dead: String,
    pub(super) go_on: String,
    pub(super) rest: String,
    pub(super) count: String,
    pub(super) gone: String,
    pub(super) fence: String,
    /// The window's rest, with the fence.
    pub(super) confirm: String,
}

// === impl LettersText ===

impl LettersText {
    pub(in crate::postgres) fn new(schema: &Schema) -> Self {
        macro_rules! text {
            ($name:literal) => {
                schema.render(include_str!(concat!("../../../sql/queries/", $name, ".sql")))
            };
        }
        Self {
            blocked: text!("letters/blocked"),
            lock: text!("letters/lock"),
            park: text!("letters/park"),
            keep: text!("letters/keep"),
            drop_empty: text!("letters/drop_empty"),
            any_due: text!("letters/any_due"),
            pick: text!("letters/pick"),
            open: text!("letters/open"),
            delivered: text!("letters/delivered"),
            dead: text!("letters/dead"),
            go_on: text!("letters/go_on"),
            rest: text!("letters/rest"),
            count: text!("letters/count"),
            gone: text!("letters/gone"),
            fence: text!("letters/fence"),
            confirm: text!("cursor/confirm"),
        }
    }
}
