//! A throwaway PostgreSQL for the demo: found on this machine, started in a directory of its own, gone afterwards.
//!
//! Promises: listens on loopback only, on a free port; touches no other server; as root it runs as an ordinary user,
//! because PostgreSQL refuses root; nothing is left behind unless asked for.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the person should do when there is no server to be had.
const REMEDY: &str = "the demo needs PostgreSQL's server programs; one of: apt-get install postgresql · set DATABASE_URL to \
                      a throwaway database · set TWINBOX_PG_BIN to the folder that holds initdb";
/// Users to run the server as when we are root, best first.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    bin: PathBuf,
    directory: PathBuf,
    user: Option<User>,
    /// Where it is.
    pub url: String,
    keep: bool,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No server programs.
    #[error("{REMEDY}")]
    NotFound,
    /// A step of starting it failed.
    #[error("could not start a throwaway PostgreSQL: {step}: {reason}")]
    Failed {
        /// Which step.
        step: &'static str,
        /// What it said.
        reason: String,
    },
}

#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

// === impl Server ===

impl Server {
    /// Starts one; `variable` looks up the environment. Blocks for a second or two.
    ///
    /// # Errors
    /// No server programs, or a step that failed, with what it said.
    pub(super) fn start(variable: &dyn Fn(&str) -> Option<String>, keep: bool) -> Result<Self, ServerError> {
        let bin = find(variable).ok_or(ServerError::NotFound)?;
        let user = unprivileged();
        let directory = std::env::temp_dir().join(format!("twinbox-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&directory).map_err(|error| failed("make a directory", &error))?;
        if let Some(user) = user {
            std::os::unix::fs::chown(&directory, Some(user.uid), Some(user.gid))
                .map_err(|error| failed("give the directory away", &error))?;
        }
        let port = free_port().map_err(|error| failed("find a free port", &error))?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let server = Self {
            bin,
            directory,
            user,
            url,
            keep,
        };
        let data = server.directory.join("data");
        let data = data.to_string_lossy();
        server.program(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ],
        )?;
        let options = format!("-p {port} -h 127.0.0.1 -c unix_socket_directories='' -c max_connections=50");
        let log = server.directory.join("log");
        server.program(
            "pg_ctl",
            &[
                "-D",
                &data,
                "-l",
                &log.to_string_lossy(),
                "-o",
                &options,
                "-w",
                "-t",
                "30",
                "start",
            ],
        )?;
        Ok(server)
    }

    fn program(&self, name: &'static str, arguments: &[&str]) -> Result<Output, ServerError> {
        let mut command = Command::new(self.bin.join(name));
        command.args(arguments).current_dir(&self.directory);
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        let log = self.directory.join(format!("{name}.out"));
        let output = run(command, &log).map_err(|error| failed(name, &error))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        Err(ServerError::Failed {
            step: name,
            reason: said.trim().to_owned(),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.directory.join("data");
        let stopped = self.program(
            "pg_ctl",
            &["-D", &data.to_string_lossy(), "-m", "immediate", "-w", "stop"],
        );
        if let Err(error) = stopped {
            tracing::warn!(%error, "the demo's database did not stop");
        }
        if !self.keep
            && let Err(error) = std::fs::remove_dir_all(&self.directory)
        {
            tracing::warn!(%error, directory = %self.directory.display(), "the demo's directory is left");
        }
    }
}

/// Runs a program with its output in a file: a server that it starts would keep a pipe open for ever.
fn run(mut command: Command, log: &Path) -> std::io::Result<Output> {
    let file = std::fs::File::create(log)?;
    command
        .stdin(std::process::Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    let status = command.status()?;
    Ok(Output {
        status,
        stdout: Vec::new(),
        stderr: Vec::new(),
    })
}

fn failed(step: &'static str, error: &std::io::Error) -> ServerError {
    ServerError::Failed {
        step,
        reason: error.to_string(),
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The folder with `initdb`: what the variable says, `pg_config`, the distributions' folders, the path.
fn find(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let named = variable("TWINBOX_PG_BIN").map(PathBuf::from);
    let asked = Command::new("pg_config").arg("--bindir").output().ok();
    let configured = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let path = variable("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
    named
        .into_iter()
        .chain(configured)
        .chain(versions())
        .chain(on_path)
        .find(|folder| folder.join("initdb").is_file())
}

/// `/usr/lib/postgresql/N/bin` and its like, newest first.
fn versions() -> Vec<PathBuf> {
    let mut folders: Vec<(u32, PathBuf)> = Vec::new();
    for parent in ["/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt"] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let version = entry
                .file_name()
                .to_string_lossy()
                .trim_start_matches("postgresql@")
                .parse();
            folders.extend(version.ok().map(|version| (version, entry.path().join("bin"))));
        }
    }
    folders.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

/// Whom to run as when we are root; none when we are not.
fn unprivileged() -> Option<User> {
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?);
    if own != 0 {
        return None;
    }
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    USERS.into_iter().find_map(|name| account(&accounts, name))
}

fn account(accounts: &str, name: &str) -> Option<User> {
    let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(User {
        uid: fields.next()?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0::/root:/bin/sh\npostgresql:x:7:7::/:/bin/sh\npostgres:x:105:112::/:/bin/sh\n";
        let user = account(accounts, "postgres").unwrap();
        assert_eq!((user.uid, user.gid), (105, 112));
        assert!(account(accounts, "post").is_none());
    }

    #[test]
    fn without_programs_the_remedies_are_named() {
        assert!(ServerError::NotFound.to_string().contains("DATABASE_URL"));
    }
}
