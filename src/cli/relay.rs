//! `twinbox relay | consume | run`: the engines.
//!
//! Promises: a bad configuration is exit 3 before anything is opened; an outage is none; after a drain the exit is 0, after
//! a halt 1 with the sentence, after a second signal 130.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;

use super::root::Stage;
use super::{Exit, Stop, database, exit};
use crate::app::admin::Token;
use crate::app::assemble;
use crate::app::consuming;
use crate::app::desk::PostgresDesk;
use crate::app::export::Exports;
use crate::app::lanes::PostgresBoard;
use crate::app::logs;
use crate::app::process::{self, Boards, Process};
use crate::app::supervise::Ending;
use crate::config::{ConsumerConfig, Loaded, RelayConfig, Root};
use crate::operate::lanes::Board;
use crate::operate::letters::Desk;

/// Which of the configuration's engines.
#[derive(Debug, Default, Args)]
pub struct Names {
    /// Names from the configuration; all when none is given
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Engines of a configuration, by name.
#[derive(Debug, Default)]
pub(super) struct Chosen<'a> {
    pub(super) relays: Vec<(&'a str, &'a RelayConfig)>,
    pub(super) consumers: Vec<(&'a str, &'a ConsumerConfig)>,
}

/// The relays of these names; all when there are none.
///
/// # Errors
/// A name that the configuration does not have, or no relay at all.
fn relays<'a>(root: &'a Root, names: &[String]) -> Result<Chosen<'a>, Stop> {
    let relays = named(&root.relays, names).map_err(|unknown| database::unknown("relay", &root.relays, unknown))?;
    if relays.is_empty() {
        return Err(Stop::configuration(
            "the configuration has no relay; `twinbox config init relay` prints one to begin with",
        ));
    }
    let consumers = Vec::new();
    Ok(Chosen { relays, consumers })
}

/// The consumers of these names; all when there are none.
///
/// # Errors
/// As of [`relays`].
fn consumers<'a>(root: &'a Root, names: &[String]) -> Result<Chosen<'a>, Stop> {
    let consumers = named(&root.consumers, names);
    let consumers = consumers.map_err(|unknown| database::unknown("consumer", &root.consumers, unknown))?;
    if consumers.is_empty() {
        return Err(Stop::configuration(
            "the configuration has no consumer; `twinbox config init consumer` prints one to begin with",
        ));
    }
    let relays = Vec::new();
    Ok(Chosen { relays, consumers })
}

/// The relays and consumers of these names; all when there are none.
///
/// # Errors
/// A name that neither has, or nothing at all.
pub(super) fn all<'a>(root: &'a Root, names: &[String]) -> Result<Chosen<'a>, Stop> {
    let known = |name: &String| root.relays.contains_key(name) || root.consumers.contains_key(name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all = root.relays.keys().map(|name| (name.clone(), ()));
        let all = all.chain(root.consumers.keys().map(|name| (name.clone(), ())));
        return Err(database::unknown("relay or consumer", &all.collect(), unknown));
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let relays = root.relays.iter().map(|(name, relay)| (name.as_str(), relay));
    let consumers = root.consumers.iter().map(|(name, consumer)| (name.as_str(), consumer));
    let chosen = Chosen {
        relays: relays.filter(|(name, _)| wanted(name)).collect(),
        consumers: consumers.filter(|(name, _)| wanted(name)).collect(),
    };
    if chosen.relays.is_empty() && chosen.consumers.is_empty() {
        return Err(Stop::configuration(
            "the configuration has no relay and no consumer; `twinbox config init relay` prints one to begin with",
        ));
    }
    Ok(chosen)
}

/// Those of these names, or the first that is not there.
fn named<'a, 'b, T>(all: &'a BTreeMap<String, T>, names: &'b [String]) -> Result<Vec<(&'a str, &'a T)>, &'b str> {
    if let Some(unknown) = names.iter().find(|name| !all.contains_key(*name)) {
        return Err(unknown);
    }
    let all = all.iter().map(|(name, one)| (name.as_str(), one));
    let all = all.filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name));
    Ok(all.collect())
}

/// Runs relays until they are drained or halt.
///
/// # Errors
/// When they cannot begin, or end otherwise than by a drain.
pub async fn relay(names: Names, stage: &mut Stage) -> Result<Exit, Stop> {
    let loaded = stage.load()?;
    run(stage, (&loaded, relays(&loaded.root, &names.names)?)).await
}

/// Runs consumers until they are drained or halt.
///
/// # Errors
/// As of [`relay`].
pub async fn consume(names: Names, stage: &mut Stage) -> Result<Exit, Stop> {
    let loaded = stage.load()?;
    run(stage, (&loaded, consumers(&loaded.root, &names.names)?)).await
}

/// Runs everything in the configuration.
///
/// # Errors
/// As of [`relay`].
pub async fn run_all(stage: &mut Stage) -> Result<Exit, Stop> {
    let loaded = stage.load()?;
    run(stage, (&loaded, all(&loaded.root, &[])?)).await
}

async fn run(stage: &mut Stage, (loaded, chosen): (&Loaded, Chosen<'_>)) -> Result<Exit, Stop> {
    let Loaded { root, origin } = loaded;
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
    let with = (&stage.env, &exports);
    let engines = assemble::engines(root, &chosen.relays, with).map_err(Stop::configuration)?;
    let consumers = consuming::engines(root, &chosen.consumers, with).map_err(Stop::configuration)?;
    let (input, env) = (stage.global.input.clone(), stage.env.clone());
    let process = Process {
        engines,
        consumers,
        exports,
        boards: boards(root, &chosen, stage)?,
        desk: desk(root, stage)?,
        token,
        check: Box::new(move || match crate::config::load(&input.files, &env, &input.set) {
            Ok(_) => tracing::info!("the configuration on disk is sound; it holds from the next start"),
            Err(problems) => tracing::warn!(%problems, "the configuration on disk would be refused"),
        }),
    };
    match process::run(process, root, origin).await.map_err(Stop::failure)? {
        Ending::Drained | Ending::Late { .. } => Ok(Exit::Ok),
        Ending::Interrupted => Ok(Exit::Interrupted),
        Ending::Failed(sentences) => Err(Stop::failure(sentences.join("\ntwinbox: "))),
    }
}

/// The lanes of these relays and consumers.
fn boards(root: &Root, chosen: &Chosen<'_>, stage: &Stage) -> Result<Boards, Stop> {
    let relays = chosen.relays.iter();
    let relays = relays.map(|(name, relay)| ("relay", *name, root.database_of(relay)));
    let consumers = chosen.consumers.iter();
    let consumers = consumers.map(|(name, consumer)| ("consumer", *name, root.inbox_of(consumer)));
    let boards = relays.chain(consumers).map(|(side, name, database)| {
        let connector = stage.connector(database, "lanes");
        let board = PostgresBoard::new(&connector, database::schema(database)?, (side, name));
        let board: Arc<dyn Board> = Arc::new(board.map_err(Stop::failure)?);
        Ok(((side, name.to_owned()), board))
    });
    boards.collect()
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
