//! The demo's standby in this process: it takes over from the leader that is killed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::picky::Picky;
use super::process::{NAME, Setup};
use super::stage::DemoError;
use crate::app::assemble::Configured;
use crate::relay;
use crate::telemetry::Meters;

/// The relay that stands by, in front of a broker that refuses the poison until `mended`.
pub(super) fn standby(setup: &Setup, mended: &Arc<AtomicBool>) -> Result<relay::Engine, DemoError> {
    let (root, environment) = setup.read()?;
    let relay = root
        .relays
        .get(NAME)
        .ok_or_else(|| DemoError::Relay("the configuration lost it".to_owned()))?;
    let configured = Configured {
        name: NAME,
        root: &root,
        relay,
        environment: &environment,
    };
    let broker = configured.broker().map_err(DemoError::Relay)?;
    let picky = Arc::new(Picky::new(broker, Arc::clone(mended)));
    configured.engine(picky, Meters::silent()).map_err(DemoError::Relay)
}
