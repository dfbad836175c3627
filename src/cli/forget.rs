//! `twinbox forget NAME`: drop a relay for good, so that retention waits for it no longer.

use clap::Args;
use serde_json::json;

use super::root::Stage;
use super::{Exit, Stop, database};
use crate::postgres::desk::Desk;

/// Whom.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The relay
    pub name: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Why, for the audit row
    #[arg(long)]
    pub reason: Option<String>,
}

/// Forgets it.
///
/// # Errors
/// When the database is away or refuses, or the relay runs, has open letters, or never started there.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let Arguments { name, yes, reason } = arguments;
    let root = stage.load()?.root;
    let database = database::meant(&root, Some(&name))?;
    let desk = Desk::new(database::schema(database)?);
    if !yes {
        let warning =
            format!("{name} would begin anew under that name, and rows that it has not sent are not waited for");
        stage.console.agreed(&warning, &format!("forget {name}?"))?;
    }
    let direct = Box::pin(stage.connector(database, "forget").direct()).await?;
    let windows = desk.forget(direct.client(), &name, reason.as_deref()).await?;
    direct.close().await;
    if stage.console.json() {
        let document = json!({ "forgotten": name, "windows": windows });
        stage.console.document(&document)?;
    } else {
        stage.console.line(&format!("forgot {name}"))?;
    }
    Ok(Exit::Ok)
}
