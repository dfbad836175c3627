//! `twinbox demo`: the whole product on this machine, in half a minute.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::root::Stage;
use super::{Exit, Stop};
use crate::app::demo::{self, DemoError, Options, Report};

/// How the demo is run.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Leave the database afterwards, and say where it is
    #[arg(long)]
    pub keep: bool,
    /// Write what was committed and what was seen into this directory
    #[arg(long, value_name = "DIR")]
    pub export: Option<PathBuf>,
}

/// Runs the demo; exits 1 when anything was lost, invented or out of order.
///
/// # Errors
/// When a part could not begin, or something that should have happened did not.
pub async fn run(arguments: Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    let options = Options {
        began: crate::app::supervise::now().into_std(),
        live: std::io::stderr().is_terminal(),
        quiet: stage.global.quiet,
        keep: arguments.keep,
        export: arguments.export,
    };
    let report = Box::pin(demo::run(options, &stage.env)).await.map_err(stop)?;
    if stage.console.json() {
        stage.console.document(&document(&report))?;
    } else {
        let seconds = report.first_event.as_secs_f64();
        stage.console.line(&report.verdict.to_string())?;
        stage.console.line(&format!(
            "rolled back {} · first event at the reader after {seconds:.1} s",
            report.rolled_back
        ))?;
        stage.console.line(if report.is_good() { "good" } else { "BAD" })?;
    }
    Ok(if report.is_good() { Exit::Ok } else { Exit::Failure })
}

fn document(report: &Report) -> serde_json::Value {
    let verdict = &report.verdict;
    json!({
        "good": report.is_good(),
        "written": verdict.written,
        "rolled_back": report.rolled_back,
        "published": verdict.published,
        "lost": verdict.lost,
        "phantom": verdict.phantom,
        "out_of_order": verdict.out_of_order,
        "published_twice": verdict.twice,
        "first_event_seconds": report.first_event.as_secs_f64(),
    })
}

fn stop(error: DemoError) -> Stop {
    match error {
        DemoError::Server(error) => Stop::new(Exit::Unreachable, error.to_string()),
        error => Stop::failure(error.to_string()),
    }
}
