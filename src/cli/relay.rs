//! `twinbox relay | run`: the engines.
//!
//! Promises: a bad configuration is exit 3 before anything is opened; an outage is none; after a drain the exit is 0, after
//! a halt 1 with the sentence, after a second signal 130.

use std::sync::Arc;

use clap::Args;

use super::root::Stage;
use super::{Exit, Stop, database, exit};
use crate::app::admin::Token;
use crate::app::assemble;
use crate::app::desk::PostgresDesk;
use crate::app::export::Exports;
use crate::app::logs;
use crate::app::process::{self, Process};
use crate::app::supervise::Ending;
use crate::config::{Loaded, RelayConfig, Root};
use crate::operate::letters::Desk;

/// Which of the configuration's engines.
#[derive(Debug, Default, Args)]
pub struct Names {
    /// Names from the configuration; all when none is given
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// The relays of these names; all when there are none.
///
/// # Errors
/// A name that the configuration does not have, or no relay at all.
pub(super) fn chosen<'a>(root: &'a Root, names: &[String]) -> Result<Vec<(&'a str, &'a RelayConfig)>, Stop> {
    if let Some(unknown) = names.iter().find(|name| !root.relays.contains_key(*name)) {
        return Err(database::unknown(root, unknown));
    }
    let relays = root.relays.iter().map(|(name, relay)| (name.as_str(), relay));
    let chosen: Vec<_> = relays
        .filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name))
        .collect();
    if chosen.is_empty() {
        return Err(Stop::configuration(
            "the configuration has no relay; `twinbox config init relay` prints one to begin with",
        ));
    }
    Ok(chosen)
}

/// Runs relays until they are drained or halt.
///
/// # Errors
/// When they cannot begin, or end otherwise than by a drain.
pub async fn relay(names: Names, stage: &mut Stage) -> Result<Exit, Stop> {
    let Loaded { root, origin } = stage.load()?;
    let relays = chosen(&root, &names.names)?;
    let exports = Exports::start(&|name| stage.env.get(name));
    let exports = exports.map_err(|error| Stop::configuration(format!("telemetry: {}", exit::chain(&error))))?;
    let log = &root.telemetry.log;
    logs::start(&stage.log(log.level.as_str(), log.format)).map_err(|error| Stop::configuration(error.to_string()))?;
    let token = match &root.admin.token {
        None => None,
        Some(token) => {
            let token = token.resolve(&|name| stage.env.get(name));
            let token = token.map_err(|error| Stop::configuration(format!("admin.token: {error}")))?;
            Some(Token::new(token.expose()))
        }
    };
    let engines = assemble::engines(&root, &relays, (&stage.env, &exports)).map_err(Stop::configuration)?;
    let (input, env) = (stage.global.input.clone(), stage.env.clone());
    let process = Process {
        engines,
        consumers: Vec::new(),
        exports,
        desk: desk(&root, stage)?,
        token,
        check: Box::new(move || match crate::config::load(&input.files, &env, &input.set) {
            Ok(_) => tracing::info!("the configuration on disk is sound; it holds from the next start"),
            Err(problems) => tracing::warn!(%problems, "the configuration on disk would be refused"),
        }),
    };
    match process::run(process, &root, &origin).await.map_err(Stop::failure)? {
        Ending::Drained | Ending::Late { .. } => Ok(Exit::Ok),
        Ending::Interrupted => Ok(Exit::Interrupted),
        Ending::Failed(sentences) => Err(Stop::failure(sentences.join("\ntwinbox: "))),
    }
}

/// The letters that the admin port may change; none where they are in several databases.
fn desk(root: &Root, stage: &Stage) -> Result<Option<Arc<dyn Desk>>, Stop> {
    let Ok(database) = database::meant(root, None) else {
        return Ok(None);
    };
    let connector = stage.connector(database, "admin");
    let desk = PostgresDesk::new(&connector, database::schema(database)?).map_err(Stop::failure)?;
    Ok(Some(Arc::new(desk)))
}

/// Consumers are not here yet.
///
/// # Errors
/// Always.
pub fn consume() -> Result<Exit, Stop> {
    Err(Stop::configuration(
        "consumers are not in this build: it relays from Postgres to a broker; use `twinbox relay`",
    ))
}
