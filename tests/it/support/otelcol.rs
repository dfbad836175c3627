//! A real OpenTelemetry Collector that passes on what it gets: the witness of a campaign.

use super::collector::Collector;
use super::wait::{self, PATIENCE};
use serde_json::json;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running one; it ends with its handle.
#[derive(Debug)]
pub(crate) struct Otelcol {
    pub endpoint: String,
    child: Child,
}

impl Otelcol {
    /// Starts one in front of `behind`; `deploy/dev/collector` builds it when it is not there.
    pub(crate) async fn start(dir: &Path, behind: &Collector) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/dev/collector");
        let output = Command::new(script).output().expect("the script is there");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "no OpenTelemetry Collector: {words}");
        let binary = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound").to_string();
        drop(free);
        let config = json!({
            "receivers": { "otlp": { "protocols": { "http": { "endpoint": address } } } },
            "processors": { "batch": { "timeout": "100ms" } },
            "exporters": { "otlphttp": { "endpoint": behind.endpoint, "compression": "none" } },
            "service": {
                "telemetry": { "metrics": { "level": "none" } },
                "pipelines": { "traces": {
                    "receivers": ["otlp"], "processors": ["batch"], "exporters": ["otlphttp"],
                } },
            },
        });
        let path = dir.join("otelcol.yaml");
        std::fs::write(&path, config.to_string()).expect("the test's directory is writable");
        let log = std::fs::File::create(dir.join("otelcol.log")).expect("the test's directory is writable");
        let child = Command::new(binary)
            .arg("--config")
            .arg(format!("file:{}", path.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it was built");
        wait::until("the collector listens", PATIENCE, || async {
            let connected = tokio::net::TcpStream::connect(&address).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Self {
            endpoint: format!("http://{address}"),
            child,
        }
    }
}

impl Drop for Otelcol {
    fn drop(&mut self) {
        // One that has ended already is dead enough.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
