//! `twinbox completions SHELL`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::root::{Root, Stage};
use super::{Exit, Stop};

/// Completions for which shell.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The shell
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// When it cannot be written.
pub fn run(arguments: &Arguments, stage: &mut Stage) -> Result<Exit, Stop> {
    // The generator panics when it cannot write: it gets memory, the pipe gets the result.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Root::command(), "twinbox", &mut script);
    stage.console.out.write_all(&script)?;
    Ok(Exit::Ok)
}
