//! YAML with places: every key and value knows its line and column.
//!
//! Promises: no text of the file is quoted in an error (it may be a secret); size, depth and aliases are bounded, so a
//! hostile file costs little; a key written twice is told, with both places, beside all other problems.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, Options, Spanned};

/// Nesting allowed; ours is six deep.
const DEPTH_MAX: usize = 32;
/// Keys, values and lists allowed in one file; a configuration of 100 relays has about 3,000.
const NODES_MAX: usize = 50_000;
/// Nodes that aliases may expand to.
const ALIAS_NODES_MAX: usize = 10_000;

/// A line and a column, from 1; in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub line: u64,
    pub column: u64,
}

/// A value with its place.
#[derive(Debug)]
pub(super) struct Node {
    pub place: Place,
    pub shape: Shape,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Shape {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

/// Why a text is no YAML that we take.
#[derive(Debug)]
pub(super) struct NotYaml {
    pub place: Option<Place>,
    pub sentence: String,
}

/// Reads one document; `None`: it is empty.
pub(super) fn parse(text: &str) -> Result<Option<Node>, NotYaml> {
    serde_saphyr::from_str_with_options::<Option<Node>>(text, options()).map_err(|error| NotYaml {
        place: error.location().and_then(Place::known),
        sentence: sentence(&error),
    })
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: NODES_MAX * 3,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: ALIAS_NODES_MAX,
            max_replay_stack_depth: DEPTH_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `no` and `on` are texts, `0755` and `1_000` are not numbers to anybody who wrote them as names.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        // A snippet would print the lines around the error, secrets among them.
        with_snippet: false,
    }
}

/// Our words for the errors people make; the kind of error for the rest. Never the error's own text: it may quote.
fn sentence(error: &Error) -> String {
    match error.without_snippet() {
        Error::MultipleDocuments { .. } => "holds a second document after `---`; write one".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            format!(
                "is too deep or expands too far; at most {NODES_MAX} nodes, {DEPTH_MAX} deep, {ALIAS_NODES_MAX} by aliases"
            )
        }
        Error::AliasError { error, .. } => sentence(error),
        Error::UnknownAnchor { .. } => "names an anchor that does not exist; write &NAME before *NAME".to_owned(),
        Error::NonFiniteFloat { .. } => "is no finite number; write it in quotes if it is a text".to_owned(),
        _ => "is no valid YAML here; look at indentation, quotes, tabs and `: `".to_owned(),
    }
}

// === impl Place ===

impl Place {
    fn known(location: Location) -> Option<Self> {
        (location.line() > 0).then(|| Self {
            line: location.line(),
            column: location.column(),
        })
    }

    fn of<T>(spanned: &Spanned<T>) -> Self {
        Self {
            line: spanned.referenced.line(),
            column: spanned.referenced.column(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Shape>::deserialize(deserializer)?;
        Ok(Self {
            place: Place::of(&spanned),
            shape: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Value::Null))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar(flag.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar(number.into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar(number.into()))
    }

    fn visit_u128<E: de::Error>(self, number: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar((number as f64).into()))
    }

    fn visit_i128<E: de::Error>(self, number: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar((number as f64).into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar(number.into()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = items.next_element()? {
            list.push(node);
        }
        Ok(Shape::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Shape, A::Error> {
        let mut map = Vec::new();
        while let Some((key, node)) = entries.next_entry::<Spanned<String>, Node>()? {
            map.push(Entry {
                place: Place::of(&key),
                key: key.value,
                node,
            });
        }
        Ok(Shape::Map(map))
    }
}
