//! The demo's two relays of one name: a process that leads and is killed, and the standby in this process that takes over.
//!
//! Promises: the leader is the same program as `twinbox relay`, ended by SIGKILL and nothing gentler; it never outlives
//! the demo.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::picky::Picky;
use super::stage::{DemoError, Stage, TOPIC};
use crate::app::assemble::Configured;
use crate::config::{self, Environment, Root};
use crate::relay;
use crate::telemetry::Meters;

/// The name of both.
const RELAY: &str = "demo";

/// Both relays, by their one configuration, written as anybody would write it.
pub(super) struct Pair {
    file: PathBuf,
    url: String,
}

/// The relay that leads first.
pub(super) struct Leader(Child);

// === impl Pair ===

impl Pair {
    /// Writes it for those servers.
    pub(super) fn new(stage: &Stage) -> Result<Self, DemoError> {
        let text = format!(
            "relays: {{ {RELAY}: {{ to: {{ kafka: {{ brokers: [\"{}\"] }} }}, route: {{ topic: \"{TOPIC}\" }} }} }}\n\
             admin: {{ listen: \"127.0.0.1:0\" }}\n",
            stage.brokers()
        );
        let file = std::env::temp_dir().join(format!("twinbox-demo-{}.yaml", uuid::Uuid::new_v4().simple()));
        std::fs::write(&file, text)?;
        let url = stage.url.clone();
        Ok(Self { file, url })
    }

    /// Starts the relay that leads, as a process of its own.
    pub(super) fn leader(&self) -> Result<Leader, DemoError> {
        let leader = Command::new(std::env::current_exe()?)
            .args(["relay", "--config"])
            .arg(&self.file)
            .env("DATABASE_URL", &self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Leader(leader))
    }

    /// The relay that stands by, in front of a broker that refuses the poison until `mended`.
    pub(super) fn standby(&self, mended: &Arc<AtomicBool>) -> Result<relay::Engine, DemoError> {
        let environment: Environment = [("DATABASE_URL", self.url.as_str())].into_iter().collect();
        let loaded = config::load(std::slice::from_ref(&self.file), &environment, &[]);
        let root: Root = loaded.map_err(|problems| DemoError::Relay(problems.to_string()))?.root;
        let relay = root
            .relays
            .get(RELAY)
            .ok_or_else(|| DemoError::Relay("the configuration lost it".to_owned()))?;
        let configured = Configured {
            name: RELAY,
            root: &root,
            relay,
            environment: &environment,
        };
        let broker = configured.broker().map_err(DemoError::Relay)?;
        let picky = Arc::new(Picky::new(broker, Arc::clone(mended)));
        configured.engine(picky, Meters::silent()).map_err(DemoError::Relay)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // A file that is gone already is no loss.
        let _ = std::fs::remove_file(&self.file);
    }
}

// === impl Leader ===

impl Leader {
    /// SIGKILL: no drain, no last word to broker or database.
    pub(super) fn kill(&mut self) -> Result<(), DemoError> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // Killed before: then both say so, and nothing is left to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
