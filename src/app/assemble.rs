//! From a configuration to engines.

use super::export::Exports;
use crate::config::{Environment, RelayConfig, Root};
use crate::relay::Engine;

/// The engines of these relays.
///
/// # Errors
/// A sentence, when the configuration cannot be used.
pub fn engines(
    _root: &Root,
    relays: &[(&str, &RelayConfig)],
    _with: (&Environment, &Exports),
) -> Result<Vec<Engine>, String> {
    let names: Vec<&str> = relays.iter().map(|(name, _)| *name).collect();
    Err(format!("{} cannot be assembled in this build", names.join(", ")))
}
