//! A child process: signals by its id, and what /proc says about it.

use std::fs;
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// Linux counts CPU time in hundredths of a second.
const TICKS: f64 = 100.0;

/// A process that this test started, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(pub u32);

/// What may be sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Terminate,
    Interrupt,
    Stop,
    Continue,
}

impl Process {
    pub(crate) fn signal(self, signal: Signal) {
        let name = match signal {
            Signal::Terminate => "-TERM",
            Signal::Interrupt => "-INT",
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        let status = Command::new("kill").args([name, &self.0.to_string()]).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "kill {name} {} failed: is it still there?",
            self.0
        );
    }

    /// Running, not defunct.
    #[must_use]
    pub(crate) fn is_alive(self) -> bool {
        self.stat().is_some_and(|fields| fields[0] != "Z")
    }

    /// Highest resident set so far, in bytes.
    #[must_use]
    pub(crate) fn memory_peak(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("the process runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("every process has one");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kilobytes * 1024
    }

    /// CPU time so far, user and system.
    #[must_use]
    pub(crate) fn cpu(self) -> Duration {
        let fields = self.stat().expect("the process runs");
        let ticks: f64 = [11, 12]
            .iter()
            .map(|at| fields[*at].parse::<f64>().expect("a number of ticks"))
            .sum();
        Duration::from_secs_f64(ticks / TICKS)
    }

    /// The fields of /proc/PID/stat from *state* (the third) on; a name may hold spaces and brackets.
    fn stat(self) -> Option<Vec<String>> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        Some(rest.split_whitespace().map(str::to_owned).collect())
    }
}

/// An exit for people: `exit 0`, `signal 9`.
#[must_use]
pub(crate) fn outcome(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown end".to_owned(),
    }
}
