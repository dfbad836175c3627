//! The demo's configuration, and the processes that run by it as anybody would start them.
//!
//! Promises: a process is this same program, ended by SIGKILL and nothing gentler; none outlives the demo.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::effects::FUNCTION;
use super::stage::{DemoError, Stage, TOPIC};
use crate::config::{self, Environment, Root};

/// The relays' name, and the consumer's.
pub(super) const NAME: &str = "demo";
/// How soon the mock cluster misses a consumer that was killed: the least that Kafka allows.
const MISSED_AFTER_MS: u32 = 6_000;

/// The one configuration, written as anybody would write it.
pub(super) struct Setup {
    file: PathBuf,
    url: String,
}

/// A running `twinbox relay` or `twinbox consume`.
pub(super) struct Process(Child);

// === impl Setup ===

impl Setup {
    /// Writes it for those servers.
    pub(super) fn new(stage: &Stage) -> Result<Self, DemoError> {
        let brokers = stage.brokers();
        let text = format!(
            "relays: {{ {NAME}: {{ to: {{ kafka: {{ brokers: [\"{brokers}\"] }} }}, route: {{ topic: \"{TOPIC}\" }} }} }}\n\
             consumers: {{ {NAME}: {{\n  \
             from: {{ kafka: {{ brokers: [\"{brokers}\"], topics: [\"{TOPIC}\"], options: {{ session.timeout.ms: {MISSED_AFTER_MS} }} }} }},\n  \
             handler: {{ sql: {{ function: {FUNCTION} }} }} }} }}\n\
             admin: {{ listen: \"127.0.0.1:0\" }}\n"
        );
        let file = std::env::temp_dir().join(format!("twinbox-demo-{}.yaml", uuid::Uuid::new_v4().simple()));
        std::fs::write(&file, text)?;
        let url = stage.url.clone();
        Ok(Self { file, url })
    }

    /// Starts `twinbox relay` or `twinbox consume`.
    pub(super) fn start(&self, verb: &str) -> Result<Process, DemoError> {
        let process = Command::new(std::env::current_exe()?)
            .args([verb, "--config"])
            .arg(&self.file)
            .env("DATABASE_URL", &self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Process(process))
    }

    /// What the file says, and where its secrets are looked up.
    pub(super) fn read(&self) -> Result<(Root, Environment), DemoError> {
        let environment: Environment = [("DATABASE_URL", self.url.as_str())].into_iter().collect();
        let loaded = config::load(std::slice::from_ref(&self.file), &environment, &[]);
        let root = loaded.map_err(|problems| DemoError::Relay(problems.to_string()))?.root;
        Ok((root, environment))
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // A file that is gone already is no loss.
        let _ = std::fs::remove_file(&self.file);
    }
}

// === impl Process ===

impl Process {
    /// SIGKILL: no drain, no last word to broker or database.
    pub(super) fn kill(&mut self) -> Result<(), DemoError> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killed before: then both say so, and nothing is left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
