//! Routes as they are written: templates by field, the broker's defaults where nothing is written.

use std::collections::BTreeMap;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::broker::backends;
use super::consumer::ConsumerConfig;
use super::relay::{Envelope, RelayConfig};
use crate::delivery::{Route, Template, TemplateError, TemplateUse};
use crate::setting::{Format, RouteField};

/// The key when none is written: the row's own.
const KEY_DEFAULT: &str = "{aggregateid}";

/// A route as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteConfig {
    /// Templates of the destination, by the names its broker gives them.
    pub fields: BTreeMap<String, String>,
    /// Template of the key.
    pub key: Option<String>,
    /// Headers to add, by name.
    pub headers: BTreeMap<String, String>,
}

/// The format of a route's templates.
pub(super) const TEMPLATE: Format = template("twinbox-template", |text| check(text, TemplateUse::Route));
/// The format of a dead letter's templates.
pub(super) const DEAD_LETTER_TEMPLATE: Format = template("twinbox-dead-letter-template", |text| {
    check(text, TemplateUse::DeadLetter)
});

const fn template(name: &'static str, check: fn(&str) -> Result<(), String>) -> Format {
    Format {
        name,
        pattern: None,
        check,
    }
}

fn check(text: &str, used: TemplateUse) -> Result<(), String> {
    Template::parse(text, used).map(drop).map_err(|error| error.to_string())
}

impl<'de> Deserialize<'de> for RouteConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut route = Self::default();
        for (field, value) in BTreeMap::<String, Value>::deserialize(deserializer)? {
            match field.as_str() {
                "headers" => route.headers = BTreeMap::deserialize(value).map_err(D::Error::custom)?,
                "key" => route.key = Some(String::deserialize(value).map_err(D::Error::custom)?),
                _ => {
                    let text = String::deserialize(value).map_err(D::Error::custom)?;
                    route.fields.insert(field, text);
                }
            }
        }
        Ok(route)
    }
}

pub(super) fn route_schema(_: &mut SchemaGenerator) -> Schema {
    let default = |field: &RouteField| match field.default_debezium {
        Some(debezium) => format!("{}, under `envelope: debezium` {debezium}", field.default),
        None => field.default.to_owned(),
    };
    schema(&TEMPLATE, KEY_DEFAULT, default)
}

pub(super) fn dead_letter_schema(_: &mut SchemaGenerator) -> Schema {
    schema(&DEAD_LETTER_TEMPLATE, "<route.key>", dead_letter_default)
}

pub(super) fn consumer_dead_letter_schema(_: &mut SchemaGenerator) -> Schema {
    schema(&DEAD_LETTER_TEMPLATE, KEY_DEFAULT, dead_letter_default)
}

fn dead_letter_default(field: &RouteField) -> String {
    field.default_dead_letter.to_owned()
}

/// The fields of all brokers; whether a field belongs to the relay's broker is checked where that is known.
fn schema(format: &Format, key_default: &str, default: impl Fn(&RouteField) -> String) -> Schema {
    let mut properties = Map::new();
    for field in backends().flat_map(|backend| backend.route) {
        let property = json!({
            "type": "string", "format": format.name, "minLength": 1,
            "description": field.doc, "x-default": default(field),
        });
        properties.insert(field.name.to_owned(), property);
    }
    properties.insert(
        "key".to_owned(),
        json!({
            "type": "string", "format": format.name, "x-default": key_default,
            "description": "What keeps its order. A row without a value for it goes without a key, in no order.",
        }),
    );
    properties.insert(
        "headers".to_owned(),
        json!({
            "type": "object", "additionalProperties": { "type": "string", "format": format.name }, "x-file-only": true,
            "description": "Headers to add to each message, by name.",
        }),
    );
    json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// The templates of a relay's destination as texts, in the broker's order.
pub(super) fn effective(relay: &RelayConfig, used: TemplateUse) -> impl Iterator<Item = (&'static str, &str)> {
    let written = match used {
        TemplateUse::Route => &relay.route,
        TemplateUse::DeadLetter => &relay.dead_letter,
    };
    relay.to.backend().config.route.iter().map(move |field| {
        let default = match (used, relay.envelope) {
            (TemplateUse::DeadLetter, _) => field.default_dead_letter,
            (TemplateUse::Route, Envelope::Debezium) => field.default_debezium.unwrap_or(field.default),
            (TemplateUse::Route, _) => field.default,
        };
        (
            field.name,
            written.fields.get(field.name).map_or(default, String::as_str),
        )
    })
}

/// The template of a relay's key.
pub(super) fn effective_key(relay: &RelayConfig, used: TemplateUse) -> &str {
    let route = relay.route.key.as_deref().unwrap_or(KEY_DEFAULT);
    match used {
        TemplateUse::Route => route,
        TemplateUse::DeadLetter => relay.dead_letter.key.as_deref().unwrap_or(route),
    }
}

pub(super) fn resolved(relay: &RelayConfig) -> Result<Route, TemplateError> {
    resolve(relay, TemplateUse::Route, &relay.route.headers)
}

pub(super) fn resolved_dead_letter(relay: &RelayConfig) -> Result<Route, TemplateError> {
    resolve(relay, TemplateUse::DeadLetter, &relay.dead_letter.headers)
}

/// The templates of a consumer's dead letters as texts, in the broker's order.
pub(super) fn consumer_effective(consumer: &ConsumerConfig) -> impl Iterator<Item = (&'static str, &str)> {
    let written = &consumer.dead_letter.fields;
    let fields = consumer.from.backend().config.route.iter();
    fields.map(|field| {
        let written = written.get(field.name).map(String::as_str);
        (field.name, written.unwrap_or(field.default_dead_letter))
    })
}

/// The template of the key of a consumer's dead letters.
pub(super) fn consumer_effective_key(consumer: &ConsumerConfig) -> &str {
    consumer.dead_letter.key.as_deref().unwrap_or(KEY_DEFAULT)
}

/// A stream knows its topic: `{topic}` is that, without the partition that a lane's name has.
pub(super) fn consumer_dead_letter(consumer: &ConsumerConfig, topic: &str) -> Result<Route, TemplateError> {
    let parse = |text: &str| Template::parse(&text.replace("{topic}", topic), TemplateUse::DeadLetter);
    let fields = consumer_effective(consumer).map(|(_, text)| parse(text));
    let fields = fields.collect::<Result<_, _>>()?;
    let key = parse(consumer_effective_key(consumer))?;
    let headers = consumer.dead_letter.headers.iter();
    let headers = headers.map(|(name, text)| Ok((name.as_str().into(), parse(text)?)));
    Ok(Route::new(fields, key, headers.collect::<Result<_, _>>()?))
}

fn resolve(relay: &RelayConfig, used: TemplateUse, headers: &BTreeMap<String, String>) -> Result<Route, TemplateError> {
    let fields = effective(relay, used)
        .map(|(_, text)| Template::parse(text, used))
        .collect::<Result<_, _>>()?;
    let key = Template::parse(effective_key(relay, used), used)?;
    let headers = headers
        .iter()
        .map(|(name, text)| Ok((name.as_str().into(), Template::parse(text, used)?)))
        .collect::<Result<_, _>>()?;
    Ok(Route::new(fields, key, headers))
}
