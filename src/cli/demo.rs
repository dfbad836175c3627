//! `twinbox demo`.

use std::path::PathBuf;

use clap::Args;

use super::root::Stage;
use super::{Exit, Stop};

/// How the demo is run.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Leave everything running afterwards, and say how to reach it
    #[arg(long)]
    pub keep: bool,
    /// Write what was seen into this directory
    #[arg(long, value_name = "DIR")]
    pub export: Option<PathBuf>,
}

/// Runs the demo.
///
/// # Errors
/// When it cannot begin.
pub async fn run(_arguments: Arguments, _stage: &mut Stage) -> Result<Exit, Stop> {
    Err(Stop::configuration("demo is not in this build yet"))
}
