//! Opening the broker of a relay's configuration.

use std::sync::Arc;

use crate::broker::{Envelope, OpenContext, STALL_DEFAULT};
use crate::config::{self, Environment, RelayConfig};
use crate::contract::Broker;
use crate::delivery::Failure;

/// The broker that a relay writes to. Does no I/O.
///
/// # Errors
/// When the settings do not fit, which a check would have reported before.
pub fn open(name: &str, relay: &RelayConfig, env: &Environment) -> Result<Arc<dyn Broker>, Failure> {
    let env = env.clone();
    let context = OpenContext {
        name: name.to_owned(),
        source: relay.source_or_default(name).into_owned(),
        envelope: match relay.envelope {
            config::Envelope::Cloudevents => Envelope::CloudEvents,
            config::Envelope::Debezium => Envelope::Debezium,
            config::Envelope::Raw => Envelope::Raw,
        },
        in_flight: relay.limits.in_flight as usize,
        bytes: usize::try_from(relay.limits.bytes.bytes()).unwrap_or(usize::MAX),
        stall: STALL_DEFAULT,
        environment: Arc::new(move |name| env.get(name)),
    };
    (relay.to.backend().open)(relay.to.settings(), context)
}
