//! `twinbox config`: check, show, schema, init, explain.
//!
//! Data goes to stdout (the list of problems too: it is the answer), headlines to stderr.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::{self, Environment, Problems, Root};

/// Where the configuration comes from; the same on every verb.
#[derive(Debug, Clone, Default, Args)]
pub struct Input {
    /// Configuration file; repeatable, later ones win [default: `TWINBOX_CONFIG`, else ./twinbox.yaml]
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
    /// One consumer from Kafka to an application.
    Consumer,
}

/// Output and environment of a verb.
#[expect(missing_debug_implementations, reason = "two writers have nothing to show")]
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
                writeln!(out, "ok: {} ({})", loaded.origin, engines(&loaded.root))?;
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
        Verb::Init { kind } => {
            let template = match kind {
                Template::Relay => config::relay_template(),
                Template::Consumer => config::consumer_template(),
            };
            write!(out, "{template}").map(|()| 0)
        }
        Verb::Explain { key } => match config::explain(key) {
            Ok(page) => write!(out, "{page}").map(|()| 0),
            Err(sentence) => writeln!(err, "{sentence}").map(|()| USAGE),
        },
    }
}

/// How many engines a configuration has; what it has none of goes without saying, beside the other.
fn engines(root: &Root) -> String {
    let count = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    let relays = count(root.relays.len(), "relay");
    let consumers = count(root.consumers.len(), "consumer");
    match (root.relays.is_empty(), root.consumers.is_empty()) {
        (_, true) => relays,
        (true, false) => consumers,
        (false, false) => format!("{relays}, {consumers}"),
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        input: Input,
        #[command(subcommand)]
        verb: Verb,
    }

    /// Exit code, stdout and stderr of a command line with this file.
    fn twinbox(yaml: &str, words: &[&str]) -> (u8, String, String) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("twinbox.yaml");
        std::fs::write(&file, yaml).unwrap();
        let line = ["config", "-c", file.to_str().unwrap()]
            .into_iter()
            .chain(words.iter().copied());
        let line = Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
        let env = [("DATABASE_URL", "postgres://u@h/d")].into_iter().collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let stage = Stage {
            env: &env,
            out: &mut out,
            err: &mut err,
        };
        let code = run(&line.verb, &line.input, stage).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    const GOOD: &str = "relays: { orders: { to: { memory: {} } } }\n";

    #[test]
    fn check_says_what_it_read_or_lists_the_problems() {
        let (code, out, err) = twinbox(GOOD, &["check"]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(
            out.starts_with("ok: ") && out.ends_with("twinbox.yaml (1 relay)\n"),
            "{out}"
        );
        let (code, out, err) = twinbox(
            "lease: 1\nadmin: { lisen: x }\n",
            &["check", "--set", "drain.deadline=10"],
        );
        assert_eq!((code, err.as_str()), (3, "3 problems in the configuration\n"));
        assert_eq!(out.lines().count(), 3, "{out}");
        assert!(
            out.lines()
                .all(|line| line.split("  ").filter(|part| !part.is_empty()).count() == 3),
            "{out}"
        );
    }

    #[test]
    fn show_prints_yaml_and_refuses_as_check_does() {
        let (code, out, _) = twinbox(GOOD, &["show", "--sources"]);
        assert!(code == 0 && out.contains("# default"), "{out}");
        let (code, out, err) = twinbox("x: 1\n", &["show"]);
        assert_eq!((code, err.as_str()), (3, "1 problem in the configuration\n"));
        assert!(out.starts_with("x  "), "{out}");
    }

    #[test]
    fn schema_init_and_explain_need_no_file() {
        let (code, out, _) = twinbox("[", &["schema"]);
        assert!(code == 0 && serde_json::from_str::<serde_json::Value>(&out).is_ok());
        let (code, out, _) = twinbox("[", &["init", "relay"]);
        assert!(code == 0 && out.contains("relays:\n"), "{out}");
        let (code, out, _) = twinbox("[", &["explain", "limits.batch"]);
        assert!(code == 0 && out.contains("1000"), "{out}");
        let (code, out, err) = twinbox("[", &["explain", "limits.bach"]);
        assert!(code == USAGE && out.is_empty() && err.contains("did you mean"), "{err}");
    }

    #[test]
    fn a_set_without_a_value_is_a_usage_error() {
        let error = Line::try_parse_from(["config", "check", "--set", "lease"]).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(USAGE));
        assert!(error.to_string().contains("write PATH=VALUE"), "{error}");
    }
}
