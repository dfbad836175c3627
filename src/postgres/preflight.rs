//! What is wrong with the database before a relay or a consumer starts: the findings of `doctor`, and what keeps a relay from leading.
//!
//! Promises: changes nothing; a role without any right on our tables can ask all of it, because only catalogues are read;
//! what cannot be asked is *skip*, never *ok*.
//!
//! # Why a sequence is looked at so closely
//!
//! Sequences that hand out blocks (cache, increment) give old numbers to late rows: the order of a key is lost although
//! every statement is right. ORMs like to alter them.

mod inbox;
mod partitions;
mod rules;
mod waiting;

use std::time::Duration;

use tokio_postgres::Client;

use super::adopt::{self, Adopted};
use super::connect::{ConnectError, Connector, Direct};
use super::failure::Failure;
use super::identifier::{Schema, TableName};
use super::migrate::{self, Options, Part, Standing};
use crate::contract::{Finding, Grade};
pub use inbox::inbox;
use partitions::Partitions;
use rules::{Column, Grants, Server, Table, Writer};
pub use waiting::{Waiting, WaitingError, waiting};

const TABLE: &str = include_str!("../../sql/queries/preflight_table.sql");
const COLUMNS: &str = include_str!("../../sql/queries/preflight_columns.sql");
const GRANTS: &str = include_str!("../../sql/queries/preflight_grants.sql");
const WRITERS: &str = include_str!("../../sql/queries/preflight_writers.sql");
const PARTITIONS: &str = include_str!("../../sql/queries/preflight_partitions.sql");
const SERVER: &str = include_str!("../../sql/queries/preflight_server.sql");

/// What a relay is configured to find there.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where our tables live.
    pub schema: Schema,
    /// The outbox.
    pub table: TableName,
    /// Partitions of it are to be dropped when they are that old.
    pub partitions: Option<Duration>,
}

/// Connects and looks at everything.
pub async fn findings(connector: &Connector, wanted: &Wanted) -> Vec<Finding> {
    let mut direct = match connector.direct().await {
        Ok(direct) => direct,
        Err(error) => return vec![unconnected(&error)],
    };
    let mut found = rules::connection(direct.mode(), direct.pooled());
    found.extend(
        look(&mut direct, wanted)
            .await
            .unwrap_or_else(|failure| vec![unasked(&failure)]),
    );
    found
}

/// Looks at table, rights and server through a connection that is there; what `Fail`s will not work.
///
/// # Errors
/// When the database stops answering.
pub async fn tables(client: &Client, wanted: &Wanted) -> Result<Vec<Finding>, Failure> {
    let Wanted { schema, table, .. } = wanted;
    let place = [table.schema().unwrap_or(schema.name()), table.name()];
    let grants = client.query(GRANTS, &[&schema.name()]).await?;
    let grants = Grants::read(&grants);
    let mut found = grants.findings(schema);
    match client.query_opt(TABLE, &[&place[0], &place[1]]).await? {
        None => found.push(rules::absent(place)),
        Some(row) => {
            let facts = Table::read(place, &row);
            let columns = client.query(COLUMNS, &[&facts.oid]).await?;
            let writers = client.query(WRITERS, &[&facts.oid]).await?;
            let overdue = partitions::overdue(wanted.partitions.unwrap_or_default()).as_secs_f64();
            let parts = client.query_opt(PARTITIONS, &[&facts.oid, &overdue]).await?;
            let parts = parts.as_ref().map(Partitions::read);
            found.extend(facts.findings(&columns.iter().map(Column::read).collect::<Vec<_>>()));
            found.extend(partitions::findings(parts.as_ref(), schema, wanted.partitions));
            found.extend(rules::writers(
                &facts,
                &writers.iter().map(Writer::read).collect::<Vec<_>>(),
            ));
        }
    }
    let server = client.query_one(SERVER, &[]).await?;
    found.extend(Server::read(&server).findings());
    Ok(found)
}

async fn look(direct: &mut Direct, wanted: &Wanted) -> Result<Vec<Finding>, Failure> {
    let schema = &wanted.schema;
    let mut found = tables(direct.client(), wanted).await?;
    found.push(migrations(direct.client_mut(), schema, Part::Outbox).await);
    found.extend(
        adopt::adopted(direct.client(), schema)
            .await?
            .iter()
            .map(|adopted| copied(adopted, schema)),
    );
    Ok(found)
}

async fn migrations(client: &mut Client, schema: &Schema, part: Part) -> Finding {
    let options = Options {
        only: Some(part),
        ..Options::new(schema.clone())
    };
    let finding = |grade, observed: String, fix: &str| Finding {
        id: "PG-MIGR",
        grade,
        observed,
        expected: "the tables of this binary".to_owned(),
        fix: fix.to_owned(),
    };
    match migrate::check(client, &options).await {
        // What the shape of the outbox is was asked of nobody here.
        Ok(Standing::Current | Standing::PayloadFixed { .. } | Standing::Plain) => {
            finding(Grade::Ok, format!("schema {schema} is current"), "")
        }
        // The trigger is a choice: without it relays poll.
        Ok(Standing::Behind(steps)) if steps.iter().all(migrate::Step::is_choice) => finding(
            Grade::Ok,
            format!("schema {schema} is current, wake trigger left out"),
            "",
        ),
        Ok(Standing::Behind(steps)) => {
            let missing = steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            finding(
                Grade::Fail,
                format!("schema {schema} lacks {missing}"),
                "twinbox migrate",
            )
        }
        Ok(Standing::Newer {
            component,
            version,
            binary,
        }) => finding(
            Grade::Warn,
            format!("schema {schema} has {component} {version}, written by {binary}"),
            "update this twinbox",
        ),
        Ok(Standing::Tampered { step, .. }) => finding(
            Grade::Warn,
            format!("{step} was applied with other contents"),
            "twinbox migrate --print, and compare",
        ),
        Err(error) => finding(Grade::Skip, error.to_string(), "twinbox migrate --check"),
    }
}

fn copied(adopted: &Adopted, schema: &Schema) -> Finding {
    let table = &adopted.table;
    let (grade, observed) = match adopted.standing {
        adopt::Standing::Disabled => (
            Grade::Fail,
            format!("the trigger that copies {table} is disabled: its rows are not sent"),
        ),
        adopt::Standing::Changed => (
            Grade::Warn,
            format!("the trigger that copies {table} was changed since it was installed"),
        ),
        _ => (
            Grade::Ok,
            format!("{table} is adopted into {schema}.outbox; {}", adopt::NOT_COPIED),
        ),
    };
    Finding {
        id: "PG-TABLE",
        grade,
        observed,
        expected: "function and trigger as `twinbox migrate --adopt` made them".to_owned(),
        fix: format!("twinbox migrate --adopt {table}, with the profile and columns of the first time"),
    }
}

fn unconnected(error: &ConnectError) -> Finding {
    Finding {
        id: "PG-CONN",
        grade: Grade::Fail,
        observed: error.to_string(),
        expected: "a connection to the primary".to_owned(),
        fix: "check `database.url`".to_owned(),
    }
}

fn unasked(failure: &Failure) -> Finding {
    Finding {
        id: "PG-TABLE",
        grade: Grade::Skip,
        observed: format!("the catalogue could not be read: {failure}"),
        expected: "an answer".to_owned(),
        fix: String::new(),
    }
}
