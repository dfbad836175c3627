//! The toy application in Python (`application.py`) as a process: started, killed and started again at one port.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running toy; it ends with its handle.
#[derive(Debug)]
pub(crate) struct Toy {
    arguments: Vec<String>,
    port: u16,
    child: Child,
}

impl Toy {
    /// Starts it beside that database; more arguments as it takes them.
    pub(crate) fn start(database: &str, arguments: &[&str]) -> Self {
        let own = ["--database", database].into_iter().chain(arguments.iter().copied());
        let arguments: Vec<String> = own.map(ToOwned::to_owned).collect();
        let (child, port) = spawn(&arguments, 0);
        Self { arguments, port, child }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    /// Kills it (-9) and starts it again at its port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.child = spawn(&self.arguments, self.port).0;
    }

    pub(crate) fn kill(&mut self) {
        // One that has ended already is dead enough.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(arguments: &[String], port: u16) -> (Child, u16) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/application.py");
    let mut child = Command::new("python3")
        .arg(script)
        .args(arguments)
        .args(["--port", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    let mut line = String::new();
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("text");
    let port = line.split_whitespace().find_map(|word| word.strip_prefix("PORT="));
    let port = port.unwrap_or_else(|| panic!("the toy printed no port: {line:?}"));
    (child, port.parse().expect("a port"))
}
