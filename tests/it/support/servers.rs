//! Servers of a test's own, which it may kill: PostgreSQL and Kafka by the scripts of `deploy/dev`.
//!
//! Promises: a server ends with its handle, and with this process whatever ends that; a failing test keeps its logs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    Kafka,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
        }
    }
}

/// A running (or killed) server with its directory.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    pub dir: PathBuf,
    values: HashMap<String, String>,
}

impl Server {
    /// Starts one under `dir`. Settings as the script takes them: `name=value`.
    #[must_use]
    pub(crate) fn start(kind: Kind, dir: &Path, settings: &[&str]) -> Self {
        let mut arguments = Vec::new();
        for setting in settings {
            if kind == Kind::Postgres {
                arguments.push("-c");
            }
            arguments.push(setting);
        }
        let mut server = Self {
            kind,
            dir: dir.join(kind.name()),
            values: HashMap::new(),
        };
        let answer = server.call("start", &arguments);
        server.values = assignments(&answer);
        server
    }

    /// One of the script's assignments: `PORT`, `PID`, `URL`, `BROKERS`.
    #[must_use]
    pub(crate) fn value(&self, name: &str) -> &str {
        self.values
            .get(name)
            .unwrap_or_else(|| panic!("{:?} printed no {name}: {:?}", self.kind, self.values))
    }

    /// The loopback port: the same as long as the directory lives.
    #[must_use]
    pub(crate) fn port(&self) -> u16 {
        self.value("PORT").parse().expect("a port")
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        self.call("kill", &[]);
    }

    /// A clean shutdown.
    pub(crate) fn stop(&self) {
        self.call("stop", &[]);
    }

    /// Starts it again after [`Server::kill`] or [`Server::stop`]; returns when it answers.
    pub(crate) fn start_again(&self) {
        self.call("start", &[]);
    }

    /// Clean shutdown and start.
    pub(crate) fn restart(&self) {
        self.call("restart", &[]);
    }

    fn call(&self, verb: &str, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy/dev")
            .join(self.kind.name());
        let mut command = Command::new(&script);
        command
            .arg(verb)
            .arg(&self.dir)
            .args(arguments)
            .env("TWINBOX_DEV_OWNER", std::process::id().to_string());
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{} {verb} {}: {words}",
            script.display(),
            self.dir.display()
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A failing test keeps the directory: its log may hold the reason.
        let verb = if std::thread::panicking() { "kill" } else { "drop" };
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy/dev")
            .join(self.kind.name());
        let _ = Command::new(script).arg(verb).arg(&self.dir).output();
    }
}

fn assignments(text: &str) -> HashMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}
