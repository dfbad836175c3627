//! `twinbox letters show ID`.

use clap::Args;

use crate::cli::console::Console;
use crate::cli::{Exit, Stop};
use crate::operate::letters::{Desk, Detail};

/// Which letter, and how much of it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The letter's number
    pub id: i64,
    /// Also the payload; it may be personal
    #[arg(long)]
    pub payload: bool,
}

pub(super) async fn run(arguments: Arguments, (desk, console): (&dyn Desk, &mut Console)) -> Result<Exit, Stop> {
    let Arguments { id, payload } = arguments;
    let Some(mut detail) = desk.show(id).await? else {
        return Err(Stop::failure(format!("there is no letter {id}")));
    };
    if !payload {
        detail.payload = None;
    }
    if console.json() {
        console.document(&detail)?;
    } else {
        for (name, value) in facts(&detail) {
            console.line(&format!("{name:<14} {value}"))?;
        }
        if !payload {
            console.note("the payload is hidden; --payload shows it")?;
        }
    }
    Ok(Exit::Ok)
}

fn facts(detail: &Detail) -> Vec<(&'static str, String)> {
    let entry = &detail.entry;
    let mut facts = vec![
        ("letter", entry.id.to_string()),
        ("message", entry.message_id.clone()),
        ("owner", format!("{} {}", entry.side, entry.owner)),
        ("state", entry.state.clone()),
        ("attempts", entry.attempts.to_string()),
        ("lane", detail.lane.clone()),
    ];
    let mut known = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    known("key", entry.key.clone());
    known("aggregate", detail.aggregatetype.clone());
    known("type", detail.kind.clone());
    known("occurred", detail.occurred_at.map(|at| at.to_string()));
    known("first failed", entry.first_failed_at.map(|at| at.to_string()));
    known("last failed", entry.last_failed_at.map(|at| at.to_string()));
    known("trace", detail.traceparent.clone());
    known("headers", detail.headers.as_ref().map(ToString::to_string));
    if let Some(error) = &entry.error {
        known("error", Some(format!("{} ({})", error.code, error.kind)));
        known("", Some(error.message.clone()));
        for cause in &error.chain {
            known("because", Some(cause.clone()));
        }
    }
    known("payload", detail.payload.clone());
    facts
}
