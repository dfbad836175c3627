//! `twinbox config`: check, show, schema, init, explain.
//!
//! Data goes to stdout (the list of problems too: it is the answer), headlines to stderr.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::{self, Environment, Problems};

/// Where the configuration comes from; the same on every verb.
#[derive(Debug, Clone, Default, Args)]
pub struct Input {
    /// Configuration file; repeatable, later ones win [default: $TWINBOX_CONFIG, else ./twinbox.yaml]
    #[arg(short = 'c', long = "config", value_name = "FILE", global = true)]
    pub files: Vec<PathBuf>,
    /// Set one value, above files and environment; repeatable
    #[arg(long = "set", value_name = "PATH=VALUE", global = true, value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

/// Look at the configuration.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Read everything, connect to nothing, report all problems at once
    Check,
    /// Print the configuration that holds, secrets hidden
    Show {
        /// Say where each value comes from
        #[arg(long)]
        sources: bool,
    },
    /// Print the JSON schema of the file
    Schema,
    /// Print a commented template
    Init {
        /// What for
        kind: Template,
    },
    /// Say what a key means, its default and its variable
    Explain {
        /// The key, like `limits.batch`
        #[arg(default_value = "")]
        key: String,
    },
}

/// The templates there are.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Template {
    /// One relay to Kafka.
    Relay,
}

/// Output and environment of a verb.
pub struct Stage<'a> {
    /// The environment.
    pub env: &'a Environment,
    /// Data.
    pub out: &'a mut dyn Write,
    /// Words about it.
    pub err: &'a mut dyn Write,
}

/// A usage error, as clap's own.
const USAGE: u8 = 2;

/// Runs a verb; answers the exit code.
///
/// # Errors
/// When the output cannot be written.
pub fn run(verb: &Verb, input: &Input, stage: Stage<'_>) -> io::Result<u8> {
    let Stage { env, out, err } = stage;
    match verb {
        Verb::Check => match config::load(&input.files, env, &input.set) {
            Ok(loaded) => {
                let relays = loaded.root.relays.len();
                let noun = if relays == 1 { "relay" } else { "relays" };
                writeln!(out, "ok: {} ({relays} {noun})", loaded.origin)?;
                Ok(0)
            }
            Err(problems) => refuse(&problems, out, err),
        },
        Verb::Show { sources } => match config::show(&input.files, env, (&input.set, *sources)) {
            Ok(page) => write!(out, "{page}").map(|()| 0),
            Err(problems) => refuse(&problems, out, err),
        },
        Verb::Schema => {
            serde_json::to_writer_pretty(&mut *out, config::schema())?;
            writeln!(out).map(|()| 0)
        }
        Verb::Init { kind: Template::Relay } => write!(out, "{}", config::relay_template()).map(|()| 0),
        Verb::Explain { key } => match config::explain(key) {
            Ok(page) => write!(out, "{page}").map(|()| 0),
            Err(sentence) => writeln!(err, "{sentence}").map(|()| USAGE),
        },
    }
}

/// Prints the problems as every verb does that cannot go on with this configuration.
///
/// # Errors
/// When the output cannot be written.
pub fn refuse(problems: &Problems, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    writeln!(err, "{}", problems.headline())?;
    write!(out, "{problems}")?;
    Ok(Problems::EXIT_CODE)
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.is_empty() => Ok((path.to_owned(), value.to_owned())),
        _ => Err("write PATH=VALUE, like relays.orders.limits.batch=500".to_owned()),
    }
}
