//! Texts of the inbox's statements, rendered once.

use crate::postgres::identifier::Schema;

/// Rendered texts. Parameters are in the files.
#[derive(Debug)]
pub(in crate::postgres) struct InboxText {
    /// The generation's lock, and the numbers under it.
    pub(in crate::postgres) enter: String,
    /// Which of these the previous generation has.
    pub(in crate::postgres) before: String,
    /// Adds to the current generation; answers what is new there.
    pub(in crate::postgres) remember: String,
    /// The position row, last of all: fence, counter, mark.
    pub(in crate::postgres) hold: String,
    pub(super) known: String,
    pub(super) sign: String,
    pub(super) yield_to_next: String,
    pub(super) begin: String,
    pub(super) enlist: String,
    pub(super) row: String,
    pub(super) left: String,
    pub(super) assume: String,
    pub(super) free: String,
    pub(in crate::postgres) blocked: String,
    pub(in crate::postgres) keep: String,
    pub(in crate::postgres) identities: String,
    pub(super) rotate: String,
    pub(super) sweep: String,
    pub(super) stop: String,
    pub(super) moved: String,
    pub(super) memory: String,
}

// === impl InboxText ===

impl InboxText {
    pub(in crate::postgres) fn new(schema: &Schema) -> Self {
        macro_rules! text {
            ($name:literal) => {
                schema.render(include_str!(concat!(
                    "../../../sql/queries/inbox/",
                    $name,
                    ".sql"
                )))
            };
        }
        Self {
            enter: text!("enter"),
            before: text!("before"),
            remember: text!("remember"),
            hold: text!("hold"),
            known: text!("known"),
            sign: text!("sign"),
            yield_to_next: text!("yield"),
            begin: text!("begin"),
            enlist: text!("enlist"),
            row: text!("row"),
            left: text!("left"),
            assume: text!("assume"),
            free: text!("free"),
            blocked: text!("blocked"),
            keep: text!("keep"),
            identities: text!("identities"),
            rotate: text!("rotate"),
            sweep: text!("sweep"),
            stop: text!("stop"),
            moved: text!("moved"),
            memory: text!("memory"),
        }
    }
}
