//! The inbox's side: what a consumer needs of its database, before it starts.

use tokio_postgres::types::Type;

use super::rules::{self, Server};
use super::{SERVER, migrations, unasked, unconnected};
use crate::contract::{Finding, Grade};
use crate::postgres::connect::{Connector, Direct};
use crate::postgres::failure::Failure;
use crate::postgres::identifier::Schema;
use crate::postgres::migrate::Part;

const INBOX: &str = include_str!("../../../sql/queries/preflight_inbox.sql");

/// Connects and looks at what a consumer needs.
pub async fn inbox(connector: &Connector, schema: &Schema) -> Vec<Finding> {
    let mut direct = match connector.direct().await {
        Ok(direct) => direct,
        Err(error) => return vec![unconnected(&error)],
    };
    let mut found = rules::connection(direct.mode(), direct.pooled());
    match look(&mut direct, schema).await {
        Ok(more) => found.extend(more),
        Err(failure) => found.push(unasked(&failure)),
    }
    found
}

async fn look(direct: &mut Direct, schema: &Schema) -> Result<Vec<Finding>, Failure> {
    let client = direct.client();
    let rows = client.query_typed(INBOX, &[(&schema.name(), Type::TEXT)]).await?;
    let lacking: Vec<(String, String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let mut found = grants(schema, &lacking);
    found.extend(Server::read(&client.query_one(SERVER, &[]).await?).findings());
    found.push(migrations(direct.client_mut(), schema, Part::Inbox).await);
    Ok(found)
}

/// Name, right, and whether there is such a thing at all.
fn grants(schema: &Schema, lacking: &[(String, String, bool)]) -> Vec<Finding> {
    let finding = |id, observed, expected: &str, fix: &str| Finding {
        id,
        grade: Grade::Fail,
        observed,
        expected: expected.to_owned(),
        fix: fix.to_owned(),
    };
    let mut missing: Vec<&str> = lacking
        .iter()
        .filter(|(_, _, present)| !present)
        .map(|(name, ..)| &**name)
        .collect();
    missing.dedup();
    let mut found = Vec::new();
    if !missing.is_empty() {
        let observed = format!("schema {schema} has no {}", missing.join(", "));
        found.push(finding(
            "PG-TABLE",
            observed,
            "the tables of a consumer",
            "twinbox migrate",
        ));
    }
    let rights: Vec<String> = lacking
        .iter()
        .filter(|(_, _, present)| *present)
        .map(|(name, right, _)| format!("{right} on {schema}.{name}"))
        .collect();
    if !rights.is_empty() {
        let fix = "twinbox migrate --roles, then: grant twinbox_consumer to \"the role in database.url\";";
        let observed = format!("this role lacks {}", rights.join(", "));
        found.push(finding("PG-GRANT", observed, "the rights of twinbox_consumer", fix));
    }
    found
}
