//! `twinbox letters release | discard`.
//!
//! Promises: count first, then ask, then change; what is interrupted says what resumes it.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::Which;
use crate::cli::console::Console;
use crate::cli::{Exit, Stop};
use crate::operate::letters::{Change, Count, Desk, Selection, Verb};

/// How often `--wait` looks.
const LOOK: Duration = Duration::from_millis(250);

/// What both take.
#[derive(Debug, Clone, Default, Args)]
pub struct Asked {
    /// Which
    #[command(flatten)]
    pub which: Which,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Count only, move nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the audit row
    #[arg(long)]
    pub reason: Option<String>,
}

/// Give letters back, in order.
#[derive(Debug, Default, Args)]
pub struct Release {
    /// What both take.
    #[command(flatten)]
    pub asked: Asked,
    /// At most so many letters a second: 100/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub rate: Option<u32>,
    /// Return when they are delivered, at most after this long
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "60s", value_parser = humantime::parse_duration)]
    pub wait: Option<Duration>,
}

/// Drop letters, with a record.
#[derive(Debug, Default, Args)]
pub struct Discard {
    /// What both take.
    #[command(flatten)]
    pub asked: Asked,
}

pub(super) async fn release(arguments: Release, (desk, console): (&dyn Desk, &mut Console)) -> Result<Exit, Stop> {
    let Release { asked, rate, wait } = arguments;
    let selection = Selection::from(asked.which.clone());
    let done = change((Verb::Release, asked, rate), (desk, console)).await?;
    match (done, wait) {
        (Some(count), Some(wait)) => delivered((selection, count, wait), (desk, console)).await,
        _ => Ok(Exit::Ok),
    }
}

pub(super) async fn discard(arguments: Discard, (desk, console): (&dyn Desk, &mut Console)) -> Result<Exit, Stop> {
    change((Verb::Discard, arguments.asked, None), (desk, console)).await?;
    Ok(Exit::Ok)
}

/// Counts, asks, changes; answers what was changed, none when nothing was to be.
async fn change(
    (verb, asked, rate): (Verb, Asked, Option<u32>),
    (desk, console): (&dyn Desk, &mut Console),
) -> Result<Option<Count>, Stop> {
    let selection = Selection::from(asked.which);
    if selection.is_empty() {
        return Err(Stop::usage(
            "which letters? Say --id, --key, --owner, --error, or --all for all of them",
        ));
    }
    let count = desk.count(verb, selection.clone()).await?;
    if count.letters == 0 {
        return Err(Stop::failure("no open letter matches"));
    }
    preview(console, verb, &count)?;
    if asked.dry_run {
        told(console, verb, (&count, true))?;
        return Ok(None);
    }
    if !asked.yes {
        console.agreed("", &format!("{} them?", verb.as_str()))?;
    }
    let change = Change {
        verb,
        selection,
        reason: asked.reason,
        rate,
    };
    let done = desk.apply(change).await?;
    told(console, verb, (&done, false))?;
    Ok(Some(done))
}

/// What would be touched, by error; for people.
fn preview(console: &mut Console, verb: Verb, count: &Count) -> Result<(), Stop> {
    if console.json() {
        return Ok(());
    }
    console.note(&format!("{} would touch {}", verb.as_str(), sum(count)))?;
    for group in &count.errors {
        console.note(&format!("  {:>7}  {}", group.letters, group.error))?;
    }
    Ok(())
}

fn told(console: &mut Console, verb: Verb, (count, dry_run): (&Count, bool)) -> Result<(), Stop> {
    if console.json() {
        let document = json!({
            "verb": verb.as_str(), "letters": count.letters, "lanes": count.lanes, "errors": count.errors,
            "dry_run": dry_run,
        });
        console.document(&document)?;
    } else if dry_run {
        console.line(&format!("dry run: nothing changed, {} match", sum(count)))?;
    } else {
        let done = match verb {
            Verb::Release => "released",
            Verb::Discard => "discarded",
        };
        console.line(&format!("{done} {}", sum(count)))?;
    }
    Ok(())
}

/// Waits until what was released is open no more.
async fn delivered(
    (selection, released, wait): (Selection, Count, Duration),
    (desk, console): (&dyn Desk, &mut Console),
) -> Result<Exit, Stop> {
    let looking = async {
        loop {
            let left = desk.count(Verb::Release, selection.clone()).await?;
            if left.letters == 0 {
                return Ok::<(), Stop>(());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(wait, looking).await {
        Ok(done) => {
            done?;
            console.note(&format!("delivered {}", sum(&released)))?;
            Ok(Exit::Ok)
        }
        Err(_) => {
            let left = desk.count(Verb::Release, selection).await?;
            let wait = humantime::format_duration(wait);
            let sentence = format!(
                "{} still open after {wait}: see `twinbox letters list` and `twinbox status`",
                sum(&left)
            );
            Err(Stop::new(Exit::Partial, sentence))
        }
    }
}

fn sum(count: &Count) -> String {
    let noun = |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let letters = noun(count.letters, "letter", "letters");
    format!("{letters} of {}", noun(count.lanes, "key", "keys"))
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").and_then(|number| number.parse().ok());
    number
        .filter(|rate| *rate > 0)
        .ok_or_else(|| "write letters per second, like 100/s".to_owned())
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
