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

/// Runs the demo; exits 1 when anything was lost, invented or out of order, or had its effect twice.
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
        stage.console.line(&report.verdict.to_string())?;
        let effects = &report.effects;
        stage.console.line(&format!(
            "handled {} · without effect {} · phantom {} · out of order {} · effect twice {}",
            effects.published, effects.lost, effects.phantom, effects.out_of_order, effects.twice
        ))?;
        stage.console.line(&match &report.told {
            Ok(told) => format!(
                "rolled back {} · first event at the reader after {:.1} s",
                told.rolled_back,
                told.first_event.as_secs_f64()
            ),
            Err(what) => format!("waited in vain: {what}"),
        })?;
        stage.console.line(if report.is_good() { "good" } else { "BAD" })?;
    }
    Ok(if report.is_good() { Exit::Ok } else { Exit::Failure })
}

fn document(report: &Report) -> serde_json::Value {
    let (verdict, effects, told) = (&report.verdict, &report.effects, report.told.as_ref().ok());
    json!({
        "good": report.is_good(),
        "written": verdict.written,
        "rolled_back": told.map(|told| told.rolled_back),
        "published": verdict.published,
        "lost": verdict.lost,
        "phantom": verdict.phantom,
        "out_of_order": verdict.out_of_order,
        "published_twice": verdict.twice,
        "effects": {
            "handled": effects.published,
            "lost": effects.lost,
            "phantom": effects.phantom,
            "out_of_order": effects.out_of_order,
            "twice": effects.twice,
        },
        "first_event_seconds": told.map(|told| told.first_event.as_secs_f64()),
        "waited_in_vain": report.told.as_ref().err(),
    })
}

fn stop(error: DemoError) -> Stop {
    match error {
        DemoError::Server(error) => Stop::new(Exit::Unreachable, error.to_string()),
        error => Stop::failure(error.to_string()),
    }
}
