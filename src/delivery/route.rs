//! From a message to its address: templates over the row's columns.
//!
//! Promises: a template is parsed once, at start; an unknown placeholder is refused there; a missing value is a failure
//! of that message, never an empty name (a missing *key* is no key).

use std::fmt;
use std::sync::Arc;

use super::{Address, Destination, Failure, FailureKind};
use crate::message::{Key, Message};

/// The columns a template may name, for error texts.
const PLACEHOLDERS: &str = "{aggregatetype} {aggregateid} {type} {id} {header:NAME}";
/// Destinations remembered by their text; beyond it the memory starts anew (data must not grow our memory for ever).
const DESTINATIONS_MAX: usize = 10_000;

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    AggregateType,
    AggregateId,
    Type,
    Id,
    Header(Box<str>),
    Topic,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder that does not exist.
    #[error("unknown placeholder {{{0}}}; write one of {PLACEHOLDERS}")]
    Unknown(String),
    /// `{topic}` outside a dead letter's route.
    #[error("{{topic}} is known only in `dead_letter`; write one of {PLACEHOLDERS}")]
    TopicOutsideDeadLetter,
    /// A brace without its partner.
    #[error("a brace without its partner; write one of {PLACEHOLDERS}, or no braces")]
    Brace,
}

/// Where a template is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateUse {
    /// A relay's or consumer's `route`.
    Route,
    /// `dead_letter`, which also knows `{topic}`.
    DeadLetter,
}

/// A route: one template per field of the backend, one for the key, and the headers it adds.
#[derive(Debug, Clone)]
pub struct Route {
    fields: Vec<Template>,
    key: Template,
    headers: Vec<(Box<str>, Template)>,
}

/// A route with the destinations it has met, so that equal ones share one allocation.
#[derive(Debug)]
pub struct Router {
    route: Route,
    known: foldhash::HashMap<String, Destination>,
    scratch: String,
}

// === impl Template ===

impl Template {
    /// That text, whatever is in it.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    /// Reads a template.
    ///
    /// # Errors
    /// A placeholder that does not exist, or a brace without its partner.
    pub fn parse(text: &str, used: TemplateUse) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            if rest.as_bytes()[open] == b'}' {
                return Err(TemplateError::Brace);
            }
            if open > 0 {
                pieces.push(Piece::Text(rest[..open].into()));
            }
            let close = rest[open..].find('}').ok_or(TemplateError::Brace)? + open;
            pieces.push(Piece::parse(&rest[open + 1..close], used)?);
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Self(pieces))
    }

    /// Appends the text for one message; `topic` is the original destination of a dead letter.
    /// Answers the placeholder whose value is missing.
    fn render(&self, message: &Message, topic: &str, out: &mut String) -> Result<(), String> {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::AggregateType => out.push_str(&message.aggregate_type),
                Piece::AggregateId => out.push_str(key_text(message.key.as_ref()).ok_or("aggregateid")?),
                Piece::Type => out.push_str(&message.kind),
                Piece::Id => out.push_str(message.id.hyphenated().encode_lower(&mut [0; 36])),
                Piece::Header(name) => {
                    out.push_str(message.headers.get(name).ok_or_else(|| format!("header:{name}"))?);
                }
                Piece::Topic => out.push_str(topic),
            }
        }
        Ok(())
    }
}

impl Piece {
    fn parse(name: &str, used: TemplateUse) -> Result<Self, TemplateError> {
        match (name, used) {
            ("aggregatetype", _) => Ok(Self::AggregateType),
            ("aggregateid", _) => Ok(Self::AggregateId),
            ("type", _) => Ok(Self::Type),
            ("id", _) => Ok(Self::Id),
            ("topic", TemplateUse::DeadLetter) => Ok(Self::Topic),
            ("topic", TemplateUse::Route) => Err(TemplateError::TopicOutsideDeadLetter),
            (other, _) => match other.strip_prefix("header:").filter(|header| !header.is_empty()) {
                Some(header) => Ok(Self::Header(header.into())),
                None => Err(TemplateError::Unknown(other.to_owned())),
            },
        }
    }
}

fn key_text(key: Option<&Key>) -> Option<&str> {
    key.and_then(Key::as_str)
}

// === impl Route ===

impl Route {
    /// A route of the backend's fields in order, the key and the headers to add.
    #[must_use]
    pub fn new(fields: Vec<Template>, key: Template, headers: Vec<(Box<str>, Template)>) -> Self {
        Self { fields, key, headers }
    }

    /// The destination of every message, or of every dead letter that failed at `topic`; none when it depends on the row.
    #[must_use]
    pub fn constant(&self, topic: &str) -> Option<Destination> {
        let text = |field: &Template| {
            let pieces = field.0.iter().map(|piece| match piece {
                Piece::Text(text) => Some(&**text),
                Piece::Topic => Some(topic),
                _ => None,
            });
            pieces.collect::<Option<String>>().filter(|text| !text.is_empty())
        };
        self.fields.iter().map(text).collect()
    }

    /// The key of a message: the row's own bytes for the usual `{aggregateid}`.
    fn key(&self, message: &Message, topic: &str) -> Option<Key> {
        if self.key.0 == [Piece::AggregateId] {
            return message.key.clone();
        }
        let mut text = String::new();
        self.key.render(message, topic, &mut text).ok()?;
        Some(Key::from(text.as_str()))
    }
}

impl fmt::Display for Route {
    /// The templates of the destination and the key: what decides which lane a message belongs to (S36).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for field in &self.fields {
            write!(f, "{field} ")?;
        }
        write!(f, "key {}", self.key)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::AggregateType => f.write_str("{aggregatetype}"),
            Piece::AggregateId => f.write_str("{aggregateid}"),
            Piece::Type => f.write_str("{type}"),
            Piece::Id => f.write_str("{id}"),
            Piece::Header(name) => write!(f, "{{header:{name}}}"),
            Piece::Topic => f.write_str("{topic}"),
        })
    }
}

// === impl Router ===

impl Router {
    /// A router for that route.
    #[must_use]
    pub fn new(route: Route) -> Self {
        Self {
            route,
            known: foldhash::HashMap::default(),
            scratch: String::new(),
        }
    }

    /// The address of a message.
    ///
    /// # Errors
    /// A failure of this message: a placeholder of `route` has no value in it.
    pub fn address(&mut self, message: &Message) -> Result<Address, Failure> {
        self.address_from(message, "")
    }

    /// The address of a dead letter that failed at `topic`.
    ///
    /// # Errors
    /// As [`Router::address`].
    pub fn address_from(&mut self, message: &Message, topic: &str) -> Result<Address, Failure> {
        self.scratch.clear();
        for (index, field) in self.route.fields.iter().enumerate() {
            if index > 0 {
                // A control character that no broker allows in a name keeps the joined text unambiguous.
                self.scratch.push('\u{1}');
            }
            field
                .render(message, topic, &mut self.scratch)
                .map_err(|name| missing(&name))?;
        }
        let mut headers = Vec::with_capacity(self.route.headers.len());
        for (name, template) in &self.route.headers {
            let mut value = String::new();
            template
                .render(message, topic, &mut value)
                .map_err(|name| missing(&name))?;
            headers.push((name.clone(), value.into_boxed_str()));
        }
        Ok(Address {
            destination: self.destination(),
            key: self.route.key(message, topic),
            headers: if headers.is_empty() {
                Arc::default()
            } else {
                headers.into()
            },
        })
    }

    fn destination(&mut self) -> Destination {
        if let Some(known) = self.known.get(&self.scratch) {
            return known.clone();
        }
        if self.known.len() >= DESTINATIONS_MAX {
            self.known.clear();
        }
        let destination: Destination = self.scratch.split('\u{1}').collect();
        self.known.insert(self.scratch.clone(), destination.clone());
        destination
    }
}

fn missing(name: &str) -> Failure {
    Failure::new(
        FailureKind::Message,
        "RouteValueMissing",
        format!("the row has no value for {{{name}}} of `route`; give it one, or change `route`"),
    )
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
