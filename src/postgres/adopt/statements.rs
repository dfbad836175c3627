//! The SQL of an adoption, and how to tell later whether it is still what was installed.

use sha2::{Digest as _, Sha256};

use super::Standing;
use super::shape::{Fitted, ROW};
use crate::postgres::identifier::{Schema, TableName, literal, quoted};

/// What is run to adopt one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statements {
    /// Function and trigger, whatever was there before.
    pub(super) install: String,
    /// Copies what is there.
    pub(super) backlog: String,
    /// Counts what would be copied.
    pub(super) count: String,
    comment_on: String,
    asked: String,
}

/// One trigger per table and schema of ours.
pub(super) fn trigger_name(schema: &Schema) -> String {
    format!("{schema}_copy")
}

/// Whether a trigger is on, and as it was installed.
pub(super) fn intact(enabled: &str, signature: Option<&str>, installed: &str) -> Standing {
    // Disabled, or fires for replicas only.
    if enabled == "D" || enabled == "R" {
        Standing::Disabled
    } else if signature.is_some_and(|signature| signature.ends_with(&format!("installed {installed}"))) {
        Standing::Current
    } else {
        Standing::Changed
    }
}

// === impl Statements ===

impl Statements {
    pub(super) fn render(schema: &Schema, table: &TableName, function: &str, fitted: &Fitted) -> Self {
        let names = fitted
            .values
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ");
        let values = |row: &str| {
            let each = fitted.values.iter().map(|(_, value)| value.replace(ROW, row));
            each.collect::<Vec<_>>().join(", ")
        };
        let only = |word: &str, row: &str, open: &str, close: &str| match &fitted.only {
            Some(condition) => format!("{word} {open}{}{close} ", condition.replace(ROW, row)),
            None => String::new(),
        };
        let (outbox, source) = (schema.render("{schema}.outbox"), table.quoted());
        let function = format!("{}.{}", quoted(schema.name()), quoted(function));
        let trigger = quoted(&trigger_name(schema));
        // A tag that no name of theirs can end.
        let body = format!(
            "begin\n  insert into {outbox} ({names})\n  values ({});\n  return null;\nend",
            values("new")
        );
        let tag = format!("$copy_{:.12}$", digest(&body));
        let install = format!(
            "create or replace function {function}() returns trigger\n\
             language plpgsql volatile security definer\nset search_path = pg_catalog, pg_temp\n\
             as {tag}\n{body}\n{tag};\n\
             revoke execute on function {function}() from public;\n\
             comment on function {function}() is 'twinbox: copies rows of an adopted table into the outbox';\n\
             drop trigger if exists {trigger} on {source};\n\
             create trigger {trigger} after insert on {source}\n\
             for each row {}execute function {function}();\n",
            only("when", "new", "(", ")")
        );
        let from = format!("from {source} r {}", only("where", "r", "", ""));
        let order = fitted.order.as_deref().unwrap_or("r.tableoid, r.ctid");
        Self {
            backlog: format!(
                "insert into {outbox} ({names})\nselect {}\n{from}order by {order}",
                values("r")
            ),
            count: format!("select count(*) {from}"),
            comment_on: format!("comment on trigger {trigger} on {source} is "),
            asked: digest(&install),
            install,
        }
    }

    /// The comment that says what was asked for and what the server made of it.
    pub(super) fn signed(&self, installed: &str) -> String {
        let text = format!("twinbox: adopted, asked {}, installed {installed}", self.asked);
        format!("{}{}", self.comment_on, literal(&text))
    }

    /// What is there, against what is asked for now.
    pub(super) fn compare(&self, enabled: Option<&str>, signature: Option<&str>, installed: &str) -> Standing {
        let Some(enabled) = enabled else {
            return Standing::Absent;
        };
        match intact(enabled, signature, installed) {
            Standing::Current if signature.is_some_and(|text| text.contains(&self.asked)) => Standing::Current,
            Standing::Current => Standing::Different,
            other => other,
        }
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
