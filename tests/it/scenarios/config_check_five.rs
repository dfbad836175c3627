//! Must show 10: `config check` on a file with five mistakes prints five messages with line numbers at once.

use crate::support::relay::twinbox;
use crate::support::stage::text;
use regex::Regex;

/// Five mistakes; the comments say which line a message must name.
const FIVE: &str = "\
database:
  url: { env: TWINBOX_TEST_URL_THAT_NOBODY_SET }  # 2: the variable is missing
relays:
  orders:
    to:
      kafka:
        brokers: [\"127.0.0.1:9092\"]
    rout: { topic: \"{aggregatetype}.events\" }  # 8: unknown key, did you mean route?
    lease: 10  # 9: no unit
    limits: { bytes: 32 parsecs }  # 10: no size
    envelope: debezum  # 11: unknown value
";

#[test]
fn five_mistakes_are_told_at_once_with_their_lines() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("five.yaml");
    std::fs::write(&path, FIVE).expect("written");
    let output = twinbox(&[])
        .args(["config", "check", "-c"])
        .arg(&path)
        .output()
        .expect("the binary was built");
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{told}{}", text(&output.stderr));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 5, "one line per problem:\n{told}");
    let expected = [
        ("database.url", 2, "TWINBOX_TEST_URL_THAT_NOBODY_SET"),
        ("relays.orders.rout", 8, "route"),
        ("relays.orders.lease", 9, "10s"),
        ("relays.orders.limits.bytes", 10, "parsecs"),
        ("relays.orders.envelope", 11, "debezium"),
    ];
    for (place, line, word) in expected {
        let pattern = format!(
            r"^{}\S* {{2,}}\S*five\.yaml:{line}:\d+ {{2,}}.*{word}",
            regex::escape(place)
        );
        let pattern = Regex::new(&pattern).expect("a valid pattern");
        assert!(
            lines.iter().any(|told| pattern.is_match(told)),
            "{place}, line {line}, {word}:\n{told}"
        );
    }
}
