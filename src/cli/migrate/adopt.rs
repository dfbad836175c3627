//! `twinbox migrate --adopt TABLE`: rows of another table go out through ours.
//!
//! Promises: `--print` shows what would be run and how many rows would be copied, `--check` compares; both change nothing.

use clap::Args;
use serde_json::json;

use super::Instead;
use crate::cli::root::Stage;
use crate::cli::{Exit, Stop};
use crate::config::Root;
use crate::postgres::adopt::{self, AdoptError, Adoption, Mapping, Outcome, Profile, Report, Standing};
use crate::postgres::migrate::{self, Options};
use crate::postgres::{Kind, TableName};

/// Which table, and how its columns are read.
#[derive(Debug, Args)]
pub struct Foreign {
    /// Copy the rows of this table into the outbox, by a trigger in the writer's transaction
    #[arg(long, value_name = "TABLE")]
    pub adopt: Option<String>,
    /// What kind of table it is: debezium, `open_outbox`
    #[arg(long, value_name = "NAME", requires = "adopt")]
    pub profile: Option<Profile>,
    /// Which column is which: ours=theirs, comma-separated; 'text' for the same in every row
    #[arg(
        long,
        value_name = "LIST",
        requires = "adopt",
        default_value = "",
        hide_default_value = true
    )]
    pub columns: String,
    /// Leave the rows that are there already
    #[arg(long, requires = "adopt")]
    pub no_backlog: bool,
}

// === impl Foreign ===

impl Foreign {
    /// What is to be adopted, if anything.
    ///
    /// # Errors
    /// A table or a mapping that cannot be read.
    pub(super) fn adoption(&self) -> Result<Option<Adoption>, Stop> {
        let Some(table) = &self.adopt else { return Ok(None) };
        let table = TableName::parse(table).map_err(|error| Stop::usage(format!("--adopt: {error}")))?;
        let mapping = Mapping::new(self.profile.unwrap_or_default(), &self.columns);
        let mapping = mapping.map_err(|error| Stop::usage(error.to_string()))?;
        Ok(Some(Adoption {
            table,
            mapping,
            backlog: !self.no_backlog,
        }))
    }
}

/// Adopts, or says what adopting would do. The tables are migrated first.
pub(super) async fn run(
    (adoption, instead, options): (Adoption, Instead, Options),
    root: &Root,
    stage: &mut Stage,
) -> Result<Exit, Stop> {
    let mut direct = stage.connector(&root.database, "migrate").direct().await?;
    let client = direct.client_mut();
    let schema = &options.schema;
    if instead.check {
        let standing = adopt::check(client, schema, &adoption).await?;
        direct.close().await;
        return compared(stage, &adoption, &standing);
    }
    let report = if instead.print {
        adopt::preview(client, schema, &adoption).await?
    } else {
        migrate::apply(client, &options).await?;
        adopt::adopt(client, schema, &adoption).await?
    };
    direct.close().await;
    if instead.print {
        stage.console.out.write_all(report.sql.as_bytes())?;
        stage
            .console
            .note(&format!("-- {} rows would be copied", report.rows))?;
    } else {
        done(stage, &adoption, &report)?;
    }
    for note in &report.notes {
        stage.console.note(note)?;
    }
    Ok(Exit::Ok)
}

fn compared(stage: &mut Stage, adoption: &Adoption, standing: &Standing) -> Result<Exit, Stop> {
    let (state, sentence) = match standing {
        Standing::Absent => ("absent", "is not adopted"),
        Standing::Current => ("current", "is adopted as asked"),
        Standing::Different => (
            "different",
            "is adopted with another mapping, or for another payload type",
        ),
        Standing::Changed => ("changed", "has a trigger that was changed by hand"),
        Standing::Disabled => ("disabled", "has a trigger that is switched off"),
    };
    let table = adoption.table.to_string();
    if stage.console.json() {
        stage.console.document(&json!({ "table": table, "state": state }))?;
    } else {
        stage.console.line(&format!("{table} {sentence}"))?;
    }
    Ok(match standing {
        Standing::Current => Exit::Ok,
        _ => Exit::Failure,
    })
}

fn done(stage: &mut Stage, adoption: &Adoption, report: &Report) -> Result<(), Stop> {
    let outcome = match report.outcome {
        Outcome::Adopted => "adopted",
        Outcome::Replaced => "replaced",
        Outcome::Unchanged => "unchanged",
    };
    let table = adoption.table.to_string();
    if stage.console.json() {
        let document = json!({ "table": table, "outcome": outcome, "rows": report.rows, "notes": report.notes });
        stage.console.document(&document)?;
    } else {
        stage
            .console
            .line(&format!("{outcome} {table}: {} rows copied", report.rows))?;
    }
    Ok(())
}

impl From<AdoptError> for Stop {
    fn from(error: AdoptError) -> Self {
        let exit = match &error {
            AdoptError::Locked(_) => Exit::Unreachable,
            AdoptError::Failed { failure, .. } if matches!(failure.kind, Kind::RetryNow | Kind::Transient) => {
                Exit::Unreachable
            }
            _ => Exit::Failure,
        };
        Self::new(exit, error.to_string())
    }
}
