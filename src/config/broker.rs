//! The one broker that a relay writes to, or a consumer reads from, with its settings.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::broker::{BACKENDS, Backend};
use crate::setting::{BackendConfig, ConsumeConfig, Settings, one_of};

/// The broker a relay publishes to, with its settings.
#[derive(Debug, Clone)]
pub struct ToConfig {
    backend: &'static Backend,
    settings: Settings,
}

/// The broker a consumer reads from, with its settings.
#[derive(Debug, Clone)]
pub struct FromConfig {
    backend: &'static Backend,
    consume: &'static ConsumeConfig,
    settings: Settings,
}

/// The brokers of this build, as the configuration knows them.
pub(super) fn backends() -> impl Iterator<Item = &'static BackendConfig> {
    BACKENDS.iter().map(|backend| &backend.config)
}

/// Those that can be consumed from.
pub(super) fn sources() -> impl Iterator<Item = (&'static BackendConfig, &'static ConsumeConfig)> {
    backends().filter_map(|backend| Some((backend, backend.consume.as_ref()?)))
}

/// The one broker that is named, and what stands below its name.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(&'static Backend, Settings), D::Error> {
    let mut map = BTreeMap::<String, Value>::deserialize(deserializer)?.into_iter();
    let (Some((name, settings)), None) = (map.next(), map.next()) else {
        return Err(D::Error::custom("names exactly one broker"));
    };
    let backend = BACKENDS.iter().find(|backend| backend.config.name == name);
    let backend = backend.ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&name), &"a broker of this build"))?;
    Ok((backend, Settings::new(settings)))
}

// === impl ToConfig ===

impl ToConfig {
    /// The broker, as the table of brokers knows it.
    #[must_use]
    pub const fn backend(&self) -> &'static Backend {
        self.backend
    }

    /// What is written below its key.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl PartialEq for ToConfig {
    fn eq(&self, other: &Self) -> bool {
        self.backend.config.name == other.backend.config.name && self.settings == other.settings
    }
}

impl<'de> Deserialize<'de> for ToConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (backend, settings) = named(deserializer)?;
        Ok(Self { backend, settings })
    }
}

impl JsonSchema for ToConfig {
    fn schema_name() -> Cow<'static, str> {
        "To".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_of(backends().map(|backend| (backend.name, (backend.schema)(generator))))
    }
}

// === impl FromConfig ===

impl FromConfig {
    /// The broker, as the table of brokers knows it.
    #[must_use]
    pub const fn backend(&self) -> &'static Backend {
        self.backend
    }

    /// How it is consumed from.
    #[must_use]
    pub const fn consume(&self) -> &'static ConsumeConfig {
        self.consume
    }

    /// What is written below its key.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl PartialEq for FromConfig {
    fn eq(&self, other: &Self) -> bool {
        self.backend.config.name == other.backend.config.name && self.settings == other.settings
    }
}

impl<'de> Deserialize<'de> for FromConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (backend, settings) = named(deserializer)?;
        let consume = backend.config.consume.as_ref();
        let consume = consume.ok_or_else(|| D::Error::custom("this broker cannot be consumed from"))?;
        Ok(Self {
            backend,
            consume,
            settings,
        })
    }
}

impl JsonSchema for FromConfig {
    fn schema_name() -> Cow<'static, str> {
        "From".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_of(sources().map(|(backend, consume)| (backend.name, (consume.schema)(generator))))
    }
}
