//! `migrate --print`: everything that [`super::apply`] would run on a fresh database, for a DBA to read and run.
//!
//! Promises: what is printed ends in the same state and the same ledger as applying does.

use std::fmt::Write as _;

use super::files::{self, Step};
use super::{Options, Wake, ledger};
use crate::postgres::identifier::{literal, quoted};

/// The whole as SQL text, one transaction per file.
#[must_use]
pub fn print(options: &Options) -> String {
    let wake = if options.wake { Wake::Installed } else { Wake::Declined };
    let schema = &options.schema;
    let mut out = format!(
        "-- {} migrate --print: run it once, on a fresh database, as the owner of the tables.\n\
         -- Stop at the first error (psql -v ON_ERROR_STOP=1).\n\n\
         set search_path = pg_catalog;\nset lock_timeout = '5s';\n\n\
         create schema if not exists {};\n\n{}\n",
        ledger::binary(),
        quoted(schema.name()),
        schema.render(files::LEDGER)
    );
    for step in files::plan(options.shape(), wake) {
        transaction(&mut out, options, &step);
    }
    if options.roles {
        // Writing to a String cannot fail.
        let _ = write!(out, "begin;\n\n{}\ncommit;\n", schema.render(files::ROLES));
    }
    out
}

fn transaction(out: &mut String, options: &Options, step: &Step) {
    if step.component == files::Component::Wake {
        out.push_str("-- Leave this one out where max_prepared_transactions is above 0.\n");
    }
    let entry = format!(
        "insert into {{schema}}.migration (component, version, name, checksum, \"binary\")\n\
         values ({}, {}, {}, {}, {});",
        literal(step.component.name()),
        step.version,
        literal(step.name),
        literal(&step.checksum()),
        literal(ledger::binary())
    );
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "begin;\n\n{}\n{}\n\ncommit;\n\n",
        options.schema.render(step.sql),
        options.schema.render(&entry)
    );
}
