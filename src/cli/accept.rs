//! `twinbox accept NAME KIND`: go on after an incident that stopped a relay, or streams of a consumer.
//!
//! Promises: what is given up is shown before anybody agrees to it, with its exact range; who agreed and why stands in the
//! audit.

mod streams;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::database::{self, Side};
use super::root::Stage;
use super::{Exit, Stop};
use crate::postgres::Direct;
use crate::postgres::desk::{Accepted, Desk, KINDS, Order};

/// Which incident of whom.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The relay or consumer
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
/// When the database is away or refuses, nothing of that kind stopped it, or it never started there.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let root = stage.load()?.root;
    let database = database::meant(&root, Some(&arguments.name))?;
    let desk = Desk::new(database::schema(database)?);
    let side = database::side(&root, &arguments.name);
    let mut direct = Box::pin(stage.connector(database, "accept").direct()).await?;
    let consumer = match side {
        Side::Relay => false,
        Side::Consumer => true,
        Side::Either => streams::meant(&desk, direct.client(), (&arguments.name, &arguments.kind)).await?,
    };
    let done = if consumer {
        streams::accept(arguments, (&desk, direct.client_mut()), &mut stage.console).await
    } else {
        relay(arguments, (&desk, &mut direct), stage).await
    };
    direct.close().await;
    done
}

async fn relay(arguments: Arguments, (desk, direct): (&Desk, &mut Direct), stage: &mut Stage) -> Result<Exit, Stop> {
    let Arguments {
        name,
        kind,
        yes,
        reason,
    } = arguments;
    if kind == "system_changed" && !yes {
        stage.console.agreed(
            "this binds every relay of this outbox to this database, and rows may go out again; producers should be off",
            "accept it?",
        )?;
    }
    let order = Order { actor: None, reason };
    let accepted = desk.accept(direct.client_mut(), (&name, &kind), &order).await?;
    if stage.console.json() {
        let (relays, waiting) = match &accepted {
            Accepted::Noted => (vec![name.clone()], None),
            Accepted::Rebound { relays, waiting } => (relays.clone(), *waiting),
        };
        let document = json!({ "accepted": kind, "relays": relays, "waiting": waiting });
        stage.console.document(&document)?;
    } else {
        stage.console.line(&match accepted {
            Accepted::Noted => format!("accepted {kind} of {name}: it goes on by itself, or with its next start"),
            Accepted::Rebound { relays, waiting } => {
                let rows = waiting.map_or_else(String::new, |rows| format!(", {rows} rows of before go out"));
                let relays = relays.join(", ");
                format!("accepted {kind}: {relays} bound to this database{rows}; start the relays again")
            }
        })?;
    }
    Ok(Exit::Ok)
}
