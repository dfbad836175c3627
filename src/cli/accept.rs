//! `twinbox accept NAME KIND`: go on after an incident that stopped a stream.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::root::Stage;
use super::{Exit, Stop, database};
use crate::postgres::desk::{Accepted, Desk, KINDS, Order};

/// Which incident of whom.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The relay
    pub name: String,
    /// The kind of incident, as the log and `twinbox status` name it
    #[arg(value_parser = PossibleValuesParser::new(KINDS))]
    pub kind: String,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Why, for the audit row
    #[arg(long)]
    pub reason: Option<String>,
}

/// Accepts it.
///
/// # Errors
/// When the database is away or refuses, or the relay never started there.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let Arguments {
        name,
        kind,
        yes,
        reason,
    } = arguments;
    let root = stage.load()?.root;
    let database = database::meant(&root, Some(&name))?;
    let desk = Desk::new(database::schema(database)?);
    if kind == "system_changed" && !yes {
        stage.console.agreed(
            "this binds every relay of this outbox to this database, and rows may go out again; producers should be off",
            "accept it?",
        )?;
    }
    let mut direct = Box::pin(stage.connector(database, "accept").direct()).await?;
    let order = Order { actor: None, reason };
    let accepted = desk.accept(direct.client_mut(), (&name, &kind), &order).await?;
    direct.close().await;
    if stage.console.json() {
        let (relays, rewritten) = match &accepted {
            Accepted::Noted => (vec![name.clone()], 0),
            Accepted::Rebound { relays, rewritten } => (relays.clone(), *rewritten),
        };
        let document = json!({ "accepted": kind, "relays": relays, "rewritten": rewritten });
        stage.console.document(&document)?;
    } else {
        stage.console.line(&match accepted {
            Accepted::Noted => format!("accepted {kind} of {name}: it goes on by itself, or with its next start"),
            Accepted::Rebound { relays, rewritten } => format!(
                "accepted {kind}: {} bound to this database, {rewritten} rows to be read anew; start the relays again",
                relays.join(", ")
            ),
        })?;
    }
    Ok(Exit::Ok)
}
