//! `migrate --print`: everything that [`super::apply`] would run on a fresh database, for a DBA to read and run.
//!
//! Promises: what is printed ends in the same state and the same ledger as applying does.

use std::fmt::Write as _;

use super::files::{self, Step};
use super::{Options, Wake, ledger};
use crate::postgres::identifier::{literal, quoted};

/// The whole as SQL text, in the transactions of [`super::apply`].
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
    let plan = files::plan(options.only, options.shape(), wake);
    let mut rest = plan.as_slice();
    while !rest.is_empty() {
        let (steps, others) = rest.split_at(files::together(rest));
        transaction(&mut out, options, steps);
        rest = others;
    }
    if options.roles {
        // Writing to a String cannot fail.
        let _ = write!(out, "begin;\n\n{}\ncommit;\n", schema.render(files::ROLES));
    }
    out
}

fn transaction(out: &mut String, options: &Options, steps: &[Step]) {
    if steps.iter().any(Step::is_choice) {
        out.push_str("-- Leave this one out where max_prepared_transactions is above 0.\n");
    }
    out.push_str("begin;\n\n");
    for step in steps {
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
            "{}\n{}\n\n",
            options.schema.render(step.sql),
            options.schema.render(&entry)
        );
    }
    out.push_str("commit;\n\n");
}
