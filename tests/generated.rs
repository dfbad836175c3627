//! Generated files are what the code generates. `make generate` (`UPDATE=1`) rewrites them.

#![cfg(feature = "kafka")]
#![expect(clippy::unwrap_used, reason = "a file that cannot be written ends the test")]

use std::fs;
use std::path::Path;

#[test]
fn the_schema_of_the_configuration_is_up_to_date() {
    let schema = serde_json::to_string_pretty(twinbox::config::schema()).unwrap();
    up_to_date("docs/twinbox.schema.json", &(schema + "\n"));
}

#[test]
fn the_reference_of_the_configuration_is_up_to_date() {
    up_to_date("docs/configuration.md", &twinbox::config::reference());
}

#[test]
fn the_template_of_a_relay_is_up_to_date() {
    up_to_date("docs/relay.yaml", &twinbox::config::relay_template());
}

#[test]
fn the_template_of_a_consumer_is_up_to_date() {
    up_to_date("docs/consumer.yaml", &twinbox::config::consumer_template());
}

#[test]
fn the_schema_of_the_status_is_up_to_date() {
    let schema = serde_json::to_string_pretty(&twinbox::app::status::Document::schema()).unwrap();
    up_to_date("docs/status.schema.json", &(schema + "\n"));
}

#[test]
fn the_table_of_metrics_is_up_to_date() {
    up_to_date("docs/metrics.md", &twinbox::telemetry::names::reference());
}

fn up_to_date(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if asked_to("UPDATE") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, generated).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(generated.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| written.lines().count().min(generated.lines().count())) + 1;
    assert!(
        written == generated,
        "{file}:{line} is not what the code says; run `make generate`"
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "the habit of every generated file: UPDATE=1 rewrites it"
)]
fn asked_to(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}
