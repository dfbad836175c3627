//! What the configuration must know of a broker, as data: a new broker adds its line, and no code above it changes.

use std::fmt;

use schemars::{Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Complaints;

/// A broker's side of the configuration. Each `broker/*/config.rs` exports one.
#[derive(Debug, Clone, Copy)]
pub struct BackendConfig {
    /// Its key under `to`.
    pub name: &'static str,
    /// The schema of what stands below that key.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// The fields that make a destination there, in its order; `key` and `headers` every route has.
    pub route: &'static [RouteField],
    /// Complains about settings that a schema cannot refuse. Gets whatever the user wrote: may not assume that it fits.
    pub check: fn(&Settings, &mut Complaints),
    /// Whether these settings encrypt the connection (`require: [tls]`).
    pub encrypted: fn(&Settings) -> bool,
    /// The other side, where it can be consumed from.
    pub consume: Option<ConsumeConfig>,
}

/// A broker's side of the configuration of a consumer.
#[derive(Debug, Clone, Copy)]
pub struct ConsumeConfig {
    /// The schema of what stands below the broker's key under `from`.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Complains about settings that a schema cannot refuse. Gets whatever the user wrote: may not assume that it fits.
    pub check: fn(&Settings, &mut Complaints),
    /// Whether these settings encrypt the connection (`require: [tls]`).
    pub encrypted: fn(&Settings) -> bool,
    /// The keys that only a consumer has: without them the settings are those of a publisher, of dead letters for example.
    pub own: &'static [&'static str],
    /// The group whose members share the messages, for the consumer of that name; none where there are no groups.
    pub group: fn(&Settings, &str) -> Option<String>,
}

/// One field of a destination, a template.
#[derive(Debug, Clone, Copy)]
pub struct RouteField {
    /// Its key under `route` and `dead_letter`.
    pub name: &'static str,
    /// What it decides.
    pub doc: &'static str,
    /// The template when none is given.
    pub default: &'static str,
    /// The template under `envelope: debezium`, where it differs: consumers of Debezium's router expect its names.
    pub default_debezium: Option<&'static str>,
    /// The template of a dead letter when none is given.
    pub default_dead_letter: &'static str,
}

/// What the user wrote below a broker's key. Debug never prints it: it may hold secrets.
#[derive(Clone, PartialEq)]
pub struct Settings(Value);

/// The settings do not fit the broker's type. Cannot follow a passed check; never quotes the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker's settings do not fit; run `twinbox config check`")]
pub struct SettingsError;

// === impl Settings ===

impl Settings {
    /// Wraps what was written.
    #[must_use]
    pub const fn new(value: Value) -> Self {
        Self(value)
    }

    /// Reads them as the broker's own type.
    ///
    /// # Errors
    /// When they do not fit, which a check would have reported before.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        T::deserialize(&self.0).map_err(|_| SettingsError)
    }

    /// The settings without these keys.
    #[must_use]
    pub fn without(&self, keys: &[&str]) -> Self {
        let mut value = self.0.clone();
        if let Some(map) = value.as_object_mut() {
            map.retain(|key, _| !keys.contains(&key.as_str()));
        }
        Self(value)
    }

    /// The text at a key, if there is one and it is not empty.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// The value at a key, if it is there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings(…)")
    }
}
