//! `twinbox lanes`: what rests, is parked or paused in a running process; holding back and letting go on by hand.
//!
//! Promises: everything is asked of the process's admin port; a pause names one key, or says `--all`; it lasts until it is
//! resumed, across restarts, in every process of that relay or consumer.

use clap::{Args, Subcommand};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::root::Stage;
use super::{Exit, Stop, port};
use crate::operate::lanes::{LaneEntry, Order};

/// What to do about lanes.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lanes that rest, are parked or paused, and what to type
    List(List),
    /// The lanes of one key, with their letters
    Show(Show),
    /// Hold back one key, or everything of a relay or consumer, until it is resumed
    Pause(Change),
    /// Let it go on, in order
    Resume(Change),
}

/// Where to ask.
#[derive(Debug, Args)]
pub struct Process {
    /// The process's admin port
    #[arg(long, default_value = port::URL_DEFAULT)]
    pub url: String,
    /// Which, where a relay and a consumer have that name
    #[arg(long, value_parser = ["relay", "consumer"])]
    pub side: Option<String>,
}

/// Which lanes.
#[derive(Debug, Args)]
pub struct List {
    /// Of this relay or consumer; of all in that process when none is named
    #[arg(value_name = "NAME")]
    pub owner: Option<String>,
    /// Where to ask
    #[command(flatten)]
    pub process: Process,
}

/// Which key.
#[derive(Debug, Args)]
pub struct Show {
    /// The relay or consumer
    #[arg(value_name = "NAME")]
    pub owner: String,
    /// The ordering key
    #[arg(long)]
    pub key: String,
    /// Where to ask
    #[command(flatten)]
    pub process: Process,
}

/// What is held back, or let go on.
#[derive(Debug, Args)]
pub struct Change {
    /// The relay or consumer
    #[arg(value_name = "NAME")]
    pub owner: String,
    /// One ordering key
    #[arg(long, required_unless_present = "all", conflicts_with = "all")]
    pub key: Option<String>,
    /// Everything of it
    #[arg(long)]
    pub all: bool,
    /// Why, for the audit row and for whoever looks
    #[arg(long)]
    pub reason: Option<String>,
    /// Who, for the audit row [default: the variable USER]
    #[arg(long, value_name = "WHO")]
    pub by: Option<String>,
    /// Where to ask
    #[command(flatten)]
    pub process: Process,
}

/// Does what the arguments say.
///
/// # Errors
/// When nobody answers, or the process refuses.
pub async fn run(verb: Verb, stage: &mut Stage) -> Result<Exit, Stop> {
    match verb {
        Verb::List(List { owner, process }) => {
            let entries = ask(stage, &process, &[("owner", owner), ("side", process.side.clone())]).await?;
            list(stage, &entries)
        }
        Verb::Show(Show { owner, key, process }) => {
            let query = [
                ("owner", Some(owner)),
                ("side", process.side.clone()),
                ("key", Some(key)),
                ("letters", Some("true".to_owned())),
            ];
            let entries = ask(stage, &process, &query).await?;
            show(stage, &entries)
        }
        Verb::Pause(change) => alter(stage, ("pause", change)).await,
        Verb::Resume(change) => alter(stage, ("resume", change)).await,
    }
}

async fn ask(stage: &Stage, process: &Process, query: &[(&str, Option<String>)]) -> Result<Vec<LaneEntry>, Stop> {
    let given = query
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let path = port::path("/lanes", given)?;
    let reply = port::ask(
        (&process.url, &path),
        Method::GET,
        (stage.admin_token(), std::time::Duration::ZERO),
    )
    .await?;
    match serde_json::from_str(&reply.body) {
        Ok(entries) if reply.status == StatusCode::OK => Ok(entries),
        _ => Err(reply.refusal(&process.url)),
    }
}

fn list(stage: &mut Stage, entries: &[LaneEntry]) -> Result<Exit, Stop> {
    let console = &mut stage.console;
    if console.json() {
        console.document(&entries)?;
        return Ok(Exit::Ok);
    }
    if entries.is_empty() {
        console.note("all lanes flow")?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    let header = [
        "owner",
        "key",
        "state",
        "cause",
        "attempts",
        "letters",
        "since",
        "next try",
        "what to type",
    ];
    console.table(&header, &rows)?;
    Ok(Exit::Ok)
}

fn row(entry: &LaneEntry) -> Vec<String> {
    let dash = || "-".to_owned();
    let time = |at: Option<jiff::Timestamp>| at.map_or_else(dash, |at| format!("{at:.0}"));
    let whole = entry.lane.is_none() && entry.key.is_none();
    vec![
        format!("{} {}", entry.side, entry.owner),
        match &entry.key {
            Some(key) => key.clone(),
            None if whole => "(all)".to_owned(),
            None => dash(),
        },
        entry.state.clone(),
        entry.cause.clone().unwrap_or_else(dash),
        entry.attempts.to_string(),
        entry.letters.to_string(),
        time(entry.since),
        time(entry.next_try),
        entry.hint.clone(),
    ]
}

fn show(stage: &mut Stage, entries: &[LaneEntry]) -> Result<Exit, Stop> {
    let console = &mut stage.console;
    if console.json() {
        console.document(&entries)?;
        return Ok(Exit::Ok);
    }
    if entries.is_empty() {
        console.note("nothing of that key rests, is stored or paused: it flows, or nobody knows it")?;
        return Ok(Exit::Ok);
    }
    for entry in entries {
        for (name, value) in facts(entry) {
            console.line(&format!("{name:<14} {value}"))?;
        }
        let letters = entry.stored.as_deref().unwrap_or_default();
        if !letters.is_empty() {
            let rows: Vec<Vec<String>> = letters
                .iter()
                .map(|letter| {
                    let error = letter.error.as_ref();
                    vec![
                        letter.id.to_string(),
                        letter.message_id.clone(),
                        letter.state.clone(),
                        letter.attempts.to_string(),
                        error.map_or_else(|| "-".to_owned(), |error| error.message.clone()),
                    ]
                })
                .collect();
            console.table(&["letter", "message", "state", "attempts", "error"], &rows)?;
        }
        console.line("")?;
    }
    Ok(Exit::Ok)
}

fn facts(entry: &LaneEntry) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("owner", format!("{} {}", entry.side, entry.owner)),
        ("state", entry.state.clone()),
        ("attempts", entry.attempts.to_string()),
    ];
    let mut known = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    known("lane", entry.lane.clone());
    known("key", entry.key.clone());
    known("cause", entry.cause.clone());
    known("since", entry.since.map(|at| at.to_string()));
    known("next try", entry.next_try.map(|at| at.to_string()));
    if let Some(paused) = &entry.paused {
        known("paused by", Some(format!("{}, {}", paused.by, paused.since)));
        known("because", paused.reason.clone());
    }
    if let Some(error) = &entry.error {
        known(
            "error",
            Some(format!("{} ({}): {}", error.code, error.kind, error.message)),
        );
    }
    known("what to type", Some(entry.hint.clone()));
    facts
}

async fn alter(stage: &mut Stage, (verb, change): (&str, Change)) -> Result<Exit, Stop> {
    let Change {
        owner,
        key,
        all,
        reason,
        by,
        process,
    } = change;
    let by = by.or_else(|| stage.env.get("USER"));
    let order = Order {
        owner,
        side: process.side,
        key,
        all,
        by: by.filter(|by| !by.is_empty()),
        reason,
    };
    let path = format!("/lanes/{verb}");
    let reply = port::tell((&process.url, &path), &order, stage.admin_token()).await?;
    let told: Option<Value> = serde_json::from_str(&reply.body).ok();
    let Some(told) = told.filter(|_| reply.status == StatusCode::OK) else {
        return Err(reply.refusal(&process.url));
    };
    let changed = told["changed"] == Value::Bool(true);
    let console = &mut stage.console;
    if console.json() {
        console.document(&told)?;
    } else {
        let what = match &order.key {
            Some(key) => format!("key {key} of {}", order.owner),
            None => format!("everything of {}", order.owner),
        };
        console.line(&match (verb, changed) {
            ("pause", true) => format!("paused {what}, until `twinbox lanes resume`; processes follow within a second"),
            ("pause", false) => format!("{what} is paused already"),
            (_, true) => format!("resumed {what}"),
            (_, false) => format!("{what} is not paused"),
        })?;
    }
    Ok(if changed || verb == "pause" {
        Exit::Ok
    } else {
        Exit::Failure
    })
}
