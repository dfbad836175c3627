//! `CloudEvents` in structured mode: the whole event is one JSON object.
//!
//! Promises: JSON data is the bytes as they stand in the object, never parsed and written anew; `data_base64` is the bytes
//! it stands for; extension attributes become headers `ce_NAME`, and ours become what they mean.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::read::{Event, moment, version};
use crate::message::Body;

/// Attributes that become fields.
const FIELDS: [&str; 9] = [
    "specversion",
    "id",
    "source",
    "type",
    "time",
    "subject",
    "partitionkey",
    "datacontenttype",
    "twinboxheaders",
];
/// Extensions that are no `ce_` headers: they have names of their own on every transport.
const BARE: [&str; 4] = ["traceparent", "tracestate", "twinboxposition", "twinboxreplay"];

/// Whether a content type means this mode.
pub(super) fn is_structured(media: &str) -> bool {
    const PREFIX: &str = "application/cloudevents";
    media
        .get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Reads the event of a value.
pub(super) fn read(value: Option<&Bytes>, media: &str) -> Result<Event, String> {
    let format = media.split(';').next().unwrap_or_default().trim();
    if !format.eq_ignore_ascii_case("application/cloudevents+json") {
        let format = super::read::short(format);
        return Err(format!(
            "it is a CloudEvent as {format}; twinbox reads application/cloudevents+json"
        ));
    }
    let value = value.ok_or("it is a structured CloudEvent without a value")?;
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_slice(value).map_err(|error| format!("it is no CloudEvent: its JSON is broken: {error}"))?;
    let member = |name: &str| match members.get(name).map(|raw| raw.get()) {
        None | Some("null") => Ok(None),
        Some(raw) => serde_json::from_str::<String>(raw)
            .map(Some)
            .map_err(|_| format!("it is no CloudEvent: `{name}` is no text")),
    };
    let required = |name: &str| {
        let value = member(name)?.filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("it is no CloudEvent: `{name}` is missing or empty"))
    };
    version(&required("specversion")?)?;
    let media = member("datacontenttype")?;
    let (body, media) = data(value, &members, media)?;
    Ok(Event {
        id: Some(required("id")?.into()),
        source: Some(required("source")?.into()),
        kind: required("type")?.into(),
        time: member("time")?.map(|time| moment("time", &time)).transpose()?,
        media,
        body,
        spent: &["content-type"],
        inner: extensions(&members)?,
    })
}

/// The payload and its media type, which is JSON when nothing else is said.
fn data(
    value: &Bytes,
    members: &BTreeMap<String, &RawValue>,
    media: Option<String>,
) -> Result<(Body, Option<Box<str>>), String> {
    let present = |name: &str| members.get(name).filter(|raw| raw.get() != "null");
    if let Some(raw) = present("data_base64") {
        let text: String = serde_json::from_str(raw.get()).map_err(|_| "`data_base64` is no text")?;
        let bytes = STANDARD.decode(text).map_err(|_| "`data_base64` is no base64")?;
        return Ok((Body::Bytes(bytes.into()), media.map(Into::into)));
    }
    let Some(raw) = present("data") else {
        return Ok((Body::Null, media.map(Into::into)));
    };
    let json = media.as_deref().is_none_or(|media| {
        let kind = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind.ends_with("/json") || kind.ends_with("+json")
    });
    let body = match serde_json::from_str::<String>(raw.get()) {
        // A text of another type is the payload itself (CloudEvents JSON format, §3.1.1).
        Ok(text) if !json => text.into(),
        _ => value.slice_ref(raw.get().as_bytes()),
    };
    Ok((
        Body::Bytes(body),
        Some(media.unwrap_or_else(|| "application/json".into()).into()),
    ))
}

fn extensions(members: &BTreeMap<String, &RawValue>) -> Result<Vec<(Box<str>, Box<str>)>, String> {
    let mut found = Vec::new();
    for (name, raw) in members {
        let known = FIELDS.contains(&name.as_str()) || matches!(name.as_str(), "data" | "data_base64");
        if known || raw.get() == "null" {
            continue;
        }
        let text = match serde_json::from_str(raw.get()) {
            Ok(Value::String(text)) => text,
            _ => raw.get().to_owned(),
        };
        let name = if BARE.contains(&name.as_str()) {
            name.clone()
        } else {
            format!("ce_{name}")
        };
        found.push((name.into(), text.into()));
    }
    if let Some(raw) = members.get("twinboxheaders") {
        let text: String = serde_json::from_str(raw.get()).map_err(|_| "`twinboxheaders` is no text")?;
        let headers: serde_json::Map<String, Value> =
            serde_json::from_str(&text).map_err(|_| "`twinboxheaders` holds no JSON object")?;
        found.extend(headers.into_iter().map(|(name, value)| {
            let value = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            (name.into(), value.into())
        }));
    }
    Ok(found)
}
