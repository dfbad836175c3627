//! `twinbox letters list`.

use clap::{Args, ValueEnum};

use super::Which;
use crate::cli::console::Console;
use crate::cli::{Exit, Stop};
use crate::operate::letters::{Desk, Entry, ErrorCount, Selection, Verb};

/// What a person can read at once; `-o json` with a higher `--limit` is for programs.
const LIMIT_DEFAULT: u32 = 1_000;

/// Which letters, and how.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Which; everything when nothing is given
    #[command(flatten)]
    pub which: Which,
    /// Counts instead of letters
    #[arg(long, value_enum, value_name = "WHAT")]
    pub group_by: Option<GroupBy>,
    /// At most so many
    #[arg(long, default_value_t = LIMIT_DEFAULT)]
    pub limit: u32,
}

/// What letters are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    /// The same error, however the messages differ.
    Error,
}

pub(super) async fn run(arguments: Arguments, (desk, console): (&dyn Desk, &mut Console)) -> Result<Exit, Stop> {
    let mut selection = Selection::from(arguments.which);
    selection.all |= selection.is_empty();
    if arguments.group_by == Some(GroupBy::Error) {
        let count = desk.count(Verb::Release, selection).await?;
        return grouped(console, &count.errors);
    }
    let entries = desk.list(selection, arguments.limit).await?;
    if console.json() {
        console.document(&entries)?;
        return Ok(Exit::Ok);
    }
    if entries.is_empty() {
        console.note("no letters")?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    console.table(
        &["id", "owner", "key", "state", "attempts", "last failed", "error"],
        &rows,
    )?;
    if entries.len() == arguments.limit as usize {
        console.note(&format!(
            "the first {}; say more with --limit, or count with --group-by error",
            arguments.limit
        ))?;
    }
    Ok(Exit::Ok)
}

fn row(entry: &Entry) -> Vec<String> {
    let error = entry.error.as_ref();
    vec![
        entry.id.to_string(),
        entry.owner.clone(),
        entry.key.clone().unwrap_or_else(|| "-".to_owned()),
        entry.state.clone(),
        entry.attempts.to_string(),
        entry.last_failed_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
        error.map_or_else(|| "-".to_owned(), |error| format!("{}: {}", error.code, error.message)),
    ]
}

fn grouped(console: &mut Console, errors: &[ErrorCount]) -> Result<Exit, Stop> {
    if console.json() {
        console.document(&errors)?;
        return Ok(Exit::Ok);
    }
    let rows: Vec<Vec<String>> = errors
        .iter()
        .map(|group| vec![group.letters.to_string(), group.error.clone()])
        .collect();
    if rows.is_empty() {
        console.note("no letters")?;
    } else {
        console.table(&["letters", "error"], &rows)?;
    }
    Ok(Exit::Ok)
}
