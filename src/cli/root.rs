//! The root of the command line: what every verb takes, which verbs there are, and how one is run.

use std::ffi::OsString;
use std::io::Write as _;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::console::{Console, Output};
#[cfg(feature = "kafka")]
use super::demo;
use super::{
    Exit, Stop, accept, completions, config, doctor, drain, enqueue, explain, forget, lanes, letters, migrate, relay,
    status, version,
};
use crate::app::logs::{self, Logs};
use crate::config::{Environment, Loaded, LogFormat, Problems};

/// What is still running when a verb has ended (a flush that nobody waits for) may take so long.
const LEFTOVERS_MAX: Duration = Duration::from_millis(500);

/// The outbox and the inbox, one binary: committed Postgres rows to a broker, and from there to an application, in order per
/// key.
#[derive(Debug, Parser)]
#[command(name = "twinbox", version, propagate_version = false, subcommand_required = true)]
pub struct Root {
    /// What every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub input: config::Input,
    /// How data is written
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub output: Output,
    /// Say less; errors are still told
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more; twice: everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// No colours
    #[arg(long, global = true, long_help = "No colours; the variable NO_COLOR says the same")]
    pub no_color: bool,
    /// Form of the log [default: telemetry.log.format, else text on a terminal and JSON elsewhere]
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub log_format: Option<Form>,
}

/// Forms of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Publish committed outbox rows to the broker
    Relay(relay::Names),
    /// Take messages from the broker to the application
    Consume(relay::Names),
    /// Everything in the configuration
    Run,
    /// Make, print or compare the tables
    Migrate(migrate::Arguments),
    /// Is the world right? With what to paste where it is not
    Doctor(doctor::Arguments),
    /// What holds for this configuration: order, loss, duplicates, failures
    Explain,
    /// How a running process is
    Status(status::Arguments),
    /// Ask a running process to drain
    Drain(drain::Arguments),
    /// Keys that rest, are parked or paused; holding back by hand
    #[command(subcommand)]
    Lanes(lanes::Verb),
    /// Stored messages of blocked keys
    #[command(subcommand)]
    Letters(letters::Verb),
    /// Go on after an incident that stopped a stream
    Accept(accept::Arguments),
    /// Drop a relay for good
    Forget(forget::Arguments),
    /// Write one outbox row
    Enqueue(enqueue::Arguments),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::Verb),
    /// The promises, seen: a throwaway Postgres, a broker, faults, a verdict
    #[cfg(feature = "kafka")]
    Demo(demo::Arguments),
    /// Completions for a shell
    Completions(completions::Arguments),
    /// The version
    Version,
}

/// What a verb works with.
pub struct Stage {
    /// What every verb takes.
    pub global: Global,
    /// The environment.
    pub env: Environment,
    /// Where it writes.
    pub console: Console,
}

/// Runs a command line to its exit.
pub fn run(arguments: impl IntoIterator<Item = OsString>, env: Environment) -> Exit {
    let Root { global, verb } = match Root::try_parse_from(arguments) {
        Ok(root) => root,
        Err(error) => return refused(&error),
    };
    let console = Console::of_process(global.output, global.quiet);
    let mut stage = Stage { global, env, console };
    let ended = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(dispatch(verb, &mut stage));
            if !matches!(ended, Ok(Exit::Interrupted)) {
                runtime.shutdown_timeout(LEFTOVERS_MAX);
            }
            ended
        }
        Err(error) => Err(Stop::failure(format!("threads cannot be started: {error}"))),
    };
    let flushed = stage.console.out.flush().map_err(Stop::from);
    match ended.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => exit,
        Err(Stop { exit, sentence }) => {
            if !sentence.is_empty() {
                // Nobody reads: the exit code still tells.
                let _ = writeln!(stage.console.err, "twinbox: {sentence}");
            }
            exit
        }
    }
}

/// Help and version are data; everything else that clap says is a usage error.
fn refused(error: &clap::Error) -> Exit {
    // A closed pipe: the exit code still tells.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Ok }
}

async fn dispatch(verb: Verb, stage: &mut Stage) -> Result<Exit, Stop> {
    if !matches!(verb, Verb::Relay(_) | Verb::Consume(_) | Verb::Run) {
        // Engines read the level from the configuration; a verb only tells what went wrong.
        stage.start_log("warn", LogFormat::Auto)?;
    }
    match verb {
        Verb::Relay(names) => relay::relay(names, stage).await,
        Verb::Run => relay::run_all(stage).await,
        Verb::Consume(names) => relay::consume(names, stage).await,
        Verb::Migrate(arguments) => migrate::run(arguments, stage).await,
        Verb::Doctor(arguments) => doctor::run(arguments, stage).await,
        Verb::Explain => explain::run(stage),
        Verb::Status(arguments) => status::run(arguments, stage).await,
        Verb::Drain(arguments) => drain::run(arguments, stage).await,
        Verb::Lanes(verb) => lanes::run(verb, stage).await,
        Verb::Letters(verb) => letters::run(verb, stage).await,
        Verb::Accept(arguments) => accept::run(arguments, stage).await,
        Verb::Forget(arguments) => forget::run(arguments, stage).await,
        Verb::Enqueue(arguments) => enqueue::run(arguments, stage).await,
        Verb::Config(verb) => stage.look_at_configuration(&verb),
        #[cfg(feature = "kafka")]
        Verb::Demo(arguments) => demo::run(arguments, stage).await,
        Verb::Completions(arguments) => completions::run(&arguments, stage),
        Verb::Version => version::run(stage),
    }
}

// === impl Stage ===

impl Stage {
    /// Reads the configuration, or tells everything that is wrong with it.
    ///
    /// # Errors
    /// Exit 3, when it has been told.
    pub fn load(&mut self) -> Result<Loaded, Stop> {
        let config::Input { files, set } = &self.global.input;
        match crate::config::load(files, &self.env, set) {
            Ok(loaded) => Ok(loaded),
            Err(problems) => {
                config::refuse(&problems, &mut self.console.out, &mut self.console.err)?;
                Err(Stop::configuration(""))
            }
        }
    }

    /// The log as arguments and environment have it, above these defaults.
    ///
    /// # Errors
    /// Exit 3, when the filter cannot be read.
    pub fn log(&self, level: &str, form: LogFormat) -> Logs {
        let asked = match (self.global.quiet, self.global.verbose) {
            (true, _) => Some("error".to_owned()),
            (_, 0) => None,
            (_, 1) => Some("info,twinbox=debug".to_owned()),
            _ => Some("trace".to_owned()),
        };
        let given = self.env.get("RUST_LOG").filter(|filter| !filter.is_empty());
        let form = match self.global.log_format {
            None => form,
            Some(Form::Auto) => LogFormat::Auto,
            Some(Form::Json) => LogFormat::Json,
            Some(Form::Text) => LogFormat::Text,
        };
        Logs {
            filter: asked.or(given).unwrap_or_else(|| level.to_owned()),
            form,
            color: !self.global.no_color && self.env.get("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }

    fn start_log(&self, level: &str, form: LogFormat) -> Result<(), Stop> {
        logs::start(&self.log(level, form)).map_err(|error| Stop::configuration(error.to_string()))
    }

    fn look_at_configuration(&mut self, verb: &config::Verb) -> Result<Exit, Stop> {
        let stage = config::Stage {
            env: &self.env,
            out: &mut self.console.out,
            err: &mut self.console.err,
        };
        let code = config::run(verb, &self.global.input, stage)?;
        Ok(match code {
            0 => Exit::Ok,
            Problems::EXIT_CODE => Exit::Configuration,
            _ => Exit::Usage,
        })
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage")
            .field("global", &self.global)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Root::command().debug_assert();
    }
}
