//! Where the shared live servers are, and what happens without them.

use std::env;
use std::time::Duration;

/// The servers every live test of this run shares: a test may fill them, never hurt them.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    /// URL of a superuser's database.
    pub postgres: String,
    /// `host:port,…`
    pub kafka: String,
}

/// The servers, or `None` after one line that says what was skipped.
///
/// # Panics
/// With `REQUIRE_LIVE=1`: a live suite without its server is a failure there.
#[must_use]
pub(crate) fn servers(test: &str) -> Option<Live> {
    Some(Live {
        postgres: postgres(test)?,
        kafka: kafka(test)?,
    })
}

/// `TEST_POSTGRES`, see [`servers`].
#[must_use]
pub(crate) fn postgres(test: &str) -> Option<String> {
    server("TEST_POSTGRES", test)
}

/// `TEST_KAFKA`, see [`servers`].
#[must_use]
pub(crate) fn kafka(test: &str) -> Option<String> {
    server("TEST_KAFKA", test)
}

/// The full sizes of the campaign instead of the small ones of `make test`.
#[must_use]
pub(crate) fn campaign() -> bool {
    flag("TWINBOX_CAMPAIGN")
}

/// How long something may take that is promised within `promised`. The campaign has the machine for itself; beside
/// compilers and other tests three times as long still tells what is promised from what happens without it.
#[must_use]
pub(crate) fn within(promised: Duration) -> Duration {
    if campaign() { promised } else { promised * 3 }
}

/// `1` is yes.
#[must_use]
pub(crate) fn flag(variable: &str) -> bool {
    env::var(variable).is_ok_and(|value| value == "1")
}

fn server(variable: &str, test: &str) -> Option<String> {
    let found = env::var(variable).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        assert!(
            !flag("REQUIRE_LIVE"),
            "{test}: {variable} is not set and REQUIRE_LIVE=1"
        );
        println!("{test}: skipped, {variable} is not set");
    }
    found
}
