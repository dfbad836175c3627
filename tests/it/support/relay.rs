//! `twinbox relay` and `twinbox consume` as processes: started, frozen, killed, asked by its admin port.

use super::process::{Process, Signal, outcome};
use super::{http, wait};
use regex::Regex;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The binary under test.
pub(crate) const TWINBOX: &str = env!("CARGO_BIN_EXE_twinbox");

/// `"admin":"127.0.0.1:41234"` in JSON, `admin=127.0.0.1:41234` in a log for people.
static ADMIN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"admin[^0-9]{1,12}(127\.0\.0\.1:[1-9][0-9]*)").expect("a valid pattern"));

/// twinbox with nothing in its environment that the test did not put there.
#[must_use]
pub(crate) fn twinbox(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(TWINBOX);
    command
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR", "LLVM_PROFILE_FILE"] {
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    command.env("RUST_BACKTRACE", "1");
    command
}

/// A relay's process.
pub(crate) struct Relay {
    child: Child,
    pub process: Process,
    /// Its standard error.
    pub log: PathBuf,
    /// Its section of `/status`, and its name there.
    named: (&'static str, String),
}

impl Relay {
    /// Starts `twinbox relay` with this configuration; `name` is the relay that [`Relay::status`] speaks of.
    #[must_use]
    pub(crate) fn start(name: &str, config: &Path, files: (&Path, &[(&str, &str)])) -> Self {
        Self::begin(("relay", "relays", name), config, files)
    }

    /// Starts `twinbox consume` with this configuration; `name` is the consumer that [`Relay::status`] speaks of.
    #[must_use]
    pub(crate) fn consumer(name: &str, config: &Path, files: (&Path, &[(&str, &str)])) -> Self {
        Self::begin(("consume", "consumers", name), config, files)
    }

    fn begin(what: (&str, &'static str, &str), config: &Path, files: (&Path, &[(&str, &str)])) -> Self {
        let (log, environment) = files;
        let (verb, section, name) = what;
        let file = File::create(log).expect("the test's directory is writable");
        let mut command = twinbox(environment);
        command
            .args([verb, "-c"])
            .arg(config)
            .stdout(file.try_clone().expect("a file"))
            .stderr(file);
        let child = command.spawn().expect("the binary was built");
        let process = Process(child.id());
        Self {
            child,
            process,
            log: log.to_owned(),
            named: (section, name.to_owned()),
        }
    }

    /// The admin address, once the start line has told it.
    pub(crate) async fn admin(&self) -> String {
        wait::until("the start line names the admin port", wait::PATIENCE, || async {
            self.must_be_up();
            let text = self.log_text();
            ADMIN
                .captures(&text)
                .map(|found| found[1].to_owned())
                .ok_or_else(|| self.words())
        })
        .await
    }

    /// `relays.<name>` or `consumers.<name>` of `/status`.
    ///
    /// # Errors
    /// What is missing, for a poll.
    pub(crate) async fn status(&self) -> Result<Value, String> {
        let text = self.log_text();
        let address = ADMIN
            .captures(&text)
            .map(|found| found[1].to_owned())
            .ok_or_else(|| self.words())?;
        let status = http::get(&address, "/status").await?.json()?;
        let (section, name) = &self.named;
        match &status[section][name] {
            Value::Null => Err(format!("/status knows no {name} in {section}: {status}")),
            engine => Ok(engine.clone()),
        }
    }

    /// Waits until `/status` says that the relay is in this state.
    pub(crate) async fn reaches(&self, state: &str) {
        wait::until(&format!("the relay is {state}"), wait::PATIENCE, || async {
            self.must_be_up();
            let status = self.status().await?;
            wait::ensure(status["state"] == state, || format!("{status}"))
        })
        .await;
    }

    /// Waits until `/status` shows a last error with this text in its message; the whole status.
    pub(crate) async fn complains(&self, pattern: &str) -> Value {
        let pattern = Regex::new(pattern).expect("a valid pattern");
        wait::until(&format!("last_error says {pattern}"), wait::PATIENCE, || async {
            self.must_be_up();
            let status = self.status().await?;
            let message = status["last_error"]["message"].as_str().unwrap_or_default();
            wait::ensure(pattern.is_match(message), || format!("{status}"))?;
            Ok(status)
        })
        .await
    }

    /// `kill -9`, and the end of it.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::Stop);
    }

    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::Continue);
    }

    /// SIGTERM, then its end within `deadline`: what it ended with and how long it took.
    pub(crate) async fn terminate(&mut self, deadline: Duration) -> (String, Duration) {
        let since = Instant::now();
        self.process.signal(Signal::Terminate);
        (self.ends(deadline).await, since.elapsed())
    }

    /// Its end within `deadline`: `exit 0`.
    pub(crate) async fn ends(&mut self, deadline: Duration) -> String {
        let until = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return outcome(status);
            }
            assert!(
                Instant::now() < until,
                "the relay did not end within {deadline:?}: {}",
                self.words()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Panics with its log when it has ended.
    pub(crate) fn must_be_up(&self) {
        assert!(self.process.is_alive(), "the relay has ended: {}", self.words());
    }

    #[must_use]
    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of its log.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        format!(
            "{}:\n{}",
            self.log.display(),
            lines[lines.len().saturating_sub(15)..].join("\n")
        )
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn the_admin_port_is_found_in_both_kinds_of_log() {
    let json = r#"{"level":"INFO","fields":{"message":"twinbox 0.1.0","database":"127.0.0.1:5432","admin":"127.0.0.1:41234"}}"#;
    assert_eq!(&ADMIN.captures(json).expect("found")[1], "127.0.0.1:41234");
    let plain = "INFO twinbox 0.1.0 admin=127.0.0.1:41235 config=./twinbox.yaml";
    assert_eq!(&ADMIN.captures(plain).expect("found")[1], "127.0.0.1:41235");
    assert!(ADMIN.captures(r#""admin":{"listen":"127.0.0.1:0"}"#).is_none());
}
